// What the macro makes of parameters.in.rs; `::neuralode::__private::` is left out before names.

/// Sizes that are parameters.
struct Flow<
    const WIDTH: usize,
    const HIDDEN: usize = 32,
    Elem: Dtype = f32,
    Dev: Device<Elem> = Cpu,
> {
    /// Stage `ode`.
    ode: NeuralOde<__FlowOdeField<WIDTH, HIDDEN, Elem, Dev>>,
}
#[doc(inline)]
#[allow(unused_imports)]
use __FlowOdeField as FlowOdeField;
#[automatically_derived]
impl<
    const WIDTH: usize,
    const HIDDEN: usize,
    Elem: Dtype + Debug,
    Dev: Device<Elem> + Debug,
> Debug for __FlowOdeField<WIDTH, HIDDEN, Elem, Dev> {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_tuple("FlowOdeField").field(&self.0).field(&self.1).finish()
    }
}
/// The vector field of stage `ode` of [`Flow`].
#[doc(hidden)]
#[derive(Clone)]
struct __FlowOdeField<
    const WIDTH: usize,
    const HIDDEN: usize = 32,
    Elem: Dtype = f32,
    Dev: Device<Elem> = Cpu,
>(
    /// Layer 0.
    Dense<WIDTH, HIDDEN, Tanh, Elem, Dev>,
    /// Layer 1.
    Dense<HIDDEN, WIDTH, Identity, Elem, Dev>,
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
    impl<
        const WIDTH: usize,
        const HIDDEN: usize,
        Elem: Dtype,
        Dev: Device<Elem>,
    > TensorCollection<Elem, Dev> for Flow<WIDTH, HIDDEN, Elem, Dev> {
        type To<E2: Dtype, D2: Device<E2>> = Flow<WIDTH, HIDDEN, E2, D2>;
        fn iter_tensors<V: ModuleVisitor<Self, Elem, Dev>>(
            visitor: &mut V,
        ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
            const {
                ::core::assert!(
                    0 < WIDTH,
                    "the parameter `WIDTH` of `Flow` is 0, but sizes are positive"
                )
            };
            const {
                ::core::assert!(
                    0 < HIDDEN,
                    "the parameter `HIDDEN` of `Flow` is 0, but sizes are positive"
                )
            };
            visitor
                .visit_fields(
                    Self::module("ode", |this| &this.ode, |this| &mut this.ode),
                    |ode| Flow {
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
                                    .with_adjoint(Adjoint::Discrete)
                            }),
                    },
                )
        }
    }
    #[automatically_derived]
    impl<
        const WIDTH: usize,
        const HIDDEN: usize,
        Elem: Dtype,
        Dev: Device<Elem>,
    > TensorCollection<Elem, Dev> for __FlowOdeField<WIDTH, HIDDEN, Elem, Dev> {
        type To<E2: Dtype, D2: Device<E2>> = __FlowOdeField<WIDTH, HIDDEN, E2, D2>;
        fn iter_tensors<V: ModuleVisitor<Self, Elem, Dev>>(
            visitor: &mut V,
        ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
            const {
                ::core::assert!(
                    0 < WIDTH,
                    "the parameter `WIDTH` of `__FlowOdeField` is 0, but sizes are positive"
                )
            };
            const {
                ::core::assert!(
                    0 < HIDDEN,
                    "the parameter `HIDDEN` of `__FlowOdeField` is 0, but sizes are positive"
                )
            };
            visitor
                .visit_fields(
                    (
                        Self::module("0", |this| &this.0, |this| &mut this.0),
                        Self::module("1", |this| &this.1, |this| &mut this.1),
                    ),
                    |(layer_0, layer_1)| __FlowOdeField(layer_0, layer_1),
                )
        }
    }
    #[automatically_derived]
    impl<
        const WIDTH: usize,
        const HIDDEN: usize,
        Elem: Dtype,
        Dev: Device<Elem>,
        E2: Dtype,
        D2: Device<E2>,
    > BuildOnDevice<D2, E2> for Flow<WIDTH, HIDDEN, Elem, Dev> {
        type Built = Flow<WIDTH, HIDDEN, E2, D2>;
    }
    /// The vector field as kernels.
    type FlowOdeFieldKernel<const WIDTH: usize, const HIDDEN: usize> = kernel::Then<
        kernel::DenseLayer<Tanh>,
        kernel::DenseLayer<Identity>,
        HIDDEN,
    >;
    #[automatically_derived]
    impl<
        const WIDTH: usize,
        const HIDDEN: usize,
        Elem: Dtype,
        Dev: Device<Elem>,
    > TensorField<WIDTH, Elem, Dev> for __FlowOdeField<WIDTH, HIDDEN, Elem, Dev> {
        fn with_kernel<Visitor: KernelVisitor<WIDTH>>(
            visitor: Visitor,
        ) -> Result<Visitor::Output, Visitor> {
            Ok(visitor.visit::<FlowOdeFieldKernel<WIDTH, HIDDEN>>())
        }
        fn try_eval<Batch: Dim, Tp: Tape<Elem, Dev>>(
            &self,
            t: f64,
            x: Tensor<(Batch, Const<WIDTH>), Elem, Dev, Tp>,
        ) -> Result<Tensor<(Batch, Const<WIDTH>), Elem, Dev, Tp>, SolveError> {
            let (batch, ..) = *HasShape::shape(&x);
            let x = apply(&self.0, x)?;
            let x = apply(&self.1, x)?;
            Ok(x)
        }
    }
    #[automatically_derived]
    impl<
        const WIDTH: usize,
        const HIDDEN: usize,
        Elem: Dtype,
        Dev: Device<Elem>,
    > Flow<WIDTH, HIDDEN, Elem, Dev> {
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
            x: Tensor<(Batch, Const<WIDTH>), Elem, Dev, Tp>,
        ) -> Result<(Tensor<(Batch, Const<WIDTH>), Elem, Dev, Tp>, Stats), SolveError> {
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
            x: Tensor<(Batch, Const<WIDTH>), Elem, Dev, NoneTape>,
            gradients: Gradients<Elem, Dev>,
        ) -> Result<
            (Tensor<(Batch, Const<WIDTH>), Elem, Dev, OwnedTape<Elem, Dev>>, Stats),
            SolveError,
        > {
            self.__pass(Data::new(gradients), x)
        }
        fn __pass<Batch: Dim, Start: Entry<Elem, Dev>>(
            &self,
            entry: Start,
            x: Tensor<(Batch, Const<WIDTH>), Elem, Dev, Start::Before>,
        ) -> Result<
            (Tensor<(Batch, Const<WIDTH>), Elem, Dev, Start::After>, Stats),
            SolveError,
        > {
            model_input(&x)?;
            let mut stats: Stats = ::core::default::Default::default();
            let (batch, ..) = *HasShape::shape(&x);
            let x = Entry::enter(entry, x);
            let (x, solve) = self.ode.try_forward_with_stats(x)?;
            stats += solve;
            Ok((x, stats))
        }
        model_files!(Elem, Dev);
        /// Stages, layers, static shapes and parameter counts.
        pub fn summary(&self) -> Summary {
            Summary::new("Flow")
                .layer::<
                    Dense<WIDTH, HIDDEN, Tanh, Elem, Dev>,
                >(
                    "ode.field.0",
                    &[Dim::size(&Const::<WIDTH>)],
                    &[Dim::size(&Const::<HIDDEN>)],
                    (Dim::size(&Const::<WIDTH>) + 1) * Dim::size(&Const::<HIDDEN>),
                )
                .layer::<
                    Dense<HIDDEN, WIDTH, Identity, Elem, Dev>,
                >(
                    "ode.field.1",
                    &[Dim::size(&Const::<HIDDEN>)],
                    &[Dim::size(&Const::<WIDTH>)],
                    (Dim::size(&Const::<HIDDEN>) + 1) * Dim::size(&Const::<WIDTH>),
                )
                .block::<
                    __FlowOdeField<WIDTH, HIDDEN, Elem, Dev>,
                >(
                    "ode",
                    &self.ode.options,
                    has_kernels::<
                        WIDTH,
                        Elem,
                        Dev,
                        __FlowOdeField<WIDTH, HIDDEN, Elem, Dev>,
                    >(),
                )
        }
        /// The CUDA programs of the blocks whose fields have device code, each with the path of its block: whole
        /// solves and their discrete adjoint as one kernel each, for `tile` samples per block of threads.
        pub fn cuda_source(tile: usize) -> Vec<(&'static str, device::Program)> {
            cuda_programs([
                (
                    "ode",
                    cuda_program::<
                        WIDTH,
                        Elem,
                        Dev,
                        __FlowOdeField<WIDTH, HIDDEN, Elem, Dev>,
                    >(tile),
                ),
            ])
        }
        /// Takes over how another model of this type, of any dtype and device, solves its blocks.
        /// dfdx's conversions return the declared options; this carries changed ones over.
        pub fn copy_options_from<E2: Dtype, D2: Device<E2>>(
            &mut self,
            other: &Flow<WIDTH, HIDDEN, E2, D2>,
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
        ) -> Result<Flow<WIDTH, HIDDEN, Elem, D2>, DeviceErr<D2>> {
            let mut copy = ToDevice::try_to_device(self, device)?;
            copy.copy_options_from(self);
            Ok(copy)
        }
        /// A copy on another device, with the same options.
        ///
        /// # Panics
        /// If the other device fails; see [`Self::try_to_device`].
        pub fn to_device<D2: Device<Elem>>(
            &self,
            device: &D2,
        ) -> Flow<WIDTH, HIDDEN, Elem, D2> {
            let mut copy = ToDevice::to_device(self, device);
            copy.copy_options_from(self);
            copy
        }
    }
    #[automatically_derived]
    impl<
        const WIDTH: usize,
        const HIDDEN: usize,
        Batch: Dim,
        Elem: Dtype,
        Dev: Device<Elem>,
        Tp: Tape<Elem, Dev>,
    > Module<Tensor<(Batch, Const<WIDTH>), Elem, Dev, Tp>>
    for Flow<WIDTH, HIDDEN, Elem, Dev> {
        type Output = Tensor<(Batch, Const<WIDTH>), Elem, Dev, Tp>;
        type Error = SolveError;
        fn try_forward(
            &self,
            x: Tensor<(Batch, Const<WIDTH>), Elem, Dev, Tp>,
        ) -> Result<Self::Output, SolveError> {
            let (y, _) = self.try_forward_with_stats(x)?;
            Ok(y)
        }
    }
    #[automatically_derived]
    impl<
        const WIDTH: usize,
        const HIDDEN: usize,
        Elem: Dtype,
        Dev: Device<Elem>,
    > NonMutableModule for Flow<WIDTH, HIDDEN, Elem, Dev> {}
};
