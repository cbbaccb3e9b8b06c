//! Events: where a function of time and state changes its sign along a solve, and the gradients of that.

use core::fmt;

use crate::{
    adjoint::Cotangent,
    error::{Quantity, SolveError},
    root::crossing,
    state::State,
    step::{weighted, Step},
    tableau::ButcherTableau,
};

/// Which changes of sign count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Direction {
    /// Both.
    #[default]
    Any,
    /// From below zero to zero or above, as the solve goes.
    Rising,
    /// From above zero to zero or below, as the solve goes.
    Falling,
}

/// Something that happens where a function `g(t, y)` changes its sign.
///
/// Signs are compared at the ends of steps: a function that crosses zero twice within one step goes unnoticed, unless
/// it is looked at between as well ([`Event::with_samples`]) or steps are short enough
/// ([`SolveOptions::dt_max`](crate::SolveOptions::dt_max)). A crossing is then located on the dense output, to two units
/// in the last place of `t`, at the side where `g` has its new sign or is zero. A function that is exactly zero at the
/// start has no sign there, and what it does first is no crossing; where it may be almost zero, as behind an event with
/// a changed state, name the direction that counts.
///
/// # Cost
/// One call of `g` per accepted step and sample, and per crossing about 8 with as many combinations of the stages.
pub struct Event<'e, Y> {
    g: Box<dyn FnMut(f64, &Y) -> f64 + 'e>,
    direction: Direction,
    terminal: bool,
    samples: usize,
}

impl<Y> fmt::Debug for Event<'_, Y> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("direction", &self.direction)
            .field("terminal", &self.terminal)
            .field("samples", &self.samples)
            .finish_non_exhaustive()
    }
}

impl<'e, Y> Event<'e, Y> {
    /// An event where `g` changes its sign in either direction, which is recorded.
    pub fn new(g: impl FnMut(f64, &Y) -> f64 + 'e) -> Self {
        Self {
            g: Box::new(g),
            direction: Direction::Any,
            terminal: false,
            samples: 0,
        }
    }

    /// The same event for changes to above zero alone, as the solve goes.
    #[must_use]
    pub fn rising(mut self) -> Self {
        self.direction = Direction::Rising;
        self
    }

    /// The same event for changes to below zero alone, as the solve goes.
    #[must_use]
    pub fn falling(mut self) -> Self {
        self.direction = Direction::Falling;
        self
    }

    /// The same event, ending the solve when it first happens.
    #[must_use]
    pub fn terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// The same event, with `g` looked at in so many equally spaced points inside every step as well: 65536 at most,
    /// or the solve gives [`SolveError::InvalidSetting`].
    #[must_use]
    pub fn with_samples(mut self, samples: usize) -> Self {
        self.samples = samples;
        self
    }
}

/// An event that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Occurrence<Y> {
    /// Which event, by its place among those of the solve.
    pub event: usize,
    /// When.
    pub t: f64,
    /// The solution then, from the dense output.
    pub y: Y,
    /// The derivative of the dense output then: `f(t, y)`, to the interpolant's accuracy.
    pub dy: Y,
}

/// The cotangents behind those of an event's time and state.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EventPullback<Y> {
    /// The cotangent of the solution at the event's time, held fixed: what an adjoint takes.
    pub cotangent: Cotangent<Y>,
    /// The cotangent `dL/dg` of a shift of the event's function: times `dg/dphi`, the gradient of the function's own
    /// parameters `phi`.
    pub g_bar: f64,
}

impl<Y: State> Occurrence<Y> {
    /// Pulls the cotangents of the event's time, `dL/dt`, and of the state there, `dL/dy`, back to the one of the
    /// solution at that time. `gradient` is that of the event's function, `(dg/dt, dg/dy)`, at `(t, y)`.
    ///
    /// The event's time `T` solves `g(T, y(T)) = 0`, so that it moves with the solution by
    /// `dT = -<g_y, dy> / (g_t + <g_y, f>)`, and the state at it by `dy + f dT`. Hence
    ///
    /// ```text
    /// g_bar  = -(<y_bar, f> + t_bar) / (g_t + <g_y, f>)
    /// lambda = y_bar + g_bar g_y
    /// ```
    ///
    /// with the derivative of the dense output for `f`: under the discrete adjoint the result is the exact derivative
    /// of the numbers that the solve returned, its step sizes held fixed. Costs three scalar products.
    ///
    /// # Errors
    /// [`SolveError::GrazingEvent`] where `g` does not change along the solution, relative to the sizes of its parts, by
    /// more than the root of the state's machine epsilon: there the event's time has no derivative, and is itself
    /// known to half its digits at best. [`SolveError::NonFinite`] for cotangents or gradients that are not finite, and
    /// [`SolveError::Device`].
    ///
    /// # Sources
    /// R. T. Q. Chen, B. Amos, M. Nickel, "Learning Neural Event Functions for Ordinary Differential Equations", ICLR
    /// 2021, arXiv:2011.03902, section 3.
    ///
    /// # Examples
    /// How the time of a stone's fall, `sqrt(2 h / g)` from the height `h`, changes with that height:
    /// ```
    /// use neuralode_runtime::{
    ///     adjoint::Cotangent,
    ///     events::Event,
    ///     ode::Solve,
    ///     tableau::TSIT5,
    ///     vector_field::{Differentiable, VectorField},
    ///     SolveError, SolveOptions,
    /// };
    ///
    /// /// Height and speed under gravity, the parameter.
    /// struct Fall(f64);
    ///
    /// impl VectorField for Fall {
    ///     type State = [f64; 2];
    ///     fn eval(&mut self, _: f64, y: &[f64; 2], dy: &mut [f64; 2]) -> Result<(), SolveError> {
    ///         *dy = [y[1], -self.0];
    ///         Ok(())
    ///     }
    /// }
    ///
    /// impl Differentiable for Fall {
    ///     type Params = [f64; 1];
    ///     fn zero_params(&mut self) -> Result<[f64; 1], SolveError> {
    ///         Ok([0.0])
    ///     }
    ///     fn vjp(
    ///         &mut self,
    ///         _: f64,
    ///         _: &[f64; 2],
    ///         c: &[f64; 2],
    ///         y_bar: &mut [f64; 2],
    ///         theta_bar: &mut [f64; 1],
    ///     ) -> Result<(), SolveError> {
    ///         (*y_bar, *theta_bar) = ([0.0, c[0]], [-c[1]]);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let mut field = Fall(9.81);
    /// let options = SolveOptions::new(0.0, 10.0, 1e-9, 1e-9);
    /// let (solution, kept) = Solve::new(&mut field, [20.0, 0.0], &options)
    ///     .event(Event::new(|_, y: &[f64; 2]| y[0]).falling().terminal())
    ///     .run_keeping(&TSIT5)?;
    /// let impact = &solution.events[0];
    /// assert!((impact.t - (2.0 * 20.0 / 9.81_f64).sqrt()).abs() < 1e-9);
    ///
    /// // The gradient of the time itself: its cotangent is 1, the state's is zero.
    /// let back = impact.pull_back((0.0, &[1.0, 0.0]), (1.0, &[0.0, 0.0]))?;
    /// let pulled = kept.pull_back(&mut field, &[back.cotangent])?;
    /// assert!((pulled.y_bar[0] - impact.t / (2.0 * 20.0)).abs() < 1e-9);
    /// assert!((pulled.theta_bar[0] + impact.t / (2.0 * 9.81)).abs() < 1e-9);
    /// # Ok::<(), SolveError>(())
    /// ```
    pub fn pull_back(
        &self,
        gradient: (f64, &Y),
        (t_bar, y_bar): (f64, &Y),
    ) -> Result<EventPullback<Y>, SolveError> {
        let (g_t, g_y) = gradient;
        let along = g_y.dot(&self.dy)?;
        let slope = g_t + along;
        let size = g_t.abs() + (g_y.dot(g_y)?.sqrt() * self.dy.dot(&self.dy)?.sqrt());
        let g_bar = -(y_bar.dot(&self.dy)? + t_bar) / slope;
        if !size.is_finite() {
            return Err(SolveError::NonFinite {
                quantity: Quantity::EventFunction,
                t: self.t,
                h: 0.0,
                sample: None,
            });
        }
        if slope.abs() <= self.y.epsilon().sqrt() * size {
            return Err(SolveError::GrazingEvent {
                event: self.event,
                t: self.t,
                slope,
            });
        }
        if !g_bar.is_finite() {
            return Err(SolveError::NonFinite {
                quantity: Quantity::Cotangent,
                t: self.t,
                h: 0.0,
                sample: None,
            });
        }
        let mut value = y_bar.unset();
        y_bar.combine_into([(g_bar, g_y)].into_iter(), &mut value)?;
        Ok(EventPullback {
            cotangent: Cotangent { t: self.t, value },
            g_bar,
        })
    }
}

/// The most points inside a step at which an event is looked at.
const MOST_SAMPLES: usize = 1 << 16;

/// An event along a solve.
struct Watched<'e, Y> {
    event: Event<'e, Y>,
    /// The function where it was last looked at.
    before: Option<f64>,
}

/// Finds the events of a solve, step by step.
pub(crate) struct Watch<'e, Y> {
    events: Vec<Watched<'e, Y>>,
    /// Crossings in the current step: its part before them, and the event.
    crossings: Vec<(f64, usize)>,
    scratch: Option<Y>,
    pub(crate) found: Vec<Occurrence<Y>>,
}

impl<'e, Y: State> Watch<'e, Y> {
    pub(crate) fn new(events: Vec<Event<'e, Y>>) -> Self {
        let watched = events.into_iter().map(|event| Watched {
            event,
            before: None,
        });
        Self {
            events: watched.collect(),
            crossings: Vec::new(),
            scratch: None,
            found: Vec::new(),
        }
    }

    /// An error if an event cannot be watched.
    pub(crate) fn validate(&self) -> Result<(), SolveError> {
        let samples = self.events.iter().map(|watched| watched.event.samples);
        match samples.max() {
            #[allow(clippy::cast_precision_loss, reason = "for a message")]
            Some(most) if most > MOST_SAMPLES => Err(SolveError::InvalidSetting {
                layer: "Event",
                name: "samples",
                found: most as f64,
                expected: "at most 65536 points inside a step",
            }),
            _ => Ok(()),
        }
    }

    /// Finds what happens in an accepted step that ends at `end`, in the order in which it happens, up to the first
    /// terminal event; if there is one, returns the part of the step before it, in `0..=1`.
    pub(crate) fn step<const S: usize>(
        &mut self,
        tableau: &ButcherTableau<S>,
        step: &Step<&mut Y, &mut [Y; S]>,
        end: (f64, &Y),
    ) -> Result<Option<f64>, SolveError> {
        if self.events.is_empty() {
            return Ok(None);
        }
        let mut scratch = self.scratch.take().unwrap_or_else(|| step.y.clone());
        let size = f64::max(step.t.abs(), end.0.abs());
        let tolerance = f64::EPSILON * f64::max(size / step.h.abs(), 0.5);
        self.crossings.clear();
        for (index, Watched { event, before }) in self.events.iter_mut().enumerate() {
            let mut g = |theta: f64| {
                let value = if theta <= 0.0 {
                    (event.g)(step.t, &*step.y)
                } else if theta >= 1.0 {
                    (event.g)(end.0, end.1)
                } else {
                    let weights = tableau.dense_weights(theta);
                    let terms = weighted(step.h, &weights, &*step.stages);
                    step.y.combine_into(terms, &mut scratch)?;
                    (event.g)(theta.mul_add(step.h, step.t), &scratch)
                };
                if value.is_nan() {
                    return Err(SolveError::NonFinite {
                        quantity: Quantity::EventFunction,
                        t: step.t,
                        h: step.h,
                        sample: None,
                    });
                }
                Ok(value)
            };
            let mut left = (
                0.0,
                match *before {
                    Some(before) => before,
                    None => g(0.0)?,
                },
            );
            #[allow(clippy::cast_precision_loss, reason = "samples are few")]
            for sample in 1..=event.samples + 1 {
                let theta = sample as f64 / (event.samples + 1) as f64;
                let right = (theta, g(theta)?);
                if counts(event.direction, left.1, right.1) {
                    let theta = crossing(left, right, tolerance, &mut g)?;
                    self.crossings.push((theta, index));
                }
                left = right;
            }
            *before = Some(left.1);
        }
        self.scratch = Some(scratch);
        self.crossings.sort_by(|a, b| a.0.total_cmp(&b.0));
        for &(theta, event) in &self.crossings {
            let (t, y) = if theta >= 1.0 {
                (end.0, end.1.clone())
            } else {
                let weights = tableau.dense_weights(theta);
                let mut y = step.y.unset();
                step.y
                    .combine_into(weighted(step.h, &weights, &*step.stages), &mut y)?;
                (theta.mul_add(step.h, step.t), y)
            };
            let weights = tableau.dense_derivative_weights(theta);
            let mut dy = y.unset();
            y.zeros_like()?
                .combine_into(weighted(1.0, &weights, &*step.stages), &mut dy)?;
            self.found.push(Occurrence { event, t, y, dy });
            let terminal = self.events.get(event).is_some_and(|at| at.event.terminal);
            if terminal {
                return Ok(Some(theta));
            }
        }
        Ok(None)
    }
}

/// Whether a change from `before` to `after` counts.
fn counts(direction: Direction, before: f64, after: f64) -> bool {
    let rising = before < 0.0 && after >= 0.0;
    let falling = before > 0.0 && after <= 0.0;
    match direction {
        Direction::Any => rising || falling,
        Direction::Rising => rising,
        Direction::Falling => falling,
    }
}
