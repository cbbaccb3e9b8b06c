//! Tiles, and what generated fields consist of over them.
//!
//! A tile holds `L` samples, feature by feature: `x[i][l]` is feature `i` of sample `l`. Weights are broadcast
//! and samples fill the vector registers; sizes are constants, so that every block is chosen while compiling. All
//! functions are inlined into one caller that runs under the processor's widest instructions. Layers with more than one
//! line to say are [`TileLayer`]s, in files of their own.

use core::ops::{Deref, DerefMut};

use pulp::Simd;

pub use super::{
    conv::Conv2dLayer,
    dense::{DenseLayer, DenseParams},
    features::{AppendTimeLayer, ResizeLayer},
    layer::TileLayer,
    norm::LayerNormLayer,
    pooling::{AvgPoolLayer, MaxPoolLayer},
    scale::ScaleLayer,
};

use super::{real::Real, special};
use crate::engine::cuda::FieldSource;
use crate::layer::activation::{
    Elu, Gelu, Identity, LeakyRelu, Relu, Sigmoid, Silu, Sin, Softplus, Tanh,
};

/// One number for each of `L` samples, on cache lines of its own.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub struct Row<E, const L: usize>(pub [E; L]);

impl<E: Real, const L: usize> Default for Row<E, L> {
    fn default() -> Self {
        Self([E::default(); L])
    }
}

impl<E, const L: usize> Deref for Row<E, L> {
    type Target = [E; L];

    #[inline(always)]
    fn deref(&self) -> &[E; L] {
        &self.0
    }
}

impl<E, const L: usize> DerefMut for Row<E, L> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [E; L] {
        &mut self.0
    }
}

/// `N` features of `L` samples; `L` is a multiple of 32 in f32 and of 16 in f64, whole blocks of the widest registers.
pub type Tile<E, const N: usize, const L: usize> = [Row<E, L>; N];

/// Samples of a tile are a multiple of it: lanes of the widest register in f32.
pub const WIDTH: usize = 16;

/// A row of sums over samples, [`WIDTH`] parameters side by side. A layer's cotangent takes
/// [`TileLayer::SUMS`] of them.
pub type Sums<E> = Row<E, WIDTH>;

/// A vector field as generated kernels, for tiles of any width and both types.
///
/// The parameters are those that dfdx visits, in that order, each row by row.
pub trait TileField<const N: usize>: 'static {
    /// Number of parameters.
    const PARAMS: usize;
    /// Rows of sums for the parameters' cotangent.
    const SUMS: usize;
    /// Multiplications of `f(t, y)` for one sample, additions apart.
    const PRODUCTS: usize;
    /// Rows of a record: `y`, and what the passes leave for [`Self::gather`].
    const RECORD: usize;
    /// Rows of scratch space that any pass needs besides.
    const SCRATCH: usize;
    /// Whether the derivative of `f` jumps somewhere, as that of a relu.
    const KINKS: bool = false;
    /// Whether there are kernels for one sample, [`Self::eval_one`] and [`Self::vjp_one`]; without, these give NaN.
    const POINT: bool = false;

    /// Rows of scratch space that [`Self::gather`] needs, for tiles of so many samples.
    fn gather_scratch(samples: usize) -> usize;

    /// Writes `f(t, y)` into `dy`, at a time `t` per sample. `params` holds [`Self::PARAMS`] numbers, `record` [`Self::RECORD`] rows and
    /// `scratch` [`Self::SCRATCH`].
    fn eval<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        t: &[f64; L],
        y: &Tile<E, N, L>,
        dy: &mut Tile<E, N, L>,
        record: &mut [Row<E, L>],
        scratch: &mut [Row<E, L>],
    );

    /// The parameters as [`Self::vjp`], [`Self::eval_one`] and [`Self::vjp_one`] want them besides: see
    /// [`TileLayer::transpose`].
    fn transpose<E: Real>(params: &[E]) -> Vec<E>;

    /// Writes `(df/dy)^T c` into `y_bar`, at the `y` that `record` begins with, and leaves there what
    /// [`Self::gather`] needs. `value` is `f(t, y)` where the caller has it, which saves the product of the last
    /// layer.
    #[allow(
        clippy::too_many_arguments,
        reason = "inputs, outputs and scratch of one product"
    )]
    fn vjp<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        transposed: &[E],
        t: &[f64; L],
        value: Option<&Tile<E, N, L>>,
        c: &Tile<E, N, L>,
        y_bar: &mut Tile<E, N, L>,
        record: &mut [Row<E, L>],
        scratch: &mut [Row<E, L>],
    );

    /// Adds `(df/dtheta)^T c` of the products that left `records`, one after the other, to `sums`.
    fn gather<S: Simd, E: Real, const L: usize>(
        simd: S,
        records: &[Row<E, L>],
        sums: &mut [Sums<E>],
        scratch: &mut [Row<E, L>],
    );

    /// Writes `f(t, y)` into `dy`, and `(df/dy) v + (df/dtheta) theta_dot` into `out` for each of `directions`, which
    /// are triples `(v, theta_dot, out)`; a `theta_dot` holds [`Self::PARAMS`] numbers.
    #[allow(
        clippy::too_many_arguments,
        reason = "inputs, outputs and scratch of the products"
    )]
    fn eval_with_jvps<'d, S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        t: &[f64; L],
        y: &Tile<E, N, L>,
        dy: &mut Tile<E, N, L>,
        directions: impl Iterator<Item = (&'d Tile<E, N, L>, &'d [E], &'d mut Tile<E, N, L>)>,
        record: &mut [Row<E, L>],
        scratch: &mut [Row<E, L>],
    );

    /// `f(t, y)` for one sample, if [`Self::POINT`]; `transposed` as [`Self::transpose`] makes it.
    fn eval_one<S: Simd, E: Real>(
        simd: S,
        params: &[E],
        transposed: &[E],
        t: f64,
        y: &[E; N],
    ) -> [E; N] {
        let _ = (simd, params, transposed, t);
        y.map(|_| E::from_f64(f64::NAN))
    }

    /// `(df/dy)^T c` for one sample, if [`Self::POINT`]; adds `(df/dtheta)^T c` to `theta_bar`.
    fn vjp_one<S: Simd, E: Real>(
        simd: S,
        params: &[E],
        transposed: &[E],
        t: f64,
        y: &[E; N],
        c: &[E; N],
        theta_bar: &mut [E],
    ) -> [E; N] {
        let _ = (simd, params, transposed, t, y, theta_bar);
        c.map(|_| E::from_f64(f64::NAN))
    }

    /// The field's layers as device code, if all of them exist there.
    fn cuda_source() -> Option<FieldSource> {
        None
    }

    /// Adds the sums to `theta_bar`, parameter by parameter.
    fn join<E: Real>(sums: &[Sums<E>], theta_bar: &mut [E]);
}

/// An activation over lanes.
pub trait TileActivation {
    /// Whether the derivative needs the argument.
    const FROM_ARGUMENT: bool;
    /// Whether the derivative needs the value; a constant one needs neither.
    const FROM_VALUE: bool;

    /// The value at `x`.
    fn value<S: Simd, E: Real>(x: E) -> E;

    /// The derivative, from the argument `x` (only if [`Self::FROM_ARGUMENT`]) or the value `y`.
    fn derivative<S: Simd, E: Real>(x: E, y: E) -> E;

    /// Multiplies `c` by the derivative, where the value `y` is enough.
    fn scale<S: Simd, E: Real>(simd: S, y: E::Register<S>, c: E::Register<S>) -> E::Register<S>;
}

macro_rules! tile_activations {
    ($(
        $name:ident, $from_argument:literal, $from_value:literal,
        |$x:ident| $value:expr,
        |$dx:pat_param, $dy:pat_param| $derivative:expr,
        |$simd:pat_param, $y:pat_param, $c:ident| $scale:expr;
    )*) => {$(
        impl TileActivation for $name {
            const FROM_ARGUMENT: bool = $from_argument;
            const FROM_VALUE: bool = $from_value;

            #[inline(always)]
            fn value<S: Simd, E: Real>($x: E) -> E {
                $value
            }

            #[inline(always)]
            fn derivative<S: Simd, E: Real>($dx: E, $dy: E) -> E {
                $derivative
            }

            #[inline(always)]
            fn scale<S: Simd, E: Real>(
                $simd: S,
                $y: E::Register<S>,
                $c: E::Register<S>,
            ) -> E::Register<S> {
                $scale
            }
        }
    )*};
}

tile_activations! {
    Identity, false, false, |x| x, |_, _| E::ONE, |_, _, c| c;
    Tanh, false, true, |x| x.tanh::<S>(), |_, y| (-y).mul_add::<S>(y, E::ONE),
        |simd, y, c| E::neg_fma(simd, E::product(simd, c, y), y, c);
    // A NaN is neither above nor below zero, and stays.
    Relu, false, true, |x| if x <= E::default() { E::default() } else { x },
        |_, y| if y > E::default() { E::ONE } else { E::default() },
        |simd, y, c| E::product(simd, c, derivative_by_sign::<S, E>(simd, y, 0.0));
    Sigmoid, false, true, |x| x.sigmoid::<S>(), |_, y| (-y).mul_add::<S>(y, y),
        |simd, y, c| E::product(simd, c, E::neg_fma(simd, y, y, y));
    Sin, true, false, |x| x.sin(), |x, _| x.cos(), |_, _, c| c;
    LeakyRelu, false, true,
        |x| if x > E::default() { x } else { x * E::from_f64(LeakyRelu::SLOPE) },
        |_, y| if y > E::default() { E::ONE } else { E::from_f64(LeakyRelu::SLOPE) },
        |simd, y, c| E::product(simd, c, derivative_by_sign::<S, E>(simd, y, LeakyRelu::SLOPE));
    Elu, false, true, |x| special::elu::<S, E>(x),
        |_, y| if y > E::default() { E::ONE } else { y + E::ONE },
        |simd, y, c| {
            let one = E::splat(simd, E::ONE);
            E::product(simd, c, E::where_positive(simd, y, one, E::sum(simd, y, one)))
        };
    Gelu, true, false, |x| special::gelu::<S, E>(x),
        |x, _| special::gelu_derivative::<S, E>(x), |_, _, c| c;
    Silu, true, false, |x| special::silu::<S, E>(x),
        |x, _| special::silu_derivative::<S, E>(x), |_, _, c| c;
    Softplus, true, false, |x| special::softplus::<S, E>(x), |x, _| x.sigmoid::<S>(),
        |_, _, c| c;
}

/// One where `y > 0`, `left` elsewhere.
#[inline(always)]
fn derivative_by_sign<S: Simd, E: Real>(simd: S, y: E::Register<S>, left: f64) -> E::Register<S> {
    let (one, left) = (E::splat(simd, E::ONE), E::splat(simd, E::from_f64(left)));
    E::where_positive(simd, y, one, left)
}

/// The first `N` rows of `scratch` as a tile, and the rest.
#[inline(always)]
pub fn carve<E, const N: usize, const L: usize>(
    scratch: &mut [Row<E, L>],
) -> (&mut Tile<E, N, L>, &mut [Row<E, L>]) {
    let (tiles, rest) = scratch.split_at_mut(N);
    // A slice of `N` rows is one tile.
    (&mut tiles.as_chunks_mut::<N>().0[0], rest)
}

/// Adds a tile to another, where two widths are equal by a condition that the compiler checks elsewhere.
#[inline(always)]
pub fn add<S: Simd, E: Real, const FROM: usize, const TO: usize, const L: usize>(
    simd: S,
    x: &Tile<E, FROM, L>,
    y: &mut Tile<E, TO, L>,
) {
    for n in 0..FROM.min(TO) {
        let (x, y) = (E::registers::<S>(&*x[n]), E::registers_mut::<S>(&mut *y[n]));
        for r in 0..L / E::lanes::<S>() {
            y[r] = E::sum(simd, y[r], x[r]);
        }
    }
}

/// Rows of a tile of `N` features.
pub const fn rows<const N: usize>() -> usize {
    N
}

/// The rows that one layer takes in the record of a product; zero where it passes tiles on.
#[derive(Clone, Copy, Debug)]
pub struct LayerRows {
    /// Of a copy of what enters it.
    pub entering: usize,
    /// Of what it produces.
    pub forth: usize,
    /// Of the cotangent of what it takes.
    pub back: usize,
    /// Of a copy of that.
    pub leaving: usize,
}

/// Where the tiles of `LAYERS` layers stand in the record of a product: the state, what the layers take one after the
/// other, the cotangent of what the last one produces, and what the layers take on the way back.
#[derive(Clone, Copy, Debug)]
pub struct Layout<const LAYERS: usize> {
    /// The first row of what enters each layer.
    x: [usize; LAYERS],
    /// The first row of the cotangent of what each layer produces.
    c: [usize; LAYERS],
    /// Rows of a record.
    pub record: usize,
}

impl<const LAYERS: usize> Layout<LAYERS> {
    /// The layout for states of so many rows, a last layer that produces so many, and these layers.
    pub const fn new(state: usize, produced: usize, layers: [LayerRows; LAYERS]) -> Self {
        let (mut x, mut c) = ([0; LAYERS], [0; LAYERS]);
        let (mut at, mut end) = (0, state);
        let mut k = 0;
        while k < LAYERS {
            if layers[k].entering > 0 {
                at = end;
                end += layers[k].entering;
            }
            x[k] = at;
            if layers[k].forth > 0 {
                at = end;
                end += layers[k].forth;
            }
            k += 1;
        }
        at = end;
        end += produced;
        while k > 0 {
            k -= 1;
            c[k] = at;
            if layers[k].back > 0 {
                at = end;
                end += layers[k].back;
            }
            if layers[k].leaving > 0 {
                at = end;
                end += layers[k].leaving;
            }
        }
        Self { x, c, record: end }
    }

    /// `records` with their size, and the places of a layer's input and of its cotangent in each of them.
    #[inline(always)]
    pub const fn records<'r, E, const L: usize>(
        &self,
        records: &'r [Row<E, L>],
        layer: usize,
    ) -> (&'r [Row<E, L>], usize, usize, usize) {
        (records, self.record, self.x[layer], self.c[layer])
    }
}

/// A bare activation: `y = A(x)`.
#[inline(always)]
pub fn activate<A: TileActivation, S: Simd, E: Real, const N: usize, const L: usize>(
    x: &Tile<E, N, L>,
    y: &mut Tile<E, N, L>,
) {
    for n in 0..N {
        for l in 0..L {
            y[n][l] = A::value::<S, E>(x[n][l]);
        }
    }
}

/// Multiplies a tangent or a cotangent `c` by the derivative of `y = A(x)`.
#[inline(always)]
pub fn scale_by_derivative<A: TileActivation, S: Simd, E: Real, const N: usize, const L: usize>(
    simd: S,
    x: &Tile<E, N, L>,
    y: &Tile<E, N, L>,
    c: &mut Tile<E, N, L>,
) {
    for n in 0..N {
        if A::FROM_ARGUMENT {
            let (x, y, c) = (&x[n], &y[n], &mut c[n]);
            for l in 0..L {
                c[l] = c[l] * A::derivative::<S, E>(x[l], y[l]);
            }
        } else {
            // In registers: the compiler would else vectorise over features, with gathers.
            let y = E::registers::<S>(&*y[n]);
            let c = E::registers_mut::<S>(&mut *c[n]);
            for r in 0..L / E::lanes::<S>() {
                c[r] = A::scale::<S, E>(simd, y[r], c[r]);
            }
        }
    }
}

/// Copies a tile where two widths are equal by a condition that the compiler checks elsewhere.
#[inline(always)]
pub fn copy<E: Real, const FROM: usize, const TO: usize, const L: usize>(
    x: &Tile<E, FROM, L>,
    y: &mut Tile<E, TO, L>,
) {
    for n in 0..FROM.min(TO) {
        y[n] = x[n];
    }
}

/// Registers per row that a block of accumulators spans.
pub(super) const SPAN: usize = 2;

/// Fails to compile unless tiles of `L` samples are whole blocks of [`SPAN`] of the widest registers: loops over such
/// blocks would leave out what is left.
pub(super) const fn assert_whole_blocks<E, const L: usize>() {
    /// Bytes of the widest register.
    const WIDEST: usize = 64;
    assert!(
        L > 0 && (L * size_of::<E>()).is_multiple_of(SPAN * WIDEST),
        "tiles have a multiple of 32 samples in f32, and of 16 in f64"
    );
}

/// The registers of a row from `at` on. An array: a copy of a slice is a call of a function.
#[inline(always)]
pub(super) fn span<R>(row: &[R], at: usize) -> &[R; SPAN] {
    &row[at..at + SPAN].as_chunks().0[0]
}

/// The same, to be written.
#[inline(always)]
pub(super) fn span_mut<R>(row: &mut [R], at: usize) -> &mut [R; SPAN] {
    &mut row[at..at + SPAN].as_chunks_mut().0[0]
}

/// Rows of accumulators in a block over `n` rows: 4 to 6 chains of multiply-adds for each of [`SPAN`]
/// registers fill the pipeline, and fit 16 registers.
pub(super) const fn block(n: usize) -> usize {
    match n {
        0..=6 => n,
        _ if n.is_multiple_of(6) => 6,
        _ if n.is_multiple_of(5) => 5,
        _ if n.is_multiple_of(4) => 4,
        // The remainder is the longest.
        _ if n % 6 >= n % 5 && n % 6 >= n % 4 => 6,
        _ if n % 5 >= n % 4 => 5,
        _ => 4,
    }
}

/// Runs `$body` for all rows `0..$n` in blocks of a constant number of rows `$k` from row `$at` on.
macro_rules! in_blocks {
    ($n:expr, |$at:ident, $k:ident| $body:expr) => {
        let mut $at = 0;
        macro_rules! blocks_of {
            ($size:literal) => {{
                const $k: usize = $size;
                while $n - $at >= $size {
                    $body;
                    $at += $size;
                }
            }};
        }
        match const { $crate::engine::host::kernel::block($n) } {
            6 => blocks_of!(6),
            5 => blocks_of!(5),
            4 => blocks_of!(4),
            3 => blocks_of!(3),
            2 => blocks_of!(2),
            1 => blocks_of!(1),
            _ => {}
        }
        match const {
            if $n == 0 {
                0
            } else {
                $n % $crate::engine::host::kernel::block($n)
            }
        } {
            5 => blocks_of!(5),
            4 => blocks_of!(4),
            3 => blocks_of!(3),
            2 => blocks_of!(2),
            1 => blocks_of!(1),
            _ => {}
        }
    };
}

pub(super) use in_blocks;
