//! One layer as kernels: over tiles of samples, for one sample, and as device code.

use pulp::Simd;

use crate::{
    device::FieldSource,
    kernel::tile::{Row, Sums, Tile},
    simd::real::Real,
};

/// The rows that belong to a layer in one pass over a tile.
#[derive(Debug)]
pub struct Rows<'r, E, const L: usize> {
    /// [`TileLayer::RECORD`] rows, which stay for [`TileLayer::gather`].
    pub record: &'r mut [Row<E, L>],
    /// [`TileLayer::KEPT`] rows, which the next pass overwrites.
    pub kept: &'r mut [Row<E, L>],
}

impl<E, const L: usize> Rows<'_, E, L> {
    /// The rows of the first of two layers, which has so many in a record and so many for a pass, and those of the
    /// second.
    #[inline(always)]
    pub(crate) fn split(self, record: usize, kept: usize) -> (Self, Self) {
        let (record, later_record) = self.record.split_at_mut(record);
        let (kept, later_kept) = self.kept.split_at_mut(kept);
        let later = Rows {
            record: later_record,
            kept: later_kept,
        };
        (Rows { record, kept }, later)
    }
}

/// The rows of a layer after [`TileLayer::forward`] has filled them.
#[derive(Clone, Copy, Debug)]
pub struct Filled<'r, E, const L: usize> {
    /// Those of the record.
    pub record: &'r [Row<E, L>],
    /// Those of the pass.
    pub kept: &'r [Row<E, L>],
}

impl<E, const L: usize> Filled<'_, E, L> {
    /// See [`Rows::split`].
    #[inline(always)]
    pub(crate) fn split(self, record: usize, kept: usize) -> (Self, Self) {
        let (record, later_record) = self.record.split_at(record);
        let (kept, later_kept) = self.kept.split_at(kept);
        let later = Filled {
            record: later_record,
            kept: later_kept,
        };
        (Filled { record, kept }, later)
    }
}

/// The records of several products, as one layer sees them.
#[derive(Clone, Copy, Debug)]
pub struct Records<'r, E, const L: usize> {
    /// All rows of all records.
    pub rows: &'r [Row<E, L>],
    /// Rows of one record.
    pub stride: usize,
    /// The first of the layer's own rows in each of them.
    pub own: usize,
    /// The first row of the layer's input.
    pub x: usize,
    /// The first row of what [`TileLayer::backward`] left of the cotangent of its value.
    pub c: usize,
}

/// A layer from `I` to `O` scalars of a sample as kernels: what fields are made of.
///
/// The type that implements it is a mark, such as [`DenseLayer<Tanh>`](crate::kernel::dense::DenseLayer), or is made of
/// others, as [`Then`](crate::kernel::chain::Then) is. Parameters come as numbers, in the order in which dfdx visits
/// the layer's tensors, [`Self::PARAMS`] of them. All functions are inlined into one caller that runs under the
/// processor's widest instructions.
///
/// A pass over a tile calls [`Self::forward`], and, if it goes back, [`Self::backward`] with the same rows. The caller
/// keeps the input and what `backward` leaves in `c` in a record, beside the layer's own rows there. From records
/// [`Self::gather`] later makes the cotangent of the parameters, for several of them at once.
pub trait TileLayer<const I: usize, const O: usize>: 'static {
    /// Number of parameters.
    const PARAMS: usize;
    /// Rows of sums for the parameters' cotangent.
    const SUMS: usize;
    /// Multiplications of a call for one sample, additions apart: what decides whether threads are worth their while.
    const PRODUCTS: usize;
    /// Rows of its own in a record.
    const RECORD: usize = 0;
    /// Rows that [`Self::forward`] keeps for [`Self::backward`] and [`Self::tangent`].
    const KEPT: usize = 0;
    /// Rows of scratch space of [`Self::tangent`].
    const SCRATCH: usize = 0;
    /// Whether the derivative jumps somewhere, as that of a relu.
    const KINKS: bool = false;
    /// Whether there are kernels for one sample, [`Self::forward_one`] and [`Self::backward_one`]; without, these give
    /// NaN.
    const POINT: bool;
    /// What [`Self::forward_one`] keeps for [`Self::backward_one`].
    type One<E: Real>;

    /// Rows of scratch space that [`Self::gather`] needs, for tiles of so many samples.
    fn gather_scratch(samples: usize) -> usize {
        let _ = samples;
        0
    }

    /// The parameters as [`Self::backward`] and the kernels for one sample want them besides; by default, as they are.
    fn transpose<E: Real>(params: &[E], out: &mut [E]) {
        out.copy_from_slice(params);
    }

    /// Writes the layer's value at `x` into `y`; `t` is the time of each sample.
    fn forward<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        t: &[f64; L],
        x: &Tile<E, I, L>,
        rows: Rows<'_, E, L>,
        y: &mut Tile<E, O, L>,
    );

    /// What [`Self::backward`] needs of the rows and of `y`, where this is the last layer and the caller may have its
    /// value: at most as much work as [`Self::forward`].
    #[inline(always)]
    #[allow(
        clippy::too_many_arguments,
        reason = "those of `forward`, and the value"
    )]
    fn recall<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        t: &[f64; L],
        x: &Tile<E, I, L>,
        value: Option<&Tile<E, O, L>>,
        rows: Rows<'_, E, L>,
        y: &mut Tile<E, O, L>,
    ) {
        let _ = value;
        Self::forward(simd, params, t, x, rows, y);
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
        rows: Rows<'_, E, L>,
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
        rows: Filled<'_, E, L>,
        y: &Tile<E, O, L>,
        scratch: &mut [Row<E, L>],
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

    /// The value for one sample, and what the way back needs.
    fn forward_one<S: Simd, E: Real>(
        simd: S,
        params: &[E],
        transposed: &[E],
        t: f64,
        x: &[E; I],
    ) -> (Self::One<E>, [E; O]);

    /// The cotangent of `x`, given `c`, that of `y`, for one sample; adds that of the parameters to `theta_bar`.
    #[allow(
        clippy::too_many_arguments,
        reason = "inputs and outputs of one product"
    )]
    fn backward_one<S: Simd, E: Real>(
        simd: S,
        params: &[E],
        transposed: &[E],
        x: &[E; I],
        kept: &Self::One<E>,
        y: &[E; O],
        c: [E; O],
        theta_bar: &mut [E],
    ) -> [E; I];

    /// Adds the layer to the device code of a field; `None` if it has none.
    fn cuda(source: FieldSource) -> Option<FieldSource>;
}

/// A layer without kernels for one sample.
macro_rules! no_point {
    ($i:ident, $o:ident) => {
        const POINT: bool = false;
        type One<E: Real> = ();

        fn forward_one<S: Simd, E: Real>(
            _simd: S,
            _params: &[E],
            _transposed: &[E],
            _t: f64,
            _x: &[E; $i],
        ) -> ((), [E; $o]) {
            ((), [E::from_f64(f64::NAN); $o])
        }

        fn backward_one<S: Simd, E: Real>(
            _simd: S,
            _params: &[E],
            _transposed: &[E],
            _x: &[E; $i],
            _kept: &(),
            _y: &[E; $o],
            _c: [E; $o],
            _theta_bar: &mut [E],
        ) -> [E; $i] {
            [E::from_f64(f64::NAN); $i]
        }
    };
}

/// A layer without parameters.
macro_rules! no_params {
    () => {
        const PARAMS: usize = 0;
        const SUMS: usize = 0;

        #[inline(always)]
        fn gather<S: Simd, E: Real, const L: usize>(
            _simd: S,
            _records: Records<'_, E, L>,
            _sums: &mut [Sums<E>],
            _scratch: &mut [Row<E, L>],
        ) {
        }
    };
}

pub(crate) use {no_params, no_point};
