//! Layers over tiles: the straight-line kernels of which generated fields consist.
//!
//! A tile holds `L` samples, feature by feature: `x[i][l]` is feature `i` of sample `l`. Weights are broadcast
//! and samples fill the vector registers. A product keeps a block of accumulators in registers, as many as
//! the multiply-add pipeline needs; sizes are constants, so that every block is chosen while compiling. All
//! functions are inlined into one caller that runs under the processor's widest instructions.

use core::ops::{Deref, DerefMut};

use pulp::Simd;

use super::real::Real;
use crate::layer::activation::{Identity, Relu, Sigmoid, Sin, Tanh};

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

/// `N` features of `L` samples; `L` is a multiple of [`WIDTH`].
pub type Tile<E, const N: usize, const L: usize> = [Row<E, L>; N];

/// Samples of a tile are a multiple of it: lanes of the widest register in f32.
pub const WIDTH: usize = 16;

/// A row of sums over samples, [`WIDTH`] parameters side by side. A layer's cotangent takes
/// [`DenseParams::SUMS`] of them.
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
    /// [`DenseParams::transpose`].
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

    /// `f(t, y)` for one sample; `transposed` as [`Self::transpose`] makes it.
    fn eval_one<S: Simd, E: Real>(
        simd: S,
        params: &[E],
        transposed: &[E],
        t: f64,
        y: &[E; N],
    ) -> [E; N];

    /// `(df/dy)^T c` for one sample; adds `(df/dtheta)^T c` to `theta_bar`.
    fn vjp_one<S: Simd, E: Real>(
        simd: S,
        params: &[E],
        transposed: &[E],
        t: f64,
        y: &[E; N],
        c: &[E; N],
        theta_bar: &mut [E],
    ) -> [E; N];

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
        |simd, y, c| E::product(simd, c, E::positive(simd, y));
    Sigmoid, false, true, |x| x.sigmoid::<S>(), |_, y| (-y).mul_add::<S>(y, y),
        |simd, y, c| E::product(simd, c, E::neg_fma(simd, y, y, y));
    Sin, true, false, |x| x.sin(), |x, _| x.cos(), |_, _, c| c;
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
    for (x, y) in x.iter().zip(y) {
        for l in 0..L {
            y[l] = A::value::<S, E>(x[l]);
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
    for (c, (x, y)) in c.iter_mut().zip(x.iter().zip(y)) {
        if A::FROM_ARGUMENT {
            for l in 0..L {
                c[l] = c[l] * A::derivative::<S, E>(x[l], y[l]);
            }
        } else {
            // In registers: the compiler would else vectorise over features, with gathers.
            let y = E::registers::<S>(&**y);
            for (c, y) in E::registers_mut::<S>(&mut **c).iter_mut().zip(y) {
                *c = A::scale::<S, E>(simd, *y, *c);
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
    for (x, y) in x.iter().zip(y) {
        *y = *x;
    }
}

/// Registers per row that a block of accumulators spans.
pub(super) const SPAN: usize = 2;

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

/// The parameters of a dense layer, borrowed from a field's.
#[derive(Clone, Copy, Debug)]
pub struct DenseParams<'p, E, const I: usize, const O: usize> {
    pub(super) weight: &'p [[E; I]],
    pub(super) bias: &'p [E],
}

impl<'p, E: Real, const I: usize, const O: usize> DenseParams<'p, E, I, O> {
    /// Number of scalars.
    pub const COUNT: usize = (I + 1) * O;

    /// Whether a record is too large for several of them to stay in the first cache. Such a layer's cotangent is
    /// summed up record by record, from a transposed copy of the input.
    const WIDE: bool = I * O > 2048;

    /// Rows of sums per output.
    const PER_OUTPUT: usize = I.div_ceil(WIDTH);

    /// Rows of sums for the cotangent of the parameters: those of the weights, output by output, and of the biases.
    pub const SUMS: usize = O * Self::PER_OUTPUT + O.div_ceil(WIDTH);

    /// Multiplications for one sample; an activation counts as sixteen.
    pub const PRODUCTS: usize = (I + 16) * O;

    /// Rows of scratch space of [`Self::gather`], for tiles of so many samples: the transposed input.
    pub const fn gather_scratch(samples: usize) -> usize {
        if Self::WIDE {
            I.div_ceil(samples) * samples
        } else {
            0
        }
    }

    /// Takes the layer whose parameters start at `offset`.
    #[inline(always)]
    pub fn at(params: &'p [E], offset: usize) -> Self {
        let (weight, _) = params[offset..offset + I * O].as_chunks::<I>();
        Self {
            weight: &weight[..O],
            bias: &params[offset + I * O..][..O],
        }
    }

    /// Whether all parameters are zero.
    #[inline(always)]
    fn is_zero(&self) -> bool {
        let numbers = self.weight.as_flattened().iter().chain(self.bias);
        numbers.fold(true, |zero, x| zero & (*x == E::default()))
    }

    /// The weights by columns, so that products with either run through memory in order; biases stay.
    pub fn transpose(params: &[E], out: &mut [E]) {
        out.copy_from_slice(params);
        for (index, weight) in params[..I * O].iter().enumerate() {
            out[index % I * O + index / I] = *weight;
        }
    }

    /// `z = W x + b` and `y = A(z)`; `z` is written only if the derivative of `A` needs it.
    #[inline(always)]
    pub fn forward<A: TileActivation, S: Simd, const L: usize>(
        &self,
        simd: S,
        x: &Tile<E, I, L>,
        z: &mut Tile<E, O, L>,
        y: &mut Tile<E, O, L>,
    ) {
        in_blocks!(O, |at, K| {
            let bias = core::array::from_fn(|k| self.bias[at + k]);
            product::<S, E, I, O, K, L>(simd, self.weight, at, bias, x, y);
        });
        if A::FROM_ARGUMENT {
            *z = *y;
        }
        for y in y {
            for l in 0..L {
                y[l] = A::value::<S, E>(y[l]);
            }
        }
    }

    /// What the way back needs of `z` and `y`, given the value `y` if the caller has it: at most as much work as
    /// [`Self::forward`].
    #[inline(always)]
    pub fn recall<A: TileActivation, S: Simd, const N: usize, const L: usize>(
        &self,
        simd: S,
        x: &Tile<E, I, L>,
        value: Option<&Tile<E, N, L>>,
        z: &mut Tile<E, O, L>,
        y: &mut Tile<E, O, L>,
    ) {
        match value {
            _ if const { !A::FROM_ARGUMENT && !A::FROM_VALUE } => {}
            Some(value) if const { !A::FROM_ARGUMENT } => copy(value, y),
            _ => self.forward::<A, S, L>(simd, x, z, y),
        }
    }

    /// The tangent `A'(z) (W v + W_dot x + b_dot)` of `y = A(W x + b)` along `v` and the parameters' `direction`
    /// `(W_dot, b_dot)`; `z` and `y` are those of [`Self::forward`]. Parameters that rest cost nothing.
    #[inline(always)]
    #[allow(
        clippy::too_many_arguments,
        reason = "a point, two tangents and the place of the result"
    )]
    pub fn tangent<A: TileActivation, S: Simd, const L: usize>(
        &self,
        simd: S,
        direction: &Self,
        x: &Tile<E, I, L>,
        v: &Tile<E, I, L>,
        z: &Tile<E, O, L>,
        y: &Tile<E, O, L>,
        out: &mut Tile<E, O, L>,
    ) {
        if direction.is_zero() {
            in_blocks!(O, |at, K| {
                product::<S, E, I, O, K, L>(simd, self.weight, at, [E::default(); K], v, out);
            });
        } else {
            in_blocks!(O, |at, K| {
                tangent_product::<S, E, I, O, K, L>(simd, (self, direction), at, (x, v), out);
            });
        }
        scale_by_derivative::<A, S, E, O, L>(simd, z, y, out);
    }

    /// From the cotangent `c` of `y = A(z)`, `z = W x + b`, which becomes that of `z`, to that of `x`. `transposed`
    /// holds the layer's parameters as [`Self::transpose`] arranges them.
    #[inline(always)]
    pub fn backward<A: TileActivation, S: Simd, const L: usize>(
        &self,
        simd: S,
        transposed: &[E],
        z: &Tile<E, O, L>,
        y: &Tile<E, O, L>,
        c: &mut Tile<E, O, L>,
        x_bar: &mut Tile<E, I, L>,
    ) {
        scale_by_derivative::<A, S, E, O, L>(simd, z, y, c);
        let (transposed, _) = transposed.as_chunks::<O>();
        in_blocks!(I, |at, K| {
            product::<S, E, O, I, K, L>(simd, transposed, at, [E::default(); K], c, x_bar);
        });
    }

    /// Adds the parameters' cotangents to `sums`, the layer's own [`Self::SUMS`], from records of so many rows, in
    /// which the input `x` and the cotangent of `z` stand at these rows.
    #[inline(always)]
    pub fn gather<S: Simd, const L: usize>(
        simd: S,
        (records, rows, x_at, c_at): (&[Row<E, L>], usize, usize, usize),
        sums: &mut [Sums<E>],
        scratch: &mut [Row<E, L>],
    ) {
        /// Bytes that stay in the first cache while every weight's sum runs over them.
        const CACHED: usize = 48 * 1024;
        let (weights, biases) = sums.split_at_mut(O * Self::PER_OUTPUT);
        if const { Self::WIDE } {
            for record in records.chunks_exact(rows) {
                let (x, c) = (part::<E, I, L>(record, x_at), part::<E, O, L>(record, c_at));
                add_products_wide::<S, E, I, O, L>(simd, c, x, weights, scratch);
            }
        } else {
            let at_once = const { CACHED / ((I + O) * size_of::<Row<E, L>>()) }.max(1);
            for records in records.chunks(at_once * rows) {
                let mut o = 0;
                macro_rules! outputs {
                    ($count:literal) => {
                        while O - o >= $count {
                            in_blocks!(I, |at, K| add_products::<S, E, $count, K, L>(
                                simd,
                                (records, rows, x_at + at, c_at + o),
                                |m, k| (
                                    (o + m) * Self::PER_OUTPUT + (at + k) / WIDTH,
                                    (at + k) % WIDTH
                                ),
                                weights,
                            ));
                            o += $count;
                        }
                    };
                }
                if S::REGISTER_COUNT >= 32 {
                    outputs!(4);
                }
                outputs!(2);
                outputs!(1);
            }
        }
        in_blocks!(O, |at, K| {
            let mut totals = [E::splat(simd, E::default()); K];
            for record in records.chunks_exact(rows) {
                for k in 0..K {
                    for c in E::registers::<S>(&*record[c_at + at + k]) {
                        totals[k] = E::sum(simd, totals[k], *c);
                    }
                }
            }
            for k in 0..K {
                biases[(at + k) / WIDTH][(at + k) % WIDTH] += E::reduce(simd, totals[k]);
            }
        });
    }

    /// Adds the sums of [`Self::gather`] to the parameters' cotangents `theta_bar`.
    #[inline(always)]
    pub fn join(sums: &[Sums<E>], theta_bar: &mut [E]) {
        let (weights, biases) = sums.split_at(O * Self::PER_OUTPUT);
        let (weight_bar, bias_bar) = theta_bar.split_at_mut(I * O);
        let rows = weights.chunks_exact(Self::PER_OUTPUT);
        let outputs = weight_bar.chunks_exact_mut(I).zip(rows);
        for (bar, sums) in outputs.chain([(bias_bar, biases)]) {
            for (bar, sums) in bar.chunks_mut(WIDTH).zip(sums) {
                for (bar, sum) in bar.iter_mut().zip(&**sums) {
                    *bar += *sum;
                }
            }
        }
    }
}

/// `N` rows of a record, from row `at` on.
#[inline(always)]
fn part<E, const N: usize, const L: usize>(record: &[Row<E, L>], at: usize) -> &Tile<E, N, L> {
    &record[at..at + N].as_chunks::<N>().0[0]
}

/// Rows `at..at + K` of `y = start + W x`.
#[inline(always)]
fn product<S: Simd, E: Real, const I: usize, const O: usize, const K: usize, const L: usize>(
    simd: S,
    weight: &[[E; I]],
    at: usize,
    start: [E; K],
    x: &Tile<E, I, L>,
    y: &mut Tile<E, O, L>,
) {
    let weight: [&[E; I]; K] = core::array::from_fn(|k| &weight[at + k]);
    let mut register = 0;
    while register + SPAN <= L / E::lanes::<S>() {
        let mut sum = start.map(|start| [E::splat(simd, start); SPAN]);
        for i in 0..I {
            let x = &E::registers::<S>(&*x[i])[register..register + SPAN];
            for k in 0..K {
                let w = E::splat(simd, weight[k][i]);
                for s in 0..SPAN {
                    sum[k][s] = E::fma(simd, w, x[s], sum[k][s]);
                }
            }
        }
        for k in 0..K {
            let y = E::registers_mut::<S>(&mut *y[at + k]);
            y[register..register + SPAN].copy_from_slice(&sum[k]);
        }
        register += SPAN;
    }
}

/// Rows `at..at + K` of `out = b_dot + W v + W_dot x`, where the parameters move in a direction.
#[inline(always)]
fn tangent_product<
    S: Simd,
    E: Real,
    const I: usize,
    const O: usize,
    const K: usize,
    const L: usize,
>(
    simd: S,
    (layer, direction): (&DenseParams<'_, E, I, O>, &DenseParams<'_, E, I, O>),
    at: usize,
    (x, v): (&Tile<E, I, L>, &Tile<E, I, L>),
    out: &mut Tile<E, O, L>,
) {
    let weight: [&[E; I]; K] = core::array::from_fn(|k| &layer.weight[at + k]);
    let moving: [&[E; I]; K] = core::array::from_fn(|k| &direction.weight[at + k]);
    let mut register = 0;
    while register + SPAN <= L / E::lanes::<S>() {
        let mut sum: [[E::Register<S>; SPAN]; K] =
            core::array::from_fn(|k| [E::splat(simd, direction.bias[at + k]); SPAN]);
        for i in 0..I {
            let v = &E::registers::<S>(&*v[i])[register..register + SPAN];
            let x = &E::registers::<S>(&*x[i])[register..register + SPAN];
            for k in 0..K {
                let w = E::splat(simd, weight[k][i]);
                let w_dot = E::splat(simd, moving[k][i]);
                for s in 0..SPAN {
                    sum[k][s] = E::fma(simd, w, v[s], sum[k][s]);
                    sum[k][s] = E::fma(simd, w_dot, x[s], sum[k][s]);
                }
            }
        }
        for k in 0..K {
            let out = E::registers_mut::<S>(&mut *out[at + k]);
            out[register..register + SPAN].copy_from_slice(&sum[k]);
        }
        register += SPAN;
    }
}

/// Adds the products of `M` rows of cotangents and `K` rows of inputs, summed over all samples of all records, to the
/// sums at `place`.
#[inline(always)]
fn add_products<S: Simd, E: Real, const M: usize, const K: usize, const L: usize>(
    simd: S,
    (records, rows, x_at, c_at): (&[Row<E, L>], usize, usize, usize),
    place: impl Fn(usize, usize) -> (usize, usize),
    weights: &mut [Sums<E>],
) {
    let mut sums = [[E::splat(simd, E::default()); K]; M];
    for record in records.chunks_exact(rows) {
        let (x, c) = (part::<E, K, L>(record, x_at), part::<E, M, L>(record, c_at));
        for r in 0..L / E::lanes::<S>() {
            let c: [E::Register<S>; M] = core::array::from_fn(|m| E::registers::<S>(&*c[m])[r]);
            for k in 0..K {
                let x = E::registers::<S>(&*x[k])[r];
                for m in 0..M {
                    sums[m][k] = E::fma(simd, c[m], x, sums[m][k]);
                }
            }
        }
    }
    for (m, sums) in sums.iter().enumerate() {
        for (k, sum) in sums.iter().enumerate() {
            let (row, lane) = place(m, k);
            weights[row][lane] += E::reduce(simd, *sum);
        }
    }
}

/// Adds `c x^T` to the weights' cotangent, rows of [`WIDTH`] inputs at a time. `scratch` takes `x^T`: for every
/// `L` features, a row of them for each sample.
#[inline(always)]
fn add_products_wide<S: Simd, E: Real, const I: usize, const O: usize, const L: usize>(
    simd: S,
    c: &Tile<E, O, L>,
    x: &Tile<E, I, L>,
    weights: &mut [Sums<E>],
    scratch: &mut [Row<E, L>],
) {
    let transposed = &mut scratch[..L * I.div_ceil(L)];
    for (i, x) in x.iter().enumerate() {
        for l in 0..L {
            transposed[i / L * L + l][i % L] = x[l];
        }
    }
    let transposed = &*transposed;
    in_blocks!(O, |at, M| {
        wide_block::<S, E, I, O, M, L>(simd, at, c, transposed, weights);
    });
}

/// Rows `o..o + M` of [`add_products_wide`].
#[inline(always)]
fn wide_block<S: Simd, E: Real, const I: usize, const O: usize, const M: usize, const L: usize>(
    simd: S,
    o: usize,
    c: &Tile<E, O, L>,
    transposed: &[Row<E, L>],
    weights: &mut [Sums<E>],
) {
    let lanes = E::lanes::<S>();
    let per_output = I.div_ceil(WIDTH);
    let c: [&Row<E, L>; M] = core::array::from_fn(|m| &c[o + m]);
    // Two registers of inputs at a time, both in one row.
    let mut i = 0;
    while i < I {
        let (rows, at) = (&transposed[i / L * L..][..L], i % L / lanes);
        let mut sum = [[E::splat(simd, E::default()); SPAN]; M];
        for (l, x) in rows.iter().enumerate() {
            let x = &E::registers::<S>(&**x)[at..at + SPAN];
            for m in 0..M {
                let c = E::splat(simd, c[m][l]);
                for s in 0..SPAN {
                    sum[m][s] = E::fma(simd, c, x[s], sum[m][s]);
                }
            }
        }
        for m in 0..M {
            for (s, sum) in sum[m].iter().enumerate() {
                let first = i + s * lanes;
                if first < per_output * WIDTH {
                    let place = &mut *weights[(o + m) * per_output + first / WIDTH];
                    let place = &mut E::registers_mut::<S>(place)[first % WIDTH / lanes];
                    *place = E::sum(simd, *place, *sum);
                }
            }
        }
        i += SPAN * lanes;
    }
}
