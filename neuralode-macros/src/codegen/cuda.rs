//! The third lowering of a vector field: to the calls that write its CUDA source, once sizes are numbers.

use proc_macro2::TokenStream;
use quote::quote;

use crate::{
    model::{Activation, Chain, LayerKind, Ode},
    spatial::{Spatial, SpatialKind, Window},
    stateful::StatefulKind,
};

use super::{layers::epsilon_bits, root, size_value};

/// `fn cuda_source` of the field's kernels; nothing if device code has no such layer.
pub(super) fn generate(name: &str, ode: &Ode) -> TokenStream {
    let root = root();
    let mut calls = Vec::new();
    if chain_calls(&ode.field, &mut calls).is_none() {
        return TokenStream::new();
    }
    let features = size_value(&ode.features());
    quote! {
        fn cuda_source() -> #root::Option<#root::cuda::FieldSource> {
            #root::Some(#root::cuda::FieldSource::new(#name, #features) #(#calls)*)
        }
    }
}

/// Adds a call for every layer; `None` if device code lacks one.
fn chain_calls(chain: &Chain, calls: &mut Vec<TokenStream>) -> Option<()> {
    for layer in &chain.layers {
        let (taken, produced) = (size_value(&layer.taken()), size_value(&layer.produced()));
        let call = match &layer.kind {
            LayerKind::Flatten | LayerKind::Reshape => quote!(.pass()),
            LayerKind::Augment | LayerKind::Project => quote!(.resize(#taken, #produced, false)),
            LayerKind::AppendTime => quote!(.resize(#taken, #produced, true)),
            LayerKind::Residual(inner) => {
                let from = calls.len();
                chain_calls(inner, calls)?;
                quote!(.join(#from))
            }
            LayerKind::Activation(activation) => {
                let (function, _) = function(*activation);
                quote!(.pointwise(#function, #taken))
            }
            LayerKind::Pow { exponent } => {
                let function = format!("Pow<{exponent}>");
                quote!(.pointwise(#function, #taken))
            }
            LayerKind::Dense {
                input,
                output,
                activation,
                ..
            } => {
                let (input, output) = (size_value(input), size_value(output));
                let (function, keeps) = function(*activation);
                quote!(.dense(#input, #output, #function, #keeps))
            }
            LayerKind::Scale { channels } => {
                let channels = size_value(channels);
                quote!(.scale(#taken, #channels))
            }
            LayerKind::LayerNorm { epsilon } => {
                let bits = epsilon_bits(epsilon.as_ref());
                quote!(.layer_norm(#taken, f64::from_bits(#bits)))
            }
            LayerKind::Spatial(spatial) => spatial_call(spatial),
            // Nothing in inference, as in the kernels for the processor.
            LayerKind::Stateful(stateful) => match &stateful.kind {
                StatefulKind::Dropout { .. } => quote!(.pass()),
                StatefulKind::BatchNorm { .. } | StatefulKind::Custom { .. } => return None,
            },
        };
        calls.push(call);
    }
    Some(())
}

/// The call of a layer over the places of an image.
fn spatial_call(layer: &Spatial) -> TokenStream {
    let channels = size_value(&layer.channels);
    let ((height, width), (lines, columns)) = (layer.from, layer.to);
    match &layer.kind {
        SpatialKind::Conv {
            output,
            window: Window { kernel, stride },
            padding,
            activation,
            ..
        } => {
            let (output, (function, keeps)) = (size_value(output), function(*activation));
            quote! {
                .conv2d(
                    [#channels, #height, #width], [#output, #lines, #columns], [#kernel, #stride, #padding],
                    #function, #keeps
                )
            }
        }
        SpatialKind::MaxPool(Window { kernel, stride }) => {
            quote!(.max_pool([#channels, #height, #width], [#lines, #columns], #kernel, #stride))
        }
        SpatialKind::AvgPool(Window { kernel, stride }) => quote! {
            .avg_pool([#channels, #height, #width], [#lines, #columns], [#kernel, #kernel], #stride)
        },
        SpatialKind::GlobalAvgPool => {
            quote!(.avg_pool([#channels, #height, #width], [1, 1], [#height, #width], 1))
        }
    }
}

/// The name of an activation in device code, and whether its derivative needs the argument there.
fn function(activation: Activation) -> (&'static str, bool) {
    match activation {
        Activation::Identity => ("Identity", false),
        Activation::Tanh => ("Tanh", false),
        Activation::Relu => ("Relu", false),
        Activation::Sigmoid => ("Sigmoid", false),
        Activation::Sin => ("Sin", true),
        Activation::LeakyRelu => ("LeakyRelu", false),
        Activation::Elu => ("Elu", false),
        Activation::Gelu => ("Gelu", true),
        Activation::Silu => ("Silu", true),
        Activation::Softplus => ("Softplus", true),
    }
}
