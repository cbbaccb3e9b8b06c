//! The convolution.

use core::marker::PhantomData;

use dfdx::{
    nn::{Module, ModuleVisitor, NonMutableModule, TensorCollection, TensorOptions},
    shapes::{Axes2, Axes3, Axes4, Axis, Const, Dim, Dtype, HasShape, Rank1, Rank4},
    tensor::{HasErr, PutTape, Tape, Tensor},
    tensor_ops::{
        BroadcastTo, Device, GatherTo, PermuteTo, ReshapeTo, TryAdd, TryConcatAlong, TryMatMul,
    },
};

use crate::layer::{
    activation::Activation,
    init::{self, Fan, Glorot, Initialisation},
};

/// `A(x * w + b)`: `CO` channels of `OH` by `OW` from `CI` channels of `H` by `W`, each a sum over a window of `K` by
/// `K` places of all channels, `STRIDE` apart, on an image with `PADDING` zeros on each side; then the activation `A`.
///
/// As usual for networks, the window is not flipped: a cross-correlation. `OH` is `(H + 2 PADDING - K) / STRIDE + 1`,
/// rounded down, and `OW` likewise; the compiler checks both. Starts with what the rule `Init` draws, as
/// [`Dense`](crate::layer::Dense) does, from as many inputs and outputs as one number of the result or of the image has
/// to do with, `CI K^2` and `CO K^2`.
///
/// Called by itself it consists of dfdx's operations: a matrix product with copies of the image, one for each place of
/// the window. Models call the kernels of [`kernel::conv`](neuralode_core::kernel::conv) where they can.
///
/// # Shapes
/// `(B, CI, H, W)` to `(B, CO, OH, OW)`.
#[derive(Clone, Debug)]
pub struct Conv2d<
    const CI: usize,
    const H: usize,
    const W: usize,
    const CO: usize,
    const OH: usize,
    const OW: usize,
    const K: usize,
    const STRIDE: usize,
    const PADDING: usize,
    A,
    E: Dtype,
    D: Device<E>,
    Init = Glorot,
> {
    /// Weights, `(CO, CI, K, K)`.
    pub weight: Tensor<Rank4<CO, CI, K, K>, E, D>,
    /// Biases, `(CO,)`.
    pub bias: Tensor<Rank1<CO>, E, D>,
    rule: PhantomData<(A, Init)>,
}

impl<
        const CI: usize,
        const H: usize,
        const W: usize,
        const CO: usize,
        const OH: usize,
        const OW: usize,
        const K: usize,
        const STRIDE: usize,
        const PADDING: usize,
        A,
        E: Dtype,
        D: Device<E>,
    > Conv2d<CI, H, W, CO, OH, OW, K, STRIDE, PADDING, A, E, D>
{
    /// A layer with the given parameters.
    pub const fn new(
        weight: Tensor<Rank4<CO, CI, K, K>, E, D>,
        bias: Tensor<Rank1<CO>, E, D>,
    ) -> Self {
        Self {
            weight,
            bias,
            rule: PhantomData,
        }
    }
}

impl<
        const CI: usize,
        const H: usize,
        const W: usize,
        const CO: usize,
        const OH: usize,
        const OW: usize,
        const K: usize,
        const STRIDE: usize,
        const PADDING: usize,
        A,
        E: Dtype,
        D: Device<E>,
        Init: Initialisation,
    > Conv2d<CI, H, W, CO, OH, OW, K, STRIDE, PADDING, A, E, D, Init>
{
    const FAN: Fan = Fan {
        inputs: CI * K * K,
        outputs: CO * K * K,
    };

    fn fill_weight(
        weight: &mut Tensor<Rank4<CO, CI, K, K>, E, D>,
    ) -> Result<(), <D as HasErr>::Err> {
        init::fill::<Init, _, _, _>(weight, Self::FAN)
    }

    fn fill_bias(bias: &mut Tensor<Rank1<CO>, E, D>) -> Result<(), <D as HasErr>::Err> {
        init::fill_bias::<Init, _, _, _>(bias, Self::FAN)
    }
}

impl<
        const CI: usize,
        const H: usize,
        const W: usize,
        const CO: usize,
        const OH: usize,
        const OW: usize,
        const K: usize,
        const STRIDE: usize,
        const PADDING: usize,
        A: Activation,
        E: Dtype,
        D: Device<E>,
        Init: Initialisation,
    > TensorCollection<E, D> for Conv2d<CI, H, W, CO, OH, OW, K, STRIDE, PADDING, A, E, D, Init>
{
    type To<E2: Dtype, D2: Device<E2>> =
        Conv2d<CI, H, W, CO, OH, OW, K, STRIDE, PADDING, A, E2, D2, Init>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(
        visitor: &mut V,
    ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(
            (
                Self::tensor(
                    "weight",
                    |s| &s.weight,
                    |s| &mut s.weight,
                    TensorOptions::reset_with(Self::fill_weight),
                ),
                Self::tensor(
                    "bias",
                    |s| &s.bias,
                    |s| &mut s.bias,
                    TensorOptions::reset_with(Self::fill_bias),
                ),
            ),
            |(weight, bias)| Conv2d {
                weight,
                bias,
                rule: PhantomData,
            },
        )
    }
}

impl<
        const CI: usize,
        const H: usize,
        const W: usize,
        const CO: usize,
        const OH: usize,
        const OW: usize,
        const K: usize,
        const STRIDE: usize,
        const PADDING: usize,
        A,
        E: Dtype,
        D: Device<E>,
        Init,
    > NonMutableModule for Conv2d<CI, H, W, CO, OH, OW, K, STRIDE, PADDING, A, E, D, Init>
{
}

impl<
        const CI: usize,
        const H: usize,
        const W: usize,
        const CO: usize,
        const OH: usize,
        const OW: usize,
        const K: usize,
        const STRIDE: usize,
        const PADDING: usize,
        A: Activation,
        B: Dim,
        E: Dtype,
        D: Device<E>,
        T: Tape<E, D>,
        Init,
    > Module<Tensor<(B, Const<CI>, Const<H>, Const<W>), E, D, T>>
    for Conv2d<CI, H, W, CO, OH, OW, K, STRIDE, PADDING, A, E, D, Init>
{
    type Output = Tensor<(B, Const<CO>, Const<OH>, Const<OW>), E, D, T>;
    type Error = D::Err;

    fn try_forward(
        &self,
        x: Tensor<(B, Const<CI>, Const<H>, Const<W>), E, D, T>,
    ) -> Result<Self::Output, D::Err> {
        const {
            assert!(
                OH == places(H, K, STRIDE, PADDING) && OW == places(W, K, STRIDE, PADDING),
                "the result of a `Conv2d` has one number for each place of the window"
            );
        }
        let (batch, ..) = *x.shape();
        let samples = batch.size();
        let device = x.device().clone();
        // Pixels first, and a zero behind them for the places beside the image.
        let x = x.try_reshape_like(&(samples * CI, H * W))?;
        let x = x.try_permute::<(usize, usize), Axes2<1, 0>>()?;
        let zero: Tensor<(usize, usize), E, D> = device.try_zeros_like(&(1, samples * CI))?;
        let x = (x, zero.put_tape(T::default())).try_concat_along(Axis::<0>)?;
        let met = pixels((H, W), (OH, OW), K, STRIDE, PADDING);
        let count = met.len();
        let met = device.try_tensor_from_vec(met, (count,))?;
        let x: Tensor<(usize, usize), E, D, T> = x.try_gather(met)?;
        let x = x.try_reshape_like(&(K * K, OH * OW, samples, CI))?;
        let x = x.try_permute::<(usize, usize, usize, usize), Axes4<3, 0, 2, 1>>()?;
        let x = x.try_reshape_like(&(CI * K * K, samples * OH * OW))?;
        let weight = self.weight.retaped::<T>();
        let weight = weight.try_reshape_like(&(CO, CI * K * K))?;
        let y = weight.try_matmul(x)?;
        let y = y.try_reshape_like(&(Const::<CO>, samples, OH * OW))?;
        let y = y.try_permute::<(usize, Const<CO>, usize), Axes3<1, 0, 2>>()?;
        let bias = self.bias.retaped::<T>().try_broadcast_like(y.shape())?;
        let y = y.try_add(bias)?;
        A::try_apply(y.try_reshape_like(&(batch, Const, Const, Const))?)
    }
}

/// Places of a window of `window` numbers on an axis of `length`, `stride` apart, with so many zeros on each side.
pub(super) const fn places(length: usize, window: usize, stride: usize, padding: usize) -> usize {
    if stride == 0 || window == 0 {
        return 0;
    }
    match (length + 2 * padding).checked_sub(window) {
        Some(moves) => moves / stride + 1,
        None => 0,
    }
}

/// For each place of a window of `window` by `window` and, there, each number of the result, the index of the pixel
/// that it meets; beside the image, the number of all pixels.
pub(super) fn pixels(
    (height, width): (usize, usize),
    (lines, columns): (usize, usize),
    window: usize,
    stride: usize,
    padding: usize,
) -> Vec<usize> {
    let mut met = Vec::with_capacity(window * window * lines * columns);
    for k in 0..window * window {
        for place in 0..lines * columns {
            let line = place / columns * stride + k / window;
            let column = place % columns * stride + k % window;
            let line = line.checked_sub(padding).filter(|line| *line < height);
            let column = column.checked_sub(padding).filter(|column| *column < width);
            met.push(match (line, column) {
                (Some(line), Some(column)) => line * width + column,
                _ => height * width,
            });
        }
    }
    met
}
