//! Sizes, shapes and tuples of the longest length that dfdx visits.

use proc_macro2::{Literal, TokenStream};
use quote::{quote, ToTokens};

use crate::model::{Shape, Size};

use super::root;

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
pub(super) fn size_expression(size: &Size) -> TokenStream {
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
pub(super) fn size_value(size: &Size) -> TokenStream {
    match size {
        Size::Literal(size) => Literal::usize_unsuffixed(*size).into_token_stream(),
        Size::Constant(_) | Size::Parameter(_) | Size::Product(_) | Size::Sum(_) => {
            let root = root();
            quote!(#root::Dim::size(&#root::Const::<#size>))
        }
    }
}

/// The type of a batch of samples of this shape.
pub(super) fn batch_shape(shape: &Shape) -> TokenStream {
    let root = root();
    quote!((Batch, #(#root::Const<#shape>,)*))
}

/// The value of that type, given `batch`.
pub(super) fn batch_shape_value(shape: &Shape) -> TokenStream {
    let root = root();
    quote!((batch, #(#root::Const::<#shape>,)*))
}

/// The type of a batch of samples of this shape.
pub(super) fn tensor(shape: &Shape, tape: &TokenStream) -> TokenStream {
    let root = root();
    let shape = batch_shape(shape);
    quote!(#root::Tensor<#shape, Elem, Dev, #tape>)
}

/// Restates the shape of `x` where the widths of two neighbours are equal only by a condition on constants,
/// so that a failed condition is the only error.
pub(super) fn meet(produced: &[Size], taken: &[Size]) -> TokenStream {
    let root = root();
    meet_by(&quote!(#root::reshape), produced, taken)
}

/// The same by another function than that for tensors.
pub(super) fn meet_by(reshape: &TokenStream, produced: &[Size], taken: &[Size]) -> TokenStream {
    let sure =
        produced.len() == taken.len() && produced.iter().zip(taken).all(|(a, b)| a.is_surely(b));
    if sure {
        return TokenStream::new();
    }
    restate(reshape, taken)
}

pub(super) fn restate(reshape: &TokenStream, shape: &[Size]) -> TokenStream {
    let shape = batch_shape_value(&shape.to_vec());
    quote!(let x = #reshape(x, #shape)?;)
}

/// The longest tuple that dfdx visits.
const LONGEST: usize = 6;

/// Nests items into tuples of at most six, the longest that dfdx visits.
pub(super) fn nest(items: Vec<TokenStream>) -> TokenStream {
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
pub(super) fn nested_places(count: usize) -> Vec<Vec<usize>> {
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
