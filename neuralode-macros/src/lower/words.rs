//! Single words and numbers: sizes, and names out of a closed set.

use syn::{Ident, Type};

use crate::{
    ast::{Expr, Value},
    check,
    model::{same_path, Condition, ConditionKind, Quantity, Size, Written},
    suggest,
};

use super::Lowering;

impl Lowering<'_> {
    /// A size that was written out, reported unless it is a positive integer or a constant.
    pub(super) fn size(&mut self, expr: &Expr, example: &'static str) -> Option<Written> {
        match expr {
            Expr::Value(value) => self.written(value, example),
            Expr::Invalid => None,
            other => {
                self.diagnostics.error(
                    other,
                    "expected a size: a positive integer or a constant",
                    format!("write a number such as `{example}`"),
                );
                None
            }
        }
    }

    pub(super) fn width(&mut self, value: &Value) -> Option<Written> {
        self.written(value, "20")
    }

    /// The parameter of the model that a path names, and its type.
    fn parameter(&self, path: &syn::Path) -> Option<(Ident, Type)> {
        let name = path.get_ident()?;
        let kind = self.generics.constant(name)?;
        Some((name.clone(), kind.clone()))
    }

    fn written(&mut self, value: &Value, example: &'static str) -> Option<Written> {
        let size = match value {
            Value::Path(path) if self.parameter(path).is_some() => {
                let (name, kind) = self.parameter(path)?;
                if !check::parameter_is_size(&name, &kind, self.diagnostics) {
                    return None;
                }
                Size::Parameter(name)
            }
            Value::Path(path) => {
                // One message for a constant of zero, however often it is used.
                if !self.constants.iter().any(|seen| same_path(seen, path)) {
                    self.constants.push(path.clone());
                    let kind = ConditionKind::Positive(Size::Constant(path.clone()));
                    self.conditions.push(Condition::new(path, kind));
                }
                Size::Constant(path.clone())
            }
            Value::Infer(_) => {
                self.diagnostics.error(
                    value,
                    "only a number of inputs can be inferred",
                    format!("write a number such as `{example}`"),
                );
                return None;
            }
            Value::Number(minus, lit) => Size::Literal(check::width(
                value,
                minus.is_some(),
                lit,
                example,
                self.diagnostics,
            )?),
        };
        Some(Written {
            size,
            tokens: value.clone(),
        })
    }

    /// Leaves it to the compiler whether a constant in the place of a number is in its domain, once for each place.
    /// Returns the number as it was first written: a constant of another type is wrong there.
    pub(super) fn in_domain(&mut self, value: Value, quantity: Quantity) -> Value {
        let Value::Path(path) = value else {
            return value;
        };
        if let Some((name, kind)) = self.parameter(&path) {
            check::parameter_is_number(&name, &kind, self.diagnostics);
            return Value::Path(path);
        }
        let seen: Vec<&(syn::Path, Quantity)> = self
            .numbers
            .iter()
            .filter(|(seen, _)| same_path(seen, &path))
            .collect();
        let first = seen
            .first()
            .map_or_else(|| path.clone(), |(first, _)| first.clone());
        let judged: Vec<Quantity> = seen.iter().map(|(_, quantity)| *quantity).collect();
        if !judged.contains(&quantity) {
            let kind = ConditionKind::InDomain {
                number: Value::Path(first.clone()),
                quantity,
                judged,
            };
            self.conditions.push(Condition::new(&path, kind));
            self.numbers.push((path, quantity));
        }
        Value::Path(first)
    }

    /// The word that `name` is. Reports `unknown` if it is none, and takes the closest for it if one is close.
    pub(super) fn resolve<'w>(
        &mut self,
        name: &Ident,
        words: &[&'w str],
        unknown: impl core::fmt::Display,
    ) -> Option<&'w str> {
        let written = name.to_string();
        if let Some(word) = words.iter().find(|word| **word == written) {
            return Some(word);
        }
        let closest = suggest::closest(&written, words);
        let help = suggest::help(closest, words);
        self.diagnostics.error(name, unknown, help);
        closest
    }

    /// A value that is one word out of a closed set: `adjoint: Interpolating`
    pub(super) fn word<'w, T>(
        &mut self,
        value: &Expr,
        what: &str,
        names: &[&'w str],
        named: impl Fn(&'w str) -> Option<T>,
    ) -> Option<T> {
        let ident = match value {
            Expr::Value(value) => value.as_ident(),
            Expr::Invalid => return None,
            _ => None,
        };
        let Some(ident) = ident else {
            self.diagnostics.error(
                value,
                format!("expected the name of {what}{}", found(value)),
                format!("write {}", suggest::list(names)),
            );
            return None;
        };
        let kind = what.split_once(' ').map_or(what, |(_, kind)| kind);
        let word = self.resolve(ident, names, format_args!("unknown {kind} `{ident}`"))?;
        named(word)
    }
}

/// ", found ..." for short values, else nothing.
pub(super) fn found(value: &Expr) -> String {
    match value {
        Expr::Value(value) => format!(", found `{}`", value.text()),
        Expr::Call(name, _)
        | Expr::Block(name, _)
        | Expr::Nested(name, ..)
        | Expr::Named(name, ..) => format!(", found `{name}`"),
        Expr::Edge(from, to) => format!(", found `{} => {}`", from.text(), to.text()),
        Expr::Range(from, to) => format!(", found `{}..{}`", from.text(), to.text()),
        Expr::List(..) => ", found a list".to_owned(),
        Expr::Type(path, _) => format!(", found `{}`", Value::Path(path.clone()).text()),
        Expr::Invalid => String::new(),
    }
}
