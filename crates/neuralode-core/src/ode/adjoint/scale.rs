//! Sizes of cotangents: a factor of the loss is a factor of its gradient, however small or large it is.

use crate::ode::{error::SolveError, state::State};

/// The factor, a power of two, that brings a size near one, in numbers of this machine epsilon; `None` where the size
/// needs none.
pub(crate) fn to_one(size: f64, epsilon: f64) -> Option<f64> {
    /// 2 to the power of 64. The squares and products of sizes between its inverse and it neither vanish nor overflow.
    const LARGE: f64 = 18_446_744_073_709_551_616.0;
    if size == 0.0 || (1.0 / LARGE..=LARGE).contains(&size) {
        return None;
    }
    // The factor and its inverse are normal numbers of the type.
    let most = if is_f32(epsilon) { 126.0 } else { 1000.0 };
    #[allow(clippy::cast_possible_truncation, reason = "it is cut off before")]
    let exponent = size.log2().floor().clamp(-most, most) as i32;
    Some(2.0_f64.powi(-exponent))
}

/// Whether numbers of this machine epsilon are those of f32.
fn is_f32(epsilon: f64) -> bool {
    epsilon > 1e-10
}

/// `factor x`.
pub(crate) fn times<Y: State>(x: &Y, factor: f64) -> Result<Y, SolveError> {
    let mut out = x.zeros_like()?;
    x.zeros_like()?
        .combine_into([(factor, x)].into_iter(), &mut out)?;
    Ok(out)
}

/// The Euclidean norm of a state whose [`State::norm`] is `norm`, also where the squares of its numbers vanish or
/// overflow.
pub(crate) fn size<Y: State>(x: &Y, norm: f64) -> Result<f64, SolveError> {
    /// Its square is far from both ends of f64.
    const FAR: f64 = 1e100;
    // In f64 squares of f32 do neither.
    if (1.0 / FAR..FAR).contains(&norm) || is_f32(x.epsilon()) {
        return Ok(norm);
    }
    let factor = if norm < 1.0 {
        2.0_f64.powi(600)
    } else {
        2.0_f64.powi(-600)
    };
    Ok(times(x, factor)?.norm()? / factor)
}

#[cfg(test)]
mod tests {
    use super::{size, to_one, State};

    #[test]
    fn sizes_far_from_one_are_brought_near_it_and_others_stay() {
        for x in [1.0, 1e-15, 1e15, 0.0] {
            assert_eq!(to_one(x, f64::EPSILON), None);
        }
        for x in [1e-300, 1e-30, 1e30, 1e300] {
            let near = x * to_one(x, f64::EPSILON).unwrap();
            assert!((1.0..2.0).contains(&near), "{x:e}: {near}");
        }
        for x in [f32::from_bits(1), 1e-38, 1e38, f32::MAX] {
            let factor = to_one(f64::from(x), f64::from(f32::EPSILON)).unwrap();
            #[allow(clippy::cast_possible_truncation, reason = "a power of two")]
            let near = x * factor as f32;
            assert!((1e-8..8.0).contains(&near), "{x:e}: {near}");
        }
        for x in [1e-300, 1e-170, 1.0, 1e170, 1e300] {
            let numbers = [3.0 * x, 4.0 * x];
            let found = size(&numbers, numbers.norm().unwrap()).unwrap();
            assert!((found / (5.0 * x) - 1.0).abs() < 1e-12, "{x:e}: {found:e}");
        }
    }
}
