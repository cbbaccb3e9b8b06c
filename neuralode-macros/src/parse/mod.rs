//! From tokens to the syntax tree. A mistake is reported and stepped over: what was meant is taken where it
//! is plain (`->` for `=>`, a missing comma), an [`Expr::Invalid`] stands where it is not, and parsing goes
//! on, so that one run shows every mistake.

mod attributes;
pub(crate) mod derive;
mod entries;
mod foreign;
mod generics;
mod recover;
mod types;
pub(crate) mod values;

use proc_macro2::TokenStream;
use syn::{
    braced,
    ext::IdentExt,
    parse::{ParseStream, Parser},
    token, Attribute, Ident, Token, Visibility,
};

use crate::{
    ast::{Definition, Entry},
    diag::Diagnostics,
};

use self::{
    attributes::crate_path,
    entries::entries,
    generics::generics,
    recover::{at, found, skip_all},
};

/// Parses the input of `neural_ode!`: the model and, already reported, any others behind it.
pub(crate) fn parse(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Vec<Definition> {
    let parser = |input: ParseStream<'_>| {
        let mut definitions = Vec::new();
        match definition(input, diagnostics) {
            Ok(definition) => definitions.push(definition),
            Err(error) => diagnostics.push(error),
        }
        while !definitions.is_empty() && !input.is_empty() {
            let found = found(input);
            let place = input.span();
            if let Ok(definition) = definition(input, &mut Diagnostics::default()) {
                let name = &definition.name;
                let help = format!("write `neural_ode! {{ struct {name} {{ ... }} }}` for it");
                diagnostics.error(name, "a second model in one `neural_ode!`", help);
                definitions.push(definition);
            } else {
                let message = format!("expected the end of the model, found {found}");
                diagnostics.push(at(place, message, "remove what follows the closing brace"));
                break;
            }
        }
        skip_all(input);
        Ok(definitions)
    };
    parser.parse2(tokens).unwrap_or_else(|error| {
        diagnostics.push(error);
        Vec::new()
    })
}

fn definition(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Definition> {
    let mut attributes = input.call(Attribute::parse_outer)?;
    let crate_path = crate_path(&mut attributes, diagnostics);
    let visibility: Visibility = input.parse()?;
    if !input.peek(Token![struct]) {
        let message = format!("expected `struct`, found {}", found(input));
        let help = "write `struct Name { input: [4], head: Dense(4 => 2) }`";
        let error = at(input.span(), message, help);
        if !(input.peek(Token![enum]) || input.peek(Token![union])) {
            return Err(error);
        }
        diagnostics.push(error);
    }
    input.call(Ident::parse_any)?;
    if !input.peek(Ident) {
        let message = format!("expected the name of the model, found {}", found(input));
        return Err(at(input.span(), message, "write `struct Name { ... }`"));
    }
    let name: Ident = input.parse()?;
    let generics = generics(&name, input, diagnostics)?;
    let entries = if input.peek(token::Brace) {
        let content;
        braced!(content in input);
        entries(&content, diagnostics)
    } else {
        let message = format!("expected `{{` after `{name}`, found {}", found(input));
        let help = format!("write `struct {name} {{ input: [4], head: Dense(4 => 2) }}`");
        diagnostics.push(at(input.span(), message, help));
        skip_all(input);
        vec![Entry::INVALID]
    };
    Ok(Definition {
        crate_path,
        attributes,
        visibility,
        name,
        generics,
        derived: None,
        entries,
    })
}
