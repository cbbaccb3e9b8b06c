// What the macro makes of state.in.rs; `::neuralode::__private::` is left out before names.

/// State in a stage, a residual layer and a field; a layer of the user's own.
struct Noisy<Elem: Dtype = f32, Dev: Device<Elem> = Cpu> {
    /// Stage `norm`.
    norm: BatchNorm<2, Elem, Dev>,
    /// Stage `body`.
    body: __NoisyBody<Elem, Dev>,
    /// Stage `ode`.
    ode: NeuralOde<__NoisyOdeField<Elem, Dev>>,
}
#[doc(inline)]
#[allow(unused_imports)]
use __NoisyBody as NoisyBody;
#[automatically_derived]
impl<Elem: Dtype + Debug, Dev: Device<Elem> + Debug> Debug for __NoisyBody<Elem, Dev> {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_tuple("NoisyBody").field(&self.0).field(&self.1).field(&self.2).finish()
    }
}
/// The layers of stage `body` of [`Noisy`].
#[doc(hidden)]
#[derive(Clone)]
struct __NoisyBody<Elem: Dtype = f32, Dev: Device<Elem> = Cpu>(
    /// Layer 0.
    Flatten,
    /// Layer 1.
    Residual<(Dropout, Dense<6, 6, Identity, Elem, Dev>)>,
    /// Layer 2.
    <gates::Gate<8, Elem, Dev> as Checked<{ __Noisy_LAYER_0 }, 6, 4, Elem, Dev>>::Itself,
);
#[doc(inline)]
#[allow(unused_imports)]
use __NoisyOdeField as NoisyOdeField;
#[automatically_derived]
impl<Elem: Dtype + Debug, Dev: Device<Elem> + Debug> Debug
for __NoisyOdeField<Elem, Dev> {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_tuple("NoisyOdeField").field(&self.0).field(&self.1).finish()
    }
}
/// The vector field of stage `ode` of [`Noisy`].
#[doc(hidden)]
#[derive(Clone)]
struct __NoisyOdeField<Elem: Dtype = f32, Dev: Device<Elem> = Cpu>(
    /// Layer 0.
    Dense<4, 4, Tanh, Elem, Dev>,
    /// Layer 1.
    Dropout,
);
#[doc(hidden)]
#[allow(non_upper_case_globals)]
const __Noisy_LAYER_0: usize = check_layer::<
    { check_name::<gates::Gate<8, f32, Cpu>>() },
    gates::Gate<8, f32, Cpu>,
    6,
    4,
>();
/// The state of [`Noisy`]: what goes into a call and comes out of it, for each stage the states of its layers in their order.
#[derive(Clone, Debug)]
struct NoisyState<Elem: Dtype = f32, Dev: Device<Elem> = Cpu> {
    /// State of stage `norm`.
    norm: BatchNormState<2, Elem, Dev>,
    /// State of stage `body`.
    body: (
        DropoutState,
        <gates::Gate<
            8,
            Elem,
            Dev,
        > as Checked<{ __Noisy_LAYER_0 }, 6, 4, Elem, Dev>>::State,
    ),
    /// State of stage `ode`.
    ode: DropoutState,
}
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
    for Noisy<Elem, Dev> {
        type To<E2: Dtype, D2: Device<E2>> = Noisy<E2, D2>;
        fn iter_tensors<V: ModuleVisitor<Self, Elem, Dev>>(
            visitor: &mut V,
        ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
            visitor
                .visit_fields(
                    (
                        Self::module("norm", |this| &this.norm, |this| &mut this.norm),
                        Self::module("body", |this| &this.body, |this| &mut this.body),
                        Self::module("ode", |this| &this.ode, |this| &mut this.ode),
                    ),
                    |(norm, body, ode)| Noisy {
                        norm: {
                            let mut norm = norm;
                            norm.momentum = 0.2;
                            norm
                        },
                        body,
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
    impl<Elem: Dtype, Dev: Device<Elem>> TensorCollection<Elem, Dev>
    for __NoisyBody<Elem, Dev> {
        type To<E2: Dtype, D2: Device<E2>> = __NoisyBody<E2, D2>;
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
                    |(layer_0, layer_1, layer_2)| {
                        let mut built = __NoisyBody(layer_0, layer_1, layer_2);
                        built.1.0.0.probability = 0.5;
                        built
                    },
                )
        }
    }
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>> TensorCollection<Elem, Dev>
    for __NoisyOdeField<Elem, Dev> {
        type To<E2: Dtype, D2: Device<E2>> = __NoisyOdeField<E2, D2>;
        fn iter_tensors<V: ModuleVisitor<Self, Elem, Dev>>(
            visitor: &mut V,
        ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
            visitor
                .visit_fields(
                    (
                        Self::module("0", |this| &this.0, |this| &mut this.0),
                        Self::module("1", |this| &this.1, |this| &mut this.1),
                    ),
                    |(layer_0, layer_1)| {
                        let mut built = __NoisyOdeField(layer_0, layer_1);
                        built.1.probability = 0.1;
                        built
                    },
                )
        }
    }
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>, E2: Dtype, D2: Device<E2>> BuildOnDevice<D2, E2>
    for Noisy<Elem, Dev> {
        type Built = Noisy<E2, D2>;
    }
    /// The vector field as kernels.
    type NoisyOdeFieldKernel = kernel::DenseLayer<Tanh>;
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>> StatefulField<4, Elem, Dev>
    for __NoisyOdeField<Elem, Dev> {
        type State = DropoutState;
        fn with_kernel<Visitor: KernelVisitor<4>>(
            visitor: Visitor,
        ) -> Result<Visitor::Output, Visitor> {
            Ok(visitor.visit::<NoisyOdeFieldKernel>())
        }
        fn check_settings(&self) -> Result<(), SolveError> {
            Dropout::check_settings(self.1)?;
            Ok(())
        }
        fn try_initial_state(&self, seed: u64) -> Result<Self::State, SolveError> {
            Ok(
                <Dropout as Layer<
                    4,
                    4,
                    Elem,
                    Dev,
                >>::try_initial_state(&self.1, seed_of(seed, 0u64))?,
            )
        }
        fn try_eval_with_state<Batch: Dim, Tp: Tape<Elem, Dev>>(
            &self,
            t: f64,
            mode: Mode,
            state: &Self::State,
            x: Tensor<(Batch, Const<4>), Elem, Dev, Tp>,
        ) -> Result<
            (Tensor<(Batch, Const<4>), Elem, Dev, Tp>, Self::State),
            SolveError,
        > {
            let (batch, ..) = *HasShape::shape(&x);
            let state_0 = &(*state);
            let next_0;
            let x = apply(&self.0, x)?;
            let (x, next) = <Dropout as Layer<
                4,
                4,
                Elem,
                Dev,
            >>::try_forward(&self.1, Call { t, mode, state: state_0 }, x)?;
            next_0 = next;
            Ok((x, next_0))
        }
    }
    #[automatically_derived]
    impl<Elem: Dtype, Dev: Device<Elem>> Noisy<Elem, Dev> {
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
        /// The state before the first call; random numbers will come from `seed`.
        ///
        /// # Errors
        /// That of the device.
        pub fn initial_state(
            &self,
            seed: u64,
        ) -> Result<NoisyState<Elem, Dev>, SolveError> {
            Ok(NoisyState {
                norm: {
                    let seed = seed_of(seed, 0u64);
                    <BatchNorm<
                        2,
                        Elem,
                        Dev,
                    > as Layer<
                        6,
                        6,
                        Elem,
                        Dev,
                    >>::try_initial_state(&self.norm, seed_of(seed, 0u64))?
                },
                body: {
                    let seed = seed_of(seed, 1u64);
                    (
                        <Dropout as Layer<
                            6,
                            6,
                            Elem,
                            Dev,
                        >>::try_initial_state(&self.body.1.0.0, seed_of(seed, 0u64))?,
                        <<gates::Gate<
                            8,
                            Elem,
                            Dev,
                        > as Checked<
                            { __Noisy_LAYER_0 },
                            6,
                            4,
                            Elem,
                            Dev,
                        >>::Itself as Layer<
                            6,
                            4,
                            Elem,
                            Dev,
                        >>::try_initial_state(&self.body.2, seed_of(seed, 1u64))?,
                    )
                },
                ode: {
                    let seed = seed_of(seed, 2u64);
                    StatefulField::try_initial_state(&self.ode.field, seed)?
                },
            })
        }
        /// The model's output, the state for the next call, and the statistics of the forward solves.
        ///
        /// The same input and state give the same output. On a taped input, a backward pass computes gradients for the
        /// parameters and for the input; `keep_gradient` keeps the latter, and where the input is data,
        /// [`Self::try_forward_traced_with_state`] spares it.
        ///
        /// # Errors
        /// An empty batch, numbers that are not finite, what a layer has of its own, and failures of a solve or of
        /// the device.
        pub fn try_forward_with_state<Batch: Dim, Tp: Tape<Elem, Dev>>(
            &self,
            x: Tensor<(Batch, Const<2>, Const<3>), Elem, Dev, Tp>,
            state: &NoisyState<Elem, Dev>,
            mode: Mode,
        ) -> Result<
            (Tensor<(Batch, Const<4>), Elem, Dev, Tp>, NoisyState<Elem, Dev>, Stats),
            SolveError,
        > {
            self.__pass(AsGiven::new(), x, state, mode)
        }
        /// The model's output for the data `x` in training, on a tape that adds to `gradients`, with the state for the
        /// next call and the statistics of the forward solves: the forward pass of a training step.
        ///
        /// The same numbers as `try_forward_with_state(x.traced(gradients), state, Mode::Training)`, without a
        /// gradient for `x`: the tape begins at the first layer with parameters.
        ///
        /// # Errors
        /// Those of [`Self::try_forward_with_state`]. `gradients` are lost with it.
        pub fn try_forward_traced_with_state<Batch: Dim>(
            &self,
            x: Tensor<(Batch, Const<2>, Const<3>), Elem, Dev, NoneTape>,
            gradients: Gradients<Elem, Dev>,
            state: &NoisyState<Elem, Dev>,
        ) -> Result<
            (
                Tensor<(Batch, Const<4>), Elem, Dev, OwnedTape<Elem, Dev>>,
                NoisyState<Elem, Dev>,
                Stats,
            ),
            SolveError,
        > {
            self.__pass(Data::new(gradients), x, state, Mode::Training)
        }
        fn __pass<Batch: Dim, Start: Entry<Elem, Dev>>(
            &self,
            entry: Start,
            x: Tensor<(Batch, Const<2>, Const<3>), Elem, Dev, Start::Before>,
            state: &NoisyState<Elem, Dev>,
            mode: Mode,
        ) -> Result<
            (
                Tensor<(Batch, Const<4>), Elem, Dev, Start::After>,
                NoisyState<Elem, Dev>,
                Stats,
            ),
            SolveError,
        > {
            let t = 0.0_f64;
            model_input(&x)?;
            let mut stats: Stats = ::core::default::Default::default();
            let (batch, ..) = *HasShape::shape(&x);
            let state_0 = &state.norm;
            let next_0;
            let x = Entry::enter(entry, x);
            let x = reshape(x, (batch, Const::<6>))?;
            let (x, next) = <BatchNorm<
                2,
                Elem,
                Dev,
            > as Layer<
                6,
                6,
                Elem,
                Dev,
            >>::try_forward(&self.norm, Call { t, mode, state: state_0 }, x)?;
            next_0 = next;
            let x = reshape(x, (batch, Const::<2>, Const::<3>))?;
            let next_of_norm = next_0;
            let state_0 = &state.body.0;
            let next_0;
            let state_1 = &state.body.1;
            let next_1;
            let x = reshape(x, (batch, Const::<6>))?;
            let x = {
                let entered = branch(&x);
                let (x, next) = <Dropout as Layer<
                    6,
                    6,
                    Elem,
                    Dev,
                >>::try_forward(&self.body.1.0.0, Call { t, mode, state: state_0 }, x)?;
                next_0 = next;
                let x = apply(&self.body.1.0.1, x)?;
                sum(x, entered)?
            };
            let (x, next) = <<gates::Gate<
                8,
                Elem,
                Dev,
            > as Checked<
                { __Noisy_LAYER_0 },
                6,
                4,
                Elem,
                Dev,
            >>::Itself as Layer<
                6,
                4,
                Elem,
                Dev,
            >>::try_forward(&self.body.2, Call { t, mode, state: state_1 }, x)?;
            next_1 = next;
            let next_of_body = (next_0, next_1);
            let (x, next_of_ode, solve) = self
                .ode
                .try_forward_with_state(x, &state.ode, mode)?;
            stats += solve;
            Ok((
                x,
                NoisyState {
                    norm: next_of_norm,
                    body: next_of_body,
                    ode: next_of_ode,
                },
                stats,
            ))
        }
        model_files!(Elem, Dev);
        /// Stages, layers, static shapes and parameter counts.
        pub fn summary(&self) -> Summary {
            Summary::new("Noisy")
                .layer::<BatchNorm<2, Elem, Dev>>("norm", &[2, 3], &[2, 3], 2 * 2)
                .state::<BatchNormState<2, Elem, Dev>>()
                .layer::<Flatten>("body.0", &[2, 3], &[6], 0)
                .layer::<Dropout>("body.1.0.0", &[6], &[6], 0)
                .state::<DropoutState>()
                .layer::<
                    Dense<6, 6, Identity, Elem, Dev>,
                >("body.1.0.1", &[6], &[6], (6 + 1) * 6)
                .layer::<
                    <gates::Gate<
                        8,
                        Elem,
                        Dev,
                    > as Checked<{ __Noisy_LAYER_0 }, 6, 4, Elem, Dev>>::Itself,
                >("body.2", &[6], &[4], count_parameters::<Elem, Dev, _>(&self.body.2))
                .state::<
                    <gates::Gate<
                        8,
                        Elem,
                        Dev,
                    > as Checked<{ __Noisy_LAYER_0 }, 6, 4, Elem, Dev>>::State,
                >()
                .layer::<
                    Dense<4, 4, Tanh, Elem, Dev>,
                >("ode.field.0", &[4], &[4], (4 + 1) * 4)
                .layer::<Dropout>("ode.field.1", &[4], &[4], 0)
                .state::<DropoutState>()
                .block::<
                    __NoisyOdeField<Elem, Dev>,
                >(
                    "ode",
                    &self.ode.options,
                    has_kernels_at_state::<4, Elem, Dev, __NoisyOdeField<Elem, Dev>>(),
                )
        }
        /// The CUDA programs of the blocks whose fields have device code, each with the path of its block: whole
        /// solves and their discrete adjoint as one kernel each, for `tile` samples per block of threads.
        pub fn cuda_source(tile: usize) -> Vec<(&'static str, device::Program)> {
            cuda_programs([])
        }
        /// Takes over how another model of this type, of any dtype and device, solves its blocks.
        /// dfdx's conversions return the declared options; this carries changed ones over.
        pub fn copy_options_from<E2: Dtype, D2: Device<E2>>(
            &mut self,
            other: &Noisy<E2, D2>,
        ) {
            self.ode.options = Clone::clone(&other.ode.options);
            self.norm.momentum = other.norm.momentum;
            self.norm.epsilon = other.norm.epsilon;
            self.body.1.0.0.probability = other.body.1.0.0.probability;
            self.ode.field.1.probability = other.ode.field.1.probability;
        }
        /// A copy on another device, with the same options.
        ///
        /// # Errors
        /// That of the other device.
        pub fn try_to_device<D2: Device<Elem>>(
            &self,
            device: &D2,
        ) -> Result<Noisy<Elem, D2>, DeviceErr<D2>> {
            let mut copy = ToDevice::try_to_device(self, device)?;
            copy.copy_options_from(self);
            Ok(copy)
        }
        /// A copy on another device, with the same options.
        ///
        /// # Panics
        /// If the other device fails; see [`Self::try_to_device`].
        pub fn to_device<D2: Device<Elem>>(&self, device: &D2) -> Noisy<Elem, D2> {
            let mut copy = ToDevice::to_device(self, device);
            copy.copy_options_from(self);
            copy
        }
    }
    const _: fn() = assert_sendable::<NoisyState<f32, Cpu>>;
    const _: fn() = assert_sendable::<__NoisyOdeField<f32, Cpu>>;
};
