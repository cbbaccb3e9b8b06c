//! Fields that that tiles can run: kernels with their parameters.

use core::{fmt, marker::PhantomData};

use std::sync::OnceLock;

use pulp::{Simd, WithSimd};

use crate::{
    device::FieldSource,
    kernel::{
        layer::{Records, Rows, TileLayer},
        tile::{carve, copy, Row, Sums, Tile},
    },
    simd::{
        isa::{has_vectors, Compiled},
        real::Real,
    },
};

/// A vector field as kernels: a layer from `N` to `N` features.
pub trait TileField<const N: usize>: TileLayer<N, N> {
    /// Rows of the record of one product: the state, the cotangent of the value, and the layer's own rows.
    const FIELD_RECORD: usize = 2 * N + Self::RECORD;

    /// The field as device code, if all of its layers are.
    fn cuda_source() -> Option<FieldSource> {
        Self::cuda(FieldSource::new("Field", N))
    }
}

impl<K: TileLayer<N, N>, const N: usize> TileField<N> for K {}

/// A vector field over tiles of `L` samples with `N` features.
pub trait TileKernel<E: Real, const N: usize, const L: usize>: Compiled + Sync {
    /// Rows of scratch space that an evaluation needs.
    fn scratch(&self) -> usize;

    /// Multiplications per sample and call: what decides whether threads are worth their while.
    fn products(&self) -> usize;

    /// Writes `f(t, y)` into `dy`; every sample has its own time.
    fn eval<S: Simd>(
        &self,
        simd: S,
        t: &[f64; L],
        y: &Tile<E, N, L>,
        dy: &mut Tile<E, N, L>,
        scratch: &mut [Row<E, L>],
    );
}

/// A field over tiles with parameters and vector-Jacobian products.
pub trait TileVjp<E: Real, const N: usize, const L: usize>: TileKernel<E, N, L> {
    /// Number of parameters.
    fn parameters(&self) -> usize;

    /// See [`Differentiable::has_kinks`](crate::ode::field::Differentiable::has_kinks).
    fn has_kinks(&self) -> bool {
        false
    }

    /// Rows of sums for the parameters' cotangent.
    fn sums(&self) -> usize;

    /// Rows of the record of one product.
    fn record(&self) -> usize;

    /// Rows of scratch space that a product needs besides.
    fn vjp_scratch(&self) -> usize;

    /// Rows of scratch space that [`Self::gather`] needs.
    fn gather_scratch(&self) -> usize;

    /// Writes `(df/dy)^T c` into `y_bar`, at the `y` that `record` begins with, and leaves there what
    /// [`Self::gather`] needs; `value` is `f(t, y)` where the caller has it.
    #[allow(
        clippy::too_many_arguments,
        reason = "inputs, outputs and scratch of one product"
    )]
    fn vjp<S: Simd>(
        &self,
        simd: S,
        t: &[f64; L],
        value: Option<&Tile<E, N, L>>,
        c: &Tile<E, N, L>,
        y_bar: &mut Tile<E, N, L>,
        record: &mut [Row<E, L>],
        scratch: &mut [Row<E, L>],
    );

    /// Adds `(df/dtheta)^T c` of the products that left `records` to `sums`.
    fn gather<S: Simd>(
        &self,
        simd: S,
        records: &[Row<E, L>],
        sums: &mut [Sums<E>],
        scratch: &mut [Row<E, L>],
    );

    /// Adds the sums over samples to `theta_bar`.
    fn join(&self, sums: &[Sums<E>], theta_bar: &mut [E]);
}

/// The kernels `K` that the macro generated, with parameters.
pub struct Generated<K, E> {
    params: Vec<E>,
    /// For products with transposed weights; made when first needed.
    transposed: OnceLock<Vec<E>>,
    kernels: PhantomData<fn() -> K>,
}

impl<K, E> Generated<K, E> {
    /// The parameters, in the order in which dfdx visits them.
    pub(crate) fn params(&self) -> &[E] {
        &self.params
    }

    /// The parameters as products with transposed weights want them.
    pub(crate) fn transposed<const N: usize>(&self) -> &[E]
    where
        K: TileField<N>,
        E: Real,
    {
        self.transposed.get_or_init(|| {
            let mut transposed = self.params.clone();
            K::transpose(&self.params, &mut transposed);
            transposed
        })
    }

    /// The kernels with these parameters; `None` unless there are as many as they have, and the
    /// processor has vector instructions.
    pub fn new<const N: usize>(params: Vec<E>) -> Option<Self>
    where
        K: TileField<N>,
    {
        (params.len() == K::PARAMS && has_vectors()).then_some(Self {
            params,
            transposed: OnceLock::new(),
            kernels: PhantomData,
        })
    }
}

impl<K, E> fmt::Debug for Generated<K, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generated")
            .field("params", &self.params.len())
            .finish_non_exhaustive()
    }
}

impl<K, E> Compiled for Generated<K, E> {
    const BASELINE: bool = false;
}

impl<K: TileField<N>, E: Real, const N: usize, const L: usize> TileKernel<E, N, L>
    for Generated<K, E>
{
    fn scratch(&self) -> usize {
        K::RECORD + K::KEPT + K::SCRATCH
    }

    fn products(&self) -> usize {
        K::PRODUCTS
    }

    #[inline(always)]
    fn eval<S: Simd>(
        &self,
        simd: S,
        t: &[f64; L],
        y: &Tile<E, N, L>,
        dy: &mut Tile<E, N, L>,
        scratch: &mut [Row<E, L>],
    ) {
        // A function of its own, compiled once and called from steps and evaluations.
        simd.vectorize(Eval::<K, E, N, L> {
            params: &self.params,
            t,
            y,
            dy,
            scratch,
            kernels: PhantomData,
        });
    }
}

impl<K: TileField<N>, E: Real, const N: usize, const L: usize> TileVjp<E, N, L>
    for Generated<K, E>
{
    fn parameters(&self) -> usize {
        K::PARAMS
    }

    fn has_kinks(&self) -> bool {
        K::KINKS
    }

    fn sums(&self) -> usize {
        K::SUMS
    }

    fn record(&self) -> usize {
        K::FIELD_RECORD
    }

    fn vjp_scratch(&self) -> usize {
        N + K::KEPT
    }

    fn gather_scratch(&self) -> usize {
        K::gather_scratch(L)
    }

    #[inline(always)]
    fn vjp<S: Simd>(
        &self,
        simd: S,
        t: &[f64; L],
        value: Option<&Tile<E, N, L>>,
        c: &Tile<E, N, L>,
        y_bar: &mut Tile<E, N, L>,
        record: &mut [Row<E, L>],
        scratch: &mut [Row<E, L>],
    ) {
        simd.vectorize(Vjp::<K, E, N, L> {
            params: &self.params,
            transposed: self.transposed(),
            t,
            value,
            c,
            y_bar,
            record,
            scratch,
            kernels: PhantomData,
        });
    }

    #[inline(always)]
    fn gather<S: Simd>(
        &self,
        simd: S,
        records: &[Row<E, L>],
        sums: &mut [Sums<E>],
        scratch: &mut [Row<E, L>],
    ) {
        simd.vectorize(Gather::<K, E, N, L> {
            records,
            sums,
            scratch,
            kernels: PhantomData,
        });
    }

    fn join(&self, sums: &[Sums<E>], theta_bar: &mut [E]) {
        K::join(sums, theta_bar);
    }
}

struct Eval<'a, K, E, const N: usize, const L: usize> {
    params: &'a [E],
    t: &'a [f64; L],
    y: &'a Tile<E, N, L>,
    dy: &'a mut Tile<E, N, L>,
    scratch: &'a mut [Row<E, L>],
    kernels: PhantomData<K>,
}

impl<K: TileField<N>, E: Real, const N: usize, const L: usize> WithSimd for Eval<'_, K, E, N, L> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (record, scratch) = self.scratch.split_at_mut(K::RECORD);
        let kept = &mut scratch[..K::KEPT];
        let rows = Rows { record, kept };
        K::forward(simd, self.params, self.t, self.y, rows, self.dy);
    }
}

struct Vjp<'a, K, E, const N: usize, const L: usize> {
    params: &'a [E],
    transposed: &'a [E],
    t: &'a [f64; L],
    value: Option<&'a Tile<E, N, L>>,
    c: &'a Tile<E, N, L>,
    y_bar: &'a mut Tile<E, N, L>,
    record: &'a mut [Row<E, L>],
    scratch: &'a mut [Row<E, L>],
    kernels: PhantomData<K>,
}

impl<K: TileField<N>, E: Real, const N: usize, const L: usize> WithSimd for Vjp<'_, K, E, N, L> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (params, transposed) = (self.params, self.transposed);
        let (x, record) = carve::<E, N, L>(self.record);
        let (c, record) = carve::<E, N, L>(record);
        let (y, scratch) = carve::<E, N, L>(self.scratch);
        let kept = &mut scratch[..K::KEPT];
        let rows = Rows {
            record: &mut *record,
            kept: &mut *kept,
        };
        K::recall(simd, params, self.t, x, self.value, rows, y);
        copy(self.c, c);
        let rows = Rows { record, kept };
        K::backward(simd, params, transposed, x, rows, y, c, self.y_bar);
    }
}

struct Gather<'a, K, E, const N: usize, const L: usize> {
    records: &'a [Row<E, L>],
    sums: &'a mut [Sums<E>],
    scratch: &'a mut [Row<E, L>],
    kernels: PhantomData<K>,
}

impl<K: TileField<N>, E: Real, const N: usize, const L: usize> WithSimd for Gather<'_, K, E, N, L> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let records = Records {
            rows: self.records,
            stride: K::FIELD_RECORD,
            own: 2 * N,
            x: 0,
            c: N,
        };
        K::gather(simd, records, self.sums, self.scratch);
    }
}
