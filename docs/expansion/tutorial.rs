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
    type MnistOdeOdeFieldKernel = kernel::Then<
        kernel::DenseLayer<Tanh>,
        kernel::Then<kernel::DenseLayer<Tanh>, kernel::DenseLayer<Tanh>, 10>,
        10,
    >;
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
        pub fn cuda_source(tile: usize) -> Vec<(&'static str, device::Program)> {
            cuda_programs([
                (
                    "ode",
                    cuda_program::<20, Elem, Dev, __MnistOdeOdeField<Elem, Dev>>(tile),
                ),
            ])
        }
        /// Takes over how another model of this type, of any dtype and device, solves its blocks.
        /// dfdx's conversions return the declared options; this carries changed ones over.
        pub fn copy_options_from<E2: Dtype, D2: Device<E2>>(
            &mut self,
            other: &MnistOde<E2, D2>,
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
