//! How a solve is done: span, method, tolerances, control, adjoint.

use std::borrow::Cow;

use crate::ode::{
    choices::{Adjoint, Backend, Control, Controller, GradientCheck, Solver, StepSizes},
    error::SolveError,
    resolution::{smallest_given, within},
};

/// The allowed error per step: `atol + rtol * max(|y0|, |y1|)` for each scalar, in the root mean square.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerances {
    /// Relative tolerance, dimensionless.
    pub rtol: f64,
    /// Absolute tolerance, in units of `y`.
    pub atol: f64,
}

/// Everything about a solve but the field and the initial state.
///
/// The fields are public: change one on a built model (`model.ode.options.rtol = 1e-6`) and the next
/// call uses it. Each has a method `with_...` as well, for options that are made in one expression. What a block
/// returns is no option: `NeuralOde::try_forward_at` returns other times than `t1`.
///
/// # Examples
/// ```
/// use neuralode_core::{Adjoint, Controller, SolveOptions, Solver};
///
/// let options = SolveOptions::default()
///     .with_span(0.0, 10.0)
///     .with_solver(Solver::Dopri8)
///     .with_tolerances(1e-9, 1e-12)
///     .with_controller(Controller::PI)
///     .with_adjoint(Adjoint::Checkpointed { bytes: 1 << 20 });
/// assert_eq!((options.t1, options.rtol), (10.0, 1e-9));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SolveOptions {
    /// Start of the span.
    pub t0: f64,
    /// End of the span; before `t0` the solve runs backwards in time, at `t0` it is the identity.
    pub t1: f64,
    /// The method.
    pub solver: Solver,
    /// Relative tolerance, dimensionless; below 1 and at least four times the state's machine epsilon.
    pub rtol: f64,
    /// Absolute tolerance in units of `y`; positive.
    pub atol: f64,
    /// Step size control.
    pub controller: Controller,
    /// Whose error that control sees: the solution's, or a tangent's as well.
    pub control: Control,
    /// One step size for the whole batch or one for each sample, in blocks; [`crate::ode::solve::record`] has one
    /// state, and one step size.
    pub steps: StepSizes,
    /// How gradients are computed.
    pub adjoint: Adjoint,
    /// How the field and its vector-Jacobian products are computed.
    pub backend: Backend,
    /// Size of the first step, positive; `None` for the rule of Hairer, Norsett and Wanner, which looks no farther than
    /// `dt_max`.
    pub dt0: Option<f64>,
    /// Smallest size of a step whose size the error decides, positive; a solve that needs a smaller one ends in
    /// [`SolveError::StepTooSmall`]. `None` for the resolution of time, 8 to 16 units in the last place of the current
    /// time, which is the least in any case. Steps that end at a stop or at `t1` may be smaller, and equal steps take
    /// no notice. Limits, stops and jumps hold in the backward solves of adjoints too.
    pub dt_min: Option<f64>,
    /// Largest size of a step, the first one and equal ones included, positive; `None` for no limit. What is left of
    /// the span is divided into equal steps as long as the error allows more.
    pub dt_max: Option<f64>,
    /// Times that a step must hit exactly, ascending; those outside the span are not met. The state there is that
    /// of a step's end, and the field is evaluated as if nothing were there.
    pub step_at: Cow<'static, [f64]>,
    /// Times at which the field jumps, ascending; those outside the span are not met. The step before such a time
    /// ends at the last number before it, and the next one starts anew at the first number behind it: no step, and no
    /// evaluation of one, sees both sides. Without it a jump costs rejected steps and accuracy.
    pub jump_at: Cow<'static, [f64]>,
    /// Largest number of steps, accepted and rejected, of one solve.
    pub max_steps: usize,
    /// How the error of the gradient is estimated
    /// ([`Stats::gradient_error`](crate::ode::stats::Stats::gradient_error)).
    pub gradient_check: GradientCheck,
    /// The largest estimate of the gradient's relative error with which a backward pass succeeds, positive; above it
    /// the pass ends in [`SolveError::GradientError`]. `f64::INFINITY` allows any.
    pub gradient_error_max: f64,
}

impl SolveOptions {
    /// Options for a solve from `t0` to `t1` with the given tolerances; all others at their defaults
    /// ([`Solver::Tsit5`], [`Controller::I`], [`Adjoint::Discrete`], 4096 steps, gradients known to 30 %).
    pub const fn new(t0: f64, t1: f64, rtol: f64, atol: f64) -> Self {
        Self {
            t0,
            t1,
            solver: Solver::Tsit5,
            rtol,
            atol,
            controller: Controller::I,
            control: Control::Solution,
            steps: StepSizes::Shared,
            adjoint: Adjoint::Discrete,
            backend: Backend::Kernels,
            dt0: None,
            dt_min: None,
            dt_max: None,
            step_at: Cow::Borrowed(&[]),
            jump_at: Cow::Borrowed(&[]),
            max_steps: 4096,
            gradient_check: GradientCheck::Quick,
            gradient_error_max: 0.3,
        }
    }

    /// The same options over another span, from `t0` to `t1`, either of which may be the later one.
    #[must_use]
    pub const fn with_span(mut self, t0: f64, t1: f64) -> Self {
        self.t0 = t0;
        self.t1 = t1;
        self
    }

    /// The same options with other tolerances: `rtol` dimensionless, `atol` in units of `y`.
    #[must_use]
    pub const fn with_tolerances(mut self, rtol: f64, atol: f64) -> Self {
        self.rtol = rtol;
        self.atol = atol;
        self
    }

    /// The same options with another method.
    #[must_use]
    pub const fn with_solver(mut self, solver: Solver) -> Self {
        self.solver = solver;
        self
    }

    /// The same options with another controller.
    #[must_use]
    pub const fn with_controller(mut self, controller: Controller) -> Self {
        self.controller = controller;
        self
    }

    /// The same options with steps that suit the solution, or gradients too.
    #[must_use]
    pub const fn with_control(mut self, control: Control) -> Self {
        self.control = control;
        self
    }

    /// The same options with step sizes for the batch or for each sample.
    #[must_use]
    pub const fn with_steps(mut self, steps: StepSizes) -> Self {
        self.steps = steps;
        self
    }

    /// The same options with another adjoint.
    #[must_use]
    pub const fn with_adjoint(mut self, adjoint: Adjoint) -> Self {
        self.adjoint = adjoint;
        self
    }

    /// The same options with another way to compute vector-Jacobian products.
    #[must_use]
    pub const fn with_backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// The same options with another size of the first step.
    #[must_use]
    pub const fn with_dt0(mut self, dt0: f64) -> Self {
        self.dt0 = Some(dt0);
        self
    }

    /// The same options with a smallest size of a step.
    #[must_use]
    pub const fn with_dt_min(mut self, dt_min: f64) -> Self {
        self.dt_min = Some(dt_min);
        self
    }

    /// The same options with a largest size of a step.
    #[must_use]
    pub const fn with_dt_max(mut self, dt_max: f64) -> Self {
        self.dt_max = Some(dt_max);
        self
    }

    /// The same options with other times that a step must hit: a list that is owned, or one that is `'static`.
    #[must_use]
    pub fn with_step_at(mut self, times: impl Into<Cow<'static, [f64]>>) -> Self {
        self.step_at = times.into();
        self
    }

    /// The same options with other times at which the field jumps: a list that is owned, or one that is `'static`.
    #[must_use]
    pub fn with_jump_at(mut self, times: impl Into<Cow<'static, [f64]>>) -> Self {
        self.jump_at = times.into();
        self
    }

    /// The same options with another limit of steps.
    #[must_use]
    pub const fn with_max_steps(mut self, max_steps: usize) -> Self {
        self.max_steps = max_steps;
        self
    }

    /// The same options with another estimate of the gradient's error.
    #[must_use]
    pub const fn with_gradient_check(mut self, gradient_check: GradientCheck) -> Self {
        self.gradient_check = gradient_check;
        self
    }

    /// The same options with another largest error of a gradient; `f64::INFINITY` allows any.
    #[must_use]
    pub const fn with_gradient_error_max(mut self, gradient_error_max: f64) -> Self {
        self.gradient_error_max = gradient_error_max;
        self
    }

    /// The tolerances alone.
    pub const fn tolerances(&self) -> Tolerances {
        Tolerances {
            rtol: self.rtol,
            atol: self.atol,
        }
    }

    /// Whether errors choose the steps.
    pub const fn is_adaptive(&self) -> bool {
        !matches!(self.controller, Controller::Constant { .. })
    }

    /// Checks every number, given the distance `epsilon` from 1 to the next number of the state's dtype.
    ///
    /// # Errors
    /// [`SolveError::InvalidTolerance`], [`SolveError::InvalidSpan`], [`SolveError::InvalidCoefficient`],
    /// [`SolveError::InvalidStepSize`], [`SolveError::StepBelowResolution`], [`SolveError::InvalidStepLimits`],
    /// [`SolveError::InvalidStop`], [`SolveError::InvalidMaxSteps`] and [`SolveError::InvalidGradientErrorMax`], for
    /// the first number that is wrong.
    pub fn validate(&self, epsilon: f64) -> Result<(), SolveError> {
        // Below a few units in the last place the error estimate is rounding noise.
        let tolerances = [
            ("rtol", self.rtol, 4.0 * epsilon, 1.0),
            ("atol", self.atol, f64::MIN_POSITIVE, f64::INFINITY),
        ];
        for (name, found, minimum, maximum) in tolerances {
            if !(minimum..maximum).contains(&found) {
                return Err(SolveError::InvalidTolerance {
                    name,
                    found,
                    minimum,
                    maximum,
                });
            }
        }
        self.validate_span()?;
        let mut constant = None;
        match self.controller {
            Controller::Constant { dt } => constant = Some(dt),
            Controller::Pid { p, i, d } => {
                for (name, found) in [("p", p), ("i", i), ("d", d)] {
                    if !found.is_finite() {
                        return Err(SolveError::InvalidCoefficient { name, found });
                    }
                }
            }
            Controller::I | Controller::PI => {}
        }
        let sizes = [constant, self.dt0, self.dt_min, self.dt_max];
        for found in sizes.into_iter().flatten() {
            if !(found.is_finite() && found > 0.0) {
                return Err(SolveError::InvalidStepSize { found });
            }
        }
        let dt_max = self
            .dt_max
            .filter(|most| constant.is_none_or(|dt| *most < dt));
        let fixed = [("dt", constant), ("dt_max", dt_max)];
        for (name, found) in fixed {
            let (t, minimum) = (self.t0, smallest_given(self.t0));
            if let Some(found) =
                found.filter(|size| *size < minimum && (self.t1 - self.t0).abs() > 0.0)
            {
                return Err(SolveError::StepBelowResolution {
                    name,
                    found,
                    t,
                    minimum,
                });
            }
        }
        if let (Some(dt_min), Some(dt_max)) = (self.dt_min, self.dt_max) {
            if dt_min > dt_max {
                return Err(SolveError::InvalidStepLimits { dt_min, dt_max });
            }
        }
        for (name, stops) in [("step_at", &self.step_at), ("jump_at", &self.jump_at)] {
            let mut previous = f64::NEG_INFINITY;
            for (index, &found) in stops.iter().enumerate() {
                if !(found.is_finite() && found >= previous) {
                    return Err(SolveError::InvalidStop { name, index, found });
                }
                previous = found;
            }
        }
        if self.max_steps == 0 {
            return Err(SolveError::InvalidMaxSteps);
        }
        if self.gradient_error_max.is_nan() || self.gradient_error_max <= 0.0 {
            return Err(SolveError::InvalidGradientErrorMax {
                found: self.gradient_error_max,
            });
        }
        Ok(())
    }

    /// [`Self::validate`], and that the method of this name, adaptive or not, goes with the controller.
    ///
    /// # Errors
    /// Those of [`Self::validate`], and [`SolveError::NoErrorEstimate`].
    pub fn validate_with(
        &self,
        epsilon: f64,
        method: &'static str,
        adaptive: bool,
    ) -> Result<(), SolveError> {
        self.validate(epsilon)?;
        if !adaptive && !matches!(self.controller, Controller::Constant { .. }) {
            return Err(SolveError::NoErrorEstimate {
                method,
                controller: self.controller,
            });
        }
        Ok(())
    }

    fn validate_span(&self) -> Result<(), SolveError> {
        let (t0, t1) = (self.t0, self.t1);
        if t0.is_finite() && t1.is_finite() && (t1 - t0).is_finite() {
            Ok(())
        } else {
            Err(SolveError::InvalidSpan { t0, t1 })
        }
    }

    /// The least size of a step at any time.
    pub fn smallest_floor(&self) -> f64 {
        // Below the smallest normal number products lose their digits.
        self.dt_min.unwrap_or(0.0).max(f64::MIN_POSITIVE)
    }

    /// The time of the solution that a saved time means: itself, or an end of the span where rounding has taken it
    /// outside.
    pub(crate) fn meant(&self, t: f64) -> f64 {
        within(t, (self.t0, self.t1))
    }

    /// Checks that `times` are in the span and in the order of the solve, and that there is one.
    ///
    /// A time outside of the span by rounding alone, as a running sum or numbers that were `f32` make it, is that end
    /// of the span: by at most 1024 units in the last place, or the end rounded to `f32`, and at most a thousandth of
    /// the span (two to four units in the last place in any case).
    ///
    /// # Errors
    /// [`SolveError::InvalidSpan`], [`SolveError::NoTimes`], [`SolveError::TimeOutsideSpan`] and
    /// [`SolveError::UnorderedTimes`], for the first time that is wrong.
    pub fn validate_times(&self, times: impl IntoIterator<Item = f64>) -> Result<(), SolveError> {
        self.validate_span()?;
        let (t0, t1) = (self.t0, self.t1);
        let span = t0.min(t1)..=t0.max(t1);
        let mut last = None;
        for (index, found) in times.into_iter().enumerate() {
            let t = self.meant(found);
            if !span.contains(&t) {
                return Err(SolveError::TimeOutsideSpan {
                    index,
                    found,
                    t0,
                    t1,
                });
            }
            let previous = last.replace(t).unwrap_or(t0);
            let passed = if t1 < t0 { t > previous } else { t < previous };
            if passed {
                return Err(SolveError::UnorderedTimes {
                    index,
                    found,
                    previous,
                    t0,
                    t1,
                });
            }
        }
        last.map(|_| ()).ok_or(SolveError::NoTimes)
    }
}

impl Default for SolveOptions {
    /// The settings of the Lux tutorial: Tsit5 over `0..1` with `rtol = atol = 1e-3`.
    fn default() -> Self {
        Self::new(0.0, 1.0, 1e-3, 1e-3)
    }
}
