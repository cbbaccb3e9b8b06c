//! Where the parameters of a stage live, and the names of the structs that hold them.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Ident, Visibility};

use crate::{
    ast::plain,
    generics::Generics,
    model::{Model, Stage, StageKind},
};

use super::{layer, root, sizes::nest};

/// Where the parameters of a stage live.
pub(super) struct Storage<'m> {
    pub(super) stage: &'m Stage,
    /// Name of the struct generated for its layers, if one is needed.
    pub(super) layers_struct: Option<Ident>,
    /// What that struct has of the generic parameters of the model.
    pub(super) generics: Generics,
    /// Whether the user wrote the struct of the model.
    pub(super) is_derived: bool,
}

impl<'m> Storage<'m> {
    pub(super) fn of(model: &Model, stage: &'m Stage) -> Self {
        Self {
            stage,
            layers_struct: stage
                .struct_name(&model.name)
                // A user keeps layers in a tuple.
                .filter(|_| model.derived.is_none() || matches!(stage.kind, StageKind::Ode(_)))
                .map(|name| hidden(&name)),
            generics: model.generics.constants(),
            is_derived: model.derived.is_some(),
        }
    }
}

impl Storage<'_> {
    /// Whether its layers are fields `0`, `1` and so on; if not, the only one that has something to keep stands for
    /// all.
    pub(super) fn is_indexed(&self) -> bool {
        self.layers_struct.is_some() || self.stage.chain().sole_layer().is_none()
    }

    /// The stage of the model `self`, to be read.
    pub(super) fn place(&self) -> TokenStream {
        let stage = &self.stage.name;
        if !self.is_derived {
            return quote!(self.#stage);
        }
        let accessor = accessor(stage);
        quote!((*self.#accessor()))
    }
}

/// The type of a stage.
pub(super) fn stage_type(storage: &Storage<'_>) -> TokenStream {
    let root = root();
    let named = storage.generics.named();
    match (&storage.stage.kind, &storage.layers_struct) {
        (StageKind::Ode(_), field) => quote!(#root::NeuralOde<#field<#named Elem, Dev>>),
        (StageKind::Layers(_), Some(layers_struct)) => quote!(#layers_struct<#named Elem, Dev>),
        (StageKind::Layers(chain), None) => chain.sole_layer().map_or_else(
            || nest(chain.layers.iter().map(layer::storage_type).collect()),
            layer::storage_type,
        ),
    }
}

/// What returns the stage `stage` of a struct that the user wrote.
pub(super) fn accessor(stage: &Ident) -> Ident {
    format_ident!("__{}", plain(stage), span = Span::call_site())
}

/// The name that users know such a struct by.
pub(super) fn shown(hidden: &Ident) -> Ident {
    let name = hidden.to_string();
    Ident::new(name.strip_prefix("__").unwrap_or(&name), Span::call_site())
}

/// The tuple struct `hidden` of so many fields under the name that users know, which it has in the output of `Debug`,
/// too.
pub(super) fn exported(
    visibility: &Visibility,
    generics: &Generics,
    hidden: &Ident,
    count: usize,
) -> TokenStream {
    let root = root();
    let name = shown(hidden);
    let text = name.to_string();
    let places = (0..count).map(Literal::usize_unsuffixed);
    let (introduced, named) = (generics.introduced(), generics.named());
    quote! {
        #[doc(inline)]
        #[allow(unused_imports)]
        #visibility use #hidden as #name;

        #[automatically_derived]
        impl<#introduced Elem: #root::Dtype + #root::Debug, Dev: #root::Device<Elem> + #root::Debug> #root::Debug
            for #hidden<#named Elem, Dev>
        {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_tuple(#text) #(.field(&self.#places))* .finish()
            }
        }
    }
}

/// The name under which generated code knows a struct that it calls `name`: a struct of the user's under that name is
/// one mistake, where the two meet, and no other line of generated code takes it for its own.
fn hidden(name: &str) -> Ident {
    // Names made from names carry no span: editors colour one token of the source by one role.
    Ident::new(&format!("__{name}"), Span::call_site())
}
