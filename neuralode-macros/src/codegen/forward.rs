//! The model's methods, its forward pass and its vector fields.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};
use syn::Ident;

use crate::{
    ast::plain,
    model::{stateful::HasState, LayerKind, Model, Ode, Shape, Sizes, StageKind, Steps},
};

use super::{batch_shape, conv, derived, kernel, layers, root, shown, stateful, summary, Storage};

pub(super) fn generate(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    let methods = methods(model, storage);
    let fields = storage
        .iter()
        .filter_map(|storage| match &storage.stage.kind {
            StageKind::Ode(ode) if HasState::of_chain(&ode.field) > HasState::No => {
                Some(stateful::vector_field(storage, ode))
            }
            StageKind::Ode(ode) => Some(vector_field(storage, ode)),
            StageKind::Layers(_) => None,
        });
    let module = module(model);
    quote! {
        #(#fields)*
        #methods
        #module
    }
}

/// dfdx's `Module`, for models that need no state.
fn module(model: &Model) -> TokenStream {
    let root = root();
    let name = &model.name;
    let (introduced, named) = (model.generics.introduced(), model.generics.named());
    let predicates = model.generics.predicates();
    let condition = match HasState::of(model) {
        HasState::No => TokenStream::new(),
        HasState::Perhaps => {
            let state = stateful::struct_name(model);
            let named = model.generics.constants().named();
            quote!(#state<#named Elem, Dev>: #root::Stateless)
        }
        // Its forward pass takes more than an input.
        HasState::Surely => return TokenStream::new(),
    };
    let clause = quote!(#predicates #condition);
    let clause = (!clause.is_empty()).then(|| quote!(where #clause));
    let tape = quote!(Tp);
    let (input, output) = (
        tensor(&model.input, &tape),
        tensor(&output_shape(model), &tape),
    );
    quote! {
        #[automatically_derived]
        impl<#introduced Batch: #root::Dim, Elem: #root::Dtype, Dev: #root::Device<Elem>, Tp: #root::Tape<Elem, Dev>>
            #root::Module<#input> for #name<#named Elem, Dev>
        #clause
        {
            type Output = #output;
            type Error = #root::SolveError;

            fn try_forward(&self, x: #input) -> #root::Result<Self::Output, #root::SolveError> {
                let (y, _) = self.try_forward_with_stats(x)?;
                #root::Ok(y)
            }
        }

        #[automatically_derived]
        impl<#introduced Elem: #root::Dtype, Dev: #root::Device<Elem>> #root::NonMutableModule
            for #name<#named Elem, Dev>
        #clause
        {
        }
    }
}

/// The type of a batch of samples of this shape.
fn tensor(shape: &Shape, tape: &TokenStream) -> TokenStream {
    let root = root();
    let shape = batch_shape(shape);
    quote!(#root::Tensor<#shape, Elem, Dev, #tape>)
}

fn output_shape(model: &Model) -> Shape {
    match model.stages.last().map(|stage| &stage.kind) {
        Some(StageKind::Ode(ode)) => ode.state.clone(),
        Some(StageKind::Layers(chain)) => chain
            .layers
            .last()
            .map_or_else(|| model.input.clone(), |layer| layer.output.clone()),
        None => model.input.clone(),
    }
}

/// `fn build`, the forward passes, `fn summary` and the conversions that keep options.
fn methods(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    let root = root();
    let name = &model.name;
    let forward = match HasState::of(model) {
        HasState::No => forward(model, storage),
        _ => stateful::methods(model, storage),
    };
    let settings: TokenStream = storage.iter().map(stateful::copied_settings).collect();
    let blocks: Vec<_> = storage
        .iter()
        .filter(|storage| matches!(storage.stage.kind, StageKind::Ode(_)))
        .map(|storage| &storage.stage.name)
        .collect();
    let summary = summary::generate(model, storage);
    let (accessors, copies) = (derived::accessors(model, storage), derived::copies(model));
    let (introduced, named) = (model.generics.introduced(), model.generics.named());
    let clause = model.generics.clause();
    let programs: Vec<TokenStream> = storage
        .iter()
        .filter_map(|storage| {
            let StageKind::Ode(ode) = &storage.stage.kind else {
                return None;
            };
            // The kernels of a field with state are those at one state of it.
            if HasState::of_chain(&ode.field) > HasState::No {
                return None;
            }
            let (path, field, state) = (
                plain(&storage.stage.name),
                &storage.layers_struct,
                ode.features(),
            );
            let named = storage.generics.named();
            let field = quote!(#field<#named Elem, Dev>);
            let program = quote!(#root::cuda_program::<#state, Elem, Dev, #field>(tile));
            Some(quote!((#path, #program)))
        })
        .collect();
    let block_count = programs.len();
    quote! {
        #[automatically_derived]
        impl<#introduced Elem: #root::Dtype, Dev: #root::Device<Elem>> #name<#named Elem, Dev>
        #clause
        {
            /// Builds the model with fresh parameters from the device's random generator.
            ///
            /// # Panics
            /// If the device fails; see [`Self::try_build`].
            pub fn build(device: &Dev) -> Self {
                #root::BuildModule::build(device)
            }

            /// Builds the model with fresh parameters from the device's random generator.
            ///
            /// # Errors
            /// That of the device.
            pub fn try_build(device: &Dev) -> #root::Result<Self, #root::DeviceErr<Dev>> {
                #root::BuildModule::try_build(device)
            }

            #accessors

            #forward

            #root::model_files!(Elem, Dev);

            /// Stages, layers, static shapes and parameter counts.
            pub fn summary(&self) -> #root::Summary {
                #summary
            }

            /// The CUDA programs of the blocks whose fields have device code, each with the path of its block: whole
            /// solves and their discrete adjoint as one kernel each, for `tile` samples per block of threads.
            pub fn cuda_source(tile: usize) -> #root::Vec<(&'static str, #root::device::Program)> {
                let programs: [(&'static str, #root::Option<#root::device::Program>); #block_count] = [#(#programs),*];
                #root::Iterator::collect(#root::Iterator::filter_map(
                    #root::IntoIterator::into_iter(programs),
                    |(path, program)| #root::Option::map(program, |program| (path, program)),
                ))
            }

            /// Takes over how another model of this type, of any dtype and device, solves its blocks.
            /// dfdx's conversions return the declared options; this carries changed ones over.
            pub fn copy_options_from<E2: #root::Dtype, D2: #root::Device<E2>>(
                &mut self,
                other: &#name<#named E2, D2>,
            ) {
                let _ = other;
                #(self.#blocks.options = #root::Clone::clone(&other.#blocks.options);)*
                #settings
                #copies
            }

            /// A copy on another device, with the same options.
            ///
            /// # Errors
            /// That of the other device.
            pub fn try_to_device<D2: #root::Device<Elem>>(
                &self,
                device: &D2,
            ) -> #root::Result<#name<#named Elem, D2>, #root::DeviceErr<D2>> {
                let mut copy = #root::ToDevice::try_to_device(self, device)?;
                copy.copy_options_from(self);
                #root::Ok(copy)
            }

            /// A copy on another device, with the same options.
            ///
            /// # Panics
            /// If the other device fails; see [`Self::try_to_device`].
            pub fn to_device<D2: #root::Device<Elem>>(&self, device: &D2) -> #name<#named Elem, D2> {
                let mut copy = #root::ToDevice::to_device(self, device);
                copy.copy_options_from(self);
                copy
            }
        }
    }
}

/// The types of inputs and outputs of the passes.
struct Passes {
    given: TokenStream,
    given_output: TokenStream,
    data: TokenStream,
    data_output: TokenStream,
    before: TokenStream,
    after: TokenStream,
}

impl Passes {
    fn of(model: &Model) -> Self {
        let root = root();
        let of_input = |tape: TokenStream| tensor(&model.input, &tape);
        let of_output = |tape: TokenStream| tensor(&output_shape(model), &tape);
        Self {
            given: of_input(quote!(Tp)),
            given_output: of_output(quote!(Tp)),
            data: of_input(quote!(#root::NoneTape)),
            data_output: of_output(quote!(#root::OwnedTape<Elem, Dev>)),
            before: if dense_reads_input(model) {
                let shape = batch_shape(&model.input);
                quote!(Start::Input<#shape>)
            } else {
                of_input(quote!(Start::Before))
            },
            after: of_output(quote!(Start::After)),
        }
    }
}

/// From the input `x` to the output `x`, with the checks of both.
fn checked_body(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    let root = root();
    let body = forward_body(model, storage);
    // The solver has checked its own result.
    let solved =
        matches!(model.stages.last(), Some(stage) if matches!(stage.kind, StageKind::Ode(_)));
    let output_check = (!solved).then(|| quote!(#root::model_output(&x)?;));
    let input_check = if dense_reads_input(model) {
        quote!(#root::model_batch(&x)?;)
    } else {
        quote!(#root::model_input(&x)?;)
    };
    quote! {
        #input_check
        let mut stats: #root::Stats = ::core::default::Default::default();
        let (batch, ..) = *#root::HasShape::shape(&x);
        #body
        #output_check
        // Silences a model that needs neither.
        let _ = (batch, &mut stats);
    }
}

/// The forward passes of a model without state: one body, entered with an input that brings its tape or with data.
fn forward(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    let root = root();
    let (before, after) = (Passes::of(model).before, Passes::of(model).after);
    let plain = plain_passes(
        model,
        &|entry| quote!(self.__pass(#entry, x)),
        &TokenStream::new(),
    );
    let body = checked_body(model, storage);
    quote! {
        #plain

        fn __pass<Batch: #root::Dim, Start: #root::Entry<Elem, Dev>>(
            &self,
            entry: Start,
            x: #before,
        ) -> #root::Result<(#after, #root::Stats), #root::SolveError> {
            #body
            #root::Ok((x, stats))
        }
    }
}

/// The passes of a model whose state is empty, if that of its type `state` is.
pub(super) fn without_state(model: &Model, state: &Ident) -> TokenStream {
    let root = root();
    let named = model.generics.constants().named();
    let pass = |entry: TokenStream| {
        quote!({
            let state = #root::Stateless::none();
            let passed = self.__pass(#entry, x, &state, #root::Mode::Inference);
            passed.map(|(y, _, stats)| (y, stats))
        })
    };
    plain_passes(
        model,
        &pass,
        &quote!(where #state<#named Elem, Dev>: #root::Stateless),
    )
}

/// The passes with state, with `build` for the value of the next one.
pub(super) fn with_state(
    model: &Model,
    storage: &[Storage<'_>],
    build: &TokenStream,
) -> TokenStream {
    let root = root();
    let (state, named) = (
        stateful::struct_name(model),
        model.generics.constants().named(),
    );
    let state = quote!(#state<#named Elem, Dev>);
    let Passes {
        given,
        given_output,
        data,
        data_output,
        before,
        after,
    } = Passes::of(model);
    let body = checked_body(model, storage);
    quote! {
        /// The model's output, the state for the next call, and the statistics of the forward solves.
        ///
        /// The same input and state give the same output. On a taped input, a backward pass computes gradients for the
        /// parameters and for the input; `keep_gradient` keeps the latter, and where the input is data,
        /// [`Self::try_forward_traced_with_state`] spares it.
        ///
        /// # Errors
        /// An empty batch, numbers that are not finite, what a layer has of its own, and failures of a solve or of
        /// the device.
        pub fn try_forward_with_state<Batch: #root::Dim, Tp: #root::Tape<Elem, Dev>>(
            &self,
            x: #given,
            state: &#state,
            mode: #root::Mode,
        ) -> #root::Result<(#given_output, #state, #root::Stats), #root::SolveError> {
            self.__pass(#root::AsGiven::new(), x, state, mode)
        }

        /// The model's output for the data `x` in training, on a tape that adds to `gradients`, with the state for the
        /// next call and the statistics of the forward solves: the forward pass of a training step.
        ///
        /// The same numbers as `try_forward_with_state(x.traced(gradients), state, Mode::Training)`, without a
        /// gradient for `x`: the tape begins at the first layer with parameters.
        ///
        /// # Errors
        /// Those of [`Self::try_forward_with_state`]. `gradients` are lost with it.
        pub fn try_forward_traced_with_state<Batch: #root::Dim>(
            &self,
            x: #data,
            gradients: #root::Gradients<Elem, Dev>,
            state: &#state,
        ) -> #root::Result<(#data_output, #state, #root::Stats), #root::SolveError> {
            self.__pass(#root::Data::new(gradients), x, state, #root::Mode::Training)
        }

        fn __pass<Batch: #root::Dim, Start: #root::Entry<Elem, Dev>>(
            &self,
            entry: Start,
            x: #before,
            state: &#state,
            mode: #root::Mode,
        ) -> #root::Result<(#after, #state, #root::Stats), #root::SolveError> {
            // Outside of vector fields.
            let t = 0.0_f64;
            #body
            #root::Ok((x, #build, stats))
        }
    }
}

/// The passes without state: `pass` makes the call of the one body.
fn plain_passes(
    model: &Model,
    pass: &dyn Fn(TokenStream) -> TokenStream,
    condition: &TokenStream,
) -> TokenStream {
    let root = root();
    let Passes {
        given,
        given_output,
        data,
        data_output,
        ..
    } = Passes::of(model);
    let (as_given, as_data) = (
        pass(quote!(#root::AsGiven::new())),
        pass(quote!(#root::Data::new(gradients))),
    );
    let in_memory = samples_passes(model, pass, condition);
    quote! {
        /// The model's output with the statistics of its forward solves.
        ///
        /// On a taped input, a backward pass computes gradients for the parameters and for the input; `keep_gradient`
        /// keeps the latter, and where the input is data, [`Self::try_forward_traced`] spares it.
        ///
        /// # Errors
        /// An empty batch, numbers that are not finite, and failures of a solve or of the device.
        pub fn try_forward_with_stats<Batch: #root::Dim, Tp: #root::Tape<Elem, Dev>>(
            &self,
            x: #given,
        ) -> #root::Result<(#given_output, #root::Stats), #root::SolveError>
        #condition
        {
            #as_given
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
        pub fn try_forward_traced<Batch: #root::Dim>(
            &self,
            x: #data,
            gradients: #root::Gradients<Elem, Dev>,
        ) -> #root::Result<(#data_output, #root::Stats), #root::SolveError>
        #condition
        {
            #as_data
        }

        #in_memory
    }
}

/// The passes from samples in memory, for models that start with a dense layer.
fn samples_passes(
    model: &Model,
    pass: &dyn Fn(TokenStream) -> TokenStream,
    condition: &TokenStream,
) -> Option<TokenStream> {
    if !dense_reads_input(model) {
        return None;
    }
    let root = root();
    let (input, leaving) = (&model.input, output_shape(model));
    let shape = quote!((samples.len(), #(#root::Const::<#input>,)*));
    let output = |tape: TokenStream| quote!(#root::Tensor<(usize, #(#root::Const<#leaving>,)*), Elem, Dev, #tape>);
    let (plain, traced) = (
        output(quote!(#root::NoneTape)),
        output(quote!(#root::OwnedTape<Elem, Dev>)),
    );
    let passed = pass(quote!(entry));
    Some(quote! {
        /// The model's output for samples in memory, which its first layer reads where they are, with the statistics of
        /// its forward solves.
        ///
        /// # Errors
        /// Samples of another number of features, none at all, numbers that are not finite, and failures of a solve or of
        /// the device.
        pub fn try_forward_samples(
            &self,
            samples: &#root::Samples<Elem>,
        ) -> #root::Result<(#plain, #root::Stats), #root::SolveError>
        #condition
        {
            let entry = #root::InMemory::new(samples);
            let x = entry.input(#shape)?;
            #passed
        }

        /// The same on a tape that adds to `gradients`: the forward pass of a training step without a copy of its input.
        ///
        /// # Errors
        /// Those of [`Self::try_forward_samples`]. `gradients` are lost with it.
        pub fn try_forward_samples_traced(
            &self,
            samples: &#root::Samples<Elem>,
            gradients: #root::Gradients<Elem, Dev>,
        ) -> #root::Result<(#traced, #root::Stats), #root::SolveError>
        #condition
        {
            let entry = #root::InMemory::traced(samples, gradients);
            let x = entry.input(#shape)?;
            #passed
        }
    })
}

/// Whether the first thing that happens to a model's input, its shape apart, is a dense layer, which can look
/// at the numbers while it reads them.
fn dense_reads_input(model: &Model) -> bool {
    for stage in &model.stages {
        let StageKind::Layers(chain) = &stage.kind else {
            return false;
        };
        for layer in &chain.layers {
            match layer.kind {
                LayerKind::Flatten | LayerKind::Reshape => {}
                LayerKind::Dense { .. } => return true,
                _ => return false,
            }
        }
    }
    false
}

/// The stages in order, from `x` to `x`; the first layer or block with parameters takes `entry`.
fn forward_body(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    let root = root();
    let enter = quote!(let x = #root::Entry::enter(entry, x););
    let mut shape = model.input.clone();
    let check = dense_reads_input(model);
    let mut entered = false;
    let mut body = TokenStream::new();
    body.extend(conv::by_kernels(conv::chains(model), true));
    for storage in storage {
        let stage = &storage.stage.name;
        match &storage.stage.kind {
            StageKind::Layers(_) => {
                let this = storage.place();
                body.extend(stateful::begin(storage, &quote!(state.#stage)));
                body.extend(chain_calls(
                    storage,
                    &this,
                    &mut shape,
                    (&mut entered, check),
                ));
                body.extend(stateful::finish(storage));
            }
            StageKind::Ode(ode) => {
                let place = storage.place();
                let state = vec![ode.features()];
                body.extend(layers::meet(&shape, &state));
                if !core::mem::replace(&mut entered, true) {
                    body.extend(enter.clone());
                }
                if HasState::of_chain(&ode.field) > HasState::No {
                    let next = stateful::next_of(storage);
                    body.extend(quote! {
                        let (x, #next, solve) =
                            #place.try_forward_with_state(x, &state.#stage, mode)?;
                    });
                } else {
                    body.extend(quote!(let (x, solve) = #place.try_forward_with_stats(x)?;));
                }
                body.extend(quote!(stats += solve;));
                body.extend(layers::meet(&state, &ode.state));
                shape.clone_from(&ode.state);
            }
        }
    }
    if !entered {
        body.extend(enter);
    }
    body
}

/// The calls of a chain of layers stored at `this`; `shape` is the shape before and, afterwards, behind,
/// `entered` whether the tape has begun, and `check` whether the layer where it does looks at the input.
fn chain_calls(
    storage: &Storage<'_>,
    this: &TokenStream,
    shape: &mut Shape,
    (entered, check): (&mut bool, bool),
) -> TokenStream {
    let mut calls = TokenStream::new();
    for (index, layer) in storage.stage.chain().layers.iter().enumerate() {
        let place = if storage.is_indexed() {
            let index = Literal::usize_unsuffixed(index);
            quote!(#this.#index)
        } else {
            this.clone()
        };
        let first = layer.kind.has_parameters() && !*entered;
        if check && !*entered {
            calls.extend(layers::call_before_entry(layer, shape));
        } else {
            calls.extend(layers::meet(shape, &layer.input));
        }
        if first {
            *entered = true;
            calls.extend(layers::first_call(layer, &place, check));
        } else if *entered || !check {
            calls.extend(layers::call(layer, &place));
        }
        shape.clone_from(&layer.output);
    }
    calls
}

/// The calls of a field from the state `x` to its derivative `x`, and the type of both.
pub(super) fn field_calls(storage: &Storage<'_>, ode: &Ode) -> (TokenStream, TokenStream) {
    let state = vec![ode.features()];
    let mut shape = state.clone();
    let mut calls = chain_calls(storage, &quote!(self), &mut shape, (&mut true, false));
    calls.extend(layers::meet(&shape, &state));
    // Fields without state have kernels of their own; their operations are for where these do not run.
    let stateful = HasState::of_chain(&ode.field) > HasState::No;
    let way = conv::by_kernels(core::iter::once(&ode.field), stateful);
    (quote!(#way #calls), tensor(&state, &quote!(Tp)))
}

/// The kernels of a field.
pub(super) struct Kernels {
    /// The type of the kernels and what it does.
    pub(super) items: TokenStream,
    /// What the field's trait says of them.
    pub(super) members: TokenStream,
}

impl Kernels {
    pub(super) fn of(storage: &Storage<'_>, ode: &Ode) -> Self {
        let root = root();
        let (field, generics) = (&storage.layers_struct, &storage.generics);
        let kernel = field.as_ref().map(shown);
        let kernel = format_ident!(
            "{}Kernel",
            kernel.map_or_else(String::new, |name| name.to_string())
        );
        let name = kernel::type_of(&kernel, generics);
        let state = &ode.features();
        let lanes = matches!(
            ode.solver.steps,
            Steps::Adaptive {
                sizes: Sizes::PerSample,
                ..
            }
        );
        let lanes = lanes.then(|| {
            quote!(
                const LANES: bool = true;
            )
        });
        Self {
            items: kernel::generate(&kernel, generics, ode),
            members: quote! {
                #lanes

                fn with_kernel<Visitor: #root::KernelVisitor<#state>>(
                    visitor: Visitor,
                ) -> #root::Result<Visitor::Output, Visitor> {
                    #root::Ok(visitor.visit::<#name>())
                }
            },
        }
    }
}

fn vector_field(storage: &Storage<'_>, ode: &Ode) -> TokenStream {
    let root = root();
    let field = &storage.layers_struct;
    let state = &ode.features();
    let (calls, tensor) = field_calls(storage, ode);
    let Kernels { items, members } = Kernels::of(storage, ode);
    let generics = &storage.generics;
    let (introduced, named) = (generics.introduced(), generics.named());
    quote! {
        #items

        #[automatically_derived]
        impl<#introduced Elem: #root::Dtype, Dev: #root::Device<Elem>> #root::TensorField<#state, Elem, Dev>
            for #field<#named Elem, Dev>
        {
            #members

            fn try_eval<Batch: #root::Dim, Tp: #root::Tape<Elem, Dev>>(
                &self,
                t: f64,
                x: #tensor,
            ) -> #root::Result<#tensor, #root::SolveError> {
                let (batch, ..) = *#root::HasShape::shape(&x);
                let _ = (t, batch);
                #calls
                #root::Ok(x)
            }
        }
    }
}
