//! Time, step size, controller and counts of every lane.

use crate::{
    engine::lanes::Plan,
    ode::{
        control::Memory,
        error::{Quantity, SolveError},
        resolution::{equal_part, resolution},
        stats::Stats,
        stiffness::{is_stiff, stable_up_to},
    },
    simd::real::Real,
};

/// The larger one of two numbers that are none of them NaN, in one instruction.
#[inline(always)]
fn larger_of(a: f64, b: f64) -> f64 {
    if a > b {
        a
    } else {
        b
    }
}

/// The numbers of every lane that are not state. Answers are 1 or 0, as wide as the numbers that they come from:
/// vectors of bytes would have to be put together from pieces.
pub(crate) struct Lanes<const L: usize> {
    /// Whether there is a sample.
    pub(crate) busy: [f64; L],
    /// Its number within its group.
    pub(crate) sample: [usize; L],
    pub(crate) t: [f64; L],
    /// Size of the attempt, zero in an idle lane.
    pub(crate) h: [f64; L],
    /// Size of the next attempt, positive.
    pub(crate) size: [f64; L],
    /// Whether the attempt would reach the end.
    pub(crate) last: [f64; L],
    pub(crate) memory: [Memory; L],
    pub(crate) square: [f64; L],
    /// Size times rate of the fastest decay in the last attempt that a sample has.
    pub(crate) decay: [f64; L],
    pub(crate) accepts: [f64; L],
    pub(crate) factor: [f64; L],
    /// Accepted steps.
    pub(crate) accepted: [f64; L],
    /// Attempts.
    pub(crate) tries: [f64; L],
    /// Whether the sample has come to an end, good or bad.
    pub(crate) over: [f64; L],
    /// The next saved time, beyond the end if there is none.
    pub(crate) saves_at: [f64; L],
    /// Its index.
    pub(crate) time: [usize; L],
    pub(crate) dense_steps: [usize; L],
}

pub(crate) const fn one_if(yes: bool) -> f64 {
    if yes {
        1.0
    } else {
        0.0
    }
}

impl<const L: usize> Lanes<L> {
    pub(crate) const IDLE: Self = Self {
        busy: [0.0; L],
        sample: [0; L],
        t: [0.0; L],
        h: [0.0; L],
        size: [0.0; L],
        last: [0.0; L],
        memory: [Memory::NONE; L],
        square: [1.0; L],
        decay: [f64::NAN; L],
        accepts: [0.0; L],
        factor: [1.0; L],
        accepted: [0.0; L],
        tries: [0.0; L],
        over: [0.0; L],
        saves_at: [0.0; L],
        time: [0; L],
        dense_steps: [0; L],
    };

    pub(crate) fn is_busy(&self, lane: usize) -> bool {
        self.busy[lane] > 0.0
    }

    /// Puts `sample` into a lane, at its start.
    pub(crate) fn enter<E: Real>(
        &mut self,
        lane: usize,
        sample: usize,
        size: f64,
        plan: &Plan<'_, E>,
    ) {
        self.busy[lane] = 1.0;
        self.sample[lane] = sample;
        self.t[lane] = plan.options.t0;
        self.size[lane] = size;
        self.memory[lane] = Memory::NONE;
        (self.accepted[lane], self.tries[lane]) = (0.0, 0.0);
        self.dense_steps[lane] = 0;
        self.set_time(lane, 0, plan);
    }

    pub(crate) fn set_time<E: Real>(&mut self, lane: usize, time: usize, plan: &Plan<'_, E>) {
        let end = plan.options.t1;
        self.time[lane] = time;
        // What lies at the end, or beyond it by rounding, is the end's.
        self.saves_at[lane] = match plan.times.get(time) {
            Some(t) if (*t - end) * plan.direction < 0.0 => *t,
            _ => plan.direction * f64::INFINITY,
        };
    }

    /// Chooses the sizes of the next attempts.
    #[inline(always)]
    pub(crate) fn choose<E: Real>(&mut self, plan: &Plan<'_, E>) {
        let t1 = plan.options.t1;
        // All that is the same for every lane stands before the loop, which has no branch then.
        let Plan { reach, largest, .. } = *plan;
        let most = reach.of(largest);
        let (unit, floor) = if plan.adaptive {
            (1.0, plan.floor)
        } else {
            (0.0, 0.0)
        };
        for l in 0..L {
            let remaining = (t1 - self.t[l]).abs();
            // Below this the sum `t + h` may not differ from `t`.
            let smallest = larger_of(unit * resolution(self.t[l]), floor);
            let size = larger_of(self.size[l], smallest);
            let cut = remaining > most;
            let limited = reach.of(size) >= if cut { largest } else { remaining };
            let size = if limited { remaining } else { size };
            self.last[l] = one_if(limited && !cut);
            self.h[l] = if self.busy[l] > 0.0 {
                plan.direction * size
            } else {
                0.0
            };
        }
        if most < f64::INFINITY {
            // What was limited by the largest size, and not by the end.
            for l in 0..L {
                let remaining = (t1 - self.t[l]).abs();
                if remaining > most && self.h[l].abs() >= remaining {
                    self.h[l] = plan.direction * equal_part(remaining, most);
                }
            }
        }
    }

    /// Whether the attempt in a lane is the last one that its sample has.
    pub(crate) fn is_last_try<E: Real>(&self, lane: usize, plan: &Plan<'_, E>) -> bool {
        #[allow(clippy::cast_precision_loss, reason = "no solve takes 2^53 steps")]
        let most = plan.options.max_steps as f64;
        self.is_busy(lane) && self.tries[lane] + 1.0 >= most
    }

    /// Judges the attempts by their squares; returns whether there is a saved time in an accepted one.
    #[inline(always)]
    pub(crate) fn judge<E: Real>(&mut self, plan: &Plan<'_, E>) -> bool {
        for l in 0..L {
            self.square[l] = if self.busy[l] > 0.0 {
                self.square[l]
            } else {
                1.0
            };
        }
        plan.law.judge_each(
            &mut self.memory,
            &self.square,
            &mut self.accepts,
            &mut self.factor,
        );
        let mut saves = false;
        for l in 0..L {
            let size = self.h[l].abs();
            self.accepts[l] *= self.busy[l];
            let ahead = (self.saves_at[l] - self.t[l]) * plan.direction;
            saves |= self.accepts[l] > 0.0 && ahead < size;
            self.size[l] = size * self.factor[l];
        }
        saves
    }

    /// Moves time in the lanes whose attempt was accepted; returns whether a lane has come to an end, good or bad.
    #[inline(always)]
    pub(crate) fn advance<E: Real>(&mut self, plan: &Plan<'_, E>) -> bool {
        let (t0, t1) = (plan.options.t0, plan.options.t1);
        #[allow(clippy::cast_precision_loss, reason = "no solve takes 2^53 steps")]
        let most = plan.options.max_steps as f64;
        for l in 0..L {
            self.tries[l] += self.busy[l];
            self.accepted[l] += self.accepts[l];
        }
        // A rejected step cannot be tried again below the smallest size, nor where sizes are given.
        let floor = if plan.adaptive {
            plan.floor
        } else {
            f64::INFINITY
        };
        let mut any_over = false;
        for l in 0..L {
            // Equal steps stand at multiples of their size, however many there are.
            let next = if plan.adaptive {
                self.t[l] + self.h[l]
            } else {
                t0 + self.accepted[l] * self.h[l]
            };
            let hopeless = larger_of(resolution(self.t[l]), floor);
            let accepts = self.accepts[l] > 0.0;
            let last = self.last[l] > 0.0;
            let next = if last { t1 } else { next };
            self.t[l] = if accepts { next } else { self.t[l] };
            let fails = !accepts && self.size[l] < hopeless;
            let over = self.busy[l] > 0.0 && (accepts && last || fails || self.tries[l] >= most);
            self.over[l] = one_if(over);
            any_over |= over;
        }
        any_over
    }

    /// What became of the sample in a lane, if it has come to an end; `before` is the time before the attempt.
    pub(crate) fn outcome<E: Real>(
        &self,
        lane: usize,
        first: usize,
        plan: &Plan<'_, E>,
    ) -> Option<Result<(), SolveError>> {
        if self.over[lane] == 0.0 {
            return None;
        }
        let sample = Some(first + self.sample[lane]);
        let (t, h, error) = (self.t[lane], self.h[lane], self.square[lane].sqrt());
        let smallest = resolution(t).max(plan.floor);
        if self.accepts[lane] > 0.0 {
            if self.last[lane] > 0.0 {
                return Some(Ok(()));
            }
        } else if self.size[lane] < smallest || !plan.adaptive {
            return Some(Err(if error.is_finite() {
                SolveError::StepTooSmall {
                    t,
                    h,
                    error,
                    minimum: smallest,
                    sample,
                }
            } else {
                SolveError::NonFinite {
                    quantity: Quantity::Step,
                    t,
                    h,
                    sample,
                }
            }));
        }
        let (t1, steps) = (plan.options.t1, plan.options.max_steps);
        let (decay, limit) = (self.decay[lane], stable_up_to(&plan.tableau));
        if plan.adaptive && is_stiff(decay, limit, (t, t1), h, steps) {
            return Some(Err(SolveError::Stiff {
                t,
                t1,
                h,
                decay,
                limit,
                steps,
                sample,
            }));
        }
        Some(Err(SolveError::MaxSteps {
            t,
            t1,
            h,
            error,
            steps,
            sample,
        }))
    }

    /// What the sample in a lane cost.
    pub(crate) fn stats<E: Real>(&self, lane: usize, plan: &Plan<'_, E>) -> Stats {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole numbers, zero or more"
        )]
        let count = |x: f64| x as usize;
        let (tries, accepted) = (count(self.tries[lane]), count(self.accepted[lane]));
        let before = if plan.given_size().is_some() { 1 } else { 2 };
        Stats {
            field_calls: before + plan.tableau.evaluations * tries,
            accepted,
            rejected: tries - accepted,
            ..Stats::default()
        }
    }
}
