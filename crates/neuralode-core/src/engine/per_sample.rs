//! Solves in which every sample has step sizes of its own.

use core::fmt;

use crate::{
    engine::{
        lanes::{
            back::{self, Doubt, GroupBack, PlanBack},
            group_size,
            record::Stock,
            run, Group, Plan,
        },
        tiles::{
            forward, pullback,
            state::{Params, Tiles},
            HostEngine,
        },
    },
    kernel::{
        field::{TileKernel, TileVjp},
        tile::{Row, Tile},
    },
    ode::{
        adjoint::{
            gradient_error::{check_limit, full, least, together, Gradient},
            scale,
        },
        choices::Control,
        error::{Quantity, SolveError},
        field::{back::Cotangent, Differentiable, VectorField},
        method::{ButcherTableau, TableauView},
        options::SolveOptions,
        state::State,
        stats::Stats,
    },
    simd::{parallel, real::Real},
};

/// The values of a solve with step sizes for each sample, and what each sample cost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PerSample<E> {
    /// The solution at the saved times, one after the other: for each, rows of features of all samples.
    pub values: Vec<E>,
    /// What each sample cost, as if it had been solved alone.
    pub stats: Vec<Stats>,
}

/// Solves every sample of a batch from `y0`, rows of `N` features, with steps chosen by its own error, and returns the
/// solution at `times`.
///
/// Values and statistics of a sample are those of a batch of one, bit for bit, and like [`solve_at`] with a single
/// sample in `engine`; they depend neither on the rest of the batch nor on the number of threads. The sample's time is
/// what a field that depends on time receives. `options.max_steps` counts for each sample.
///
/// `L` samples attempt their steps side by side, and one that has reached the end makes room for the next: the cost is
/// that of the sum of all samples' steps, and of some idle lanes at the end of every group of samples.
///
/// [`solve_at`]: crate::ode::output::saved_points::solve_at
///
/// # Errors
/// Those of [`solve_at`], for the first sample of the batch that fails, which the error names;
/// [`SolveError::ShapeMismatch`] unless `y0` consists of rows of `N` numbers; [`SolveError::SharedStepsOnly`] for
/// options with `step_at` or `jump_at`.
///
/// # Examples
/// ```
/// use neuralode_core::{engine::solve_per_sample, ode::method::TSIT5, FnField, SolveOptions};
///
/// // Two oscillators of very different speed: each takes the steps that it needs.
/// let field = FnField::new(|_t, [x, v, w]: &[f64; 3]| [*v, -w * w * x, 0.0]).batch_of::<16>();
/// let starts = [1.0, 0.0, 1.0, 1.0, 0.0, 30.0];
/// let options = SolveOptions::new(0.0, 3.0, 1e-8, 1e-8);
/// let solution = solve_per_sample(&field, &TSIT5, &starts, &[1.5, 3.0], &options)?;
/// assert!((solution.values[6] - 3.0_f64.cos()).abs() < 1e-6);
/// assert!((solution.values[9] - 90.0_f64.cos()).abs() < 1e-4);
/// assert!(10 * solution.stats[0].accepted < solution.stats[1].accepted);
/// # Ok::<(), neuralode_core::SolveError>(())
/// ```
pub fn solve_per_sample<G, E, const N: usize, const L: usize, const S: usize>(
    engine: &HostEngine<G, E, N, L>,
    tableau: &'static ButcherTableau<S>,
    y0: &[E],
    times: &[f64],
    options: &SolveOptions,
) -> Result<PerSample<E>, SolveError>
where
    G: TileKernel<E, N, L>,
    E: Real,
{
    Ok(solve(engine, tableau.view(), y0, times, options, false)?.0)
}

/// [`solve_per_sample`], keeping every sample's accepted steps for [`KeptPerSample::pull_back`]: time, size, state and
/// stages of all attempts of `L` lanes.
///
/// # Errors
/// Those of [`solve_per_sample`].
pub fn solve_per_sample_keeping<G, E, const N: usize, const L: usize, const S: usize>(
    engine: &HostEngine<G, E, N, L>,
    tableau: &'static ButcherTableau<S>,
    y0: &[E],
    times: &[f64],
    options: &SolveOptions,
) -> Result<(PerSample<E>, KeptPerSample<E, N, L>), SolveError>
where
    G: TileKernel<E, N, L>,
    E: Real,
{
    keeping(engine, tableau.view(), y0, times, options)
}

fn keeping<G: TileKernel<E, N, L>, E: Real, const N: usize, const L: usize>(
    engine: &HostEngine<G, E, N, L>,
    tableau: TableauView,
    y0: &[E],
    times: &[f64],
    options: &SolveOptions,
) -> Result<(PerSample<E>, KeptPerSample<E, N, L>), SolveError> {
    let (solution, groups) = solve(engine, tableau, y0, times, options, true)?;
    let kept = KeptPerSample {
        tableau,
        options: options.clone(),
        times: times.to_vec(),
        samples: solution.stats.len(),
        accepted: solution.stats.iter().map(|stats| stats.accepted).collect(),
        groups,
    };
    Ok((solution, kept))
}

/// Pulls cotangents of all values back through a solve: [`KeptPerSample::pull_back`] with its engine.
pub type PullBackRows<E> = Box<dyn Fn(&[E]) -> Result<PulledPerSample<E>, SolveError>>;

/// A field in tiles without its type, as blocks solve it.
pub trait AnyPerSample<E> {
    /// [`solve_per_sample`] with the method of the options, and how to pull cotangents back where gradients are wanted.
    ///
    /// # Errors
    /// Those of [`solve_per_sample`].
    fn solve(
        self: Box<Self>,
        y0: &[E],
        times: &[f64],
        options: &SolveOptions,
        keep: bool,
    ) -> Result<(PerSample<E>, Option<PullBackRows<E>>), SolveError>;
}

impl<G, E, const N: usize, const L: usize> AnyPerSample<E> for HostEngine<G, E, N, L>
where
    G: TileVjp<E, N, L> + 'static,
    E: Real,
{
    fn solve(
        self: Box<Self>,
        y0: &[E],
        times: &[f64],
        options: &SolveOptions,
        keep: bool,
    ) -> Result<(PerSample<E>, Option<PullBackRows<E>>), SolveError> {
        let tableau = options.solver.view();
        if !keep {
            let (solution, _) = solve(&self, tableau, y0, times, options, false)?;
            return Ok((solution, None));
        }
        let (solution, kept) = keeping(&self, tableau, y0, times, options)?;
        let pull_back: PullBackRows<E> =
            Box::new(move |cotangents| kept.pull_back(&self, cotangents));
        Ok((solution, Some(pull_back)))
    }
}

/// The steps of a solve with step sizes for each sample.
pub struct KeptPerSample<E: Real, const N: usize, const L: usize> {
    tableau: TableauView,
    options: SolveOptions,
    times: Vec<f64>,
    samples: usize,
    /// Accepted steps of each sample.
    accepted: Vec<usize>,
    groups: Groups<E, N, L>,
}

impl<E: Real, const N: usize, const L: usize> fmt::Debug for KeptPerSample<E, N, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptPerSample")
            .field("samples", &self.samples)
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

/// The gradient of a solve with step sizes for each sample.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PulledPerSample<E> {
    /// `dL/dy0`, rows of features of all samples.
    pub y_bar: Vec<E>,
    /// `dL/dtheta`, summed over the samples.
    pub theta_bar: Vec<E>,
    /// What it cost, for each sample.
    pub stats: Vec<Stats>,
}

impl<E: Real, const N: usize, const L: usize> KeptPerSample<E, N, L> {
    /// Pulls `cotangents` of the solution's values, in their layout, back to `y0` and the parameters: the exact
    /// derivative of every sample's accepted steps, their sizes held fixed ([`crate::ode::adjoint::discrete`]).
    /// `engine` must hold the field of the solve.
    ///
    /// A sample's `y_bar` is that of a batch of one, bit for bit; `theta_bar` is a sum in an order that depends on the
    /// batch, and not on the number of threads.
    ///
    /// Costs one vector-Jacobian product per stage that takes part in the end state, for all attempts.
    ///
    /// # Errors
    /// [`SolveError::ShapeMismatch`] unless there is a cotangent for every value, [`SolveError::NonFinite`] for one
    /// that is not finite.
    pub fn pull_back<G: TileVjp<E, N, L>>(
        &self,
        engine: &HostEngine<G, E, N, L>,
        cotangents: &[E],
    ) -> Result<PulledPerSample<E>, SolveError> {
        self.check(cotangents)?;
        let sizes = cotangents.iter().map(|x| x.to_f64().abs());
        let Some(factor) = scale::to_one(sizes.fold(0.0, f64::max), E::EPSILON) else {
            return self.pull_back_near_one(engine, cotangents);
        };
        let times = |factor: f64, x: &[E]| -> Vec<E> {
            let factor = E::from_f64(factor);
            x.iter().map(|x| factor * *x).collect()
        };
        let pulled = self.pull_back_near_one(engine, &times(factor, cotangents))?;
        let y_bar = times(1.0 / factor, &pulled.y_bar);
        let theta_bar = times(1.0 / factor, &pulled.theta_bar);
        let lost = y_bar.iter().position(|x| !x.to_f64().is_finite());
        if lost.is_some() || theta_bar.iter().any(|x| !x.to_f64().is_finite()) {
            return Err(SolveError::NonFinite {
                quantity: Quantity::SolveGradient,
                t: self.options.t0,
                h: 0.0,
                sample: lost.map(|at| at / N.max(1)),
            });
        }
        Ok(PulledPerSample {
            y_bar,
            theta_bar,
            stats: pulled.stats,
        })
    }

    /// [`Self::pull_back`] of checked cotangents, none of which is so large or so small that its square overflows or
    /// vanishes.
    fn pull_back_near_one<G: TileVjp<E, N, L>>(
        &self,
        engine: &HostEngine<G, E, N, L>,
        cotangents: &[E],
    ) -> Result<PulledPerSample<E>, SolveError> {
        let field = &engine.kernels.field;
        let shape = (self.samples, self.times.len());
        let plan = PlanBack::new(
            self.tableau,
            (&self.options, field.has_kinks()),
            cotangents,
            shape,
        );
        let [products, dense_products] = plan.products();
        let mut y_bar = vec![E::default(); self.samples * N];
        let mut doubts = vec![Doubt::default(); self.samples];
        let mut attempts = 0;
        let mut rest = y_bar.as_mut_slice();
        let mut rest_of_doubts = doubts.as_mut_slice();
        let mut groups = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let (part, behind) = rest.split_at_mut(group.stats.len() * N);
            rest = behind;
            let (part_of_doubts, behind) = rest_of_doubts.split_at_mut(group.stats.len());
            rest_of_doubts = behind;
            let Some(record) = &group.record else {
                continue;
            };
            attempts += record.steps.len();
            let mut sums = pullback::Group::empty();
            let rows = back::scratch_rows::<N>(self.tableau.stages);
            sums.prepare(field, usize::MAX, rows);
            groups.push(GroupBack {
                first: group.first,
                record,
                y_bar: part,
                doubts: part_of_doubts,
                sums,
            });
        }
        let work = 3 * field.products() * attempts * L * products;
        let threads = parallel::threads(work, groups.len());
        back::run(engine.kernels.arch, field, &plan, &mut groups, threads);
        let mut theta_bar = vec![E::default(); field.parameters()];
        for group in &groups {
            group.sums.join(field, &mut theta_bar);
        }
        drop(groups);
        let dense_steps = self.groups.iter().flat_map(|group| &group.dense_steps);
        let counts = self.accepted.iter().zip(dense_steps);
        let mut stats: Vec<Stats> = counts
            .map(|(accepted, dense)| Stats {
                vjps: products * accepted + (dense_products - products) * dense,
                ..Stats::default()
            })
            .collect();
        let theta_finite = theta_bar.iter().all(|x| x.to_f64().is_finite());
        for (sample, (stats, doubt)) in stats.iter_mut().zip(&doubts).enumerate() {
            let row = &y_bar[sample * N..][..N];
            if !row.iter().all(|x| x.to_f64().is_finite())
                || (doubt.lost.is_some() && !theta_finite)
            {
                let (t, h) = doubt.lost.unwrap_or((self.options.t0, 0.0));
                return Err(SolveError::NonFinite {
                    quantity: Quantity::SolveGradient,
                    t,
                    h,
                    sample: Some(sample),
                });
            }
            stats.gradient_error = doubt.estimate.max(least(&self.options));
            if doubt.full {
                let work = self.full_estimate(engine, sample, cotangents, doubt.estimate)?;
                *stats += work;
                stats.gradient_error = work.gradient_error;
            }
            check_limit(stats.gradient_error, Some(sample), &self.options)?;
        }
        if !theta_finite {
            return Err(SolveError::NonFinite {
                quantity: Quantity::SolveGradient,
                t: self.options.t0,
                h: 0.0,
                sample: None,
            });
        }
        Ok(PulledPerSample {
            y_bar,
            theta_bar,
            stats,
        })
    }
}

impl<E: Real, const N: usize, const L: usize> KeptPerSample<E, N, L> {
    /// Whether there is a cotangent for every value, and whether all are finite.
    fn check(&self, cotangents: &[E]) -> Result<(), SolveError> {
        let expected = self.times.len() * self.samples * N;
        if cotangents.len() != expected {
            return Err(SolveError::ShapeMismatch {
                expected: vec![self.times.len(), self.samples, N],
                found: vec![cotangents.len()],
            });
        }
        if let Some(at) = cotangents.iter().position(|x| !x.to_f64().is_finite()) {
            let row = at / N.max(1);
            return Err(SolveError::NonFinite {
                quantity: Quantity::Cotangent,
                t: self.times[row / self.samples],
                h: 0.0,
                sample: Some(row % self.samples),
            });
        }
        Ok(())
    }

    /// The error of a sample's gradient, estimated in full over its steps alone, and the work that it took.
    fn full_estimate<G: TileVjp<E, N, L>>(
        &self,
        engine: &HostEngine<G, E, N, L>,
        sample: usize,
        cotangents: &[E],
        quick: f64,
    ) -> Result<Stats, SolveError> {
        let tableau = &self.tableau;
        let group = self.groups.iter().rfind(|group| group.first <= sample);
        let record = group.and_then(|group| Some((group.first, group.record.as_ref()?)));
        let Some((first, record)) = record else {
            return Ok(Stats::default());
        };
        let Some((lane, attempts)) = record.attempts_of(sample - first) else {
            return Ok(Stats::default());
        };
        let alone = |tile: &Tile<E, N, L>| {
            let row: [E; N] = core::array::from_fn(|n| tile[n][lane]);
            Tiles::<E, L>::from_rows(&[row])
        };
        let mut given = Vec::with_capacity(self.times.len());
        for (index, t) in self.times.iter().enumerate() {
            let row = &cotangents[(index * self.samples + sample) * N..][..N];
            let value = Tiles::from_flat(N, row)?.with_empty_padding();
            given.push(Cotangent { t: *t, value });
        }
        let norms = given
            .iter()
            .map(|given| Ok((given.t, given.value.norm()?)))
            .collect::<Result<Vec<_>, SolveError>>()?;
        let steps: Vec<(f64, f64)> = attempts
            .clone()
            .map(|index| record.steps[index].map(|lanes| lanes[lane]))
            .map(|[t, h]| (t, h))
            .filter(|(_, h)| *h != 0.0)
            .collect();
        let Some(y0) = attempts
            .filter(|index| record.steps[*index][1][lane] != 0.0)
            .find_map(|index| record.attempt(index).first())
            .map(alone)
        else {
            return Ok(Stats::default());
        };
        let mut field = Alone {
            engine,
            groups: Vec::new(),
        };
        // The sample's share of the parameters' gradient is in a sum with the others'.
        let own = Gradient::over(&mut field, tableau, &y0, &steps, &given)?;
        let mut stats = full(
            &mut field,
            tableau,
            (&y0, &steps),
            (&given, together(&norms)),
            ((&own.y_bar, &own.theta_bar), quick),
        )?;
        stats.field_calls += own.field_calls;
        stats.vjps += own.vjps;
        Ok(stats)
    }
}

/// The field of an engine for one sample.
struct Alone<'e, G, E: Real, const N: usize, const L: usize> {
    engine: &'e HostEngine<G, E, N, L>,
    groups: Vec<pullback::Group<E, L>>,
}

impl<G: TileVjp<E, N, L>, E: Real, const N: usize, const L: usize> VectorField
    for Alone<'_, G, E, N, L>
{
    type State = Tiles<E, L>;

    const GUIDED: bool = false;

    fn eval(&mut self, t: f64, y: &Self::State, dy: &mut Self::State) -> Result<(), SolveError> {
        let mut scratch = [vec![
            Row::default();
            N + self.engine.kernels.field.scratch()
        ]];
        let (y, dy) = (y.rows().as_chunks().0, dy.rows_mut().as_chunks_mut().0);
        forward::eval(
            self.engine.kernels.arch,
            &self.engine.kernels.field,
            t,
            (y, dy),
            &mut scratch,
        );
        Ok(())
    }
}

impl<G: TileVjp<E, N, L>, E: Real, const N: usize, const L: usize> Differentiable
    for Alone<'_, G, E, N, L>
{
    type Params = Params<E>;

    fn zero_params(&mut self) -> Result<Params<E>, SolveError> {
        Ok(Params(vec![
            E::default();
            self.engine.kernels.field.parameters()
        ]))
    }

    fn vjp(
        &mut self,
        t: f64,
        y: &Self::State,
        cotangent: &Self::State,
        y_bar: &mut Self::State,
        theta_bar: &mut Params<E>,
    ) -> Result<(), SolveError> {
        pullback::vjp(
            self.engine.kernels.arch,
            &self.engine.kernels.field,
            t,
            (y.rows().as_chunks().0, cotangent.rows().as_chunks().0),
            y_bar.rows_mut().as_chunks_mut().0,
            &mut theta_bar.0,
            &mut self.groups,
        );
        Ok(())
    }
}

/// The groups of a solve, with their records.
type Groups<E, const N: usize, const L: usize> = Vec<Group<E, N, L>>;

fn solve<G: TileKernel<E, N, L>, E: Real, const N: usize, const L: usize>(
    engine: &HostEngine<G, E, N, L>,
    tableau: TableauView,
    y0: &[E],
    times: &[f64],
    options: &SolveOptions,
    keeps: bool,
) -> Result<(PerSample<E>, Groups<E, N, L>), SolveError> {
    options.validate_times(times.iter().copied())?;
    options.validate_with(E::EPSILON, tableau.name, tableau.adaptive)?;
    if !(options.step_at.is_empty() && options.jump_at.is_empty()) {
        return Err(SolveError::SharedStepsOnly {
            what: "a solve with stops (step_at, jump_at)",
        });
    }
    if options.control != Control::Solution {
        return Err(SolveError::SolutionControlOnly {
            what: "a solve with step sizes for each sample in lanes",
        });
    }
    if y0.is_empty() || N == 0 {
        return Err(SolveError::EmptyBatch { shape: vec![0, N] });
    }
    let samples = y0.len() / N;
    if y0.len() != samples * N {
        return Err(SolveError::ShapeMismatch {
            expected: vec![samples, N],
            found: vec![y0.len()],
        });
    }
    let plan = Plan::new(tableau, y0, times, options);
    let size = group_size(samples, L);
    let mut groups: Vec<_> = (0..samples)
        .step_by(size)
        .map(|first| {
            let part = (first, size.min(samples - first));
            Group::new(&plan, part, engine.kernels.field.scratch(), keeps)
        })
        .collect();
    let stock = Stock::<Tile<E, N, L>>::of_thread();
    // How many steps there will be is not known.
    let work = STEPS * tableau.evaluations * samples * engine.kernels.field.products();
    let threads = parallel::threads(work, groups.len());
    run(
        engine.kernels.arch,
        &engine.kernels.field,
        &plan,
        &stock,
        &mut groups,
        threads,
    );
    drop(stock);
    for group in &mut groups {
        if let Some((_, error)) = group.failed.take() {
            return Err(error);
        }
    }
    let mut values = Vec::with_capacity(times.len() * y0.len());
    for time in 0..times.len() {
        for group in &groups {
            for sample in group.values.chunks_exact(times.len() * N) {
                values.extend_from_slice(&sample[time * N..][..N]);
            }
        }
    }
    let stats = groups.iter().flat_map(|group| group.stats.iter().copied());
    let solution = PerSample {
        values,
        stats: stats.collect(),
    };
    Ok((solution, groups))
}

/// Steps that are expected of a sample where threads are considered.
const STEPS: usize = 16;
