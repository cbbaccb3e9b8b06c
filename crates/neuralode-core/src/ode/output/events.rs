//! Events: where a function of time and state changes its sign along a solve, and the gradients of that.

use core::fmt;

use crate::ode::{
    error::{Quantity, SolveError},
    field::back::Cotangent,
    method::ButcherTableau,
    output::crossing::crossing,
    state::{alike, State},
    step::{finite, weighted, Step},
};

/// Which changes of sign count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Direction {
    /// Both.
    #[default]
    Any,
    /// From below zero to above it, as the solve goes.
    Rising,
    /// From above zero to below it, as the solve goes.
    Falling,
}

impl Direction {
    /// Whether a change to a value of this sign counts.
    fn counts(self, sign: f64) -> bool {
        match self {
            Self::Any => true,
            Self::Rising => sign > 0.0,
            Self::Falling => sign < 0.0,
        }
    }
}

/// Something that happens where a function `g(t, y)` changes its sign.
///
/// Signs are compared at the ends of steps: a function that crosses zero twice within one step goes unnoticed, unless
/// it is looked at between as well ([`Event::with_samples`]) or steps are short enough
/// ([`SolveOptions::dt_max`](crate::ode::options::SolveOptions::dt_max)). A crossing is then located on the dense
/// output, to two units in the last place of `t`, at the side where `g` has its new sign or is zero. Where `g` is
/// exactly zero, its sign a little later, 1/8192 of the step, says whether it crosses zero or touches it, which is no
/// event; at the start that is the sign with which it begins; so it is where `g` is zero there but for rounding, as
/// where a solve goes on after an event. A zero in which the span ends is an event.
///
/// # Cost
/// One call of `g` per accepted step and sample, two more where it is exactly zero, before and after that, one more at
/// the start, and per crossing about 8 with as many combinations of the stages.
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
    /// [`SolveError::GrazingEvent`] where `g` does not change along the solution, relative to the sizes of its parts,
    /// by more than the root of the state's machine epsilon: there the event's time has no derivative, and is itself
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
    /// use neuralode_core::{SolveError, SolveOptions, ode::{Solve, field::{Differentiable, VectorField, back::Cotangent}, method::TSIT5, output::events::Event}};
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
        alike(&self.y, g_y)?;
        alike(&self.y, y_bar)?;
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
    /// The function at the end of the last step, zero if its sign there is not known.
    before: Option<f64>,
    /// The sign that it had last; zero before it had one.
    sign: f64,
}

/// A function on its way through a step.
struct Walk {
    direction: Direction,
    sign: f64,
    /// Where it was looked at last.
    left: (f64, f64),
    /// The part of the step at which the span ends.
    most: f64,
    /// Of the root's place, as a part of the step.
    tolerance: f64,
}

/// How far behind a zero a function is looked at for its sign there, as a part of the step: a zero of second order
/// rises above rounding noise there.
const ASIDE: f64 = 1.0 / 8192.0;

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
            sign: 0.0,
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
    /// terminal event; if there is one, returns the part of the step before it, in `0..=1`. No function is asked beyond
    /// `t1`, the end of the span.
    pub(crate) fn step<const S: usize>(
        &mut self,
        tableau: &ButcherTableau<S>,
        step: &Step<&mut Y, &mut [Y; S]>,
        (end, t1): ((f64, &Y), f64),
    ) -> Result<Option<f64>, SolveError> {
        if self.events.is_empty() {
            return Ok(None);
        }
        let mut scratch = self.scratch.take().unwrap_or_else(|| step.y.clone());
        // A unit in the last place of times inside the step, and a little less where they come near zero.
        let size = f64::max(step.t.abs(), end.0.abs());
        let least = f64::min(step.t.abs(), end.0.abs());
        let tolerance = f64::EPSILON * f64::max(least, size / 1024.0) / step.h.abs();
        let most = 1.0 + ((t1 - end.0) / step.h).max(0.0);
        self.crossings.clear();
        for (index, watched) in self.events.iter_mut().enumerate() {
            let Watched {
                event,
                before,
                sign,
            } = watched;
            let function = &mut event.g;
            let mut g = |theta: f64| {
                #[allow(clippy::float_cmp, reason = "the end itself")]
                let value = if theta <= 0.0 {
                    function(step.t, &*step.y)
                } else if theta == 1.0 {
                    function(end.0, end.1)
                } else {
                    let weights = tableau.dense_weights(theta);
                    let terms = weighted(step.h, &weights, &*step.stages);
                    step.y.combine_into(terms, &mut scratch)?;
                    function(theta.mul_add(step.h, step.t), &scratch)
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
            let at_start = match *before {
                Some(before) => before,
                None => zero_if_almost(g(0.0)?, most, &mut g)?,
            };
            let mut walk = Walk {
                direction: event.direction,
                sign: *sign,
                left: past_zero((0.0, at_start), most, &mut g)?,
                most,
                tolerance,
            };
            if walk.turn(sign_of(walk.left.1)) {
                // The last step ended in a zero that had no end.
                self.crossings.push((0.0, index));
            }
            for sample in 1..=event.samples + 1 {
                #[allow(clippy::cast_precision_loss, reason = "samples are few")]
                let theta = sample as f64 / (event.samples + 1) as f64;
                if theta <= walk.left.0 {
                    continue;
                }
                let value = g(theta)?;
                let aside = theta - ASIDE;
                if value == 0.0 && aside > walk.left.0 {
                    // Another root may lie between the last point and this one.
                    let crossing = walk.pass((aside, g(aside)?), &mut g)?;
                    self.crossings.extend(crossing.map(|theta| (theta, index)));
                }
                if theta > walk.left.0 {
                    let crossing = walk.pass((theta, value), &mut g)?;
                    self.crossings.extend(crossing.map(|theta| (theta, index)));
                }
            }
            *sign = walk.sign;
            // A look beyond the end of the step is one into the next step, which looks for itself.
            *before = Some(if walk.left.0 > 1.0 { 0.0 } else { walk.left.1 });
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
                let t = theta.mul_add(step.h, step.t);
                finite(&y, (t, step.h))?;
                (t, y)
            };
            let weights = tableau.dense_derivative_weights(theta);
            let mut dy = y.unset();
            y.zeros_like()?
                .combine_into(weighted(1.0, &weights, &*step.stages), &mut dy)?;
            finite(&dy, (t, step.h))?;
            self.found.push(Occurrence { event, t, y, dy });
            let terminal = self.events.get(event).is_some_and(|at| at.event.terminal);
            if terminal {
                return Ok(Some(theta));
            }
        }
        Ok(None)
    }
}

impl Walk {
    /// Goes on to a sign; returns whether that is a change that counts.
    fn turn(&mut self, sign: f64) -> bool {
        let counts = self.sign * sign < 0.0 && self.direction.counts(sign);
        if sign != 0.0 {
            self.sign = sign;
        }
        counts
    }

    /// Goes on to the point `right`; returns where the function crosses zero on the way, or there.
    fn pass(
        &mut self,
        right: (f64, f64),
        g: &mut impl FnMut(f64) -> Result<f64, SolveError>,
    ) -> Result<Option<f64>, SolveError> {
        let old = self.sign;
        let past = past_zero(right, self.most, g)?;
        let left = core::mem::replace(&mut self.left, past);
        if right.1 == 0.0 {
            // A zero that the span ends in is reached, though nobody knows what would follow.
            let ends = past.0 <= right.0;
            let counts = self.turn(if ends { -old } else { sign_of(past.1) });
            return Ok(counts.then_some(right.0));
        }
        if !self.turn(sign_of(right.1)) {
            return Ok(None);
        }
        // Zeros from the last point on count as what was before.
        let flat = left.1 == 0.0;
        let before = old * f64::MIN_POSITIVE;
        let from = if flat { (left.0, before) } else { left };
        let theta = crossing(from, right, self.tolerance, |theta| {
            let value = g(theta)?;
            Ok::<_, SolveError>(if flat && value == 0.0 { before } else { value })
        })?;
        Ok(Some(theta))
    }
}

/// -1, 0 or 1.
fn sign_of(x: f64) -> f64 {
    if x == 0.0 {
        0.0
    } else {
        x.signum()
    }
}

/// The value of `g` at the start of a solve, or zero where that value is rounding error: `g` has the other sign a
/// little later, and is a billion times larger there. A solve that goes on from an event begins with such a value.
fn zero_if_almost(
    value: f64,
    most: f64,
    g: &mut impl FnMut(f64) -> Result<f64, SolveError>,
) -> Result<f64, SolveError> {
    if value == 0.0 {
        return Ok(value);
    }
    let later = g(ASIDE.min(most))?;
    let crosses = sign_of(value) * sign_of(later) < 0.0;
    Ok(if crosses && value.abs() <= 1e-9 * later.abs() {
        0.0
    } else {
        value
    })
}

/// A point of a function, or one a little later if it is zero there; no later than `most`.
fn past_zero(
    (theta, value): (f64, f64),
    most: f64,
    g: &mut impl FnMut(f64) -> Result<f64, SolveError>,
) -> Result<(f64, f64), SolveError> {
    let aside = (theta + ASIDE).min(most);
    if value != 0.0 || aside <= theta {
        return Ok((theta, value));
    }
    Ok((aside, g(aside)?))
}
