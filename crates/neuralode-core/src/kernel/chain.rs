//! Layers made of layers: a field is one type.

use core::marker::PhantomData;

use pulp::Simd;

use crate::{
    device::FieldSource,
    kernel::{
        layer::{Filled, Records, Rows, TileLayer},
        tile::{add, carve, copy, part, sum, Row, Sums, Tile},
    },
    simd::real::Real,
};

/// `B` after `A`, with `M` features between them.
///
/// The width stands in the type, since a layer such as [`DenseLayer`](crate::kernel::dense::DenseLayer) has none of its
/// own. A record holds the tile between the two, its cotangent, the rows of `A` and those of `B`.
#[derive(Debug)]
pub struct Then<A, B, const M: usize>(PhantomData<(A, B)>);

impl<A, B, const I: usize, const M: usize, const O: usize> TileLayer<I, O> for Then<A, B, M>
where
    A: TileLayer<I, M>,
    B: TileLayer<M, O>,
{
    const PARAMS: usize = A::PARAMS + B::PARAMS;
    const SUMS: usize = A::SUMS + B::SUMS;
    const PRODUCTS: usize = A::PRODUCTS + B::PRODUCTS;
    const RECORD: usize = 2 * M + A::RECORD + B::RECORD;
    const KEPT: usize = A::KEPT + B::KEPT;
    const SCRATCH: usize = M + A::SCRATCH + B::SCRATCH;
    const KINKS: bool = A::KINKS || B::KINKS;
    const POINT: bool = A::POINT && B::POINT;
    type One<E: Real> = (A::One<E>, [E; M], B::One<E>);

    fn gather_scratch(samples: usize) -> usize {
        A::gather_scratch(samples).max(B::gather_scratch(samples))
    }

    fn transpose<E: Real>(params: &[E], out: &mut [E]) {
        let (a_params, b_params) = params.split_at(A::PARAMS);
        let (a_out, b_out) = out.split_at_mut(A::PARAMS);
        A::transpose(a_params, a_out);
        B::transpose(b_params, b_out);
    }

    #[inline(always)]
    fn forward<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        t: &[f64; L],
        x: &Tile<E, I, L>,
        rows: Rows<'_, E, L>,
        y: &mut Tile<E, O, L>,
    ) {
        let (between, record) = carve::<E, M, L>(rows.record);
        let record = &mut record[M..];
        let rows = Rows { record, ..rows };
        let (a_rows, b_rows) = rows.split(A::RECORD, A::KEPT);
        let (a_params, b_params) = params.split_at(A::PARAMS);
        A::forward(simd, a_params, t, x, a_rows, between);
        B::forward(simd, b_params, t, between, b_rows, y);
    }

    #[inline(always)]
    fn recall<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        t: &[f64; L],
        x: &Tile<E, I, L>,
        value: Option<&Tile<E, O, L>>,
        rows: Rows<'_, E, L>,
        y: &mut Tile<E, O, L>,
    ) {
        let (between, record) = carve::<E, M, L>(rows.record);
        let record = &mut record[M..];
        let rows = Rows { record, ..rows };
        let (a_rows, b_rows) = rows.split(A::RECORD, A::KEPT);
        let (a_params, b_params) = params.split_at(A::PARAMS);
        A::forward(simd, a_params, t, x, a_rows, between);
        B::recall(simd, b_params, t, between, value, b_rows, y);
    }

    #[inline(always)]
    fn backward<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        transposed: &[E],
        x: &Tile<E, I, L>,
        rows: Rows<'_, E, L>,
        y: &Tile<E, O, L>,
        c: &mut Tile<E, O, L>,
        x_bar: &mut Tile<E, I, L>,
    ) {
        let (between, record) = carve::<E, M, L>(rows.record);
        let (between_bar, record) = carve::<E, M, L>(record);
        let rows = Rows { record, ..rows };
        let (a_rows, b_rows) = rows.split(A::RECORD, A::KEPT);
        let (a_params, b_params) = params.split_at(A::PARAMS);
        let (a_trans, b_trans) = transposed.split_at(A::PARAMS);
        B::backward(simd, b_params, b_trans, between, b_rows, y, c, between_bar);
        A::backward(
            simd,
            a_params,
            a_trans,
            x,
            a_rows,
            between,
            between_bar,
            x_bar,
        );
    }

    #[inline(always)]
    fn gather<S: Simd, E: Real, const L: usize>(
        simd: S,
        records: Records<'_, E, L>,
        sums: &mut [Sums<E>],
        scratch: &mut [Row<E, L>],
    ) {
        let (a_sums, b_sums) = sums.split_at_mut(A::SUMS);
        let between = records.own;
        let a_own = between + 2 * M;
        let of_a = Records {
            own: a_own,
            c: between + M,
            ..records
        };
        let of_b = Records {
            own: a_own + A::RECORD,
            x: between,
            ..records
        };
        A::gather(simd, of_a, a_sums, scratch);
        B::gather(simd, of_b, b_sums, scratch);
    }

    #[inline(always)]
    fn tangent<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        direction: &[E],
        x: &Tile<E, I, L>,
        v: &Tile<E, I, L>,
        rows: Filled<'_, E, L>,
        y: &Tile<E, O, L>,
        scratch: &mut [Row<E, L>],
        out: &mut Tile<E, O, L>,
    ) {
        let between = part::<E, M, L>(rows.record, 0);
        let record = &rows.record[2 * M..];
        let (a_rows, b_rows) = Filled { record, ..rows }.split(A::RECORD, A::KEPT);
        let (a_params, b_params) = params.split_at(A::PARAMS);
        let (a_dot, b_dot) = direction.split_at(A::PARAMS);
        let (moved, scratch) = carve::<E, M, L>(scratch);
        A::tangent(simd, a_params, a_dot, x, v, a_rows, between, scratch, moved);
        B::tangent(
            simd, b_params, b_dot, between, moved, b_rows, y, scratch, out,
        );
    }

    #[inline(always)]
    fn join<E: Real>(sums: &[Sums<E>], theta_bar: &mut [E]) {
        let (a_sums, b_sums) = sums.split_at(A::SUMS);
        let (a_bar, b_bar) = theta_bar.split_at_mut(A::PARAMS);
        A::join(a_sums, a_bar);
        B::join(b_sums, b_bar);
    }

    #[inline(always)]
    fn forward_one<S: Simd, E: Real>(
        simd: S,
        params: &[E],
        transposed: &[E],
        t: f64,
        x: &[E; I],
    ) -> (Self::One<E>, [E; O]) {
        let (a_params, b_params) = params.split_at(A::PARAMS);
        let (a_trans, b_trans) = transposed.split_at(A::PARAMS);
        let (a, between) = A::forward_one(simd, a_params, a_trans, t, x);
        let (b, y) = B::forward_one(simd, b_params, b_trans, t, &between);
        ((a, between, b), y)
    }

    #[inline(always)]
    fn backward_one<S: Simd, E: Real>(
        simd: S,
        params: &[E],
        transposed: &[E],
        x: &[E; I],
        (a, between, b): &Self::One<E>,
        y: &[E; O],
        c: [E; O],
        theta_bar: &mut [E],
    ) -> [E; I] {
        let (a_params, b_params) = params.split_at(A::PARAMS);
        let (a_trans, b_trans) = transposed.split_at(A::PARAMS);
        let (a_bar, b_bar) = theta_bar.split_at_mut(A::PARAMS);
        let c = B::backward_one(simd, b_params, b_trans, between, b, y, c, b_bar);
        A::backward_one(simd, a_params, a_trans, x, a, between, c, a_bar)
    }

    fn cuda(source: FieldSource) -> Option<FieldSource> {
        B::cuda(A::cuda(source)?)
    }
}

/// `y = x + A(x)`.
///
/// A record holds the cotangent of `A(x)`, which `A` changes, and the rows of `A`; a pass keeps `A(x)`.
#[derive(Debug)]
pub struct ResidualLayer<A>(PhantomData<A>);

impl<A: TileLayer<N, N>, const N: usize> TileLayer<N, N> for ResidualLayer<A> {
    const PARAMS: usize = A::PARAMS;
    const SUMS: usize = A::SUMS;
    const PRODUCTS: usize = A::PRODUCTS;
    const RECORD: usize = N + A::RECORD;
    const KEPT: usize = N + A::KEPT;
    const SCRATCH: usize = A::SCRATCH;
    const KINKS: bool = A::KINKS;
    const POINT: bool = A::POINT;
    type One<E: Real> = (A::One<E>, [E; N]);

    fn gather_scratch(samples: usize) -> usize {
        A::gather_scratch(samples)
    }

    fn transpose<E: Real>(params: &[E], out: &mut [E]) {
        A::transpose(params, out);
    }

    #[inline(always)]
    fn forward<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        t: &[f64; L],
        x: &Tile<E, N, L>,
        rows: Rows<'_, E, L>,
        y: &mut Tile<E, N, L>,
    ) {
        let (inner, kept) = carve::<E, N, L>(rows.kept);
        let record = &mut rows.record[N..];
        A::forward(simd, params, t, x, Rows { record, kept }, inner);
        sum(simd, x, inner, y);
    }

    /// The way back over the sum needs no value.
    #[inline(always)]
    fn recall<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        t: &[f64; L],
        x: &Tile<E, N, L>,
        _value: Option<&Tile<E, N, L>>,
        rows: Rows<'_, E, L>,
        _y: &mut Tile<E, N, L>,
    ) {
        let (inner, kept) = carve::<E, N, L>(rows.kept);
        let record = &mut rows.record[N..];
        A::recall(simd, params, t, x, None, Rows { record, kept }, inner);
    }

    #[inline(always)]
    fn backward<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        transposed: &[E],
        x: &Tile<E, N, L>,
        rows: Rows<'_, E, L>,
        _y: &Tile<E, N, L>,
        c: &mut Tile<E, N, L>,
        x_bar: &mut Tile<E, N, L>,
    ) {
        let (inner, kept) = carve::<E, N, L>(rows.kept);
        let (inner_bar, record) = carve::<E, N, L>(rows.record);
        let rows = Rows { record, kept };
        copy(c, inner_bar);
        A::backward(simd, params, transposed, x, rows, inner, inner_bar, x_bar);
        add(simd, c, x_bar);
    }

    #[inline(always)]
    fn gather<S: Simd, E: Real, const L: usize>(
        simd: S,
        records: Records<'_, E, L>,
        sums: &mut [Sums<E>],
        scratch: &mut [Row<E, L>],
    ) {
        let inner_bar = records.own;
        let inner = Records {
            own: inner_bar + N,
            c: inner_bar,
            ..records
        };
        A::gather(simd, inner, sums, scratch);
    }

    #[inline(always)]
    fn tangent<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        direction: &[E],
        x: &Tile<E, N, L>,
        v: &Tile<E, N, L>,
        rows: Filled<'_, E, L>,
        _y: &Tile<E, N, L>,
        scratch: &mut [Row<E, L>],
        out: &mut Tile<E, N, L>,
    ) {
        let inner = part::<E, N, L>(rows.kept, 0);
        let (_, rows) = rows.split(N, N);
        A::tangent(simd, params, direction, x, v, rows, inner, scratch, out);
        add(simd, v, out);
    }

    #[inline(always)]
    fn join<E: Real>(sums: &[Sums<E>], theta_bar: &mut [E]) {
        A::join(sums, theta_bar);
    }

    #[inline(always)]
    fn forward_one<S: Simd, E: Real>(
        simd: S,
        params: &[E],
        transposed: &[E],
        t: f64,
        x: &[E; N],
    ) -> (Self::One<E>, [E; N]) {
        let (a, inner) = A::forward_one(simd, params, transposed, t, x);
        ((a, inner), add_one(x, inner))
    }

    #[inline(always)]
    fn backward_one<S: Simd, E: Real>(
        simd: S,
        params: &[E],
        transposed: &[E],
        x: &[E; N],
        (a, inner): &Self::One<E>,
        _y: &[E; N],
        c: [E; N],
        theta_bar: &mut [E],
    ) -> [E; N] {
        let x_bar = A::backward_one(simd, params, transposed, x, a, inner, c, theta_bar);
        add_one(&c, x_bar)
    }

    fn cuda(source: FieldSource) -> Option<FieldSource> {
        let from = source.layers();
        Some(A::cuda(source)?.join(from))
    }
}

/// The sum of two samples.
#[inline(always)]
fn add_one<E: Real, const N: usize>(a: &[E; N], mut b: [E; N]) -> [E; N] {
    for (a, b) in a.iter().zip(&mut b) {
        *b += *a;
    }
    b
}
