//! One layer: its type, its call, its line in the summary.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::{Activation, Layer, LayerKind};

use super::{batch_shape_value, root, size_value};

/// The type that holds the layer's parameters.
pub(super) fn storage_type(layer: &Layer) -> TokenStream {
    let root = root();
    match &layer.kind {
        LayerKind::Flatten => quote!(#root::Flatten),
        LayerKind::Activation(activation) => activation_type(*activation),
        LayerKind::Pow { exponent } => quote!(#root::Pow<#exponent>),
        LayerKind::Dense {
            input,
            output,
            activation,
        } => {
            let activation = activation_type(*activation);
            quote!(#root::Dense<#input, #output, #activation, Elem, Dev>)
        }
    }
}

/// The type of an activation.
pub(super) fn activation_type(activation: Activation) -> TokenStream {
    let root = root();
    match activation {
        Activation::Identity => quote!(#root::Identity),
        Activation::Tanh => quote!(#root::Tanh),
        Activation::Relu => quote!(#root::Relu),
        Activation::Sigmoid => quote!(#root::Sigmoid),
        Activation::Sin => quote!(#root::Sin),
    }
}

/// `let x = ...;`: applies the layer at the place `this` to `x`, a batch of `batch` samples.
pub(super) fn call(layer: &Layer, this: &TokenStream) -> TokenStream {
    let root = root();
    match &layer.kind {
        LayerKind::Flatten => {
            let shape = batch_shape_value(&layer.output);
            quote!(let x = #root::reshape(x, #shape)?;)
        }
        LayerKind::Activation(activation) => {
            let activation = activation_type(*activation);
            quote!(let x = #root::apply(&#activation, x)?;)
        }
        LayerKind::Pow { exponent } => {
            quote!(let x = #root::apply(&#root::Pow::<#exponent>, x)?;)
        }
        LayerKind::Dense { .. } => quote!(let x = #root::apply(&#this, x)?;),
    }
}

/// `let x = ...;` for the first layer with parameters of a model, where the tape begins. With
/// `check` it finds out whether the model's input is finite.
pub(super) fn first_call(layer: &Layer, this: &TokenStream, check: bool) -> TokenStream {
    let root = root();
    match &layer.kind {
        LayerKind::Dense { .. } => quote!(let x = #root::enter_dense(entry, &#this, x, #check)?;),
        LayerKind::Flatten | LayerKind::Activation(_) | LayerKind::Pow { .. } => {
            let call = call(layer, this);
            quote! {
                let x = #root::Entry::enter(entry, x);
                #call
            }
        }
    }
}

/// Restates the shape of `x` where the widths of two neighbours are equal only by a condition on constants,
/// so that a failed condition is the only error.
pub(super) fn meet(produced: &[crate::model::Size], taken: &[crate::model::Size]) -> TokenStream {
    let sure =
        produced.len() == taken.len() && produced.iter().zip(taken).all(|(a, b)| a.is_surely(b));
    if sure {
        return TokenStream::new();
    }
    let root = root();
    let shape = batch_shape_value(&taken.to_vec());
    quote!(let x = #root::reshape(x, #shape)?;)
}

/// Number of trainable scalars, as an expression.
pub(super) fn parameters(layer: &Layer) -> TokenStream {
    match &layer.kind {
        LayerKind::Flatten | LayerKind::Activation(_) | LayerKind::Pow { .. } => quote!(0),
        LayerKind::Dense { input, output, .. } => {
            let (input, output) = (size_value(input), size_value(output));
            quote!((#input + 1) * #output)
        }
    }
}
