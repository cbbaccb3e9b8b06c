//! A zero of a function between two points where its signs differ.

/// The end of a bracket, at most `2 * tolerance` wide, in which `f` changes its sign: the one where `f` is zero or has
/// the sign that it has at `b`, so that a solve that goes on from there is past the change.
///
/// `a < b`, with values `fa` and `fb` of different signs, or `fb` zero. Never takes more than one evaluation beyond
/// those of bisection, and a few where `f` is smooth.
///
/// # Errors
/// Those of `f`.
///
/// # Sources
/// I. F. D. Oliveira, R. H. C. Takahashi, "An Enhancement of the Bisection Method Average Performance Preserving Minmax
/// Optimality", ACM Trans. Math. Softw. 47 (2020) 5, doi:10.1145/3423597: ITP with `k1 = 0.2 / (b - a)`, `k2 = 2`,
/// `n0 = 1`.
pub(crate) fn crossing<E>(
    (mut a, fa): (f64, f64),
    (mut b, fb): (f64, f64),
    tolerance: f64,
    mut f: impl FnMut(f64) -> Result<f64, E>,
) -> Result<f64, E> {
    let sign = if fb > 0.0 || (fb == 0.0 && fa < 0.0) {
        1.0
    } else {
        -1.0
    };
    let (mut low, mut high) = (sign * fa, sign * fb);
    let k1 = 0.2 / (b - a);
    // The widest that the bracket may be, were it halved each time, with one time to spare.
    let bisections = ((b - a) / (2.0 * tolerance)).log2().ceil().max(0.0) + 1.0;
    let mut allowed = tolerance * bisections.exp2();
    while b - a > 2.0 * tolerance && high != 0.0 {
        let middle = 0.5 * (a + b);
        if middle <= a || middle >= b {
            break;
        }
        let radius = allowed - 0.5 * (b - a);
        allowed *= 0.5;
        let shift = k1 * (b - a) * (b - a);
        let falsi = (high * a - low * b) / (high - low);
        let toward = (middle - falsi).signum();
        let truncated = if shift <= (middle - falsi).abs() {
            falsi + toward * shift
        } else {
            middle
        };
        let projected = if (truncated - middle).abs() <= radius {
            truncated
        } else {
            middle - toward * radius
        };
        // Infinite values make no secant, and rounding may leave the bracket.
        let x = if a < projected && projected < b {
            projected
        } else {
            middle
        };
        let value = sign * f(x)?;
        if value >= 0.0 {
            (b, high) = (x, value);
        } else {
            (a, low) = (x, value);
        }
    }
    Ok(b)
}

#[cfg(test)]
mod tests {
    use core::convert::Infallible;

    use super::crossing;

    fn count(f: impl Fn(f64) -> f64, a: f64, b: f64, tolerance: f64) -> (f64, usize) {
        let mut calls = 0;
        let of = |x| {
            calls += 1;
            Ok::<_, Infallible>(f(x))
        };
        let root = crossing((a, f(a)), (b, f(b)), tolerance, of).unwrap();
        (root, calls)
    }

    #[test]
    fn smooth_functions_take_few_evaluations_and_none_takes_more_than_bisection_and_one() {
        let functions: [(fn(f64) -> f64, f64, usize); 6] = [
            (|x| x - 0.3, 0.3, 10),
            (|x| 0.7 - x, 0.7, 10),
            (|x| x.exp() - 1.5, 1.5_f64.ln(), 10),
            (|x| (x - 0.4).powi(9), 0.4, 54),
            (|x| if x < 0.123 { -1e-300 } else { 1e300 }, 0.123, 54),
            (|x| if x < 0.9 { f64::NEG_INFINITY } else { 1.0 }, 0.9, 54),
        ];
        for (f, root, most) in functions {
            let (found, calls) = count(f, 0.0, 1.0, 1e-15);
            println!("{root}: {calls}");
            assert!((found - root).abs() <= 2.1e-15, "{found} is not {root}");
            assert!(f(found) == 0.0 || f(found) * f(1.0) > 0.0);
            assert!(calls <= most, "{calls} evaluations for {root}");
        }
    }

    #[test]
    fn a_zero_at_the_end_is_found_there() {
        let (found, calls) = count(|x| x - 1.0, 0.0, 1.0, 1e-15);
        assert!(found.to_bits() == 1.0_f64.to_bits() && calls == 0);
    }
}
