//! Integer powers.

use dfdx::{
    nn::{Module, NonMutableModule, ZeroSizedModule},
    shapes::{Dtype, Shape},
    tensor::{Tape, Tensor},
    tensor_ops::Device,
};

/// `x^EXPONENT` for every scalar; the exponent is at least 1. Has no parameters.
///
/// # Shapes
/// Any, unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pow<const EXPONENT: i32>;

impl<const EXPONENT: i32> ZeroSizedModule for Pow<EXPONENT> {}
impl<const EXPONENT: i32> NonMutableModule for Pow<EXPONENT> {}

impl<const EXPONENT: i32, S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>
    Module<Tensor<S, E, D, T>> for Pow<EXPONENT>
{
    type Output = Tensor<S, E, D, T>;
    type Error = D::Err;

    fn try_forward(&self, x: Tensor<S, E, D, T>) -> Result<Self::Output, D::Err> {
        const {
            assert!(EXPONENT >= 1, "an exponent is a positive integer");
        }
        x.try_powi(EXPONENT)
    }
}
