//! The reverse solve: `lambda` back from the last saved point, with what an adjoint carries along.
//!
//! From each saved time to the one before it, with the method, controller and tolerances of the forward solve,
//!
//! ```text
//! dlambda/dt = -(df/dy)^T lambda
//! dmu/dt     = -(df/dtheta)^T lambda     where the state has a `mu`
//! dy/dt      = f(t, y)                   where the state has a `y`; elsewhere y(t) is the dense output
//! ```
//!
//! At every saved time `lambda` jumps by the cotangent saved there, and the solve starts anew. Parts that are
//! absent cost nothing and are not in the error norm. All continuous adjoints are this one solve, compiled once per
//! state, with what differs behind [`Along`].

use crate::{
    error::SolveError,
    options::SolveOptions,
    solve::solve_observed,
    state::{Augmented, State},
    stats::Stats,
    step::Step,
    tableau::ButcherTableau,
    trajectory::Trajectory,
    vector_field::{Differentiable, VectorField},
};

use super::{add_values, Cotangent};

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
    pub(super) stats: Stats,
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
            stats: Stats::default(),
        })
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

    fn eval(&mut self, t: f64, at: &At<F>, d: &mut At<F>) -> Result<(), SolveError> {
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
    fn saved(&mut self, _index: usize, _at: &mut At<F>) {}
}

/// Nothing.
impl<F: Differentiable, const S: usize> Along<F, S> for () {}

/// Solves from the last of `cotangents` back to `options.t0`, from `at`, whose `lambda` is that cotangent's value,
/// and returns the state there.
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
    // Behind the last saved point, `lambda` is zero and nothing has gathered.
    segment.t0 = last.t;
    along.saved(earlier.len(), &mut at);
    let stops = earlier.iter().enumerate().rev();
    let stops = stops.map(|(index, saved)| (saved.t, Some((index, saved))));
    for (t, saved) in stops.chain([(options.t0, None)]) {
        segment.t1 = t;
        let solution = solve_observed(reverse, tableau, at, &segment, |reverse, step| {
            along.step(reverse, step)
        })?;
        reverse.stats.accepted += solution.accepted;
        reverse.stats.rejected += solution.rejected;
        along.interval(reverse, segment.t0, t)?;
        at = solution.y;
        if let Some((index, saved)) = saved {
            add_values(core::slice::from_ref(saved), &mut at.lambda)?;
            along.saved(index, &mut at);
        }
        segment.t0 = t;
    }
    Ok(at)
}
