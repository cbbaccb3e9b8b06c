//! Conditions on constants, which the compiler evaluates: it reports a failure at the user's token, with
//! the words of the runtime's `shape` module.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;

use crate::model::{ConditionKind, Model, Quantity};

use super::{
    root,
    sizes::size_expression,
    values::{kept, located_at, number},
};

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
            ConditionKind::InDomain {
                number: value,
                quantity,
                judged,
            } => {
                let value = kept(number(value));
                let (is_right, assertion) = in_domain(*quantity);
                let earlier = judged.iter().map(|quantity| in_domain(*quantity).0);
                quote!(#assertion::<{ #(!#earlier(#value) ||)* #is_right(#value) }>)
            }
            ConditionKind::EndsDiffer(start, end) => {
                let (start, end) = (kept(number(start)), kept(number(end)));
                quote!(#root::assert_ends_differ::<{ #root::ends_differ(#start, #end) }>)
            }
            ConditionKind::StepFits { dt, span } => {
                let [dt, start, end] = [dt, &span.0, &span.1].map(|value| kept(number(value)));
                quote!(#root::assert_step_fits::<{ #root::step_fits(#dt, #start, #end) }>)
            }
        };
        let assertion = located_at(assertion, condition.at.span());
        quote!(const _: fn() = #assertion;)
    });
    quote!(#(#assertions)*)
}

/// The functions that say whether a number is such a quantity, and that compile only if it is.
fn in_domain(quantity: Quantity) -> (TokenStream, TokenStream) {
    let root = root();
    match quantity {
        Quantity::RelativeTolerance => (quote!(#root::is_rtol), quote!(#root::assert_rtol)),
        Quantity::AbsoluteTolerance => (quote!(#root::is_positive), quote!(#root::assert_atol)),
        Quantity::StepSize => (quote!(#root::is_positive), quote!(#root::assert_dt)),
        Quantity::Time => (quote!(#root::is_finite), quote!(#root::assert_time)),
        Quantity::Coefficient => (quote!(#root::is_finite), quote!(#root::assert_coefficient)),
        Quantity::Probability => (
            quote!(#root::is_probability),
            quote!(#root::assert_probability),
        ),
        Quantity::Momentum => (quote!(#root::is_momentum), quote!(#root::assert_momentum)),
        Quantity::Epsilon => (quote!(#root::is_positive), quote!(#root::assert_epsilon)),
    }
}
