//! Weights and biases by channel over tiles: the kernels of `Scale`.

use pulp::Simd;

use crate::{
    device::FieldSource,
    kernel::{
        layer::{no_point, Filled, Records, Rows, TileLayer},
        tile::{Row, Sums, Tile, WIDTH},
    },
    simd::real::Real,
};

/// `y = weight x + bias` with a weight and a bias for each of `C` channels, which are runs of `N / C` scalars.
#[derive(Debug)]
pub struct ScaleLayer<const C: usize>;

/// Scalars per channel.
const fn run<const N: usize, const C: usize>() -> usize {
    match N.checked_div(C) {
        Some(run) => run,
        None => 1,
    }
}

/// The rows of each channel of `y`, and those of `x`, with the channel's parameters.
#[inline(always)]
fn channels<'t, E, const C: usize, const N: usize, const L: usize>(
    params: &'t [E],
    x: &'t Tile<E, N, L>,
    y: &'t mut Tile<E, N, L>,
) -> impl Iterator<Item = (&'t E, &'t E, &'t [Row<E, L>], &'t mut [Row<E, L>])> {
    let (weight, bias) = params.split_at(C);
    let x = x.chunks_exact(const { run::<N, C>() });
    let y = y.chunks_exact_mut(const { run::<N, C>() });
    let params = weight.iter().zip(bias);
    params.zip(x.zip(y)).map(|((w, b), (x, y))| (w, b, x, y))
}

impl<const C: usize, const N: usize> TileLayer<N, N> for ScaleLayer<C> {
    const PARAMS: usize = 2 * C;
    const SUMS: usize = (2 * C).div_ceil(WIDTH);
    const PRODUCTS: usize = N;
    no_point!(N, N);

    #[inline(always)]
    fn forward<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        _t: &[f64; L],
        x: &Tile<E, N, L>,
        _rows: Rows<'_, E, L>,
        y: &mut Tile<E, N, L>,
    ) {
        for (weight, bias, x, y) in channels::<E, C, N, L>(params, x, y) {
            let (weight, bias) = (E::splat(simd, *weight), E::splat(simd, *bias));
            for (x, y) in x.iter().zip(y) {
                let x = E::registers::<S>(&**x);
                for (x, y) in x.iter().zip(E::registers_mut::<S>(&mut **y)) {
                    *y = E::fma(simd, weight, *x, bias);
                }
            }
        }
    }

    /// The way back needs no value.
    #[inline(always)]
    fn recall<S: Simd, E: Real, const L: usize>(
        _simd: S,
        _params: &[E],
        _t: &[f64; L],
        _x: &Tile<E, N, L>,
        _value: Option<&Tile<E, N, L>>,
        _rows: Rows<'_, E, L>,
        _y: &mut Tile<E, N, L>,
    ) {
    }

    #[inline(always)]
    fn backward<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        _transposed: &[E],
        _x: &Tile<E, N, L>,
        _rows: Rows<'_, E, L>,
        _y: &Tile<E, N, L>,
        c: &mut Tile<E, N, L>,
        x_bar: &mut Tile<E, N, L>,
    ) {
        for (weight, _, c, x_bar) in channels::<E, C, N, L>(params, c, x_bar) {
            let weight = E::splat(simd, *weight);
            for (c, x_bar) in c.iter().zip(x_bar) {
                let c = E::registers::<S>(&**c);
                for (c, x_bar) in c.iter().zip(E::registers_mut::<S>(&mut **x_bar)) {
                    *x_bar = E::product(simd, weight, *c);
                }
            }
        }
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
        _scratch: &mut [Row<E, L>],
    ) {
        let run = const { run::<N, C>() };
        for channel in 0..C {
            let zero = E::splat(simd, E::default());
            let (mut weight, mut bias) = (zero, zero);
            for record in records.chunks_exact(rows) {
                let x = &record[x_at + channel * run..][..run];
                let c = &record[c_at + channel * run..][..run];
                for (x, c) in x.iter().zip(c) {
                    let c = E::registers::<S>(&**c);
                    for (x, c) in E::registers::<S>(&**x).iter().zip(c) {
                        weight = E::fma(simd, *x, *c, weight);
                        bias = E::sum(simd, bias, *c);
                    }
                }
            }
            for (k, sum) in [(channel, weight), (C + channel, bias)] {
                sums[k / WIDTH][k % WIDTH] += E::reduce(simd, sum);
            }
        }
    }

    #[inline(always)]
    fn tangent<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        direction: &[E],
        x: &Tile<E, N, L>,
        v: &Tile<E, N, L>,
        _rows: Filled<'_, E, L>,
        _y: &Tile<E, N, L>,
        _scratch: &mut [Row<E, L>],
        out: &mut Tile<E, N, L>,
    ) {
        let x = x.chunks_exact(const { run::<N, C>() });
        let moved = channels::<E, C, N, L>(params, v, out);
        let (weight_dot, bias_dot) = direction.split_at(C);
        let direction = weight_dot.iter().zip(bias_dot);
        for (((weight, _, v, out), x), (weight_dot, bias_dot)) in moved.zip(x).zip(direction) {
            let [weight, weight_dot, bias_dot] =
                [weight, weight_dot, bias_dot].map(|number| E::splat(simd, *number));
            for ((x, v), out) in x.iter().zip(v).zip(out) {
                let (x, v) = (E::registers::<S>(&**x), E::registers::<S>(&**v));
                let out = E::registers_mut::<S>(&mut **out);
                for ((x, v), out) in x.iter().zip(v).zip(out) {
                    let moved = E::fma(simd, weight_dot, *x, bias_dot);
                    *out = E::fma(simd, weight, *v, moved);
                }
            }
        }
    }

    fn cuda(source: FieldSource) -> Option<FieldSource> {
        Some(source.scale(N, C))
    }
}
