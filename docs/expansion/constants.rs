// What the macro makes of constants.in.rs; `::neuralode::__private::` is left out before names.

/// The Neural ODE model `Constants`.
struct Constants<Elem: Dtype = f32, Dev: Device<Elem> = Cpu> {
    /// Stage `ode`.
    ode: NeuralOde<__ConstantsOdeField<Elem, Dev>>,
}
#[doc(inline)]
#[allow(unused_imports)]
use __ConstantsOdeField as ConstantsOdeField;
#[automatically_derived]
impl<Elem: Dtype + Debug, Dev: Device<Elem> + Debug> Debug
for __ConstantsOdeField<Elem, Dev> {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_tuple("ConstantsOdeField").field(&self.0).field(&self.1).finish()
    }
}
/// The vector field of stage `ode` of [`Constants`].
#[doc(hidden)]
#[derive(Clone)]
struct __ConstantsOdeField<Elem: Dtype = f32, Dev: Device<Elem> = Cpu>(
    /// Layer 0.
    Dense<{ STATE }, { sizes::HIDDEN }, Tanh, Elem, Dev>,
    /// Layer 1.
    Dense<{ sizes::HIDDEN }, { WIDTH }, Identity, Elem, Dev>,
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
    const _: fn() = assert_positive::<{ 0 < [(); STATE].len() }>;
    const _: fn() = assert_positive::<{ 0 < [(); sizes::HIDDEN].len() }>;
    const _: fn() = assert_positive::<{ 0 < [(); WIDTH].len() }>;
    const _: fn() = assert_returns_state::<{ WIDTH }, { STATE }>;
    const _: fn() = assert_time::<
        { is_finite(number::<{ check_number(&START) }, _>(START)) },
    >;
    const _: fn() = assert_ends_differ::<
        { ends_differ(number::<{ check_number(&START) }, _>(START), 1.0) },
    >;
    const _: fn() = assert_dt::<
        { is_positive(number::<{ check_number(&STEP) }, _>(STEP)) },
    >;
    const _: fn() = assert_step_fits::<
        {
            step_fits(
                number::<{ check_number(&STEP) }, _>(STEP),
                number::<{ check_number(&START) }, _>(START),
                1.0,
            )
        },
    >;
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>> TensorCollection<Elem, Dev>
    for Constants<Elem, Dev> {
        type To<E2: Dtype, D2: Device<E2>> = Constants<E2, D2>;
        fn iter_tensors<V: ModuleVisitor<Self, Elem, Dev>>(
            visitor: &mut V,
        ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
            visitor
                .visit_fields(
                    Self::module("ode", |this| &this.ode, |this| &mut this.ode),
                    |ode| Constants {
                        ode: ode
                            .with_options({
                                let [t0, t1, rtol, atol, dt]: [f64; 5usize] = [
                                    number::<{ check_number(&START) }, _>(START),
                                    1.0,
                                    1e-3,
                                    1e-3,
                                    number::<{ check_number(&STEP) }, _>(STEP),
                                ];
                                SolveOptions::new(t0, t1, rtol, atol)
                                    .with_solver(Solver::Rk4)
                                    .with_controller(Controller::Constant { dt })
                                    .with_steps(StepSizes::Shared)
                                    .with_adjoint(Adjoint::Discrete)
                            }),
                    },
                )
        }
    }
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>> TensorCollection<Elem, Dev>
    for __ConstantsOdeField<Elem, Dev> {
        type To<E2: Dtype, D2: Device<E2>> = __ConstantsOdeField<E2, D2>;
        fn iter_tensors<V: ModuleVisitor<Self, Elem, Dev>>(
            visitor: &mut V,
        ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
            visitor
                .visit_fields(
                    (
                        Self::module("0", |this| &this.0, |this| &mut this.0),
                        Self::module("1", |this| &this.1, |this| &mut this.1),
                    ),
                    |(layer_0, layer_1)| __ConstantsOdeField(layer_0, layer_1),
                )
        }
    }
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>, E2: Dtype, D2: Device<E2>> BuildOnDevice<D2, E2>
    for Constants<Elem, Dev> {
        type Built = Constants<E2, D2>;
    }
    /// The vector field as kernels.
    struct ConstantsOdeFieldKernel;
    #[automatically_derived]
    impl ConstantsOdeFieldKernel {
        const AT_0: usize = 0;
        const SUMS_0: usize = 0;
        const PRODUCTS_0: usize = 0;
        const AT_1: usize = Self::AT_0
            + <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<{ STATE }, { sizes::HIDDEN }>>::PARAMS;
        const SUMS_1: usize = Self::SUMS_0
            + <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<{ STATE }, { sizes::HIDDEN }>>::SUMS;
        const PRODUCTS_1: usize = Self::PRODUCTS_0
            + <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<{ STATE }, { sizes::HIDDEN }>>::PRODUCTS;
        const AT_2: usize = Self::AT_1
            + <kernel::DenseLayer<
                Identity,
            > as kernel::TileLayer<{ sizes::HIDDEN }, { WIDTH }>>::PARAMS;
        const SUMS_2: usize = Self::SUMS_1
            + <kernel::DenseLayer<
                Identity,
            > as kernel::TileLayer<{ sizes::HIDDEN }, { WIDTH }>>::SUMS;
        const PRODUCTS_2: usize = Self::PRODUCTS_1
            + <kernel::DenseLayer<
                Identity,
            > as kernel::TileLayer<{ sizes::HIDDEN }, { WIDTH }>>::PRODUCTS;
        const LAYOUT: kernel::Layout<2usize> = kernel::Layout::new(
            kernel::rows::<{ STATE }>(),
            kernel::rows::<{ WIDTH }>(),
            [
                kernel::LayerRows {
                    entering: 0,
                    forth: kernel::rows::<{ sizes::HIDDEN }>(),
                    back: kernel::rows::<{ STATE }>(),
                    leaving: 0,
                },
                kernel::LayerRows {
                    entering: 0,
                    forth: kernel::rows::<{ WIDTH }>(),
                    back: kernel::rows::<{ sizes::HIDDEN }>(),
                    leaving: 0,
                },
            ],
        );
    }
    #[automatically_derived]
    impl TileField<{ STATE }> for ConstantsOdeFieldKernel {
        const PARAMS: usize = Self::AT_2;
        const SUMS: usize = Self::SUMS_2;
        const PRODUCTS: usize = Self::PRODUCTS_2;
        const RECORD: usize = Self::LAYOUT.record;
        const SCRATCH: usize = 0 + 0 + kernel::rows::<{ sizes::HIDDEN }>()
            + <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<{ STATE }, { sizes::HIDDEN }>>::KEPT + 0
            + kernel::rows::<{ WIDTH }>()
            + <kernel::DenseLayer<
                Identity,
            > as kernel::TileLayer<{ sizes::HIDDEN }, { WIDTH }>>::KEPT;
        fn gather_scratch(samples: usize) -> usize {
            0
                + <kernel::DenseLayer<
                    Tanh,
                > as kernel::TileLayer<
                    { STATE },
                    { sizes::HIDDEN },
                >>::gather_scratch(samples)
                + <kernel::DenseLayer<
                    Identity,
                > as kernel::TileLayer<
                    { sizes::HIDDEN },
                    { WIDTH },
                >>::gather_scratch(samples)
        }
        fn transpose<Num: Real>(params: &[Num]) -> Vec<Num> {
            let mut transposed = params.to_vec();
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                { STATE },
                { sizes::HIDDEN },
            >>::transpose(
                &params[Self::AT_0..Self::AT_1],
                &mut transposed[Self::AT_0..Self::AT_1],
            );
            <kernel::DenseLayer<
                Identity,
            > as kernel::TileLayer<
                { sizes::HIDDEN },
                { WIDTH },
            >>::transpose(
                &params[Self::AT_1..Self::AT_2],
                &mut transposed[Self::AT_1..Self::AT_2],
            );
            transposed
        }
        #[inline(always)]
        fn eval<Set: Simd, Num: Real, const LANES: usize>(
            simd: Set,
            params: &[Num],
            t: &[f64; LANES],
            x_0: &Tile<Num, { STATE }, LANES>,
            dy: &mut Tile<Num, { STATE }, LANES>,
            record: &mut [kernel::Row<Num, LANES>],
            scratch: &mut [kernel::Row<Num, LANES>],
        ) {
            let (x_1, record) = kernel::carve::<Num, { sizes::HIDDEN }, LANES>(record);
            let (kept_0, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<
                        Tanh,
                    > as kernel::TileLayer<{ STATE }, { sizes::HIDDEN }>>::KEPT,
                );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                { STATE },
                { sizes::HIDDEN },
            >>::forward(simd, &params[Self::AT_0..Self::AT_1], t, x_0, kept_0, x_1);
            let (x_2, record) = kernel::carve::<Num, { WIDTH }, LANES>(record);
            let (kept_1, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<
                        Identity,
                    > as kernel::TileLayer<{ sizes::HIDDEN }, { WIDTH }>>::KEPT,
                );
            <kernel::DenseLayer<
                Identity,
            > as kernel::TileLayer<
                { sizes::HIDDEN },
                { WIDTH },
            >>::forward(simd, &params[Self::AT_1..Self::AT_2], t, x_1, kept_1, x_2);
            kernel::copy(x_2, dy);
        }
        #[inline(always)]
        fn vjp<Set: Simd, Num: Real, const LANES: usize>(
            simd: Set,
            params: &[Num],
            transposed: &[Num],
            t: &[f64; LANES],
            value: Option<&Tile<Num, { STATE }, LANES>>,
            c: &Tile<Num, { STATE }, LANES>,
            y_bar: &mut Tile<Num, { STATE }, LANES>,
            record: &mut [kernel::Row<Num, LANES>],
            scratch: &mut [kernel::Row<Num, LANES>],
        ) {
            let (x_0, record) = kernel::carve::<Num, { STATE }, LANES>(record);
            let x_0 = &*x_0;
            let (x_1, record) = kernel::carve::<Num, { sizes::HIDDEN }, LANES>(record);
            let (kept_0, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<
                        Tanh,
                    > as kernel::TileLayer<{ STATE }, { sizes::HIDDEN }>>::KEPT,
                );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                { STATE },
                { sizes::HIDDEN },
            >>::forward(simd, &params[Self::AT_0..Self::AT_1], t, x_0, kept_0, x_1);
            let (x_2, record) = kernel::carve::<Num, { WIDTH }, LANES>(record);
            let (kept_1, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<
                        Identity,
                    > as kernel::TileLayer<{ sizes::HIDDEN }, { WIDTH }>>::KEPT,
                );
            <kernel::DenseLayer<
                Identity,
            > as kernel::TileLayer<
                { sizes::HIDDEN },
                { WIDTH },
            >>::recall(
                simd,
                &params[Self::AT_1..Self::AT_2],
                t,
                x_1,
                value,
                kept_1,
                x_2,
            );
            let (c_2, record) = kernel::carve::<Num, { WIDTH }, LANES>(record);
            kernel::copy(c, c_2);
            let (c_1, record) = kernel::carve::<Num, { sizes::HIDDEN }, LANES>(record);
            <kernel::DenseLayer<
                Identity,
            > as kernel::TileLayer<
                { sizes::HIDDEN },
                { WIDTH },
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
            let (c_0, record) = kernel::carve::<Num, { STATE }, LANES>(record);
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                { STATE },
                { sizes::HIDDEN },
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
                { STATE },
                { sizes::HIDDEN },
            >>::gather(
                simd,
                Self::LAYOUT.records(records, 0usize),
                &mut sums[Self::SUMS_0..Self::SUMS_1],
                scratch,
            );
            <kernel::DenseLayer<
                Identity,
            > as kernel::TileLayer<
                { sizes::HIDDEN },
                { WIDTH },
            >>::gather(
                simd,
                Self::LAYOUT.records(records, 1usize),
                &mut sums[Self::SUMS_1..Self::SUMS_2],
                scratch,
            );
        }
        #[inline(always)]
        fn eval_with_jvps<'d, Set: Simd, Num: Real, const LANES: usize>(
            simd: Set,
            params: &[Num],
            t: &[f64; LANES],
            x_0: &Tile<Num, { STATE }, LANES>,
            dy: &mut Tile<Num, { STATE }, LANES>,
            directions: impl Iterator<
                Item = (
                    &'d Tile<Num, { STATE }, LANES>,
                    &'d [Num],
                    &'d mut Tile<Num, { STATE }, LANES>,
                ),
            >,
            record: &mut [kernel::Row<Num, LANES>],
            scratch: &mut [kernel::Row<Num, LANES>],
        ) {
            let (x_1, record) = kernel::carve::<Num, { sizes::HIDDEN }, LANES>(record);
            let (kept_0, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<
                        Tanh,
                    > as kernel::TileLayer<{ STATE }, { sizes::HIDDEN }>>::KEPT,
                );
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                { STATE },
                { sizes::HIDDEN },
            >>::forward(simd, &params[Self::AT_0..Self::AT_1], t, x_0, kept_0, x_1);
            let (x_2, record) = kernel::carve::<Num, { WIDTH }, LANES>(record);
            let (kept_1, scratch) = scratch
                .split_at_mut(
                    <kernel::DenseLayer<
                        Identity,
                    > as kernel::TileLayer<{ sizes::HIDDEN }, { WIDTH }>>::KEPT,
                );
            <kernel::DenseLayer<
                Identity,
            > as kernel::TileLayer<
                { sizes::HIDDEN },
                { WIDTH },
            >>::forward(simd, &params[Self::AT_1..Self::AT_2], t, x_1, kept_1, x_2);
            kernel::copy(x_2, dy);
            for (v_0, theta_dot, out) in directions {
                let (v_1, scratch) = kernel::carve::<
                    Num,
                    { sizes::HIDDEN },
                    LANES,
                >(scratch);
                <kernel::DenseLayer<
                    Tanh,
                > as kernel::TileLayer<
                    { STATE },
                    { sizes::HIDDEN },
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
                let (v_2, scratch) = kernel::carve::<Num, { WIDTH }, LANES>(scratch);
                <kernel::DenseLayer<
                    Identity,
                > as kernel::TileLayer<
                    { sizes::HIDDEN },
                    { WIDTH },
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
                kernel::copy(v_2, out);
            }
        }
        const POINT: bool = true;
        #[inline(always)]
        fn eval_one<Set: Simd, Num: Real>(
            simd: Set,
            params: &[Num],
            transposed: &[Num],
            _t: f64,
            x_0: &[Num; { STATE }],
        ) -> [Num; { STATE }] {
            let x_0 = *x_0;
            let layer_0 = DenseParams::<
                Num,
                { STATE },
                { sizes::HIDDEN },
            >::at(params, Self::AT_0);
            let (z_0, x_1) = layer_0
                .forward_one::<Tanh, Set>(&transposed[Self::AT_0..Self::AT_1], &x_0);
            let layer_1 = DenseParams::<
                Num,
                { sizes::HIDDEN },
                { WIDTH },
            >::at(params, Self::AT_1);
            let (z_1, x_2) = layer_1
                .forward_one::<Identity, Set>(&transposed[Self::AT_1..Self::AT_2], &x_1);
            vector::meet(&x_2)
        }
        #[inline(always)]
        fn vjp_one<Set: Simd, Num: Real>(
            simd: Set,
            params: &[Num],
            transposed: &[Num],
            _t: f64,
            x_0: &[Num; { STATE }],
            c: &[Num; { STATE }],
            theta_bar: &mut [Num],
        ) -> [Num; { STATE }] {
            let x_0 = *x_0;
            let layer_0 = DenseParams::<
                Num,
                { STATE },
                { sizes::HIDDEN },
            >::at(params, Self::AT_0);
            let (z_0, x_1) = layer_0
                .forward_one::<Tanh, Set>(&transposed[Self::AT_0..Self::AT_1], &x_0);
            let layer_1 = DenseParams::<
                Num,
                { sizes::HIDDEN },
                { WIDTH },
            >::at(params, Self::AT_1);
            let (z_1, x_2) = layer_1
                .forward_one::<Identity, Set>(&transposed[Self::AT_1..Self::AT_2], &x_1);
            let c_2: [Num; { WIDTH }] = vector::meet(c);
            let c_1 = layer_1
                .backward_one::<
                    Identity,
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
                cuda::FieldSource::new(
                        "ConstantsOdeFieldKernel",
                        Dim::size(&Const::<{ STATE }>),
                    )
                    .dense(
                        Dim::size(&Const::<{ STATE }>),
                        Dim::size(&Const::<{ sizes::HIDDEN }>),
                        "Tanh",
                        false,
                    )
                    .dense(
                        Dim::size(&Const::<{ sizes::HIDDEN }>),
                        Dim::size(&Const::<{ WIDTH }>),
                        "Identity",
                        false,
                    ),
            )
        }
        #[inline(always)]
        fn join<Num: Real>(sums: &[kernel::Sums<Num>], theta_bar: &mut [Num]) {
            <kernel::DenseLayer<
                Tanh,
            > as kernel::TileLayer<
                { STATE },
                { sizes::HIDDEN },
            >>::join(
                &sums[Self::SUMS_0..Self::SUMS_1],
                &mut theta_bar[Self::AT_0..Self::AT_1],
            );
            <kernel::DenseLayer<
                Identity,
            > as kernel::TileLayer<
                { sizes::HIDDEN },
                { WIDTH },
            >>::join(
                &sums[Self::SUMS_1..Self::SUMS_2],
                &mut theta_bar[Self::AT_1..Self::AT_2],
            );
        }
    }
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>> TensorField<{ STATE }, Elem, Dev>
    for __ConstantsOdeField<Elem, Dev> {
        fn with_kernel<Visitor: KernelVisitor<{ STATE }>>(
            visitor: Visitor,
        ) -> Result<Visitor::Output, Visitor> {
            Ok(visitor.visit::<ConstantsOdeFieldKernel>())
        }
        fn try_eval<Batch: Dim, Tp: Tape<Elem, Dev>>(
            &self,
            t: f64,
            x: Tensor<(Batch, Const<{ STATE }>), Elem, Dev, Tp>,
        ) -> Result<Tensor<(Batch, Const<{ STATE }>), Elem, Dev, Tp>, SolveError> {
            let (batch, ..) = *HasShape::shape(&x);
            let _ = (t, batch);
            let x = apply(&self.0, x)?;
            let x = apply(&self.1, x)?;
            let x = reshape(x, (batch, Const::<{ STATE }>))?;
            Ok(x)
        }
    }
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>> Constants<Elem, Dev> {
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
            x: Tensor<(Batch, Const<{ STATE }>), Elem, Dev, Tp>,
        ) -> Result<
            (Tensor<(Batch, Const<{ STATE }>), Elem, Dev, Tp>, Stats),
            SolveError,
        > {
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
            x: Tensor<(Batch, Const<{ STATE }>), Elem, Dev, NoneTape>,
            gradients: Gradients<Elem, Dev>,
        ) -> Result<
            (Tensor<(Batch, Const<{ STATE }>), Elem, Dev, OwnedTape<Elem, Dev>>, Stats),
            SolveError,
        > {
            self.__pass(Data::new(gradients), x)
        }
        fn __pass<Batch: Dim, Start: Entry<Elem, Dev>>(
            &self,
            entry: Start,
            x: Tensor<(Batch, Const<{ STATE }>), Elem, Dev, Start::Before>,
        ) -> Result<
            (Tensor<(Batch, Const<{ STATE }>), Elem, Dev, Start::After>, Stats),
            SolveError,
        > {
            model_input(&x)?;
            let mut stats: Stats = ::core::default::Default::default();
            let (batch, ..) = *HasShape::shape(&x);
            let x = Entry::enter(entry, x);
            let (x, solve) = self.ode.try_forward_with_stats(x)?;
            stats += solve;
            let _ = (batch, &mut stats);
            Ok((x, stats))
        }
        model_files!(Elem, Dev);
        /// Stages, layers, static shapes and parameter counts.
        pub fn summary(&self) -> Summary {
            Summary::new("Constants")
                .layer::<
                    Dense<{ STATE }, { sizes::HIDDEN }, Tanh, Elem, Dev>,
                >(
                    "ode.field.0",
                    &[Dim::size(&Const::<{ STATE }>)],
                    &[Dim::size(&Const::<{ sizes::HIDDEN }>)],
                    (Dim::size(&Const::<{ STATE }>) + 1)
                        * Dim::size(&Const::<{ sizes::HIDDEN }>),
                )
                .layer::<
                    Dense<{ sizes::HIDDEN }, { WIDTH }, Identity, Elem, Dev>,
                >(
                    "ode.field.1",
                    &[Dim::size(&Const::<{ sizes::HIDDEN }>)],
                    &[Dim::size(&Const::<{ WIDTH }>)],
                    (Dim::size(&Const::<{ sizes::HIDDEN }>) + 1)
                        * Dim::size(&Const::<{ WIDTH }>),
                )
                .block::<
                    __ConstantsOdeField<Elem, Dev>,
                >(
                    "ode",
                    &self.ode.options,
                    has_kernels::<{ STATE }, Elem, Dev, __ConstantsOdeField<Elem, Dev>>(),
                )
        }
        /// The CUDA programs of the blocks whose fields have device code, each with the path of its block: whole
        /// solves and their discrete adjoint as one kernel each, for `tile` samples per block of threads.
        pub fn cuda_source(tile: usize) -> Vec<(&'static str, cuda::Program)> {
            let programs: [(&'static str, Option<cuda::Program>); 1usize] = [
                (
                    "ode",
                    cuda_program::<
                        { STATE },
                        Elem,
                        Dev,
                        __ConstantsOdeField<Elem, Dev>,
                    >(tile),
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
            other: &Constants<E2, D2>,
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
        ) -> Result<Constants<Elem, D2>, DeviceErr<D2>> {
            let mut copy = ToDevice::try_to_device(self, device)?;
            copy.copy_options_from(self);
            Ok(copy)
        }
        /// A copy on another device, with the same options.
        ///
        /// # Panics
        /// If the other device fails; see [`Self::try_to_device`].
        pub fn to_device<D2: Device<Elem>>(&self, device: &D2) -> Constants<Elem, D2> {
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
    > Module<Tensor<(Batch, Const<{ STATE }>), Elem, Dev, Tp>> for Constants<Elem, Dev> {
        type Output = Tensor<(Batch, Const<{ STATE }>), Elem, Dev, Tp>;
        type Error = SolveError;
        fn try_forward(
            &self,
            x: Tensor<(Batch, Const<{ STATE }>), Elem, Dev, Tp>,
        ) -> Result<Self::Output, SolveError> {
            let (y, _) = self.try_forward_with_stats(x)?;
            Ok(y)
        }
    }
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>> NonMutableModule for Constants<Elem, Dev> {}
};
