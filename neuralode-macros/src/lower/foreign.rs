//! What other libraries write where this macro has a form of its own, as far as it can be parsed: recognised, so that
//! one message says how it is written here.

use syn::Ident;

use crate::{
    ast::{digits, Entry, Expr, Value},
    model::{Activation, Adjoint, LayerKind, Method},
    suggest,
};

use super::{ode::CLAUSES, Lowering};

/// What to say of a setting of layers elsewhere, and what to write.
pub(super) fn foreign_setting(layer: &str, name: &Ident, value: &Expr) -> Option<(String, String)> {
    if !matches!(layer, "Dense" | "Conv2d") {
        return None;
    }
    if name == "bias" {
        let message = format!("every `{layer}` has a bias, found the setting `bias`");
        return Some((message, "remove it".to_owned()));
    }
    if name == "activation" {
        let word = value.head().map_or("tanh".to_owned(), Ident::to_string);
        let message = format!("the activation of a `{layer}` has no name, found `activation`");
        let help = format!("write `{word}` alone, as the second argument");
        return Some((message, help));
    }
    None
}

/// Two widths with a comma between them, `4, 20`, for `4 => 20`.
pub(super) fn listed_widths<'e>(values: &[&'e Expr]) -> Option<(&'e Value, &'e Value)> {
    let [Expr::Value(inputs), Expr::Value(outputs), ..] = values else {
        return None;
    };
    let is_width = |value: &Value| match value {
        Value::Number(_, lit) => digits(lit).is_some(),
        // Constants are in capitals; anything else is an activation, right or wrong.
        Value::Path(path) => path.segments.last().is_some_and(|last| {
            let name = last.ident.to_string();
            let known = Activation::NAMES.contains(&name.to_lowercase().as_str());
            !known && !name.contains(char::is_lowercase)
        }),
        Value::Infer(_) => false,
    };
    let is_input = is_width(inputs) || matches!(inputs, Value::Infer(_));
    (is_input && is_width(outputs)).then_some((inputs, outputs))
}

/// Such arguments as they are written here: `4 => 20, tanh`
pub(super) fn with_arrow(values: &[&Expr]) -> String {
    let mut text = String::new();
    for (index, value) in values.iter().enumerate() {
        text.push_str(match index {
            0 => "",
            1 => " => ",
            _ => ", ",
        });
        match value {
            Expr::Value(value) => text.push_str(&value.text()),
            _ => text.push_str("..."),
        }
    }
    text
}

impl Lowering<'_> {
    /// The word that the name of a layer is. Reports an unknown one, with the call that was meant where two widths say
    /// so: `Linear(4, 20)`
    pub(super) fn layer_word(&mut self, name: &Ident, expr: &Expr) -> Option<&'static str> {
        let unknown = format!("unknown layer `{name}`");
        let closest = suggest::closest(&name.to_string(), LayerKind::NAMES);
        let (Some("Dense"), Expr::Call(_, arguments)) = (closest, expr) else {
            return self.resolve(name, LayerKind::NAMES, unknown);
        };
        let values: Vec<&Expr> = arguments.iter().collect();
        if name == "Dense" || listed_widths(&values).is_none() {
            return self.resolve(name, LayerKind::NAMES, unknown);
        }
        let help = format!("did you mean `Dense({})`?", with_arrow(&values));
        self.diagnostics.error(name, unknown, help);
        closest
    }

    /// The places of clauses that stand beside their block instead of in it, which are reported.
    pub(super) fn clauses_outside(&mut self, entries: &[Entry]) -> Vec<usize> {
        let mut places = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let Some(name) = &entry.name else { continue };
            let Some(clause) = CLAUSES.iter().find(|clause| name == *clause) else {
                continue;
            };
            let head = entry.value.head().map(Ident::to_string);
            let is_one_of = |words: &[&str]| {
                let head = head.as_deref();
                head.is_some_and(|head| suggest::closest(head, words).is_some())
            };
            let is_clause = match *clause {
                "field" => entry.parameters.is_some(),
                "span" => matches!(entry.value, Expr::Range(..)),
                "solver" => is_one_of(Method::NAMES),
                "adjoint" => is_one_of(Adjoint::NAMES),
                _ => is_one_of(&["End"]),
            };
            if is_clause {
                self.diagnostics.error(
                    name,
                    format!("`{name}` is a clause of an `Ode`, found it outside of one"),
                    "move it into the braces of its `Ode { ... }`",
                );
                self.outside.push(clause);
                places.push(index);
            }
        }
        places
    }
}
