//! One layer: its type, its call, its line in the summary.

pub(in crate::codegen) mod spatial;
pub(in crate::codegen) mod stateful;

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use crate::{
    codegen::{
        root,
        sizes::{batch_shape_value, meet, meet_by, nest, nested_places, restate, size_value},
        words::{activation_type, epsilon_bits, init_argument},
    },
    model::{Layer, LayerKind, Size},
};

/// The type that holds the layer's parameters.
pub(in crate::codegen) fn storage_type(layer: &Layer) -> TokenStream {
    let root = root();
    match &layer.kind {
        LayerKind::Flatten => quote!(#root::Flatten),
        LayerKind::Reshape => quote!(#root::Reshape),
        LayerKind::Augment => quote!(#root::Augment),
        LayerKind::Project => quote!(#root::Project),
        LayerKind::AppendTime => quote!(#root::AppendTime),
        LayerKind::Residual(chain) => {
            let layers = nest(chain.layers.iter().map(storage_type).collect());
            quote!(#root::Residual<#layers>)
        }
        LayerKind::Activation(activation) => {
            let activation = activation_type(*activation);
            quote!(#root::Pointwise<#activation>)
        }
        LayerKind::Pow { exponent } => quote!(#root::Pow<#exponent>),
        LayerKind::Scale { channels } => quote!(#root::Scale<#channels, Elem, Dev>),
        LayerKind::LayerNorm { epsilon } => {
            let features = layer.taken();
            let epsilon = epsilon.as_ref().map(|value| epsilon_bits(Some(value)));
            let epsilon = epsilon.map(|bits| quote!(, #bits));
            quote!(#root::LayerNorm<#features, Elem, Dev #epsilon>)
        }
        LayerKind::Dense {
            input,
            output,
            activation,
            init,
        } => {
            let (activation, init) = (activation_type(*activation), init_argument(*init));
            quote!(#root::Dense<#input, #output, #activation, Elem, Dev #init>)
        }
        LayerKind::Spatial(spatial) => spatial::storage_type(spatial),
        LayerKind::Stateful(stateful) => stateful::storage_type(layer, stateful),
    }
}

/// `let x = ...;`: applies the layer at the place `this` to `x`, a batch of `batch` samples.
pub(in crate::codegen) fn call(layer: &Layer, this: &TokenStream) -> TokenStream {
    let root = root();
    match &layer.kind {
        LayerKind::Flatten | LayerKind::Reshape => restate(&quote!(#root::reshape), &layer.output),
        LayerKind::Augment | LayerKind::Project | LayerKind::AppendTime => {
            let flat = |shape: Size| batch_shape_value(&vec![shape]);
            let into = meet(&layer.input, &[layer.taken()]);
            let (produced, out) = (
                flat(layer.produced()),
                meet(&[layer.produced()], &layer.output),
            );
            let change = if matches!(layer.kind, LayerKind::AppendTime) {
                quote!(#root::append_time(t, x, #produced)?)
            } else {
                quote!(#root::resize(x, #produced)?)
            };
            quote!(#into let x = #change; #out)
        }
        LayerKind::Scale { .. } | LayerKind::LayerNorm { .. } => {
            let flat = [layer.taken()];
            let (into, out) = (meet(&layer.input, &flat), meet(&flat, &layer.output));
            quote!(#into let x = #root::apply(&#this, x)?; #out)
        }
        LayerKind::Residual(chain) => {
            let mut shape = layer.input.clone();
            let places = inner_places(this, chain.layers.len());
            let mut calls = TokenStream::new();
            for (layer, place) in chain.layers.iter().zip(&places) {
                calls.extend(meet(&shape, &layer.input));
                calls.extend(call(layer, place));
                shape.clone_from(&layer.output);
            }
            let back = meet(&shape, &layer.output);
            quote! {
                let x = {
                    let entered = #root::branch(&x);
                    #calls
                    #back
                    #root::sum(x, entered)?
                };
            }
        }
        LayerKind::Activation(activation) => {
            let activation = activation_type(*activation);
            quote!(let x = #root::apply(&#root::Pointwise(#activation), x)?;)
        }
        LayerKind::Pow { exponent } => {
            quote!(let x = #root::apply(&#root::Pow::<#exponent>, x)?;)
        }
        LayerKind::Dense { .. } => quote!(let x = #root::apply(&#this, x)?;),
        LayerKind::Spatial(spatial) => spatial::call(layer, spatial, this),
        LayerKind::Stateful(stateful) => stateful::call(layer, stateful, this),
    }
}

/// `let x = ...;` for the first layer with parameters of a model, where the tape begins. With
/// `check` it is a dense one that reads the model's input, and finds out whether that is finite.
pub(in crate::codegen) fn first_call(
    layer: &Layer,
    this: &TokenStream,
    check: bool,
) -> TokenStream {
    let root = root();
    if check && matches!(layer.kind, LayerKind::Dense { .. }) {
        quote!(let x = #root::Entry::dense(entry, &#this, x, true)?;)
    } else {
        let call = call(layer, this);
        quote! {
            let x = #root::Entry::enter(entry, x);
            #call
        }
    }
}

/// The calls of a layer that comes before the first one with parameters, where that is a dense one that checks the
/// input; `shape` is the shape before it. It changes the shape of what enters and nothing else.
pub(in crate::codegen) fn call_before_entry(layer: &Layer, shape: &[Size]) -> TokenStream {
    let reshape = quote!(Start::reshape);
    let mut calls = meet_by(&reshape, shape, &layer.input);
    if matches!(layer.kind, LayerKind::Flatten | LayerKind::Reshape) {
        calls.extend(restate(&reshape, &layer.output));
    }
    calls
}

/// The lines of the summary of the layer at the place `this`: its own, or those of the layers inside.
pub(in crate::codegen) fn summary(layer: &Layer, path: &str, this: &TokenStream) -> TokenStream {
    if let LayerKind::Residual(chain) = &layer.kind {
        let count = chain.layers.len();
        let places = nested_places(count)
            .into_iter()
            .zip(inner_places(this, count));
        let inner = chain
            .layers
            .iter()
            .zip(places)
            .map(|(layer, (place, this))| {
                let place = place
                    .iter()
                    .fold(String::new(), |path, index| format!("{path}.{index}"));
                summary(layer, &format!("{path}.0{place}"), &this)
            });
        return inner.collect();
    }
    let kind = storage_type(layer);
    let input = layer.input.iter().map(size_value);
    let output = layer.output.iter().map(size_value);
    let parameters = parameters(layer, this);
    let state = match &layer.kind {
        LayerKind::Stateful(stateful) => stateful::summary(layer, stateful),
        _ => TokenStream::new(),
    };
    quote!(.layer::<#kind>(#path, &[#(#input),*], &[#(#output),*], #parameters) #state)
}

/// The places of the layers inside of a residual layer at the place `this`.
pub(in crate::codegen) fn inner_places(this: &TokenStream, count: usize) -> Vec<TokenStream> {
    let places = nested_places(count).into_iter();
    places
        .map(|path| {
            let path = path.into_iter().map(Literal::usize_unsuffixed);
            quote!(#this.0 #(.#path)*)
        })
        .collect()
}

/// Number of trainable scalars of the layer at the place `this`, as an expression.
fn parameters(layer: &Layer, this: &TokenStream) -> TokenStream {
    match &layer.kind {
        LayerKind::Flatten
        | LayerKind::Reshape
        | LayerKind::Augment
        | LayerKind::Project
        | LayerKind::AppendTime
        | LayerKind::Activation(_)
        | LayerKind::Pow { .. } => quote!(0),
        LayerKind::Residual(chain) => {
            let places = inner_places(this, chain.layers.len());
            let layers = chain.layers.iter().zip(&places);
            let counts = layers.map(|(layer, place)| parameters(layer, place));
            quote!((#(#counts)+*))
        }
        LayerKind::Scale { channels } => {
            let channels = size_value(channels);
            quote!(2 * #channels)
        }
        LayerKind::LayerNorm { .. } => {
            let features = size_value(&layer.taken());
            quote!(2 * #features)
        }
        LayerKind::Dense { input, output, .. } => {
            let (input, output) = (size_value(input), size_value(output));
            quote!((#input + 1) * #output)
        }
        LayerKind::Spatial(layer) => spatial::parameters(layer),
        LayerKind::Stateful(layer) => stateful::parameters(layer, this),
    }
}
