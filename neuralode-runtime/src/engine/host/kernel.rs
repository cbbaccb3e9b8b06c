//! Layers over tiles: the straight-line kernels of which generated fields consist.
//!
//! A tile holds `L` samples, feature by feature: `x[i][l]` is feature `i` of sample `l`. Weights are broadcast
//! and samples fill the vector registers, so that every loop over lanes is vector code of known length. All
//! functions are inlined into one caller that runs under the processor's widest instructions.

use super::real::Real;
use crate::layer::activation::{Identity, Relu, Sigmoid, Sin, Tanh};

/// `N` features of `L` samples; `L` is a multiple of [`WIDTH`].
pub type Tile<E, const N: usize, const L: usize> = [[E; L]; N];

/// Output features that are accumulated at a time: enough chains of multiply-adds to fill the pipeline, few
/// enough to stay in registers.
const BLOCK: usize = 4;

/// A vector field as generated kernels, for tiles of any width and both types.
///
/// The parameters are those that dfdx visits, in that order, each row by row.
pub trait TileField<const N: usize>: 'static {
    /// Number of parameters.
    const PARAMS: usize;

    /// Writes `f(t, y)` into `dy`. `params` holds [`Self::PARAMS`] numbers.
    fn eval<E: Real, const L: usize>(
        params: &[E],
        t: f64,
        y: &Tile<E, N, L>,
        dy: &mut Tile<E, N, L>,
    );

    /// Writes `(df/dy)^T c` into `y_bar` and adds `(df/dtheta)^T c` to the sums over samples `theta_bar`.
    fn vjp<E: Real, const L: usize>(
        params: &[E],
        t: f64,
        y: &Tile<E, N, L>,
        c: &Tile<E, N, L>,
        y_bar: &mut Tile<E, N, L>,
        theta_bar: &mut [Sums<E>],
    );

    /// Writes `(df/dy) v` into `out`.
    fn jvp<E: Real, const L: usize>(
        params: &[E],
        t: f64,
        y: &Tile<E, N, L>,
        v: &Tile<E, N, L>,
        out: &mut Tile<E, N, L>,
    );
}

/// An activation over lanes.
pub trait TileActivation {
    /// Whether the derivative needs the argument; otherwise the value is enough.
    const FROM_ARGUMENT: bool;

    /// The value at `x`.
    fn value<E: Real>(x: E) -> E;

    /// The derivative, from the argument `x` (only if [`Self::FROM_ARGUMENT`]) or the value `y`.
    fn derivative<E: Real>(x: E, y: E) -> E;
}

macro_rules! tile_activations {
    ($($name:ident, $from_argument:literal, |$x:ident| $value:expr, |$dx:pat_param, $dy:pat_param| $derivative:expr;)*) => {$(
        impl TileActivation for $name {
            const FROM_ARGUMENT: bool = $from_argument;

            #[inline(always)]
            fn value<E: Real>($x: E) -> E {
                $value
            }

            #[inline(always)]
            fn derivative<E: Real>($dx: E, $dy: E) -> E {
                $derivative
            }
        }
    )*};
}

tile_activations! {
    Identity, false, |x| x, |_, _| E::ONE;
    Tanh, false, |x| x.tanh(), |_, y| (-y).mul_add(y, E::ONE);
    // A NaN is neither above nor below zero, and stays.
    Relu, false, |x| if x <= E::default() { E::default() } else { x },
        |_, y| if y > E::default() { E::ONE } else { E::default() };
    Sigmoid, false, |x| x.sigmoid(), |_, y| (-y).mul_add(y, y);
    Sin, true, |x| x.sin(), |x, _| x.cos();
}

/// A bare activation: `y = A(x)`.
#[inline(always)]
pub fn activate<A: TileActivation, E: Real, const N: usize, const L: usize>(
    x: &Tile<E, N, L>,
    y: &mut Tile<E, N, L>,
) {
    for (x, y) in x.iter().zip(y) {
        for l in 0..L {
            y[l] = A::value(x[l]);
        }
    }
}

/// Multiplies a tangent or a cotangent `c` by the derivative of `y = A(x)`.
#[inline(always)]
pub fn scale_by_derivative<A: TileActivation, E: Real, const N: usize, const L: usize>(
    x: &Tile<E, N, L>,
    y: &Tile<E, N, L>,
    c: &mut Tile<E, N, L>,
) {
    for i in 0..N {
        for l in 0..L {
            let argument = if A::FROM_ARGUMENT {
                x[i][l]
            } else {
                E::default()
            };
            c[i][l] = c[i][l] * A::derivative(argument, y[i][l]);
        }
    }
}

/// The same tile where two widths are equal by a condition that the compiler checks elsewhere.
#[inline(always)]
pub fn meet<E: Real, const FROM: usize, const TO: usize, const L: usize>(
    x: &Tile<E, FROM, L>,
) -> Tile<E, TO, L> {
    let mut y = [[E::default(); L]; TO];
    for (x, y) in x.iter().zip(&mut y) {
        *y = *x;
    }
    y
}

/// A tile of zeros.
#[inline(always)]
pub fn zeros<E: Real, const N: usize, const L: usize>() -> Tile<E, N, L> {
    [[E::default(); L]; N]
}

/// The parameters of a dense layer, borrowed from a field's.
#[derive(Clone, Copy, Debug)]
pub struct DenseParams<'p, E, const I: usize, const O: usize> {
    weight: &'p [[E; I]],
    bias: &'p [E],
}

impl<'p, E: Real, const I: usize, const O: usize> DenseParams<'p, E, I, O> {
    /// Number of scalars.
    pub const COUNT: usize = (I + 1) * O;

    /// Takes the layer whose parameters start at `offset`.
    #[inline(always)]
    pub fn at(params: &'p [E], offset: usize) -> Self {
        let (weight, _) = params[offset..offset + I * O].as_chunks::<I>();
        Self {
            weight: &weight[..O],
            bias: &params[offset + I * O..][..O],
        }
    }

    /// `z = W x + b` and `y = A(z)`; `z` is written only if the derivative of `A` needs it.
    #[inline(always)]
    pub fn forward<A: TileActivation, const L: usize>(
        &self,
        x: &Tile<E, I, L>,
        z: &mut Tile<E, O, L>,
        y: &mut Tile<E, O, L>,
    ) {
        let mut o = 0;
        while o + BLOCK <= O {
            self.forward_block::<A, BLOCK, L>(o, x, z, y);
            o += BLOCK;
        }
        while o < O {
            self.forward_block::<A, 1, L>(o, x, z, y);
            o += 1;
        }
    }

    #[inline(always)]
    fn forward_block<A: TileActivation, const K: usize, const L: usize>(
        &self,
        o: usize,
        x: &Tile<E, I, L>,
        z: &mut Tile<E, O, L>,
        y: &mut Tile<E, O, L>,
    ) {
        let mut sum: [[E; L]; K] = core::array::from_fn(|k| [self.bias[o + k]; L]);
        for (i, x) in x.iter().enumerate() {
            for (k, sum) in sum.iter_mut().enumerate() {
                let w = self.weight[o + k][i];
                for l in 0..L {
                    sum[l] = w.mul_add(x[l], sum[l]);
                }
            }
        }
        for (k, sum) in sum.iter().enumerate() {
            if A::FROM_ARGUMENT {
                z[o + k] = *sum;
            }
            for l in 0..L {
                y[o + k][l] = A::value(sum[l]);
            }
        }
    }

    /// From the cotangent `c` of `y = A(W x + b)` to that of `x`; adds the parameters' cotangents to
    /// `theta_bar` (the whole field's) at `offset`.
    #[inline(always)]
    pub fn backward<A: TileActivation, const L: usize>(
        &self,
        offset: usize,
        x: &Tile<E, I, L>,
        z: &Tile<E, O, L>,
        y: &Tile<E, O, L>,
        mut c: Tile<E, O, L>,
        theta_bar: &mut [Sums<E>],
    ) -> Tile<E, I, L> {
        scale_by_derivative::<A, E, O, L>(z, y, &mut c);
        let mut x_bar = zeros();
        let mut i = 0;
        while i + BLOCK <= I {
            self.input_block::<BLOCK, L>(i, &c, &mut x_bar);
            i += BLOCK;
        }
        while i < I {
            self.input_block::<1, L>(i, &c, &mut x_bar);
            i += 1;
        }
        let (weight_bar, bias_bar) = theta_bar[offset..][..Self::COUNT].split_at_mut(I * O);
        let (weight_bar, _) = weight_bar.as_chunks_mut::<I>();
        for (c, (row, bias)) in c.iter().zip(weight_bar.iter_mut().zip(bias_bar)) {
            let mut i = 0;
            while i + BLOCK <= I {
                add_products::<E, I, BLOCK, L>(i, c, x, row);
                i += BLOCK;
            }
            while i < I {
                add_products::<E, I, 1, L>(i, c, x, row);
                i += 1;
            }
            add_lanes(c, bias);
        }
        x_bar
    }

    /// The tangent of `y = A(W x + b)` along `v`; `z` and `y` are those of [`Self::forward`].
    #[inline(always)]
    pub fn tangent<A: TileActivation, const L: usize>(
        &self,
        v: &Tile<E, I, L>,
        z: &Tile<E, O, L>,
        y: &Tile<E, O, L>,
    ) -> Tile<E, O, L> {
        let mut out = zeros();
        for (row, out) in self.weight.iter().zip(&mut out) {
            let mut sum = [E::default(); L];
            for (w, v) in row.iter().zip(v) {
                for l in 0..L {
                    sum[l] = w.mul_add(v[l], sum[l]);
                }
            }
            *out = sum;
        }
        scale_by_derivative::<A, E, O, L>(z, y, &mut out);
        out
    }

    #[inline(always)]
    fn input_block<const K: usize, const L: usize>(
        &self,
        i: usize,
        c: &Tile<E, O, L>,
        x_bar: &mut Tile<E, I, L>,
    ) {
        let mut sum = [[E::default(); L]; K];
        for (o, c) in c.iter().enumerate() {
            for (k, sum) in sum.iter_mut().enumerate() {
                let w = self.weight[o][i + k];
                for l in 0..L {
                    sum[l] = w.mul_add(c[l], sum[l]);
                }
            }
        }
        for (k, sum) in sum.into_iter().enumerate() {
            x_bar[i + k] = sum;
        }
    }
}

/// Partial sums that stand for one sum over samples: lane `l` gathers every `WIDTH`-th sample. They are joined
/// once per product, not once per tile.
pub const WIDTH: usize = 16;

/// A sum over samples in the making.
pub type Sums<E> = [E; WIDTH];

/// Adds the products of `c` and the inputs `i..i + K` of `x`, lane by lane, to their sums.
#[inline(always)]
fn add_products<E: Real, const I: usize, const K: usize, const L: usize>(
    i: usize,
    c: &[E; L],
    x: &Tile<E, I, L>,
    row: &mut [Sums<E>; I],
) {
    let mut sums: [Sums<E>; K] = core::array::from_fn(|k| row[i + k]);
    let mut start = 0;
    while start + WIDTH <= L {
        for (k, sum) in sums.iter_mut().enumerate() {
            let x = &x[i + k];
            for l in 0..WIDTH {
                sum[l] = c[start + l].mul_add(x[start + l], sum[l]);
            }
        }
        start += WIDTH;
    }
    for (k, sum) in sums.into_iter().enumerate() {
        row[i + k] = sum;
    }
}

#[inline(always)]
fn add_lanes<E: Real, const L: usize>(c: &[E; L], sums: &mut Sums<E>) {
    let (chunks, _) = c.as_chunks::<WIDTH>();
    for chunk in chunks {
        for l in 0..WIDTH {
            sums[l] += chunk[l];
        }
    }
}

/// The sum of all lanes, pair by pair: a fixed order.
#[inline(always)]
pub(super) fn join<E: Real>(mut sums: Sums<E>) -> E {
    let mut half = WIDTH / 2;
    while half > 0 {
        for l in 0..half {
            sums[l] += sums[l + half];
        }
        half /= 2;
    }
    sums[0]
}
