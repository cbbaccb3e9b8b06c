//! The generic parameters that a model declares, without its dtype and its device, which generated code calls `Elem`
//! and `Dev`.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::{quote, ToTokens};
use syn::{GenericParam, Ident, Type, TypeParam, WherePredicate};

/// Generic parameters, in all the forms in which generated code needs them.
#[derive(Clone, Default)]
pub(crate) struct Generics {
    pub(crate) parameters: Vec<GenericParam>,
    pub(crate) bounds: Vec<WherePredicate>,
}

impl Generics {
    /// `const N: usize = 3,` behind `struct Name<`, in a declaration.
    pub(crate) fn declared(&self) -> TokenStream {
        let parameters = &self.parameters;
        quote!(#(#parameters,)*)
    }

    /// `const N: usize,` behind `impl<`.
    pub(crate) fn introduced(&self) -> TokenStream {
        let parameters = self.parameters.iter().map(|parameter| match parameter {
            GenericParam::Const(parameter) => {
                let (attributes, name, kind) = (&parameter.attrs, &parameter.ident, &parameter.ty);
                quote!(#(#attributes)* const #name: #kind)
            }
            GenericParam::Type(parameter) => TypeParam {
                eq_token: None,
                default: None,
                ..parameter.clone()
            }
            .into_token_stream(),
            GenericParam::Lifetime(parameter) => parameter.to_token_stream(),
        });
        quote!(#(#parameters,)*)
    }

    /// `N,` behind `Name<`, where the name is used.
    pub(crate) fn named(&self) -> TokenStream {
        let names = self.parameters.iter().map(|parameter| match parameter {
            GenericParam::Const(parameter) => parameter.ident.to_token_stream(),
            GenericParam::Type(parameter) => parameter.ident.to_token_stream(),
            GenericParam::Lifetime(parameter) => parameter.lifetime.to_token_stream(),
        });
        quote!(#(#names,)*)
    }

    /// What a `where` clause says.
    pub(crate) fn predicates(&self) -> TokenStream {
        self.bounds.iter().map(|bound| quote!(#bound,)).collect()
    }

    /// A whole `where` clause, if there is one.
    pub(crate) fn clause(&self) -> Option<TokenStream> {
        let predicates = self.predicates();
        (!predicates.is_empty()).then(|| quote!(where #predicates))
    }

    /// Those parameters alone that are constants: what the structs of layers have.
    pub(crate) fn constants(&self) -> Self {
        let constant = |parameter: &&GenericParam| matches!(parameter, GenericParam::Const(_));
        Self {
            parameters: self.parameters.iter().filter(constant).cloned().collect(),
            bounds: Vec::new(),
        }
    }

    /// The constants that may be sizes.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = &Ident> {
        self.parameters
            .iter()
            .filter_map(|parameter| match parameter {
                GenericParam::Const(parameter) if is_size(&parameter.ty) => Some(&parameter.ident),
                _ => None,
            })
    }

    /// The type of a constant among the parameters.
    pub(crate) fn constant(&self, name: &Ident) -> Option<&Type> {
        self.parameters
            .iter()
            .find_map(|parameter| match parameter {
                GenericParam::Const(parameter) if parameter.ident == *name => Some(&parameter.ty),
                _ => None,
            })
    }

    /// Puts two underscores before the names that `is_taken`, wherever they stand.
    pub(crate) fn rename(&mut self, is_taken: impl Fn(&Ident) -> bool) {
        let of = |parameter: &GenericParam| match parameter {
            GenericParam::Const(parameter) => Some(parameter.ident.clone()),
            GenericParam::Type(parameter) => Some(parameter.ident.clone()),
            GenericParam::Lifetime(_) => None,
        };
        let taken = self.parameters.iter().filter_map(of).filter(is_taken);
        let taken: Vec<(Ident, String)> = taken
            .map(|name| (name.clone(), format!("__{name}")))
            .collect();
        let names: Vec<(&Ident, &str)> =
            taken.iter().map(|(old, new)| (old, new.as_str())).collect();
        for parameter in &mut self.parameters {
            if let Ok(new) = syn::parse2(renamed(parameter.to_token_stream(), &names)) {
                *parameter = new;
            }
        }
        for bound in &mut self.bounds {
            if let Ok(new) = syn::parse2(renamed(bound.to_token_stream(), &names)) {
                *bound = new;
            }
        }
    }

    /// Whether tokens name one of the parameters.
    pub(crate) fn occur_in(&self, tokens: &TokenStream) -> bool {
        mentions(tokens, &|name| {
            self.parameters.iter().any(|parameter| match parameter {
                GenericParam::Const(parameter) => parameter.ident == *name,
                GenericParam::Type(parameter) => parameter.ident == *name,
                GenericParam::Lifetime(_) => false,
            })
        })
    }
}

/// Whether a type is the one that sizes have.
pub(crate) fn is_size(kind: &Type) -> bool {
    matches!(kind, Type::Path(kind) if kind.path.is_ident("usize"))
}

/// Whether a name that fits occurs among tokens.
pub(crate) fn mentions(tokens: &TokenStream, fits: &impl Fn(&Ident) -> bool) -> bool {
    tokens.clone().into_iter().any(|token| match token {
        TokenTree::Ident(name) => fits(&name),
        TokenTree::Group(group) => mentions(&group.stream(), fits),
        _ => false,
    })
}

/// The same tokens with other names.
pub(crate) fn renamed(tokens: TokenStream, names: &[(&Ident, &str)]) -> TokenStream {
    let rename = |token: TokenTree| match token {
        TokenTree::Ident(name) => {
            let new = names.iter().find(|(old, _)| **old == name);
            new.map_or(name.clone(), |(_, new)| Ident::new(new, name.span()))
                .into()
        }
        TokenTree::Group(group) => {
            let inner = renamed(group.stream(), names);
            let mut renamed = Group::new(group.delimiter(), inner);
            renamed.set_span(group.span());
            renamed.into()
        }
        other => other,
    };
    tokens.into_iter().map(rename).collect()
}
