//! Collects diagnostics, so that one run of the macro reports all mistakes of a phase.

use proc_macro2::TokenStream;
use quote::ToTokens;

/// The errors found so far.
#[derive(Default)]
pub(crate) struct Diagnostics {
    errors: Vec<syn::Error>,
}

impl Diagnostics {
    /// Reports `message` at `tokens`, underlined from the first to the last.
    pub(crate) fn error(&mut self, tokens: impl ToTokens, message: impl core::fmt::Display) {
        self.errors.push(syn::Error::new_spanned(tokens, message));
    }

    /// Reports `message` at `tokens`, with a line that says what to write instead. Stable macros cannot
    /// attach a note, so the line is part of the message.
    pub(crate) fn error_with_help(
        &mut self,
        tokens: impl ToTokens,
        message: impl core::fmt::Display,
        help: impl core::fmt::Display,
    ) {
        self.error(tokens, format!("{message}\nhelp: {help}"));
    }

    /// Takes over an error of the parser.
    pub(crate) fn push(&mut self, error: syn::Error) {
        self.errors.push(error);
    }

    /// Whether a phase may hand over to the next.
    pub(crate) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// One `compile_error!` per mistake.
    pub(crate) fn into_compile_errors(self) -> TokenStream {
        self.errors
            .into_iter()
            .map(syn::Error::into_compile_error)
            .collect()
    }
}
