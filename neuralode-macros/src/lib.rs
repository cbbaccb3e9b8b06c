//! The macros of `neuralode`; use them through that crate, whose documentation describes them.
//!
//! A macro goes through five phases, each its own module: `parse` (tokens to `ast`), `lower` (`ast` to
//! the typed `model`), `check` (the rules of the model, called while lowering), `codegen` (`model` to
//! Rust), and, after an error, `fallback` (items that keep the rest of the user's crate quiet).

#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unreachable
)]

mod ast;
mod check;
mod codegen;
mod diag;
mod fallback;
mod lower;
mod model;
mod parse;
mod suggest;

use proc_macro2::TokenStream;

/// Declares a Neural ODE model. The documentation is at `neuralode::neural_ode!`.
#[proc_macro]
pub fn neural_ode(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand(input.into()).into()
}

/// Parse, lower and check, generate; the first phase with errors is the last.
fn expand(input: TokenStream) -> TokenStream {
    let mut diagnostics = diag::Diagnostics::default();
    let Some(definition) = parse::parse(input, &mut diagnostics) else {
        return diagnostics.into_compile_errors();
    };
    let stub = fallback::Stub::of(&definition);
    // Entries that could not be parsed are missing; what is there is still worth checking, except for
    // what an entry's absence would make look wrong.
    if !diagnostics.is_empty() {
        return stub.with_errors(diagnostics);
    }
    match lower::lower(definition, &mut diagnostics) {
        Some(model) if diagnostics.is_empty() => codegen::generate(&model),
        _ => stub.with_errors(diagnostics),
    }
}
