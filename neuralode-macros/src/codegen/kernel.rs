//! The second lowering of a vector field: straight-line kernels over tiles of samples.
//!
//! One line per layer and pass, with sizes and offsets as constants; the arithmetic of a layer is in the
//! runtime's `engine::host::kernel`. `x_k` is what enters layer `k`, `z_k` the argument of its activation.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Ident;

use crate::model::{Layer, LayerKind, Ode, Size};

use super::{layers::activation_type, root};

/// The unit struct `name` and its `TileField`, for the field of `ode`.
pub(super) fn generate(name: &Ident, ode: &Ode) -> TokenStream {
    let root = root();
    let state = &ode.state;
    let lines: Vec<Lines> = lines(ode);
    let offsets = lines.iter().map(|lines| &lines.offset);
    let forward: Vec<&TokenStream> = lines.iter().map(|lines| &lines.forward).collect();
    let backward = lines.iter().rev().map(|lines| &lines.backward);
    let tangent = lines.iter().map(|lines| &lines.tangent);
    let count = lines.len();
    let total = format_ident!("AT_{count}");
    let output = format_ident!("x_{count}");
    let produced = ode
        .field
        .layers
        .last()
        .and_then(|layer| layer.output.first());
    let tile = quote!(#root::Tile<Num, #state, LANES>);
    let leave = |value: &TokenStream| restate(value, produced, Some(state));
    let (result, enter, tangent_result) = (
        leave(&quote!(#output)),
        restate(&quote!(c), Some(state), produced),
        leave(&quote!(v)),
    );
    quote! {
        /// The vector field as kernels.
        struct #name;

        #[automatically_derived]
        impl #name {
            const AT_0: usize = 0;
            #(#offsets)*
        }

        #[automatically_derived]
        impl #root::TileField<#state> for #name {
            const PARAMS: usize = Self::#total;

            #[inline(always)]
            fn eval<Num: #root::Real, const LANES: usize>(
                params: &[Num],
                _t: f64,
                x_0: &#tile,
                dy: &mut #tile,
            ) {
                let x_0 = *x_0;
                #(#forward)*
                *dy = #result;
            }

            #[inline(always)]
            fn vjp<Num: #root::Real, const LANES: usize>(
                params: &[Num],
                _t: f64,
                x_0: &#tile,
                c: &#tile,
                y_bar: &mut #tile,
                theta_bar: &mut [#root::kernel::Sums<Num>],
            ) {
                let (x_0, c) = (*x_0, *c);
                #(#forward)*
                let mut c = #enter;
                #(#backward)*
                *y_bar = c;
            }

            #[inline(always)]
            fn jvp<Num: #root::Real, const LANES: usize>(
                params: &[Num],
                _t: f64,
                x_0: &#tile,
                v: &#tile,
                out: &mut #tile,
            ) {
                let (x_0, mut v) = (*x_0, *v);
                #(#forward)*
                #(#tangent)*
                *out = #tangent_result;
            }
        }
    }
}

/// What one layer adds to the passes.
struct Lines {
    /// Where the next layer's parameters begin.
    offset: TokenStream,
    /// From `x_k` to `x_{k+1}`.
    forward: TokenStream,
    /// From the cotangent `c` of `x_{k+1}` to that of `x_k`.
    backward: TokenStream,
    /// From the tangent `v` of `x_k` to that of `x_{k+1}`.
    tangent: TokenStream,
}

fn lines(ode: &Ode) -> Vec<Lines> {
    let mut before = Some(&ode.state);
    let mut lines = Vec::new();
    for (index, layer) in ode.field.layers.iter().enumerate() {
        lines.push(layer_lines(index, layer, before));
        before = layer.output.first();
    }
    lines
}

fn layer_lines(index: usize, layer: &Layer, before: Option<&Size>) -> Lines {
    let root = root();
    let (produced, y, z) = (
        format_ident!("x_{index}"),
        format_ident!("x_{}", index + 1),
        format_ident!("z_{index}"),
    );
    let (at, next) = (
        format_ident!("AT_{index}"),
        format_ident!("AT_{}", index + 1),
    );
    let dense = format_ident!("layer_{index}");
    let taken = layer.input.first();
    // Restated only where a condition on constants makes the widths equal; the layer before keeps its own.
    let x = if surely_equal(before, taken) {
        produced.clone()
    } else {
        format_ident!("entering_{index}")
    };
    let enter = (!surely_equal(before, taken)).then(|| {
        let restated = restate(&quote!(#produced), before, taken);
        quote!(let #x = #restated;)
    });
    let enter_tangent = (!surely_equal(before, taken)).then(|| {
        let restated = restate(&quote!(v), before, taken);
        quote!(let mut v = #restated;)
    });
    let leave = (!surely_equal(before, taken)).then(|| {
        let restated = restate(&quote!(c), taken, before);
        quote!(let mut c = #restated;)
    });
    match &layer.kind {
        LayerKind::Flatten => Lines {
            offset: quote!(const #next: usize = Self::#at;),
            forward: quote!(#enter let #y = #x;),
            backward: quote!(#leave),
            tangent: quote!(#enter_tangent),
        },
        LayerKind::Activation(activation) => {
            let activation = activation_type(*activation);
            Lines {
                offset: quote!(const #next: usize = Self::#at;),
                forward: quote! {
                    #enter
                    let mut #y = #root::kernel::zeros();
                    #root::kernel::activate::<#activation, Num, #taken, LANES>(&#x, &mut #y);
                },
                backward: quote! {
                    #root::kernel::scale_by_derivative::<#activation, Num, #taken, LANES>(&#x, &#y, &mut c);
                    #leave
                },
                tangent: quote! {
                    #enter_tangent
                    #root::kernel::scale_by_derivative::<#activation, Num, #taken, LANES>(&#x, &#y, &mut v);
                },
            }
        }
        LayerKind::Pow { exponent } => Lines {
            offset: quote!(const #next: usize = Self::#at;),
            forward: quote! {
                #enter
                let mut #y = #root::kernel::zeros();
                #root::pow::pow::<#exponent, Num, #taken, LANES>(&#x, &mut #y);
            },
            backward: quote! {
                #root::pow::scale_by_derivative::<#exponent, Num, #taken, LANES>(&#x, &mut c);
                #leave
            },
            tangent: quote! {
                #enter_tangent
                #root::pow::scale_by_derivative::<#exponent, Num, #taken, LANES>(&#x, &mut v);
            },
        },
        LayerKind::Dense {
            input,
            output,
            activation,
        } => {
            let activation = activation_type(*activation);
            Lines {
                offset: quote! {
                    const #next: usize = Self::#at + #root::DenseParams::<f32, #input, #output>::COUNT;
                },
                forward: quote! {
                    #enter
                    let #dense = #root::DenseParams::<Num, #input, #output>::at(params, Self::#at);
                    let (mut #z, mut #y) = (#root::kernel::zeros(), #root::kernel::zeros());
                    #dense.forward::<#activation, LANES>(&#x, &mut #z, &mut #y);
                },
                backward: quote! {
                    let mut c = #dense.backward::<#activation, LANES>(Self::#at, &#x, &#z, &#y, c, theta_bar);
                    #leave
                },
                tangent: quote! {
                    #enter_tangent
                    let mut v = #dense.tangent::<#activation, LANES>(&v, &#z, &#y);
                },
            }
        }
    }
}

fn surely_equal(a: Option<&Size>, b: Option<&Size>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a.is_surely(b))
}

/// The tile `value` of width `from` as one of width `to`.
fn restate(value: &TokenStream, from: Option<&Size>, to: Option<&Size>) -> TokenStream {
    if surely_equal(from, to) {
        return value.clone();
    }
    let root = root();
    quote!(#root::kernel::meet::<Num, #from, #to, LANES>(&#value))
}
