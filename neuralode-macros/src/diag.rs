//! Collects diagnostics, so that one run of the macro reports all mistakes.

use proc_macro2::TokenStream;
use quote::ToTokens;

/// The errors found so far.
#[derive(Default)]
pub(crate) struct Diagnostics {
    errors: Vec<syn::Error>,
}

impl Diagnostics {
    /// Reports `message` at `tokens`, underlined from the first to the last, with a line that says what to
    /// write instead. Stable macros cannot attach a note, so the line is part of the message.
    pub(crate) fn error(
        &mut self,
        tokens: impl ToTokens,
        message: impl core::fmt::Display,
        help: impl core::fmt::Display,
    ) {
        let text = format!("{message}\nhelp: {help}");
        self.errors.push(syn::Error::new_spanned(tokens, text));
    }

    /// Reports what the parser found at one place.
    pub(crate) fn push(&mut self, error: syn::Error) {
        self.errors.push(error);
    }

    /// How much was reported so far.
    pub(crate) fn mark(&self) -> usize {
        self.errors.len()
    }

    /// Takes back what was reported since then.
    pub(crate) fn forget_since(&mut self, mark: usize) {
        self.errors.truncate(mark);
    }

    /// Whether nothing was reported.
    pub(crate) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// One `compile_error!` per mistake.
    pub(crate) fn into_compile_errors(self) -> Vec<TokenStream> {
        self.errors
            .into_iter()
            .flatten()
            .map(syn::Error::into_compile_error)
            .collect()
    }

    /// The mistakes, for tests.
    #[cfg(test)]
    pub(crate) fn into_errors(self) -> Vec<syn::Error> {
        self.errors.into_iter().flatten().collect()
    }
}
