//! Conditions on constants, which the compiler evaluates: it reports a failure at the user's token, with
//! the words of the runtime's `shape` module.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::model::{ConditionKind, Model};

use super::root;

pub(super) fn generate(model: &Model) -> TokenStream {
    let root = root();
    let assertions = model.conditions.iter().map(|condition| {
        let assertion = match &condition.kind {
            ConditionKind::Feeds { produced, taken } => {
                quote_spanned!(condition.at.span()=> assert_feeds::<#produced, #taken>)
            }
            ConditionKind::ReturnsState { produced, state } => {
                quote_spanned!(condition.at.span()=> assert_returns_state::<#produced, #state>)
            }
            ConditionKind::Positive(size) => {
                quote_spanned!(condition.at.span()=> assert_positive::<{ 0 < #size }>)
            }
        };
        quote!(const _: fn() = #root::#assertion;)
    });
    quote!(#(#assertions)*)
}
