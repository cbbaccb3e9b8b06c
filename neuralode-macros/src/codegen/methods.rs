//! The methods of a model, and dfdx's `Module`.

use proc_macro2::TokenStream;
use quote::quote;

use crate::{
    ast::plain,
    model::{stateful::HasState, Model, StageKind},
};

use super::{derived, passes, root, sizes::tensor, state, storage::Storage, summary};

/// `fn build`, the forward passes, `fn summary` and the conversions that keep options.
pub(super) fn generate(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    let root = root();
    let name = &model.name;
    let forward = passes::generate(model, storage);
    let settings: TokenStream = storage.iter().map(state::copied_settings).collect();
    let blocks: Vec<_> = storage
        .iter()
        .filter(|storage| matches!(storage.stage.kind, StageKind::Ode(_)))
        .map(|storage| &storage.stage.name)
        .collect();
    let summary = summary::generate(model, storage);
    let (accessors, copies) = (derived::accessors(model, storage), derived::copies(model));
    let (introduced, named) = (model.generics.introduced(), model.generics.named());
    let clause = model.generics.clause();
    let programs = storage.iter().filter_map(|storage| {
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
    });
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
                #root::cuda_programs([#(#programs),*])
            }

            /// Takes over how another model of this type, of any dtype and device, solves its blocks.
            /// dfdx's conversions return the declared options; this carries changed ones over.
            pub fn copy_options_from<E2: #root::Dtype, D2: #root::Device<E2>>(
                &mut self,
                other: &#name<#named E2, D2>,
            ) {
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

/// dfdx's `Module`, for models that need no state.
pub(super) fn module(model: &Model) -> TokenStream {
    let root = root();
    let name = &model.name;
    let (introduced, named) = (model.generics.introduced(), model.generics.named());
    let predicates = model.generics.predicates();
    let condition = match HasState::of(model) {
        HasState::No => TokenStream::new(),
        HasState::Perhaps => {
            let state = state::struct_name(model);
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
        tensor(&passes::output_shape(model), &tape),
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
