//! Conditions on constants, which the compiler evaluates: it reports a failure at the user's token, with
//! the words of the runtime's `shape` module.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::quote;
use syn::spanned::Spanned;

use crate::model::{ConditionKind, Model};

use super::{root, size_expression};

pub(super) fn generate(model: &Model) -> TokenStream {
    let root = root();
    let assertions = model.conditions.iter().map(|condition| {
        let assertion = match &condition.kind {
            ConditionKind::Feeds { produced, taken } => {
                quote!(#root::assert_feeds::<#taken, #produced>)
            }
            ConditionKind::ReturnsState { produced, state } => {
                quote!(#root::assert_returns_state::<#produced, #state>)
            }
            ConditionKind::ReturnsInput { produced, entering } => {
                quote!(#root::assert_returns_input::<#produced, #entering>)
            }
            ConditionKind::Holds { entering, leaving } => {
                quote!(#root::assert_holds::<#leaving, #entering>)
            }
            ConditionKind::Keeps { kept, entering } => {
                let [kept_number, entering_number] = [kept, entering].map(size_expression);
                let keeps = quote!({ [(); #kept_number].len() <= [(); #entering_number].len() });
                quote!(#root::assert_keeps::<#kept, #entering, #keeps>)
            }
            ConditionKind::Positive(size) => {
                let size = size_expression(size);
                quote!(#root::assert_positive::<{ 0 < [(); #size].len() }>)
            }
        };
        let assertion = located_at(assertion, condition.at.span());
        quote!(const _: fn() = #assertion;)
    });
    quote!(#(#assertions)*)
}

/// The same tokens, which resolve as before, at the place to underline.
pub(super) fn located_at(tokens: TokenStream, place: Span) -> TokenStream {
    let locate = |mut token: TokenTree| {
        if let TokenTree::Group(group) = &token {
            let inner = located_at(group.stream(), place);
            token = Group::new(group.delimiter(), inner).into();
        }
        token.set_span(token.span().located_at(place));
        token
    };
    tokens.into_iter().map(locate).collect()
}
