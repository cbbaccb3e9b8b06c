//! One layer as kernels over tiles.

use pulp::Simd;

use super::{
    kernel::{Row, Sums, Tile},
    real::Real,
};

/// The records of several products as [`TileLayer::gather`] takes them: their rows, the number of rows of each, and
/// the first row in each of the layer's input and of the cotangent that [`TileLayer::backward`] left.
pub type Records<'r, E, const L: usize> = (&'r [Row<E, L>], usize, usize, usize);

/// A layer from `I` to `O` scalars of a sample as kernels over tiles of samples: what generated fields are made of.
///
/// The type that implements it is a mark, such as [`DenseLayer<Tanh>`](super::dense::DenseLayer); parameters come as
/// numbers, in the order in which dfdx visits the layer's tensors, [`Self::PARAMS`] of them. All functions are inlined
/// into one caller that runs under the processor's widest instructions.
///
/// A pass over a tile calls [`Self::forward`], and, if it goes back, [`Self::backward`] with the same `kept`. It stores
/// the input and what `backward` leaves in `c` in a record, from which [`Self::gather`] later makes the cotangent of the
/// parameters, for several records at once.
pub trait TileLayer<const I: usize, const O: usize>: 'static {
    /// Number of parameters.
    const PARAMS: usize;
    /// Rows of sums for the parameters' cotangent.
    const SUMS: usize;
    /// Multiplications of a call for one sample, additions apart: what decides whether threads are worth their while.
    const PRODUCTS: usize;
    /// Rows that [`Self::forward`] keeps for [`Self::backward`] and [`Self::tangent`].
    const KEPT: usize;

    /// Rows of scratch space that [`Self::gather`] needs, for tiles of so many samples.
    fn gather_scratch(samples: usize) -> usize {
        let _ = samples;
        0
    }

    /// The parameters as [`Self::backward`] wants them; by default, as they are.
    fn transpose<E: Real>(params: &[E], out: &mut [E]) {
        out.copy_from_slice(params);
    }

    /// Writes the layer's value at `x` into `y`; `t` is the time of each sample.
    fn forward<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        t: &[f64; L],
        x: &Tile<E, I, L>,
        kept: &mut [Row<E, L>],
        y: &mut Tile<E, O, L>,
    );

    /// What [`Self::backward`] needs of `kept` and `y`, where this is the last layer and the caller may have its
    /// value: at most as much work as [`Self::forward`].
    #[inline(always)]
    #[allow(
        clippy::too_many_arguments,
        reason = "those of `forward`, and the value"
    )]
    fn recall<S: Simd, E: Real, const N: usize, const L: usize>(
        simd: S,
        params: &[E],
        t: &[f64; L],
        x: &Tile<E, I, L>,
        value: Option<&Tile<E, N, L>>,
        kept: &mut [Row<E, L>],
        y: &mut Tile<E, O, L>,
    ) {
        let _ = value;
        Self::forward(simd, params, t, x, kept, y);
    }

    /// Writes the cotangent of `x` into `x_bar`, given `c`, that of `y`. What it leaves in `c` is what
    /// [`Self::gather`] sees.
    #[allow(
        clippy::too_many_arguments,
        reason = "inputs and outputs of one product"
    )]
    fn backward<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        transposed: &[E],
        x: &Tile<E, I, L>,
        kept: &mut [Row<E, L>],
        y: &Tile<E, O, L>,
        c: &mut Tile<E, O, L>,
        x_bar: &mut Tile<E, I, L>,
    );

    /// Adds the cotangent of the parameters to `sums`, from the inputs and cotangents in `records`.
    fn gather<S: Simd, E: Real, const L: usize>(
        simd: S,
        records: Records<'_, E, L>,
        sums: &mut [Sums<E>],
        scratch: &mut [Row<E, L>],
    );

    /// Writes the tangent of `y` into `out`, where `x` moves along `v` and the parameters along `direction`.
    #[allow(
        clippy::too_many_arguments,
        reason = "a point, two tangents and the place of the result"
    )]
    fn tangent<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        direction: &[E],
        x: &Tile<E, I, L>,
        v: &Tile<E, I, L>,
        kept: &[Row<E, L>],
        y: &Tile<E, O, L>,
        out: &mut Tile<E, O, L>,
    );

    /// Adds the sums of [`Self::gather`] to the parameters' cotangents `theta_bar`. By default, sums and parameters
    /// have one order.
    fn join<E: Real>(sums: &[Sums<E>], theta_bar: &mut [E]) {
        let sums = sums.iter().flat_map(|row| row.iter());
        for (bar, sum) in theta_bar.iter_mut().zip(sums) {
            *bar += *sum;
        }
    }
}
