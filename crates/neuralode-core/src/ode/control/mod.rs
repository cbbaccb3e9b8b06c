//! Step size control: from the error of a step to its fate and the size of the next one.

mod initial_step;
mod power;

pub(crate) use initial_step::{first_size, initial_step, larger, probe_size};

use crate::ode::choices::Controller;

use power::Power;

/// Safety factor on every proposed step size.
const SAFETY: f64 = 0.9;
/// Strongest shrinking in one step.
const FACTOR_MIN: f64 = 0.2;
/// Strongest growth in one step.
const FACTOR_MAX: f64 = 10.0;

/// What becomes of an attempted step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// Whether the step is kept.
    pub(crate) accepted: bool,
    /// Size of the next attempt, as a multiple of this one's.
    pub(crate) factor: f64,
}

/// A controller. It sees numbers only, in f64; gradients never pass through it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Law {
    controller: Controller,
    /// Order of the method, by which the error's growth with the step is judged.
    order: f64,
    /// The square of an error to the inverse of the error's part in the factor.
    inverse_root: Power,
}

/// What a controller remembers of one solve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Error of the last accepted step (PI only).
    previous_error: f64,
    /// Binary logarithms of the errors of the last accepted steps, the newest first (PID only).
    logarithms: [f64; 2],
    first: bool,
}

impl Memory {
    /// Of a solve that begins.
    pub(crate) const NONE: Self = Self {
        previous_error: 1e-4,
        logarithms: [0.0; 2],
        first: true,
    };
}

/// A controller with its memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepControl {
    law: Law,
    memory: Memory,
}

impl StepControl {
    pub(crate) fn new(controller: Controller, order: usize) -> Self {
        Self {
            law: Law::new(controller, order),
            memory: Memory::NONE,
        }
    }

    /// Judges a step by the square of its scaled error: accepted at 1 or below, never if it is not finite.
    #[inline]
    pub(crate) fn judge(&mut self, square: f64) -> Verdict {
        self.law.judge(&mut self.memory, square)
    }

    /// What it remembers now.
    pub(crate) fn memory(&self) -> Memory {
        self.memory
    }

    /// Forgets the steps since `memory` was asked for.
    pub(crate) fn recall(&mut self, memory: Memory) {
        self.memory = memory;
    }
}

impl Law {
    pub(crate) fn new(controller: Controller, order: usize) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "orders are small")]
        let order = order as f64;
        Self {
            controller,
            order,
            inverse_root: Power::new(match controller {
                Controller::PI => -0.5 * Self::beta1(order),
                Controller::Pid { p, i, d } => -0.5 * (p + i + d) / order,
                Controller::I | Controller::Constant { .. } => -0.5 / order,
            }),
        }
    }

    /// The proportional exponent of PI.
    fn beta1(order: f64) -> f64 {
        7.0 / (10.0 * order)
    }

    /// See [`StepControl::judge`].
    #[inline]
    pub(crate) fn judge(&self, memory: &mut Memory, square: f64) -> Verdict {
        if !square.is_finite() {
            return Verdict {
                accepted: false,
                factor: FACTOR_MIN,
            };
        }
        match self.controller {
            Controller::I => self.judge_integral(square),
            Controller::PI => self.judge_proportional_integral(memory, square),
            Controller::Pid { p, d, .. } => self.judge_pid(memory, square, p, d),
            Controller::Constant { .. } => Verdict {
                accepted: true,
                factor: 1.0,
            },
        }
    }

    /// [`Self::judge`] for many solves: the same bits, and for the controller I without a branch, so that the
    /// compiler can make vector code of it; `accepted` is 1 or 0, as wide as the errors for the same reason.
    #[inline(always)]
    #[allow(
        clippy::inline_always,
        reason = "inlined into a function that runs under the widest vector instructions"
    )]
    pub(crate) fn judge_each<const L: usize>(
        &self,
        memories: &mut [Memory; L],
        squares: &[f64; L],
        accepted: &mut [f64; L],
        factors: &mut [f64; L],
    ) {
        if self.controller == Controller::I {
            self.inverse_root.of_each(squares, factors);
            for l in 0..L {
                let finite = squares[l].is_finite();
                let accept = finite && squares[l] <= 1.0;
                let (low, high) = if accept {
                    (1.0, FACTOR_MAX)
                } else {
                    (FACTOR_MIN, SAFETY)
                };
                let factor = (SAFETY * factors[l]).max(low).min(high);
                factors[l] = if finite { factor } else { FACTOR_MIN };
                accepted[l] = if accept { 1.0 } else { 0.0 };
            }
            return;
        }
        for l in 0..L {
            let verdict = self.judge(&mut memories[l], squares[l]);
            accepted[l] = if verdict.accepted { 1.0 } else { 0.0 };
            factors[l] = verdict.factor;
        }
    }

    /// As in diffrax's `PIDController` with its defaults: an accepted step never shrinks the next one.
    #[inline]
    fn judge_integral(&self, square: f64) -> Verdict {
        let accepted = square <= 1.0;
        let (low, high) = if accepted {
            (1.0, FACTOR_MAX)
        } else {
            (FACTOR_MIN, SAFETY)
        };
        // An error of zero gives an infinite factor, which the clamp turns into the largest one.
        let factor = (SAFETY * self.inverse_root.of(square)).clamp(low, high);
        Verdict { accepted, factor }
    }

    /// As in diffrax's `PIDController`. An error of zero counts as one of 1 when later steps look back at it.
    #[inline]
    fn judge_pid(&self, memory: &mut Memory, square: f64, p: f64, d: f64) -> Verdict {
        let accepted = square <= 1.0;
        let (low, high) = if accepted {
            (1.0, FACTOR_MAX)
        } else {
            (FACTOR_MIN, SAFETY)
        };
        let [last, before] = memory.logarithms;
        let terms = [(p + 2.0 * d, last), (-d, before)];
        // A coefficient of zero takes its error out, whatever that is.
        let exponent = terms
            .into_iter()
            .filter(|(coefficient, _)| *coefficient != 0.0)
            .map(|(coefficient, logarithm)| logarithm * (coefficient / self.order))
            .sum::<f64>();
        // Infinities of both signs may meet, where coefficients are extreme: then nothing is known.
        let factor = SAFETY * (self.inverse_root.of(square) * exponent.exp2());
        let factor = if factor.is_nan() { low } else { factor };
        if accepted {
            let newest = 0.5 * square.log2();
            memory.logarithms = [if newest.is_finite() { newest } else { 0.0 }, last];
        }
        Verdict {
            accepted,
            factor: factor.clamp(low, high),
        }
    }

    /// As in OrdinaryDiffEq.jl's `PIController`: `q = error^beta1 / previous^beta2 / safety`, and the step
    /// is divided by `q`. The very first step may be followed by a much larger one.
    #[inline]
    fn judge_proportional_integral(&self, memory: &mut Memory, square: f64) -> Verdict {
        let beta2 = 2.0 / (5.0 * self.order);
        let accepted = square <= 1.0;
        let proportional = self.inverse_root.of(square);
        if !accepted {
            let factor = (SAFETY * proportional).clamp(FACTOR_MIN, SAFETY);
            return Verdict { accepted, factor };
        }
        let high = if memory.first { 1e4 } else { FACTOR_MAX };
        let factor = SAFETY * memory.previous_error.powf(beta2) * proportional;
        memory.previous_error = square.sqrt().max(1e-4);
        memory.first = false;
        Verdict {
            accepted,
            factor: factor.clamp(FACTOR_MIN, high),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_or_infinite_error_rejects_and_shrinks() {
        for controller in [
            Controller::I,
            Controller::PI,
            Controller::Constant { dt: 0.1 },
        ] {
            for error in [f64::NAN, f64::INFINITY] {
                let verdict = StepControl::new(controller, 5).judge(error);
                assert_eq!(
                    verdict,
                    Verdict {
                        accepted: false,
                        factor: 0.2
                    },
                    "{controller:?}"
                );
            }
        }
    }

    #[test]
    fn an_error_of_zero_grows_the_step_by_the_largest_factor() {
        assert!((StepControl::new(Controller::I, 5).judge(0.0).factor - 10.0).abs() < 1e-15);
        let mut control = StepControl::new(Controller::PI, 5);
        assert!((control.judge(0.0).factor - 1e4).abs() < 1e-9);
        assert!((control.judge(0.0).factor - 10.0).abs() < 1e-15);
    }

    #[test]
    fn an_error_of_exactly_one_is_accepted_and_a_larger_one_is_not() {
        for controller in [Controller::I, Controller::PI] {
            assert!(StepControl::new(controller, 5).judge(1.0).accepted);
            assert!(!StepControl::new(controller, 5).judge(1.0 + 1e-12).accepted);
        }
    }

    #[test]
    fn a_rejected_step_always_shrinks() {
        for controller in [Controller::I, Controller::PI] {
            for error in [1.000_001, 2.0, 1e3, 1e100] {
                let verdict = StepControl::new(controller, 5).judge(error * error);
                assert!(
                    verdict.factor <= 0.9 && verdict.factor >= 0.2,
                    "{controller:?} {error}"
                );
            }
        }
    }

    #[test]
    fn many_errors_are_judged_as_each_alone() {
        const COUNT: usize = 48;
        let mut squares: [f64; COUNT] =
            core::array::from_fn(|i| (f64::from(u8::try_from(i).unwrap()) * 3.7 - 110.0).exp2());
        squares[..6].copy_from_slice(&[0.0, 1.0, f64::NAN, f64::INFINITY, f64::MAX, 5e-324]);
        let pid = Controller::Pid {
            p: 0.2,
            i: 0.4,
            d: 0.1,
        };
        for controller in [Controller::I, Controller::PI, pid] {
            let law = Law::new(controller, 5);
            let mut memories = [Memory::NONE; COUNT];
            let (mut accepted, mut factors) = ([0.0; COUNT], [0.0; COUNT]);
            law.judge_each(&mut memories, &squares, &mut accepted, &mut factors);
            for (l, square) in squares.into_iter().enumerate() {
                let alone = StepControl::new(controller, 5).judge(square);
                let together = Verdict {
                    accepted: accepted[l] > 0.0,
                    factor: factors[l],
                };
                assert_eq!(together, alone, "{controller:?} {square:e}");
            }
        }
    }

    #[test]
    fn the_pi_controller_settles_at_its_published_fixed_point() {
        // With error ~ h^5 and a smooth problem the accepted error tends to safety^(1 / (beta1 - beta2)).
        let mut control = StepControl::new(Controller::PI, 5);
        let mut h: f64 = 0.1;
        let mut error = 0.0;
        for _ in 0..200 {
            error = (h / 0.3).powi(5);
            h *= control.judge(error * error).factor;
        }
        let fixed_point = 0.9_f64.powf(1.0 / (0.14 - 0.08));
        assert!((error / fixed_point - 1.0).abs() < 1e-6, "{error}");
    }
}
