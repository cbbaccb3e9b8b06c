//! A block through kernels on a GPU: one launch for the whole solve, and one for its discrete adjoint.
//!
//! States, the record of the steps and gradients stay on the device. What comes to the processor is the field's
//! parameters, which are few, on their way into one array, one report per solve, and one verdict per gradient. Where
//! that asks for a second look, the processor makes the gradient.

use core::any::{Any, TypeId};
use std::{
    cell::RefCell,
    collections::HashMap,
    panic::{catch_unwind, AssertUnwindSafe},
    rc::Rc,
    sync::Arc,
};

use cudarc::driver::{CudaDevice, CudaSlice, DeviceSlice};
use dfdx::{
    shapes::{Const, Dim, Dtype, HasShape, Shape},
    tensor::{Cuda, Gradients, PutTape, SplitTape, Storage, Tape, Tensor},
    tensor_ops::Device,
};

use crate::{
    backward::report,
    block::{
        host,
        saved::Saved,
        solving::{solve_f32, solve_f64, LANES_F32, LANES_F64},
        Forward, NeuralOde,
    },
    cuda::launch::{stages, tile, Kernels, Pulled, Scalar},
    tensor::{
        accumulate_numbers, accumulate_params, all_contiguous, as_gradient, each_gradient, scalar,
        storage::same, DeviceErr, TensorField,
    },
};
use neuralode_core::{
    kernel::{rows::RowScalar, TileField},
    ode::{
        adjoint::gradient_error::{check_limit, kink_factor, least, SUSPICIOUS},
        choices::{Adjoint, GradientCheck, StepSizes},
        error::SolveError,
        options::SolveOptions,
        stats::Stats,
    },
};

/// Whether there may be kernels on this device and for this dtype.
pub(super) fn covers<E: Dtype, D: Device<E>>() -> bool {
    let dtype = TypeId::of::<E>();
    let known = dtype == TypeId::of::<f32>() || dtype == TypeId::of::<f64>();
    known && TypeId::of::<D>() == TypeId::of::<Cuda>()
}

/// A number that both the GPU and the processor have kernels for.
trait Number: Scalar + RowScalar {
    /// [`host::gradient`] with what goes with the type.
    fn gradient<const N: usize, K: TileField<N>>(
        params: Vec<Self>,
        rows: [&[Self]; 2],
        options: (&SolveOptions, bool),
    ) -> Result<host::Pulled<Self>, SolveError>;
}

macro_rules! numbers {
    ($($number:ty: $lanes:ident, $solve:ident;)*) => {
        $(impl Number for $number {
            fn gradient<const N: usize, K: TileField<N>>(
                params: Vec<Self>,
                rows: [&[Self]; 2],
                options: (&SolveOptions, bool),
            ) -> Result<host::Pulled<Self>, SolveError> {
                host::gradient::<N, K, Self, $lanes>(params, rows, options, $solve)
            }
        })*
    };
}

numbers! {
    f32: LANES_F32, solve_f32;
    f64: LANES_F64, solve_f64;
}

/// A solution, what it cost, and the operation on the tape.
type Solved<S, E, D> = (Tensor<S, E, D>, Stats, Option<PullBack<E, D>>);
type PullBack<E, D> = Box<dyn FnOnce(&mut Gradients<E, D>) -> Result<(), DeviceErr<D>>>;

/// The kernels of a field on a device, compiled when they are first needed; `None` if device code lacks a layer.
fn kernels<const N: usize, K: TileField<N>, R: Scalar>(
    device: &Arc<CudaDevice>,
    options: &SolveOptions,
    batch: usize,
) -> Result<Option<Rc<Kernels>>, SolveError> {
    /// The field and the number type, device, tile and stages. An entry keeps its device alive, so that no other one
    /// has its address.
    type Key = (TypeId, TypeId, *const CudaDevice, usize, usize);

    thread_local! {
        static LOADED: RefCell<HashMap<Key, Rc<Kernels>>> = RefCell::default();
    }

    let (tile, stages) = (tile(device, batch)?, stages(options));
    let key = (
        TypeId::of::<K>(),
        TypeId::of::<R>(),
        Arc::as_ptr(device),
        tile,
        stages,
    );
    if let Some(kernels) = LOADED.with_borrow(|loaded| loaded.get(&key).cloned()) {
        return Ok(Some(kernels));
    }
    let Some(source) = K::cuda_source() else {
        return Ok(None);
    };
    let program = source.program(R::PRECISION, tile, stages);
    let name = format!("neuralode {:?} {:?} {tile} {stages}", key.0, key.1);
    let kernels = Rc::new(Kernels::load(device, &name, &program)?);
    LOADED.with_borrow_mut(|loaded| loaded.insert(key, Rc::clone(&kernels)));
    Ok(Some(kernels))
}

impl<const N: usize, B, E, D, T, F, W> Forward<'_, N, B, E, D, T, F, W>
where
    B: Dim,
    E: Dtype,
    D: Device<E>,
    T: Tape<E, D>,
    F: TensorField<N, E, D>,
    W: Saved<B, N, E, D>,
{
    /// Solves by kernels on a GPU.
    pub(super) fn on_a_gpu<K: TileField<N>>(
        self,
    ) -> Result<(Tensor<W::Shape, E, D, T>, Stats), SolveError> {
        // Known while compiling, so that one of them is: `covers` lets no third type through.
        let solved = contained(|| {
            if const { size_of::<E>() == size_of::<f32>() } {
                self.launch::<K, f32>()
            } else {
                self.launch::<K, f64>()
            }
        })??;
        let Some((y1, stats, pull_back)) = solved else {
            return self.solve_portably();
        };
        let (_, mut tape) = self.y0.split_tape();
        if let Some(pull_back) = pull_back {
            tape.add_backward_op(pull_back);
        }
        Ok((y1.put_tape(tape), stats))
    }

    /// `R` is `E` under the name that the kernels know. `None` where kernels cannot do what is asked for.
    fn launch<K: TileField<N>, R: Number>(
        &self,
    ) -> Result<Option<Solved<W::Shape, E, D>>, SolveError> {
        let (field, options) = (&self.block.field, &self.block.options);
        #[allow(
            clippy::float_cmp,
            reason = "a copy of the same number, and the empty span"
        )]
        let whole_span = self.saved.times() == [options.t1] && options.t0 != options.t1;
        let stops = !(options.step_at.is_empty() && options.jump_at.is_empty());
        let adjoint = !T::OWNS_TAPE || options.adjoint == Adjoint::Discrete;
        let measured = T::OWNS_TAPE && options.gradient_check == GradientCheck::Full;
        let has_kernels = K::cuda_source().is_some() && !measured;
        if !whole_span || stops || !adjoint || !has_kernels {
            return Ok(None);
        }
        if !all_contiguous(field).map_err(SolveError::device)? {
            return Ok(None);
        }
        let theta = field.kernel_parameters()?;
        let theta = theta.filter(|theta| theta.len() == K::PARAMS);
        let Some(theta) = theta.and_then(same::<Vec<E>, Vec<R>>) else {
            return Ok(None);
        };
        let (y0, device) = (self.y0.retaped(), self.y0.device());
        let carrier: Tensor<(B, Const<N>), E, D> = device
            .try_zeros_like(y0.shape())
            .map_err(SolveError::device)?;
        let mut held = as_gradient(&carrier, y0.clone()).map_err(SolveError::device)?;
        let held = held
            .get_or_alloc_mut(&carrier)
            .map_err(SolveError::device)?;
        let Some(start) = numbers::<E, D, R>(held) else {
            return Ok(None);
        };
        let batch = y0.shape().num_elements() / N.max(1);
        let Some(kernels) = kernels::<N, K, R>(&start.device(), options, batch)? else {
            return Ok(None);
        };
        let shape = self.saved.shape(y0.shape().0);
        let carrier: Tensor<W::Shape, E, D> =
            device.try_zeros_like(&shape).map_err(SolveError::device)?;
        let mut solution = Gradients::leaky();
        let end = solution
            .get_or_alloc_mut(&carrier)
            .map_err(SolveError::device)?;
        let Some(end) = numbers::<E, D, R>(end) else {
            return Ok(None);
        };
        let Some((stats, record)) = kernels.solve(options, theta, start, end, T::OWNS_TAPE)? else {
            return Ok(None);
        };
        let out = solution.get(&carrier);
        let pull_back = record.map(|record| -> PullBack<E, D> {
            let (block, out) = (self.block.clone(), out.clone());
            Box::new(move |gradients| {
                let outcome = contained(|| {
                    let cotangent = numbers::<E, D, R>(gradients.get_or_alloc_mut(&out)?);
                    let Some(cotangent) = cotangent else {
                        return Ok(Ok(Some(Stats::default())));
                    };
                    let pulled = match kernels.pull_back(
                        &record,
                        cotangent,
                        SUSPICIOUS / kink_factor(K::KINKS),
                    ) {
                        Ok(pulled) => pulled,
                        Err(error) => return Ok(Err(error)),
                    };
                    if pulled.verdict.suspicious {
                        return Ok(Ok(None));
                    }
                    let outcome = match accept::<R>(&pulled, kink_factor(K::KINKS), &block.options)
                    {
                        Ok(stats) => write_gradients(&block, (&kernels, &pulled), &y0, gradients)?
                            .map(|()| Some(stats)),
                        Err(error) => Err(error),
                    };
                    Ok(outcome)
                });
                let outcome = match flat(outcome)? {
                    Ok(None) => flat(contained(|| {
                        look_twice::<K, R, N, _, _, _, _, _>(&block, &y0, &out, gradients)
                    }))?,
                    Ok(Some(stats)) => {
                        report(Ok(stats));
                        Ok(())
                    }
                    Err(error) => Err(error),
                };
                if let Err(error) = outcome {
                    report(Err(error));
                    // A second failure changes nothing: there is an error already.
                    return contained(|| poison(K::PARAMS, &block.field, &y0, gradients))
                        .unwrap_or(Ok(()));
                }
                Ok(())
            })
        });
        Ok(Some((out, stats, pull_back)))
    }
}

/// One of two errors outside, the other inside, as the tape takes them.
fn flat<X, Err>(
    outcome: Result<Result<Result<X, SolveError>, Err>, SolveError>,
) -> Result<Result<X, SolveError>, Err> {
    match outcome {
        Ok(outcome) => outcome,
        Err(error) => Ok(Err(error)),
    }
}

/// What a gradient of the kernels cost, with its error, if the options allow that.
fn accept<R>(pulled: &Pulled<R>, factor: f64, options: &SolveOptions) -> Result<Stats, SolveError> {
    let error = (factor * pulled.verdict.error).max(least(options));
    let sample = (options.steps == StepSizes::PerSample).then_some(pulled.verdict.sample);
    check_limit(error, sample, options)?;
    let mut stats = pulled.stats;
    stats.gradient_error = error;
    Ok(stats)
}

/// Solves and pulls back once more with the processor's kernels. They decide by their own signs which estimates are
/// made in full. Writes the gradients, and reports.
fn look_twice<K: TileField<N>, R: Number, const N: usize, B, S, E, D, F>(
    block: &NeuralOde<F>,
    y0: &Tensor<(B, Const<N>), E, D>,
    out: &Tensor<S, E, D>,
    gradients: &mut Gradients<E, D>,
) -> Result<Result<(), SolveError>, DeviceErr<D>>
where
    B: Dim,
    S: Shape,
    E: Dtype,
    D: Device<E>,
    F: TensorField<N, E, D>,
{
    let theta = match block.field.kernel_parameters() {
        Ok(theta) => theta.unwrap_or_default(),
        Err(error) => return Ok(Err(error)),
    };
    let rows = [theta, y0.as_vec(), gradients.get(out).as_vec()];
    let [theta, y0_rows, cotangent] =
        rows.map(|rows| same::<Vec<E>, Vec<R>>(rows).unwrap_or_default());
    let pulled = R::gradient::<N, K>(theta, [&y0_rows, &cotangent], (&block.options, F::LANES));
    host::write_gradients(&block.field, K::PARAMS, pulled, y0, gradients).map(Ok)
}

/// The numbers of a gradient as dfdx keeps it on a GPU, if `R` is `E`.
fn numbers<E: Dtype, D: Device<E>, R: Dtype>(
    storage: &mut <D as Storage<E>>::Vec,
) -> Option<&mut CudaSlice<R>> {
    let storage: &mut dyn Any = storage;
    let storage = storage.downcast_mut::<<Cuda as Storage<R>>::Vec>()?;
    Some(&mut **storage)
}

/// Adds what the way back gave to the gradients of `y0` and of the field's parameters, on the device. The inner outcome
/// is that of the kernels; after a failure the gradients are incomplete.
fn write_gradients<R: Scalar, const N: usize, B, E, D, F>(
    block: &NeuralOde<F>,
    (kernels, pulled): (&Kernels, &Pulled<R>),
    y0: &Tensor<(B, Const<N>), E, D>,
    gradients: &mut Gradients<E, D>,
) -> Result<Result<(), SolveError>, DeviceErr<D>>
where
    B: Dim,
    E: Dtype,
    D: Device<E>,
    F: TensorField<N, E, D>,
{
    let mut outcome = match numbers::<E, D, R>(gradients.get_or_alloc_mut(y0)?) {
        Some(gradient) => kernels.add_y_bar(pulled, gradient),
        None => Ok(()),
    };
    let mut from = 0;
    each_gradient(&block.field, gradients, |gradient, _| {
        if let (Some(gradient), Ok(())) = (numbers::<E, D, R>(gradient), &outcome) {
            outcome = kernels.add_theta_bar(pulled, from, gradient);
            from += gradient.len();
        }
    })?;
    Ok(outcome)
}

/// Makes the gradients of `y0` and of the field's parameters NaN: half-written ones must not pass for whole ones.
fn poison<const N: usize, B, E, D, F>(
    parameters: usize,
    field: &F,
    y0: &Tensor<(B, Const<N>), E, D>,
    gradients: &mut Gradients<E, D>,
) -> Result<(), DeviceErr<D>>
where
    B: Dim,
    E: Dtype,
    D: Device<E>,
    F: TensorField<N, E, D>,
{
    let nan = vec![scalar(f64::NAN); y0.shape().num_elements()];
    accumulate_numbers(y0, &nan, gradients)?;
    let nan = vec![scalar(f64::NAN); parameters];
    accumulate_params(field, &nan, gradients)
}

/// Runs `work`, in which nothing of a user's runs, and makes an error of a panic: dfdx unwraps what a GPU answers where
/// it copies a tensor, that its memory is full for example.
fn contained<X>(work: impl FnOnce() -> X) -> Result<X, SolveError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        SolveError::device(text.unwrap_or("dfdx panicked"))
    })
}
