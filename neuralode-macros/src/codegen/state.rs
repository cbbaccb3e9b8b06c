//! The state of a model: its struct, and what comes before and after the calls of layers that have some.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{format_ident, quote};
use syn::Ident;

use crate::{
    ast::plain,
    model::{
        stateful::{HasState, Stateful, StatefulKind},
        Chain, Layer, LayerKind, Model, StageKind,
    },
};

use super::{
    layer::{
        self,
        stateful::{as_layer, checks, names, state_type},
    },
    root,
    sizes::{nest, nested_places},
    storage::Storage,
    values,
};

/// The name of the struct of a model's state.
pub(super) fn struct_name(model: &Model) -> Ident {
    Ident::new(&format!("{}State", plain(&model.name)), Span::call_site())
}

/// The struct of a model's state.
pub(super) fn state_struct(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    if HasState::of(model) == HasState::No {
        return TokenStream::new();
    }
    let root = root();
    let (visibility, model_name, name) = (&model.visibility, &model.name, struct_name(model));
    let fields = with_state(storage).map(|storage| {
        let stage = &storage.stage.name;
        let kind = stage_state(storage);
        let text = format!(" State of stage `{}`.", plain(stage));
        quote!(#[doc = #text] #visibility #stage: #kind)
    });
    let marker = needs_phantom(storage).then(|| {
        quote! {
            #[doc(hidden)]
            __marker: #root::PhantomData<(Elem, Dev)>,
        }
    });
    let text = format!(
        " The state of [`{model_name}`]: what goes into a call and comes out of it, for each stage the states of its \
         layers in their order."
    );
    let declared = model.generics.constants().declared();
    let mut constants = TokenStream::new();
    for stage in &model.stages {
        checks(stage.chain(), &model.generics, &mut constants);
    }
    quote! {
        #constants

        #[doc = #text]
        #[derive(#root::Clone, #root::Debug)]
        #visibility struct #name<#declared Elem: #root::Dtype = f32, Dev: #root::Device<Elem> = #root::Cpu> {
            #(#fields,)*
            #marker
        }
    }
}

/// Implementations for the struct of a model's state, and what is asked of it.
pub(super) fn items(model: &Model, storage: &[Storage<'_>]) -> TokenStream {
    let has_state = HasState::of(model);
    if has_state == HasState::No {
        return TokenStream::new();
    }
    let root = root();
    let name = struct_name(model);
    let stages: Vec<&Ident> = with_state(storage)
        .map(|storage| &storage.stage.name)
        .collect();
    let types: Vec<TokenStream> = with_state(storage).filter_map(stage_state).collect();
    let generics = model.generics.constants();
    let (introduced, named) = (generics.introduced(), generics.named());
    let stateless = (has_state == HasState::Perhaps).then(|| {
        quote! {
            #[automatically_derived]
            impl<#introduced Elem: #root::Dtype, Dev: #root::Device<Elem>> #root::Stateless
                for #name<#named Elem, Dev>
            where
                #(#types: #root::Stateless,)*
            {
                fn none() -> Self {
                    Self { #(#stages: #root::Stateless::none(),)* }
                }
            }
        }
    });
    let fields = with_state(storage).filter_map(|storage| match storage.stage.kind {
        StageKind::Ode(_) => storage.layers_struct.as_ref(),
        StageKind::Layers(_) => None,
    });
    let sendable = core::iter::once(&name).chain(fields).map(|name| {
        let named = quote!(#name<#named f32, #root::Cpu>);
        if generics.parameters.is_empty() {
            return quote!(const _: fn() = #root::assert_sendable::<#named>;);
        }
        let check = format_ident!("__{name}IsSendable");
        quote! {
            #[allow(non_snake_case)]
            fn #check<#introduced>() {
                #root::assert_sendable::<#named>();
            }
        }
    });
    quote! {
        #stateless
        #(#sendable)*
    }
}

/// The stages that have state.
pub(super) fn with_state<'s, 'm>(
    storage: &'s [Storage<'m>],
) -> impl Iterator<Item = &'s Storage<'m>> {
    let has_state =
        |storage: &&Storage<'_>| HasState::of_chain(storage.stage.chain()) > HasState::No;
    storage.iter().filter(has_state)
}

/// Whether no state of the model mentions its type parameters.
pub(super) fn needs_phantom(storage: &[Storage<'_>]) -> bool {
    let mut leaves = storage
        .iter()
        .flat_map(|storage| leaves_of(storage, &quote!(self)));
    leaves.all(|leaf| matches!(leaf.stateful.kind, StatefulKind::Dropout { .. }))
}

/// The type of the state of a stage or field, if it has one.
pub(super) fn stage_state(storage: &Storage<'_>) -> Option<TokenStream> {
    let leaves = leaves_of(storage, &quote!(self));
    let types = leaves
        .iter()
        .map(|leaf| state_type(leaf.layer, leaf.stateful));
    let types: Vec<TokenStream> = types.collect();
    (!types.is_empty()).then(|| nest(types))
}

/// The initial states of a stage or field that is kept at `this`, given its `seed`.
pub(super) fn initial(storage: &Storage<'_>, this: &TokenStream) -> TokenStream {
    let root = root();
    let leaves = leaves_of(storage, this);
    let states = (0_u64..).zip(&leaves).map(|(slot, leaf)| {
        let as_layer = as_layer(leaf.layer, leaf.stateful);
        let place = &leaf.place;
        quote!(#as_layer::try_initial_state(&#place, #root::seed_of(seed, #slot))?)
    });
    nest(states.collect())
}

/// `let state_k = ...; let next_k;` before the calls of a stage or field whose state is the reference `state`.
pub(super) fn begin(storage: &Storage<'_>, state: &TokenStream) -> TokenStream {
    let count = leaves_of(storage, &quote!(self)).len();
    if count == 0 {
        return TokenStream::new();
    }
    let places = nested_places(count).into_iter().enumerate();
    places
        .map(|(slot, path)| {
            let (name, next) = names(slot);
            let path = path.into_iter().map(Literal::usize_unsuffixed);
            quote!(let #name = &#state #(.#path)*; let #next;)
        })
        .collect()
}

/// The states behind the calls of a stage or field.
pub(super) fn end(storage: &Storage<'_>) -> Option<TokenStream> {
    let count = leaves_of(storage, &quote!(self)).len();
    let next = (0..count).map(|slot| names(slot).1);
    let next: Vec<TokenStream> = next.map(|next| quote!(#next)).collect();
    (!next.is_empty()).then(|| nest(next))
}

/// `let next_of_STAGE = ...;` behind the calls of a stage.
pub(super) fn finish(storage: &Storage<'_>) -> TokenStream {
    let name = next_of(storage);
    end(storage).map_or_else(TokenStream::new, |end| quote!(let #name = #end;))
}

/// What the state behind a stage is called.
pub(super) fn next_of(storage: &Storage<'_>) -> Ident {
    format_ident!("next_of_{}", plain(&storage.stage.name))
}

/// Assignments of the declared settings to the layers of a stage or field that is kept at `this`.
pub(super) fn settings(storage: &Storage<'_>, this: &TokenStream) -> TokenStream {
    let leaves = leaves_of(storage, this);
    let settings = leaves.iter().map(|leaf| {
        let place = &leaf.place;
        let given = |name: &str, value: &Option<crate::ast::Value>| {
            let name = format_ident!("{name}");
            value.as_ref().map(|value| {
                let value = values::number(value);
                quote!(#place.#name = #value;)
            })
        };
        match &leaf.stateful.kind {
            StatefulKind::Dropout { probability } => {
                let probability = values::number(probability);
                quote!(#place.probability = #probability;)
            }
            StatefulKind::BatchNorm {
                momentum, epsilon, ..
            } => {
                let momentum = given("momentum", momentum);
                let epsilon = given("epsilon", epsilon);
                quote!(#momentum #epsilon)
            }
            StatefulKind::Custom { .. } => TokenStream::new(),
        }
    });
    settings.collect()
}

/// Assignments of the settings of another model's layers to those of this one.
pub(super) fn copied_settings(storage: &Storage<'_>) -> TokenStream {
    let stage = &storage.stage.name;
    let behind = match storage.stage.kind {
        StageKind::Ode(_) => quote!(.field),
        StageKind::Layers(_) => TokenStream::new(),
    };
    let to = leaves_of(storage, &quote!(self.#stage #behind));
    let from = leaves_of(storage, &quote!(other.#stage #behind));
    let copies = to.iter().zip(&from).map(|(to, from)| {
        let (to_place, from_place) = (&to.place, &from.place);
        let names: &[&str] = match to.stateful.kind {
            StatefulKind::Dropout { .. } => &["probability"],
            StatefulKind::BatchNorm { .. } => &["momentum", "epsilon"],
            StatefulKind::Custom { .. } => &[],
        };
        let names = names.iter().map(|name| format_ident!("{name}"));
        quote!(#(#to_place.#names = #from_place.#names;)*)
    });
    copies.collect()
}

/// A layer with state, and where its parameters are.
pub(super) struct Leaf<'m> {
    pub(super) place: TokenStream,
    pub(super) layer: &'m Layer,
    pub(super) stateful: &'m Stateful,
}

/// Those of a stage or field that is kept at `this`.
pub(super) fn leaves_of<'m>(storage: &Storage<'m>, this: &TokenStream) -> Vec<Leaf<'m>> {
    let chain = storage.stage.chain();
    let places: Vec<TokenStream> = (0..chain.layers.len())
        .map(|index| {
            let index = Literal::usize_unsuffixed(index);
            if storage.is_indexed() {
                quote!(#this.#index)
            } else {
                this.clone()
            }
        })
        .collect();
    let mut found = Vec::new();
    leaves(chain, &places, &mut found);
    found
}

/// The layers with state of a chain, by slot; the layers of the chain are at the given places.
fn leaves<'m>(chain: &'m Chain, places: &[TokenStream], found: &mut Vec<Leaf<'m>>) {
    for (layer, place) in chain.layers.iter().zip(places) {
        match &layer.kind {
            LayerKind::Residual(inner) => {
                let places = layer::inner_places(place, inner.layers.len());
                leaves(inner, &places, found);
            }
            LayerKind::Stateful(stateful) => found.push(Leaf {
                place: place.clone(),
                layer,
                stateful,
            }),
            _ => {}
        }
    }
}
