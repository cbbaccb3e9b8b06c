// What the macro makes of augmented.in.rs; `::neuralode::__private::` is left out before names.

/// The Neural ODE model `Augmented`.
struct Augmented<Elem: Dtype = f32, Dev: Device<Elem> = Cpu> {
    /// Stage `more`.
    more: Augment,
    /// Stage `ode`.
    ode: NeuralOde<__AugmentedOdeField<Elem, Dev>>,
    /// Stage `fewer`.
    fewer: Project,
}
#[doc(inline)]
#[allow(unused_imports)]
use __AugmentedOdeField as AugmentedOdeField;
#[automatically_derived]
impl<Elem: Dtype + Debug, Dev: Device<Elem> + Debug> Debug
for __AugmentedOdeField<Elem, Dev> {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_tuple("AugmentedOdeField")
            .field(&self.0)
            .field(&self.1)
            .field(&self.2)
            .field(&self.3)
            .finish()
    }
}
/// The vector field of stage `ode` of [`Augmented`].
#[doc(hidden)]
#[derive(Clone)]
struct __AugmentedOdeField<Elem: Dtype = f32, Dev: Device<Elem> = Cpu>(
    /// Layer 0.
    AppendTime,
    /// Layer 1.
    Dense<6, 16, Tanh, Elem, Dev>,
    /// Layer 2.
    Residual<Dense<16, 16, Tanh, Elem, Dev>>,
    /// Layer 3.
    Dense<16, 5, Identity, Elem, Dev>,
);
#[allow(
    dead_code,
    unused_mut,
    unused_variables,
    clippy::all,
    clippy::pedantic,
    clippy::nursery
)]
const _: () = {
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>> TensorCollection<Elem, Dev>
    for Augmented<Elem, Dev> {
        type To<E2: Dtype, D2: Device<E2>> = Augmented<E2, D2>;
        fn iter_tensors<V: ModuleVisitor<Self, Elem, Dev>>(
            visitor: &mut V,
        ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
            visitor
                .visit_fields(
                    (
                        Self::module("more", |this| &this.more, |this| &mut this.more),
                        Self::module("ode", |this| &this.ode, |this| &mut this.ode),
                        Self::module("fewer", |this| &this.fewer, |this| &mut this.fewer),
                    ),
                    |(more, ode, fewer)| Augmented {
                        more,
                        ode: ode
                            .with_options({
                                let [t0, t1, rtol, atol]: [f64; 4usize] = [
                                    0.0,
                                    1.0,
                                    0.000001,
                                    0.000001,
                                ];
                                SolveOptions::new(t0, t1, rtol, atol)
                                    .with_solver(Solver::Dopri5)
                                    .with_controller(Controller::I)
                                    .with_steps(StepSizes::Shared)
                                    .with_adjoint(Adjoint::Discrete)
                            }),
                        fewer,
                    },
                )
        }
    }
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>> TensorCollection<Elem, Dev>
    for __AugmentedOdeField<Elem, Dev> {
        type To<E2: Dtype, D2: Device<E2>> = __AugmentedOdeField<E2, D2>;
        fn iter_tensors<V: ModuleVisitor<Self, Elem, Dev>>(
            visitor: &mut V,
        ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
            visitor
                .visit_fields(
                    (
                        Self::module("0", |this| &this.0, |this| &mut this.0),
                        Self::module("1", |this| &this.1, |this| &mut this.1),
                        Self::module("2", |this| &this.2, |this| &mut this.2),
                        Self::module("3", |this| &this.3, |this| &mut this.3),
                    ),
                    |(layer_0, layer_1, layer_2, layer_3)| __AugmentedOdeField(
                        layer_0,
                        layer_1,
                        layer_2,
                        layer_3,
                    ),
                )
        }
    }
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>, E2: Dtype, D2: Device<E2>> BuildOnDevice<D2, E2>
    for Augmented<Elem, Dev> {
        type Built = Augmented<E2, D2>;
    }
    /// The vector field as kernels.
    struct AugmentedOdeFieldKernel;
    #[automatically_derived]
    impl AugmentedOdeFieldKernel {
        const AT_0: usize = 0;
        const SUMS_0: usize = 0;
        const PRODUCTS_0: usize = 0;
        const AT_1: usize = Self::AT_0
            + <kernel::AppendTimeLayer as kernel::TileLayer<5, 6>>::PARAMS;
        const SUMS_1: usize = Self::SUMS_0
            + <kernel::AppendTimeLayer as kernel::TileLayer<5, 6>>::SUMS;
        const PRODUCTS_1: usize = Self::PRODUCTS_0
            + <kernel::AppendTimeLayer as kernel::TileLayer<5, 6>>::PRODUCTS;
        const AT_2: usize = Self::AT_1
            + <kernel::DenseLayer<Tanh> as kernel::TileLayer<6, 16>>::PARAMS;
        const SUMS_2: usize = Self::SUMS_1
            + <kernel::DenseLayer<Tanh> as kernel::TileLayer<6, 16>>::SUMS;
        const PRODUCTS_2: usize = Self::PRODUCTS_1
            + <kernel::DenseLayer<Tanh> as kernel::TileLayer<6, 16>>::PRODUCTS;
        const AT_3: usize = Self::AT_2
            + <kernel::DenseLayer<Tanh> as kernel::TileLayer<16, 16>>::PARAMS;
        const SUMS_3: usize = Self::SUMS_2
            + <kernel::DenseLayer<Tanh> as kernel::TileLayer<16, 16>>::SUMS;
        const PRODUCTS_3: usize = Self::PRODUCTS_2
            + <kernel::DenseLayer<Tanh> as kernel::TileLayer<16, 16>>::PRODUCTS;
        const AT_4: usize = Self::AT_3;
        const SUMS_4: usize = Self::SUMS_3;
        const PRODUCTS_4: usize = Self::PRODUCTS_3;
        const AT_5: usize = Self::AT_4
            + <kernel::DenseLayer<Identity> as kernel::TileLayer<16, 5>>::PARAMS;
        const SUMS_5: usize = Self::SUMS_4
            + <kernel::DenseLayer<Identity> as kernel::TileLayer<16, 5>>::SUMS;
        const PRODUCTS_5: usize = Self::PRODUCTS_4
            + <kernel::DenseLayer<Identity> as kernel::TileLayer<16, 5>>::PRODUCTS;
        const LAYOUT: kernel::Layout<5usize> = kernel::Layout::new(
            kernel::rows::<5>(),
            kernel::rows::<5>(),
            [
                kernel::LayerRows {
                    entering: 0,
                    forth: kernel::rows::<6>(),
                    back: kernel::rows::<5>(),
                    leaving: 0,
                },
                kernel::LayerRows {
                    entering: 0,
                    forth: kernel::rows::<16>(),
                    back: kernel::rows::<6>(),
                    leaving: 0,
                },
                kernel::LayerRows {
                    entering: 0,
                    forth: kernel::rows::<16>(),
                    back: kernel::rows::<16>(),
                    leaving: 0,
                },
                kernel::LayerRows {
                    entering: 0,
                    forth: kernel::rows::<16>(),
                    back: kernel::rows::<16>(),
                    leaving: 0,
                },
                kernel::LayerRows {
                    entering: 0,
                    forth: kernel::rows::<5>(),
                    back: kernel::rows::<16>(),
                    leaving: 0,
                },
            ],
        );
    }
    #[automatically_derived]
    impl TileField<5> for AugmentedOdeFieldKernel {
        const PARAMS: usize = Self::AT_5;
        const SUMS: usize = Self::SUMS_5;
        const PRODUCTS: usize = Self::PRODUCTS_5;
        const RECORD: usize = Self::LAYOUT.record;
        const SCRATCH: usize = 0 + 0 + kernel::rows::<6>()
            + <kernel::AppendTimeLayer as kernel::TileLayer<5, 6>>::KEPT + 0
            + kernel::rows::<16>()
            + <kernel::DenseLayer<Tanh> as kernel::TileLayer<6, 16>>::KEPT + 0
            + kernel::rows::<16>()
            + <kernel::DenseLayer<Tanh> as kernel::TileLayer<16, 16>>::KEPT
            + kernel::rows::<16>() + 0 + kernel::rows::<5>()
            + <kernel::DenseLayer<Identity> as kernel::TileLayer<16, 5>>::KEPT;
        fn gather_scratch(samples: usize) -> usize {
            0
                + <kernel::AppendTimeLayer as kernel::TileLayer<
                    5,
                    6,
                >>::gather_scratch(samples)
                + <kernel::DenseLayer<
                    Tanh,
                > as kernel::TileLayer<6, 16>>::gather_scratch(samples)
                + <kernel::DenseLayer<
                    Tanh,
                > as kernel::TileLayer<16, 16>>::gather_scratch(samples) + 0
                + <kernel::DenseLayer<
                    Identity,
                > as kernel::TileLayer<16, 5>>::gather_scratch(samples)
        }
        fn transpose<Num: Real>(params: &[Num]) -> Vec<Num> {
            let mut transposed = params.to_vec();
            <kernel::AppendTimeLayer as kernel::TileLayer<
                5,
                6,
            >>::transpose(
                &params[Self::AT_0..Self::AT_1],
                &mut transposed[Self::AT_0..Self::AT_1],
            );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                6,
                16,
            >>::transpose(
                &params[Self::AT_1..Self::AT_2],
                &mut transposed[Self::AT_1..Self::AT_2],
            );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                16,
                16,
            >>::transpose(
                &params[Self::AT_2..Self::AT_3],
                &mut transposed[Self::AT_2..Self::AT_3],
            );
            <kernel::DenseLayer<
                Identity,
            > as kernel::TileLayer<
                16,
                5,
            >>::transpose(
                &params[Self::AT_4..Self::AT_5],
                &mut transposed[Self::AT_4..Self::AT_5],
            );
            transposed
        }
        #[inline(always)]
        fn eval<Set: Simd, Num: Real, const LANES: usize>(
            simd: Set,
            params: &[Num],
            t: &[f64; LANES],
            x_0: &Tile<Num, 5, LANES>,
            dy: &mut Tile<Num, 5, LANES>,
            record: &mut [kernel::Row<Num, LANES>],
            scratch: &mut [kernel::Row<Num, LANES>],
        ) {
            let (x_1, record) = kernel::carve::<Num, 6, LANES>(record);
            let (kept_0, scratch) = scratch
                .split_at_mut(
                    <kernel::AppendTimeLayer as kernel::TileLayer<5, 6>>::KEPT,
                );
            <kernel::AppendTimeLayer as kernel::TileLayer<
                5,
                6,
            >>::forward(simd, &params[Self::AT_0..Self::AT_1], t, x_0, kept_0, x_1);
            let (x_2, record) = kernel::carve::<Num, 16, LANES>(record);
            let (kept_1, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<Tanh> as kernel::TileLayer<6, 16>>::KEPT,
                );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                6,
                16,
            >>::forward(simd, &params[Self::AT_1..Self::AT_2], t, x_1, kept_1, x_2);
            let (x_3, record) = kernel::carve::<Num, 16, LANES>(record);
            let (kept_2, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<Tanh> as kernel::TileLayer<16, 16>>::KEPT,
                );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                16,
                16,
            >>::forward(simd, &params[Self::AT_2..Self::AT_3], t, x_2, kept_2, x_3);
            let (x_4, record) = kernel::carve::<Num, 16, LANES>(record);
            kernel::copy(x_3, x_4);
            kernel::add(simd, x_2, x_4);
            let (x_5, record) = kernel::carve::<Num, 5, LANES>(record);
            let (kept_4, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<Identity> as kernel::TileLayer<16, 5>>::KEPT,
                );
            <kernel::DenseLayer<
                Identity,
            > as kernel::TileLayer<
                16,
                5,
            >>::forward(simd, &params[Self::AT_4..Self::AT_5], t, x_4, kept_4, x_5);
            kernel::copy(x_5, dy);
        }
        #[inline(always)]
        fn vjp<Set: Simd, Num: Real, const LANES: usize>(
            simd: Set,
            params: &[Num],
            transposed: &[Num],
            t: &[f64; LANES],
            value: Option<&Tile<Num, 5, LANES>>,
            c: &Tile<Num, 5, LANES>,
            y_bar: &mut Tile<Num, 5, LANES>,
            record: &mut [kernel::Row<Num, LANES>],
            scratch: &mut [kernel::Row<Num, LANES>],
        ) {
            let (x_0, record) = kernel::carve::<Num, 5, LANES>(record);
            let x_0 = &*x_0;
            let (x_1, record) = kernel::carve::<Num, 6, LANES>(record);
            let (kept_0, scratch) = scratch
                .split_at_mut(
                    <kernel::AppendTimeLayer as kernel::TileLayer<5, 6>>::KEPT,
                );
            <kernel::AppendTimeLayer as kernel::TileLayer<
                5,
                6,
            >>::forward(simd, &params[Self::AT_0..Self::AT_1], t, x_0, kept_0, x_1);
            let (x_2, record) = kernel::carve::<Num, 16, LANES>(record);
            let (kept_1, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<Tanh> as kernel::TileLayer<6, 16>>::KEPT,
                );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                6,
                16,
            >>::forward(simd, &params[Self::AT_1..Self::AT_2], t, x_1, kept_1, x_2);
            let (x_3, record) = kernel::carve::<Num, 16, LANES>(record);
            let (kept_2, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<Tanh> as kernel::TileLayer<16, 16>>::KEPT,
                );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                16,
                16,
            >>::forward(simd, &params[Self::AT_2..Self::AT_3], t, x_2, kept_2, x_3);
            let (x_4, record) = kernel::carve::<Num, 16, LANES>(record);
            kernel::copy(x_3, x_4);
            kernel::add(simd, x_2, x_4);
            let (x_5, record) = kernel::carve::<Num, 5, LANES>(record);
            let (kept_4, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<Identity> as kernel::TileLayer<16, 5>>::KEPT,
                );
            <kernel::DenseLayer<
                Identity,
            > as kernel::TileLayer<
                16,
                5,
            >>::recall(
                simd,
                &params[Self::AT_4..Self::AT_5],
                t,
                x_4,
                value,
                kept_4,
                x_5,
            );
            let (c_5, record) = kernel::carve::<Num, 5, LANES>(record);
            kernel::copy(c, c_5);
            let (c_4, record) = kernel::carve::<Num, 16, LANES>(record);
            <kernel::DenseLayer<
                Identity,
            > as kernel::TileLayer<
                16,
                5,
            >>::backward(
                simd,
                &params[Self::AT_4..Self::AT_5],
                &transposed[Self::AT_4..Self::AT_5],
                x_4,
                kept_4,
                x_5,
                c_5,
                c_4,
            );
            let (c_3, record) = kernel::carve::<Num, 16, LANES>(record);
            kernel::copy(c_4, c_3);
            let (c_2, record) = kernel::carve::<Num, 16, LANES>(record);
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                16,
                16,
            >>::backward(
                simd,
                &params[Self::AT_2..Self::AT_3],
                &transposed[Self::AT_2..Self::AT_3],
                x_2,
                kept_2,
                x_3,
                c_3,
                c_2,
            );
            kernel::add(simd, c_4, c_2);
            let (c_1, record) = kernel::carve::<Num, 6, LANES>(record);
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                6,
                16,
            >>::backward(
                simd,
                &params[Self::AT_1..Self::AT_2],
                &transposed[Self::AT_1..Self::AT_2],
                x_1,
                kept_1,
                x_2,
                c_2,
                c_1,
            );
            let (c_0, record) = kernel::carve::<Num, 5, LANES>(record);
            <kernel::AppendTimeLayer as kernel::TileLayer<
                5,
                6,
            >>::backward(
                simd,
                &params[Self::AT_0..Self::AT_1],
                &transposed[Self::AT_0..Self::AT_1],
                x_0,
                kept_0,
                x_1,
                c_1,
                c_0,
            );
            kernel::copy(c_0, y_bar);
        }
        #[inline(always)]
        fn gather<Set: Simd, Num: Real, const LANES: usize>(
            simd: Set,
            records: &[kernel::Row<Num, LANES>],
            sums: &mut [kernel::Sums<Num>],
            scratch: &mut [kernel::Row<Num, LANES>],
        ) {
            <kernel::AppendTimeLayer as kernel::TileLayer<
                5,
                6,
            >>::gather(
                simd,
                Self::LAYOUT.records(records, 0usize),
                &mut sums[Self::SUMS_0..Self::SUMS_1],
                scratch,
            );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                6,
                16,
            >>::gather(
                simd,
                Self::LAYOUT.records(records, 1usize),
                &mut sums[Self::SUMS_1..Self::SUMS_2],
                scratch,
            );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                16,
                16,
            >>::gather(
                simd,
                Self::LAYOUT.records(records, 2usize),
                &mut sums[Self::SUMS_2..Self::SUMS_3],
                scratch,
            );
            <kernel::DenseLayer<
                Identity,
            > as kernel::TileLayer<
                16,
                5,
            >>::gather(
                simd,
                Self::LAYOUT.records(records, 4usize),
                &mut sums[Self::SUMS_4..Self::SUMS_5],
                scratch,
            );
        }
        #[inline(always)]
        fn eval_with_jvps<'d, Set: Simd, Num: Real, const LANES: usize>(
            simd: Set,
            params: &[Num],
            t: &[f64; LANES],
            x_0: &Tile<Num, 5, LANES>,
            dy: &mut Tile<Num, 5, LANES>,
            directions: impl Iterator<
                Item = (&'d Tile<Num, 5, LANES>, &'d [Num], &'d mut Tile<Num, 5, LANES>),
            >,
            record: &mut [kernel::Row<Num, LANES>],
            scratch: &mut [kernel::Row<Num, LANES>],
        ) {
            let (x_1, record) = kernel::carve::<Num, 6, LANES>(record);
            let (kept_0, scratch) = scratch
                .split_at_mut(
                    <kernel::AppendTimeLayer as kernel::TileLayer<5, 6>>::KEPT,
                );
            <kernel::AppendTimeLayer as kernel::TileLayer<
                5,
                6,
            >>::forward(simd, &params[Self::AT_0..Self::AT_1], t, x_0, kept_0, x_1);
            let (x_2, record) = kernel::carve::<Num, 16, LANES>(record);
            let (kept_1, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<Tanh> as kernel::TileLayer<6, 16>>::KEPT,
                );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                6,
                16,
            >>::forward(simd, &params[Self::AT_1..Self::AT_2], t, x_1, kept_1, x_2);
            let (x_3, record) = kernel::carve::<Num, 16, LANES>(record);
            let (kept_2, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<Tanh> as kernel::TileLayer<16, 16>>::KEPT,
                );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                16,
                16,
            >>::forward(simd, &params[Self::AT_2..Self::AT_3], t, x_2, kept_2, x_3);
            let (x_4, record) = kernel::carve::<Num, 16, LANES>(record);
            kernel::copy(x_3, x_4);
            kernel::add(simd, x_2, x_4);
            let (x_5, record) = kernel::carve::<Num, 5, LANES>(record);
            let (kept_4, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<Identity> as kernel::TileLayer<16, 5>>::KEPT,
                );
            <kernel::DenseLayer<
                Identity,
            > as kernel::TileLayer<
                16,
                5,
            >>::forward(simd, &params[Self::AT_4..Self::AT_5], t, x_4, kept_4, x_5);
            kernel::copy(x_5, dy);
            for (v_0, theta_dot, out) in directions {
                let (v_1, scratch) = kernel::carve::<Num, 6, LANES>(scratch);
                <kernel::AppendTimeLayer as kernel::TileLayer<
                    5,
                    6,
                >>::tangent(
                    simd,
                    &params[Self::AT_0..Self::AT_1],
                    &theta_dot[Self::AT_0..Self::AT_1],
                    x_0,
                    v_0,
                    kept_0,
                    x_1,
                    v_1,
                );
                let (v_2, scratch) = kernel::carve::<Num, 16, LANES>(scratch);
                <kernel::DenseLayer<
                    Tanh,
                > as kernel::TileLayer<
                    6,
                    16,
                >>::tangent(
                    simd,
                    &params[Self::AT_1..Self::AT_2],
                    &theta_dot[Self::AT_1..Self::AT_2],
                    x_1,
                    v_1,
                    kept_1,
                    x_2,
                    v_2,
                );
                let (v_3, scratch) = kernel::carve::<Num, 16, LANES>(scratch);
                <kernel::DenseLayer<
                    Tanh,
                > as kernel::TileLayer<
                    16,
                    16,
                >>::tangent(
                    simd,
                    &params[Self::AT_2..Self::AT_3],
                    &theta_dot[Self::AT_2..Self::AT_3],
                    x_2,
                    v_2,
                    kept_2,
                    x_3,
                    v_3,
                );
                let (v_4, scratch) = kernel::carve::<Num, 16, LANES>(scratch);
                kernel::copy(v_3, v_4);
                kernel::add(simd, v_2, v_4);
                let (v_5, scratch) = kernel::carve::<Num, 5, LANES>(scratch);
                <kernel::DenseLayer<
                    Identity,
                > as kernel::TileLayer<
                    16,
                    5,
                >>::tangent(
                    simd,
                    &params[Self::AT_4..Self::AT_5],
                    &theta_dot[Self::AT_4..Self::AT_5],
                    x_4,
                    v_4,
                    kept_4,
                    x_5,
                    v_5,
                );
                kernel::copy(v_5, out);
            }
        }
        fn cuda_source() -> Option<cuda::FieldSource> {
            Some(
                cuda::FieldSource::new("AugmentedOdeFieldKernel", 5)
                    .resize(5, 6, true)
                    .dense(6, 16, "Tanh", false)
                    .dense(16, 16, "Tanh", false)
                    .join(2usize)
                    .dense(16, 5, "Identity", false),
            )
        }
        #[inline(always)]
        fn join<Num: Real>(sums: &[kernel::Sums<Num>], theta_bar: &mut [Num]) {
            <kernel::AppendTimeLayer as kernel::TileLayer<
                5,
                6,
            >>::join(
                &sums[Self::SUMS_0..Self::SUMS_1],
                &mut theta_bar[Self::AT_0..Self::AT_1],
            );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                6,
                16,
            >>::join(
                &sums[Self::SUMS_1..Self::SUMS_2],
                &mut theta_bar[Self::AT_1..Self::AT_2],
            );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                16,
                16,
            >>::join(
                &sums[Self::SUMS_2..Self::SUMS_3],
                &mut theta_bar[Self::AT_2..Self::AT_3],
            );
            <kernel::DenseLayer<
                Identity,
            > as kernel::TileLayer<
                16,
                5,
            >>::join(
                &sums[Self::SUMS_4..Self::SUMS_5],
                &mut theta_bar[Self::AT_4..Self::AT_5],
            );
        }
    }
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>> TensorField<5, Elem, Dev>
    for __AugmentedOdeField<Elem, Dev> {
        fn with_kernel<Visitor: KernelVisitor<5>>(
            visitor: Visitor,
        ) -> Result<Visitor::Output, Visitor> {
            Ok(visitor.visit::<AugmentedOdeFieldKernel>())
        }
        fn try_eval<Batch: Dim, Tp: Tape<Elem, Dev>>(
            &self,
            t: f64,
            x: Tensor<(Batch, Const<5>), Elem, Dev, Tp>,
        ) -> Result<Tensor<(Batch, Const<5>), Elem, Dev, Tp>, SolveError> {
            let (batch, ..) = *HasShape::shape(&x);
            let _ = (t, batch);
            let x = append_time(t, x, (batch, Const::<6>))?;
            let x = apply(&self.1, x)?;
            let x = {
                let entered = branch(&x);
                let x = apply(&self.2.0, x)?;
                sum(x, entered)?
            };
            let x = apply(&self.3, x)?;
            Ok(x)
        }
    }
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>> Augmented<Elem, Dev> {
        /// Builds the model with fresh parameters from the device's random generator.
        ///
        /// # Panics
        /// If the device fails; see [`Self::try_build`].
        pub fn build(device: &Dev) -> Self {
            BuildModule::build(device)
        }
        /// Builds the model with fresh parameters from the device's random generator.
        ///
        /// # Errors
        /// That of the device.
        pub fn try_build(device: &Dev) -> Result<Self, DeviceErr<Dev>> {
            BuildModule::try_build(device)
        }
        /// The model's output with the statistics of its forward solves.
        ///
        /// On a taped input, a backward pass computes gradients for the parameters and for the input; `keep_gradient`
        /// keeps the latter, and where the input is data, [`Self::try_forward_traced`] spares it.
        ///
        /// # Errors
        /// An empty batch, numbers that are not finite, and failures of a solve or of the device.
        pub fn try_forward_with_stats<Batch: Dim, Tp: Tape<Elem, Dev>>(
            &self,
            x: Tensor<(Batch, Const<2>), Elem, Dev, Tp>,
        ) -> Result<(Tensor<(Batch, Const<2>), Elem, Dev, Tp>, Stats), SolveError> {
            self.__pass(AsGiven::new(), x)
        }
        /// The model's output for the data `x`, on a tape that adds to `gradients`, with the statistics of its
        /// forward solves: the forward pass of a training step.
        ///
        /// The same numbers as `try_forward_with_stats(x.traced(gradients))`, without a gradient for `x`: the
        /// tape begins at the first layer with parameters. For a model that starts with a large `Dense` layer
        /// this saves a third of that layer's work.
        ///
        /// # Errors
        /// An empty batch, numbers that are not finite, and failures of a solve or of the device. `gradients`
        /// are lost with it.
        pub fn try_forward_traced<Batch: Dim>(
            &self,
            x: Tensor<(Batch, Const<2>), Elem, Dev, NoneTape>,
            gradients: Gradients<Elem, Dev>,
        ) -> Result<
            (Tensor<(Batch, Const<2>), Elem, Dev, OwnedTape<Elem, Dev>>, Stats),
            SolveError,
        > {
            self.__pass(Data::new(gradients), x)
        }
        fn __pass<Batch: Dim, Start: Entry<Elem, Dev>>(
            &self,
            entry: Start,
            x: Tensor<(Batch, Const<2>), Elem, Dev, Start::Before>,
        ) -> Result<
            (Tensor<(Batch, Const<2>), Elem, Dev, Start::After>, Stats),
            SolveError,
        > {
            model_input(&x)?;
            let mut stats: Stats = ::core::default::Default::default();
            let (batch, ..) = *HasShape::shape(&x);
            let x = resize(x, (batch, Const::<5>))?;
            let x = Entry::enter(entry, x);
            let (x, solve) = self.ode.try_forward_with_stats(x)?;
            stats += solve;
            let x = resize(x, (batch, Const::<2>))?;
            model_output(&x)?;
            let _ = (batch, &mut stats);
            Ok((x, stats))
        }
        model_files!(Elem, Dev);
        /// Stages, layers, static shapes and parameter counts.
        pub fn summary(&self) -> Summary {
            Summary::new("Augmented")
                .layer::<Augment>("more", &[2], &[5], 0)
                .layer::<AppendTime>("ode.field.0", &[5], &[6], 0)
                .layer::<
                    Dense<6, 16, Tanh, Elem, Dev>,
                >("ode.field.1", &[6], &[16], (6 + 1) * 16)
                .layer::<
                    Dense<16, 16, Tanh, Elem, Dev>,
                >("ode.field.2.0", &[16], &[16], (16 + 1) * 16)
                .layer::<
                    Dense<16, 5, Identity, Elem, Dev>,
                >("ode.field.3", &[16], &[5], (16 + 1) * 5)
                .layer::<Project>("fewer", &[5], &[2], 0)
                .block::<
                    __AugmentedOdeField<Elem, Dev>,
                >(
                    "ode",
                    &self.ode.options,
                    has_kernels::<5, Elem, Dev, __AugmentedOdeField<Elem, Dev>>(),
                )
        }
        /// The CUDA programs of the blocks whose fields have device code, each with the path of its block: whole
        /// solves and their discrete adjoint as one kernel each, for `tile` samples per block of threads.
        pub fn cuda_source(tile: usize) -> Vec<(&'static str, cuda::Program)> {
            let programs: [(&'static str, Option<cuda::Program>); 1usize] = [
                (
                    "ode",
                    cuda_program::<5, Elem, Dev, __AugmentedOdeField<Elem, Dev>>(tile),
                ),
            ];
            Iterator::collect(
                Iterator::filter_map(
                    IntoIterator::into_iter(programs),
                    |(path, program)| Option::map(program, |program| (path, program)),
                ),
            )
        }
        /// Takes over how another model of this type, of any dtype and device, solves its blocks.
        /// dfdx's conversions return the declared options; this carries changed ones over.
        pub fn copy_options_from<E2: Dtype, D2: Device<E2>>(
            &mut self,
            other: &Augmented<E2, D2>,
        ) {
            let _ = other;
            self.ode.options = Clone::clone(&other.ode.options);
        }
        /// A copy on another device, with the same options.
        ///
        /// # Errors
        /// That of the other device.
        pub fn try_to_device<D2: Device<Elem>>(
            &self,
            device: &D2,
        ) -> Result<Augmented<Elem, D2>, DeviceErr<D2>> {
            let mut copy = ToDevice::try_to_device(self, device)?;
            copy.copy_options_from(self);
            Ok(copy)
        }
        /// A copy on another device, with the same options.
        ///
        /// # Panics
        /// If the other device fails; see [`Self::try_to_device`].
        pub fn to_device<D2: Device<Elem>>(&self, device: &D2) -> Augmented<Elem, D2> {
            let mut copy = ToDevice::to_device(self, device);
            copy.copy_options_from(self);
            copy
        }
    }
    #[automatically_derived]
    impl<
        Batch: Dim,
        Elem: Dtype,
        Dev: Device<Elem>,
        Tp: Tape<Elem, Dev>,
    > Module<Tensor<(Batch, Const<2>), Elem, Dev, Tp>> for Augmented<Elem, Dev> {
        type Output = Tensor<(Batch, Const<2>), Elem, Dev, Tp>;
        type Error = SolveError;
        fn try_forward(
            &self,
            x: Tensor<(Batch, Const<2>), Elem, Dev, Tp>,
        ) -> Result<Self::Output, SolveError> {
            let (y, _) = self.try_forward_with_stats(x)?;
            Ok(y)
        }
    }
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>> NonMutableModule for Augmented<Elem, Dev> {}
};
