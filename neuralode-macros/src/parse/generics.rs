//! `<const N: usize>`, behind the name of a model.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{parse::ParseStream, token, GenericParam, Ident, Token};

use crate::{check, diag::Diagnostics, generics::Generics};

use super::recover::{at, found};

/// The generic parameters of a model: constants alone, since the macro adds the dtype and the device.
pub(super) fn generics(
    name: &Ident,
    input: ParseStream<'_>,
    diagnostics: &mut Diagnostics,
) -> syn::Result<Generics> {
    let mut generics = Generics::default();
    if input.peek(Token![<]) {
        input.parse::<Token![<]>()?;
        while !input.is_empty() && !input.peek(Token![>]) {
            if let Some(parameter) = parameter(name, input, diagnostics)? {
                generics.parameters.push(parameter);
            }
            if input.peek(Token![,]) {
                input.parse::<Token![,]>()?;
            } else if !input.peek(Token![>]) {
                let message = format!("expected `,` or `>`, found {}", found(input));
                return Err(at(input.span(), message, "write `<const N: usize>`"));
            }
        }
        input.parse::<Token![>]>()?;
    }
    if input.peek(Token![where]) {
        let mut clause = TokenStream::new();
        while !input.is_empty() && !input.peek(token::Brace) {
            clause.extend([input.parse::<TokenTree>()?]);
        }
        diagnostics.error(
            clause,
            format!("a model has no `where` clause, found one on `{name}`"),
            "remove it; a constant has nothing to be bounded by",
        );
    }
    check::parameters(&generics, diagnostics);
    // The stub of a model with errors is declared with what is left.
    let mut seen = Vec::new();
    generics.parameters.retain(|parameter| {
        let GenericParam::Const(parameter) = parameter else {
            return true;
        };
        let is_new = !seen.contains(&parameter.ident);
        seen.push(parameter.ident.clone());
        is_new
    });
    // A name that generated code has for itself was reported; what stands for the model has it, too.
    generics.rename(check::is_reserved);
    Ok(generics)
}

/// `const N: usize`; anything else is reported.
fn parameter(
    name: &Ident,
    input: ParseStream<'_>,
    diagnostics: &mut Diagnostics,
) -> syn::Result<Option<GenericParam>> {
    let help = "write `<const N: usize>`; the macro adds the dtype and the device";
    let place = input.span();
    let message = if input.peek(Token![const]) {
        "expected a constant with its type".to_owned()
    } else {
        format!(
            "expected a constant such as `const N: usize`, found {}",
            found(input)
        )
    };
    let parameter: GenericParam = input.parse().map_err(|_| at(place, message, help))?;
    match parameter {
        GenericParam::Const(_) => Ok(Some(parameter)),
        other => {
            let other = other.to_token_stream();
            diagnostics.error(
                &other,
                format!("the generic parameters of `{name}` are constants, found `{other}`"),
                help,
            );
            Ok(None)
        }
    }
}
