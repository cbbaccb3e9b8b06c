//! What stands between the parentheses of a layer: values by position, then settings by name.

use syn::Ident;

use crate::{ast::Expr, check};

use super::{foreign::foreign_setting, Lowering};

/// The arguments of a layer.
#[derive(Default)]
pub(super) struct Arguments<'e> {
    /// Those without a name, in order.
    pub(super) values: Vec<&'e Expr>,
    /// Those with a name that the layer knows.
    settings: Vec<(&'static str, &'e Expr)>,
    /// Whether a name was reported, which may stand for one that is missing.
    pub(super) misspelt: bool,
}

impl<'e> Arguments<'e> {
    /// The value of a setting, if it was given.
    pub(super) fn setting(&self, word: &str) -> Option<&'e Expr> {
        let found = self.settings.iter().find(|(name, _)| *name == word);
        found.map(|(_, value)| *value)
    }
}

impl Lowering<'_> {
    /// Sorts the arguments of the layer `layer`, of which it knows the settings `words`, and reports settings that it
    /// does not know or that are given twice.
    pub(super) fn arguments<'e>(
        &mut self,
        layer: &str,
        arguments: Option<&'e [Expr]>,
        words: &[&'static str],
    ) -> Arguments<'e> {
        let mut sorted = Arguments::default();
        let mut names: Vec<&Ident> = Vec::new();
        for argument in arguments.unwrap_or_default() {
            let Expr::Named(name, mark, value) = argument else {
                sorted.values.push(argument);
                continue;
            };
            if words.is_empty() {
                self.diagnostics.error(
                    name,
                    format!("`{layer}` takes no settings, found `{name}`"),
                    "remove it",
                );
                continue;
            }
            if let Some((message, help)) = foreign_setting(layer, name, value) {
                self.diagnostics.error(name, message, help);
                continue;
            }
            names.push(name);
            let unknown = format_args!("unknown setting `{name}` of `{layer}`");
            // A misspelt setting is one mistake, whatever its value.
            match self.resolve(name, words, unknown) {
                Some(word) if name == word => {
                    if let Some(mark) = mark {
                        let message = format!("expected `:` after `{name}`, found `=`");
                        let help = format!("write `{name}: ...`");
                        self.diagnostics.error(mark, message, help);
                    }
                    sorted.settings.push((word, value));
                }
                _ => sorted.misspelt = true,
            }
        }
        check::no_duplicates(names.into_iter(), "setting", self.diagnostics);
        sorted
    }
}
