//! `fn summary` of a model: its lines and its blocks.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use crate::{
    ast::plain,
    model::{stateful::HasState, Model, StageKind},
};

use super::{layer, root, storage::Storage};

/// The summary of the model `self`, as an expression.
pub(super) fn generate(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    let root = root();
    let name = plain(&model.name);
    let lines: Vec<TokenStream> = storage
        .iter()
        .flat_map(|storage| {
            let name = &storage.stage.name;
            let (stage, place) = (plain(name), storage.place());
            let (path, this) = match &storage.stage.kind {
                StageKind::Layers(_) => (stage, place),
                StageKind::Ode(_) => (format!("{stage}.field"), quote!(#place.field)),
            };
            let sole = !storage.is_indexed();
            storage
                .stage
                .chain()
                .layers
                .iter()
                .enumerate()
                .map(move |(index, layer)| {
                    if sole {
                        return layer::summary(layer, &path, &this);
                    }
                    let place = Literal::usize_unsuffixed(index);
                    layer::summary(layer, &format!("{path}.{index}"), &quote!(#this.#place))
                })
                .collect::<Vec<_>>()
        })
        .collect();
    let blocks = storage.iter().filter_map(|storage| {
        let StageKind::Ode(ode) = &storage.stage.kind else {
            return None;
        };
        let (path, field, state) = (
            plain(&storage.stage.name),
            &storage.layers_struct,
            &ode.features(),
        );
        let named = storage.generics.named();
        let field = quote!(#field<#named Elem, Dev>);
        let kernels = if HasState::of_chain(&ode.field) > HasState::No {
            quote!(#root::has_kernels_at_state::<#state, Elem, Dev, #field>())
        } else {
            quote!(#root::has_kernels::<#state, Elem, Dev, #field>())
        };
        let place = storage.place();
        Some(quote!(.block::<#field>(#path, &#place.options, #kernels)))
    });
    quote!(#root::Summary::new(#name) #(#lines)* #(#blocks)*)
}
