//! Layers with state: their types and calls.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned, ToTokens};
use syn::{spanned::Spanned, Ident, PathArguments};

use crate::{
    codegen::{
        root,
        sizes::{meet, size_value},
        values::located_at,
    },
    generics::Generics,
    model::{
        stateful::{Stateful, StatefulKind},
        Chain, Layer, LayerKind,
    },
};

/// The type that holds a layer's parameters and settings.
pub(in crate::codegen) fn storage_type(layer: &Layer, stateful: &Stateful) -> TokenStream {
    let root = root();
    match &stateful.kind {
        StatefulKind::Dropout { .. } => quote!(#root::Dropout),
        StatefulKind::BatchNorm { channels, .. } => quote!(#root::BatchNorm<#channels, Elem, Dev>),
        StatefulKind::Custom { path, check, .. } => {
            let checked = checked(layer, path, check);
            quote!(#checked::Itself)
        }
    }
}

/// The type of a layer's state.
pub(in crate::codegen) fn state_type(layer: &Layer, stateful: &Stateful) -> TokenStream {
    let root = root();
    match &stateful.kind {
        StatefulKind::Dropout { .. } => quote!(#root::DropoutState),
        StatefulKind::BatchNorm { channels, .. } => {
            quote!(#root::BatchNormState<#channels, Elem, Dev>)
        }
        StatefulKind::Custom { path, check, .. } => {
            let checked = checked(layer, path, check);
            quote!(#checked::State)
        }
    }
}

/// `<Type as Layer<..>>`
pub(in crate::codegen) fn as_layer(layer: &Layer, stateful: &Stateful) -> TokenStream {
    let root = root();
    let kind = storage_type(layer, stateful);
    let (taken, produced) = (layer.taken(), layer.produced());
    quote!(<#kind as #root::Layer<#taken, #produced, Elem, Dev>>)
}

/// `let x = ...; next_k = ...;`: calls the layer at the place `this` with `state_k`.
pub(in crate::codegen) fn call(
    layer: &Layer,
    stateful: &Stateful,
    this: &TokenStream,
) -> TokenStream {
    let root = root();
    let into = meet(&layer.input, &[layer.taken()]);
    let out = meet(&[layer.produced()], &layer.output);
    let as_layer = as_layer(layer, stateful);
    let (state, next) = names(stateful.slot);
    quote! {
        #into
        let (x, next) = #as_layer::try_forward(&#this, #root::Call { t, mode, state: #state }, x)?;
        #next = next;
        #out
    }
}

/// What the state of a slot and the one behind it are called.
pub(in crate::codegen) fn names(slot: usize) -> (Ident, Ident) {
    (format_ident!("state_{slot}"), format_ident!("next_{slot}"))
}

/// Number of trainable scalars of the layer at the place `this`, as an expression.
pub(in crate::codegen) fn parameters(stateful: &Stateful, this: &TokenStream) -> TokenStream {
    let root = root();
    match &stateful.kind {
        StatefulKind::Dropout { .. } => quote!(0),
        StatefulKind::BatchNorm { channels, .. } => {
            let channels = size_value(channels);
            quote!(2 * #channels)
        }
        StatefulKind::Custom { .. } => quote!(#root::count_parameters::<Elem, Dev, _>(&#this)),
    }
}

/// The part of the summary that says what a layer's state is.
pub(in crate::codegen) fn summary(layer: &Layer, stateful: &Stateful) -> TokenStream {
    let state = state_type(layer, stateful);
    quote!(.state::<#state>())
}

/// Constants that only layers have, for the user's types of a chain.
pub(in crate::codegen) fn checks(chain: &Chain, generics: &Generics, constants: &mut TokenStream) {
    let root = root();
    for layer in &chain.layers {
        match &layer.kind {
            LayerKind::Residual(inner) => checks(inner, generics, constants),
            LayerKind::Stateful(Stateful {
                kind:
                    StatefulKind::Custom {
                        path,
                        check,
                        in_field,
                    },
                ..
            }) => {
                let kind = custom_type(path, &quote!(f32), &quote!(#root::Cpu));
                let (taken, produced) = (layer.taken(), layer.produced());
                let named = quote!({ #root::check_name::<#kind>() });
                let function = if *in_field {
                    quote!(check_field_layer)
                } else {
                    quote!(check_layer)
                };
                let called = quote!(#root::#function::<#named, #kind, #taken, #produced>());
                let called = located_at(called, path.span());
                // A constant outside of the model cannot know its parameters: the compiler checks uses instead.
                let called = if generics.occur_in(&called) {
                    quote!(0)
                } else {
                    called
                };
                constants.extend(quote! {
                    #[doc(hidden)]
                    #[allow(non_upper_case_globals)]
                    const #check: usize = #called;
                });
            }
            _ => {}
        }
    }
}

/// `<path::Type<.., Elem, Dev> as Checked<..>>`
fn checked(layer: &Layer, path: &syn::Path, check: &Ident) -> TokenStream {
    let root = root();
    let kind = custom_type(path, &quote!(Elem), &quote!(Dev));
    let (taken, produced) = (layer.taken(), layer.produced());
    quote!(<#kind as #root::Checked<{ #check }, #taken, #produced, Elem, Dev>>)
}

/// The user's type for a dtype and a device, all of it at the place of his path.
fn custom_type(path: &syn::Path, dtype: &TokenStream, device: &TokenStream) -> TokenStream {
    let place = path.span();
    let (front, given) = match path.segments.last().map(|last| &last.arguments) {
        Some(PathArguments::AngleBracketed(given)) => {
            let mut front = path.clone();
            if let Some(last) = front.segments.last_mut() {
                last.arguments = PathArguments::None;
            }
            (front, given.args.iter().collect::<Vec<_>>())
        }
        _ => (path.clone(), Vec::new()),
    };
    let arguments = located_at(quote!(#dtype, #device), place);
    let front = front.into_token_stream();
    let open = quote_spanned!(place.resolved_at(Span::call_site())=> <);
    let close = quote_spanned!(place.resolved_at(Span::call_site())=> >);
    quote!(#front #open #(#given,)* #arguments #close)
}
