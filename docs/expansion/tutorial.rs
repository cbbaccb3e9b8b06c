// What the macro makes of tutorial.in.rs; `::neuralode::__private::` is left out before names.

/// The model of the tutorial.
#[derive(Clone, Debug)]
pub struct MnistOde<Elem: Dtype = f32, Dev: Device<Elem> = Cpu> {
    /// Stage `encoder`.
    pub encoder: Dense<784, 20, Tanh, Elem, Dev>,
    /// Stage `ode`.
    pub ode: NeuralOde<__MnistOdeOdeField<Elem, Dev>>,
    /// Stage `head`.
    pub head: Dense<20, 10, Identity, Elem, Dev>,
}
#[doc(inline)]
#[allow(unused_imports)]
pub use __MnistOdeOdeField as MnistOdeOdeField;
#[automatically_derived]
impl<Elem: Dtype + Debug, Dev: Device<Elem> + Debug> Debug
for __MnistOdeOdeField<Elem, Dev> {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_tuple("MnistOdeOdeField")
            .field(&self.0)
            .field(&self.1)
            .field(&self.2)
            .finish()
    }
}
/// The vector field of stage `ode` of [`MnistOde`].
#[doc(hidden)]
#[derive(Clone)]
pub struct __MnistOdeOdeField<Elem: Dtype = f32, Dev: Device<Elem> = Cpu>(
    /// Layer 0.
    pub Dense<20, 10, Tanh, Elem, Dev>,
    /// Layer 1.
    pub Dense<10, 10, Tanh, Elem, Dev>,
    /// Layer 2.
    pub Dense<10, 20, Tanh, Elem, Dev>,
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
    for MnistOde<Elem, Dev> {
        type To<E2: Dtype, D2: Device<E2>> = MnistOde<E2, D2>;
        fn iter_tensors<V: ModuleVisitor<Self, Elem, Dev>>(
            visitor: &mut V,
        ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
            visitor
                .visit_fields(
                    (
                        Self::module(
                            "encoder",
                            |this| &this.encoder,
                            |this| &mut this.encoder,
                        ),
                        Self::module("ode", |this| &this.ode, |this| &mut this.ode),
                        Self::module("head", |this| &this.head, |this| &mut this.head),
                    ),
                    |(encoder, ode, head)| MnistOde {
                        encoder,
                        ode: ode
                            .with_options({
                                let [t0, t1, rtol, atol]: [f64; 4usize] = [
                                    0.0,
                                    1.0,
                                    0.001,
                                    0.001,
                                ];
                                SolveOptions::new(t0, t1, rtol, atol)
                                    .with_solver(Solver::Tsit5)
                                    .with_controller(Controller::I)
                                    .with_steps(StepSizes::Shared)
                                    .with_adjoint(Adjoint::Interpolating)
                            }),
                        head,
                    },
                )
        }
    }
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>> TensorCollection<Elem, Dev>
    for __MnistOdeOdeField<Elem, Dev> {
        type To<E2: Dtype, D2: Device<E2>> = __MnistOdeOdeField<E2, D2>;
        fn iter_tensors<V: ModuleVisitor<Self, Elem, Dev>>(
            visitor: &mut V,
        ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
            visitor
                .visit_fields(
                    (
                        Self::module("0", |this| &this.0, |this| &mut this.0),
                        Self::module("1", |this| &this.1, |this| &mut this.1),
                        Self::module("2", |this| &this.2, |this| &mut this.2),
                    ),
                    |(layer_0, layer_1, layer_2)| __MnistOdeOdeField(
                        layer_0,
                        layer_1,
                        layer_2,
                    ),
                )
        }
    }
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>, E2: Dtype, D2: Device<E2>> BuildOnDevice<D2, E2>
    for MnistOde<Elem, Dev> {
        type Built = MnistOde<E2, D2>;
    }
    /// The vector field as kernels.
    struct MnistOdeOdeFieldKernel;
    #[automatically_derived]
    impl MnistOdeOdeFieldKernel {
        const AT_0: usize = 0;
        const SUMS_0: usize = 0;
        const PRODUCTS_0: usize = 0;
        const AT_1: usize = Self::AT_0
            + <kernel::DenseLayer<Tanh> as kernel::TileLayer<20, 10>>::PARAMS;
        const SUMS_1: usize = Self::SUMS_0
            + <kernel::DenseLayer<Tanh> as kernel::TileLayer<20, 10>>::SUMS;
        const PRODUCTS_1: usize = Self::PRODUCTS_0
            + <kernel::DenseLayer<Tanh> as kernel::TileLayer<20, 10>>::PRODUCTS;
        const AT_2: usize = Self::AT_1
            + <kernel::DenseLayer<Tanh> as kernel::TileLayer<10, 10>>::PARAMS;
        const SUMS_2: usize = Self::SUMS_1
            + <kernel::DenseLayer<Tanh> as kernel::TileLayer<10, 10>>::SUMS;
        const PRODUCTS_2: usize = Self::PRODUCTS_1
            + <kernel::DenseLayer<Tanh> as kernel::TileLayer<10, 10>>::PRODUCTS;
        const AT_3: usize = Self::AT_2
            + <kernel::DenseLayer<Tanh> as kernel::TileLayer<10, 20>>::PARAMS;
        const SUMS_3: usize = Self::SUMS_2
            + <kernel::DenseLayer<Tanh> as kernel::TileLayer<10, 20>>::SUMS;
        const PRODUCTS_3: usize = Self::PRODUCTS_2
            + <kernel::DenseLayer<Tanh> as kernel::TileLayer<10, 20>>::PRODUCTS;
        const LAYOUT: kernel::Layout<3usize> = kernel::Layout::new(
            kernel::rows::<20>(),
            kernel::rows::<20>(),
            [
                kernel::LayerRows {
                    entering: 0,
                    forth: kernel::rows::<10>(),
                    back: kernel::rows::<20>(),
                    leaving: 0,
                },
                kernel::LayerRows {
                    entering: 0,
                    forth: kernel::rows::<10>(),
                    back: kernel::rows::<10>(),
                    leaving: 0,
                },
                kernel::LayerRows {
                    entering: 0,
                    forth: kernel::rows::<20>(),
                    back: kernel::rows::<10>(),
                    leaving: 0,
                },
            ],
        );
    }
    #[automatically_derived]
    impl TileField<20> for MnistOdeOdeFieldKernel {
        const PARAMS: usize = Self::AT_3;
        const SUMS: usize = Self::SUMS_3;
        const PRODUCTS: usize = Self::PRODUCTS_3;
        const RECORD: usize = Self::LAYOUT.record;
        const SCRATCH: usize = 0 + 0 + kernel::rows::<10>()
            + <kernel::DenseLayer<Tanh> as kernel::TileLayer<20, 10>>::KEPT + 0
            + kernel::rows::<10>()
            + <kernel::DenseLayer<Tanh> as kernel::TileLayer<10, 10>>::KEPT + 0
            + kernel::rows::<20>()
            + <kernel::DenseLayer<Tanh> as kernel::TileLayer<10, 20>>::KEPT;
        fn gather_scratch(samples: usize) -> usize {
            0
                + <kernel::DenseLayer<
                    Tanh,
                > as kernel::TileLayer<20, 10>>::gather_scratch(samples)
                + <kernel::DenseLayer<
                    Tanh,
                > as kernel::TileLayer<10, 10>>::gather_scratch(samples)
                + <kernel::DenseLayer<
                    Tanh,
                > as kernel::TileLayer<10, 20>>::gather_scratch(samples)
        }
        fn transpose<Num: Real>(params: &[Num]) -> Vec<Num> {
            let mut transposed = params.to_vec();
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                20,
                10,
            >>::transpose(
                &params[Self::AT_0..Self::AT_1],
                &mut transposed[Self::AT_0..Self::AT_1],
            );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                10,
                10,
            >>::transpose(
                &params[Self::AT_1..Self::AT_2],
                &mut transposed[Self::AT_1..Self::AT_2],
            );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                10,
                20,
            >>::transpose(
                &params[Self::AT_2..Self::AT_3],
                &mut transposed[Self::AT_2..Self::AT_3],
            );
            transposed
        }
        #[inline(always)]
        fn eval<Set: Simd, Num: Real, const LANES: usize>(
            simd: Set,
            params: &[Num],
            t: &[f64; LANES],
            x_0: &Tile<Num, 20, LANES>,
            dy: &mut Tile<Num, 20, LANES>,
            record: &mut [kernel::Row<Num, LANES>],
            scratch: &mut [kernel::Row<Num, LANES>],
        ) {
            let (x_1, record) = kernel::carve::<Num, 10, LANES>(record);
            let (kept_0, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<Tanh> as kernel::TileLayer<20, 10>>::KEPT,
                );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                20,
                10,
            >>::forward(simd, &params[Self::AT_0..Self::AT_1], t, x_0, kept_0, x_1);
            let (x_2, record) = kernel::carve::<Num, 10, LANES>(record);
            let (kept_1, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<Tanh> as kernel::TileLayer<10, 10>>::KEPT,
                );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                10,
                10,
            >>::forward(simd, &params[Self::AT_1..Self::AT_2], t, x_1, kept_1, x_2);
            let (x_3, record) = kernel::carve::<Num, 20, LANES>(record);
            let (kept_2, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<Tanh> as kernel::TileLayer<10, 20>>::KEPT,
                );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                10,
                20,
            >>::forward(simd, &params[Self::AT_2..Self::AT_3], t, x_2, kept_2, x_3);
            kernel::copy(x_3, dy);
        }
        #[inline(always)]
        fn vjp<Set: Simd, Num: Real, const LANES: usize>(
            simd: Set,
            params: &[Num],
            transposed: &[Num],
            t: &[f64; LANES],
            value: Option<&Tile<Num, 20, LANES>>,
            c: &Tile<Num, 20, LANES>,
            y_bar: &mut Tile<Num, 20, LANES>,
            record: &mut [kernel::Row<Num, LANES>],
            scratch: &mut [kernel::Row<Num, LANES>],
        ) {
            let (x_0, record) = kernel::carve::<Num, 20, LANES>(record);
            let x_0 = &*x_0;
            let (x_1, record) = kernel::carve::<Num, 10, LANES>(record);
            let (kept_0, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<Tanh> as kernel::TileLayer<20, 10>>::KEPT,
                );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                20,
                10,
            >>::forward(simd, &params[Self::AT_0..Self::AT_1], t, x_0, kept_0, x_1);
            let (x_2, record) = kernel::carve::<Num, 10, LANES>(record);
            let (kept_1, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<Tanh> as kernel::TileLayer<10, 10>>::KEPT,
                );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                10,
                10,
            >>::forward(simd, &params[Self::AT_1..Self::AT_2], t, x_1, kept_1, x_2);
            let (x_3, record) = kernel::carve::<Num, 20, LANES>(record);
            let (kept_2, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<Tanh> as kernel::TileLayer<10, 20>>::KEPT,
                );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                10,
                20,
            >>::recall(
                simd,
                &params[Self::AT_2..Self::AT_3],
                t,
                x_2,
                value,
                kept_2,
                x_3,
            );
            let (c_3, record) = kernel::carve::<Num, 20, LANES>(record);
            kernel::copy(c, c_3);
            let (c_2, record) = kernel::carve::<Num, 10, LANES>(record);
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                10,
                20,
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
            let (c_1, record) = kernel::carve::<Num, 10, LANES>(record);
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                10,
                10,
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
            let (c_0, record) = kernel::carve::<Num, 20, LANES>(record);
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                20,
                10,
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
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                20,
                10,
            >>::gather(
                simd,
                Self::LAYOUT.records(records, 0usize),
                &mut sums[Self::SUMS_0..Self::SUMS_1],
                scratch,
            );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                10,
                10,
            >>::gather(
                simd,
                Self::LAYOUT.records(records, 1usize),
                &mut sums[Self::SUMS_1..Self::SUMS_2],
                scratch,
            );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                10,
                20,
            >>::gather(
                simd,
                Self::LAYOUT.records(records, 2usize),
                &mut sums[Self::SUMS_2..Self::SUMS_3],
                scratch,
            );
        }
        #[inline(always)]
        fn eval_with_jvps<'d, Set: Simd, Num: Real, const LANES: usize>(
            simd: Set,
            params: &[Num],
            t: &[f64; LANES],
            x_0: &Tile<Num, 20, LANES>,
            dy: &mut Tile<Num, 20, LANES>,
            directions: impl Iterator<
                Item = (
                    &'d Tile<Num, 20, LANES>,
                    &'d [Num],
                    &'d mut Tile<Num, 20, LANES>,
                ),
            >,
            record: &mut [kernel::Row<Num, LANES>],
            scratch: &mut [kernel::Row<Num, LANES>],
        ) {
            let (x_1, record) = kernel::carve::<Num, 10, LANES>(record);
            let (kept_0, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<Tanh> as kernel::TileLayer<20, 10>>::KEPT,
                );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                20,
                10,
            >>::forward(simd, &params[Self::AT_0..Self::AT_1], t, x_0, kept_0, x_1);
            let (x_2, record) = kernel::carve::<Num, 10, LANES>(record);
            let (kept_1, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<Tanh> as kernel::TileLayer<10, 10>>::KEPT,
                );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                10,
                10,
            >>::forward(simd, &params[Self::AT_1..Self::AT_2], t, x_1, kept_1, x_2);
            let (x_3, record) = kernel::carve::<Num, 20, LANES>(record);
            let (kept_2, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<Tanh> as kernel::TileLayer<10, 20>>::KEPT,
                );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                10,
                20,
            >>::forward(simd, &params[Self::AT_2..Self::AT_3], t, x_2, kept_2, x_3);
            kernel::copy(x_3, dy);
            for (v_0, theta_dot, out) in directions {
                let (v_1, scratch) = kernel::carve::<Num, 10, LANES>(scratch);
                <kernel::DenseLayer<
                    Tanh,
                > as kernel::TileLayer<
                    20,
                    10,
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
                let (v_2, scratch) = kernel::carve::<Num, 10, LANES>(scratch);
                <kernel::DenseLayer<
                    Tanh,
                > as kernel::TileLayer<
                    10,
                    10,
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
                let (v_3, scratch) = kernel::carve::<Num, 20, LANES>(scratch);
                <kernel::DenseLayer<
                    Tanh,
                > as kernel::TileLayer<
                    10,
                    20,
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
                kernel::copy(v_3, out);
            }
        }
        const POINT: bool = true;
        #[inline(always)]
        fn eval_one<Set: Simd, Num: Real>(
            simd: Set,
            params: &[Num],
            transposed: &[Num],
            _t: f64,
            x_0: &[Num; 20],
        ) -> [Num; 20] {
            let x_0 = *x_0;
            let layer_0 = DenseParams::<Num, 20, 10>::at(params, Self::AT_0);
            let (z_0, x_1) = layer_0
                .forward_one::<Tanh, Set>(&transposed[Self::AT_0..Self::AT_1], &x_0);
            let layer_1 = DenseParams::<Num, 10, 10>::at(params, Self::AT_1);
            let (z_1, x_2) = layer_1
                .forward_one::<Tanh, Set>(&transposed[Self::AT_1..Self::AT_2], &x_1);
            let layer_2 = DenseParams::<Num, 10, 20>::at(params, Self::AT_2);
            let (z_2, x_3) = layer_2
                .forward_one::<Tanh, Set>(&transposed[Self::AT_2..Self::AT_3], &x_2);
            vector::meet(&x_3)
        }
        #[inline(always)]
        fn vjp_one<Set: Simd, Num: Real>(
            simd: Set,
            params: &[Num],
            transposed: &[Num],
            _t: f64,
            x_0: &[Num; 20],
            c: &[Num; 20],
            theta_bar: &mut [Num],
        ) -> [Num; 20] {
            let x_0 = *x_0;
            let layer_0 = DenseParams::<Num, 20, 10>::at(params, Self::AT_0);
            let (z_0, x_1) = layer_0
                .forward_one::<Tanh, Set>(&transposed[Self::AT_0..Self::AT_1], &x_0);
            let layer_1 = DenseParams::<Num, 10, 10>::at(params, Self::AT_1);
            let (z_1, x_2) = layer_1
                .forward_one::<Tanh, Set>(&transposed[Self::AT_1..Self::AT_2], &x_1);
            let layer_2 = DenseParams::<Num, 10, 20>::at(params, Self::AT_2);
            let (z_2, x_3) = layer_2
                .forward_one::<Tanh, Set>(&transposed[Self::AT_2..Self::AT_3], &x_2);
            let c_3: [Num; 20] = vector::meet(c);
            let c_2 = layer_2
                .backward_one::<
                    Tanh,
                    Set,
                >(
                    &transposed[Self::AT_2..Self::AT_3],
                    &x_2,
                    (&z_2, &x_3),
                    c_3,
                    &mut theta_bar[Self::AT_2..Self::AT_3],
                );
            let c_1 = layer_1
                .backward_one::<
                    Tanh,
                    Set,
                >(
                    &transposed[Self::AT_1..Self::AT_2],
                    &x_1,
                    (&z_1, &x_2),
                    c_2,
                    &mut theta_bar[Self::AT_1..Self::AT_2],
                );
            let c_0 = layer_0
                .backward_one::<
                    Tanh,
                    Set,
                >(
                    &transposed[Self::AT_0..Self::AT_1],
                    &x_0,
                    (&z_0, &x_1),
                    c_1,
                    &mut theta_bar[Self::AT_0..Self::AT_1],
                );
            vector::meet(&c_0)
        }
        fn cuda_source() -> Option<cuda::FieldSource> {
            Some(
                cuda::FieldSource::new("MnistOdeOdeFieldKernel", 20)
                    .dense(20, 10, "Tanh", false)
                    .dense(10, 10, "Tanh", false)
                    .dense(10, 20, "Tanh", false),
            )
        }
        #[inline(always)]
        fn join<Num: Real>(sums: &[kernel::Sums<Num>], theta_bar: &mut [Num]) {
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                20,
                10,
            >>::join(
                &sums[Self::SUMS_0..Self::SUMS_1],
                &mut theta_bar[Self::AT_0..Self::AT_1],
            );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                10,
                10,
            >>::join(
                &sums[Self::SUMS_1..Self::SUMS_2],
                &mut theta_bar[Self::AT_1..Self::AT_2],
            );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                10,
                20,
            >>::join(
                &sums[Self::SUMS_2..Self::SUMS_3],
                &mut theta_bar[Self::AT_2..Self::AT_3],
            );
        }
    }
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>> TensorField<20, Elem, Dev>
    for __MnistOdeOdeField<Elem, Dev> {
        fn with_kernel<Visitor: KernelVisitor<20>>(
            visitor: Visitor,
        ) -> Result<Visitor::Output, Visitor> {
            Ok(visitor.visit::<MnistOdeOdeFieldKernel>())
        }
        fn try_eval<Batch: Dim, Tp: Tape<Elem, Dev>>(
            &self,
            t: f64,
            x: Tensor<(Batch, Const<20>), Elem, Dev, Tp>,
        ) -> Result<Tensor<(Batch, Const<20>), Elem, Dev, Tp>, SolveError> {
            let (batch, ..) = *HasShape::shape(&x);
            let _ = (t, batch);
            let x = apply(&self.0, x)?;
            let x = apply(&self.1, x)?;
            let x = apply(&self.2, x)?;
            Ok(x)
        }
    }
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>> MnistOde<Elem, Dev> {
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
            x: Tensor<(Batch, Const<28>, Const<28>), Elem, Dev, Tp>,
        ) -> Result<(Tensor<(Batch, Const<10>), Elem, Dev, Tp>, Stats), SolveError> {
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
            x: Tensor<(Batch, Const<28>, Const<28>), Elem, Dev, NoneTape>,
            gradients: Gradients<Elem, Dev>,
        ) -> Result<
            (Tensor<(Batch, Const<10>), Elem, Dev, OwnedTape<Elem, Dev>>, Stats),
            SolveError,
        > {
            self.__pass(Data::new(gradients), x)
        }
        /// The model's output for samples in memory, which its first layer reads where they are, with the statistics of
        /// its forward solves.
        ///
        /// # Errors
        /// Samples of another number of features, none at all, numbers that are not finite, and failures of a solve or of
        /// the device.
        pub fn try_forward_samples(
            &self,
            samples: &Samples<Elem>,
        ) -> Result<
            (Tensor<(usize, Const<10>), Elem, Dev, NoneTape>, Stats),
            SolveError,
        > {
            let entry = InMemory::new(samples);
            let x = entry.input((samples.len(), Const::<28>, Const::<28>))?;
            self.__pass(entry, x)
        }
        /// The same on a tape that adds to `gradients`: the forward pass of a training step without a copy of its input.
        ///
        /// # Errors
        /// Those of [`Self::try_forward_samples`]. `gradients` are lost with it.
        pub fn try_forward_samples_traced(
            &self,
            samples: &Samples<Elem>,
            gradients: Gradients<Elem, Dev>,
        ) -> Result<
            (Tensor<(usize, Const<10>), Elem, Dev, OwnedTape<Elem, Dev>>, Stats),
            SolveError,
        > {
            let entry = InMemory::traced(samples, gradients);
            let x = entry.input((samples.len(), Const::<28>, Const::<28>))?;
            self.__pass(entry, x)
        }
        fn __pass<Batch: Dim, Start: Entry<Elem, Dev>>(
            &self,
            entry: Start,
            x: Start::Input<(Batch, Const<28>, Const<28>)>,
        ) -> Result<
            (Tensor<(Batch, Const<10>), Elem, Dev, Start::After>, Stats),
            SolveError,
        > {
            model_batch(&x)?;
            let mut stats: Stats = ::core::default::Default::default();
            let (batch, ..) = *HasShape::shape(&x);
            let x = Start::reshape(x, (batch, Const::<784>))?;
            let x = Entry::dense(entry, &self.encoder, x, true)?;
            let (x, solve) = self.ode.try_forward_with_stats(x)?;
            stats += solve;
            let x = apply(&self.head, x)?;
            model_output(&x)?;
            let _ = (batch, &mut stats);
            Ok((x, stats))
        }
        model_files!(Elem, Dev);
        /// Stages, layers, static shapes and parameter counts.
        pub fn summary(&self) -> Summary {
            Summary::new("MnistOde")
                .layer::<Flatten>("encoder", &[28, 28], &[784], 0)
                .layer::<
                    Dense<784, 20, Tanh, Elem, Dev>,
                >("encoder", &[784], &[20], (784 + 1) * 20)
                .layer::<
                    Dense<20, 10, Tanh, Elem, Dev>,
                >("ode.field.0", &[20], &[10], (20 + 1) * 10)
                .layer::<
                    Dense<10, 10, Tanh, Elem, Dev>,
                >("ode.field.1", &[10], &[10], (10 + 1) * 10)
                .layer::<
                    Dense<10, 20, Tanh, Elem, Dev>,
                >("ode.field.2", &[10], &[20], (10 + 1) * 20)
                .layer::<
                    Dense<20, 10, Identity, Elem, Dev>,
                >("head", &[20], &[10], (20 + 1) * 10)
                .block::<
                    __MnistOdeOdeField<Elem, Dev>,
                >(
                    "ode",
                    &self.ode.options,
                    has_kernels::<20, Elem, Dev, __MnistOdeOdeField<Elem, Dev>>(),
                )
        }
        /// The CUDA programs of the blocks whose fields have device code, each with the path of its block: whole
        /// solves and their discrete adjoint as one kernel each, for `tile` samples per block of threads.
        pub fn cuda_source(tile: usize) -> Vec<(&'static str, cuda::Program)> {
            let programs: [(&'static str, Option<cuda::Program>); 1usize] = [
                (
                    "ode",
                    cuda_program::<20, Elem, Dev, __MnistOdeOdeField<Elem, Dev>>(tile),
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
            other: &MnistOde<E2, D2>,
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
        ) -> Result<MnistOde<Elem, D2>, DeviceErr<D2>> {
            let mut copy = ToDevice::try_to_device(self, device)?;
            copy.copy_options_from(self);
            Ok(copy)
        }
        /// A copy on another device, with the same options.
        ///
        /// # Panics
        /// If the other device fails; see [`Self::try_to_device`].
        pub fn to_device<D2: Device<Elem>>(&self, device: &D2) -> MnistOde<Elem, D2> {
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
    > Module<Tensor<(Batch, Const<28>, Const<28>), Elem, Dev, Tp>>
    for MnistOde<Elem, Dev> {
        type Output = Tensor<(Batch, Const<10>), Elem, Dev, Tp>;
        type Error = SolveError;
        fn try_forward(
            &self,
            x: Tensor<(Batch, Const<28>, Const<28>), Elem, Dev, Tp>,
        ) -> Result<Self::Output, SolveError> {
            let (y, _) = self.try_forward_with_stats(x)?;
            Ok(y)
        }
    }
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>> NonMutableModule for MnistOde<Elem, Dev> {}
};
