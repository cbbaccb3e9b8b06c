//! Step sizes that suit the solution's derivative too
//! ([`Control::Gradients`](crate::ode::choices::Control::Gradients)): a solution beside the solution.
//!
//! Where the solution does not show how fast its derivative moves, a neighbour of it does. The solve takes one along: a
//! tangent `v` in a random direction, kept at unit size, with
//!
//! ```text
//! dv/dt = (f(t, y + delta v) - f(t, y)) / delta,    delta = eps^(1/3) (rms(y) + atol / rtol)
//! ```
//!
//! where `eps` is the machine epsilon of the state. A step is accepted if the error of `v` is at most `rtol` of its
//! size as well. Directions in which the field decays fast soon leave the tangent, and are just those in which a step
//! can be too long, so that after every step a tenth of it is drawn anew. So a step whose derivative is wrong has a
//! tangent whose error is large. The neighbour is a difference of two solutions rather than a product with the
//! Jacobian, so that every field has one: kernels, dfdx's operations and closures, by hand or not.
//!
//! # Cost
//! One evaluation more per stage, one more per step, and the states of another solution. The steps are at most as long
//! as they would be.

use core::ops::ControlFlow;

use crate::ode::{
    error::SolveError,
    field::VectorField,
    method::ButcherTableau,
    options::{SolveOptions, Tolerances},
    solve::{run_loop, Halt, Observer, Run, Solved, StepInfo},
    state::{larger, State},
    step::{weighted, Attempt, Step},
};

/// A solution and its tangent.
#[derive(Clone, Debug)]
pub(crate) struct Guided<Y> {
    y: Y,
    tangent: Y,
}

impl<Y: State> Guided<Y> {
    fn map(&self, of: impl Fn(&Y) -> Y) -> Self {
        Self {
            y: of(&self.y),
            tangent: of(&self.tangent),
        }
    }
}

/// The mean square of a tangent's error, beside `rtol` of its size.
fn tangent_square<Y: State>(
    error: &Y,
    tangent: &Y,
    tangent1: &Y,
    tolerances: &Tolerances,
) -> Result<f64, SolveError> {
    let size = f64::max(tangent.root_mean_square()?, tangent1.root_mean_square()?);
    let scaled = error.root_mean_square()? / (tolerances.rtol * size).max(f64::MIN_POSITIVE);
    Ok(scaled * scaled)
}

impl<Y: State> State for Guided<Y> {
    fn unset(&self) -> Self {
        self.map(Y::unset)
    }

    fn nothing(&self) -> Self {
        self.map(Y::nothing)
    }

    fn len(&self) -> usize {
        self.y.len() + self.tangent.len()
    }

    fn samples(&self) -> usize {
        self.y.samples()
    }

    fn bytes(&self) -> usize {
        self.y.bytes() + self.tangent.bytes()
    }

    fn epsilon(&self) -> f64 {
        self.y.epsilon()
    }

    fn combine_into<'a>(
        &self,
        terms: impl Iterator<Item = (f64, &'a Self)> + Clone,
        out: &mut Self,
    ) -> Result<(), SolveError>
    where
        Self: 'a,
    {
        let solutions = terms.clone().map(|(c, x)| (c, &x.y));
        self.y.combine_into(solutions, &mut out.y)?;
        let tangents = terms.map(|(c, x)| (c, &x.tangent));
        self.tangent.combine_into(tangents, &mut out.tangent)
    }

    fn zeros_like(&self) -> Result<Self, SolveError> {
        Ok(Self {
            y: self.y.zeros_like()?,
            tangent: self.tangent.zeros_like()?,
        })
    }

    fn scaled_square_sum(
        error: &Self,
        y0: &Self,
        y1: &Self,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        #[allow(clippy::cast_precision_loss, reason = "no state has 2^53 scalars")]
        let count = error.len() as f64;
        Ok(count * Self::scaled_mean_square(error, y0, y1, tolerances)?)
    }

    /// The larger one of both parts' means; not finite if one of them is not.
    fn scaled_mean_square(
        error: &Self,
        y0: &Self,
        y1: &Self,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        let square = Y::scaled_mean_square(&error.y, &y0.y, &y1.y, tolerances)?;
        let tangents = (&error.tangent, &y0.tangent, &y1.tangent);
        let of_tangent = tangent_square(tangents.0, tangents.1, tangents.2, tolerances)?;
        Ok(larger(square, of_tangent))
    }

    fn worst_sample(error: &Self, y0: &Self, y1: &Self, tolerances: &Tolerances) -> Option<usize> {
        Y::worst_sample(&error.y, &y0.y, &y1.y, tolerances)
    }
}

/// A field with a neighbour of its solution.
pub(crate) struct GuidedField<'f, F: VectorField> {
    field: &'f mut F,
    /// `y + delta v`, and the arguments of a stage.
    neighbour: F::State,
    argument: F::State,
    tangent: F::State,
    zero: F::State,
    /// `atol / rtol`.
    small: f64,
}

impl<'f, F: VectorField> GuidedField<'f, F> {
    /// For solves of states like `y`.
    fn new(field: &'f mut F, y: &F::State, tolerances: &Tolerances) -> Result<Self, SolveError> {
        let zero = y.zeros_like()?;
        Ok(Self {
            field,
            neighbour: zero.clone(),
            argument: zero.clone(),
            tangent: zero.clone(),
            zero,
            small: tolerances.atol / tolerances.rtol,
        })
    }

    /// How far the neighbour is from the solution, for a tangent of unit size.
    fn distance(&self, y: &F::State) -> Result<f64, SolveError> {
        Ok(y.epsilon().cbrt() * (y.root_mean_square()? + self.small))
    }
}

/// Writes the derivative of the tangent into `rate`, given `f(t, y)`.
fn tangent_rate<F: VectorField>(
    field: &mut F,
    t: f64,
    (y, dy): (&F::State, &F::State),
    (tangent, delta): (&F::State, f64),
    neighbour: &mut F::State,
    (zero, rate): (&F::State, &mut F::State),
) -> Result<(), SolveError> {
    y.combine_into([(delta, tangent)].into_iter(), neighbour)?;
    let mut there = rate.unset();
    field.eval(t, neighbour, &mut there)?;
    let terms = [(1.0 / delta, &there), (-1.0 / delta, dy)];
    zero.combine_into(terms.into_iter(), rate)
}

impl<F: VectorField> VectorField for GuidedField<'_, F> {
    type State = Guided<F::State>;

    fn eval(
        &mut self,
        t: f64,
        at: &Guided<F::State>,
        d: &mut Guided<F::State>,
    ) -> Result<(), SolveError> {
        let delta = self.distance(&at.y)?;
        self.field.eval(t, &at.y, &mut d.y)?;
        tangent_rate(
            self.field,
            t,
            (&at.y, &d.y),
            (&at.tangent, delta),
            &mut self.neighbour,
            (&self.zero, &mut d.tangent),
        )
    }

    /// The field makes the step of the solution, as it does without a tangent: the same bits. Then come the tangent's
    /// stages.
    fn attempt<const S: usize>(
        &mut self,
        tableau: &ButcherTableau<S>,
        step: &mut Attempt<Guided<F::State>, S>,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        let (t, h) = (step.t, step.h);
        let mut of_solution = Attempt::of_parts(
            (t, h),
            taken(&mut step.y.y),
            taken(&mut step.y1.y),
            step.k.each_mut().map(|stage| taken(&mut stage.y)),
        );
        let square = self.field.attempt(tableau, &mut of_solution, tolerances);
        step.y.y = of_solution.y;
        step.y1.y = of_solution.y1;
        for (stage, made) in step.k.iter_mut().zip(of_solution.k) {
            stage.y = made;
        }
        let square = square?;
        let delta = self.distance(&step.y.y)?;
        for i in (1..S).filter(|i| tableau.has_stage(*i)) {
            let (done, rest) = step.k.split_at_mut(i);
            let Some(stage) = rest.first_mut() else {
                break;
            };
            let terms = weighted(h, &tableau.a[i], done);
            let tangents = terms.clone().map(|(c, k)| (c, &k.tangent));
            let (y, tangent) = if i + 1 == S {
                (&step.y1.y, &mut step.y1.tangent)
            } else {
                let solutions = terms.map(|(c, k)| (c, &k.y));
                step.y.y.combine_into(solutions, &mut self.argument)?;
                (&self.argument, &mut self.tangent)
            };
            step.y.tangent.combine_into(tangents, tangent)?;
            tangent_rate(
                self.field,
                h.mul_add(tableau.c[i], t),
                (y, &stage.y),
                (tangent, delta),
                &mut self.neighbour,
                (&self.zero, &mut stage.tangent),
            )?;
        }
        let errors = weighted(h, &tableau.b_err, &step.k).map(|(c, k)| (c, &k.tangent));
        self.zero.combine_into(errors, &mut self.argument)?;
        let ends = (&step.y.tangent, &step.y1.tangent);
        let of_tangent = tangent_square(&self.argument, ends.0, ends.1, tolerances)?;
        Ok(larger(square, of_tangent))
    }
}

/// The state by value, leaving next to nothing.
fn taken<Y: State>(y: &mut Y) -> Y {
    let nothing = y.nothing();
    core::mem::replace(y, nothing)
}

/// The part of the tangent that is drawn anew after every step.
const FRESH: f64 = 0.1;

/// Shows the solution's part of every step, and keeps the tangent alive.
struct SolutionOnly<'o, O> {
    observer: &'o mut O,
    seed: u64,
    /// Steps so far.
    steps: u64,
}

impl<F, O, const S: usize> Observer<GuidedField<'_, F>, S> for SolutionOnly<'_, O>
where
    F: VectorField,
    O: Observer<F, S>,
{
    fn accepted(
        &mut self,
        field: &mut GuidedField<'_, F>,
        step: Step<&mut Guided<F::State>, &mut [Guided<F::State>; S]>,
        (t, y1): (f64, &Guided<F::State>),
    ) -> Result<ControlFlow<()>, Halt> {
        let mut stages = step.stages.each_mut().map(|stage| taken(&mut stage.y));
        let of_solution = Step {
            t: step.t,
            h: step.h,
            y: &mut step.y.y,
            stages: &mut stages,
        };
        let seen = self.observer.accepted(field.field, of_solution, (t, &y1.y));
        for (stage, left) in step.stages.iter_mut().zip(stages) {
            stage.y = left;
        }
        seen
    }

    fn attempted(&mut self, info: &StepInfo) -> ControlFlow<()> {
        self.observer.attempted(info)
    }

    /// The tangent gets its unit size back, and a part in every direction.
    fn go_on(
        &mut self,
        field: &mut GuidedField<'_, F>,
        t: f64,
        y: &mut Guided<F::State>,
        dy: &mut Guided<F::State>,
    ) -> Result<(), SolveError> {
        self.steps = self.steps.wrapping_add(1);
        let size = y.tangent.root_mean_square()?;
        if !(size.is_finite() && size > 0.0) {
            return Ok(());
        }
        let fresh = y.tangent.signs(self.seed.wrapping_add(self.steps))?;
        let old = core::mem::replace(&mut y.tangent, field.zero.clone());
        let terms = [(1.0 / size, &old), (FRESH, &fresh)];
        field.zero.combine_into(terms.into_iter(), &mut y.tangent)?;
        let delta = field.distance(&y.y)?;
        tangent_rate(
            field.field,
            t,
            (&y.y, &dy.y),
            (&y.tangent, delta),
            &mut field.neighbour,
            (&field.zero, &mut dy.tangent),
        )
    }
}

/// The loop with a tangent beside the solution.
pub(crate) fn run<F: VectorField, O: Observer<F, S>, const S: usize>(
    field: &mut F,
    tableau: &'static ButcherTableau<S>,
    y0: F::State,
    (options, seed): (&SolveOptions, u64),
    observer: &mut O,
) -> Run<F::State> {
    let tolerances = options.tolerances();
    let tangent = y0.signs(seed);
    let guided = GuidedField::new(field, &y0, &tolerances);
    let (tangent, mut guided) = match (tangent, guided) {
        (Ok(tangent), Ok(guided)) => (tangent, guided),
        (Err(error), _) | (_, Err(error)) => return Run::unstarted(options.t0, y0, Err(error)),
    };
    let start = Guided { y: y0, tangent };
    let mut observer = SolutionOnly {
        observer,
        seed,
        steps: 0,
    };
    let run = run_loop(&mut guided, tableau, start, options, &mut observer);
    Run {
        t: run.t,
        solved: Solved {
            y: run.solved.y.y,
            // One for the solution and one for its neighbour, and a neighbour more after every step.
            field_calls: 2 * run.solved.field_calls + run.solved.accepted,
            accepted: run.solved.accepted,
            rejected: run.solved.rejected,
        },
        finish: run.finish,
    }
}
