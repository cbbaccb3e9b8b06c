//! Forward sensitivities: derivatives of a solution by a few parameters or along a few initial directions.
//!
//! Along a direction `(y0_dot, theta_dot)` the solution moves by its tangent `s(t)`, which solves
//!
//! ```text
//! ds/dt = (df/dy) s + (df/dtheta) theta_dot     s(t0) = y0_dot
//! ```
//!
//! beside `dy/dt = f(t, y)`. [`solve_with_tangents`] solves both as one system with the loop of every other solve. The
//! tangents of one run serve any loss; gradients of one loss by many parameters are the work of an
//! [`adjoint`](mod@crate::ode::adjoint).
//!
//! # Cost
//! With `p` directions every stage takes one evaluation of the field and `p` Jacobian-vector products, which
//! [`Pushforward::eval_with_jvps`] may share work among. By default that takes the time of about `1 + 2 p` evaluations;
//! for generated fields `1 + p / 2` to `1 + p` (measured, 20-10-10-20 in f32), the less the fewer layers have
//! parameters that move. A solve and its discrete adjoint take about four evaluations per stage for **all** parameters,
//! and keep the steps. In memory: `(S + 5) (p + 1)` states for a method of `S` stages, and nothing that grows with the
//! number of steps. So one to three directions are cheaper forwards, and many are cheaper in reverse, unless memory is
//! what lacks or the derivative of every saved value is wanted rather than that of one loss.
//!
//! # Accuracy
//! The tangents are those of the accepted steps: with step sizes held fixed, exactly the derivative of the numerical
//! solution, as that of the [discrete adjoint](crate::ode::adjoint::discrete), but for rounding. How far they are from
//! those of the exact solution is a matter of [`ErrorControl`].
//!
//! # Sources
//! E. Hairer, S. P. Norsett, G. Wanner, "Solving Ordinary Differential Equations I", 2nd ed. (1993), section I.14. On
//! errors: A. C. Hindmarsh et al., "SUNDIALS: Suite of Nonlinear and Differential/Algebraic Equation Solvers", ACM
//! Trans. Math. Softw. 31 (2005), doi:10.1145/1089014.1089020, whose CVODES tests the largest norm as well, if tangents
//! take part.

use crate::ode::{
    error::{Quantity, SolveError},
    field::{Pushforward, VectorField},
    method::ButcherTableau,
    options::{SolveOptions, Tolerances},
    output::saved_points::solve_at,
    state::{alike, State},
    stats::Stats,
};

/// Whose error chooses the step sizes of a solve with tangents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorControl {
    /// That of the solution and of every tangent, each with a norm of its own: a step is accepted if the largest of
    /// them is. No part is less accurate than if it were alone, however many directions there are. The tolerances are
    /// those of the options: `atol` has the units of `y` for the solution and those of the tangent for a tangent, so
    /// give a direction the length of a typical change of its parameter.
    #[default]
    Full,
    /// That of the solution alone: step sizes, and the solution, are those of a solve without tangents (bit for bit
    /// where the field leaves [`VectorField::attempt`] as it is, and but for rounding elsewhere). Tangents are as
    /// accurate as the method makes them on these steps. They still have to be finite.
    SolutionOnly,
}

impl ErrorControl {
    /// The tolerances of a part of the state: the solution is the first, tangents follow.
    fn of_part(self, index: usize, tolerances: &Tolerances) -> &Tolerances {
        match self {
            Self::SolutionOnly if index > 0 => &FINITE,
            Self::Full | Self::SolutionOnly => tolerances,
        }
    }
}

/// A solution at given times, and its derivatives there.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sensitivities<Y> {
    /// The solution at each time.
    pub values: Vec<Y>,
    /// For each direction, the derivative of [`Self::values`] along it, time by time.
    pub tangents: Vec<Vec<Y>>,
    /// What the solve cost.
    pub stats: Stats,
}

/// Solves `dy/dt = f(t, y)` from `y0` over the span of `options` and returns the solution at `times`, with its
/// derivatives along `directions`.
///
/// A direction is a pair `(y0_dot, theta_dot)` of a tangent of `y0` and one of the parameters. `(0, e_i)` gives
/// `dy(t)/dtheta_i`, `(e_j, 0)` gives `dy(t)/dy0_j`. Times and dense output are those of [`solve_at`]: the tangent at a
/// saved time is the interpolant of the tangents, hence the derivative of the value there. At `t0` it is `y0_dot`. Cost
/// and accuracy: see the [module](self).
///
/// # Errors
/// [`SolveError::ShapeMismatch`] for a `y0_dot` of another length than `y0`, [`SolveError::NonFinite`] for one that is
/// not finite, and those of [`solve_at`], to which a tangent that is not finite belongs.
///
/// # Example
/// How `y(1) = y0 e^a` of `dy/dt = a y` depends on `a` and on `y0`:
/// ```
/// use neuralode_core::{
///     ode::{
///         field::{Pushforward, VectorField},
///         method::TSIT5,
///         tangents::{solve_with_tangents, ErrorControl},
///     },
///     SolveError, SolveOptions,
/// };
///
/// struct Growth {
///     a: f64,
/// }
///
/// impl VectorField for Growth {
///     type State = [f64; 1];
///
///     fn eval(&mut self, _t: f64, y: &[f64; 1], dy: &mut [f64; 1]) -> Result<(), SolveError> {
///         *dy = [self.a * y[0]];
///         Ok(())
///     }
/// }
///
/// impl Pushforward for Growth {
///     type Params = f64;
///
///     fn jvp(
///         &mut self,
///         _t: f64,
///         y: &[f64; 1],
///         y_dot: &[f64; 1],
///         a_dot: &f64,
///         out: &mut [f64; 1],
///     ) -> Result<(), SolveError> {
///         *out = [self.a * y_dot[0] + a_dot * y[0]];
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result<(), SolveError> {
/// let options = SolveOptions::new(0.0, 1.0, 1e-9, 1e-9);
/// let (by_a, by_y0) = (([0.0], 1.0), ([1.0], 0.0));
/// let found = solve_with_tangents(
///     &mut Growth { a: 0.5 },
///     &TSIT5,
///     [2.0],
///     [by_a, by_y0],
///     &[1.0],
///     &options,
///     ErrorControl::default(),
/// )?;
/// let exact = 0.5_f64.exp();
/// assert!((found.values[0][0] - 2.0 * exact).abs() < 1e-7);
/// assert!((found.tangents[0][0][0] - 2.0 * exact).abs() < 1e-7);
/// assert!((found.tangents[1][0][0] - exact).abs() < 1e-7);
/// assert_eq!(found.stats.jvps, 2 * found.stats.field_calls);
/// # Ok(())
/// # }
/// ```
pub fn solve_with_tangents<F: Pushforward, const S: usize>(
    field: &mut F,
    tableau: &'static ButcherTableau<S>,
    y0: F::State,
    directions: impl IntoIterator<Item = (F::State, F::Params)>,
    times: &[f64],
    options: &SolveOptions,
    control: ErrorControl,
) -> Result<Sensitivities<F::State>, SolveError> {
    let (tangents, theta_dots): (Vec<_>, Vec<_>) = directions.into_iter().unzip();
    for tangent in &tangents {
        check(&y0, tangent, options)?;
    }
    let count = tangents.len();
    let start = Moving {
        y: y0,
        tangents,
        control,
    };
    let mut field = Tangents { field, theta_dots };
    let (moving, mut stats) = solve_at(&mut field, tableau, start, times, options, &mut ())?;
    stats.jvps = count * stats.field_calls;
    let mut found = Sensitivities {
        values: Vec::with_capacity(times.len()),
        tangents: vec![Vec::with_capacity(times.len()); count],
        stats,
    };
    for Moving { y, tangents, .. } in moving {
        found.values.push(y);
        for (all, tangent) in found.tangents.iter_mut().zip(tangents) {
            all.push(tangent);
        }
    }
    Ok(found)
}

/// Whether a solve from `y0` can begin in this direction.
fn check<Y: State>(y0: &Y, y0_dot: &Y, options: &SolveOptions) -> Result<(), SolveError> {
    alike(y0, y0_dot)?;
    if y0.is_empty() || Y::scaled_norm(y0_dot, y0_dot, y0_dot, &FINITE)?.is_finite() {
        return Ok(());
    }
    Err(SolveError::NonFinite {
        quantity: Quantity::Tangent,
        t: options.t0,
        h: 0.0,
        sample: Y::worst_sample(y0_dot, y0_dot, y0_dot, &options.tolerances()),
    })
}

/// Tolerances with which the norm of a finite state is zero.
const FINITE: Tolerances = Tolerances {
    rtol: 0.0,
    atol: f64::INFINITY,
};

/// The equations of a solution and its tangents.
struct Tangents<'f, F: Pushforward> {
    field: &'f mut F,
    theta_dots: Vec<F::Params>,
}

impl<F: Pushforward> VectorField for Tangents<'_, F> {
    type State = Moving<F::State>;

    /// Its state has tangents, with an [`ErrorControl`] of their own.
    const GUIDED: bool = false;

    fn eval(
        &mut self,
        t: f64,
        at: &Moving<F::State>,
        d: &mut Moving<F::State>,
    ) -> Result<(), SolveError> {
        self.field.eval_with_jvps(
            t,
            &at.y,
            &mut d.y,
            &at.tangents,
            &self.theta_dots,
            &mut d.tangents,
        )
    }
}

/// A solution and its tangents. All states of one solve have as many.
#[derive(Clone, Debug)]
struct Moving<Y> {
    y: Y,
    tangents: Vec<Y>,
    control: ErrorControl,
}

impl<Y> Moving<Y> {
    fn parts(&self) -> impl Iterator<Item = &Y> {
        core::iter::once(&self.y).chain(&self.tangents)
    }

    fn map(&self, of: impl Fn(&Y) -> Y) -> Self {
        Self {
            y: of(&self.y),
            tangents: self.tangents.iter().map(of).collect(),
            control: self.control,
        }
    }
}

impl<Y: State> State for Moving<Y> {
    fn unset(&self) -> Self {
        self.map(Y::unset)
    }

    fn nothing(&self) -> Self {
        self.map(Y::nothing)
    }

    fn len(&self) -> usize {
        self.parts().map(Y::len).sum()
    }

    fn samples(&self) -> usize {
        self.y.samples()
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.parts().map(Y::bytes).sum::<usize>()
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
        for (index, (tangent, out)) in self.tangents.iter().zip(&mut out.tangents).enumerate() {
            let terms = terms.clone();
            let tangents = terms.filter_map(|(c, x)| x.tangents.get(index).map(|x| (c, x)));
            tangent.combine_into(tangents, out)?;
        }
        Ok(())
    }

    fn zeros_like(&self) -> Result<Self, SolveError> {
        Ok(Self {
            y: self.y.zeros_like()?,
            tangents: self
                .tangents
                .iter()
                .map(Y::zeros_like)
                .collect::<Result<_, _>>()?,
            control: self.control,
        })
    }

    fn scaled_square_sum(
        error: &Self,
        y0: &Self,
        y1: &Self,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        let mut sum = 0.0;
        for ((error, y0), y1) in error.parts().zip(y0.parts()).zip(y1.parts()) {
            sum += Y::scaled_square_sum(error, y0, y1, tolerances)?;
        }
        Ok(sum)
    }

    /// The largest mean of a part in the norm; not finite if another part is not.
    fn scaled_mean_square(
        error: &Self,
        y0: &Self,
        y1: &Self,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        let (mut largest, control) = (0.0_f64, y0.control);
        let parts = error.parts().zip(y0.parts()).zip(y1.parts());
        for (index, ((error, y0), y1)) in parts.enumerate() {
            let tolerances = control.of_part(index, tolerances);
            let square = Y::scaled_mean_square(error, y0, y1, tolerances)?;
            if !square.is_finite() {
                return Ok(square);
            }
            largest = largest.max(square);
        }
        Ok(largest)
    }

    fn worst_sample(error: &Self, y0: &Self, y1: &Self, tolerances: &Tolerances) -> Option<usize> {
        let (mut worst, control) = ((f64::NEG_INFINITY, None), y0.control);
        let parts = error.parts().zip(y0.parts()).zip(y1.parts());
        for (index, ((error, y0), y1)) in parts.enumerate() {
            let tolerances = control.of_part(index, tolerances);
            let square = Y::scaled_mean_square(error, y0, y1, tolerances).ok()?;
            if !square.is_finite() {
                return Y::worst_sample(error, y0, y1, tolerances);
            }
            if square > worst.0 {
                worst = (square, Y::worst_sample(error, y0, y1, tolerances));
            }
        }
        worst.1
    }
}
