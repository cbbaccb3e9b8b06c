//! Where steps must end: at stops, on both sides of the field's jumps, and at the end of the span.

use crate::ode::options::SolveOptions;

/// What happens where a leg ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The solve is done.
    Done,
    /// The next step goes on.
    GoOn,
    /// The field has jumped: the next step needs a first stage of its own.
    Restart,
}

/// The steps up to the next place at which one must end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Leg {
    /// Where its last step ends.
    pub(crate) end: f64,
    /// The time from there on; another one where the field jumps between the two.
    pub(crate) resume: f64,
    pub(crate) then: Then,
}

impl Leg {
    /// The size of a step from `t` to the end, a little less than `h` if rounding would take its last stage over the
    /// jump there. Nodes lie in `0..=1`, so that no other stage gets farther.
    pub(crate) fn clip(&self, t: f64, mut h: f64) -> f64 {
        #[allow(clippy::float_cmp, reason = "equal unless there is a jump")]
        if self.end == self.resume {
            return h;
        }
        let over = |h: f64| {
            let reached = h.mul_add(1.0, t);
            if h < 0.0 {
                reached < self.end
            } else {
                reached > self.end
            }
        };
        while over(h) {
            h = if h < 0.0 { h.next_up() } else { h.next_down() };
        }
        h
    }
}

/// The stops and jumps of a solve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Legs<'o> {
    step_at: &'o [f64],
    jump_at: &'o [f64],
    t1: f64,
    backward: bool,
}

impl<'o> Legs<'o> {
    /// Those of valid options.
    pub(crate) fn new(options: &'o SolveOptions) -> Self {
        Self {
            step_at: &options.step_at,
            jump_at: &options.jump_at,
            t1: options.t1,
            backward: options.t1 < options.t0,
        }
    }

    /// Where a solve from `t0` begins: beside a jump at `t0`, on the side to which it goes.
    pub(crate) fn start(&self, t0: f64) -> f64 {
        let first = self.jump_at.partition_point(|jump| *jump < t0);
        if self.jump_at.get(first) == Some(&t0) {
            self.behind(t0)
        } else {
            t0
        }
    }

    /// The next leg from `t` on, and where it begins: behind `t` where jumps are neighbours, and nothing lies between
    /// them. If nothing is left of the span it ends where it begins, or before.
    pub(crate) fn next(&self, mut t: f64) -> (f64, Leg) {
        loop {
            let leg = self.after(t);
            if leg.then == Then::Done || self.passes(t, leg.end) {
                return (t, leg);
            }
            t = leg.resume;
        }
    }

    /// The leg that begins at `t`. Its end may lie at `t` or before it.
    fn after(&self, t: f64) -> Leg {
        let mut leg = Leg {
            end: self.t1,
            resume: self.t1,
            then: Then::Done,
        };
        if let Some(stop) = self.ahead(self.step_at, t) {
            if self.passes(stop, self.t1) {
                leg = Leg {
                    end: stop,
                    resume: stop,
                    then: Then::GoOn,
                };
            }
        }
        if let Some(jump) = self.ahead(self.jump_at, t) {
            // A jump at the end of the span is not crossed.
            let at_end = !self.passes(jump, self.t1) && !self.passes(self.t1, jump);
            if at_end && leg.then == Then::Done {
                leg.end = self.before(jump);
            } else if !at_end && !self.passes(leg.end, jump) {
                leg = Leg {
                    end: self.before(jump),
                    resume: self.behind(jump),
                    then: Then::Restart,
                };
            }
        }
        leg
    }

    /// Whether the solve comes to `a` before `b`.
    pub(crate) fn passes(&self, a: f64, b: f64) -> bool {
        if self.backward {
            a > b
        } else {
            a < b
        }
    }

    /// The first of `stops` that the solve meets behind `t`.
    fn ahead(&self, stops: &[f64], t: f64) -> Option<f64> {
        let index = if self.backward {
            stops.partition_point(|stop| *stop < t).checked_sub(1)?
        } else {
            stops.partition_point(|stop| *stop <= t)
        };
        stops.get(index).copied()
    }

    /// The last number before `t`.
    fn before(&self, t: f64) -> f64 {
        if self.backward {
            t.next_up()
        } else {
            t.next_down()
        }
    }

    /// The first number behind `t`.
    fn behind(&self, t: f64) -> f64 {
        if self.backward {
            t.next_down()
        } else {
            t.next_up()
        }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "equal bits are meant")]
mod tests {
    use super::*;

    fn options(t0: f64, t1: f64) -> SolveOptions {
        SolveOptions::new(t0, t1, 1e-3, 1e-3)
            .with_step_at(vec![0.25, 0.5, 2.0])
            .with_jump_at(vec![0.0, 0.5, 0.75, 1.0])
    }

    /// Ends and resumes of all legs.
    fn walk(options: &SolveOptions) -> Vec<(f64, f64, Then)> {
        let legs = Legs::new(options);
        let mut found = Vec::new();
        let (_, mut leg) = legs.next(legs.start(options.t0));
        loop {
            found.push((leg.end, leg.resume, leg.then));
            if leg.then == Then::Done {
                return found;
            }
            let (start, next) = legs.next(leg.resume);
            assert!(legs.passes(start, next.end));
            leg = next;
        }
    }

    #[test]
    fn legs_end_at_stops_and_on_both_sides_of_jumps_in_either_direction() {
        let (up, down) = (f64::next_up, f64::next_down);
        assert_eq!(
            walk(&options(0.0, 1.0)),
            [
                (0.25, 0.25, Then::GoOn),
                (down(0.5), up(0.5), Then::Restart),
                (down(0.75), up(0.75), Then::Restart),
                (down(1.0), 1.0, Then::Done),
            ]
        );
        assert_eq!(
            walk(&options(0.9, -1.0)),
            [
                (up(0.75), down(0.75), Then::Restart),
                (up(0.5), down(0.5), Then::Restart),
                (0.25, 0.25, Then::GoOn),
                (up(0.0), down(0.0), Then::Restart),
                (-1.0, -1.0, Then::Done),
            ]
        );
        let neighbours =
            SolveOptions::new(0.0, 1.0, 1e-3, 1e-3).with_jump_at(vec![0.5, up(0.5), up(up(0.5))]);
        assert_eq!(Legs::new(&neighbours).next(up(0.5)).0, up(up(up(0.5))));
        let backward = options(0.5, 0.3);
        assert!(Legs::new(&backward).start(0.5) < 0.5);
        assert_eq!(walk(&backward), [(0.3, 0.3, Then::Done)]);
    }

    #[test]
    fn the_last_stage_before_a_jump_does_not_round_onto_it() {
        let leg = Leg {
            end: 0.0_f64.next_down(),
            resume: 0.0_f64.next_up(),
            then: Then::Restart,
        };
        let h = leg.clip(-1.0, 1.0);
        assert!(h.mul_add(1.0, -1.0) < 0.0 && h > 0.999);
        let leg = Leg {
            end: 0.1_f64.next_up(),
            resume: 0.1_f64.next_down(),
            then: Then::Restart,
        };
        for t in [0.3, 0.7, 1.1, 1e3, 1e9] {
            let h = leg.clip(t, leg.end - t);
            assert!(h.mul_add(1.0, t) > 0.1, "{t}");
        }
    }
}
