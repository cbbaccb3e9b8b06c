//! Convolutions over tiles: the kernels of `Conv2d`.
//!
//! Value, tangent and the cotangent of the input are one loop nest, `correlate`, over the places of the result and,
//! at each, over the places of the window that meet the image. A block of channels stays in registers meanwhile, so
//! that a number of the image is loaded once for all of them, and a weight once for two registers of samples.

use core::marker::PhantomData;

use pulp::Simd;

use crate::{
    device::FieldSource,
    kernel::{
        activation::{scale_by_derivative, TileActivation},
        blocks::{assert_whole_blocks, span, span_mut, SPAN},
        dense::argument,
        layer::{no_point, Filled, Records, Rows, TileLayer},
        tile::{copy, Row, Sums, Tile, WIDTH},
    },
    simd::real::Real,
};

/// The kernels of `Conv2d` with the activation `A`: from `CI` channels of `H` by `W` to `CO` of
/// `OH` by `OW`, by windows of `K` by `K` places, `STRIDE` apart, on an image with `PADDING` zeros on each side.
#[derive(Debug)]
pub struct Conv2dLayer<
    A,
    const CI: usize,
    const H: usize,
    const W: usize,
    const CO: usize,
    const OH: usize,
    const OW: usize,
    const K: usize,
    const STRIDE: usize,
    const PADDING: usize,
>(PhantomData<A>);

/// The sizes of an image.
#[derive(Clone, Copy)]
struct Image {
    channels: usize,
    height: usize,
    width: usize,
}

impl Image {
    #[inline(always)]
    const fn plane(self) -> usize {
        self.height * self.width
    }
}

/// For each place of a window along one axis: the index that it meets, if there is one.
type Met<const K: usize> = [Option<usize>; K];

/// What the window of the output `at` meets of an axis of so many inputs.
#[inline(always)]
fn inputs_of<const K: usize, const STRIDE: usize, const PADDING: usize>(
    at: usize,
    length: usize,
) -> Met<K> {
    let mut met = [None; K];
    for (k, met) in met.iter_mut().enumerate() {
        let padded = at * STRIDE + k;
        if padded >= PADDING && padded - PADDING < length {
            *met = Some(padded - PADDING);
        }
    }
    met
}

/// The outputs, of so many, whose windows meet the input `at`, by the place where they do.
#[inline(always)]
fn outputs_of<const K: usize, const STRIDE: usize, const PADDING: usize>(
    at: usize,
    length: usize,
) -> Met<K> {
    let mut met = [None; K];
    for (k, met) in met.iter_mut().enumerate() {
        let padded = at + PADDING;
        if padded >= k && (padded - k).is_multiple_of(STRIDE) && (padded - k) / STRIDE < length {
            *met = Some((padded - k) / STRIDE);
        }
    }
    met
}

/// What the sums of [`correlate`] begin with.
#[derive(Clone, Copy)]
enum Start<'b, E> {
    Zero,
    /// One number for each channel.
    Bias(&'b [E]),
    /// What stands there.
    There,
}

/// `y[o] = start[o] + sum(weight[o][c][k] x[c][met(k)])` over the channels `c` of `x` and the places `k` of the window
/// that meet it. `weight` has a row of `K` numbers for each `(o, c, k / K)`, and `y` so many `CHANNELS`.
#[inline(always)]
fn correlate<S: Simd, E: Real, const K: usize, const CHANNELS: usize, const L: usize>(
    simd: S,
    weight: &[E],
    start: Start<'_, E>,
    (from, x): (Image, &[Row<E, L>]),
    (to, y): (Image, &mut [Row<E, L>]),
    met: impl Fn(usize, usize) -> Met<K>,
) {
    let (weight, _) = weight.as_chunks::<K>();
    for line in 0..to.height {
        let lines = met(line, from.height);
        for column in 0..to.width {
            let window = (lines, met(column, from.width));
            let at = line * to.width + column;
            let mut channel = 0;
            // Only blocks that are needed are compiled.
            macro_rules! channels {
                ($count:literal, $left:expr) => {
                    if const { $left >= $count } {
                        while CHANNELS - channel >= $count {
                            block::<S, E, K, $count, L>(
                                simd,
                                weight,
                                start,
                                (from, x),
                                (channel * to.plane() + at, to.plane(), y),
                                (channel, window),
                            );
                            channel += $count;
                        }
                    }
                };
            }
            if const { S::REGISTER_COUNT >= 32 } {
                channels!(8, CHANNELS);
                channels!(4, CHANNELS % 8);
            } else {
                channels!(4, CHANNELS);
            }
            channels!(2, CHANNELS % 4);
            channels!(1, CHANNELS % 2);
        }
    }
}

/// `M` channels of one place of [`correlate`], from the given one on; `y` holds them at `first`, `step` rows apart.
#[inline(always)]
fn block<S: Simd, E: Real, const K: usize, const M: usize, const L: usize>(
    simd: S,
    weight: &[[E; K]],
    start: Start<'_, E>,
    (from, x): (Image, &[Row<E, L>]),
    (first, step, y): (usize, usize, &mut [Row<E, L>]),
    (channel, (lines, columns)): (usize, (Met<K>, Met<K>)),
) {
    let rows_of_channel = from.channels * K;
    const { assert_whole_blocks::<E, L>() };
    let mut register = 0;
    while register + SPAN <= L / E::lanes::<S>() {
        let mut sum = [[E::splat(simd, E::default()); SPAN]; M];
        match start {
            Start::Zero => {}
            Start::Bias(bias) => {
                let bias = &bias[channel..channel + M];
                for m in 0..M {
                    sum[m] = [E::splat(simd, bias[m]); SPAN];
                }
            }
            Start::There => {
                for m in 0..M {
                    let y = E::registers::<S>(&*y[first + m * step]);
                    sum[m] = *span(y, register);
                }
            }
        }
        for c in 0..from.channels {
            for (k, line) in lines.iter().enumerate() {
                let Some(line) = line else {
                    continue;
                };
                let x = &x[c * from.plane() + line * from.width..][..from.width];
                let row = channel * rows_of_channel + c * K + k;
                let mut rows = [&weight[row]; M];
                for (m, rows) in rows.iter_mut().enumerate().skip(1) {
                    *rows = &weight[row + m * rows_of_channel];
                }
                for k in 0..K {
                    let Some(column) = columns[k] else {
                        continue;
                    };
                    let x = &E::registers::<S>(&*x[column])[register..register + SPAN];
                    for m in 0..M {
                        let w = E::splat(simd, rows[m][k]);
                        for s in 0..SPAN {
                            sum[m][s] = E::fma(simd, w, x[s], sum[m][s]);
                        }
                    }
                }
            }
        }
        for m in 0..M {
            let y = E::registers_mut::<S>(&mut *y[first + m * step]);
            *span_mut(y, register) = sum[m];
        }
        register += SPAN;
    }
}

/// Adds the products of `M` channels of cotangents, from `o` on, with what row `k` of the window meets of channel `c`
/// to the sums from the places `sum_at(m)` on.
#[inline(always)]
fn gather_block<S: Simd, E: Real, const K: usize, const M: usize, const L: usize>(
    simd: S,
    (from, x): (Image, &[Row<E, L>]),
    (to, bar): (Image, &[Row<E, L>]),
    (o, c, k): (usize, usize, usize),
    met: impl Fn(usize, usize) -> Met<K>,
    sum_at: impl Fn(usize) -> usize,
    sums: &mut [Sums<E>],
) {
    let mut sum = [[E::splat(simd, E::default()); K]; M];
    for line in 0..to.height {
        let Some(met_line) = met(line, from.height)[k] else {
            continue;
        };
        let x = &x[c * from.plane() + met_line * from.width..][..from.width];
        let first = o * to.plane() + line * to.width;
        let mut bars = [&bar[first..][..to.width]; M];
        for (m, bars) in bars.iter_mut().enumerate().skip(1) {
            *bars = &bar[first + m * to.plane()..][..to.width];
        }
        let mut column = 0;
        while column < to.width {
            let columns = met(column, from.width);
            for register in 0..L / E::lanes::<S>() {
                let mut bar = [E::splat(simd, E::default()); M];
                for m in 0..M {
                    bar[m] = E::registers::<S>(&*bars[m][column])[register];
                }
                for k in 0..K {
                    let Some(column) = columns[k] else {
                        continue;
                    };
                    let x = E::registers::<S>(&*x[column])[register];
                    for m in 0..M {
                        sum[m][k] = E::fma(simd, bar[m], x, sum[m][k]);
                    }
                }
            }
            column += 1;
        }
    }
    for (m, sum) in sum.iter().enumerate() {
        for (k, sum) in sum.iter().enumerate() {
            let at = sum_at(m) + k;
            sums[at / WIDTH][at % WIDTH] += E::reduce(simd, *sum);
        }
    }
}

impl<
        A,
        const CI: usize,
        const H: usize,
        const W: usize,
        const CO: usize,
        const OH: usize,
        const OW: usize,
        const K: usize,
        const STRIDE: usize,
        const PADDING: usize,
    > Conv2dLayer<A, CI, H, W, CO, OH, OW, K, STRIDE, PADDING>
{
    const FROM: Image = Image {
        channels: CI,
        height: H,
        width: W,
    };
    const TO: Image = Image {
        channels: CO,
        height: OH,
        width: OW,
    };
    /// Weights of a channel of the output.
    const PER_OUTPUT: usize = CI * K * K;
    const WEIGHTS: usize = CO * Self::PER_OUTPUT;

    /// The convolution of `x` by the weights of `params`.
    #[inline(always)]
    fn convolve<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        start: Start<'_, E>,
        x: &[Row<E, L>],
        y: &mut [Row<E, L>],
    ) {
        correlate::<S, E, K, CO, L>(
            simd,
            &params[..Self::WEIGHTS],
            start,
            (Self::FROM, x),
            (Self::TO, y),
            inputs_of::<K, STRIDE, PADDING>,
        );
    }
}

impl<
        A: TileActivation,
        const CI: usize,
        const H: usize,
        const W: usize,
        const CO: usize,
        const OH: usize,
        const OW: usize,
        const K: usize,
        const STRIDE: usize,
        const PADDING: usize,
        const I: usize,
        const O: usize,
    > TileLayer<I, O> for Conv2dLayer<A, CI, H, W, CO, OH, OW, K, STRIDE, PADDING>
{
    const PARAMS: usize = Self::WEIGHTS + CO;
    const SUMS: usize = (Self::WEIGHTS + CO).div_ceil(WIDTH);
    /// An activation counts as sixteen.
    const PRODUCTS: usize = (Self::PER_OUTPUT + 16) * O;
    /// The argument of the activation.
    const KEPT: usize = if A::FROM_ARGUMENT { O } else { 0 };
    const KINKS: bool = A::KINKS;
    no_point!(I, O);

    /// The weights by channels of the input; biases stay.
    fn transpose<E: Real>(params: &[E], out: &mut [E]) {
        const {
            assert!(I == CI * H * W && O == CO * OH * OW && K > 0 && STRIDE > 0);
        }
        out.copy_from_slice(params);
        let (from, _) = params.as_chunks::<K>();
        let (to, _) = out.as_chunks_mut::<K>();
        for (index, row) in from[..CO * CI * K].iter().enumerate() {
            let (o, c, k) = (index / (CI * K), index / K % CI, index % K);
            to[(c * CO + o) * K + k] = *row;
        }
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
        let bias = Start::Bias(&params[Self::WEIGHTS..]);
        Self::convolve(simd, params, bias, x, y);
        if const { A::FROM_ARGUMENT } {
            rows.kept.copy_from_slice(&*y);
        }
        for y in y {
            for l in 0..L {
                y[l] = A::value::<S, E>(y[l]);
            }
        }
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
        match value {
            _ if const { !A::FROM_ARGUMENT && !A::FROM_VALUE } => {}
            Some(value) if const { !A::FROM_ARGUMENT } => copy(value, y),
            _ => Self::forward(simd, params, t, x, rows, y),
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
        correlate::<S, E, K, CI, L>(
            simd,
            &transposed[..Self::WEIGHTS],
            Start::Zero,
            (Self::TO, c),
            (Self::FROM, x_bar),
            outputs_of::<K, STRIDE, PADDING>,
        );
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
        for index in 0..records.len() / rows {
            let record = &records[index * rows..][..rows];
            let (x, c) = (&record[x_at..x_at + I], &record[c_at..c_at + O]);
            let mut o = 0;
            macro_rules! outputs {
                ($count:literal, $left:expr) => {
                    if const { $left >= $count } {
                        while CO - o >= $count {
                            for row in 0..CI * K {
                                gather_block::<S, E, K, $count, L>(
                                    simd,
                                    (Self::FROM, x),
                                    (Self::TO, c),
                                    (o, row / K, row % K),
                                    inputs_of::<K, STRIDE, PADDING>,
                                    |m| (o + m) * Self::PER_OUTPUT + row * K,
                                    sums,
                                );
                            }
                            o += $count;
                        }
                    }
                };
            }
            if const { S::REGISTER_COUNT >= 32 } {
                outputs!(4, CO);
                outputs!(2, CO % 4);
            } else {
                outputs!(2, CO);
            }
            outputs!(1, CO % 2);
            for o in 0..CO {
                let mut sum = E::splat(simd, E::default());
                for row in &c[o * OH * OW..][..const { OH * OW }] {
                    for c in E::registers::<S>(&**row) {
                        sum = E::sum(simd, sum, *c);
                    }
                }
                let at = Self::WEIGHTS + o;
                sums[at / WIDTH][at % WIDTH] += E::reduce(simd, sum);
            }
        }
    }

    /// Weights that rest cost nothing.
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
        let (moving, bias) = direction.split_at(Self::WEIGHTS);
        Self::convolve(simd, params, Start::Bias(bias), v, out);
        if moving.iter().any(|w| *w != E::default()) {
            Self::convolve(simd, moving, Start::There, x, out);
        }
        scale_by_derivative::<A, S, E, O, L>(simd, argument::<A, E, O, L>(rows.kept, y), y, out);
    }

    fn cuda(source: FieldSource) -> Option<FieldSource> {
        let window = [K, STRIDE, PADDING];
        Some(source.conv2d(
            [CI, H, W],
            [CO, OH, OW],
            window,
            &A::name(),
            A::FROM_ARGUMENT,
        ))
    }
}
