//! What each layer adds to the passes: one line per pass.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Ident;

use crate::model::{Chain, Layer, LayerKind, Ode, Size};

use super::{
    super::{
        conv,
        layers::{activation_type, epsilon_bits},
        root,
    },
    place::{carve, record, Place, Widths},
};

/// What one layer adds to the passes.
pub(super) struct Lines {
    /// Where the next layer's parameters and sums begin, and the products so far.
    pub(super) constants: TokenStream,
    /// The rows that it takes in the record.
    pub(super) in_record: TokenStream,
    /// From `x_k` to `x_{k+1}`.
    pub(super) forward: TokenStream,
    /// The same for the last layer before its way back, which needs `x_{k+1}` at most in the derivative of
    /// the activation and may know it as `value`; `None` if that saves nothing.
    pub(super) recall: Option<TokenStream>,
    /// From the cotangent `c_{k+1}` to `c_k`.
    pub(super) backward: TokenStream,
    /// From the tangent `v_k` to `v_{k+1}`.
    pub(super) tangent: TokenStream,
    /// The same for one sample, if there are kernels for that.
    pub(super) one_sample: Option<OneSample>,
    /// Rows of scratch space that a pass takes, besides those of the record.
    pub(super) scratch: TokenStream,
    /// Its part of the transposed parameters.
    pub(super) transpose: TokenStream,
    /// Adds its part of the parameters' cotangent from records.
    pub(super) gather: TokenStream,
    /// Rows of scratch space that this takes.
    pub(super) gather_scratch: TokenStream,
    /// Its part of the joined sums.
    pub(super) join: TokenStream,
}

/// What a layer adds to the passes over one sample.
pub(super) struct OneSample {
    /// From `x_k` to `x_{k+1}`.
    pub(super) forward: TokenStream,
    /// From `c_{k+1}` to `c_k`.
    pub(super) backward: TokenStream,
}

pub(super) fn lines(ode: &Ode) -> Vec<Lines> {
    let mut lines = Vec::new();
    chain_lines(&ode.field, ode.features(), &mut lines);
    lines
}

/// Adds the lines of a chain that so many features enter; returns how many leave it.
fn chain_lines(chain: &Chain, mut before: Size, lines: &mut Vec<Lines>) -> Size {
    for layer in &chain.layers {
        let (taken, produced) = (layer.taken(), layer.produced());
        if let LayerKind::Residual(inner) = &layer.kind {
            let from = lines.len();
            let left = chain_lines(inner, before.clone(), lines);
            let widths = Widths {
                before: left.clone(),
                taken: left,
                produced: before.clone(),
            };
            let place = Place::new(lines.len(), widths);
            // The cotangent of what entered has two parts.
            let root = root();
            let (c_from, c_next) = (format_ident!("c_{from}"), place.next("c"));
            lines.push(join(&place, from));
            if let Some(first) = lines.get_mut(from) {
                first
                    .backward
                    .extend(quote!(#root::kernel::add(simd, #c_next, #c_from);));
                if let Some(one) = &mut first.one_sample {
                    one.backward
                        .extend(quote!(let #c_from = #root::vector::add(&#c_next, #c_from);));
                }
            }
            continue;
        }
        let widths = Widths {
            before,
            taken,
            produced: produced.clone(),
        };
        lines.push(layer_lines(lines.len(), layer, widths));
        before = produced;
    }
    before
}

fn layer_lines(index: usize, layer: &Layer, widths: Widths) -> Lines {
    let place = Place::new(index, widths);
    let widths = &place.widths;
    let root = root();
    match &layer.kind {
        LayerKind::Augment | LayerKind::Project => {
            general(&place, &quote!(#root::kernel::ResizeLayer), None)
        }
        LayerKind::AppendTime => general(&place, &quote!(#root::kernel::AppendTimeLayer), None),
        LayerKind::Scale { channels } => {
            general(&place, &quote!(#root::kernel::ScaleLayer<#channels>), None)
        }
        LayerKind::LayerNorm { epsilon } => {
            let epsilon = epsilon_bits(epsilon.as_ref());
            general(
                &place,
                &quote!(#root::kernel::LayerNormLayer<#epsilon>),
                None,
            )
        }
        LayerKind::Spatial(spatial) => general(&place, &conv::kernels(spatial), None),
        // `chain_lines` takes residual layers apart; the layers with state of fields with kernels are dropout, which does
        // nothing in inference.
        LayerKind::Flatten
        | LayerKind::Reshape
        | LayerKind::Residual(_)
        | LayerKind::Stateful(_) => pass(&place),
        LayerKind::Activation(activation) => {
            let (taken, activation) = (&widths.taken, activation_type(*activation));
            let Place { x_in, y, .. } = &place;
            elementwise(
                &place,
                &Elementwise {
                    products: quote!(16),
                    value: quote!(#root::kernel::activate::<#activation, Set, Num, #taken, LANES>(#x_in, #y)),
                    scale: |c: &Ident| {
                        quote! {
                            #root::kernel::scale_by_derivative::<#activation, Set, Num, #taken, LANES>(
                                simd, #x_in, #y, #c,
                            )
                        }
                    },
                    value_one: quote!(#root::vector::activate::<#activation, Set, Num, #taken>(&#x_in)),
                    scale_one: |c: &Ident| {
                        quote! {
                            #root::vector::scale_by_derivative::<#activation, Set, Num, #taken>(
                                &#x_in, &#y, #c,
                            )
                        }
                    },
                },
            )
        }
        LayerKind::Pow { exponent } => {
            let taken = &widths.taken;
            let Place { x_in, y, .. } = &place;
            elementwise(
                &place,
                &Elementwise {
                    products: quote!(4),
                    value: quote!(#root::pow::pow::<#exponent, Set, Num, #taken, LANES>(simd, #x_in, #y)),
                    scale: |c: &Ident| {
                        quote! {
                            #root::pow::scale_by_derivative::<#exponent, Set, Num, #taken, LANES>(
                                simd, #x_in, #c,
                            )
                        }
                    },
                    value_one: quote!(#root::pow::pow_one::<#exponent, Num, #taken>(&#x_in)),
                    scale_one: |c: &Ident| quote!(#root::pow::scale_one::<#exponent, Num, #taken>(&#x_in, #c)),
                },
            )
        }
        LayerKind::Dense {
            input,
            output,
            activation,
            ..
        } => dense(&place, input, output, &activation_type(*activation)),
    }
}

/// A layer that only tells shapes apart: a tile has none.
fn pass(place: &Place) -> Lines {
    let Place {
        x_in,
        v_in,
        c_in,
        y,
        ..
    } = place;
    let (c_next, v_next) = (place.next("c"), place.next("v"));
    let (products, products_next) = (place.name("PRODUCTS"), place.next("PRODUCTS"));
    let offsets = place.same_offsets();
    let [enter_x, enter_v, leave_c] = place.restated();
    let [one_enter, one_leave] = place.restated_one();
    let in_record = place.in_record(None, None);
    Lines {
        constants: quote!(#offsets const #products_next: usize = Self::#products;),
        in_record,
        forward: quote!(#enter_x let #y = &*#x_in;),
        recall: None,
        backward: quote!(let #c_in = #c_next; #leave_c),
        tangent: quote!(#enter_v let #v_next = &*#v_in;),
        one_sample: Some(OneSample {
            forward: quote!(#one_enter let #y = #x_in;),
            backward: quote!(let #c_in = #c_next; #one_leave),
        }),
        scratch: place.entering_rows(),
        transpose: TokenStream::new(),
        gather: TokenStream::new(),
        gather_scratch: quote!(0),
        join: TokenStream::new(),
    }
}

/// The calls of a layer that works feature by feature and has no parameters.
struct Elementwise<F, G> {
    /// Multiplications per feature.
    products: TokenStream,
    /// Writes the value.
    value: TokenStream,
    /// Multiplies a tile by the derivative.
    scale: F,
    /// The value for one sample.
    value_one: TokenStream,
    /// The product with the derivative for one sample.
    scale_one: G,
}

fn elementwise(
    place: &Place,
    calls: &Elementwise<impl Fn(&Ident) -> TokenStream, impl Fn(&Ident) -> TokenStream>,
) -> Lines {
    let root = root();
    let Place { v_in, c_in, y, .. } = place;
    let produced = &place.widths.produced;
    let (c_next, v_next) = (place.next("c"), place.next("v"));
    let (products, products_next) = (place.name("PRODUCTS"), place.next("PRODUCTS"));
    let offsets = place.same_offsets();
    let [enter_x, enter_v, leave_c] = place.restated();
    let [one_enter, one_leave] = place.restated_one();
    let (carve_y, carve_v) = (record(y, produced), carve(&v_next, produced));
    let in_record = place.in_record(Some(produced), None);
    let (factor, value, value_one) = (&calls.products, &calls.value, &calls.value_one);
    let (scale_c, scale_v) = ((calls.scale)(c_in), (calls.scale)(&v_next));
    let scale_one = (calls.scale_one)(&c_next);
    let entering = place.entering_rows();
    Lines {
        constants: quote! {
            #offsets
            const #products_next: usize = Self::#products + #factor * #root::kernel::rows::<#produced>();
        },
        in_record,
        forward: quote!(#enter_x #carve_y #value;),
        recall: None,
        backward: quote!(let #c_in = #c_next; #scale_c; #leave_c),
        tangent: quote!(#enter_v #carve_v #root::kernel::copy(#v_in, #v_next); #scale_v;),
        one_sample: Some(OneSample {
            forward: quote!(#one_enter let #y = #value_one;),
            backward: quote!(let #c_in = #scale_one; #one_leave),
        }),
        scratch: quote!(#entering + #root::kernel::rows::<#produced>()),
        transpose: TokenStream::new(),
        gather: TokenStream::new(),
        gather_scratch: quote!(0),
        join: TokenStream::new(),
    }
}

/// The calls of a layer that has kernels over tiles, `mark`, and perhaps others for one sample.
fn general(place: &Place, mark: &TokenStream, one_sample: Option<OneSample>) -> Lines {
    let root = root();
    let Place {
        x_in,
        v_in,
        c_in,
        y,
        ..
    } = place;
    let (kept, c_next, v_next) = (place.name("kept"), place.next("c"), place.next("v"));
    let (at, at_next) = (place.name("AT"), place.next("AT"));
    let (sums, sums_next) = (place.name("SUMS"), place.next("SUMS"));
    let (products, products_next) = (place.name("PRODUCTS"), place.next("PRODUCTS"));
    let [enter_x, enter_v, leave_c] = place.restated();
    let Widths {
        taken, produced, ..
    } = &place.widths;
    let layer = quote!(<#mark as #root::kernel::TileLayer<#taken, #produced>>);
    let (carve_c, carve_y) = (record(c_in, taken), record(y, produced));
    let carve_v = carve(&v_next, produced);
    let in_record = place.in_record(Some(produced), Some(taken));
    let index = place.index;
    let own = quote!(Self::#at..Self::#at_next);
    let own_sums = quote!(sums[Self::#sums..Self::#sums_next]);
    let entering = place.entering_rows();
    let before = quote! {
        #enter_x
        #carve_y
        let (#kept, scratch) = scratch.split_at_mut(#layer::KEPT);
    };
    Lines {
        constants: quote! {
            const #at_next: usize = Self::#at + #layer::PARAMS;
            const #sums_next: usize = Self::#sums + #layer::SUMS;
            const #products_next: usize = Self::#products + #layer::PRODUCTS;
        },
        in_record,
        forward: quote! {
            #before
            #layer::forward(simd, &params[#own], t, #x_in, #kept, #y);
        },
        recall: Some(quote! {
            #before
            #layer::recall(simd, &params[#own], t, #x_in, value, #kept, #y);
        }),
        backward: quote! {
            #carve_c
            #layer::backward(
                simd, &params[#own], &transposed[#own], #x_in, #kept, #y, #c_next, #c_in,
            );
            #leave_c
        },
        tangent: quote! {
            #enter_v
            #carve_v
            #layer::tangent(
                simd, &params[#own], &theta_dot[#own], #x_in, #v_in, #kept, #y, #v_next,
            );
        },
        one_sample,
        scratch: quote!(#entering + #root::kernel::rows::<#produced>() + #layer::KEPT),
        transpose: quote!(#layer::transpose(&params[#own], &mut transposed[#own]);),
        gather: quote! {
            #layer::gather(
                simd,
                Self::LAYOUT.records(records, #index),
                &mut #own_sums,
                scratch,
            );
        },
        gather_scratch: quote!(#layer::gather_scratch(samples)),
        join: quote!(#layer::join(&#own_sums, &mut theta_bar[#own]);),
    }
}

/// A dense layer, with kernels for one sample.
fn dense(place: &Place, input: &Size, output: &Size, activation: &TokenStream) -> Lines {
    let root = root();
    let Place { x_in, c_in, y, .. } = place;
    let (z, c_next, dense) = (place.name("z"), place.next("c"), place.name("layer"));
    let (at, at_next) = (place.name("AT"), place.next("AT"));
    let [enter, leave] = place.restated_one();
    let own = quote!(Self::#at..Self::#at_next);
    let one_sample = OneSample {
        forward: quote! {
            #enter
            let #dense = #root::DenseParams::<Num, #input, #output>::at(params, Self::#at);
            let (#z, #y) = #dense.forward_one::<#activation, Set>(&transposed[#own], &#x_in);
        },
        backward: quote! {
            let #c_in = #dense.backward_one::<#activation, Set>(
                &transposed[#own], &#x_in, (&#z, &#y), #c_next, &mut theta_bar[#own],
            );
            #leave
        },
    };
    let mark = quote!(#root::kernel::DenseLayer<#activation>);
    general(place, &mark, Some(one_sample))
}

/// The end of a `Residual`: adds what entered it, `x_from`.
fn join(place: &Place, from: usize) -> Lines {
    let root = root();
    let y = &place.y;
    let produced = &place.widths.produced;
    let [x, v, c] = ["x", "v", "c"].map(|letter| place.name(letter));
    let (c_next, v_next) = (place.next("c"), place.next("v"));
    let [x_from, v_from] = ["x", "v"].map(|letter| format_ident!("{letter}_{from}"));
    let (products, products_next) = (place.name("PRODUCTS"), place.next("PRODUCTS"));
    let offsets = place.same_offsets();
    let (carve_y, carve_v, carve_c) = (
        record(y, produced),
        carve(&v_next, produced),
        record(&c, &place.widths.taken),
    );
    let in_record = place.in_record(Some(produced), Some(&place.widths.taken));
    Lines {
        constants: quote!(#offsets const #products_next: usize = Self::#products;),
        in_record,
        forward: quote! {
            #carve_y
            #root::kernel::copy(#x, #y);
            #root::kernel::add(simd, #x_from, #y);
        },
        recall: None,
        backward: quote!(#carve_c #root::kernel::copy(#c_next, #c);),
        tangent: quote! {
            #carve_v
            #root::kernel::copy(#v, #v_next);
            #root::kernel::add(simd, #v_from, #v_next);
        },
        one_sample: Some(OneSample {
            forward: quote!(let #y = #root::vector::add(&#x_from, #x);),
            backward: quote!(let #c = #c_next;),
        }),
        scratch: quote!(#root::kernel::rows::<#produced>()),
        transpose: TokenStream::new(),
        gather: TokenStream::new(),
        gather_scratch: quote!(0),
        join: TokenStream::new(),
    }
}
