//! The second lowering of a vector field: straight-line kernels over tiles of samples.
//!
//! One line per layer and pass, with sizes and offsets as constants; the arithmetic of a layer is in the
//! runtime's `engine::host::kernel`. `x_k` is what enters layer `k`, `z_k` the argument of its activation,
//! `c_k` the cotangent and `v_k` the tangent of `x_k`. All of them are rows of `scratch`.

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
    let constants = lines.iter().map(|lines| &lines.constants);
    let forward: Vec<&TokenStream> = lines.iter().map(|lines| &lines.forward).collect();
    let backward = lines.iter().rev().map(|lines| &lines.backward);
    let tangent = lines.iter().map(|lines| &lines.tangent);
    let one_forward: Vec<&TokenStream> = lines.iter().map(|lines| &lines.one_forward).collect();
    let one_backward = lines.iter().rev().map(|lines| &lines.one_backward);
    let scratch = lines.iter().map(|lines| &lines.scratch);
    let transposes = lines.iter().map(|lines| &lines.transpose);
    let joins = lines.iter().map(|lines| &lines.join);
    let count = lines.len();
    let (at, sums, products) = (
        format_ident!("AT_{count}"),
        format_ident!("SUMS_{count}"),
        format_ident!("PRODUCTS_{count}"),
    );
    let (x, c, v) = (
        format_ident!("x_{count}"),
        format_ident!("c_{count}"),
        format_ident!("v_{count}"),
    );
    let produced = ode
        .field
        .layers
        .last()
        .and_then(|layer| layer.output.first())
        .unwrap_or(state);
    let tile = quote!(#root::Tile<Num, #state, LANES>);
    let row = quote!(#root::kernel::Row<Num, LANES>);
    quote! {
        /// The vector field as kernels.
        struct #name;

        #[automatically_derived]
        impl #name {
            const AT_0: usize = 0;
            const SUMS_0: usize = 0;
            const PRODUCTS_0: usize = 0;
            #(#constants)*
        }

        #[automatically_derived]
        impl #root::TileField<#state> for #name {
            const PARAMS: usize = Self::#at;
            const SUMS: usize = Self::#sums;
            const PRODUCTS: usize = Self::#products;

            fn scratch(samples: usize) -> usize {
                #root::kernel::rows::<#produced>() #(+ #scratch)*
            }

            fn transpose<Num: #root::Real>(params: &[Num]) -> #root::Vec<Num> {
                let mut transposed = #root::Vec::from(params);
                #(#transposes)*
                transposed
            }

            #[inline(always)]
            fn eval<Set: #root::Simd, Num: #root::Real, const LANES: usize>(
                simd: Set,
                params: &[Num],
                _t: f64,
                x_0: &#tile,
                dy: &mut #tile,
                scratch: &mut [#row],
            ) {
                #(#forward)*
                #root::kernel::copy(#x, dy);
            }

            #[inline(always)]
            fn vjp<Set: #root::Simd, Num: #root::Real, const LANES: usize>(
                simd: Set,
                params: &[Num],
                transposed: &[Num],
                _t: f64,
                x_0: &#tile,
                c: &#tile,
                y_bar: &mut #tile,
                sums: &mut [#root::kernel::Sums<Num>],
                scratch: &mut [#row],
            ) {
                #(#forward)*
                let (#c, scratch) = #root::kernel::carve::<Num, #produced, LANES>(scratch);
                #root::kernel::copy(c, #c);
                #(#backward)*
                #root::kernel::copy(c_0, y_bar);
            }

            #[inline(always)]
            fn jvp<Set: #root::Simd, Num: #root::Real, const LANES: usize>(
                simd: Set,
                params: &[Num],
                _t: f64,
                x_0: &#tile,
                v_0: &#tile,
                out: &mut #tile,
                scratch: &mut [#row],
            ) {
                #(#forward)*
                #(#tangent)*
                #root::kernel::copy(#v, out);
            }

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

            #[inline(always)]
            fn join<Set: #root::Simd, Num: #root::Real>(
                simd: Set,
                sums: &[#root::kernel::Sums<Num>],
                theta_bar: &mut [Num],
            ) {
                #(#joins)*
            }
        }
    }
}

/// What one layer adds to the passes.
struct Lines {
    /// Where the next layer's parameters and sums begin, and the products so far.
    constants: TokenStream,
    /// From `x_k` to `x_{k+1}`.
    forward: TokenStream,
    /// From the cotangent `c_{k+1}` to `c_k`.
    backward: TokenStream,
    /// From the tangent `v_k` to `v_{k+1}`.
    tangent: TokenStream,
    /// From `x_k` to `x_{k+1}` for one sample.
    one_forward: TokenStream,
    /// From `c_{k+1}` to `c_k` for one sample.
    one_backward: TokenStream,
    /// Rows of scratch space that the passes take.
    scratch: TokenStream,
    /// Its part of the transposed parameters.
    transpose: TokenStream,
    /// Its part of the parameters' cotangent.
    join: TokenStream,
}

fn lines(ode: &Ode) -> Vec<Lines> {
    let mut before = &ode.state;
    let mut lines = Vec::new();
    for (index, layer) in ode.field.layers.iter().enumerate() {
        let taken = layer.input.first().unwrap_or(before);
        let produced = layer.output.first().unwrap_or(taken);
        lines.push(layer_lines(
            index,
            layer,
            Widths {
                before,
                taken,
                produced,
            },
        ));
        before = produced;
    }
    lines
}

/// The width that the layer before produced, and those that a layer takes and produces. The first two are
/// equal, if only by a condition on constants, which the compiler checks elsewhere.
#[derive(Clone, Copy)]
struct Widths<'m> {
    before: &'m Size,
    taken: &'m Size,
    produced: &'m Size,
}

fn layer_lines(index: usize, layer: &Layer, widths: Widths<'_>) -> Lines {
    let root = root();
    let kernel = quote!(#root::kernel);
    let next_index = index + 1;
    let name = |letter: &str| format_ident!("{letter}_{index}");
    let next = |letter: &str| format_ident!("{letter}_{next_index}");
    let (x, y, z) = (name("x"), next("x"), name("z"));
    let (c, c_next, v, v_next) = (name("c"), next("c"), name("v"), next("v"));
    let (at, at_next, sums, sums_next) = (name("AT"), next("AT"), name("SUMS"), next("SUMS"));
    let (products, products_next) = (name("PRODUCTS"), next("PRODUCTS"));
    let dense = name("layer");
    let Widths {
        before,
        taken,
        produced,
    } = widths;
    // Restated only where a condition on constants makes the widths equal; the layer before keeps its own.
    let sure = before.is_surely(taken);
    let restate = |from: &Ident, to: &Ident, width: &Size| {
        quote! {
            let (#to, scratch) = #kernel::carve::<Num, #width, LANES>(scratch);
            #kernel::copy(#from, #to);
        }
    };
    let carve = |tile: &Ident, width: &Size| quote!(let (#tile, scratch) = #kernel::carve::<Num, #width, LANES>(scratch););
    let x_in = if sure { x.clone() } else { name("entering_x") };
    let v_in = if sure { v.clone() } else { name("entering_v") };
    let c_in = if sure { c.clone() } else { name("leaving_c") };
    let enter_x = (!sure).then(|| restate(&x, &x_in, taken));
    let enter_v = (!sure).then(|| restate(&v, &v_in, taken));
    let leave_c = (!sure).then(|| restate(&c_in, &c, before));
    let one = |from: &Ident, to: &Ident, width: &Size| quote!(let #to: [Num; #width] = #root::vector::meet(&#from););
    let one_enter = (!sure).then(|| one(&x, &x_in, taken));
    let one_leave = (!sure).then(|| one(&c_in, &c, before));
    let entering = if sure {
        quote!(0)
    } else {
        quote!(3 * #kernel::rows::<#taken>())
    };
    let same_offsets = quote! {
        const #at_next: usize = Self::#at;
        const #sums_next: usize = Self::#sums;
    };
    match &layer.kind {
        LayerKind::Flatten => Lines {
            constants: quote!(#same_offsets const #products_next: usize = Self::#products;),
            forward: quote!(#enter_x let #y = &*#x_in;),
            backward: quote!(let #c_in = #c_next; #leave_c),
            tangent: quote!(#enter_v let #v_next = &*#v_in;),
            one_forward: quote!(#one_enter let #y = #x_in;),
            one_backward: quote!(let #c_in = #c_next; #one_leave),
            scratch: entering,
            transpose: TokenStream::new(),
            join: TokenStream::new(),
        },
        LayerKind::Activation(activation) => {
            let activation = activation_type(*activation);
            let [carve_y, carve_v] = [&y, &v_next].map(|tile| carve(tile, produced));
            Lines {
                constants: quote! {
                    #same_offsets
                    const #products_next: usize = Self::#products + 16 * #kernel::rows::<#produced>();
                },
                forward: quote! {
                    #enter_x
                    #carve_y
                    #kernel::activate::<#activation, Set, Num, #taken, LANES>(#x_in, #y);
                },
                backward: quote! {
                    let #c_in = #c_next;
                    #kernel::scale_by_derivative::<#activation, Set, Num, #taken, LANES>(simd, #x_in, #y, #c_in);
                    #leave_c
                },
                tangent: quote! {
                    #enter_v
                    #carve_v
                    #kernel::copy(#v_in, #v_next);
                    #kernel::scale_by_derivative::<#activation, Set, Num, #taken, LANES>(simd, #x_in, #y, #v_next);
                },
                one_forward: quote! {
                    #one_enter
                    let #y = #root::vector::activate::<#activation, Set, Num, #taken>(&#x_in);
                },
                one_backward: quote! {
                    let #c_in = #root::vector::scale_by_derivative::<#activation, Set, Num, #taken>(
                        &#x_in, &#y, #c_next,
                    );
                    #one_leave
                },
                scratch: quote!(#entering + 2 * #kernel::rows::<#produced>()),
                transpose: TokenStream::new(),
                join: TokenStream::new(),
            }
        }
        LayerKind::Pow { exponent } => {
            let [carve_y, carve_v] = [&y, &v_next].map(|tile| carve(tile, produced));
            Lines {
                constants: quote! {
                    #same_offsets
                    const #products_next: usize = Self::#products + 4 * #kernel::rows::<#produced>();
                },
                forward: quote! {
                    #enter_x
                    #carve_y
                    #root::pow::pow::<#exponent, Set, Num, #taken, LANES>(simd, #x_in, #y);
                },
                backward: quote! {
                    let #c_in = #c_next;
                    #root::pow::scale_by_derivative::<#exponent, Set, Num, #taken, LANES>(simd, #x_in, #c_in);
                    #leave_c
                },
                tangent: quote! {
                    #enter_v
                    #carve_v
                    #kernel::copy(#v_in, #v_next);
                    #root::pow::scale_by_derivative::<#exponent, Set, Num, #taken, LANES>(simd, #x_in, #v_next);
                },
                one_forward: quote! {
                    #one_enter
                    let #y = #root::pow::pow_one::<#exponent, Num, #taken>(&#x_in);
                },
                one_backward: quote! {
                    let #c_in = #root::pow::scale_one::<#exponent, Num, #taken>(&#x_in, #c_next);
                    #one_leave
                },
                scratch: quote!(#entering + 2 * #kernel::rows::<#produced>()),
                transpose: TokenStream::new(),
                join: TokenStream::new(),
            }
        }
        LayerKind::Dense {
            input,
            output,
            activation,
        } => {
            let activation = activation_type(*activation);
            let layer = quote!(#root::DenseParams::<Num, #input, #output>);
            let plain = quote!(#root::DenseParams::<f32, #input, #output>);
            let carve_c = carve(&c_in, taken);
            let [carve_y, carve_z, carve_v] = [&y, &z, &v_next].map(|tile| carve(tile, produced));
            Lines {
                constants: quote! {
                    const #at_next: usize = Self::#at + #plain::COUNT;
                    const #sums_next: usize = Self::#sums + #plain::SUMS;
                    const #products_next: usize = Self::#products + #plain::PRODUCTS;
                },
                forward: quote! {
                    #enter_x
                    #carve_y
                    #carve_z
                    let #dense = #layer::at(params, Self::#at);
                    #dense.forward::<#activation, Set, LANES>(simd, #x_in, #z, #y);
                },
                backward: quote! {
                    #carve_c
                    #dense.backward::<#activation, Set, LANES>(
                        simd, &transposed[Self::#at..Self::#at_next],
                        #x_in, #z, #y, #c_next, #c_in,
                        &mut sums[Self::#sums..Self::#sums_next], &mut *scratch,
                    );
                    #leave_c
                },
                tangent: quote! {
                    #enter_v
                    #carve_v
                    #dense.tangent::<#activation, Set, LANES>(simd, #v_in, #z, #y, #v_next);
                },
                one_forward: quote! {
                    #one_enter
                    let #dense = #layer::at(params, Self::#at);
                    let (#z, #y) = #dense.forward_one::<#activation, Set>(
                        &transposed[Self::#at..Self::#at_next], &#x_in,
                    );
                },
                one_backward: quote! {
                    let #c_in = #dense.backward_one::<#activation, Set>(
                        &transposed[Self::#at..Self::#at_next], &#x_in, (&#z, &#y), #c_next,
                        &mut theta_bar[Self::#at..Self::#at_next],
                    );
                    #one_leave
                },
                scratch: quote!(#entering + #plain::scratch(samples)),
                transpose: quote! {
                    #layer::transpose(
                        &params[Self::#at..Self::#at_next],
                        &mut transposed[Self::#at..Self::#at_next],
                    );
                },
                join: quote! {
                    #layer::join(
                        simd,
                        &sums[Self::#sums..Self::#sums_next],
                        &mut theta_bar[Self::#at..Self::#at_next],
                    );
                },
            }
        }
    }
}
