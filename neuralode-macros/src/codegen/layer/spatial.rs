//! Layers over the places of an image: their types, kernels and calls.

use proc_macro2::TokenStream;
use quote::quote;

use crate::{
    codegen::{
        root,
        sizes::{batch_shape_value, size_value},
        words::{activation_type, init_argument},
    },
    model::{
        spatial::{Spatial, SpatialKind, Window},
        Layer,
    },
};

/// The type that holds the layer's parameters, if it has any.
pub(in crate::codegen) fn storage_type(layer: &Spatial) -> TokenStream {
    let root = root();
    let ((height, width), (lines, columns)) = (layer.from, layer.to);
    let pool = |Window { kernel, stride }: &Window| quote!(<#height, #width, #lines, #columns, #kernel, #stride>);
    match &layer.kind {
        SpatialKind::Conv {
            output,
            window: Window { kernel, stride },
            padding,
            activation,
            init,
        } => {
            let channels = &layer.channels;
            let (activation, init) = (activation_type(*activation), init_argument(*init));
            quote! {
                #root::Conv2d<
                    #channels, #height, #width, #output, #lines, #columns, #kernel, #stride, #padding,
                    #activation, Elem, Dev #init
                >
            }
        }
        SpatialKind::MaxPool(window) => {
            let sizes = pool(window);
            quote!(#root::MaxPool2d #sizes)
        }
        SpatialKind::AvgPool(window) => {
            let sizes = pool(window);
            quote!(#root::AvgPool2d #sizes)
        }
        SpatialKind::GlobalAvgPool => quote!(#root::GlobalAvgPool),
    }
}

/// The type of its kernels over tiles.
pub(in crate::codegen) fn kernels(layer: &Spatial) -> TokenStream {
    let root = root();
    let ((height, width), (lines, columns)) = (layer.from, layer.to);
    match &layer.kind {
        SpatialKind::Conv {
            output,
            window: Window { kernel, stride },
            padding,
            activation,
            ..
        } => {
            let (channels, activation) = (&layer.channels, activation_type(*activation));
            quote! {
                #root::kernel::Conv2dLayer<
                    #activation, #channels, #height, #width, #output, #lines, #columns,
                    #kernel, #stride, #padding
                >
            }
        }
        SpatialKind::MaxPool(Window { kernel, stride }) => quote! {
            #root::kernel::MaxPoolLayer<#height, #width, #lines, #columns, #kernel, #stride>
        },
        SpatialKind::AvgPool(Window { kernel, stride }) => quote! {
            #root::kernel::AvgPoolLayer<#height, #width, #lines, #columns, #kernel, #kernel, #stride>
        },
        SpatialKind::GlobalAvgPool => quote! {
            #root::kernel::AvgPoolLayer<#height, #width, 1, 1, #height, #width, 1>
        },
    }
}

/// `let x = ...;`: applies the layer, which is at the place `this` if it has parameters.
pub(in crate::codegen) fn call(
    layer: &Layer,
    spatial: &Spatial,
    this: &TokenStream,
) -> TokenStream {
    let root = root();
    let (taken, produced) = (layer.taken(), layer.produced());
    let (kernels, shape) = (kernels(spatial), batch_shape_value(&layer.output));
    let place = if spatial.kind.has_parameters() {
        this.clone()
    } else {
        let kind = storage_type(spatial);
        quote!(<#kind as ::core::default::Default>::default())
    };
    quote! {
        let x = #root::apply_tiled::<#kernels, #taken, #produced, _, _, _, _, _, _>(
            &#place, x, #shape, by_kernels,
        )?;
    }
}

/// Number of trainable scalars, as an expression.
pub(in crate::codegen) fn parameters(layer: &Spatial) -> TokenStream {
    let SpatialKind::Conv {
        output,
        window: Window { kernel, .. },
        ..
    } = &layer.kind
    else {
        return quote!(0);
    };
    let (channels, output) = (size_value(&layer.channels), size_value(output));
    quote!((#channels * #kernel * #kernel + 1) * #output)
}
