//! From tokens to the syntax tree. A mistake is reported, skipped up to the next comma, and parsing goes
//! on, so that one run shows every mistake.

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    braced, bracketed, parenthesized,
    parse::{Parse, ParseStream, Parser},
    punctuated::Punctuated,
    token, Attribute, Ident, Lit, Token, Visibility,
};

use crate::{
    ast::{Definition, Entry, Expr, Value},
    diag::Diagnostics,
};

/// Parses the input of `neural_ode!`. `None` if not even the model's name could be found.
pub(crate) fn parse(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Option<Definition> {
    let parser = |input: ParseStream<'_>| definition(input, diagnostics);
    match parser.parse2(tokens) {
        Ok(definition) => Some(definition),
        Err(error) => {
            diagnostics.push(error);
            None
        }
    }
}

fn definition(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Definition> {
    let attributes = input.call(Attribute::parse_outer)?;
    let visibility: Visibility = input.parse()?;
    if !input.peek(Token![struct]) {
        return Err(input.error(
            "expected `struct`\nhelp: a model reads `pub struct Name { input: [4], stage: Dense(4 => 2) }`",
        ));
    }
    input.parse::<Token![struct]>()?;
    let name: Ident = input.parse()?;
    if input.peek(Token![<]) {
        return Err(input.error(format!(
            "`{name}` has generic parameters, which are not supported yet\nhelp: write `struct {name} {{ ... }}`; \
             the model gets its dtype and device parameters from the macro"
        )));
    }
    if !input.peek(token::Brace) {
        return Err(input.error(format!(
            "expected `{{` after the name of the model\nhelp: write `struct {name} {{ input: [4], ... }}`"
        )));
    }
    let content;
    braced!(content in input);
    let entries = separated(&content, diagnostics, entry);
    if !input.is_empty() {
        diagnostics.push(
            input.error("expected the end of the input\nhelp: declare one model per `neural_ode!`"),
        );
        skip_all(input);
    }
    Ok(Definition {
        attributes,
        visibility,
        name,
        entries,
    })
}

/// Parses items separated by commas up to the end of `input`; a broken item is reported and left out.
fn separated<T>(
    input: ParseStream<'_>,
    diagnostics: &mut Diagnostics,
    mut item: impl FnMut(ParseStream<'_>, &mut Diagnostics) -> syn::Result<T>,
) -> Vec<T> {
    let mut items = Vec::new();
    while !input.is_empty() {
        match item(input, diagnostics) {
            Ok(item) => {
                items.push(item);
                if !input.is_empty() && !input.peek(Token![,]) {
                    diagnostics.push(input.error("expected `,`"));
                }
            }
            Err(error) => diagnostics.push(error),
        }
        skip_past_comma(input);
    }
    items
}

fn skip_past_comma(input: ParseStream<'_>) {
    while !input.is_empty() {
        if input.peek(Token![,]) {
            let _ = input.parse::<Token![,]>();
            return;
        }
        let _ = input.parse::<TokenTree>();
    }
}

fn skip_all(input: ParseStream<'_>) {
    while input.parse::<TokenTree>().is_ok() {}
}

fn entry(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Entry> {
    let attributes = input.call(Attribute::parse_outer)?;
    if !input.peek(Ident) {
        return Err(input.error("expected a name, as in `name: value`"));
    }
    let name: Ident = input.parse()?;
    let parameters = if input.peek(token::Paren) {
        let content;
        parenthesized!(content in input);
        let names = Punctuated::<Ident, Token![,]>::parse_terminated(&content)?;
        Some(names.into_iter().collect())
    } else {
        None
    };
    if !input.peek(Token![:]) {
        return Err(input.error(format!("expected `:` after `{name}`")));
    }
    input.parse::<Token![:]>()?;
    let value = expr(input, diagnostics)?;
    Ok(Entry {
        attributes,
        name,
        parameters,
        value,
    })
}

fn expr(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Expr> {
    if input.peek(token::Bracket) {
        let content;
        let bracket = bracketed!(content in input);
        return Ok(Expr::List(bracket, separated(&content, diagnostics, expr)));
    }
    if input.peek(Ident) && input.peek2(token::Paren) {
        let name = input.parse()?;
        let content;
        parenthesized!(content in input);
        return Ok(Expr::Call(name, separated(&content, diagnostics, expr)));
    }
    if input.peek(Ident) && input.peek2(token::Brace) {
        let name = input.parse()?;
        let content;
        braced!(content in input);
        return Ok(Expr::Block(name, separated(&content, diagnostics, entry)));
    }
    let value: Value = input.parse()?;
    if input.peek(Token![=>]) {
        input.parse::<Token![=>]>()?;
        return Ok(Expr::Edge(value, input.parse()?));
    }
    if input.peek(Token![..=]) {
        diagnostics.push(input.error("expected `..`, found `..=`\nhelp: write `start..end`"));
        skip_to_comma(input);
        return Ok(Expr::Invalid);
    }
    if input.peek(Token![..]) {
        input.parse::<Token![..]>()?;
        return Ok(Expr::Range(value, input.parse()?));
    }
    Ok(Expr::Value(value))
}

fn skip_to_comma(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        let _ = input.parse::<TokenTree>();
    }
}

impl Parse for Value {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(Token![-]) {
            return Ok(Self::Number(Some(input.parse()?), input.parse()?));
        }
        if input.peek(Token![_]) {
            return Ok(Self::Infer(input.parse()?));
        }
        if input.peek(Lit) {
            return Ok(Self::Number(None, input.parse()?));
        }
        if input.peek(Ident)
            || input.peek(Token![::])
            || input.peek(Token![crate])
            || input.peek(Token![self])
            || input.peek(Token![super])
        {
            return Ok(Self::Path(input.call(syn::Path::parse_mod_style)?));
        }
        Err(input.error("expected a number, a name, or a list in brackets"))
    }
}
