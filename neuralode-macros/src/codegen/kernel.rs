//! The second lowering of a vector field: straight-line kernels over tiles of samples.
//!
//! One line per layer and pass, with sizes and offsets as constants; the arithmetic of a layer is in the
//! runtime's `engine::host::kernel`. `x_k` is what enters layer `k`, `z_k` the argument of its activation,
//! `c_k` the cotangent and `v_k` the tangent of `x_k`. The `z` and `v` are rows of `scratch`; the `x` and `c` are rows
//! of `record`, at constant offsets, from which `gather` makes the parameters' cotangent later.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Ident;

use crate::{
    generics::Generics,
    model::{Chain, Layer, LayerKind, Ode, Size},
};

use super::{
    conv, cuda,
    layers::{activation_type, epsilon_bits},
    root,
};

/// The unit struct `name` and its `TileField`, for the field of `ode`.
pub(super) fn generate(name: &Ident, generics: &Generics, ode: &Ode) -> TokenStream {
    let root = root();
    let kernel = type_of(name, generics);
    let (declared, introduced) = match generics.introduced() {
        none if none.is_empty() => (none.clone(), none),
        some => (quote!(<#some>), quote!(<#some>)),
    };
    let state = ode.features();
    let lines: Vec<Lines> = lines(ode);
    let count = lines.len();
    let constants = lines.iter().map(|lines| &lines.constants);
    let forward: Vec<&TokenStream> = lines.iter().map(|lines| &lines.forward).collect();
    let tangent = lines.iter().map(|lines| &lines.tangent);
    let one_sample = one_sample(ode, &lines);
    let cuda = cuda::generate(&name.to_string(), ode);
    let way_back = way_back(ode, &lines);
    let scratch = lines.iter().map(|lines| &lines.scratch);
    let transposes = lines.iter().map(|lines| &lines.transpose);
    let joins = lines.iter().map(|lines| &lines.join);
    let gather_scratch = lines.iter().map(|lines| &lines.gather_scratch);
    let in_record = lines.iter().map(|lines| &lines.in_record);
    let [at, sums, products] =
        ["AT", "SUMS", "PRODUCTS"].map(|name| format_ident!("{name}_{count}"));
    let [x, v] = ["x", "v"].map(|name| format_ident!("{name}_{count}"));
    let produced = ode.produced();
    let tile = quote!(#root::Tile<Num, #state, LANES>);
    let row = quote!(#root::kernel::Row<Num, LANES>);
    quote! {
        /// The vector field as kernels.
        struct #name #declared;

        #[automatically_derived]
        impl #introduced #kernel {
            const AT_0: usize = 0;
            const SUMS_0: usize = 0;
            const PRODUCTS_0: usize = 0;
            #(#constants)*
            const LAYOUT: #root::kernel::Layout<#count> = #root::kernel::Layout::new(
                #root::kernel::rows::<#state>(),
                #root::kernel::rows::<#produced>(),
                [#(#in_record),*],
            );
        }

        #[automatically_derived]
        impl #introduced #root::TileField<#state> for #kernel {
            const PARAMS: usize = Self::#at;
            const SUMS: usize = Self::#sums;
            const PRODUCTS: usize = Self::#products;
            const RECORD: usize = Self::LAYOUT.record;
            const SCRATCH: usize = 0 #(+ #scratch)*;

            fn gather_scratch(samples: usize) -> usize {
                0 #(+ #gather_scratch)*
            }

            fn transpose<Num: #root::Real>(params: &[Num]) -> #root::Vec<Num> {
                let mut transposed = params.to_vec();
                #(#transposes)*
                transposed
            }

            #[inline(always)]
            fn eval<Set: #root::Simd, Num: #root::Real, const LANES: usize>(
                simd: Set,
                params: &[Num],
                t: &[f64; LANES],
                x_0: &#tile,
                dy: &mut #tile,
                record: &mut [#row],
                scratch: &mut [#row],
            ) {
                #(#forward)*
                #root::kernel::copy(#x, dy);
            }

            #way_back

            #[inline(always)]
            fn eval_with_jvps<'d, Set: #root::Simd, Num: #root::Real, const LANES: usize>(
                simd: Set,
                params: &[Num],
                t: &[f64; LANES],
                x_0: &#tile,
                dy: &mut #tile,
                directions: impl #root::Iterator<Item = (&'d #tile, &'d [Num], &'d mut #tile)>,
                record: &mut [#row],
                scratch: &mut [#row],
            ) {
                #(#forward)*
                #root::kernel::copy(#x, dy);
                for (v_0, theta_dot, out) in directions {
                    #(#tangent)*
                    #root::kernel::copy(#v, out);
                }
            }

            #one_sample

            #cuda

            #[inline(always)]
            fn join<Num: #root::Real>(
                sums: &[#root::kernel::Sums<Num>],
                theta_bar: &mut [Num],
            ) {
                #(#joins)*
            }
        }
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

/// The passes over tiles whose product is with a cotangent.
fn way_back(ode: &Ode, lines: &[Lines]) -> TokenStream {
    let root = root();
    let (state, produced) = (ode.features(), ode.produced());
    let count = lines.len();
    let recalled = lines.iter().enumerate().map(|(index, lines)| {
        let is_last = index + 1 == count;
        lines
            .recall
            .as_ref()
            .filter(|_| is_last)
            .unwrap_or(&lines.forward)
    });
    let backward = lines.iter().rev().map(|lines| &lines.backward);
    let gathers = lines.iter().map(|lines| &lines.gather);
    let c = format_ident!("c_{count}");
    let tile = quote!(#root::Tile<Num, #state, LANES>);
    let row = quote!(#root::kernel::Row<Num, LANES>);
    quote! {
        #[inline(always)]
        fn vjp<Set: #root::Simd, Num: #root::Real, const LANES: usize>(
            simd: Set,
            params: &[Num],
            transposed: &[Num],
            t: &[f64; LANES],
            value: #root::Option<&#tile>,
            c: &#tile,
            y_bar: &mut #tile,
            record: &mut [#row],
            scratch: &mut [#row],
        ) {
            let (x_0, record) = #root::kernel::carve::<Num, #state, LANES>(record);
            let x_0 = &*x_0;
            #(#recalled)*
            let (#c, record) = #root::kernel::carve::<Num, #produced, LANES>(record);
            #root::kernel::copy(c, #c);
            #(#backward)*
            #root::kernel::copy(c_0, y_bar);
        }

        #[inline(always)]
        fn gather<Set: #root::Simd, Num: #root::Real, const LANES: usize>(
            simd: Set,
            records: &[#row],
            sums: &mut [#root::kernel::Sums<Num>],
            scratch: &mut [#row],
        ) {
            #(#gathers)*
        }
    }
}

/// The passes over one sample, if all layers have them.
fn one_sample(ode: &Ode, lines: &[Lines]) -> Option<TokenStream> {
    let root = root();
    let state = ode.features();
    let lines: Vec<&OneSample> = lines
        .iter()
        .map(|lines| lines.one_sample.as_ref())
        .collect::<Option<_>>()?;
    let one_forward: Vec<&TokenStream> = lines.iter().map(|lines| &lines.forward).collect();
    let one_backward = lines.iter().rev().map(|lines| &lines.backward);
    let count = lines.len();
    let (x, c) = (format_ident!("x_{count}"), format_ident!("c_{count}"));
    let produced = ode.produced();
    Some(quote! {
        const POINT: bool = true;

        #[inline(always)]
        fn eval_one<Set: #root::Simd, Num: #root::Real>(
            simd: Set,
            params: &[Num],
            transposed: &[Num],
            _t: f64,
            x_0: &[Num; #state],
        ) -> [Num; #state] {
            let x_0 = *x_0;
            #(#one_forward)*
            #root::vector::meet(&#x)
        }

        #[inline(always)]
        fn vjp_one<Set: #root::Simd, Num: #root::Real>(
            simd: Set,
            params: &[Num],
            transposed: &[Num],
            _t: f64,
            x_0: &[Num; #state],
            c: &[Num; #state],
            theta_bar: &mut [Num],
        ) -> [Num; #state] {
            let x_0 = *x_0;
            #(#one_forward)*
            let #c: [Num; #produced] = #root::vector::meet(c);
            #(#one_backward)*
            #root::vector::meet(&c_0)
        }
    })
}

/// What one layer adds to the passes.
struct Lines {
    /// Where the next layer's parameters and sums begin, and the products so far.
    constants: TokenStream,
    /// The rows that it takes in the record.
    in_record: TokenStream,
    /// From `x_k` to `x_{k+1}`.
    forward: TokenStream,
    /// The same for the last layer before its way back, which needs `x_{k+1}` at most in the derivative of
    /// the activation and may know it as `value`; `None` if that saves nothing.
    recall: Option<TokenStream>,
    /// From the cotangent `c_{k+1}` to `c_k`.
    backward: TokenStream,
    /// From the tangent `v_k` to `v_{k+1}`.
    tangent: TokenStream,
    /// The same for one sample, if there are kernels for that.
    one_sample: Option<OneSample>,
    /// Rows of scratch space that a pass takes, besides those of the record.
    scratch: TokenStream,
    /// Its part of the transposed parameters.
    transpose: TokenStream,
    /// Adds its part of the parameters' cotangent from records.
    gather: TokenStream,
    /// Rows of scratch space that this takes.
    gather_scratch: TokenStream,
    /// Its part of the joined sums.
    join: TokenStream,
}

/// What a layer adds to the passes over one sample.
struct OneSample {
    /// From `x_k` to `x_{k+1}`.
    forward: TokenStream,
    /// From `c_{k+1}` to `c_k`.
    backward: TokenStream,
}

fn lines(ode: &Ode) -> Vec<Lines> {
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

/// The width that the layer before produced, and those that a layer takes and produces. The first two are
/// equal, if only by a condition on constants, which the compiler checks elsewhere.
#[derive(Clone)]
struct Widths {
    before: Size,
    taken: Size,
    produced: Size,
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
        // `chain_lines` takes residual layers apart; fields with state have no kernels.
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

/// The names and widths that the lines of one layer share.
struct Place {
    index: usize,
    widths: Widths,
    /// Whether the layer takes as many features as came, for sure. Otherwise tiles are restated where a
    /// condition on constants makes the widths equal; the layer before keeps its own.
    sure: bool,
    x_in: Ident,
    v_in: Ident,
    c_in: Ident,
    y: Ident,
}

impl Place {
    fn new(index: usize, widths: Widths) -> Self {
        let sure = widths.before.is_surely(&widths.taken);
        let entering = |letter: &str, what: &str| {
            if sure {
                format_ident!("{letter}_{index}")
            } else {
                format_ident!("{what}_{letter}_{index}")
            }
        };
        Self {
            index,
            widths,
            sure,
            x_in: entering("x", "entering"),
            v_in: entering("v", "entering"),
            c_in: entering("c", "leaving"),
            y: format_ident!("x_{}", index + 1),
        }
    }

    /// What belongs to this layer.
    fn name(&self, letter: &str) -> Ident {
        format_ident!("{letter}_{}", self.index)
    }

    /// What belongs to the next layer.
    fn next(&self, letter: &str) -> Ident {
        format_ident!("{letter}_{}", self.index + 1)
    }

    /// Tiles restated before and behind the layer: of the input, its tangent and its cotangent.
    fn restated(&self) -> [Option<TokenStream>; 3] {
        let restate = |from: &Ident, to: &Ident, carve: TokenStream| {
            let root = root();
            quote!(#carve #root::kernel::copy(#from, #to);)
        };
        let [x, v, c] = ["x", "v", "c"].map(|letter| self.name(letter));
        let Widths { before, taken, .. } = &self.widths;
        [
            (!self.sure).then(|| restate(&x, &self.x_in, record(&self.x_in, taken))),
            (!self.sure).then(|| restate(&v, &self.v_in, carve(&self.v_in, taken))),
            (!self.sure).then(|| restate(&self.c_in, &c, record(&c, before))),
        ]
    }

    /// The same of the input and its cotangent for one sample.
    fn restated_one(&self) -> [Option<TokenStream>; 2] {
        let restate = |from: &Ident, to: &Ident, width: &Size| {
            let root = root();
            quote!(let #to: [Num; #width] = #root::vector::meet(&#from);)
        };
        [
            (!self.sure).then(|| restate(&self.name("x"), &self.x_in, &self.widths.taken)),
            (!self.sure).then(|| restate(&self.c_in, &self.name("c"), &self.widths.before)),
        ]
    }

    /// Rows of scratch space for the restated tangent.
    fn entering_rows(&self) -> TokenStream {
        let (root, taken) = (root(), &self.widths.taken);
        if self.sure {
            quote!(0)
        } else {
            quote!(#root::kernel::rows::<#taken>())
        }
    }

    /// The rows that the layer takes in the record: `forth` of them for what it produces and `back` for the cotangent of
    /// what it takes, where it does not pass tiles on.
    fn in_record(&self, forth: Option<&Size>, back: Option<&Size>) -> TokenStream {
        let root = root();
        let rows = |size: Option<&Size>| {
            size.map_or_else(|| quote!(0), |size| quote!(#root::kernel::rows::<#size>()))
        };
        let restated = |size| Some(size).filter(|_| !self.sure);
        let entering = rows(restated(&self.widths.taken));
        let leaving = rows(restated(&self.widths.before));
        let (forth, back) = (rows(forth), rows(back));
        quote! {
            #root::kernel::LayerRows {
                entering: #entering,
                forth: #forth,
                back: #back,
                leaving: #leaving,
            }
        }
    }

    /// The offsets behind a layer without parameters.
    fn same_offsets(&self) -> TokenStream {
        let (at, at_next) = (self.name("AT"), self.next("AT"));
        let (sums, sums_next) = (self.name("SUMS"), self.next("SUMS"));
        quote! {
            const #at_next: usize = Self::#at;
            const #sums_next: usize = Self::#sums;
        }
    }
}

/// Takes a tile of this width from the scratch space.
fn carve(tile: &Ident, width: &Size) -> TokenStream {
    let root = root();
    quote!(let (#tile, scratch) = #root::kernel::carve::<Num, #width, LANES>(scratch);)
}

/// Takes a tile of this width from the record.
fn record(tile: &Ident, width: &Size) -> TokenStream {
    let root = root();
    quote!(let (#tile, record) = #root::kernel::carve::<Num, #width, LANES>(record);)
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
