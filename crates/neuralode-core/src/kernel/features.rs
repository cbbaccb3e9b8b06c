//! Layers that add or drop scalars of a sample: the kernels of `Augment`, `Project` and `Append(t)`.

use pulp::Simd;

use crate::{
    device::FieldSource,
    kernel::{
        layer::{no_params, no_point, Filled, Records, Rows, TileLayer},
        tile::{Row, Sums, Tile},
    },
    simd::real::Real,
};

/// Keeps the first `min(I, O)` scalars; what is new is zero.
#[derive(Debug)]
pub struct ResizeLayer;

/// Keeps all scalars; what is new is the time.
#[derive(Debug)]
pub struct AppendTimeLayer;

/// Copies the rows that both tiles have, and gives the further ones of `y`.
#[inline(always)]
fn keep<'y, E: Real, const I: usize, const O: usize, const L: usize>(
    x: &Tile<E, I, L>,
    y: &'y mut Tile<E, O, L>,
) -> &'y mut [Row<E, L>] {
    let (kept, new) = y.split_at_mut(
        const {
            if I < O {
                I
            } else {
                O
            }
        },
    );
    for (x, y) in x.iter().zip(kept) {
        *y = *x;
    }
    new
}

macro_rules! layers_without_parameters {
    ($($name:ident, $time:literal, |$t:ident| $new:expr;)*) => {$(
        impl<const I: usize, const O: usize> TileLayer<I, O> for $name {
            const PRODUCTS: usize = 0;
            no_params!();
            no_point!(I, O);

            #[inline(always)]
            fn forward<S: Simd, E: Real, const L: usize>(
                _simd: S,
                _params: &[E],
                $t: &[f64; L],
                x: &Tile<E, I, L>,
                _rows: Rows<'_, E, L>,
                y: &mut Tile<E, O, L>,
            ) {
                let new: Row<E, L> = $new;
                keep(x, y).fill(new);
            }

            #[inline(always)]
            fn backward<S: Simd, E: Real, const L: usize>(
                _simd: S,
                _params: &[E],
                _transposed: &[E],
                _x: &Tile<E, I, L>,
                _rows: Rows<'_, E, L>,
                _y: &Tile<E, O, L>,
                c: &mut Tile<E, O, L>,
                x_bar: &mut Tile<E, I, L>,
            ) {
                keep(c, x_bar).fill(Row::default());
            }

            /// Time stands still along a tangent.
            #[inline(always)]
            fn tangent<S: Simd, E: Real, const L: usize>(
                _simd: S,
                _params: &[E],
                _direction: &[E],
                _x: &Tile<E, I, L>,
                v: &Tile<E, I, L>,
                _rows: Filled<'_, E, L>,
                _y: &Tile<E, O, L>,
                _scratch: &mut [Row<E, L>],
                out: &mut Tile<E, O, L>,
            ) {
                keep(v, out).fill(Row::default());
            }

            fn cuda(source: FieldSource) -> Option<FieldSource> {
                Some(source.resize(I, O, $time))
            }
        }
    )*};
}

layers_without_parameters! {
    ResizeLayer, false, |_t| Row::default();
    AppendTimeLayer, true, |t| Row(t.map(E::from_f64));
}
