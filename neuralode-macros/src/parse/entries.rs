//! `name: value`, between braces.

use syn::{ext::IdentExt, parenthesized, parse::ParseStream, token, Attribute, Ident, Lit, Token};

use crate::{
    ast::{Entry, Expr, Parameters},
    diag::Diagnostics,
};

use super::{
    recover::{at, found, sketch, skip_to_comma, skip_to_entry, List},
    values::{expr, starts_expr},
};

/// `a: 1, b: 2`
pub(super) fn entries(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> Vec<Entry> {
    let list = List {
        item: |input, diagnostics| {
            entry(input, diagnostics).unwrap_or_else(|error| {
                diagnostics.push(error);
                skip_to_entry(input);
                Entry::INVALID
            })
        },
        invalid: || Entry::INVALID,
        starts: |input| input.peek(Ident::peek_any) || input.peek(Token![#]),
    };
    list.parse(input, diagnostics)
}

/// `name: value` or `name(t, y): value`
fn entry(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Entry> {
    let attributes = input.call(Attribute::parse_outer)?;
    let mut entry = Entry {
        attributes,
        ..Entry::INVALID
    };
    if is_nameless(input) {
        let message = format!("expected a name before {}", found(input));
        let help = format!("write `name: {}`", sketch(input));
        diagnostics.push(at(input.span(), message, help));
    } else {
        let name = name(input, diagnostics)?;
        if input.peek(token::Paren) {
            entry.parameters = Some(parameters(input, diagnostics)?);
        }
        let has_value = colon(&name, input, diagnostics)?;
        entry.name = Some(name);
        if !has_value {
            skip_to_entry(input);
            return Ok(entry);
        }
    }
    entry.value = expr(input, diagnostics).unwrap_or_else(|error| {
        diagnostics.push(error);
        skip_to_entry(input);
        Expr::Invalid
    });
    Ok(entry)
}

/// The colon behind a name, or what was written for it: `name = value`, `name value`. Whether a value is
/// there to be parsed.
fn colon(name: &Ident, input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<bool> {
    if input.peek(Token![:]) && !input.peek(Token![::]) {
        input.parse::<Token![:]>()?;
        return Ok(true);
    }
    let (place, found) = (input.span(), found(input));
    if input.peek(Token![=>]) {
        input.parse::<Token![=>]>()?;
    } else if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
    }
    let has_value = starts_expr(input);
    let value = if has_value {
        sketch(input)
    } else {
        "...".to_owned()
    };
    let message = format!("expected `:` after `{name}`, found {found}");
    diagnostics.push(at(place, message, format!("write `{name}: {value}`")));
    Ok(has_value)
}

/// Whether a value stands where an entry should begin: `Dense(4 => 2)`, `[tanh]`, `Ode { ... }`, `4`. What is
/// called is a layer by its capital letter; `field(t, y)` without a colon is an entry.
fn is_nameless(input: ParseStream<'_>) -> bool {
    if input.peek(token::Bracket) || input.peek(Lit) {
        return true;
    }
    if !input.peek(Ident) {
        return false;
    }
    let ahead = input.fork();
    let Ok(name) = ahead.parse::<Ident>() else {
        return false;
    };
    ahead.peek(token::Brace)
        || ahead.peek(token::Paren) && name.to_string().starts_with(char::is_uppercase)
}

fn name(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Ident> {
    if input.peek(Ident) {
        return input.parse();
    }
    let found = found(input);
    if input.peek(Ident::peek_any) && !input.peek(Token![_]) {
        let name = input.call(Ident::parse_any)?;
        let word = name.to_string();
        let raw = !matches!(word.as_str(), "self" | "super" | "crate" | "Self");
        let help = if raw {
            format!("write `r#{word}`")
        } else {
            "write another name".to_owned()
        };
        let message = format!("expected a name, found the keyword {found}");
        diagnostics.error(&name, message, help);
        return Ok(if raw {
            Ident::new_raw(&word, name.span())
        } else {
            Ident::new("name", name.span())
        });
    }
    let message = format!("expected a name, found {found}");
    Err(at(input.span(), message, "write `name: value`"))
}

fn parameters(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Parameters> {
    let content;
    let paren = parenthesized!(content in input);
    let list = List {
        item: parameter,
        invalid: || None,
        starts: |input| input.peek(Ident),
    };
    let names = list.parse(&content, diagnostics);
    Ok(Parameters { paren, names })
}

fn parameter(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> Option<Ident> {
    let name = input.peek(Ident).then(|| input.parse().ok()).flatten();
    let message = if name.is_none() {
        format!("expected the name of a parameter, found {}", found(input))
    } else if input.peek(Token![:]) {
        "expected a parameter without a type, found `:`".to_owned()
    } else {
        return name;
    };
    diagnostics.push(at(input.span(), message, "write `field(t, y)`"));
    skip_to_comma(input);
    None
}
