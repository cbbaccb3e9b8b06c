//! Dense layers over tiles: products, their cotangents, and the gathering of weight gradients.
//!
//! A product keeps a block of accumulators in registers, as many as the multiply-add pipeline needs.

mod one;

use core::marker::PhantomData;

use pulp::Simd;

use crate::{
    device::FieldSource,
    kernel::{
        activation::{scale_by_derivative, TileActivation},
        blocks::{assert_whole_blocks, in_blocks, span_mut, SPAN},
        layer::{Filled, Records, Rows, TileLayer},
        tile::{copy, part, Row, Sums, Tile, WIDTH},
    },
    simd::real::Real,
};

/// The kernels of `Dense` with the activation `A`.
#[derive(Debug)]
pub struct DenseLayer<A>(PhantomData<A>);

impl<A: TileActivation, const I: usize, const O: usize> TileLayer<I, O> for DenseLayer<A> {
    const PARAMS: usize = (I + 1) * O;
    const SUMS: usize = DenseParams::<f32, I, O>::SUMS;
    const PRODUCTS: usize = DenseParams::<f32, I, O>::PRODUCTS;
    /// The argument of the activation.
    const KEPT: usize = if A::FROM_ARGUMENT { O } else { 0 };
    const KINKS: bool = A::KINKS;
    const POINT: bool = true;
    /// The same.
    type One<E: Real> = [E; O];

    fn gather_scratch(samples: usize) -> usize {
        DenseParams::<f32, I, O>::gather_scratch(samples)
    }

    fn transpose<E: Real>(params: &[E], out: &mut [E]) {
        DenseParams::<E, I, O>::transpose(params, out);
    }

    #[inline(always)]
    fn forward<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        _t: &[f64; L],
        x: &Tile<E, I, L>,
        rows: Rows<'_, E, L>,
        y: &mut Tile<E, O, L>,
    ) {
        let layer = DenseParams::<E, I, O>::at(params, 0);
        layer.forward::<A, S, L>(simd, x, rows.kept, y);
    }

    #[inline(always)]
    fn recall<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        _t: &[f64; L],
        x: &Tile<E, I, L>,
        value: Option<&Tile<E, O, L>>,
        rows: Rows<'_, E, L>,
        y: &mut Tile<E, O, L>,
    ) {
        match value {
            _ if const { !A::FROM_ARGUMENT && !A::FROM_VALUE } => {}
            Some(value) if const { !A::FROM_ARGUMENT } => copy(value, y),
            _ => DenseParams::<E, I, O>::at(params, 0).forward::<A, S, L>(simd, x, rows.kept, y),
        }
    }

    #[inline(always)]
    fn backward<S: Simd, E: Real, const L: usize>(
        simd: S,
        _params: &[E],
        transposed: &[E],
        _x: &Tile<E, I, L>,
        rows: Rows<'_, E, L>,
        y: &Tile<E, O, L>,
        c: &mut Tile<E, O, L>,
        x_bar: &mut Tile<E, I, L>,
    ) {
        scale_by_derivative::<A, S, E, O, L>(simd, argument::<A, E, O, L>(rows.kept, y), y, c);
        let (transposed, _) = transposed.as_chunks::<O>();
        in_blocks!(I, |at, K| {
            product::<S, E, O, I, K, L>(simd, transposed, at, [E::default(); K], c, x_bar);
        });
    }

    #[inline(always)]
    fn gather<S: Simd, E: Real, const L: usize>(
        simd: S,
        records: Records<'_, E, L>,
        sums: &mut [Sums<E>],
        scratch: &mut [Row<E, L>],
    ) {
        DenseParams::<E, I, O>::gather(simd, records, sums, scratch);
    }

    /// Parameters that rest cost nothing.
    #[inline(always)]
    fn tangent<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        direction: &[E],
        x: &Tile<E, I, L>,
        v: &Tile<E, I, L>,
        rows: Filled<'_, E, L>,
        y: &Tile<E, O, L>,
        _scratch: &mut [Row<E, L>],
        out: &mut Tile<E, O, L>,
    ) {
        let layer = DenseParams::<E, I, O>::at(params, 0);
        let direction = DenseParams::<E, I, O>::at(direction, 0);
        layer.tangent::<S, L>(simd, &direction, x, v, out);
        scale_by_derivative::<A, S, E, O, L>(simd, argument::<A, E, O, L>(rows.kept, y), y, out);
    }

    fn join<E: Real>(sums: &[Sums<E>], theta_bar: &mut [E]) {
        DenseParams::<E, I, O>::join(sums, theta_bar);
    }

    #[inline(always)]
    fn forward_one<S: Simd, E: Real>(
        _simd: S,
        params: &[E],
        transposed: &[E],
        _t: f64,
        x: &[E; I],
    ) -> ([E; O], [E; O]) {
        DenseParams::<E, I, O>::at(params, 0).forward_one::<A, S>(transposed, x)
    }

    #[inline(always)]
    fn backward_one<S: Simd, E: Real>(
        _simd: S,
        params: &[E],
        transposed: &[E],
        x: &[E; I],
        z: &[E; O],
        y: &[E; O],
        c: [E; O],
        theta_bar: &mut [E],
    ) -> [E; I] {
        let layer = DenseParams::<E, I, O>::at(params, 0);
        layer.backward_one::<A, S>(transposed, x, (z, y), c, theta_bar)
    }

    fn cuda(source: FieldSource) -> Option<FieldSource> {
        Some(source.dense(I, O, &A::name(), A::FROM_ARGUMENT))
    }
}

/// What was kept of the argument of `A`; where nothing was, `y` stands for it and is not read.
#[inline(always)]
pub(crate) fn argument<'a, A: TileActivation, E, const O: usize, const L: usize>(
    kept: &'a [Row<E, L>],
    y: &'a Tile<E, O, L>,
) -> &'a Tile<E, O, L> {
    if const { A::FROM_ARGUMENT } {
        part(kept, 0)
    } else {
        y
    }
}

/// The parameters of a dense layer, borrowed from a field's.
#[derive(Clone, Copy, Debug)]
pub struct DenseParams<'p, E, const I: usize, const O: usize> {
    pub(crate) weight: &'p [[E; I]],
    pub(crate) bias: &'p [E],
}

impl<'p, E: Real, const I: usize, const O: usize> DenseParams<'p, E, I, O> {
    /// Whether a record is too large for several of them to stay in the first cache. Such a layer's cotangent is
    /// summed up record by record, from a transposed copy of the input.
    const WIDE: bool = I * O > 2048;

    /// Rows of sums per output.
    const PER_OUTPUT: usize = I.div_ceil(WIDTH);

    /// Rows of sums for the cotangent of the parameters: those of the weights, output by output, and of the biases.
    const SUMS: usize = O * Self::PER_OUTPUT + O.div_ceil(WIDTH);

    /// Multiplications for one sample; an activation counts as sixteen.
    const PRODUCTS: usize = (I + 16) * O;

    /// Rows of scratch space of [`Self::gather`], for tiles of so many samples: the transposed input.
    const fn gather_scratch(samples: usize) -> usize {
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
        let mut zero = true;
        for x in self.weight.as_flattened() {
            zero &= *x == E::default();
        }
        for x in self.bias {
            zero &= *x == E::default();
        }
        zero
    }

    /// The weights by columns, so that products with either run through memory in order; biases stay.
    fn transpose(params: &[E], out: &mut [E]) {
        out.copy_from_slice(params);
        for (index, weight) in params[..I * O].iter().enumerate() {
            out[index % I * O + index / I] = *weight;
        }
    }

    /// `z = W x + b` and `y = A(z)`; `z` is written only if the derivative of `A` needs it.
    #[inline(always)]
    fn forward<A: TileActivation, S: Simd, const L: usize>(
        &self,
        simd: S,
        x: &Tile<E, I, L>,
        z: &mut [Row<E, L>],
        y: &mut Tile<E, O, L>,
    ) {
        in_blocks!(O, |at, K| {
            let mut bias = [E::default(); K];
            for k in 0..K {
                bias[k] = self.bias[at + k];
            }
            product::<S, E, I, O, K, L>(simd, self.weight, at, bias, x, y);
        });
        if const { A::FROM_ARGUMENT } {
            z[..O].copy_from_slice(&*y);
        }
        for y in y {
            for l in 0..L {
                y[l] = A::value::<S, E>(y[l]);
            }
        }
    }

    /// The tangent `W v + W_dot x + b_dot` of `W x + b` along `v` and the parameters' `direction` `(W_dot, b_dot)`.
    #[inline(always)]
    fn tangent<S: Simd, const L: usize>(
        &self,
        simd: S,
        direction: &Self,
        x: &Tile<E, I, L>,
        v: &Tile<E, I, L>,
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
    }

    /// Adds the parameters' cotangents to `sums`, the layer's own [`Self::SUMS`], from records of so many rows, in
    /// which the input `x` and the cotangent of `z` stand at these rows.
    #[inline(always)]
    fn gather<S: Simd, const L: usize>(
        simd: S,
        Records {
            rows: records,
            stride: rows,
            x: x_at,
            c: c_at,
            ..
        }: Records<'_, E, L>,
        sums: &mut [Sums<E>],
        scratch: &mut [Row<E, L>],
    ) {
        /// Bytes that stay in the first cache while every weight's sum runs over them.
        const CACHED: usize = 48 * 1024;
        let (weights, biases) = sums.split_at_mut(O * Self::PER_OUTPUT);
        if const { Self::WIDE } {
            for index in 0..records.len() / rows {
                let record = &records[index * rows..][..rows];
                let (x, c) = (part::<E, I, L>(record, x_at), part::<E, O, L>(record, c_at));
                add_products_wide::<S, E, I, O, L>(simd, c, x, weights, scratch);
            }
        } else {
            let at_once = const { CACHED / ((I + O) * size_of::<Row<E, L>>()) }.max(1);
            let mut rest = records;
            while !rest.is_empty() {
                let (records, later) = rest.split_at(rest.len().min(at_once * rows));
                rest = later;
                let mut o = 0;
                macro_rules! outputs {
                    ($count:literal) => {
                        while O - o >= $count {
                            in_blocks!(I, |at, K| add_products::<S, E, $count, K, L>(
                                simd,
                                Records {
                                    rows: records,
                                    stride: rows,
                                    own: 0,
                                    x: x_at + at,
                                    c: c_at + o
                                },
                                (o, at, Self::PER_OUTPUT),
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
            for index in 0..records.len() / rows {
                let record = &records[index * rows..][..rows];
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
    fn join(sums: &[Sums<E>], theta_bar: &mut [E]) {
        let (weights, biases) = sums.split_at(O * Self::PER_OUTPUT);
        let (weight_bar, bias_bar) = theta_bar.split_at_mut(I * O);
        for o in 0..O {
            let (bar, row) = (&mut weight_bar[o * I..][..I], o * Self::PER_OUTPUT);
            for i in 0..I {
                bar[i] += weights[row + i / WIDTH][i % WIDTH];
            }
        }
        for o in 0..O {
            bias_bar[o] += biases[o / WIDTH][o % WIDTH];
        }
    }
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
    let mut lines = [&weight[at]; K];
    for k in 0..K {
        lines[k] = &weight[at + k];
    }
    const { assert_whole_blocks::<E, L>() };
    let mut register = 0;
    while register + SPAN <= L / E::lanes::<S>() {
        let mut sum = [[E::splat(simd, E::default()); SPAN]; K];
        for k in 0..K {
            sum[k] = [E::splat(simd, start[k]); SPAN];
        }
        for i in 0..I {
            let x = &E::registers::<S>(&*x[i])[register..register + SPAN];
            for k in 0..K {
                let w = E::splat(simd, lines[k][i]);
                for s in 0..SPAN {
                    sum[k][s] = E::fma(simd, w, x[s], sum[k][s]);
                }
            }
        }
        for k in 0..K {
            let y = E::registers_mut::<S>(&mut *y[at + k]);
            *span_mut(y, register) = sum[k];
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
    let (mut weight, mut moving) = ([&layer.weight[at]; K], [&direction.weight[at]; K]);
    for k in 0..K {
        (weight[k], moving[k]) = (&layer.weight[at + k], &direction.weight[at + k]);
    }
    const { assert_whole_blocks::<E, L>() };
    let mut register = 0;
    while register + SPAN <= L / E::lanes::<S>() {
        let mut sum = [[E::splat(simd, E::default()); SPAN]; K];
        for k in 0..K {
            sum[k] = [E::splat(simd, direction.bias[at + k]); SPAN];
        }
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
            *span_mut(out, register) = sum[k];
        }
        register += SPAN;
    }
}

/// Adds the products of `M` rows of cotangents and `K` rows of inputs, summed over all samples of all records, to the
/// sums of the outputs from `m_at` and the inputs from `k_at` on.
#[inline(always)]
fn add_products<S: Simd, E: Real, const M: usize, const K: usize, const L: usize>(
    simd: S,
    Records {
        rows: records,
        stride: rows,
        x: x_at,
        c: c_at,
        ..
    }: Records<'_, E, L>,
    (m_at, k_at, per_output): (usize, usize, usize),
    weights: &mut [Sums<E>],
) {
    let mut sums = [[E::splat(simd, E::default()); K]; M];
    for index in 0..records.len() / rows {
        let record = &records[index * rows..][..rows];
        let (x, c) = (part::<E, K, L>(record, x_at), part::<E, M, L>(record, c_at));
        for r in 0..L / E::lanes::<S>() {
            let mut c_at = [E::splat(simd, E::default()); M];
            for m in 0..M {
                c_at[m] = E::registers::<S>(&*c[m])[r];
            }
            for k in 0..K {
                let x = E::registers::<S>(&*x[k])[r];
                for m in 0..M {
                    sums[m][k] = E::fma(simd, c_at[m], x, sums[m][k]);
                }
            }
        }
    }
    for m in 0..M {
        for k in 0..K {
            let place = &mut weights[(m_at + m) * per_output + (k_at + k) / WIDTH];
            place[(k_at + k) % WIDTH] += E::reduce(simd, sums[m][k]);
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
    for i in 0..I {
        for l in 0..L {
            transposed[i / L * L + l][i % L] = x[i][l];
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
    let mut cs = [&c[o]; M];
    for m in 0..M {
        cs[m] = &c[o + m];
    }
    // Two registers of inputs at a time, both in one row.
    let mut i = 0;
    while i < I {
        let (rows, at) = (&transposed[i / L * L..][..L], i % L / lanes);
        let mut sum = [[E::splat(simd, E::default()); SPAN]; M];
        for l in 0..L {
            let x = &E::registers::<S>(&*rows[l])[at..at + SPAN];
            for m in 0..M {
                let c = E::splat(simd, cs[m][l]);
                for s in 0..SPAN {
                    sum[m][s] = E::fma(simd, c, x[s], sum[m][s]);
                }
            }
        }
        for m in 0..M {
            for s in 0..SPAN {
                let first = i + s * lanes;
                if first < per_output * WIDTH {
                    let place = &mut *weights[(o + m) * per_output + first / WIDTH];
                    let place = &mut E::registers_mut::<S>(place)[first % WIDTH / lanes];
                    *place = E::sum(simd, *place, sum[m][s]);
                }
            }
        }
        i += SPAN * lanes;
    }
}
