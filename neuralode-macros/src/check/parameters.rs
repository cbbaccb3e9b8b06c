//! The rules for generic parameters.

use quote::ToTokens;
use syn::{GenericParam, Ident, Type};

use crate::{
    ast::Value,
    diag::Diagnostics,
    generics::{is_size, Generics},
    model::Shape,
};

use super::no_duplicates;

/// Names that generated code gives to its own generic parameters.
const RESERVED: &[&str] = &[
    "Elem", "Dev", "E2", "D2", "V", "Batch", "Tp", "Start", "Input", "Visitor", "Set", "Num",
    "LANES",
];

/// Whether generated code gives this name to a generic parameter of its own.
pub(crate) fn is_reserved(name: &Ident) -> bool {
    RESERVED.iter().any(|word| name == word)
}

/// Generic parameters under names that generated code uses: `struct Flow<const LANES: usize>`
pub(crate) fn parameters(generics: &Generics, diagnostics: &mut Diagnostics) {
    let mut seen: Vec<&Ident> = Vec::new();
    for parameter in &generics.parameters {
        let name = match parameter {
            GenericParam::Const(parameter) => &parameter.ident,
            GenericParam::Type(parameter) => &parameter.ident,
            GenericParam::Lifetime(_) => continue,
        };
        if is_reserved(name) {
            diagnostics.error(
                name,
                format!("generated code has a parameter `{name}` of its own"),
                "write another name",
            );
        }
        let text = name.to_string();
        if text.starts_with(char::is_lowercase) {
            diagnostics.error(
                name,
                format!(
                    "the parameter `{name}` has a name like those of variables in generated code"
                ),
                format!("write `{}`", text.to_uppercase()),
            );
        }
        seen.push(name);
    }
    no_duplicates(seen.into_iter(), "parameter", diagnostics);
}

/// A parameter that is no size: `struct Flow<const DEEP: bool>`, `Dense(4 => DEEP)`
pub(crate) fn parameter_is_size(name: &Ident, kind: &Type, diagnostics: &mut Diagnostics) -> bool {
    if is_size(kind) {
        return true;
    }
    let kind = kind.to_token_stream();
    diagnostics.error(
        name,
        format!("sizes are `usize`, but the parameter `{name}` is a `{kind}`"),
        format!("declare it as `const {name}: usize`"),
    );
    false
}

/// A parameter in the place of a number, which none can be: `Rk4 { dt: N }`
pub(crate) fn parameter_is_number(name: &Ident, kind: &Type, diagnostics: &mut Diagnostics) {
    let kind = kind.to_token_stream();
    diagnostics.error(
        name,
        format!("times, tolerances and coefficients are `f64`, but the parameter `{name}` is a `{kind}`"),
        "write a number, or the name of a constant",
    );
}

/// Parameters among several axes: `input: [28, N]`. Their product would be a size computed from them.
pub(crate) fn alone_if_open(shape: &Shape, at: &[Value], diagnostics: &mut Diagnostics) -> bool {
    if shape.len() == 1 {
        return true;
    }
    let open = shape.iter().zip(at).find(|(size, _)| size.is_open());
    let Some((size, at)) = open else {
        return true;
    };
    diagnostics.error(
        at,
        format!(
            "the parameter `{size}` is one of {} axes, and no size can be computed from it",
            shape.len()
        ),
        "write a number or a constant; a parameter may be the only axis of a shape",
    );
    false
}
