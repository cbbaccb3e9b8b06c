//! From the typed model to Rust. Only these modules (and `fallback`) quote code.
//!
//! The structs are visible items; everything else stands in one `const _: () = { ... }` behind them.
//! Generated code names the library by absolute paths, and its type parameters are called `Elem`, `Dev`,
//! `Batch` and `Tp`, which no constant of the user is.

mod conditions;
mod forward;
mod layers;
mod options;
mod structs;

use proc_macro2::TokenStream;
use quote::{format_ident, quote, ToTokens};
use syn::Ident;

use crate::model::{Chain, Layer, Model, Shape, Size, Stage, StageKind};

/// The path under which generated code finds the runtime.
pub(crate) fn root() -> TokenStream {
    quote!(::neuralode::__private)
}

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
    let conditions = conditions::generate(model);
    quote! {
        #structs

        #[allow(dead_code, clippy::all, clippy::pedantic, clippy::nursery)]
        const _: () = {
            #conditions
            #collections
            #forward
        };
    }
}

/// Where the parameters of a stage live.
struct Storage<'m> {
    stage: &'m Stage,
    /// Name of the struct generated for its layers, if one is needed.
    layers_struct: Option<Ident>,
}

impl<'m> Storage<'m> {
    fn of(model: &Model, stage: &'m Stage) -> Self {
        let layers_struct = match &stage.kind {
            StageKind::Layers(chain) => sole_layer(chain)
                .is_none()
                .then(|| format_ident!("{}{}", model.name, pascal_case(&stage.name))),
            StageKind::Ode(_) => Some(format_ident!(
                "{}{}Field",
                model.name,
                pascal_case(&stage.name)
            )),
        };
        Self {
            stage,
            layers_struct: layers_struct.map(without_span),
        }
    }

    /// The chain of layers of the stage, or of its field.
    fn chain(&self) -> &'m Chain {
        match &self.stage.kind {
            StageKind::Layers(chain) => chain,
            StageKind::Ode(ode) => &ode.field,
        }
    }
}

/// The layer that stands for its whole stage: the only one, or the only one with parameters. Such a stage
/// is stored as that layer, and parameter paths name the stage alone (`encoder.weight`).
fn sole_layer(chain: &Chain) -> Option<&Layer> {
    let only = |layers: &[&'_ Layer]| layers.len() == 1;
    let all: Vec<&Layer> = chain.layers.iter().collect();
    let with_parameters: Vec<&Layer> = chain
        .layers
        .iter()
        .filter(|layer| layer.kind.has_parameters())
        .collect();
    if only(&with_parameters) {
        return with_parameters.first().copied();
    }
    only(&all).then(|| all.first().copied()).flatten()
}

/// Names made from names carry no span: editors colour one token of the source by one role.
fn without_span(ident: Ident) -> Ident {
    Ident::new(&ident.to_string(), proc_macro2::Span::call_site())
}

/// `my_stage` to `MyStage`.
fn pascal_case(ident: &Ident) -> String {
    let name = ident.to_string();
    name.trim_start_matches("r#")
        .split('_')
        .flat_map(|word| {
            let mut letters = word.chars();
            letters
                .next()
                .into_iter()
                .flat_map(char::to_uppercase)
                .chain(letters)
                .collect::<Vec<char>>()
        })
        .collect()
}

/// A size as a constant generic argument.
impl ToTokens for Size {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let expression = size_expression(self);
        match self {
            Self::Literal(_) => expression.to_tokens(tokens),
            Self::Constant(_) | Self::Product(_) => quote!({ #expression }).to_tokens(tokens),
        }
    }
}

/// A size as an expression.
fn size_expression(size: &Size) -> TokenStream {
    match size {
        Size::Literal(size) => proc_macro2::Literal::usize_unsuffixed(*size).into_token_stream(),
        Size::Constant(path) => path.to_token_stream(),
        Size::Product(factors) => {
            let mut factors = factors.iter().map(size_expression);
            let first = factors.next();
            // `quote` cannot separate by a star.
            quote!(#first #(* #factors)*)
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

/// Nests items into tuples of at most six, the longest that dfdx visits.
fn nest(items: Vec<TokenStream>) -> TokenStream {
    const LONGEST: usize = 6;
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
