//! The rules that a model must keep: one small function each, with the mistake it finds.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Ident, Lit};

use crate::{
    ast::Value,
    diag::Diagnostics,
    lower::digits,
    model::{Condition, ConditionKind, Size, Written},
};

/// Two stages, clauses or settings of one name: `head: ..., head: ...`
pub(crate) fn no_duplicates<'a>(
    names: impl Iterator<Item = &'a Ident>,
    what: &str,
    diagnostics: &mut Diagnostics,
) {
    let mut seen: Vec<&Ident> = Vec::new();
    for name in names {
        if seen.contains(&name) {
            diagnostics.error_with_help(
                name,
                format!("the {what} `{name}` is declared twice"),
                "remove or rename one of the two",
            );
        } else {
            seen.push(name);
        }
    }
}

/// A width that is no positive integer: `Dense(0 => 10)`, `Dense(2.5 => 10)`, `Dense(-3 => 10)`
pub(crate) fn width(
    at: &Value,
    negative: bool,
    lit: &Lit,
    diagnostics: &mut Diagnostics,
) -> Option<usize> {
    let found = at.to_token_stream().to_string().replace("- ", "-");
    let Lit::Int(int) = lit else {
        diagnostics.error(
            at,
            format!("expected a positive integer width, found `{found}`"),
        );
        return None;
    };
    if !matches!(int.suffix(), "" | "usize") {
        diagnostics.error_with_help(
            at,
            format!("a width is a `usize`, found the suffix `{}`", int.suffix()),
            format!("write `{}`", int.base10_digits()),
        );
        return None;
    }
    match int.base10_parse::<usize>() {
        Ok(size) if size > 0 && !negative => Some(size),
        Ok(_) => {
            diagnostics.error(
                at,
                format!("expected a positive integer width, found `{found}`"),
            );
            None
        }
        Err(_) => {
            diagnostics.error(at, format!("the width `{found}` overflows `usize`"));
            None
        }
    }
}

/// Layers that do not fit: `Dense(20 => 10), Dense(12 => 10)`
pub(crate) fn feeds(
    produced: &Size,
    taken: &Written,
    feeder: &str,
    diagnostics: &mut Diagnostics,
) -> Option<Condition> {
    if produced.is_surely(&taken.size) {
        return None;
    }
    if let (Some(produced), Some(size)) = (produced.known(), taken.size.known()) {
        diagnostics.error_with_help(
            &taken.tokens,
            format!("this layer takes {size} inputs, but {feeder} {produced}"),
            format!("write `{produced}` here, or `_` to infer it"),
        );
        return None;
    }
    Some(Condition::new(
        &taken.tokens,
        ConditionKind::Feeds {
            produced: produced.clone(),
            taken: taken.size.clone(),
        },
    ))
}

/// A field that does not map the state to its derivative: a state of 20, a last layer `Dense(10 => 12)`
pub(crate) fn returns_state(
    produced: &Size,
    state: &Size,
    at: TokenStream,
    diagnostics: &mut Diagnostics,
) -> Option<Condition> {
    if produced.is_surely(state) {
        return None;
    }
    if let (Some(produced), Some(state)) = (produced.known(), state.known()) {
        diagnostics.error_with_help(
            at,
            format!(
                "a field must return the shape of its state: the state has {state} features, but the last \
                 layer produces {produced}"
            ),
            format!("write `{state}` here"),
        );
        return None;
    }
    Some(Condition::new(
        at,
        ConditionKind::ReturnsState {
            produced: produced.clone(),
            state: state.clone(),
        },
    ))
}

/// A value that is no number: `span: "now"..1.0`. A literal gives its value, a constant gives NaN.
pub(crate) fn number(value: &Value, what: &str, diagnostics: &mut Diagnostics) -> Option<f64> {
    let complain = |diagnostics: &mut Diagnostics| {
        let found = value.to_token_stream();
        diagnostics.error(
            value,
            format!("expected {what} as a number or a constant, found `{found}`"),
        );
    };
    match value {
        Value::Path(_) => Some(f64::NAN),
        Value::Infer(_) => {
            complain(diagnostics);
            None
        }
        Value::Number(minus, lit) => {
            let Some((digits, suffix)) = digits(lit) else {
                complain(diagnostics);
                return None;
            };
            if !matches!(suffix, "" | "f64") {
                diagnostics.error_with_help(
                    value,
                    format!("time and tolerances are `f64`, found the suffix `{suffix}`"),
                    format!("write `{digits}`"),
                );
                return None;
            }
            let size: f64 = digits.parse().ok()?;
            if !size.is_finite() {
                diagnostics.error(value, format!("`{digits}` overflows `f64`"));
                return None;
            }
            Some(if minus.is_some() { -size } else { size })
        }
    }
}

/// A tolerance outside its domain: `rtol: 0.0`, `atol: -1e-3`, `rtol: 2`
pub(crate) fn tolerance(
    value: &Value,
    name: &str,
    below: Option<f64>,
    diagnostics: &mut Diagnostics,
) -> bool {
    let Some(number) = number(value, "a tolerance", diagnostics) else {
        return false;
    };
    let found = value.to_token_stream().to_string().replace("- ", "-");
    if number <= 0.0 {
        diagnostics.error_with_help(
            value,
            format!("`{name}` must be positive, found `{found}`"),
            "1e-3 is usual for training, 1e-6 for accurate solutions",
        );
        return false;
    }
    if below.is_some_and(|below| number >= below) {
        diagnostics.error_with_help(
            value,
            format!("`{name}` must be below 1, found `{found}`"),
            "1e-3 is usual for training, 1e-6 for accurate solutions",
        );
        return false;
    }
    true
}
