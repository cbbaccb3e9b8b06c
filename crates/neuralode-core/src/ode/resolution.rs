//! The resolution of time: the numbers around `t` lie apart, so that steps can be too small, and times that are meant
//! to be equal may not be.

/// The smallest step from `t` whose stages lie at times of their own: 8 to 16 units in the last place of `t`.
#[inline(always)]
#[allow(
    clippy::inline_always,
    reason = "inlined into a function that runs under the widest vector instructions"
)]
pub fn resolution(t: f64) -> f64 {
    8.0 * f64::EPSILON * t.abs()
}

/// The smallest size of steps from `t` that are all equal, or at most so large: 2 to 4 units in its last place, with
/// which time moves.
pub(crate) fn smallest_given(t: f64) -> f64 {
    0.25 * resolution(t)
}

/// How far a step of some size takes a solve along one leg: by a little more than its size, where what would be left
/// behind it is rounding noise, and no step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// What rounding has made of the times along the leg.
    slack: f64,
    /// The largest part of a size by which a step may be longer. A rejected step shrinks by more than that.
    share: f64,
}

impl Reach {
    /// Along the leg from `start` to `end`; equal steps are never rejected.
    pub(crate) fn new(start: f64, end: f64, adaptive: bool) -> Self {
        Self {
            // The ends and the size of a step are rounded, and so are the multiples of it: each to a unit at most.
            slack: 0.5 * resolution(start.abs().max(end.abs())),
            share: if adaptive { 1.0 / 16.0 } else { 0.5 },
        }
    }

    /// How far a step of this size may go.
    #[inline(always)]
    #[allow(
        clippy::inline_always,
        reason = "inlined into a function that runs under the widest vector instructions"
    )]
    pub(crate) fn of(&self, size: f64) -> f64 {
        // Sizes that are meant to divide a span do so to ten digits.
        let share = self.share * size;
        let more = if share < self.slack {
            share
        } else {
            self.slack
        };
        (1.0 + 1e-10) * size + more
    }
}

/// The size of the next of equal steps over what remains, none of which goes farther than `reach`: a largest size
/// leaves no tiny step at the end.
#[inline(always)]
#[allow(
    clippy::inline_always,
    reason = "inlined into a function that runs under the widest vector instructions"
)]
pub(crate) fn equal_part(remaining: f64, reach: f64) -> f64 {
    remaining / (remaining / reach).ceil()
}

/// `t`, or the end of the span that it means where rounding has taken it outside.
///
/// A running sum of 2000 terms is off by up to 1024 units in the last place, and an end that went through f32 is the
/// f32 next to it. Neither may be more than a thousandth of the span, as long as time resolves that.
pub(crate) fn within(t: f64, (t0, t1): (f64, f64)) -> f64 {
    let (low, high) = (t0.min(t1), t0.max(t1));
    let end = if t < low {
        low
    } else if t > high {
        high
    } else {
        return t;
    };
    let unit = f64::EPSILON * low.abs().max(high.abs());
    let most = (1e-3 * (high - low)).max(2.0 * unit);
    let off = (t - end).abs();
    #[allow(clippy::cast_possible_truncation, reason = "it is what was done")]
    let through_f32 = f64::from(end as f32).to_bits() == t.to_bits();
    if off <= most && (off <= 1024.0 * unit || through_f32) {
        end
    } else {
        t
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::float_cmp, reason = "equal bits are meant")]
    fn a_time_beside_an_end_is_the_end_and_no_other_is() {
        let span = (0.0, 0.3);
        assert_eq!(within(3.0 * 0.1, span), 0.3);
        assert_eq!(within(f64::from(0.3_f32), span), 0.3);
        assert_eq!(within(-1e-17, span), 0.0);
        for t in [
            0.0,
            0.1,
            0.3_f64.next_down(),
            0.3 + 1e-12,
            0.300_000_01,
            -1e-9,
        ] {
            assert_eq!(within(t, span), t);
        }
        // Far from zero a unit in the last place may be a large part of the span.
        let far = (1e15_f64, 1e15_f64 + 1.0);
        assert_eq!(within(far.1.next_up(), far), far.1);
        assert_eq!(within(far.1 + 0.75, far), far.1 + 0.75);
        assert!(within(f64::NAN, span).is_nan());
        assert_eq!(within(f64::INFINITY, span), f64::INFINITY);
    }

    #[test]
    fn a_step_goes_farther_by_rounding_noise_alone_and_less_than_a_rejected_one_shrinks() {
        let reach = Reach::new(0.0, 1.0, true);
        assert!(reach.of(0.1) - 0.1 < 2e-11);
        assert!(0.9 * reach.of(1e-15) < 1e-15);
        assert!(reach.of(f64::INFINITY) == f64::INFINITY);
        let equal = Reach::new(16866.0, 16866.2, false);
        assert!(equal.of(0.01) - 0.01 > 16866.2_f64.next_up() - 16866.2);
    }
}
