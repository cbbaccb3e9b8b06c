//! Conditions on numbers that are constants of a user's crate, with messages of their own: the macro sees their names,
//! the compiler knows their types and values.

/// The type of a number: `f64`.
#[diagnostic::on_unimplemented(
    message = "times, tolerances, coefficients and settings are `f64`, found a constant of the type `{Self}`",
    label = "expected `f64`, found `{Self}`",
    note = "declare it as a `const` of the type `f64`"
)]
pub trait Number: Copy {}

impl Number for f64 {}

/// Compiles only for a number; the value is of no interest.
pub const fn check_number<T: Number>(_: &T) -> usize {
    0
}

/// A number, as generated code names it.
///
/// `CHECKED` is a constant whose value says that the type is one. Where it is none, evaluating the constant is the
/// error, at the user's constant; what has it in its type is then unknown to the compiler, which says no more of it.
pub trait CheckedNumber<const CHECKED: usize>: Copy {
    /// The type itself.
    type Itself;
}

impl<const CHECKED: usize, T: Number> CheckedNumber<CHECKED> for T {
    type Itself = T;
}

/// The number itself.
pub const fn number<const CHECKED: usize, T: CheckedNumber<CHECKED, Itself = T>>(
    value: T,
) -> T::Itself {
    value
}

/// What is asked of a constant.
#[derive(Clone, Copy, Debug)]
pub struct Constant;

/// A relative tolerance.
#[diagnostic::on_unimplemented(
    message = "`rtol` must be positive and below 1, found a constant that is not",
    label = "expected a number above 0 and below 1",
    note = "give the constant a value such as `1e-3`"
)]
pub trait RelativeTolerance<const IS_RIGHT: bool> {}

impl RelativeTolerance<true> for Constant {}

/// Whether a number is a relative tolerance.
pub const fn is_rtol(number: f64) -> bool {
    0.0 < number && number < 1.0
}

/// Compiles only for a relative tolerance.
pub const fn assert_rtol<const IS_RIGHT: bool>()
where
    Constant: RelativeTolerance<IS_RIGHT>,
{
}

/// An absolute tolerance.
#[diagnostic::on_unimplemented(
    message = "`atol` must be positive and finite, found a constant that is not",
    label = "expected a finite number above 0",
    note = "give the constant a value such as `1e-6`"
)]
pub trait AbsoluteTolerance<const IS_RIGHT: bool> {}

impl AbsoluteTolerance<true> for Constant {}

/// Whether a number is positive and finite.
pub const fn is_positive(number: f64) -> bool {
    0.0 < number && number < f64::INFINITY
}

/// Compiles only for an absolute tolerance.
pub const fn assert_atol<const IS_RIGHT: bool>()
where
    Constant: AbsoluteTolerance<IS_RIGHT>,
{
}

/// The size of equal steps.
#[diagnostic::on_unimplemented(
    message = "`dt` must be positive and finite, found a constant that is not",
    label = "expected a finite number above 0",
    note = "give the constant a value such as `0.1`; it is positive backwards in time as well"
)]
pub trait StepSize<const IS_RIGHT: bool> {}

impl StepSize<true> for Constant {}

/// Compiles only for a step size.
pub const fn assert_dt<const IS_RIGHT: bool>()
where
    Constant: StepSize<IS_RIGHT>,
{
}

/// A step no larger than the span.
#[diagnostic::on_unimplemented(
    message = "`dt` must not be larger than the span, and with these constants it is",
    label = "expected at most the distance between the ends of the span",
    note = "give the constant a value that is a part of the span, or the span an end further away"
)]
pub trait StepInSpan<const IS_RIGHT: bool> {}

impl StepInSpan<true> for Constant {}

/// Whether a step of the size `dt` is no larger than the span, up to the rounding of its ends. Numbers that are wrong
/// in themselves are not judged here.
pub const fn step_fits(dt: f64, t0: f64, t1: f64) -> bool {
    let resolution = 4.0 * f64::EPSILON * t0.abs().max(t1.abs());
    let is_right = is_positive(dt) && t0.is_finite() && t1.is_finite();
    !is_right || !ends_differ(t0, t1) || dt <= (t1 - t0).abs() + resolution
}

/// Compiles only for a step no larger than the span.
pub const fn assert_step_fits<const IS_RIGHT: bool>()
where
    Constant: StepInSpan<IS_RIGHT>,
{
}

/// A time.
#[diagnostic::on_unimplemented(
    message = "a time must be finite, found a constant that is not",
    label = "expected a finite number",
    note = "give the constant a value such as `1.0`"
)]
pub trait Time<const IS_RIGHT: bool> {}

impl Time<true> for Constant {}

/// Whether a number is finite.
pub const fn is_finite(number: f64) -> bool {
    number.is_finite()
}

/// Compiles only for a time.
pub const fn assert_time<const IS_RIGHT: bool>()
where
    Constant: Time<IS_RIGHT>,
{
}

/// The end of a span, another time than its start.
#[diagnostic::on_unimplemented(
    message = "a span must not end where it starts, and with these constants it does",
    label = "expected another time than the start",
    note = "give one of the two another value"
)]
pub trait OtherEnd<const IS_RIGHT: bool> {}

impl OtherEnd<true> for Constant {}

/// Whether a span has two ends, to the last bit. Those that are not finite are not judged here.
#[allow(clippy::float_cmp, reason = "two times are the same or not")]
pub const fn ends_differ(t0: f64, t1: f64) -> bool {
    t0 != t1 || !t0.is_finite()
}

/// Compiles only for two ends.
pub const fn assert_ends_differ<const IS_RIGHT: bool>()
where
    Constant: OtherEnd<IS_RIGHT>,
{
}

/// A coefficient of a controller.
#[diagnostic::on_unimplemented(
    message = "a coefficient must be finite, found a constant that is not",
    label = "expected a finite number",
    note = "give the constant a value such as `0.2`"
)]
pub trait Coefficient<const IS_RIGHT: bool> {}

impl Coefficient<true> for Constant {}

/// Compiles only for a coefficient.
pub const fn assert_coefficient<const IS_RIGHT: bool>()
where
    Constant: Coefficient<IS_RIGHT>,
{
}

/// The probability to be dropped.
#[diagnostic::on_unimplemented(
    message = "`probability` must be at least 0 and below 1, found a constant that is not",
    label = "expected a number from 0 to below 1",
    note = "give the constant a value such as `0.5`"
)]
pub trait Probability<const IS_RIGHT: bool> {}

impl Probability<true> for Constant {}

/// Whether a number is a probability below 1.
pub const fn is_probability(number: f64) -> bool {
    0.0 <= number && number < 1.0
}

/// Compiles only for a probability below 1.
pub const fn assert_probability<const IS_RIGHT: bool>()
where
    Constant: Probability<IS_RIGHT>,
{
}

/// The momentum of running statistics.
#[diagnostic::on_unimplemented(
    message = "`momentum` must be from 0 to 1, found a constant that is not",
    label = "expected a number from 0 to 1",
    note = "give the constant a value such as `0.1`"
)]
pub trait Momentum<const IS_RIGHT: bool> {}

impl Momentum<true> for Constant {}

/// Whether a number is a momentum.
pub const fn is_momentum(number: f64) -> bool {
    0.0 <= number && number <= 1.0
}

/// Compiles only for a momentum.
pub const fn assert_momentum<const IS_RIGHT: bool>()
where
    Constant: Momentum<IS_RIGHT>,
{
}

/// What is added to a variance.
#[diagnostic::on_unimplemented(
    message = "`epsilon` must be positive and finite, found a constant that is not",
    label = "expected a finite number above 0",
    note = "give the constant a value such as `1e-5`"
)]
pub trait Epsilon<const IS_RIGHT: bool> {}

impl Epsilon<true> for Constant {}

/// Compiles only for an epsilon.
pub const fn assert_epsilon<const IS_RIGHT: bool>()
where
    Constant: Epsilon<IS_RIGHT>,
{
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_may_be_as_large_as_its_span_up_to_rounding() {
        // 0.3 - 0.1 is a unit in the last place below 0.2.
        assert!(step_fits(0.2, 0.1, 0.3) && step_fits(0.2, 0.3, 0.1));
        assert!(step_fits(1.0, 1e9, 1e9 + 1.0));
        assert!(!step_fits(0.201, 0.1, 0.3) && !step_fits(2.0, 0.0, 1.0));
    }

    #[test]
    fn one_wrong_number_breaks_one_rule() {
        for dt in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(!is_positive(dt) && step_fits(dt, 0.0, 1.0), "{dt}");
        }
        for end in [f64::NAN, f64::INFINITY] {
            assert!(!is_finite(end) && ends_differ(end, end) && step_fits(2.0, 0.0, end));
        }
        assert!(!ends_differ(1.0, 1.0) && step_fits(0.1, 1.0, 1.0));
    }
}
