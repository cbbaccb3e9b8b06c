//! The model's methods, its forward pass and its vector fields.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};
use syn::Ident;

use crate::{
    ast::plain,
    model::{LayerKind, Model, Ode, Shape, Sizes, StageKind, Steps},
};

use super::{batch_shape, kernel, layers, root, Storage};

pub(super) fn generate(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    let root = root();
    let name = &model.name;
    let methods = methods(model, storage);
    let fields = storage
        .iter()
        .filter_map(|storage| match &storage.stage.kind {
            StageKind::Ode(ode) => Some(vector_field(storage, ode)),
            StageKind::Layers(_) => None,
        });
    let tape = quote!(Tp);
    let (input, output) = (
        tensor(&model.input, &tape),
        tensor(&output_shape(model), &tape),
    );
    quote! {
        #(#fields)*
        #methods

        #[automatically_derived]
        impl<Batch: #root::Dim, Elem: #root::Dtype, Dev: #root::Device<Elem>, Tp: #root::Tape<Elem, Dev>>
            #root::Module<#input> for #name<Elem, Dev>
        {
            type Output = #output;
            type Error = #root::SolveError;

            fn try_forward(&self, x: #input) -> #root::Result<Self::Output, #root::SolveError> {
                let (y, _) = self.try_forward_with_stats(x)?;
                #root::Ok(y)
            }
        }

        #[automatically_derived]
        impl<Elem: #root::Dtype, Dev: #root::Device<Elem>> #root::NonMutableModule for #name<Elem, Dev> {}
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
    let forward = forward(model, storage);
    let blocks: Vec<_> = storage
        .iter()
        .filter(|storage| matches!(storage.stage.kind, StageKind::Ode(_)))
        .map(|storage| &storage.stage.name)
        .collect();
    let summary = summary(model, storage);
    let programs = storage.iter().filter_map(|storage| {
        let StageKind::Ode(ode) = &storage.stage.kind else {
            return None;
        };
        let (path, field, state) = (
            plain(&storage.stage.name),
            &storage.layers_struct,
            ode.features(),
        );
        let program = quote!(#root::cuda_program::<#state, Elem, Dev, #field<Elem, Dev>>(tile));
        Some(quote!((#path, #program)))
    });
    let block_count = blocks.len();
    quote! {
        #[automatically_derived]
        impl<Elem: #root::Dtype, Dev: #root::Device<Elem>> #name<Elem, Dev> {
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

            #forward

            /// Stages, layers, static shapes and parameter counts.
            pub fn summary(&self) -> #root::Summary {
                #summary
            }

            /// The CUDA programs of the blocks whose fields have device code, each with the path of its block: whole
            /// solves and their discrete adjoint as one kernel each, for `tile` samples per block of threads.
            pub fn cuda_source(tile: usize) -> #root::Vec<(&'static str, #root::cuda::Program)> {
                let programs: [(&'static str, #root::Option<#root::cuda::Program>); #block_count] = [#(#programs),*];
                #root::Iterator::collect(#root::Iterator::filter_map(
                    #root::IntoIterator::into_iter(programs),
                    |(path, program)| #root::Option::map(program, |program| (path, program)),
                ))
            }

            /// Takes over how another model of this type, of any dtype and device, solves its blocks.
            /// dfdx's conversions return the declared options; this carries changed ones over.
            pub fn copy_options_from<E2: #root::Dtype, D2: #root::Device<E2>>(
                &mut self,
                other: &#name<E2, D2>,
            ) {
                let _ = other;
                #(self.#blocks.options = #root::Clone::clone(&other.#blocks.options);)*
            }

            /// A copy on another device, with the same options.
            ///
            /// # Errors
            /// That of the other device.
            pub fn try_to_device<D2: #root::Device<Elem>>(
                &self,
                device: &D2,
            ) -> #root::Result<#name<Elem, D2>, #root::DeviceErr<D2>> {
                let mut copy = #root::ToDevice::try_to_device(self, device)?;
                copy.copy_options_from(self);
                #root::Ok(copy)
            }

            /// A copy on another device, with the same options.
            ///
            /// # Panics
            /// If the other device fails; see [`Self::try_to_device`].
            pub fn to_device<D2: #root::Device<Elem>>(&self, device: &D2) -> #name<Elem, D2> {
                let mut copy = #root::ToDevice::to_device(self, device);
                copy.copy_options_from(self);
                copy
            }
        }
    }
}

/// The forward passes: one body, entered with an input that brings its tape or with data.
fn forward(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    let root = root();
    let of_input = |tape: TokenStream| tensor(&model.input, &tape);
    let of_output = |tape: TokenStream| tensor(&output_shape(model), &tape);
    let (given, given_output) = (of_input(quote!(Tp)), of_output(quote!(Tp)));
    let (data, data_output) = (
        of_input(quote!(#root::NoneTape)),
        of_output(quote!(#root::OwnedTape<Elem, Dev>)),
    );
    let (before, after) = (
        of_input(quote!(Start::Before)),
        of_output(quote!(Start::After)),
    );
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
        /// The model's output with the statistics of its forward solves.
        ///
        /// On a taped input, a backward pass gives gradients for the parameters and for the input. Where the
        /// input is data, [`Self::try_forward_traced`] spares the latter.
        ///
        /// # Errors
        /// An empty batch, numbers that are not finite, and failures of a solve or of the device.
        pub fn try_forward_with_stats<Batch: #root::Dim, Tp: #root::Tape<Elem, Dev>>(
            &self,
            x: #given,
        ) -> #root::Result<(#given_output, #root::Stats), #root::SolveError> {
            self.__try_forward_from(#root::AsGiven::new(), x)
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
        ) -> #root::Result<(#data_output, #root::Stats), #root::SolveError> {
            self.__try_forward_from(#root::Data::new(gradients), x)
        }

        fn __try_forward_from<Batch: #root::Dim, Start: #root::Entry<Elem, Dev>>(
            &self,
            entry: Start,
            x: #before,
        ) -> #root::Result<(#after, #root::Stats), #root::SolveError> {
            #input_check
            let mut stats: #root::Stats = ::core::default::Default::default();
            let (batch, ..) = *#root::HasShape::shape(&x);
            #body
            #output_check
            // Silences a model that needs neither.
            let _ = (batch, &mut stats);
            #root::Ok((x, stats))
        }
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

/// The stages in order, from `x` to `x`; the first layer or block with parameters takes `entry`.
fn forward_body(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    let root = root();
    let enter = quote!(let x = #root::Entry::enter(entry, x););
    let mut shape = model.input.clone();
    let check = dense_reads_input(model);
    let mut entered = false;
    let mut body = TokenStream::new();
    for storage in storage {
        let stage = &storage.stage.name;
        match &storage.stage.kind {
            StageKind::Layers(_) => {
                let this = quote!(self.#stage);
                body.extend(chain_calls(
                    storage,
                    &this,
                    &mut shape,
                    (&mut entered, check),
                ));
            }
            StageKind::Ode(ode) => {
                let state = vec![ode.features()];
                body.extend(layers::meet(&shape, &state));
                if !core::mem::replace(&mut entered, true) {
                    body.extend(enter.clone());
                }
                body.extend(quote! {
                    let (x, solve) = self.#stage.try_forward_with_stats(x)?;
                    stats += solve;
                });
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
        let place = if storage.layers_struct.is_some() {
            let index = Literal::usize_unsuffixed(index);
            quote!(#this.#index)
        } else {
            this.clone()
        };
        calls.extend(layers::meet(shape, &layer.input));
        if layer.kind.has_parameters() && !core::mem::replace(entered, true) {
            calls.extend(layers::first_call(layer, &place, check));
        } else {
            calls.extend(layers::call(layer, &place));
        }
        shape.clone_from(&layer.output);
    }
    calls
}

fn vector_field(storage: &Storage<'_>, ode: &Ode) -> TokenStream {
    let root = root();
    let field = &storage.layers_struct;
    let state = &ode.features();
    let state_shape = vec![state.clone()];
    let mut shape = state_shape.clone();
    let calls = chain_calls(storage, &quote!(self), &mut shape, (&mut true, false));
    let back = layers::meet(&shape, &state_shape);
    let tensor = tensor(&state_shape, &quote!(Tp));
    let kernel_name = format_ident!(
        "{}Kernel",
        field.as_ref().map_or_else(String::new, Ident::to_string)
    );
    let kernel = kernel::generate(&kernel_name, ode);
    let lanes = match &ode.solver.steps {
        Steps::Adaptive {
            sizes: Sizes::PerSample,
            ..
        } => quote!(
            const LANES: bool = true;
        ),
        _ => TokenStream::new(),
    };
    quote! {
        #kernel

        #[automatically_derived]
        impl<Elem: #root::Dtype, Dev: #root::Device<Elem>> #root::TensorField<#state, Elem, Dev>
            for #field<Elem, Dev>
        {
            #lanes

            fn with_kernel<Visitor: #root::KernelVisitor<#state>>(
                visitor: Visitor,
            ) -> #root::Result<Visitor::Output, Visitor> {
                #root::Ok(visitor.visit::<#kernel_name>())
            }

            fn try_eval<Batch: #root::Dim, Tp: #root::Tape<Elem, Dev>>(
                &self,
                t: f64,
                x: #tensor,
            ) -> #root::Result<#tensor, #root::SolveError> {
                let (batch, ..) = *#root::HasShape::shape(&x);
                let _ = (t, batch);
                #calls
                #back
                #root::Ok(x)
            }
        }
    }
}

fn summary(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    let root = root();
    let name = plain(&model.name);
    let lines: Vec<TokenStream> = storage
        .iter()
        .flat_map(|storage| {
            let stage = plain(&storage.stage.name);
            let path = match &storage.stage.kind {
                StageKind::Layers(_) => stage,
                StageKind::Ode(_) => format!("{stage}.field"),
            };
            let sole = storage.layers_struct.is_none();
            storage
                .stage
                .chain()
                .layers
                .iter()
                .enumerate()
                .map(move |(index, layer)| {
                    let path = if sole {
                        path.clone()
                    } else {
                        format!("{path}.{index}")
                    };
                    layers::summary(layer, &path)
                })
                .collect::<Vec<_>>()
        })
        .collect();
    let blocks = storage.iter().filter_map(|storage| {
        let StageKind::Ode(ode) = &storage.stage.kind else {
            return None;
        };
        let stage = &storage.stage.name;
        let (path, field, state) = (plain(stage), &storage.layers_struct, &ode.features());
        let kernels = quote!(#root::has_kernels::<#state, Elem, Dev, #field<Elem, Dev>>());
        Some(quote!(.block(#path, &self.#stage.options, #kernels)))
    });
    quote!(#root::Summary::new(#name) #(#lines)* #(#blocks)*)
}
