//! Typed failures of a solve, forward or backward.

use core::fmt;

use crate::ode::choices::{Adjoint, Controller};

/// The quantity in which a solve met a number that is not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quantity {
    /// The input of a model.
    Input,
    /// The state `y0` with which a solve starts.
    InitialState,
    /// The value of the vector field `f(t, y)`.
    VectorField,
    /// The state that an attempted step leads to.
    Step,
    /// The solution inside a step, or its derivative: the dense output.
    Interpolant,
    /// The direction `y0_dot` in which a tangent starts.
    Tangent,
    /// The cotangent `dL/dy1` with which a backward solve starts.
    Cotangent,
    /// The integrand of the parameters' gradient.
    Integrand,
    /// The function of an event, or its gradient.
    EventFunction,
    /// The output of a model.
    Output,
    /// The gradient with which an optimizer would change a parameter.
    Gradient,
    /// The gradient that an adjoint computed.
    SolveGradient,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "the input of the model",
            Self::InitialState => "the initial state",
            Self::VectorField => "the vector field",
            Self::Step => "the state after an attempted step",
            Self::Interpolant => "the solution inside a step",
            Self::Tangent => "the direction in which a tangent starts",
            Self::Cotangent => "the cotangent of the solution (the gradient of the loss)",
            Self::Integrand => "the integrand of the parameters' gradient",
            Self::EventFunction => "the function of an event, or its gradient,",
            Self::Output => "the output of the model",
            Self::Gradient => "the gradient of a parameter",
            Self::SolveGradient => "the gradient of the solve",
        })
    }
}

/// An error of the device that holds the tensors (out of memory, a failed launch), in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceError(String);

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DeviceError {}

/// Why a solve, a model or a backward pass gave no result.
///
/// Each variant carries what was found; its `Display` adds what to do about it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SolveError {
    /// A tolerance outside its domain.
    InvalidTolerance {
        /// `rtol` or `atol`.
        name: &'static str,
        /// The value given.
        found: f64,
        /// The smallest value allowed: for `rtol` what the dtype of the state resolves.
        minimum: f64,
        /// The smallest value that is too large.
        maximum: f64,
    },
    /// An end point of the time span that is not finite.
    InvalidSpan {
        /// Start of the span.
        t0: f64,
        /// End of the span.
        t1: f64,
    },
    /// No time at which to save the solution, or no cotangent to pull back.
    NoTimes,
    /// A time at which to save the solution, or of a cotangent, that is not in the span.
    TimeOutsideSpan {
        /// Its place among the times.
        index: usize,
        /// The time given.
        found: f64,
        /// Start of the span.
        t0: f64,
        /// End of the span.
        t1: f64,
    },
    /// A time at which to save the solution, or of a cotangent, that the solve passes before the one that
    /// stands in front of it.
    UnorderedTimes {
        /// Its place among the times.
        index: usize,
        /// The time given.
        found: f64,
        /// The time in front of it.
        previous: f64,
        /// Start of the span.
        t0: f64,
        /// End of the span.
        t1: f64,
    },
    /// A step size, given by the caller, that cannot be used.
    InvalidStepSize {
        /// The value given.
        found: f64,
    },
    /// Steps, equal or of a largest size, that are too small for the numbers around the start of the span.
    StepBelowResolution {
        /// `dt` or `dt_max`.
        name: &'static str,
        /// The size given.
        found: f64,
        /// Where the solve starts.
        t: f64,
        /// The smallest size of a step there: 2 to 4 units in the last place of `t`.
        minimum: f64,
    },
    /// A smallest step size above the largest one.
    InvalidStepLimits {
        /// The smallest size given.
        dt_min: f64,
        /// The largest size given.
        dt_max: f64,
    },
    /// A time at which steps must end, or the field jumps, that is not finite or smaller than the one in front of it.
    InvalidStop {
        /// `step_at` or `jump_at`.
        name: &'static str,
        /// Its place among them.
        index: usize,
        /// The time given.
        found: f64,
    },
    /// A coefficient of a PID controller that is not finite.
    InvalidCoefficient {
        /// `p`, `i` or `d`.
        name: &'static str,
        /// The value given.
        found: f64,
    },
    /// Adaptive step sizes with a method that does not estimate its error.
    NoErrorEstimate {
        /// The method.
        method: &'static str,
        /// The controller that was asked for.
        controller: Controller,
    },
    /// Steps that suit gradients ([`crate::ode::choices::Control::Gradients`]) of a state that makes no random tangent.
    NoTangent,
    /// Steps that suit gradients where the solution alone can choose them.
    SolutionControlOnly {
        /// What has steps for the solution alone.
        what: &'static str,
    },
    /// Step sizes for each sample ([`crate::ode::choices::StepSizes::PerSample`]) where there is one for the whole
    /// batch.
    SharedStepsOnly {
        /// What has one step size for the batch.
        what: &'static str,
    },
    /// A setting of a layer or of an event outside of its domain.
    InvalidSetting {
        /// The layer, or `Event`.
        layer: &'static str,
        /// The setting.
        name: &'static str,
        /// The value given.
        found: f64,
        /// What is allowed.
        expected: &'static str,
    },
    /// Statistics of a batch with too few numbers.
    BatchStatistics {
        /// Numbers per feature.
        values: usize,
    },
    /// A limit of zero steps, with which no solve can advance.
    InvalidMaxSteps,
    /// A largest error of gradients that is not positive.
    InvalidGradientErrorMax {
        /// The value given.
        found: f64,
    },
    /// A gradient whose estimated relative error is above the largest one allowed. `try_backward`
    /// returns it; after dfdx's own `backward()` such gradients are NaN.
    GradientError {
        /// The estimate, infinite where the gradient's errors overflow; see [`crate::ode::adjoint::gradient_error`].
        error: f64,
        /// The largest one allowed: `gradient_error_max` of the options.
        limit: f64,
        /// The adjoint that computed the gradient.
        adjoint: Adjoint,
        /// Index of the sample of the batch, where each has steps of its own.
        sample: Option<usize>,
    },
    /// A tensor without elements, such as a batch of size zero.
    EmptyBatch {
        /// Its shape.
        shape: Vec<usize>,
    },
    /// Numbers for which there is no memory.
    TooLarge {
        /// Their shape.
        shape: Vec<usize>,
    },
    /// Two states or tensors that must have the same shape and do not.
    ShapeMismatch {
        /// The shape of the first.
        expected: Vec<usize>,
        /// The shape of the second.
        found: Vec<usize>,
    },
    /// A number that is NaN or infinite where nothing is solved: in the input or the output of a model, or in a
    /// gradient that an optimizer was given.
    NonFiniteData {
        /// Where it appeared.
        quantity: Quantity,
        /// Index of the first sample of the batch that is affected, where one can be named.
        sample: Option<usize>,
    },
    /// A number of a solve that is NaN or infinite.
    NonFinite {
        /// Where it appeared.
        quantity: Quantity,
        /// Time at which it appeared.
        t: f64,
        /// Size of the step in which it appeared (0 before the first one).
        h: f64,
        /// Index of the first sample of the batch that is affected, where one can be named.
        sample: Option<usize>,
    },
    /// The error test asked for steps below the smallest size allowed.
    StepTooSmall {
        /// Time that was reached.
        t: f64,
        /// Step size that failed.
        h: f64,
        /// The smallest size: `dt_min` of the options, or the resolution of time at `t`.
        minimum: f64,
        /// Scaled error of that step (accepted at 1 or below).
        error: f64,
        /// Index of the sample of the batch with the largest error, where one can be named.
        sample: Option<usize>,
    },
    /// The limit of steps was reached before the end point.
    MaxSteps {
        /// Time that was reached.
        t: f64,
        /// Time that was asked for.
        t1: f64,
        /// Size of the last step.
        h: f64,
        /// Scaled error of the last step (accepted at 1 or below).
        error: f64,
        /// Steps taken, accepted and rejected.
        steps: usize,
        /// Index of the sample of the batch that took them, where each has steps of its own.
        sample: Option<usize>,
    },
    /// The limit of steps was reached before the end point, and it was the stability of the method that kept them
    /// small: something in the field decays much faster than the solution moves.
    Stiff {
        /// Time that was reached.
        t: f64,
        /// Time that was asked for.
        t1: f64,
        /// Size of the last step.
        h: f64,
        /// That size times the rate of the fastest decay that the step saw.
        decay: f64,
        /// The largest such product for which the method is stable.
        limit: f64,
        /// Steps taken, accepted and rejected.
        steps: usize,
        /// Index of the sample of the batch that took them, where each has steps of its own.
        sample: Option<usize>,
    },
    /// A cotangent at a time at which the forward solve saved no value, where the adjoint has nothing else.
    TimeNotSaved {
        /// Its place among the cotangents.
        index: usize,
        /// The time given.
        found: f64,
    },
    /// A budget of memory that does not hold what a checkpointed solve needs at least.
    CheckpointBudget {
        /// The budget given.
        bytes: usize,
        /// What is needed for the steps so far: one state, one step with its stages, and the sizes of all steps, which
        /// may take half of it.
        needed: usize,
        /// Steps so far.
        steps: usize,
    },
    /// The integral of the parameters' gradient that was not found to the tolerances.
    Quadrature {
        /// Where the integral begins.
        t0: f64,
        /// Where it ends.
        t1: f64,
        /// Error of the last piece over the allowed one.
        error: f64,
        /// Pieces that were tried.
        pieces: usize,
    },
    /// A time outside of what a solve reached, at which its solution was asked for.
    NotSolved {
        /// The time given.
        found: f64,
        /// Where the solution begins.
        t0: f64,
        /// Where it ends.
        t1: f64,
    },
    /// The solution was asked for between saved values, and no dense output was saved.
    NoDenseOutput,
    /// An event whose function is parallel to the solution where it is zero: its time has no derivative.
    GrazingEvent {
        /// Which event, by its place among those of the solve.
        event: usize,
        /// When it happened.
        t: f64,
        /// The derivative of its function along the solution.
        slope: f64,
    },
    /// A gradient that is finite, and whose square is not: an optimizer that keeps squares cannot use it.
    GradientTooLarge {
        /// The largest absolute value of a gradient, with the weight decay `L2` added if there is one.
        largest: f64,
        /// About where squares begin to overflow, in the dtype of the parameters.
        limit: f64,
    },
    /// The device failed.
    Device(DeviceError),
}

impl SolveError {
    /// The same error of a solve for one sample, with the sample's index in its batch.
    #[must_use]
    pub fn of_sample(mut self, index: usize) -> Self {
        match &mut self {
            Self::NonFinite { sample, .. }
            | Self::NonFiniteData { sample, .. }
            | Self::StepTooSmall { sample, .. }
            | Self::GradientError { sample, .. }
            | Self::MaxSteps { sample, .. }
            | Self::Stiff { sample, .. } => *sample = Some(index),
            _ => {}
        }
        self
    }

    /// Wraps an error of a dfdx device; made for `map_err`.
    pub fn device<Err: fmt::Display>(error: Err) -> Self {
        Self::Device(DeviceError(error.to_string()))
    }
}

/// " in sample 3", or nothing.
struct InSample(Option<usize>);

impl fmt::Display for InSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .map_or(Ok(()), |sample| write!(f, " in sample {sample}"))
    }
}

/// " (step size 0.1)", or nothing before the first step.
struct WithStep(f64);

impl fmt::Display for WithStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0.0 {
            Ok(())
        } else {
            write!(f, " (step size {:e})", self.0)
        }
    }
}

/// A time, or another number whose size can be anything: `0.25`, but `4e-297`.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        if size == 0.0 || (1e-5..1e16).contains(&size) || !size.is_finite() {
            write!(f, "{}", self.0)
        } else {
            write!(f, "{:e}", self.0)
        }
    }
}

impl fmt::Display for SolveError {
    #[allow(clippy::too_many_lines, reason = "one sentence per variant")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidTolerance {
                name,
                found,
                minimum,
                maximum,
            } => write!(
                f,
                "{name} = {found:e} is no tolerance: for this dtype it must be at least {minimum:e} and below \
                 {maximum:e}; 1e-3 is usual for training, 1e-6 for accurate solutions"
            ),
            Self::InvalidSpan { t0, t1 } => {
                let (t0, t1) = (Number(*t0), Number(*t1));
                write!(f, "the time span {t0}..{t1} must have finite end points")
            }
            Self::NoTimes => {
                f.write_str("there is no time at which to save the solution: give at least one")
            }
            Self::TimeOutsideSpan {
                index,
                found,
                t0,
                t1,
            } => write!(
                f,
                "times[{index}] = {found} is not in the time span {t0}..{t1}: give a finite time from {t0} to {t1}, \
                 or change the span",
                found = Number(*found),
                t0 = Number(*t0),
                t1 = Number(*t1)
            ),
            Self::UnorderedTimes {
                index,
                found,
                previous,
                t0,
                t1,
            } => write!(
                f,
                "times[{index}] = {found} comes after {previous}, but the solve from {t0} to {t1} passes it before: \
                 sort the times {}",
                if t1 < t0 { "in descending order" } else { "in ascending order" },
                found = Number(*found),
                previous = Number(*previous),
                t0 = Number(*t0),
                t1 = Number(*t1)
            ),
            Self::InvalidStepSize { found } => write!(
                f,
                "a step size of {found:e} cannot be used: give a finite positive number"
            ),
            Self::StepBelowResolution {
                name,
                found,
                t,
                minimum,
            } => write!(
                f,
                "steps of {name} = {found:e} are below the resolution of time at t = {t:e}, where the numbers lie so far \
                 apart that a step has to be {minimum:.1e} at least: take larger steps, or count time from an origin near \
                 the span"
            ),
            Self::InvalidStepLimits { dt_min, dt_max } => write!(
                f,
                "dt_min = {dt_min:e} is larger than dt_max = {dt_max:e}: no step size is between them"
            ),
            Self::InvalidStop { name, index, found } => write!(
                f,
                "{name}[{index}] = {found} is no stop: give finite times in ascending order, whatever the direction \
                 of the solve",
                found = Number(*found)
            ),
            Self::InvalidCoefficient { name, found } => write!(
                f,
                "{name} = {found} is no coefficient of a PID controller: give a finite number; p = 0, i = 1, \
                 d = 0 is the controller I",
                found = Number(*found)
            ),
            Self::NoErrorEstimate { method, controller } => write!(
                f,
                "{method} does not estimate its error, so the controller {controller:?} cannot choose its steps: \
                 use Controller::Constant {{ dt }}, or a method with an estimate, such as Bosh3 or Tsit5"
            ),
            Self::NoTangent => f.write_str(
                "Control::Gradients needs a random tangent, which this type of state does not make: implement \
                 State::signs for it, or use Control::Solution with dt_max"
            ),
            Self::SolutionControlOnly { what } => write!(
                f,
                "{what} chooses its steps by the solution alone: use Control::Solution, with dt_max where gradients need \
                 shorter steps"
            ),
            Self::SharedStepsOnly { what } => write!(
                f,
                "{what} has one step size for the whole batch: use StepSizes::Shared, or solve the samples one by one"
            ),
            Self::InvalidSetting {
                layer,
                name,
                found,
                expected,
            } => write!(
                f,
                "{name} = {found} is no setting of `{layer}`: give {expected}",
                found = Number(*found)
            ),
            Self::BatchStatistics { values } => write!(
                f,
                "batch normalisation in training takes the variance of at least 2 numbers per feature, found {values}: \
                 pass more samples, or use Mode::Inference"
            ),
            Self::InvalidMaxSteps => {
                f.write_str("max_steps = 0 allows no step: give at least 1 (the default is 4096)")
            }
            Self::InvalidGradientErrorMax { found } => write!(
                f,
                "gradient_error_max = {found} allows no gradient: give a positive number, such as the default 0.3, or \
                 f64::INFINITY for any gradient"
            ),
            Self::GradientError {
                error,
                limit,
                adjoint: Adjoint::Backsolve,
                sample,
            } => write!(
                f,
                "the gradient is wrong by about {error:.1e} of its size{} (allowed: {limit}): solved backwards, the \
                 solution becomes another one; use Adjoint::Discrete, or Adjoint::Checkpointed where memory is short; \
                 gradient_error_max allows it all the same",
                InSample(*sample)
            ),
            Self::GradientError {
                error,
                limit,
                sample,
                ..
            } => write!(
                f,
                "the gradient is wrong by about {error:.1e} of its size{} (allowed: {limit}): the steps are too long for it, \
                 as where a fast field is at rest, or where errors of the solution grow; set Control::Gradients, so that \
                 the derivative chooses the steps too; if it is set, bound them with dt_max, or tighten rtol and atol; \
                 equal steps need a smaller dt; gradient_error_max allows it all the same",
                InSample(*sample)
            ),
            Self::EmptyBatch { shape } => write!(
                f,
                "a tensor of shape {shape:?} holds no element: pass at least one sample"
            ),
            Self::TooLarge { shape } => write!(
                f,
                "there is no memory for numbers of shape {shape:?}: take fewer samples at a time"
            ),
            Self::ShapeMismatch { expected, found } => write!(
                f,
                "numbers of shape {found:?} were given where {expected:?} is needed: pass numbers of that shape"
            ),
            Self::NonFiniteData {
                quantity: quantity @ Quantity::Gradient,
                ..
            } => write!(
                f,
                "{quantity} holds a NaN or an infinity, and no parameter was changed: check the loss and the data, or lower \
                 the learning rate"
            ),
            Self::NonFiniteData { quantity, sample } => write!(
                f,
                "{quantity} holds a NaN or an infinity{}: check the data and the weights",
                InSample(*sample)
            ),
            Self::NonFinite {
                quantity: quantity @ Quantity::Interpolant,
                t,
                h,
                sample,
            } => write!(
                f,
                "{quantity} is NaN or infinite{} at t = {t}{}, though the states at the step's ends are finite: the vector \
                 field is not finite at one of them; shorten the span, take smaller steps, or bound the vector field",
                InSample(*sample),
                WithStep(*h)
            ),
            Self::NonFinite {
                quantity,
                t,
                h,
                sample,
            } => write!(
                f,
                "{quantity} is NaN or infinite{} at t = {t}{}: check the input and the weights, lower the \
                 learning rate, or bound the vector field",
                InSample(*sample),
                WithStep(*h),
                t = Number(*t)
            ),
            Self::StepTooSmall {
                t,
                h,
                minimum,
                error,
                sample,
            } => write!(
                f,
                "a step of {h:e} at t = {t} still had {error:.3e} times the allowed error{}, and smaller ones \
                 fall below {minimum:e} (dt_min, or the resolution of time): the solution may blow up there, or the \
                 field may jump; loosen rtol and atol, lower dt_min, shorten the span, name jumps in jump_at, or check \
                 the vector field for a singularity",
                InSample(*sample),
                t = Number(*t)
            ),
            Self::MaxSteps {
                t,
                t1,
                h,
                error,
                steps,
                sample,
            } => write!(
                f,
                "{steps} steps reached t = {t} of {t1}{} (last step {h:e}, scaled error {error:.3e}): raise \
                 max_steps, loosen rtol and atol (take a larger dt for equal steps), or shorten the span",
                InSample(*sample),
                t = Number(*t),
                t1 = Number(*t1)
            ),
            Self::Stiff {
                t,
                t1,
                h,
                decay,
                limit,
                steps,
                sample,
            } => write!(
                f,
                "the vector field is stiff{}: {steps} steps reached t = {t} of {t1}, and the last one, {h:e}, was {decay:.1} \
                 times the inverse of the field's fastest rate of decay, where the method is stable up to {limit:.1}; about \
                 {:.0e} more such steps would be needed, whatever rtol and atol: make the field slower (smaller weights, \
                 bounded activations), shorten the span, or use an implicit solver, which this library does not have",
                InSample(*sample),
                ((t1 - t) / h).abs(),
                t = Number(*t),
                t1 = Number(*t1)
            ),
            Self::TimeNotSaved { index, found } => write!(
                f,
                "cotangents[{index}] is at t = {found}, where the forward solve saved no value: save it there, or use \
                 another adjoint than Backsolve",
                found = Number(*found)
            ),
            Self::CheckpointBudget {
                bytes,
                needed,
                steps,
            } => write!(
                f,
                "a budget of {bytes} bytes for checkpoints is too small: after {steps} steps at least {needed} are \
                 needed; raise it, or loosen rtol and atol"
            ),
            Self::Quadrature {
                t0,
                t1,
                error,
                pieces,
            } => write!(
                f,
                "the parameters' gradient between t = {t0} and {t1} still had {error:.3e} times the allowed error \
                 after {pieces} pieces: loosen rtol and atol, name jumps in jump_at, or use another adjoint than Gauss and \
                 Quadrature",
                t0 = Number(*t0),
                t1 = Number(*t1)
            ),
            Self::NotSolved { found, t0, t1 } => write!(
                f,
                "the solution goes from t = {t0} to {t1}, and has no value at {found}: ask between the two",
                found = Number(*found),
                t0 = Number(*t0),
                t1 = Number(*t1)
            ),
            Self::NoDenseOutput => f.write_str(
                "the solution was kept at saved times alone: ask for dense output with SaveAt::with_dense"
            ),
            Self::GrazingEvent { event, t, slope } => write!(
                f,
                "the function of event {event} only touches zero at t = {t} (its slope there is {slope:e}), so that \
                 the time of the event has no derivative: leave it out of the loss, or change the event",
                t = Number(*t)
            ),
            Self::GradientTooLarge { largest, limit } => write!(
                f,
                "a gradient reaches {largest:.3e}, and its square, which Adam keeps, overflows from about {limit:.1e} on; \
                 no parameter was changed: check the loss and the data, clip the gradients, or lower the learning rate"
            ),
            Self::Device(error) => write!(f, "the device failed: {error}"),
        }
    }
}

impl std::error::Error for SolveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Device(error) => Some(error),
            _ => None,
        }
    }
}
