//! What a forward solve keeps for its adjoint.

use crate::ode::{
    adjoint::{
        backsolve, checked, discrete, gradient_error::together, pull_back, Checkpoints, Pullback,
    },
    choices::Adjoint,
    error::SolveError,
    field::{back::Cotangent, Differentiable, VectorField},
    method::ButcherTableau,
    options::SolveOptions,
    output::saved_points::solve_at,
    state::State,
    stats::Stats,
    step::Step,
    trajectory::{Recorder, Trajectory},
};

/// What the adjoint named in a solve's options needs of the forward solve, and no more.
///
/// | adjoint | what is kept |
/// |---|---|
/// | `Discrete`, `Interpolating`, `Gauss`, `Quadrature` | all accepted steps, `s + 1` states each |
/// | `Checkpointed` | some states and all step sizes, within its budget |
/// | `Backsolve` | the saved values and `y0` |
///
/// A [`Recorder`] of the forward solve; blocks use it, and [`solve_keeping`] does for fields of your own.
#[derive(Clone, Debug)]
pub struct Kept<Y: 'static, const S: usize> {
    tableau: &'static ButcherTableau<S>,
    options: SolveOptions,
    what: What<Y, S>,
}

#[derive(Clone, Debug)]
enum What<Y: 'static, const S: usize> {
    /// The saved values, with their times, and where the solve began.
    Values(Option<Y>, Vec<(f64, Y)>),
    Steps(Trajectory<Y, S>),
    Checkpoints(Checkpoints<Y, S>),
}

impl<Y: State, const S: usize> Kept<Y, S> {
    /// Nothing yet, for a solve with this tableau and these options.
    pub fn new(tableau: &'static ButcherTableau<S>, options: &SolveOptions) -> Self {
        let what = match options.adjoint {
            Adjoint::Discrete | Adjoint::Interpolating | Adjoint::Gauss | Adjoint::Quadrature => {
                What::Steps(Trajectory::new(tableau))
            }
            Adjoint::Checkpointed { bytes } => What::Checkpoints(Checkpoints::new(tableau, bytes)),
            Adjoint::Backsolve => What::Values(None, Vec::new()),
        };
        Self {
            tableau,
            options: options.clone(),
            what,
        }
    }

    /// Takes the values of the finished solve at its saved times, where the adjoint needs them.
    pub fn finish(&mut self, times: &[f64], values: &[Y]) {
        if let What::Values(_, kept) = &mut self.what {
            let times = times.iter().map(|t| self.options.meant(*t));
            kept.extend(times.zip(values.iter().cloned()));
        }
    }

    /// Pulls the cotangents of the saved values back to `y0` and the parameters, with the adjoint and the options of
    /// the forward solve. May be called again, with other cotangents.
    ///
    /// # Errors
    /// Those of [`crate::ode::adjoint::pull_back`], and [`SolveError::TimeNotSaved`] for a cotangent at another time
    /// than those of the solve where the adjoint is [`Adjoint::Backsolve`].
    pub fn pull_back<F: Differentiable<State = Y>>(
        &self,
        field: &mut F,
        cotangents: &[Cotangent<Y>],
    ) -> Result<Pullback<Y, F::Params>, SolveError> {
        let options = &self.options;
        match &self.what {
            What::Steps(trajectory) => pull_back(field, trajectory, cotangents, options),
            What::Checkpoints(kept) => checked(
                discrete::Steps::<F, S>::start(kept),
                cotangents,
                options,
                |cotangents, norms| discrete::pull_back(field, kept, cotangents, norms, options),
            ),
            What::Values(y0, values) => {
                let state = y0.as_ref().or(values.first().map(|(_, y)| y));
                checked(state, cotangents, options, |cotangents, norms| {
                    let values = (y0.as_ref(), values.as_slice());
                    let cotangents = (cotangents, together(norms));
                    backsolve::pull_back(field, self.tableau, values, cotangents, options)
                })
            }
        }
    }
}

impl<Y: State, const S: usize> Recorder<Y, S> for Kept<Y, S> {
    fn record(&mut self, step: Step<&mut Y, &mut [Y; S]>) -> Result<(), SolveError> {
        match &mut self.what {
            What::Values(y0, _) => {
                y0.get_or_insert_with(|| step.y.clone());
                Ok(())
            }
            What::Steps(trajectory) => trajectory.record(step),
            What::Checkpoints(checkpoints) => checkpoints.record(step),
        }
    }
}

/// [`solve_at`], with what the adjoint of `options` needs: the way from a hand-written [`Differentiable`] to its
/// gradients.
///
/// # Errors
/// Those of [`solve_at`], and [`SolveError::CheckpointBudget`].
///
/// # Examples
/// `dy/dt = theta y`, whose solution at 1 has the derivative `exp(theta)` by `y0` and `y0 exp(theta)` by `theta`:
/// ```
/// use neuralode_core::{Adjoint, SolveError, SolveOptions, ode::{adjoint::solve_keeping, field::{Differentiable, VectorField, back::Cotangent}, method::TSIT5}};
///
/// struct Growth(f64);
///
/// impl VectorField for Growth {
///     type State = [f64; 1];
///     fn eval(&mut self, _: f64, y: &[f64; 1], dy: &mut [f64; 1]) -> Result<(), SolveError> {
///         dy[0] = self.0 * y[0];
///         Ok(())
///     }
/// }
///
/// impl Differentiable for Growth {
///     type Params = [f64; 1];
///     fn zero_params(&mut self) -> Result<[f64; 1], SolveError> {
///         Ok([0.0])
///     }
///     fn vjp(
///         &mut self,
///         _: f64,
///         y: &[f64; 1],
///         c: &[f64; 1],
///         y_bar: &mut [f64; 1],
///         theta_bar: &mut [f64; 1],
///     ) -> Result<(), SolveError> {
///         (y_bar[0], theta_bar[0]) = (self.0 * c[0], y[0] * c[0]);
///         Ok(())
///     }
/// }
///
/// let mut field = Growth(0.5);
/// let options = SolveOptions::new(0.0, 1.0, 1e-9, 1e-9).with_adjoint(Adjoint::Gauss);
/// let (_, _, kept) = solve_keeping(&mut field, &TSIT5, [2.0], &[1.0], &options)?;
/// let pulled = kept.pull_back(&mut field, &[Cotangent { t: 1.0, value: [1.0] }])?;
/// assert!((pulled.y_bar[0] - 0.5_f64.exp()).abs() < 1e-7);
/// assert!((pulled.theta_bar[0] - 2.0 * 0.5_f64.exp()).abs() < 1e-7);
/// # Ok::<(), SolveError>(())
/// ```
pub fn solve_keeping<F: VectorField, const S: usize>(
    field: &mut F,
    tableau: &'static ButcherTableau<S>,
    y0: F::State,
    times: &[f64],
    options: &SolveOptions,
) -> Result<(Vec<F::State>, Stats, Kept<F::State, S>), SolveError> {
    let mut kept = Kept::new(tableau, options);
    let (values, stats) = solve_at(field, tableau, y0, times, options, &mut kept)?;
    kept.finish(times, &values);
    Ok((values, stats, kept))
}
