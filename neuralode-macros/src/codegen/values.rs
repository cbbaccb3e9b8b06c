//! Numbers of the declaration, and where tokens stand.

use proc_macro2::{Delimiter, Group, Literal, Span, TokenStream, TokenTree};
use quote::quote;
use syn::spanned::Spanned;

use crate::ast::{digits, Value};

use super::root;

/// A number as `f64`; integers are allowed in the DSL. Constants must be `f64` themselves, which the compiler says at
/// the constant, in the same words wherever it stands, and so once.
pub(super) fn number(value: &Value) -> TokenStream {
    match value {
        Value::Number(minus, lit) => {
            let digits = digits(lit).and_then(|(digits, _)| digits.parse::<f64>().ok());
            let literal = Literal::f64_unsuffixed(digits.unwrap_or(0.0));
            quote!(#minus #literal)
        }
        Value::Path(path) => {
            let root = root();
            let checked = quote!({ #root::check_number(&#path) });
            located_at(quote!(#root::number::<#checked, _>(#path)), path.span())
        }
        Value::Infer(_) => TokenStream::new(),
    }
}

/// Tokens that stay where they are: a number is wrong at one place, whatever is asked of it.
pub(super) fn kept(tokens: TokenStream) -> TokenStream {
    TokenTree::from(Group::new(Delimiter::None, tokens)).into()
}

/// The same tokens, which resolve as before, at the place to underline, but for what is [`kept`].
pub(super) fn located_at(tokens: TokenStream, place: Span) -> TokenStream {
    let locate = |mut token: TokenTree| {
        if let TokenTree::Group(group) = &token {
            if group.delimiter() == Delimiter::None {
                return token;
            }
            let inner = located_at(group.stream(), place);
            token = Group::new(group.delimiter(), inner).into();
        }
        token.set_span(token.span().located_at(place));
        token
    };
    tokens.into_iter().map(locate).collect()
}
