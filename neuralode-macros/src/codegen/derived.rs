//! Structs that users wrote: how their stages are reached, and that these are of the types that their layers have.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;

use crate::model::Model;

use super::{
    root,
    storage::{accessor, stage_type, Storage},
    values::located_at,
};

/// `fn __stage(&self) -> &Type`, for every stage. The only place where a type of the user's meets that of the layers:
/// if they differ, the compiler says so once, at the user's type.
pub(super) fn accessors(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    let Some(derived) = &model.derived else {
        return TokenStream::new();
    };
    let accessors = storage.iter().map(|storage| {
        let (name, kind) = (&storage.stage.name, stage_type(storage));
        let accessor = accessor(name);
        let written = derived.types.iter().find(|(stage, _)| stage == name);
        let place = written.map_or_else(|| name.span(), |(_, written)| written.span());
        let value = located_at(quote!(&self.#name), place);
        quote! {
            #[doc(hidden)]
            #[allow(non_snake_case)]
            fn #accessor(&self) -> &#kind {
                #value
            }
        }
    });
    accessors.collect()
}

/// What `copy_options_from` does with fields that are no stages.
pub(super) fn copies(model: &Model) -> TokenStream {
    let skipped = model.derived.iter().flat_map(|derived| &derived.skipped);
    let copied = skipped.filter(|skipped| skipped.is_copied);
    let names = copied.map(|skipped| &skipped.name);
    let root = root();
    quote!(#(self.#names = #root::Clone::clone(&other.#names);)*)
}

/// The values of fields that are no stages, in a struct that is built.
pub(super) fn defaults(model: &Model) -> TokenStream {
    let skipped = model.derived.iter().flat_map(|derived| &derived.skipped);
    let names = skipped.map(|skipped| &skipped.name);
    quote!(#(#names: ::core::default::Default::default(),)*)
}
