//! Normalisation by the mean and variance of each sample over tiles: the kernels of
//! `LayerNorm`.

use pulp::Simd;

use crate::{
    device::FieldSource,
    kernel::{
        layer::{no_point, Filled, Records, Rows, TileLayer},
        tile::{part, Row, Sums, Tile, WIDTH},
    },
    simd::real::Real,
};

/// `y = weight (x - mean) / sqrt(variance + epsilon) + bias`, where `EPSILON` holds the bits of epsilon.
///
/// Every sample is a lane, so that means over its scalars are sums of rows.
#[derive(Debug)]
pub struct LayerNormLayer<const EPSILON: u64>;

/// The mean of each sample, and the reciprocal of its standard deviation.
#[derive(Clone, Copy)]
struct Moments<E, const L: usize> {
    mean: Row<E, L>,
    inverse: Row<E, L>,
}

impl<E: Real, const L: usize> Moments<E, L> {
    /// Of the samples of `x`: the variance is the mean square of what the mean leaves.
    #[inline(always)]
    fn of<S: Simd, const N: usize, const EPSILON: u64>(x: &Tile<E, N, L>) -> Self {
        let count = share::<E, N>();
        let mut mean: Row<E, L> = Row::default();
        for x in x {
            for l in 0..L {
                mean[l] += x[l];
            }
        }
        for l in 0..L {
            mean[l] = mean[l] * count;
        }
        let mut square: Row<E, L> = Row::default();
        for x in x {
            for l in 0..L {
                let rest = x[l] - mean[l];
                square[l] = rest.mul_add::<S>(rest, square[l]);
            }
        }
        let epsilon = E::from_f64(f64::from_bits(EPSILON));
        let mut inverse = square;
        for l in 0..L {
            inverse[l] = E::ONE / square[l].mul_add::<S>(count, epsilon).sqrt();
        }
        Self { mean, inverse }
    }

    /// What [`Self::keep`] left.
    #[inline(always)]
    fn kept(kept: &[Row<E, L>]) -> Self {
        let [mean, inverse]: &Tile<E, 2, L> = part(kept, 0);
        Self {
            mean: *mean,
            inverse: *inverse,
        }
    }

    #[inline(always)]
    fn keep(&self, kept: &mut [Row<E, L>]) {
        kept.copy_from_slice(&[self.mean, self.inverse]);
    }

    /// A scalar of each sample as it is normalised.
    #[inline(always)]
    fn normal(&self, x: &Row<E, L>) -> Row<E, L> {
        let mut normal = *x;
        for l in 0..L {
            normal[l] = (x[l] - self.mean[l]) * self.inverse[l];
        }
        normal
    }

    /// Turns a tangent of `x` into that of the normalised `x`, and so a cotangent of the latter into one of `x`: the
    /// Jacobian `(v - mean(v) - n mean(n v)) / deviation`, with `n` the normalised `x`, is symmetric.
    #[inline(always)]
    fn project<S: Simd, const N: usize>(&self, x: &Tile<E, N, L>, v: &mut Tile<E, N, L>) {
        let (mut mean, mut along): (Row<E, L>, Row<E, L>) = Default::default();
        for (x, v) in x.iter().zip(&*v) {
            let normal = self.normal(x);
            for l in 0..L {
                mean[l] += v[l];
                along[l] = normal[l].mul_add::<S>(v[l], along[l]);
            }
        }
        let count = share::<E, N>();
        for l in 0..L {
            mean[l] = mean[l] * count;
            along[l] = along[l] * count;
        }
        for (x, v) in x.iter().zip(v) {
            let normal = self.normal(x);
            for l in 0..L {
                let rest = v[l] - mean[l];
                v[l] = (-normal[l]).mul_add::<S>(along[l], rest) * self.inverse[l];
            }
        }
    }
}

/// `1 / N`
#[inline(always)]
#[allow(clippy::cast_precision_loss, reason = "no sample has 2^53 scalars")]
fn share<E: Real, const N: usize>() -> E {
    E::from_f64(1.0 / N as f64)
}

impl<const EPSILON: u64, const N: usize> TileLayer<N, N> for LayerNormLayer<EPSILON> {
    const PARAMS: usize = 2 * N;
    const SUMS: usize = (2 * N).div_ceil(WIDTH);
    const PRODUCTS: usize = 4 * N + 16;
    /// The moments of the samples.
    const KEPT: usize = 2;
    no_point!(N, N);

    /// Sums over the samples of one lane.
    fn gather_scratch(_samples: usize) -> usize {
        2 * N
    }

    #[inline(always)]
    fn forward<S: Simd, E: Real, const L: usize>(
        _simd: S,
        params: &[E],
        _t: &[f64; L],
        x: &Tile<E, N, L>,
        rows: Rows<'_, E, L>,
        y: &mut Tile<E, N, L>,
    ) {
        let moments = Moments::of::<S, N, EPSILON>(x);
        moments.keep(rows.kept);
        let (weight, bias) = params.split_at(N);
        for ((weight, bias), (x, y)) in weight.iter().zip(bias).zip(x.iter().zip(y)) {
            let normal = moments.normal(x);
            for l in 0..L {
                y[l] = weight.mul_add::<S>(normal[l], *bias);
            }
        }
    }

    /// The way back needs the moments alone.
    #[inline(always)]
    fn recall<S: Simd, E: Real, const L: usize>(
        _simd: S,
        _params: &[E],
        _t: &[f64; L],
        x: &Tile<E, N, L>,
        _value: Option<&Tile<E, N, L>>,
        rows: Rows<'_, E, L>,
        _y: &mut Tile<E, N, L>,
    ) {
        Moments::of::<S, N, EPSILON>(x).keep(rows.kept);
    }

    #[inline(always)]
    fn backward<S: Simd, E: Real, const L: usize>(
        _simd: S,
        params: &[E],
        _transposed: &[E],
        x: &Tile<E, N, L>,
        rows: Rows<'_, E, L>,
        _y: &Tile<E, N, L>,
        c: &mut Tile<E, N, L>,
        x_bar: &mut Tile<E, N, L>,
    ) {
        for (weight, (c, x_bar)) in params.iter().zip(c.iter().zip(&mut *x_bar)) {
            for l in 0..L {
                x_bar[l] = *weight * c[l];
            }
        }
        Moments::kept(rows.kept).project::<S, N>(x, x_bar);
    }

    #[inline(always)]
    fn gather<S: Simd, E: Real, const L: usize>(
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
        let lanes = &mut scratch[..2 * N];
        lanes.fill(Row::default());
        let (weights, biases) = lanes.split_at_mut(N);
        for record in records.chunks_exact(rows) {
            let (x, c) = (part::<E, N, L>(record, x_at), part::<E, N, L>(record, c_at));
            let moments = Moments::of::<S, N, EPSILON>(x);
            let sums = weights.iter_mut().zip(&mut *biases);
            for ((x, c), (weight, bias)) in x.iter().zip(c).zip(sums) {
                let normal = moments.normal(x);
                for l in 0..L {
                    weight[l] = normal[l].mul_add::<S>(c[l], weight[l]);
                    bias[l] += c[l];
                }
            }
        }
        for (k, row) in lanes.iter().enumerate() {
            let registers = E::registers::<S>(&**row).iter();
            let zero = E::splat(simd, E::default());
            let total = registers.fold(zero, |sum, x| E::sum(simd, sum, *x));
            sums[k / WIDTH][k % WIDTH] += E::reduce(simd, total);
        }
    }

    #[inline(always)]
    fn tangent<S: Simd, E: Real, const L: usize>(
        _simd: S,
        params: &[E],
        direction: &[E],
        x: &Tile<E, N, L>,
        v: &Tile<E, N, L>,
        rows: Filled<'_, E, L>,
        _y: &Tile<E, N, L>,
        _scratch: &mut [Row<E, L>],
        out: &mut Tile<E, N, L>,
    ) {
        let moments = Moments::kept(rows.kept);
        *out = *v;
        moments.project::<S, N>(x, out);
        let (weight_dot, bias_dot) = direction.split_at(N);
        let direction = weight_dot.iter().zip(bias_dot);
        for ((weight, (weight_dot, bias_dot)), (x, out)) in
            params.iter().zip(direction).zip(x.iter().zip(out))
        {
            let normal = moments.normal(x);
            for l in 0..L {
                let moved = weight_dot.mul_add::<S>(normal[l], *bias_dot);
                out[l] = weight.mul_add::<S>(out[l], moved);
            }
        }
    }

    fn cuda(source: FieldSource) -> Option<FieldSource> {
        Some(source.layer_norm(N, f64::from_bits(EPSILON)))
    }
}
