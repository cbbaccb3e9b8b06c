//! The second lowering of a vector field: to kernels, as one type made of the types of its layers.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Ident;

use crate::{
    generics::Generics,
    model::{Chain, Layer, LayerKind, Ode, Size},
};

use super::{
    layer::spatial,
    root,
    words::{activation_type, epsilon_bits},
};

/// The name of the kernels of `ode`, as an alias of their type.
pub(super) fn generate(name: &Ident, generics: &Generics, ode: &Ode) -> TokenStream {
    let introduced = generics.introduced();
    let declared = (!introduced.is_empty()).then(|| quote!(<#introduced>));
    let state = ode.features();
    let kernels = chain(&ode.field, &state, &state);
    quote! {
        /// The vector field as kernels.
        type #name #declared = #kernels;
    }
}

/// The type of the kernels of this name.
pub(super) fn type_of(name: &Ident, generics: &Generics) -> TokenStream {
    let named = generics.named();
    if named.is_empty() {
        return quote!(#name);
    }
    quote!(#name<#named>)
}

/// The kernels of a chain that so many features enter and leave.
///
/// Layers meet at the width that the one before produces. Whether the next one takes as many is checked elsewhere, and
/// only there: here every chain has a type, so that a mistake is reported once.
fn chain(chain: &Chain, entering: &Size, leaving: &Size) -> TokenStream {
    let root = root();
    let mut links: Vec<Link> = Vec::new();
    let mut width = entering.clone();
    // Whether the last layer leaves its input's width, instead of the one that it is asked for.
    let mut keeps = true;
    for layer in &chain.layers {
        let Some(kernels) = kernels(layer, &width) else {
            continue;
        };
        keeps = kernels.keeps_width;
        if !keeps {
            width = layer.produced();
        }
        let (kind, width) = (kernels.kind, width.clone());
        links.push(Link { kind, width });
    }
    if keeps && !width.is_surely(leaving) {
        let (kind, width) = (quote!(#root::kernel::ResizeLayer), leaving.clone());
        links.push(Link { kind, width });
    }
    let whole = nested(&links);
    // Layers that only name shapes leave nothing.
    whole.unwrap_or_else(|| quote!(#root::kernel::ActivationLayer<#root::Identity>))
}

/// The type of layers one after the other, nested in halves: the compiler's recursion is then not that of the layers.
fn nested(links: &[Link]) -> Option<TokenStream> {
    if let [Link { kind, .. }] = links {
        return Some(kind.clone());
    }
    let (first, second) = links.split_at(links.len() / 2);
    let Link { width, .. } = first.last()?;
    let (first, second) = (nested(first)?, nested(second)?);
    let root = root();
    Some(quote!(#root::kernel::Then<#first, #second, #width>))
}

/// A layer's kernels, and how many features leave it.
struct Link {
    kind: TokenStream,
    width: Size,
}

/// The kernels of a layer that so many features enter; `None` if it does nothing to a tile.
fn kernels(layer: &Layer, entering: &Size) -> Option<Kernels> {
    let root = root();
    let (kind, keeps_width) = match &layer.kind {
        LayerKind::Dense { activation, .. } => {
            let activation = activation_type(*activation);
            (quote!(#root::kernel::DenseLayer<#activation>), false)
        }
        LayerKind::Activation(activation) => {
            let activation = activation_type(*activation);
            (quote!(#root::kernel::ActivationLayer<#activation>), true)
        }
        LayerKind::Residual(inner) => {
            let inner = chain(inner, entering, entering);
            (quote!(#root::kernel::ResidualLayer<#inner>), true)
        }
        LayerKind::Augment | LayerKind::Project => (quote!(#root::kernel::ResizeLayer), false),
        LayerKind::AppendTime => (quote!(#root::kernel::AppendTimeLayer), false),
        LayerKind::Scale { channels } => (quote!(#root::kernel::ScaleLayer<#channels>), true),
        LayerKind::LayerNorm { epsilon } => {
            let epsilon = epsilon_bits(epsilon.as_ref());
            (quote!(#root::kernel::LayerNormLayer<#epsilon>), true)
        }
        LayerKind::Spatial(spatial) => (spatial::kernels(spatial), false),
        LayerKind::Pow { exponent } => {
            let power = quote!(#root::kernel::Power<#exponent>);
            (quote!(#root::kernel::ActivationLayer<#power>), true)
        }
        // Shapes are no matter of tiles; the layers with state of fields with kernels are dropout, which does nothing
        // in inference.
        LayerKind::Flatten | LayerKind::Reshape | LayerKind::Stateful(_) => return None,
    };
    Some(Kernels { kind, keeps_width })
}

/// The kernels of one layer.
struct Kernels {
    kind: TokenStream,
    /// Whether as many features leave it as enter it, whatever their number.
    keeps_width: bool,
}
