//! Layers that make one number of each window of an image.

use core::cmp::Ordering;

use dfdx::{
    nn::{Module, NonMutableModule, ZeroSizedModule},
    shapes::{Axes2, Axis, Const, Dim, Dtype, HasShape},
    tensor::{NoneTape, Tape, Tensor},
    tensor_ops::{Device, GatherTo, PermuteTo, ReshapeTo, SumTo, TryMul},
};

use crate::{
    layer::conv::{pixels, places},
    tensor::scalar,
};

/// The largest number in each window of `K` by `K`, `STRIDE` apart, of each channel. Its gradient goes to the first
/// place of that number, row by row.
///
/// # Shapes
/// `(B, C, H, W)` to `(B, C, OH, OW)` with `OH = (H - K) / STRIDE + 1`, rounded down, and `OW` likewise; the compiler
/// checks both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MaxPool2d<
    const H: usize,
    const W: usize,
    const OH: usize,
    const OW: usize,
    const K: usize,
    const STRIDE: usize,
>;

/// The mean over each window of `K` by `K`, `STRIDE` apart, of each channel.
///
/// # Shapes
/// `(B, C, H, W)` to `(B, C, OH, OW)` with `OH = (H - K) / STRIDE + 1`, rounded down, and `OW` likewise; the compiler
/// checks both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AvgPool2d<
    const H: usize,
    const W: usize,
    const OH: usize,
    const OW: usize,
    const K: usize,
    const STRIDE: usize,
>;

/// The mean of each channel.
///
/// # Shapes
/// `(B, C, H, W)` to `(B, C)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct GlobalAvgPool;

macro_rules! pools {
    ($($name:ident),*) => {$(
        impl<
                const H: usize,
                const W: usize,
                const OH: usize,
                const OW: usize,
                const K: usize,
                const STRIDE: usize,
            > ZeroSizedModule for $name<H, W, OH, OW, K, STRIDE>
        {
        }

        impl<
                const H: usize,
                const W: usize,
                const OH: usize,
                const OW: usize,
                const K: usize,
                const STRIDE: usize,
            > NonMutableModule for $name<H, W, OH, OW, K, STRIDE>
        {
        }

        impl<
                const C: usize,
                const H: usize,
                const W: usize,
                const OH: usize,
                const OW: usize,
                const K: usize,
                const STRIDE: usize,
                B: Dim,
                E: Dtype,
                D: Device<E>,
                T: Tape<E, D>,
            > Module<Tensor<(B, Const<C>, Const<H>, Const<W>), E, D, T>>
            for $name<H, W, OH, OW, K, STRIDE>
        {
            type Output = Tensor<(B, Const<C>, Const<OH>, Const<OW>), E, D, T>;
            type Error = D::Err;

            fn try_forward(
                &self,
                x: Tensor<(B, Const<C>, Const<H>, Const<W>), E, D, T>,
            ) -> Result<Self::Output, D::Err> {
                const {
                    assert!(
                        OH == places(H, K, STRIDE, 0) && OW == places(W, K, STRIDE, 0),
                        "the result of a pool has one number for each place of the window"
                    );
                }
                let (batch, ..) = *x.shape();
                let met = pixels((H, W), (OH, OW), K, STRIDE, 0);
                let planes = batch.size() * C;
                let x = x.try_reshape_like(&(planes, H * W))?;
                let y = Self::pool(x, &met)?;
                y.try_reshape_like(&(batch, Const, Const, Const))
            }
        }
    )*};
}

pools!(MaxPool2d, AvgPool2d);

impl<
        const H: usize,
        const W: usize,
        const OH: usize,
        const OW: usize,
        const K: usize,
        const STRIDE: usize,
    > MaxPool2d<H, W, OH, OW, K, STRIDE>
{
    /// Finds the places of the largest numbers on the host, since dfdx's own maxima send the gradient to all equal
    /// ones.
    fn pool<E: Dtype, D: Device<E>, T: Tape<E, D>>(
        x: Tensor<(usize, usize), E, D, T>,
        met: &[usize],
    ) -> Result<Tensor<(usize,), E, D, T>, D::Err> {
        let (planes, pixels) = *x.shape();
        let numbers = x.retaped::<NoneTape>().as_vec();
        let mut largest = Vec::with_capacity(planes * OH * OW);
        for plane in 0..planes {
            for place in 0..OH * OW {
                let mut found: Option<(usize, E)> = None;
                for pixel in met.iter().skip(place).step_by(OH * OW) {
                    let at = plane * pixels + pixel;
                    let Some(number) = numbers.get(at).copied() else {
                        continue;
                    };
                    // A NaN is the largest: neither smaller nor equal.
                    if found.is_none_or(|(_, best)| {
                        !matches!(
                            number.partial_cmp(&best),
                            Some(Ordering::Less | Ordering::Equal)
                        )
                    }) {
                        found = Some((at, number));
                    }
                }
                largest.extend(found.map(|(at, _)| at));
            }
        }
        let device = x.device().clone();
        let count = largest.len();
        let largest = device.try_tensor_from_vec(largest, (count,))?;
        x.try_reshape_like(&(planes * pixels,))?.try_gather(largest)
    }
}

impl<
        const H: usize,
        const W: usize,
        const OH: usize,
        const OW: usize,
        const K: usize,
        const STRIDE: usize,
    > AvgPool2d<H, W, OH, OW, K, STRIDE>
{
    fn pool<E: Dtype, D: Device<E>, T: Tape<E, D>>(
        x: Tensor<(usize, usize), E, D, T>,
        met: &[usize],
    ) -> Result<Tensor<(usize, usize), E, D, T>, D::Err> {
        let (planes, _) = *x.shape();
        let met = x.device().try_tensor_from_vec(met.to_vec(), (met.len(),))?;
        let x = x.try_permute::<(usize, usize), Axes2<1, 0>>()?;
        let x: Tensor<(usize, usize), E, D, T> = x.try_gather(met)?;
        let x = x.try_reshape_like(&(K * K, OH * OW, planes))?;
        let sums: Tensor<(usize, usize), E, D, T> = x.try_sum::<_, Axis<0>>()?;
        let sums = sums.try_permute::<(usize, usize), Axes2<1, 0>>()?;
        sums.try_mul(scalar::<E>(share(K * K)))
    }
}

impl ZeroSizedModule for GlobalAvgPool {}
impl NonMutableModule for GlobalAvgPool {}

impl<
        const C: usize,
        const H: usize,
        const W: usize,
        B: Dim,
        E: Dtype,
        D: Device<E>,
        T: Tape<E, D>,
    > Module<Tensor<(B, Const<C>, Const<H>, Const<W>), E, D, T>> for GlobalAvgPool
{
    type Output = Tensor<(B, Const<C>), E, D, T>;
    type Error = D::Err;

    fn try_forward(
        &self,
        x: Tensor<(B, Const<C>, Const<H>, Const<W>), E, D, T>,
    ) -> Result<Self::Output, D::Err> {
        let (batch, channels, ..) = *x.shape();
        let x = x.try_reshape_like(&(batch, channels, H * W))?;
        let sums: Self::Output = x.try_sum::<_, Axis<2>>()?;
        sums.try_mul(scalar::<E>(share(H * W)))
    }
}

/// What one of so many numbers weighs in their mean.
#[allow(clippy::cast_precision_loss, reason = "no image has 2^53 pixels")]
fn share(numbers: usize) -> f64 {
    1.0 / numbers as f64
}
