//! The reverse solve: `lambda` back from the last saved point, with what an adjoint carries along.
//!
//! From each saved time to the one before it, with the method, the controller and the relative tolerance of the forward
//! solve,
//!
//! ```text
//! dlambda/dt = -(df/dy)^T lambda
//! dmu/dt     = -(df/dtheta)^T lambda     where the state has a `mu`
//! dy/dt      = f(t, y)                   where the state has a `y`; elsewhere y(t) is the dense output
//! ```
//!
//! At every saved time `lambda` jumps by the cotangent saved there, and the solve starts anew. Parts that are
//! absent cost nothing and are not in the error norm. All continuous adjoints are this one solve, compiled once per
//! state, with what differs in [`Along`].
//!
//! # Tolerances
//! These equations are linear in the cotangent: a loss times a constant has gradients times that constant. So the steps
//! must not depend on the loss's size, as they would with the `atol` of `y`, which is in other units. The error of a
//! step is measured beside `rtol (s + |lambda|)`, where `s` is the root mean square of `lambda` at the saved time where
//! the interval begins, after its jump. For `mu` it is the larger one of its own root mean square there and that of its
//! derivative times the interval's length. The relative tolerance is the forward solve's: a gradient need not be more
//! exact than the solution along which it is taken.

use core::ops::ControlFlow;

use crate::ode::{
    error::SolveError,
    field::{
        back::{add_values, Cotangent},
        Differentiable, VectorField,
    },
    method::ButcherTableau,
    options::SolveOptions,
    solve::{run, Halt, Observer, StepInfo},
    state::{larger, Augmented, Sizes, State},
    stats::Stats,
    step::Step,
    trajectory::Trajectory,
};

/// Errors of one tolerance in every step that grow by more than this together are worth a second look.
/// `docs/numerics.md` has counts.
const AMPLIFIED: f64 = 0.008;

/// The state of a reverse solve of `F`.
pub(super) type At<F> = Augmented<<F as VectorField>::State, <F as Differentiable>::Params>;

/// The reverse equations as a vector field, and what their solves cost.
pub(super) struct Reverse<'a, F: Differentiable, const S: usize> {
    field: &'a mut F,
    forward: Option<&'a Trajectory<F::State, S>>,
    y: F::State,
    scratch: F::State,
    zero: F::State,
    /// Takes the parameters' product where the state does not.
    theta_bar: F::Params,
    /// The derivative at the start of an interval, and that time, where the solve has yet to ask for it.
    first: Option<(f64, At<F>)>,
    pub(super) stats: Stats,
    growth: Growth,
}

impl<'a, F: Differentiable, const S: usize> Reverse<'a, F, S> {
    /// The equations over the dense output of `forward`, or over the state's own `y`; `like` has the shape of `y`.
    pub(super) fn new(
        field: &'a mut F,
        forward: Option<&'a Trajectory<F::State, S>>,
        like: &F::State,
    ) -> Result<Self, SolveError> {
        let zero = like.zeros_like()?;
        Ok(Self {
            theta_bar: field.zero_params()?,
            field,
            forward,
            y: zero.clone(),
            scratch: zero.clone(),
            zero,
            first: None,
            stats: Stats::default(),
            growth: Growth::default(),
        })
    }

    /// The ends of forward steps strictly between two times; see [`Trajectory::knots_between`].
    pub(super) fn knots(&self, a: f64, b: f64) -> (usize, f64) {
        let forward = self.forward.filter(|forward| !forward.steps().is_empty());
        forward.map_or((0, a), |forward| forward.knots_between(a, b))
    }

    /// Sets the sizes beside which errors are measured in an interval that begins at `t` and is so long.
    fn set_sizes(&mut self, t: f64, length: f64, at: &mut At<F>) -> Result<(), SolveError> {
        at.sizes.lambda = at.lambda.root_mean_square()?;
        if at.mu.is_none() {
            if let Some(forward) = self.forward {
                forward.look_up(t, &mut self.y)?;
                self.growth.begin(&at.lambda, &self.y)?;
            }
            return Ok(());
        }
        let mut derivative = at.clone();
        self.eval(t, at, &mut derivative)?;
        // The dense output was looked up at `t` for the derivative.
        self.growth
            .begin(&at.lambda, at.y.as_ref().unwrap_or(&self.y))?;
        if let (Some(mu), Some(rate)) = (&at.mu, &derivative.mu) {
            let change = length.abs() * rate.root_mean_square()?;
            let size = mu.root_mean_square()?.max(change);
            // A rate of zero tells nothing.
            at.sizes.mu = if size > 0.0 { size } else { at.sizes.lambda };
        }
        self.first = Some((t, derivative));
        Ok(())
    }

    /// Whether an error of the solution may have grown so much that the gradient is one of another solution.
    pub(super) fn amplifies(&self, options: &SolveOptions) -> bool {
        let error = options.rtol * self.growth.sum;
        options.is_adaptive() && (error > AMPLIFIED || error.is_nan())
    }

    /// `(df/dtheta)^T lambda` at `t` and the dense output there: one product.
    pub(super) fn gather(&mut self, t: f64, lambda: &F::State) -> Result<&F::Params, SolveError> {
        if let Some(forward) = self.forward {
            forward.look_up(t, &mut self.y)?;
        }
        self.stats.vjps += 1;
        self.field
            .vjp(t, &self.y, lambda, &mut self.scratch, &mut self.theta_bar)?;
        Ok(&self.theta_bar)
    }
}

impl<F: Differentiable, const S: usize> VectorField for Reverse<'_, F, S> {
    type State = At<F>;

    /// Its state is a cotangent, whose own error chooses the steps.
    const GUIDED: bool = false;

    fn eval(&mut self, t: f64, at: &At<F>, d: &mut At<F>) -> Result<(), SolveError> {
        #[allow(clippy::float_cmp, reason = "the time at which it was computed")]
        if let Some((_, first)) = self.first.take().filter(|(at, _)| *at == t) {
            *d = first;
            return Ok(());
        }
        let y = match (&at.y, self.forward) {
            (Some(y), _) => y,
            (None, Some(forward)) => {
                forward.look_up(t, &mut self.y)?;
                &self.y
            }
            (None, None) => &self.y,
        };
        self.zero
            .combine_into([(-1.0, &at.lambda)].into_iter(), &mut self.scratch)?;
        let mu = d.mu.as_mut().unwrap_or(&mut self.theta_bar);
        self.field.vjp(t, y, &self.scratch, &mut d.lambda, mu)?;
        self.stats.vjps += 1;
        if let Some(dy) = &mut d.y {
            self.field.eval(t, y, dy)?;
            self.stats.field_calls += 1;
        }
        Ok(())
    }
}

/// What an adjoint does along a reverse solve, beside it.
pub(super) trait Along<F: Differentiable, const S: usize> {
    /// After every accepted step, whose parts it may take.
    fn step(
        &mut self,
        _reverse: &mut Reverse<'_, F, S>,
        _step: Step<&mut At<F>, &mut [At<F>; S]>,
    ) -> Result<(), SolveError> {
        Ok(())
    }

    /// After the steps from one saved time to the one before it.
    fn interval(
        &mut self,
        _reverse: &mut Reverse<'_, F, S>,
        _from: f64,
        _to: f64,
    ) -> Result<(), SolveError> {
        Ok(())
    }

    /// At the saved time of the cotangent `index`, before the solve goes on from `at`.
    fn saved(&mut self, _index: usize, _at: &mut At<F>) -> Result<(), SolveError> {
        Ok(())
    }
}

/// Nothing.
impl<F: Differentiable, const S: usize> Along<F, S> for () {}

/// How much an error of the solution grows until the cotangents see it, from the product of the sizes of `lambda` and
/// `y`: a relative error at a time counts as much as that product there, and the solve goes back in time.
#[derive(Clone, Debug)]
struct Growth {
    /// The product of every sample at the step before, or at the start of the interval.
    last: Vec<f64>,
    /// Their growth since they were smallest.
    now: Vec<f64>,
    /// The sum over all steps of the largest growth of a sample, less one.
    sum: f64,
    norms: [Vec<f64>; 2],
}

impl Default for Growth {
    fn default() -> Self {
        Self {
            last: Vec::new(),
            now: Vec::new(),
            sum: 0.0,
            norms: [Vec::new(), Vec::new()],
        }
    }
}

impl Growth {
    /// An interval begins, with another `lambda` than the one before ended with.
    fn begin<Y: State>(&mut self, lambda: &Y, y: &Y) -> Result<(), SolveError> {
        let [of_lambda, of_y] = &mut self.norms;
        lambda.sample_norms(of_lambda)?;
        y.sample_norms(of_y)?;
        self.last.clear();
        self.last
            .extend(of_lambda.iter().zip(of_y).map(|(lambda, y)| lambda * *y));
        self.now.resize(self.last.len(), 1.0);
        Ok(())
    }

    /// A step ends.
    fn step<Y: State>(&mut self, lambda: &Y, y: &Y) -> Result<(), SolveError> {
        let [of_lambda, of_y] = &mut self.norms;
        lambda.sample_norms(of_lambda)?;
        y.sample_norms(of_y)?;
        let products = of_lambda.iter().zip(of_y).map(|(lambda, y)| lambda * *y);
        let mut most = 1.0;
        for ((product, last), now) in products.zip(&mut self.last).zip(&mut self.now) {
            if *last > 0.0 {
                *now = (*now * (product / *last)).max(1.0);
                most = larger(*now, most);
            }
            *last = product;
        }
        self.sum += most - 1.0;
        Ok(())
    }
}

/// Shows accepted steps to an adjoint, and adds up their errors.
struct Watch<'w, F: Differentiable, const S: usize> {
    along: &'w mut dyn Along<F, S>,
    /// Sum of the scaled errors of the accepted steps.
    errors: f64,
}

impl<F: Differentiable, const S: usize> Observer<Reverse<'_, F, S>, S> for Watch<'_, F, S> {
    fn accepted(
        &mut self,
        reverse: &mut Reverse<'_, F, S>,
        step: Step<&mut At<F>, &mut [At<F>; S]>,
        (_, end): (f64, &At<F>),
    ) -> Result<ControlFlow<()>, Halt> {
        // The last stage was at the end of the step, and so is the dense output that was looked up last.
        let y = end.y.as_ref().unwrap_or(&reverse.y);
        let grown = reverse.growth.step(&end.lambda, y);
        grown.map_err(Halt::After)?;
        let seen = self.along.step(reverse, step);
        seen.map(ControlFlow::Continue).map_err(Halt::After)
    }

    fn attempted(&mut self, info: &StepInfo) -> ControlFlow<()> {
        if info.accepted {
            self.errors += info.error;
        }
        ControlFlow::Continue(())
    }
}

/// The start of a reverse solve at the last saved time; sizes are set when it begins.
pub(super) fn start<Y, P>(lambda: Y, mu: Option<P>) -> Augmented<Y, P> {
    Augmented {
        lambda,
        mu,
        y: None,
        sizes: Sizes {
            lambda: 0.0,
            mu: 0.0,
        },
    }
}

/// Solves from the last of `cotangents` back to `options.t0`, from `at`, whose `lambda` is that cotangent's value,
/// and returns the state there. The statistics of `reverse` get the errors of all steps, relative to the cotangents, as
/// the gradient's error.
pub(super) fn solve_back<F: Differentiable, const S: usize>(
    reverse: &mut Reverse<'_, F, S>,
    tableau: &'static ButcherTableau<S>,
    mut at: At<F>,
    cotangents: &[Cotangent<F::State>],
    options: &SolveOptions,
    along: &mut dyn Along<F, S>,
) -> Result<At<F>, SolveError> {
    let Some((last, earlier)) = cotangents.split_last() else {
        return Err(SolveError::NoTimes);
    };
    let mut segment = options.clone();
    // A first step chosen for the forward solve says nothing about the backward ones.
    segment.dt0 = None;
    // After the last saved point `lambda` is zero and nothing has gathered.
    segment.t0 = last.t;
    along.saved(earlier.len(), &mut at)?;
    let stops = earlier.iter().enumerate().rev();
    let stops = stops.map(|(index, saved)| (saved.t, Some((index, saved))));
    for (t, saved) in stops.chain([(options.t0, None)]) {
        segment.t1 = t;
        let length = segment.t1 - segment.t0;
        if length != 0.0 {
            reverse.set_sizes(segment.t0, length, &mut at)?;
        }
        let mut watch = Watch {
            along: &mut *along,
            errors: 0.0,
        };
        let run = run(reverse, tableau, at, &segment, &mut watch);
        // An error of 1 is `rtol` of the sum of two numbers of the cotangent's size.
        let errors = 2.0 * options.rtol * watch.errors;
        let _ = run.finish?;
        reverse.first = None;
        reverse.stats.gradient_error += errors;
        reverse.stats.accepted += run.solved.accepted;
        reverse.stats.rejected += run.solved.rejected;
        along.interval(reverse, segment.t0, t)?;
        at = run.solved.y;
        if let Some((index, saved)) = saved {
            add_values(core::slice::from_ref(saved), &mut at.lambda)?;
            along.saved(index, &mut at)?;
        }
        segment.t0 = t;
    }
    if !tableau.adaptive() {
        // Its steps tell no error.
        reverse.stats.gradient_error = f64::NAN;
    }
    Ok(at)
}
