//! What Rust and other libraries write where this macro has a form of its own: recognised, so that one message says how
//! it is written here.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    braced,
    ext::IdentExt,
    parenthesized,
    parse::{discouraged::Speculative, ParseStream},
    token, AngleBracketedGenericArguments, Ident, Token,
};

use crate::{
    ast::{Expr, Value},
    diag::Diagnostics,
};

use super::{recover::at, values::arguments};

/// Whether an entry stands here: `name: value` or `field(t, y): value`.
pub(super) fn starts_entry(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    if ahead.call(Ident::parse_any).is_err() {
        return false;
    }
    if ahead.peek(token::Paren) {
        let _ = ahead.parse::<TokenTree>();
    }
    ahead.peek(Token![:]) && !ahead.peek(Token![::])
}

/// A list in parentheses or braces, `(Flatten, Dense(20))`, which is reported and taken for one in brackets.
pub(super) fn list_in_other_brackets(
    input: ParseStream<'_>,
    diagnostics: &mut Diagnostics,
) -> syn::Result<Option<Expr>> {
    let place = input.span();
    let content;
    let (found, span) = if input.peek(token::Paren) {
        ("(", parenthesized!(content in input).span)
    } else if input.peek(token::Brace) && !begins_with_entry(input) {
        ("{", braced!(content in input).span)
    } else {
        return Ok(None);
    };
    diagnostics.push(at(
        place,
        format!("expected a list in brackets, found `{found}`"),
        "write `[` and `]` around it",
    ));
    let items = arguments(&content, diagnostics);
    if items.is_empty() || input.peek(Token![=>]) {
        // What follows was reported with it.
        super::recover::skip_to_comma(input);
        return Ok(Some(Expr::Invalid));
    }
    Ok(Some(Expr::List(token::Bracket { span }, items)))
}

/// Whether the braces that follow hold entries.
fn begins_with_entry(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    let inner = |ahead: ParseStream<'_>| -> syn::Result<bool> {
        let content;
        braced!(content in ahead);
        let begins = starts_entry(&content);
        super::recover::skip_all(&content);
        Ok(begins)
    };
    inner(&ahead).unwrap_or(false)
}

/// `Dense<2, 8>`, as in dfdx: the error, behind it.
pub(super) fn generic_arguments(input: ParseStream<'_>) -> Option<syn::Error> {
    let ahead = input.fork();
    let name: Ident = ahead.parse().ok()?;
    if !ahead.peek(Token![<]) && !ahead.peek(Token![::]) {
        return None;
    }
    let given: AngleBracketedGenericArguments = ahead.parse().ok()?;
    if ahead.peek(token::Paren) {
        let _ = ahead.parse::<TokenTree>();
    }
    input.advance_to(&ahead);
    let texts: Vec<String> = given.args.iter().map(text).collect();
    let arguments = match texts.as_slice() {
        [inputs, outputs] => format!("{inputs} => {outputs}"),
        _ => "...".to_owned(),
    };
    let message = format!("expected the arguments of `{name}` in parentheses");
    let help = format!("write `{name}({arguments})`");
    Some(syn::Error::new_spanned(
        given,
        format!("{message}\nhelp: {help}"),
    ))
}

/// `[t, y] => 8`, or another list for the number of inputs, of which the brackets have been read: the error.
pub(super) fn inputs_in_brackets(
    input: ParseStream<'_>,
    bracket: token::Bracket,
    items: &[Expr],
) -> syn::Error {
    let _ = input.parse::<Token![=>]>();
    let outputs = input.fork().parse::<TokenTree>();
    let outputs = outputs.map_or_else(|_| "20".to_owned(), |outputs| outputs.to_string());
    let time = items.first().and_then(Expr::head);
    let help = match time {
        Some(time) => format!(
            "the state enters by itself; add the time by a layer before this one: `Append({time}), Dense({outputs})`"
        ),
        None => "write a number such as `20`, or `_` to infer it".to_owned(),
    };
    let message = "expected a number of inputs, found a list";
    at(bracket.span.join(), message, help)
}

/// The value, unless it goes on as an expression.
pub(super) fn whole(input: ParseStream<'_>, value: Value) -> syn::Result<Value> {
    const OPERATORS: [char; 7] = ['+', '-', '*', '/', '%', '^', '<'];
    let Some((operator, rest)) = input.cursor().punct() else {
        return Ok(value);
    };
    if let Some((found, layer)) =
        layer_of_expression(&value, rest.token_stream(), operator.as_char())
    {
        let name = value.text();
        return Err(at(
            operator.span(),
            format!("what happens to `{name}` is written as a layer, found `{found}`"),
            format!("write `{layer}`"),
        ));
    }
    // Two points are those of a range.
    let next = rest.token_stream().into_iter().next();
    let is_call = operator.as_char() == '.' && matches!(next, Some(TokenTree::Ident(_)));
    if is_call || OPERATORS.contains(&operator.as_char()) {
        return Err(at(
            operator.span(),
            format!("expected a number or a constant, found an expression with `{operator}`"),
            "write its value, or the name of a `const` that holds it",
        ));
    }
    Ok(value)
}

/// The layer that an expression of a variable means, behind the expression: `y ** 3`, `y * y`, `y.powi(3)`, `y.tanh()`
fn layer_of_expression(
    value: &Value,
    rest: TokenStream,
    operator: char,
) -> Option<(String, String)> {
    let name = value.as_ident()?.to_string();
    if !name.starts_with(char::is_lowercase) {
        return None;
    }
    let mut rest = rest.into_iter();
    match (operator, rest.next()?) {
        ('*', TokenTree::Punct(star)) if star.as_char() == '*' => {
            let exponent = rest.next()?;
            Some((format!("{name} ** {exponent}"), format!("Pow({exponent})")))
        }
        ('*', TokenTree::Ident(other)) if other == name => {
            Some((format!("{name} * {name}"), "Pow(2)".to_owned()))
        }
        ('^', exponent) => Some((format!("{name} ^ {exponent}"), format!("Pow({exponent})"))),
        ('.', TokenTree::Ident(method)) => {
            let TokenTree::Group(arguments) = rest.next()? else {
                return None;
            };
            let layer = if method == "powi" || method == "powf" {
                format!("Pow({})", arguments.stream())
            } else {
                method.to_string()
            };
            Some((format!("{name}.{method}{arguments}"), layer))
        }
        _ => None,
    }
}

fn text(tokens: &impl ToTokens) -> String {
    tokens.to_token_stream().to_string()
}
