//! The syntax tree: names, values and nesting, without meaning. All user tokens are kept for messages.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{token, Attribute, Ident, Lit, Token, Visibility};

use crate::generics::Generics;

/// `#[attributes] pub struct Name<const N: usize> { entries }`
pub(crate) struct Definition {
    /// `#[neural_ode(crate = path)]`: where the library is.
    pub(crate) crate_path: Option<syn::Path>,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) name: Ident,
    pub(crate) generics: Generics,
    /// What a struct that the user wrote says besides; `None` if the macro writes the struct.
    pub(crate) derived: Option<Derived>,
    pub(crate) entries: Vec<Entry>,
}

/// A struct that the user wrote.
pub(crate) struct Derived {
    /// The types of its stages.
    pub(crate) types: Vec<(Ident, TokenStream)>,
    /// Fields that are no stages.
    pub(crate) skipped: Vec<Skipped>,
}

/// A field that is no stage.
pub(crate) struct Skipped {
    pub(crate) name: Ident,
    /// Whether its type is the same for all dtypes and devices, so that it can be handed on.
    pub(crate) is_copied: bool,
}

/// `name: value` or `name(parameters): value`
pub(crate) struct Entry {
    pub(crate) attributes: Vec<Attribute>,
    /// `None` if there was none to read, which has been reported.
    pub(crate) name: Option<Ident>,
    pub(crate) parameters: Option<Parameters>,
    pub(crate) value: Expr,
}

impl Entry {
    /// What stands for an entry that could not be parsed.
    pub(crate) const INVALID: Self = Self {
        attributes: Vec::new(),
        name: None,
        parameters: None,
        value: Expr::Invalid,
    };
}

/// `(t, y)`
pub(crate) struct Parameters {
    pub(crate) paren: token::Paren,
    /// `None` for what was reported.
    pub(crate) names: Vec<Option<Ident>>,
}

/// What may stand right of a colon, in a list, or between parentheses.
pub(crate) enum Expr {
    /// `20`, `-1.5`, `_`, `path::to::CONST`, `tanh`
    Value(Value),
    /// `784 => 20`
    Edge(Value, Value),
    /// `0.0..1.0`
    Range(Value, Value),
    /// `[a, b]`
    List(token::Bracket, Vec<Expr>),
    /// `Dense(20 => 10, tanh)`
    Call(Ident, Vec<Expr>),
    /// `Residual[Dense(20 => 10), Dense(10 => 20)]`
    Nested(Ident, token::Bracket, Vec<Expr>),
    /// `Tsit5 { rtol: 1e-3 }`
    Block(Ident, Vec<Entry>),
    /// `path::Type<8>`, `path::Type => [8, 7, 7]`, between the parentheses of a `Custom`
    Type(syn::Path, Option<Box<Expr>>),
    /// `kernel: 3`, between parentheses; with the mark of `kernel = 3`
    Named(Ident, Option<Token![=]>, Box<Expr>),
    /// Something that could not be parsed and has been reported.
    Invalid,
}

/// A single word or number.
#[derive(Clone)]
pub(crate) enum Value {
    Number(Option<Token![-]>, Lit),
    Path(syn::Path),
    Infer(Token![_]),
}

impl Expr {
    /// The name that this expression consists of or begins with.
    pub(crate) fn head(&self) -> Option<&Ident> {
        match self {
            Self::Value(value) => value.as_ident(),
            Self::Call(name, _) | Self::Block(name, _) | Self::Nested(name, ..) => Some(name),
            Self::Edge(..)
            | Self::Range(..)
            | Self::List(..)
            | Self::Type(..)
            | Self::Named(..)
            | Self::Invalid => None,
        }
    }
}

impl Value {
    /// The one identifier that this value consists of.
    pub(crate) fn as_ident(&self) -> Option<&Ident> {
        match self {
            Self::Path(path) => path.get_ident(),
            Self::Number(..) | Self::Infer(_) => None,
        }
    }

    /// The value as its author wrote it, for messages.
    pub(crate) fn text(&self) -> String {
        let text = self.to_token_stream().to_string();
        text.replace("- ", "-").replace(" :: ", "::")
    }
}

/// The digits of a number without its suffix, and the suffix.
pub(crate) fn digits(lit: &Lit) -> Option<(&str, &str)> {
    match lit {
        Lit::Int(lit) => Some((lit.base10_digits(), lit.suffix())),
        Lit::Float(lit) => Some((lit.base10_digits(), lit.suffix())),
        _ => None,
    }
}

/// A name without the mark of a raw identifier, `type` for `r#type`.
pub(crate) fn plain(name: &Ident) -> String {
    let name = name.to_string();
    name.strip_prefix("r#").map_or(name.clone(), str::to_owned)
}

impl ToTokens for Value {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Number(minus, lit) => {
                minus.to_tokens(tokens);
                lit.to_tokens(tokens);
            }
            Self::Path(path) => path.to_tokens(tokens),
            Self::Infer(underscore) => underscore.to_tokens(tokens),
        }
    }
}

/// The tokens to underline when the whole expression is wrong.
impl ToTokens for Expr {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Value(value) => value.to_tokens(tokens),
            Self::Edge(from, to) | Self::Range(from, to) => {
                from.to_tokens(tokens);
                to.to_tokens(tokens);
            }
            Self::List(bracket, _) => bracket.surround(tokens, |_| {}),
            Self::Type(path, _) => path.to_tokens(tokens),
            Self::Call(name, _)
            | Self::Block(name, _)
            | Self::Nested(name, ..)
            | Self::Named(name, ..) => name.to_tokens(tokens),
            Self::Invalid => {}
        }
    }
}

/// The parentheses, to underline.
impl ToTokens for Parameters {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.paren.surround(tokens, |_| {});
    }
}
