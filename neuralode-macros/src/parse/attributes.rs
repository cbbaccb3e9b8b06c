//! The macro's own attribute on a model: `#[neural_ode(crate = path)]`.

use syn::{Attribute, Path, Token};

use crate::diag::Diagnostics;

const HELP: &str = "write `#[neural_ode(crate = path::to::neuralode)]`";

/// Takes the attribute of the macro out of those of a model: where the library is, if it says so.
pub(super) fn crate_path(
    attributes: &mut Vec<Attribute>,
    diagnostics: &mut Diagnostics,
) -> Option<Path> {
    let is_ours = |attribute: &Attribute| attribute.path().is_ident("neural_ode");
    let (ours, others): (Vec<_>, Vec<_>) = attributes.drain(..).partition(is_ours);
    *attributes = others;
    let mut found = None;
    for attribute in ours {
        let mut path = None;
        let parsed = attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("crate") {
                return Err(meta.error(String::new()));
            }
            meta.input.parse::<Token![=]>()?;
            path = Some(meta.input.call(Path::parse_mod_style)?);
            Ok(())
        });
        match (parsed, path) {
            (Ok(()), Some(path)) if found.is_none() => found = Some(path),
            (Ok(()), Some(path)) => {
                diagnostics.error(
                    path,
                    "the path of the library is given twice",
                    "remove one of the two",
                );
            }
            _ => diagnostics.error(
                attribute,
                "expected `crate = path` in `neural_ode`, the path of the library",
                HELP,
            ),
        }
    }
    found
}
