//! The path under which generated code finds the runtime.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{quote, ToTokens};
use syn::Path;

/// `::neuralode::__private`
pub(crate) fn root() -> TokenStream {
    quote!(::neuralode::__private)
}

/// The same tokens with `crate_path` where they name `::neuralode`: the last thing that happens to generated code, so
/// that nothing else needs to know of it.
pub(crate) fn rooted(tokens: TokenStream, crate_path: &Path) -> TokenStream {
    let mut trees: Vec<TokenTree> = Vec::new();
    for token in tokens {
        if let TokenTree::Group(group) = &token {
            let mut inner = Group::new(group.delimiter(), rooted(group.stream(), crate_path));
            inner.set_span(group.span());
            trees.push(inner.into());
            continue;
        }
        let place = token.span();
        trees.push(token);
        if ends_in_root(&trees) {
            trees.truncate(trees.len() - ROOT.len());
            trees.extend(located_at(crate_path, place));
            trees.extend(located_at(quote!(::__private), place));
        }
    }
    trees.into_iter().collect()
}

/// The tokens of [`root`].
const ROOT: [&str; 6] = [":", ":", "neuralode", ":", ":", "__private"];

fn ends_in_root(trees: &[TokenTree]) -> bool {
    let is = |token: &TokenTree, text: &str| match token {
        TokenTree::Ident(name) => name == text,
        TokenTree::Punct(punct) => text.starts_with(punct.as_char()),
        TokenTree::Group(_) | TokenTree::Literal(_) => false,
    };
    trees.len() >= ROOT.len()
        && trees
            .iter()
            .rev()
            .zip(ROOT.iter().rev())
            .all(|(a, b)| is(a, b))
}

/// The same tokens, which resolve as before, at the place of what they replace.
fn located_at(tokens: impl ToTokens, place: Span) -> impl Iterator<Item = TokenTree> {
    tokens
        .into_token_stream()
        .into_iter()
        .map(move |mut token| {
            token.set_span(token.span().located_at(place));
            token
        })
}
