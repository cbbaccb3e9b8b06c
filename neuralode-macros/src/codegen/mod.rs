//! From the typed model to Rust. Only these modules (and `fallback`) quote code.
//!
//! The structs are visible items; everything else stands in one `const _: () = { ... }` behind them.
//! Generated code names the library by absolute paths, and its type parameters are called `Elem`, `Dev`,
//! `Batch` and `Tp`, which no constant of the user is.

mod conditions;
mod conv;
mod derived;
mod forward;
mod kernel;
mod layers;
mod options;
mod root;
mod stateful;
mod structs;
mod summary;

use proc_macro2::{Literal, Span, TokenStream};
use quote::{quote, ToTokens};
use syn::{Ident, Visibility};

use crate::{
    generics::Generics,
    model::{Model, Shape, Size, Stage, StageKind},
};

pub(crate) use root::{root, rooted};

/// Generates all items of a model.
pub(crate) fn generate(model: &Model) -> TokenStream {
    let storage: Vec<Storage<'_>> = model
        .stages
        .iter()
        .map(|stage| Storage::of(model, stage))
        .collect();
    let structs = structs::generate(model, &storage);
    let collections = structs::collections(model, &storage);
    let forward = forward::generate(model, &storage);
    let state_struct = stateful::state_struct(model, &storage);
    let state_items = stateful::items(model, &storage);
    let conditions = conditions::generate(model);
    quote! {
        #structs
        #state_struct

        #[allow(dead_code, unused_mut, unused_variables, clippy::all, clippy::pedantic, clippy::nursery)]
        const _: () = {
            #conditions
            #collections
            #forward
            #state_items
        };
    }
}

/// Where the parameters of a stage live.
struct Storage<'m> {
    stage: &'m Stage,
    /// Name of the struct generated for its layers, if one is needed.
    layers_struct: Option<Ident>,
    /// What that struct has of the generic parameters of the model.
    generics: Generics,
    /// Whether the user wrote the struct of the model.
    is_derived: bool,
}

impl<'m> Storage<'m> {
    fn of(model: &Model, stage: &'m Stage) -> Self {
        Self {
            stage,
            layers_struct: stage
                .struct_name(&model.name)
                // A user keeps layers in a tuple.
                .filter(|_| model.derived.is_none() || matches!(stage.kind, StageKind::Ode(_)))
                .map(|name| hidden(&name)),
            generics: model.generics.constants(),
            is_derived: model.derived.is_some(),
        }
    }
}

impl Storage<'_> {
    /// Whether its layers are fields `0`, `1` and so on; if not, the only one that has something to keep stands for all.
    fn is_indexed(&self) -> bool {
        self.layers_struct.is_some() || self.stage.chain().sole_layer().is_none()
    }

    /// The stage of the model `self`, to be read.
    fn place(&self) -> TokenStream {
        let stage = &self.stage.name;
        if !self.is_derived {
            return quote!(self.#stage);
        }
        let accessor = derived::accessor(stage);
        quote!((*self.#accessor()))
    }
}

/// The name under which generated code knows a struct that it calls `name`: a struct of the user's under that name is one
/// mistake, where the two meet, and no other line of generated code takes it for its own.
fn hidden(name: &str) -> Ident {
    // Names made from names carry no span: editors colour one token of the source by one role.
    Ident::new(&format!("__{name}"), Span::call_site())
}

/// The name that users know such a struct by.
fn shown(hidden: &Ident) -> Ident {
    let name = hidden.to_string();
    Ident::new(name.strip_prefix("__").unwrap_or(&name), Span::call_site())
}

/// The tuple struct `hidden` of so many fields under the name that users know, which it has in the output of `Debug`, too.
fn exported(
    visibility: &Visibility,
    generics: &Generics,
    hidden: &Ident,
    count: usize,
) -> TokenStream {
    let root = root();
    let name = shown(hidden);
    let text = name.to_string();
    let places = (0..count).map(Literal::usize_unsuffixed);
    let (introduced, named) = (generics.introduced(), generics.named());
    quote! {
        #[doc(inline)]
        #[allow(unused_imports)]
        #visibility use #hidden as #name;

        #[automatically_derived]
        impl<#introduced Elem: #root::Dtype + #root::Debug, Dev: #root::Device<Elem> + #root::Debug> #root::Debug
            for #hidden<#named Elem, Dev>
        {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_tuple(#text) #(.field(&self.#places))* .finish()
            }
        }
    }
}

/// A size as a constant generic argument.
impl ToTokens for Size {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let expression = size_expression(self);
        match self {
            Self::Literal(_) | Self::Parameter(_) => expression.to_tokens(tokens),
            Self::Constant(_) | Self::Product(_) | Self::Sum(_) => {
                quote!({ #expression }).to_tokens(tokens);
            }
        }
    }
}

/// A size as an expression of the type `usize`, for the inside of a constant generic argument.
fn size_expression(size: &Size) -> TokenStream {
    match size {
        Size::Literal(size) => Literal::usize_unsuffixed(*size).into_token_stream(),
        Size::Constant(path) => path.to_token_stream(),
        Size::Parameter(name) => name.to_token_stream(),
        Size::Product(factors) => {
            let mut factors = factors.iter().map(length);
            let first = factors.next();
            // `quote` cannot separate by a star.
            quote!(#first #(* #factors)*)
        }
        Size::Sum(terms) => {
            let terms = terms.iter().map(length);
            quote!(#(#terms)+*)
        }
    }
}

/// A size as the length of an array, which gives a constant its type where it stands.
fn length(size: &Size) -> TokenStream {
    let size = size_expression(size);
    quote!([(); #size].len())
}

/// A size as a value. A constant of another type or of no value is an error of generic arguments alone, so
/// that it is reported once.
fn size_value(size: &Size) -> TokenStream {
    match size {
        Size::Literal(size) => Literal::usize_unsuffixed(*size).into_token_stream(),
        Size::Constant(_) | Size::Parameter(_) | Size::Product(_) | Size::Sum(_) => {
            let root = root();
            quote!(#root::Dim::size(&#root::Const::<#size>))
        }
    }
}

/// The type of a batch of samples of this shape.
fn batch_shape(shape: &Shape) -> TokenStream {
    let root = root();
    quote!((Batch, #(#root::Const<#shape>,)*))
}

/// The value of that type, given `batch`.
fn batch_shape_value(shape: &Shape) -> TokenStream {
    let root = root();
    quote!((batch, #(#root::Const::<#shape>,)*))
}

/// The longest tuple that dfdx visits.
const LONGEST: usize = 6;

/// Nests items into tuples of at most six, the longest that dfdx visits.
fn nest(items: Vec<TokenStream>) -> TokenStream {
    if items.len() == 1 {
        return items.into_iter().collect();
    }
    if items.len() <= LONGEST {
        return quote!((#(#items,)*));
    }
    let size = items.len().div_ceil(LONGEST);
    let groups = items
        .chunks(size)
        .map(|group| nest(group.to_vec()))
        .collect();
    nest(groups)
}

/// The place of each of so many items inside of the tuples that [`nest`] makes.
fn nested_places(count: usize) -> Vec<Vec<usize>> {
    if count == 1 {
        return vec![Vec::new()];
    }
    if count <= LONGEST {
        return (0..count).map(|index| vec![index]).collect();
    }
    let size = count.div_ceil(LONGEST);
    let groups = count.div_ceil(size);
    let mut places = Vec::new();
    for (group, inner) in nested_places(groups).into_iter().enumerate() {
        let length = size.min(count - group * size);
        for place in nested_places(length) {
            places.push(inner.iter().copied().chain(place).collect());
        }
    }
    places
}
