//! What can be chosen by name: methods, controllers, adjoints and how a solve is done.

/// The method that advances the solution: an explicit Runge-Kutta method, a table of [`crate::ode::method`].
///
/// [`Solver::name`], [`Solver::order`] and [`Solver::adaptive`] tell what the table says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Solver {
    /// Euler, order 1, one evaluation per step; for [`Controller::Constant`] only. See
    /// [`crate::ode::method::EULER`].
    Euler,
    /// The explicit midpoint method, order 2(1), two evaluations per step; see [`crate::ode::method::MIDPOINT`].
    Midpoint,
    /// Heun, order 2(1), two evaluations per step; see [`crate::ode::method::HEUN`].
    Heun,
    /// Ralston, order 2(1), two evaluations per step; see [`crate::ode::method::RALSTON`].
    Ralston,
    /// The classical method of order 4, four evaluations per step; for [`Controller::Constant`] only. See
    /// [`crate::ode::method::RK4`].
    Rk4,
    /// Bogacki-Shampine 3(2), three evaluations per step, for loose tolerances; see
    /// [`crate::ode::method::BOSH3`].
    Bosh3,
    /// Dormand-Prince 5(4), six evaluations per step; see [`crate::ode::method::DOPRI5`].
    Dopri5,
    /// Tsitouras 5(4), seven stages of which the last is the next step's first; six evaluations per step. See
    /// [`crate::ode::method::TSIT5`].
    #[default]
    Tsit5,
    /// Verner 7(6), ten evaluations per step, for tight tolerances; see [`crate::ode::method::VERN7`].
    Vern7,
    /// Prince-Dormand 8(7), thirteen evaluations per step, for tight tolerances; see
    /// [`crate::ode::method::DOPRI8`].
    Dopri8,
}

impl Solver {
    /// All methods, by order.
    pub const ALL: [Self; 10] = [
        Self::Euler,
        Self::Midpoint,
        Self::Heun,
        Self::Ralston,
        Self::Bosh3,
        Self::Rk4,
        Self::Dopri5,
        Self::Tsit5,
        Self::Vern7,
        Self::Dopri8,
    ];
}

/// How the next step size follows from the error of the last step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Controller {
    /// The integral controller of diffrax and torchdiffeq: fewest steps on easy fields.
    #[default]
    I,
    /// The PI controller of OrdinaryDiffEq.jl with its constants: more and smaller steps, hardly any
    /// rejections.
    PI,
    /// The PID controller of diffrax, on the errors `e` of this step and of the two accepted ones before it:
    /// the next step is
    ///
    /// ```text
    /// 0.9 e_n^(-(p + i + d) / k) e_(n-1)^((p + 2 d) / k) e_(n-2)^(-d / k)
    /// ```
    ///
    /// times this one, within `[1, 10]` after an accepted step and `[0.2, 0.9]` after a rejected one, where `k`
    /// is the method's order. `p: 0.0, i: 1.0, d: 0.0` is [`Controller::I`]; `p: 0.4, i: 0.3, d: 0.0` and
    /// `p: 0.2, i: 0.4, d: 0.0` are usual where a field's speed changes along the way.
    ///
    /// # Sources
    /// G. Soederlind, "Digital filters in adaptive time-stepping", ACM Trans. Math. Softw. 29 (2003) 1-26,
    /// doi:10.1145/641876.641877, in the form of diffrax's `PIDController`.
    Pid {
        /// Proportional coefficient, dimensionless, finite.
        p: f64,
        /// Integral coefficient, dimensionless, finite.
        i: f64,
        /// Derivative coefficient, dimensionless, finite.
        d: f64,
    },
    /// No control: equal steps of this size (the last one shortened to land on the end point), each
    /// accepted whatever its error.
    Constant {
        /// Step size, positive, in units of time.
        dt: f64,
    },
}

/// The gradient of a solve.
///
/// Which one: [`Adjoint::Discrete`], unless memory lacks ([`Adjoint::Checkpointed`]) or the parameters are so many more
/// than the state that their part of the work counts ([`Adjoint::Gauss`]). [`crate::ode::adjoint`] compares their cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Adjoint {
    /// The exact derivative of the accepted steps, with their sizes held fixed: what
    /// back-propagation through the solver gives. See [`crate::ode::adjoint::discrete`].
    #[default]
    Discrete,
    /// A backward solve of the continuous adjoint equations over the dense output of the forward one.
    /// See [`crate::ode::adjoint::interpolating`].
    Interpolating,
    /// The same for the state alone; the parameters' integral by Gauss-Kronrod quadrature of every backward step.
    /// See [`crate::ode::adjoint::gauss`].
    Gauss,
    /// The same for the state alone; the parameters' integral by adaptive Gauss-Kronrod quadrature, to the solve's
    /// tolerances. See [`crate::ode::adjoint::quadrature`].
    Quadrature,
    /// A backward solve of the solution itself, beside the adjoint equations: no step is kept. **Where the flow
    /// contracts it is wrong, and refused** ([`SolveError::GradientError`](crate::SolveError::GradientError)). See
    /// [`crate::ode::adjoint::backsolve`].
    Backsolve,
    /// The gradient of [`Adjoint::Discrete`], bit for bit, in bounded memory: some states are kept and the steps
    /// between them done again. See [`crate::ode::adjoint::checkpointed`].
    Checkpointed {
        /// What may be kept between steps, in bytes.
        bytes: usize,
    },
}

/// How vector-Jacobian products of the field, and its values, are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// By the kernels that the macro generated, on `Cpu` in f32 and f64; a field, a device or a processor
    /// without them uses [`Backend::Operations`].
    #[default]
    Kernels,
    /// By dfdx's operations and tape, on any device.
    Operations,
}

/// Whose error chooses the steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Control {
    /// That of the solution.
    #[default]
    Solution,
    /// That of the solution and of a random tangent of it, kept at unit size, so that gradients come out at the
    /// tolerances as well. Where the solution is at rest or follows something slow, its error does not show how fast
    /// the field is, and the derivative of its steps is wrong ([`crate::ode::adjoint::gradient_error`]).
    ///
    /// Costs one evaluation more per stage and one per accepted step, and on such fields more and shorter steps. On the
    /// processor samples with steps of their own are solved one after the other. The same seed gives the same steps.
    /// Controllers without an error ([`Controller::Constant`]) take no notice.
    Gradients {
        /// Any number: which random tangent.
        seed: u64,
    },
}

impl Control {
    /// [`Control::Gradients`] with the seed 0.
    pub const GRADIENTS: Self = Self::Gradients { seed: 0 };
}

/// How the error of a gradient is estimated; [`crate::ode::adjoint::gradient_error`] says what is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GradientCheck {
    /// By signs that cost next to nothing; in full where they are suspicious, and that pass takes several times as
    /// long.
    #[default]
    Quick,
    /// In full, always. On a GPU training then runs dfdx's operations in place of kernels.
    Full,
}

/// Whose error chooses the size of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StepSizes {
    /// One size for the whole batch, by the mean of all errors: fewest evaluations where samples are alike, and
    /// the fastest code. A sample's result depends on the others of its batch, within the tolerances.
    #[default]
    Shared,
    /// A size for each sample, by its own error, as if it were solved alone: its result and its number of steps
    /// do not depend on its batch. Pays off where samples differ much. Blocks whose declaration says
    /// `steps: PerSample` solve many samples at once, in lanes, with [`Backend::Kernels`] and, for gradients,
    /// [`Adjoint::Discrete`]; without stops and jumps. All others solve one sample after the other: the same numbers,
    /// slower.
    PerSample,
}
