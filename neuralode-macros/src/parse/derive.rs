//! The second front end: from a struct under `#[derive(OdeModel)]` to the same syntax tree.
//!
//! `#[ode_model(input: [28, 28])]` stands above the struct, `#[layers(...)]` or `#[ode(...)]` above a stage, and
//! `#[ode_model(skip)]` above a field that is none. What stands between the parentheses is the language of the macro.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{
    parse::ParseStream, punctuated::Punctuated, spanned::Spanned, token, Attribute, Data,
    DeriveInput, Fields, GenericParam, Ident, Path, Token, TypeParam, TypeParamBound,
    WherePredicate,
};

use crate::{
    ast::{Definition, Derived, Entry, Expr, Skipped},
    check,
    diag::Diagnostics,
    generics::{mentions, renamed, Generics},
};

use super::{
    entries::entries,
    recover::{at, found, skip_all},
    values::{arguments, expr},
};

const GENERICS: &str = "write `<E: Dtype, D: Device<E>>` as its last parameters";

/// The definition that a struct with its attributes is; `None` if it is none, which was reported.
pub(crate) fn derive(input: DeriveInput, diagnostics: &mut Diagnostics) -> Option<Definition> {
    let Data::Struct(data) = &input.data else {
        diagnostics.error(
            &input.ident,
            format!(
                "a model is a struct, found another kind of type in `{}`",
                input.ident
            ),
            "write a struct with a field for each stage",
        );
        return None;
    };
    let Fields::Named(fields) = &data.fields else {
        diagnostics.error(
            &input.ident,
            format!(
                "the stages of a model have names, found none in `{}`",
                input.ident
            ),
            "write a struct with named fields",
        );
        return None;
    };
    let Settings { shape, crate_path } = settings(&input, diagnostics);
    let (generics, dtype, device) = generics(&input, diagnostics)?;
    let mut stages = vec![shape];
    let mut derived = Derived {
        types: Vec::new(),
        skipped: Vec::new(),
    };
    for field in &fields.named {
        let Some(name) = &field.ident else {
            continue;
        };
        match stage(name, &field.attrs, diagnostics) {
            Stage::Entry(entry) => {
                stages.push(*entry);
                derived
                    .types
                    .push((name.clone(), field.ty.to_token_stream()));
            }
            Stage::Skipped => derived.skipped.push(Skipped {
                name: name.clone(),
                is_copied: !mentions(&field.ty.to_token_stream(), &|word| {
                    *word == dtype || *word == device
                }),
            }),
            Stage::Wrong => stages.push(Entry::INVALID),
        }
    }
    Some(Definition {
        crate_path,
        attributes: Vec::new(),
        visibility: input.vis,
        name: input.ident,
        generics,
        derived: Some(derived),
        entries: stages,
    })
}

/// What stands above the struct.
struct Settings {
    /// The entry `input`.
    shape: Entry,
    crate_path: Option<Path>,
}

fn settings(input: &DeriveInput, diagnostics: &mut Diagnostics) -> Settings {
    let mut settings = Settings {
        shape: Entry::INVALID,
        crate_path: None,
    };
    let mut is_given = false;
    for attribute in ours(&input.attrs, "ode_model") {
        let parsed = attribute.parse_args_with(|input: ParseStream<'_>| {
            while !input.is_empty() {
                if input.peek(Token![crate]) {
                    input.parse::<Token![crate]>()?;
                    input.parse::<Token![=]>()?;
                    settings.crate_path = Some(input.call(Path::parse_mod_style)?);
                } else if input.peek(Ident) {
                    let name: Ident = input.parse()?;
                    is_given = true;
                    if name != "input" {
                        diagnostics.error(
                            &name,
                            format!("unknown setting `{name}` of a model"),
                            "write `input: [4]`, `crate = path` or both",
                        );
                    }
                    input.parse::<Token![:]>().map_err(|_| {
                        let message =
                            format!("expected `:` after `{name}`, found {}", found(input));
                        at(input.span(), message, "write `input: [4]`")
                    })?;
                    let value = expr(input, diagnostics)?;
                    if name == "input" {
                        settings.shape = Entry {
                            name: Some(name),
                            value,
                            ..Entry::INVALID
                        };
                    }
                } else {
                    let message = format!("expected `input`, found {}", found(input));
                    return Err(at(input.span(), message, "write `input: [4]`"));
                }
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
            }
            Ok(())
        });
        if let Err(error) = parsed {
            is_given = true;
            diagnostics.push(error);
        }
    }
    if !is_given {
        let name = &input.ident;
        diagnostics.error(
            name,
            format!("the model `{name}` has no input"),
            "write `#[ode_model(input: [4])]` above the struct: the shape of one sample, without the batch",
        );
    }
    settings
}

fn ours<'a>(attributes: &'a [Attribute], name: &'a str) -> impl Iterator<Item = &'a Attribute> {
    attributes
        .iter()
        .filter(move |attribute| attribute.path().is_ident(name))
}

/// What a field is.
enum Stage {
    Entry(Box<Entry>),
    Skipped,
    Wrong,
}

fn stage(name: &Ident, attributes: &[Attribute], diagnostics: &mut Diagnostics) -> Stage {
    let words = ["layers", "ode", "ode_model"];
    let mut found = words
        .iter()
        .flat_map(|word| ours(attributes, word).map(move |attribute| (*word, attribute)));
    let Some((word, attribute)) = found.next() else {
        diagnostics.error(
            name,
            format!("the field `{name}` does not say what it is"),
            "write `#[layers(...)]`, `#[ode(...)]` or `#[ode_model(skip)]` above it",
        );
        return Stage::Wrong;
    };
    if let Some((_, surplus)) = found.next() {
        diagnostics.error(
            surplus.path(),
            format!("the field `{name}` says twice what it is"),
            "keep one of the two attributes",
        );
        return Stage::Wrong;
    }
    let value = attribute.parse_args_with(|input: ParseStream<'_>| {
        let place = attribute.path().span();
        Ok(match word {
            "layers" => Some(Expr::List(
                token::Bracket(place),
                arguments(input, diagnostics),
            )),
            "ode" => Some(Expr::Block(
                Ident::new("Ode", place),
                entries(input, diagnostics),
            )),
            _ => {
                let is_skip = input.peek(Ident) && input.parse::<Ident>()? == "skip";
                if !is_skip || !input.is_empty() {
                    skip_all(input);
                    return Err(at(
                        place,
                        format!("expected `skip`: the field `{name}` has no other settings"),
                        "write `#[ode_model(skip)]`",
                    ));
                }
                None
            }
        })
    });
    match value {
        Ok(Some(value)) => Stage::Entry(Box::new(Entry {
            name: Some(name.clone()),
            value,
            ..Entry::INVALID
        })),
        Ok(None) => Stage::Skipped,
        Err(error) => {
            diagnostics.push(error);
            Stage::Wrong
        }
    }
}

/// The parameters of the struct before its dtype and device, and what those two are called.
fn generics(
    input: &DeriveInput,
    diagnostics: &mut Diagnostics,
) -> Option<(Generics, Ident, Ident)> {
    let mut parameters: Vec<GenericParam> = input.generics.params.iter().cloned().collect();
    let (device, dtype) = (parameters.pop(), parameters.pop());
    let (Some(GenericParam::Type(device)), Some(GenericParam::Type(dtype))) = (device, dtype)
    else {
        diagnostics.error(
            &input.ident,
            format!(
                "a model is generic over its dtype and its device, but `{}` is not",
                input.ident
            ),
            GENERICS,
        );
        return None;
    };
    for parameter in [&dtype, &device] {
        bounds(&parameter.bounds, parameter, diagnostics);
    }
    let names = [(&dtype.ident, "Elem"), (&device.ident, "Dev")];
    let mut predicates: Vec<WherePredicate> = Vec::new();
    let clause = input.generics.where_clause.iter();
    for predicate in clause.flat_map(|clause| &clause.predicates) {
        let of = |name: &Ident| match predicate {
            WherePredicate::Type(predicate) => {
                *name == predicate.bounded_ty.to_token_stream().to_string()
            }
            _ => false,
        };
        match predicate {
            WherePredicate::Type(typed) if of(&dtype.ident) => {
                bounds(&typed.bounds, &dtype, diagnostics);
            }
            WherePredicate::Type(typed) if of(&device.ident) => {
                bounds(&typed.bounds, &device, diagnostics);
            }
            predicate => predicates.push(predicate.clone()),
        }
    }
    let rename = |tokens: TokenStream| renamed(tokens, &names);
    let mut generics = Generics {
        parameters: parameters
            .into_iter()
            .filter_map(|parameter| syn::parse2(rename(parameter.into_token_stream())).ok())
            .collect(),
        bounds: predicates
            .into_iter()
            .filter_map(|predicate| syn::parse2(rename(predicate.into_token_stream())).ok())
            .collect(),
    };
    check::parameters(&generics, diagnostics);
    generics.rename(check::is_reserved);
    Some((generics, dtype.ident, device.ident))
}

/// Bounds on a dtype or device that do not hold for all of them, to which a model may be converted.
fn bounds(
    bounds: &Punctuated<TypeParamBound, Token![+]>,
    parameter: &TypeParam,
    diagnostics: &mut Diagnostics,
) {
    for bound in bounds {
        let last = match bound {
            TypeParamBound::Trait(bound) => bound.path.segments.last(),
            _ => None,
        };
        if last.is_some_and(|last| last.ident == "Dtype" || last.ident == "Device") {
            continue;
        }
        let name = &parameter.ident;
        diagnostics.error(
            bound,
            format!("a model can be converted to any dtype and device, so `{name}` has no further bounds"),
            GENERICS,
        );
    }
}
