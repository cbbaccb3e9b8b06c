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
    type AugmentedOdeFieldKernel = kernel::Then<
        kernel::Then<kernel::AppendTimeLayer, kernel::DenseLayer<Tanh>, 6>,
        kernel::Then<
            kernel::ResidualLayer<kernel::DenseLayer<Tanh>>,
            kernel::DenseLayer<Identity>,
            16,
        >,
        16,
    >;
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
        pub fn cuda_source(tile: usize) -> Vec<(&'static str, device::Program)> {
            cuda_programs([
                (
                    "ode",
                    cuda_program::<5, Elem, Dev, __AugmentedOdeField<Elem, Dev>>(tile),
                ),
            ])
        }
        /// Takes over how another model of this type, of any dtype and device, solves its blocks.
        /// dfdx's conversions return the declared options; this carries changed ones over.
        pub fn copy_options_from<E2: Dtype, D2: Device<E2>>(
            &mut self,
            other: &Augmented<E2, D2>,
        ) {
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
