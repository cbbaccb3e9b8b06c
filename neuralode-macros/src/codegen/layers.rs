//! One layer: its type, its call, its line in the summary.

use proc_macro2::{Literal, TokenStream};
use quote::{quote, ToTokens};

use crate::{
    ast::{digits, Value},
    model::{Activation, Init, Layer, LayerKind, Size},
};

use super::{batch_shape_value, conv, nest, nested_places, options, root, size_value, stateful};

/// The type that holds the layer's parameters.
pub(super) fn storage_type(layer: &Layer) -> TokenStream {
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
        LayerKind::Spatial(spatial) => conv::storage_type(spatial),
        LayerKind::Stateful(stateful) => stateful::storage_type(layer, stateful),
    }
}

/// The last generic argument of a layer with weights, with a comma before it; none for what is the default.
pub(super) fn init_argument(init: Init) -> Option<TokenStream> {
    let root = root();
    Some(match init {
        Init::Glorot => return None,
        Init::Kaiming => quote!(, #root::Kaiming),
        Init::Dfdx => quote!(, #root::Dfdx),
        Init::Zeros => quote!(, #root::Zeros),
        Init::Orthogonal => quote!(, #root::Orthogonal),
    })
}

/// The bits of the epsilon of a `LayerNorm` as a constant generic argument.
pub(super) fn epsilon_bits(epsilon: Option<&Value>) -> TokenStream {
    let digits = match epsilon {
        None => None,
        Some(Value::Number(_, lit)) => digits(lit).map(|(digits, _)| digits.parse::<f64>()),
        Some(value) => {
            let number = options::number(value);
            return quote!({ #number.to_bits() });
        }
    };
    let number = digits.and_then(Result::ok).unwrap_or(1e-5);
    Literal::u64_unsuffixed(number.to_bits()).into_token_stream()
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
        Activation::LeakyRelu => quote!(#root::LeakyRelu),
        Activation::Elu => quote!(#root::Elu),
        Activation::Gelu => quote!(#root::Gelu),
        Activation::Silu => quote!(#root::Silu),
        Activation::Softplus => quote!(#root::Softplus),
    }
}

/// The places of the layers inside of a residual layer at the place `this`.
pub(super) fn inner_places(this: &TokenStream, count: usize) -> Vec<TokenStream> {
    let places = nested_places(count).into_iter();
    places
        .map(|path| {
            let path = path.into_iter().map(Literal::usize_unsuffixed);
            quote!(#this.0 #(.#path)*)
        })
        .collect()
}

/// `let x = ...;`: applies the layer at the place `this` to `x`, a batch of `batch` samples.
pub(super) fn call(layer: &Layer, this: &TokenStream) -> TokenStream {
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
        LayerKind::Spatial(spatial) => conv::call(layer, spatial, this),
        LayerKind::Stateful(stateful) => stateful::call(layer, stateful, this),
    }
}

/// `let x = ...;` for the first layer with parameters of a model, where the tape begins. With
/// `check` it is a dense one that reads the model's input, and finds out whether that is finite.
pub(super) fn first_call(layer: &Layer, this: &TokenStream, check: bool) -> TokenStream {
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

/// Restates the shape of `x` where the widths of two neighbours are equal only by a condition on constants,
/// so that a failed condition is the only error.
pub(super) fn meet(produced: &[Size], taken: &[Size]) -> TokenStream {
    let root = root();
    meet_by(&quote!(#root::reshape), produced, taken)
}

/// The same by another function than that for tensors.
fn meet_by(reshape: &TokenStream, produced: &[Size], taken: &[Size]) -> TokenStream {
    let sure =
        produced.len() == taken.len() && produced.iter().zip(taken).all(|(a, b)| a.is_surely(b));
    if sure {
        return TokenStream::new();
    }
    restate(reshape, taken)
}

fn restate(reshape: &TokenStream, shape: &[Size]) -> TokenStream {
    let shape = batch_shape_value(&shape.to_vec());
    quote!(let x = #reshape(x, #shape)?;)
}

/// The calls of a layer that comes before the first one with parameters, where that is a dense one that checks the
/// input; `shape` is the shape before it. It changes the shape of what enters and nothing else.
pub(super) fn call_before_entry(layer: &Layer, shape: &[Size]) -> TokenStream {
    let reshape = quote!(Start::reshape);
    let mut calls = meet_by(&reshape, shape, &layer.input);
    if matches!(layer.kind, LayerKind::Flatten | LayerKind::Reshape) {
        calls.extend(restate(&reshape, &layer.output));
    }
    calls
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
        LayerKind::Spatial(layer) => conv::parameters(layer),
        LayerKind::Stateful(layer) => stateful::parameters(layer, this),
    }
}

/// The lines of the summary of the layer at the place `this`: its own, or those of the layers inside.
pub(super) fn summary(layer: &Layer, path: &str, this: &TokenStream) -> TokenStream {
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
