//! The forward passes of a model: one body, entered with an input that brings its tape, with data, or with samples.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Ident;

use crate::model::{stateful::HasState, Chain, LayerKind, Model, Shape, Stage, StageKind};

use super::{
    field::{by_kernels, chain_calls},
    root,
    sizes::{batch_shape, meet, tensor},
    state,
    storage::Storage,
};

/// All passes of a model.
pub(super) fn generate(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    match HasState::of(model) {
        HasState::No => stateless(model, storage),
        _ => stateful(model, storage),
    }
}

/// The forward passes of a model without state: one body, entered with an input that brings its tape or with data.
fn stateless(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
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

/// The methods of a model with state: the initial state, the passes with state, and, where states may be empty, those
/// without.
fn stateful(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    let root = root();
    let name = state::struct_name(model);
    let named = model.generics.constants().named();
    let marker = state::needs_phantom(storage).then(|| quote!(__marker: #root::PhantomData,));
    let stages: Vec<&Ident> = state::with_state(storage)
        .map(|storage| &storage.stage.name)
        .collect();
    let initial = (0_u64..)
        .zip(state::with_state(storage))
        .map(|(index, storage)| {
            let stage = &storage.stage.name;
            let place = storage.place();
            let value = match storage.stage.kind {
                StageKind::Layers(_) => state::initial(storage, &place),
                StageKind::Ode(_) => {
                    quote!(#root::StatefulField::try_initial_state(&#place.field, seed)?)
                }
            };
            quote!(#stage: {
                let seed = #root::seed_of(seed, #index);
                #value
            })
        });
    let next = state::with_state(storage).map(state::next_of);
    let build = quote!(#name { #(#stages: #next,)* #marker });
    let passes = with_state(model, storage, &build);
    let plain = match HasState::of(model) {
        HasState::Perhaps => without_state(model, &name),
        HasState::Surely | HasState::No => TokenStream::new(),
    };
    quote! {
        /// The state before the first call; random numbers will come from `seed`.
        ///
        /// # Errors
        /// That of the device.
        pub fn initial_state(&self, seed: u64) -> #root::Result<#name<#named Elem, Dev>, #root::SolveError> {
            #root::Ok(#name {
                #(#initial,)*
                #marker
            })
        }

        #passes
        #plain
    }
}

/// The passes of a model whose state is empty, if that of its type `state` is.
fn without_state(model: &Model, state: &Ident) -> TokenStream {
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
fn with_state(model: &Model, storage: &[Storage<'_>], build: &TokenStream) -> TokenStream {
    let root = root();
    let (state, named) = (
        state::struct_name(model),
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

pub(super) fn output_shape(model: &Model) -> Shape {
    match model.stages.last().map(|stage| &stage.kind) {
        Some(StageKind::Ode(ode)) => ode.state.clone(),
        Some(StageKind::Layers(chain)) => chain
            .layers
            .last()
            .map_or_else(|| model.input.clone(), |layer| layer.output.clone()),
        None => model.input.clone(),
    }
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
    }
}

/// The stages in order, from `x` to `x`; the first layer or block with parameters takes `entry`.
fn forward_body(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    let root = root();
    let enter = quote!(let x = #root::Entry::enter(entry, x););
    let mut shape = model.input.clone();
    let check = dense_reads_input(model);
    let mut entered = false;
    let mut body = TokenStream::new();
    body.extend(by_kernels(chains(model), true));
    for storage in storage {
        let stage = &storage.stage.name;
        match &storage.stage.kind {
            StageKind::Layers(_) => {
                let this = storage.place();
                body.extend(state::begin(storage, &quote!(state.#stage)));
                body.extend(chain_calls(
                    storage,
                    &this,
                    &mut shape,
                    (&mut entered, check),
                ));
                body.extend(state::finish(storage));
            }
            StageKind::Ode(ode) => {
                let place = storage.place();
                let state = vec![ode.features()];
                body.extend(meet(&shape, &state));
                if !core::mem::replace(&mut entered, true) {
                    body.extend(enter.clone());
                }
                if HasState::of_chain(&ode.field) > HasState::No {
                    let next = state::next_of(storage);
                    body.extend(quote! {
                        let (x, #next, solve) =
                            #place.try_forward_with_state(x, &state.#stage, mode)?;
                    });
                } else {
                    body.extend(quote!(let (x, solve) = #place.try_forward_with_stats(x)?;));
                }
                body.extend(quote!(stats += solve;));
                body.extend(meet(&state, &ode.state));
                shape.clone_from(&ode.state);
            }
        }
    }
    if !entered {
        body.extend(enter);
    }
    body
}

/// The chains of the stages of a model.
fn chains(model: &Model) -> impl Iterator<Item = &Chain> {
    model.stages.iter().map(Stage::chain)
}
