//! Going on after a mistake: lists that miss a comma or hold something broken, and what is said of tokens.

use proc_macro2::{Delimiter, Spacing, Span, TokenTree};
use syn::{ext::IdentExt, parse::ParseStream, token, Ident, Token};

use crate::diag::Diagnostics;

/// Items separated by commas.
pub(super) struct List<T> {
    /// Parses an item. Takes a token at least or stops before a comma, and reports what is wrong.
    pub(super) item: fn(ParseStream<'_>, &mut Diagnostics) -> T,
    /// What stands for skipped tokens.
    pub(super) invalid: fn() -> T,
    /// Whether an item may begin here: where a comma is missing, the next item follows if one does, else
    /// the rest up to a comma is skipped.
    pub(super) starts: fn(ParseStream<'_>) -> bool,
}

impl<T> List<T> {
    pub(super) fn parse(self, input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> Vec<T> {
        let mut items = Vec::new();
        while !input.is_empty() {
            items.push((self.item)(input, diagnostics));
            if input.peek(Token![,]) {
                let _ = input.parse::<Token![,]>();
            } else if !input.is_empty() {
                let is_semicolon = input.peek(Token![;]);
                let instead = if is_semicolon { "instead" } else { "before it" };
                let message = format!("expected `,`, found {}", found(input));
                diagnostics.push(at(input.span(), message, format!("write `,` {instead}")));
                if is_semicolon {
                    let _ = input.parse::<Token![;]>();
                } else if !(self.starts)(input) {
                    items.push((self.invalid)());
                    skip_to_comma(input);
                    let _ = input.parse::<Token![,]>();
                }
            }
        }
        items
    }
}

/// An error at one place.
pub(super) fn at(
    place: Span,
    message: impl core::fmt::Display,
    help: impl core::fmt::Display,
) -> syn::Error {
    syn::Error::new(place, format!("{message}\nhelp: {help}"))
}

/// The next token, for a message: "`=>`".
pub(super) fn found(input: ParseStream<'_>) -> String {
    const LONGEST: usize = 24;
    let Some((token, mut rest)) = input.cursor().token_tree() else {
        return "nothing".to_owned();
    };
    let text = match token {
        TokenTree::Group(group) => match group.delimiter() {
            Delimiter::Parenthesis => "(".to_owned(),
            Delimiter::Brace => "{".to_owned(),
            Delimiter::Bracket => "[".to_owned(),
            Delimiter::None => group.stream().to_string(),
        },
        TokenTree::Punct(first) if first.as_char() == '#' => {
            let is_doc = rest
                .group(Delimiter::Bracket)
                .and_then(|(inner, ..)| inner.ident());
            return match is_doc {
                Some((word, _)) if word == "doc" => "a doc comment".to_owned(),
                _ => "`#`".to_owned(),
            };
        }
        TokenTree::Punct(first) => {
            let mut text = first.as_char().to_string();
            let mut spacing = first.spacing();
            while let (Spacing::Joint, Some((next, after))) = (spacing, rest.punct()) {
                text.push(next.as_char());
                spacing = next.spacing();
                rest = after;
            }
            text
        }
        TokenTree::Ident(ident) => ident.to_string(),
        TokenTree::Literal(literal) => literal.to_string(),
    };
    if text.chars().count() > LONGEST {
        let start: String = text.chars().take(LONGEST).collect();
        return format!("`{start}...`");
    }
    format!("`{text}`")
}

/// The value that follows, in outline: `Dense(...)`
pub(super) fn sketch(input: ParseStream<'_>) -> String {
    let first = found(input);
    let ahead = input.fork();
    let _ = ahead.parse::<TokenTree>();
    let rest = if input.peek(token::Bracket) {
        "...]"
    } else if input.peek(Ident) && ahead.peek(token::Paren) {
        "(...)"
    } else if input.peek(Ident) && ahead.peek(token::Brace) {
        " { ... }"
    } else {
        ""
    };
    format!("{}{rest}", first.trim_matches('`'))
}

/// Skips what belongs to a broken entry: up to a comma that another entry or nothing follows.
pub(super) fn skip_to_entry(input: ParseStream<'_>) {
    loop {
        skip_to_comma(input);
        let ahead = input.fork();
        let _ = ahead.parse::<Token![,]>();
        let is_attribute = ahead.peek(Token![#]);
        let has_name = ahead.call(Ident::parse_any).is_ok();
        let has_value = ahead.peek(Token![:]) || ahead.peek(token::Paren);
        if ahead.is_empty() || is_attribute || has_name && has_value {
            return;
        }
        let _ = input.parse::<TokenTree>();
    }
}

pub(super) fn skip_to_comma(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        let _ = input.parse::<TokenTree>();
    }
}

pub(super) fn skip_all(input: ParseStream<'_>) {
    while input.parse::<TokenTree>().is_ok() {}
}
