//! Types of the user, between the parentheses of a `Custom`.

use syn::{parse::ParseStream, token, Ident, Token};

use crate::{ast::Expr, diag::Diagnostics};

use super::{
    recover::{skip_to_comma, List},
    values::{argument, expr, starts_expr},
};

/// `path::Type<8>`, `path::Type => 16`, or whatever else was written.
pub(super) fn types(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> Vec<Expr> {
    let list = List {
        item: |input, diagnostics| {
            type_or_argument(input, diagnostics).unwrap_or_else(|error| {
                diagnostics.push(error);
                skip_to_comma(input);
                Expr::Invalid
            })
        },
        invalid: || Expr::Invalid,
        starts: starts_expr,
    };
    list.parse(input, diagnostics)
}

fn type_or_argument(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Expr> {
    let is_named = input.peek2(Token![:]) && !input.peek2(Token![::]);
    let is_called =
        input.peek2(token::Paren) || input.peek2(token::Bracket) || input.peek2(token::Brace);
    let starts_path = input.peek(Ident)
        || input.peek(Token![::])
        || input.peek(Token![crate])
        || input.peek(Token![self])
        || input.peek(Token![super]);
    if is_named || is_called || !starts_path {
        return argument(input, diagnostics);
    }
    let path: syn::Path = input.parse()?;
    if !input.peek(Token![=>]) {
        return Ok(Expr::Type(path, None));
    }
    input.parse::<Token![=>]>()?;
    let shape = expr(input, diagnostics)?;
    Ok(Expr::Type(path, Some(Box::new(shape))))
}
