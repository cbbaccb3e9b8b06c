//! The second lowering of a vector field: straight-line kernels over tiles of samples.
//!
//! One line per layer and pass, with sizes and offsets as constants; the arithmetic of a layer is in the
//! runtime's `engine::host::kernel`. `x_k` is what enters layer `k`, `z_k` the argument of its activation,
//! `c_k` the cotangent and `v_k` the tangent of `x_k`. The `z` and `v` are rows of `scratch`; the `x` and `c` are rows
//! of `record`, at constant offsets, from which `gather` makes the parameters' cotangent later.

mod lines;
mod place;

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Ident;

use crate::{generics::Generics, model::Ode};

use self::lines::{lines, Lines, OneSample};

use super::{cuda, root};

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
    let kinks = ode.field.has_kinks().then(|| {
        quote!(
            const KINKS: bool = true;
        )
    });
    let tile = quote!(#root::Tile<Num, #state, LANES>);
    let row = quote!(#root::kernel::Row<Num, LANES>);
    quote! {
        #kinks
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
