//! Pooling over tiles: the kernels of `MaxPool2d`, `AvgPool2d` and
//! `GlobalAvgPool`.

use pulp::Simd;

use crate::{
    device::FieldSource,
    kernel::{
        layer::{no_params, no_point, Filled, Records, Rows, TileLayer},
        tile::{Row, Sums, Tile},
    },
    simd::real::Real,
};

/// The largest number in each window of `K` by `K`, `STRIDE` apart, of images of `H` by `W`, which gives `OH` by `OW`.
#[derive(Debug)]
pub struct MaxPoolLayer<
    const H: usize,
    const W: usize,
    const OH: usize,
    const OW: usize,
    const K: usize,
    const STRIDE: usize,
>;

/// The mean over each window of `KH` by `KW`, `STRIDE` apart, of images of `H` by `W`, which gives `OH` by `OW`.
#[derive(Debug)]
pub struct AvgPoolLayer<
    const H: usize,
    const W: usize,
    const OH: usize,
    const OW: usize,
    const KH: usize,
    const KW: usize,
    const STRIDE: usize,
>;

/// Sizes of an image, of the result, and of the windows between them.
#[derive(Clone, Copy)]
struct Windows {
    image: (usize, usize),
    result: (usize, usize),
    window: (usize, usize),
    stride: usize,
}

impl Windows {
    /// The rows of the window of the result `out`.
    #[inline(always)]
    fn rows(self, out: usize) -> impl Iterator<Item = usize> + Clone {
        let Self {
            image: (height, width),
            result: (lines, columns),
            window: (down, right),
            stride,
        } = self;
        let (channel, place) = (out / (lines * columns), out % (lines * columns));
        let first =
            channel * height * width + place / columns * stride * width + place % columns * stride;
        (0..down * right).map(move |k| first + k / right * width + k % right)
    }
}

impl<
        const H: usize,
        const W: usize,
        const OH: usize,
        const OW: usize,
        const K: usize,
        const STRIDE: usize,
    > MaxPoolLayer<H, W, OH, OW, K, STRIDE>
{
    const WINDOWS: Windows = Windows {
        image: (H, W),
        result: (OH, OW),
        window: (K, K),
        stride: STRIDE,
    };
}

impl<
        const H: usize,
        const W: usize,
        const OH: usize,
        const OW: usize,
        const K: usize,
        const STRIDE: usize,
        const I: usize,
        const O: usize,
    > TileLayer<I, O> for MaxPoolLayer<H, W, OH, OW, K, STRIDE>
{
    /// Comparisons, that is.
    const PRODUCTS: usize = O * K * K;
    const KINKS: bool = true;
    no_params!();
    no_point!(I, O);

    /// A NaN in a window is its largest number.
    #[inline(always)]
    fn forward<S: Simd, E: Real, const L: usize>(
        _simd: S,
        _params: &[E],
        _t: &[f64; L],
        x: &Tile<E, I, L>,
        _rows: Rows<'_, E, L>,
        y: &mut Tile<E, O, L>,
    ) {
        for (out, y) in y.iter_mut().enumerate() {
            let mut rows = Self::WINDOWS.rows(out);
            if let Some(first) = rows.next() {
                *y = x[first];
            }
            for row in rows {
                let x = &x[row];
                for l in 0..L {
                    // Where neither is true, one of them is NaN, and so is their sum.
                    let (larger, smaller) = (y[l] < x[l], x[l] <= y[l]);
                    let nan = x[l] + y[l];
                    let kept = if smaller { y[l] } else { nan };
                    y[l] = if larger { x[l] } else { kept };
                }
            }
        }
    }

    /// To the first place of the largest number.
    #[inline(always)]
    fn backward<S: Simd, E: Real, const L: usize>(
        _simd: S,
        _params: &[E],
        _transposed: &[E],
        x: &Tile<E, I, L>,
        _rows: Rows<'_, E, L>,
        y: &Tile<E, O, L>,
        c: &mut Tile<E, O, L>,
        x_bar: &mut Tile<E, I, L>,
    ) {
        x_bar.fill(Row::default());
        for (out, (y, c)) in y.iter().zip(c).enumerate() {
            // What no place has taken yet.
            let mut left = *c;
            for row in Self::WINDOWS.rows(out) {
                let (x, x_bar) = (&x[row], &mut x_bar[row]);
                for l in 0..L {
                    let lower = x[l] < y[l];
                    let taken = if lower { E::default() } else { left[l] };
                    left[l] = if lower { left[l] } else { E::default() };
                    x_bar[l] += taken;
                }
            }
        }
    }

    #[inline(always)]
    fn tangent<S: Simd, E: Real, const L: usize>(
        _simd: S,
        _params: &[E],
        _direction: &[E],
        x: &Tile<E, I, L>,
        v: &Tile<E, I, L>,
        _rows: Filled<'_, E, L>,
        y: &Tile<E, O, L>,
        _scratch: &mut [Row<E, L>],
        out: &mut Tile<E, O, L>,
    ) {
        for (place, (y, out)) in y.iter().zip(out).enumerate() {
            // One until the largest number is found, then zero.
            let mut open = [E::ONE; L];
            *out = Row::default();
            for row in Self::WINDOWS.rows(place) {
                let (x, v) = (&x[row], &v[row]);
                for l in 0..L {
                    let lower = x[l] < y[l];
                    let taken = if lower { E::default() } else { open[l] };
                    open[l] = if lower { open[l] } else { E::default() };
                    out[l] += if taken > E::default() { v[l] } else { taken };
                }
            }
        }
    }

    fn cuda(source: FieldSource) -> Option<FieldSource> {
        Some(source.max_pool([I / (H * W), H, W], [OH, OW], K, STRIDE))
    }
}

impl<
        const H: usize,
        const W: usize,
        const OH: usize,
        const OW: usize,
        const KH: usize,
        const KW: usize,
        const STRIDE: usize,
    > AvgPoolLayer<H, W, OH, OW, KH, KW, STRIDE>
{
    const WINDOWS: Windows = Windows {
        image: (H, W),
        result: (OH, OW),
        window: (KH, KW),
        stride: STRIDE,
    };

    #[allow(clippy::cast_precision_loss, reason = "no image has 2^53 pixels")]
    const SHARE: f64 = 1.0 / (KH * KW) as f64;

    /// The means of `x`.
    #[inline(always)]
    fn means<S: Simd, E: Real, const L: usize>(simd: S, x: &[Row<E, L>], y: &mut [Row<E, L>]) {
        let share = E::splat(simd, E::from_f64(Self::SHARE));
        for (out, y) in y.iter_mut().enumerate() {
            let y = E::registers_mut::<S>(&mut **y);
            for (r, y) in y.iter_mut().enumerate() {
                let mut sum = E::splat(simd, E::default());
                for row in Self::WINDOWS.rows(out) {
                    sum = E::sum(simd, sum, E::registers::<S>(&*x[row])[r]);
                }
                *y = E::product(simd, sum, share);
            }
        }
    }
}

impl<
        const H: usize,
        const W: usize,
        const OH: usize,
        const OW: usize,
        const KH: usize,
        const KW: usize,
        const STRIDE: usize,
        const I: usize,
        const O: usize,
    > TileLayer<I, O> for AvgPoolLayer<H, W, OH, OW, KH, KW, STRIDE>
{
    /// Additions, that is.
    const PRODUCTS: usize = O * KH * KW;
    no_params!();
    no_point!(I, O);

    #[inline(always)]
    fn forward<S: Simd, E: Real, const L: usize>(
        simd: S,
        _params: &[E],
        _t: &[f64; L],
        x: &Tile<E, I, L>,
        _rows: Rows<'_, E, L>,
        y: &mut Tile<E, O, L>,
    ) {
        Self::means(simd, x, y);
    }

    /// The way back needs no value.
    #[inline(always)]
    fn recall<S: Simd, E: Real, const L: usize>(
        _simd: S,
        _params: &[E],
        _t: &[f64; L],
        _x: &Tile<E, I, L>,
        _value: Option<&Tile<E, O, L>>,
        _rows: Rows<'_, E, L>,
        _y: &mut Tile<E, O, L>,
    ) {
    }

    #[inline(always)]
    fn backward<S: Simd, E: Real, const L: usize>(
        simd: S,
        _params: &[E],
        _transposed: &[E],
        _x: &Tile<E, I, L>,
        _rows: Rows<'_, E, L>,
        _y: &Tile<E, O, L>,
        c: &mut Tile<E, O, L>,
        x_bar: &mut Tile<E, I, L>,
    ) {
        let share = E::splat(simd, E::from_f64(Self::SHARE));
        x_bar.fill(Row::default());
        for (out, c) in c.iter().enumerate() {
            let c = E::registers::<S>(&**c);
            for row in Self::WINDOWS.rows(out) {
                let x_bar = E::registers_mut::<S>(&mut *x_bar[row]);
                for r in 0..L / E::lanes::<S>() {
                    x_bar[r] = E::fma(simd, c[r], share, x_bar[r]);
                }
            }
        }
    }

    #[inline(always)]
    fn tangent<S: Simd, E: Real, const L: usize>(
        simd: S,
        _params: &[E],
        _direction: &[E],
        _x: &Tile<E, I, L>,
        v: &Tile<E, I, L>,
        _rows: Filled<'_, E, L>,
        _y: &Tile<E, O, L>,
        _scratch: &mut [Row<E, L>],
        out: &mut Tile<E, O, L>,
    ) {
        Self::means(simd, v, out);
    }

    fn cuda(source: FieldSource) -> Option<FieldSource> {
        Some(source.avg_pool([I / (H * W), H, W], [OH, OW], [KH, KW], STRIDE))
    }
}
