//! The syntax tree: names, values and nesting, without meaning. All user tokens are kept for messages.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{token, Attribute, Ident, Lit, Token, Visibility};

/// `#[attributes] pub struct Name { entries }`
pub(crate) struct Definition {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) name: Ident,
    pub(crate) entries: Vec<Entry>,
}

/// `name: value` or `name(parameters): value`
pub(crate) struct Entry {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) name: Ident,
    pub(crate) parameters: Option<Vec<Ident>>,
    pub(crate) value: Expr,
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
    /// `Tsit5 { rtol: 1e-3 }`
    Block(Ident, Vec<Entry>),
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

impl Value {
    /// The one identifier that this value consists of.
    pub(crate) fn as_ident(&self) -> Option<&Ident> {
        match self {
            Self::Path(path) => path.get_ident(),
            Self::Number(..) | Self::Infer(_) => None,
        }
    }
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
            Self::Call(name, _) | Self::Block(name, _) => name.to_tokens(tokens),
            Self::Invalid => {}
        }
    }
}
