//! A block by generated kernels, on the processor.
//!
//! The types are compared once per call, in [`crate::tensor::storage`].

use dfdx::{
    shapes::{Const, Dim, Dtype, HasShape, Shape},
    tensor::{Gradients, PutTape, SplitTape, Tape, Tensor},
    tensor_ops::Device,
};

use crate::{
    backward::report,
    block::{
        each::{pull_back_each, solve_each},
        saved::Saved,
        solving::{solve_f32, solve_f64, Outcome, Solve, Solving, LANES_F32, LANES_F64},
        Forward,
    },
    tensor::{
        accumulate_numbers, accumulate_params,
        storage::{numbers_mut, read, same, KernelDtype},
        DeviceErr, TensorField,
    },
};
use neuralode_core::{
    engine::{
        per_sample::AnyPerSample,
        point::PointEngine,
        tiles::{
            state::{Params, Tiles},
            Erased, HostEngine,
        },
    },
    kernel::{field::Generated, TileField},
    ode::{
        choices::{Adjoint, Control, StepSizes},
        error::SolveError,
        field::{back::Cotangent, Differentiable},
        method::{WithTableau, TSIT5},
        state::State,
        stats::Stats,
    },
    simd::real::Real,
};

impl<const N: usize, B, E, D, T, F, W> Forward<'_, N, B, E, D, T, F, W>
where
    B: Dim,
    E: Dtype,
    D: Device<E>,
    T: Tape<E, D>,
    F: TensorField<N, E, D>,
    W: Saved<B, N, E, D>,
{
    /// Solves by kernels on the processor.
    pub(super) fn on_the_processor<K: TileField<N>>(
        self,
    ) -> Result<(Tensor<W::Shape, E, D, T>, Stats), SolveError> {
        // Known while compiling, so that one of them is: `covers` lets no third type through.
        if const { size_of::<E>() == size_of::<f32>() } {
            self.run::<K, f32, LANES_F32>(solve_f32)
        } else {
            self.run::<K, f64, LANES_F64>(solve_f64)
        }
    }

    /// `R` is `E` under the name that the kernels know.
    fn run<K: TileField<N>, R: KernelDtype, const L: usize>(
        self,
        solve: Solve<Erased<R, L>>,
    ) -> Result<(Tensor<W::Shape, E, D, T>, Stats), SolveError> {
        let params = self.block.field.kernel_parameters()?;
        let params = params.and_then(same::<Vec<E>, Vec<R>>);
        let rows = read::<_, _, _, _, R>(&self.y0);
        let (Some(params), Some(rows)) = (params, rows) else {
            return self.solve_portably();
        };
        let rows = rows.as_slice();
        if self.block.options.steps == StepSizes::PerSample {
            let Some(engine) = HostEngine::<Generated<K, R>, R, N, L>::new(params) else {
                return self.solve_portably();
            };
            return if const { F::LANES } && self.fits_lanes() {
                self.solve_per_sample(Box::new(engine), rows, K::PARAMS)
            } else {
                let engine = engine.erased();
                self.solve_one_by_one(engine, rows, K::PARAMS, solve)
            };
        }
        let straight = self.block.options.solver.seven_stages().is_some()
            && self.block.options.control == Control::Solution;
        if const { neuralode_core::engine::point::fits::<K, N>() } && straight && rows.len() == N {
            let state = sample(rows);
            match PointEngine::<K, R, N>::new(params) {
                Some(engine) => self.solve_with(engine, state, K::PARAMS, solve_point),
                None => self.solve_portably(),
            }
        } else {
            match HostEngine::<Generated<K, R>, R, N, L>::new(params) {
                Some(engine) => {
                    let engine = engine.erased();
                    let state = Tiles::from_whole_rows(N, rows);
                    self.solve_with(engine, state, K::PARAMS, solve)
                }
                None => self.solve_portably(),
            }
        }
    }

    /// Whether lanes can do what is asked for.
    fn fits_lanes(&self) -> bool {
        let options = &self.block.options;
        let adjoint = !T::OWNS_TAPE || options.adjoint == Adjoint::Discrete;
        let control = options.control == Control::Solution;
        adjoint && control && options.step_at.is_empty() && options.jump_at.is_empty()
    }

    /// Steps for each sample, one after the other.
    fn solve_one_by_one<R: KernelDtype, const L: usize>(
        self,
        mut engine: Erased<R, L>,
        rows: &[R],
        parameters: usize,
        solve: Solve<Erased<R, L>>,
    ) -> Result<(Tensor<W::Shape, E, D, T>, Stats), SolveError> {
        let Self { block, saved, y0 } = self;
        let (y0, mut tape) = y0.split_tape();
        let starts = rows.chunks_exact(N);
        let starts = starts.map(|row| Tiles::from_whole_rows(N, row)).collect();
        let (times, options) = (saved.times(), &block.options);
        let each = solve_each(&mut engine, solve, starts, times, options, T::OWNS_TAPE)?;
        let mut rows = vec![R::default(); times.len() * rows.len()];
        for (sample, values) in each.values.iter().enumerate() {
            for (index, value) in values.iter().enumerate() {
                let at = (index * each.values.len() + sample) * N;
                rows[at..at + N].copy_from_slice(&value.to_rows());
            }
        }
        let shape = saved.shape(y0.shape().0);
        let out = tensor_of_rows(rows, y0.device(), shape).map_err(SolveError::device)?;
        if let Some(pull_backs) = each.pull_backs {
            let (field, out) = (block.field.clone(), out.clone());
            tape.add_backward_op(move |gradients| {
                let cotangent = numbers_mut::<E, D, R>(gradients.get_or_alloc_mut(&out)?);
                let Some(rows) = cotangent else {
                    return Ok(());
                };
                let count = y0.shape().num_elements();
                let of_sample = |sample: usize| {
                    let values = rows.chunks_exact(count);
                    let values = values.map(|values| &values[sample * N..][..N]);
                    cotangents_of(saved.times(), N, values)
                };
                let cotangents = (0..pull_backs.len()).map(of_sample);
                let pulled = pull_back_each(&mut engine, &pull_backs, cotangents);
                let pulled = pulled.map(|pulled| Pulled {
                    y_bar: pulled.y_bars.iter().flat_map(Tiles::to_rows).collect(),
                    theta_bar: pulled.theta_bar.0,
                    stats: pulled.stats,
                });
                write_gradients(&field, parameters, pulled, &y0, gradients)
            });
        }
        Ok((out.put_tape(tape), each.stats))
    }

    /// Steps for each sample, in lanes; the statistics are sums over the samples.
    fn solve_per_sample<R: KernelDtype>(
        self,
        engine: Box<dyn AnyPerSample<R>>,
        start: &[R],
        parameters: usize,
    ) -> Result<(Tensor<W::Shape, E, D, T>, Stats), SolveError> {
        let Self { block, saved, y0 } = self;
        let options = &block.options;
        let (y0, mut tape) = y0.split_tape();
        let (solution, pull_back) = engine.solve(start, saved.times(), options, T::OWNS_TAPE)?;
        let shape = saved.shape(y0.shape().0);
        let out =
            tensor_of_rows(solution.values, y0.device(), shape).map_err(SolveError::device)?;
        if let Some(pull_back) = pull_back {
            let (field, out) = (block.field.clone(), out.clone());
            tape.add_backward_op(move |gradients| {
                let cotangent = numbers_mut::<E, D, R>(gradients.get_or_alloc_mut(&out)?);
                let Some(rows) = cotangent else {
                    return Ok(());
                };
                let pulled = pull_back(rows).map(|pulled| Pulled {
                    y_bar: pulled.y_bar,
                    theta_bar: pulled.theta_bar,
                    stats: sum(&pulled.stats),
                });
                write_gradients(&field, parameters, pulled, &y0, gradients)
            });
        }
        Ok((out.put_tape(tape), sum(&solution.stats)))
    }

    fn solve_with<R: KernelDtype, G>(
        self,
        mut engine: G,
        start: G::State,
        parameters: usize,
        solve: Solve<G>,
    ) -> Result<(Tensor<W::Shape, E, D, T>, Stats), SolveError>
    where
        G: Differentiable<State: SampleRows<R>, Params = Params<R>> + 'static,
    {
        let Self { block, saved, y0 } = self;
        let (y0, mut tape) = y0.split_tape();
        let Outcome {
            values,
            stats,
            pull_back,
        } = solve(Solving {
            field: &mut engine,
            y0: start,
            times: saved.times(),
            options: &block.options,
            keep: T::OWNS_TAPE,
        })?;
        let shape = saved.shape(y0.shape().0);
        let out = tensor(&values, y0.device(), shape).map_err(SolveError::device)?;
        if let Some(pull_back) = pull_back {
            let (field, out) = (block.field.clone(), out.clone());
            tape.add_backward_op(move |gradients| {
                let cotangent = numbers_mut::<E, D, R>(gradients.get_or_alloc_mut(&out)?);
                let Some(rows) = cotangent else {
                    return Ok(());
                };
                let count = y0.shape().num_elements();
                let cotangents = cotangents::<R, G::State>(saved.times(), rows, (N, count));
                let pulled = pull_back(&mut engine, &cotangents).map(|pulled| Pulled {
                    y_bar: pulled.y_bar.to_rows(),
                    theta_bar: pulled.theta_bar.0,
                    stats: pulled.stats,
                });
                write_gradients(&field, parameters, pulled, &y0, gradients)
            });
        }
        Ok((out.put_tape(tape), stats))
    }
}

/// The gradient of the value at the end, of numbers that live elsewhere: from the field's parameters, and the rows of
/// `y0` and of its cotangent. `lanes` says whether the field is solved in lanes.
#[cfg(feature = "cuda")]
pub(super) fn gradient<const N: usize, K: TileField<N>, R: KernelDtype, const L: usize>(
    params: Vec<R>,
    [y0, cotangent]: [&[R]; 2],
    (options, lanes): (&neuralode_core::ode::options::SolveOptions, bool),
    solve: Solve<Erased<R, L>>,
) -> Result<Pulled<R>, SolveError> {
    let found = params.len();
    let Some(engine) = HostEngine::<Generated<K, R>, R, N, L>::new(params) else {
        return Err(SolveError::ShapeMismatch {
            expected: vec![K::PARAMS],
            found: vec![found],
        });
    };
    let times = [options.t1];
    if lanes && options.steps == StepSizes::PerSample && options.control == Control::Solution {
        let engine: Box<dyn AnyPerSample<R>> = Box::new(engine);
        let (_, pull_back) = engine.solve(y0, &times, options, true)?;
        let pulled = pull_back.ok_or(SolveError::NoTimes)?(cotangent)?;
        return Ok(Pulled {
            y_bar: pulled.y_bar,
            theta_bar: pulled.theta_bar,
            stats: sum(&pulled.stats),
        });
    }
    let mut engine = engine.erased();
    if options.steps == StepSizes::PerSample {
        let starts = y0.chunks_exact(N);
        let starts = starts.map(|row| Tiles::from_whole_rows(N, row)).collect();
        let each = solve_each(&mut engine, solve, starts, &times, options, true)?;
        let cotangents = cotangent.chunks_exact(N);
        let cotangents = cotangents.map(|row| cotangents_of(&times, N, core::iter::once(row)));
        let pull_backs = each.pull_backs.unwrap_or_default();
        let pulled = pull_back_each(&mut engine, &pull_backs, cotangents)?;
        return Ok(Pulled {
            y_bar: pulled.y_bars.iter().flat_map(Tiles::to_rows).collect(),
            theta_bar: pulled.theta_bar.0,
            stats: pulled.stats,
        });
    }
    let solved = solve(Solving {
        field: &mut engine,
        y0: Tiles::from_whole_rows(N, y0),
        times: &times,
        options,
        keep: true,
    })?;
    let pull_back = solved.pull_back.ok_or(SolveError::NoTimes)?;
    let cotangents = cotangents_of(&times, N, core::iter::once(cotangent));
    let pulled = pull_back(&mut engine, &cotangents)?;
    Ok(Pulled {
        y_bar: pulled.y_bar.to_rows(),
        theta_bar: pulled.theta_bar.0,
        stats: pulled.stats,
    })
}

/// Steps written out for one sample; methods that have none take tiles.
fn solve_point<K: TileField<N>, R: KernelDtype, const N: usize>(
    solving: Solving<'_, PointEngine<K, R, N>>,
) -> Result<Outcome<PointEngine<K, R, N>>, SolveError> {
    let tableau = solving.options.solver.seven_stages();
    solving.run(tableau.unwrap_or(&TSIT5))
}

/// The cotangents of the values at `times`, given as `count` numbers each.
fn cotangents<R, Y: SampleRows<R>>(
    times: &[f64],
    rows: &[R],
    (features, count): (usize, usize),
) -> Vec<Cotangent<Y>> {
    cotangents_of(times, features, rows.chunks_exact(count))
}

/// The same, given as one slice per time.
fn cotangents_of<'r, R: 'r, Y: SampleRows<R>>(
    times: &[f64],
    features: usize,
    values: impl Iterator<Item = &'r [R]>,
) -> Vec<Cotangent<Y>> {
    let values = values.map(|rows| Y::cotangent_from_rows(features, rows));
    let times = times.iter().copied();
    times
        .zip(values)
        .map(|(t, value)| Cotangent { t, value })
        .collect()
}

/// A state of the processor's engines as rows of features.
trait SampleRows<R>: State {
    /// The rows as a cotangent, which is zero where there is no sample.
    fn cotangent_from_rows(features: usize, rows: &[R]) -> Self;
    fn to_rows(&self) -> Vec<R>;
}

impl<R: Real, const L: usize> SampleRows<R> for Tiles<R, L> {
    fn cotangent_from_rows(features: usize, rows: &[R]) -> Self {
        Self::from_whole_rows(features, rows).with_empty_padding()
    }

    fn to_rows(&self) -> Vec<R> {
        self.to_rows()
    }
}

/// One sample.
impl<R: Real, const N: usize> SampleRows<R> for [R; N] {
    fn cotangent_from_rows(_: usize, rows: &[R]) -> Self {
        sample(rows)
    }

    fn to_rows(&self) -> Vec<R> {
        self.to_vec()
    }
}

fn sample<R: Real, const N: usize>(rows: &[R]) -> [R; N] {
    core::array::from_fn(|n| rows.get(n).copied().unwrap_or_default())
}

/// States one after the other as a tensor.
fn tensor<R: KernelDtype, Y: SampleRows<R>, S: Shape, E: Dtype, D: Device<E>>(
    values: &[Y],
    device: &D,
    shape: S,
) -> Result<Tensor<S, E, D>, DeviceErr<D>> {
    let mut values = values.iter().map(SampleRows::to_rows);
    let mut rows = values.next().unwrap_or_default();
    rows.extend(values.flatten());
    tensor_of_rows(rows, device, shape)
}

fn tensor_of_rows<R: KernelDtype, S: Shape, E: Dtype, D: Device<E>>(
    rows: Vec<R>,
    device: &D,
    shape: S,
) -> Result<Tensor<S, E, D>, DeviceErr<D>> {
    let rows = same::<Vec<R>, Vec<E>>(rows).unwrap_or_default();
    device.try_tensor_from_vec(rows, shape)
}

/// What several samples cost together.
fn sum(stats: &[Stats]) -> Stats {
    stats
        .iter()
        .fold(Stats::default(), |sum, stats| sum + *stats)
}

/// The numbers of a gradient.
pub(super) struct Pulled<R> {
    y_bar: Vec<R>,
    theta_bar: Vec<R>,
    stats: Stats,
}

/// Adds what an adjoint gave to the gradients of `y0` and of the field's parameters; NaN and a report if it
/// failed.
pub(super) fn write_gradients<R: KernelDtype, const N: usize, B, E, D, F>(
    field: &F,
    parameters: usize,
    pulled: Result<Pulled<R>, SolveError>,
    y0: &Tensor<(B, Const<N>), E, D>,
    gradients: &mut Gradients<E, D>,
) -> Result<(), DeviceErr<D>>
where
    B: Dim,
    E: Dtype,
    D: Device<E>,
    F: TensorField<N, E, D>,
{
    let nan = <R as Real>::from_f64(f64::NAN);
    let (y_bar, theta_bar, outcome) = match pulled {
        Ok(pulled) => (pulled.y_bar, pulled.theta_bar, Ok(pulled.stats)),
        Err(error) => {
            let count = y0.shape().num_elements();
            (vec![nan; count], vec![nan; parameters], Err(error))
        }
    };
    report(outcome);
    let y_bar = same::<Vec<R>, Vec<E>>(y_bar).unwrap_or_default();
    accumulate_numbers(y0, &y_bar, gradients)?;
    let theta_bar = same::<Vec<R>, Vec<E>>(theta_bar).unwrap_or_default();
    accumulate_params(field, &theta_bar, gradients)
}
