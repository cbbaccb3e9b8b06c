//! The macros of `neuralode`; use them through that crate, whose documentation describes them.
//!
//! A macro goes through five phases, each its own module: `parse` (tokens to `ast`), `lower` (`ast` to
//! the typed `model`), `check` (the rules of the model, called while lowering), `codegen` (`model` to
//! Rust), and, after an error, `fallback` (items that keep the rest of the user's crate quiet). What was
//! reported in one phase is unknown to the next, which judges the rest.

#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unreachable
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a failing test panics"
    )
)]

mod ast;
mod check;
mod codegen;
mod diag;
mod fallback;
mod generics;
mod lower;
mod model;
mod parse;
mod suggest;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;

use crate::{ast::Definition, diag::Diagnostics, fallback::Stub, model::Model};

/// Declares a Neural ODE model. The documentation is at `neuralode::neural_ode!`.
#[proc_macro]
pub fn neural_ode(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand(input.into()).into()
}

/// Makes a Neural ODE model of a struct. The documentation is at `neuralode::OdeModel`.
#[proc_macro_derive(OdeModel, attributes(ode_model, layers, ode))]
pub fn derive_ode_model(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand_derive(input.into()).into()
}

/// Analyses; then generates the model, or reports what was found.
fn expand(input: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let definitions = parse::parse(input, &mut diagnostics);
    finish(definitions, diagnostics)
}

/// The same for a struct.
fn expand_derive(input: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let definition = match syn::parse2(input) {
        Ok(input) => parse::derive::derive(input, &mut diagnostics),
        Err(error) => {
            diagnostics.push(error);
            None
        }
    };
    finish(definition.into_iter().collect(), diagnostics)
}

fn finish(definitions: Vec<Definition>, mut diagnostics: Diagnostics) -> TokenStream {
    let crate_path = definitions
        .first()
        .and_then(|first| first.crate_path.clone());
    let (stubs, model) = analyse(definitions, &mut diagnostics);
    let items = match model {
        Some(model) if diagnostics.is_empty() => codegen::generate(&model),
        _ => fallback::generate(&stubs, diagnostics),
    };
    match crate_path {
        Some(path) => codegen::rooted(items, &path),
        None => items,
    }
}

/// Lowers and checks. The model is complete only if nothing was reported.
fn analyse(
    definitions: Vec<Definition>,
    diagnostics: &mut Diagnostics,
) -> (Vec<Stub>, Option<Model>) {
    let stubs = definitions.iter().map(Stub::of).collect();
    // A second model was reported; it is judged once it stands alone.
    let first = definitions.into_iter().next();
    let model = first.and_then(|definition| lower::lower(definition, diagnostics));
    (stubs, model)
}
