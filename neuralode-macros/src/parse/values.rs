//! What may stand right of a colon, in a list, or between parentheses.

use quote::ToTokens;
use syn::{braced, bracketed, parenthesized, parse::ParseStream, token, Ident, Lit, Token};

use crate::{
    ast::{Expr, Value},
    diag::Diagnostics,
};

use super::{
    entries::entries,
    foreign::{generic_arguments, inputs_in_brackets, list_in_other_brackets, starts_entry, whole},
    recover::{at, found, skip_to_comma, List},
    types::types,
};

/// What is said of an `Ode` without braces, and what to write.
pub(crate) const CLAUSES_IN_BRACES: &str = "an `Ode` takes its clauses in braces";
pub(crate) const CLAUSES_HELP: &str =
    "write `Ode { field(t, y): [...], span: 0.0..1.0, solver: ... }`";

/// What stands between brackets or parentheses: `20 => 10, tanh, init: zeros`
pub(super) fn arguments(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> Vec<Expr> {
    let list = List {
        item: |input, diagnostics| {
            argument(input, diagnostics).unwrap_or_else(|error| {
                diagnostics.push(error);
                skip_to_comma(input);
                Expr::Invalid
            })
        },
        invalid: || Expr::Invalid,
        starts: starts_expr,
    };
    list.parse(input, diagnostics)
}

pub(super) fn argument(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Expr> {
    let has_name = input.peek(Ident);
    if has_name && input.peek2(Token![:]) && !input.peek2(Token![::]) {
        let name = input.parse()?;
        input.parse::<Token![:]>()?;
        let value = expr(input, diagnostics)?;
        return Ok(Expr::Named(name, None, Box::new(value)));
    }
    let is_mark = input.peek2(Token![=]) && !input.peek2(Token![=>]) && !input.peek2(Token![==]);
    if has_name && is_mark {
        let name = input.parse()?;
        let mark = input.parse()?;
        let value = expr(input, diagnostics)?;
        return Ok(Expr::Named(name, Some(mark), Box::new(value)));
    }
    expr(input, diagnostics)
}

pub(super) fn starts_expr(input: ParseStream<'_>) -> bool {
    input.peek(token::Bracket) || starts_value(input)
}

fn starts_value(input: ParseStream<'_>) -> bool {
    input.peek(Token![-])
        || input.peek(Token![_])
        || input.peek(Lit)
        || input.peek(Ident)
        || input.peek(Token![::])
        || input.peek(Token![crate])
        || input.peek(Token![self])
        || input.peek(Token![super])
}

/// Anything that may stand right of a colon or in a list.
pub(super) fn expr(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Expr> {
    if input.peek(token::Bracket) {
        let content;
        let bracket = bracketed!(content in input);
        let items = arguments(&content, diagnostics);
        if input.peek(Token![=>]) {
            return Err(inputs_in_brackets(input, bracket, &items));
        }
        return Ok(Expr::List(bracket, items));
    }
    if let Some(list) = list_in_other_brackets(input, diagnostics)? {
        return Ok(list);
    }
    if let Some(error) = generic_arguments(input) {
        return Err(error);
    }
    if input.peek(Ident) && input.peek2(token::Paren) {
        let name: Ident = input.parse()?;
        let content;
        parenthesized!(content in input);
        if name == "Ode" && starts_entry(&content) {
            return Ok(clauses(name, &content, diagnostics));
        }
        let arguments = if name == "Custom" {
            types(&content, diagnostics)
        } else {
            arguments(&content, diagnostics)
        };
        return Ok(Expr::Call(name, arguments));
    }
    if input.peek(Ident) && input.peek2(token::Bracket) {
        let name: Ident = input.parse()?;
        let content;
        let bracket = bracketed!(content in input);
        if name == "Ode" && starts_entry(&content) {
            return Ok(clauses(name, &content, diagnostics));
        }
        let layers = arguments(&content, diagnostics);
        return Ok(Expr::Nested(name, bracket, layers));
    }
    if input.peek(Ident) && input.peek2(token::Brace) {
        let name = input.parse()?;
        let content;
        braced!(content in input);
        return Ok(Expr::Block(name, entries(&content, diagnostics)));
    }
    if input.peek(Token![..]) {
        let message = format!("expected the start of the span, found {}", found(input));
        return Err(at(input.span(), message, "write `0.0..1.0`"));
    }
    let from = value(
        input,
        "a value",
        "write a number, a name, or a list in brackets",
    )?;
    if input.peek(Token![=>]) {
        input.parse::<Token![=>]>()?;
        return Ok(Expr::Edge(from, output(input)?));
    }
    if input.peek(Token![->]) {
        let arrow = input.parse::<Token![->]>()?;
        let to = output(input)?;
        let help = format!("write `{} => {}`", from.text(), to.text());
        diagnostics.error(arrow, "expected `=>`, found `->`", help);
        return Ok(Expr::Edge(from, to));
    }
    if input.peek(Token![..=]) || input.peek(Token![...]) {
        let message = format!("expected `..`, found {}", found(input));
        let dots = if input.peek(Token![..=]) {
            input.parse::<Token![..=]>()?.into_token_stream()
        } else {
            input.parse::<Token![...]>()?.into_token_stream()
        };
        let to = end(input)?;
        let help = format!("write `{}..{}`", from.text(), to.text());
        diagnostics.error(dots, message, help);
        return Ok(Expr::Range(from, to));
    }
    if input.peek(Token![..]) {
        input.parse::<Token![..]>()?;
        return Ok(Expr::Range(from, end(input)?));
    }
    Ok(Expr::Value(whole(input, from)?))
}

/// The clauses of an `Ode` in brackets that are no braces.
fn clauses(name: Ident, content: ParseStream<'_>, diagnostics: &mut Diagnostics) -> Expr {
    diagnostics.error(&name, CLAUSES_IN_BRACES, CLAUSES_HELP);
    Expr::Block(name, entries(content, diagnostics))
}

fn output(input: ParseStream<'_>) -> syn::Result<Value> {
    let output = value(input, "the number of outputs", "write `inputs => outputs`")?;
    whole(input, output)
}

fn end(input: ParseStream<'_>) -> syn::Result<Value> {
    let end = value(input, "the end of the span", "write `0.0..1.0`")?;
    whole(input, end)
}

/// A number, `_` or a path.
fn value(input: ParseStream<'_>, what: &str, help: &str) -> syn::Result<Value> {
    let wrong = |input: ParseStream<'_>, what: &str| {
        at(
            input.span(),
            format!("expected {what}, found {}", found(input)),
            help,
        )
    };
    if input.peek(Token![-]) {
        let minus = input.parse()?;
        if !input.peek(Lit) {
            return Err(wrong(input, "a number after `-`"));
        }
        return Ok(Value::Number(Some(minus), input.parse()?));
    }
    if input.peek(Token![_]) {
        return Ok(Value::Infer(input.parse()?));
    }
    if input.peek(Lit) {
        return Ok(Value::Number(None, input.parse()?));
    }
    if starts_value(input) {
        return Ok(Value::Path(input.call(syn::Path::parse_mod_style)?));
    }
    Err(wrong(input, what))
}
