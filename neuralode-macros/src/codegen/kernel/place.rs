//! The names and widths that the lines of one layer share.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Ident;

use crate::model::Size;

use super::super::root;

/// The width that the layer before produced, and those that a layer takes and produces. The first two are
/// equal, if only by a condition on constants, which the compiler checks elsewhere.
#[derive(Clone)]
pub(super) struct Widths {
    pub(super) before: Size,
    pub(super) taken: Size,
    pub(super) produced: Size,
}

/// The names and widths that the lines of one layer share.
pub(super) struct Place {
    pub(super) index: usize,
    pub(super) widths: Widths,
    /// Whether the layer takes as many features as came, for sure. Otherwise tiles are restated where a
    /// condition on constants makes the widths equal; the layer before keeps its own.
    pub(super) sure: bool,
    pub(super) x_in: Ident,
    pub(super) v_in: Ident,
    pub(super) c_in: Ident,
    pub(super) y: Ident,
}

impl Place {
    pub(super) fn new(index: usize, widths: Widths) -> Self {
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
    pub(super) fn name(&self, letter: &str) -> Ident {
        format_ident!("{letter}_{}", self.index)
    }

    /// What belongs to the next layer.
    pub(super) fn next(&self, letter: &str) -> Ident {
        format_ident!("{letter}_{}", self.index + 1)
    }

    /// Tiles restated before and behind the layer: of the input, its tangent and its cotangent.
    pub(super) fn restated(&self) -> [Option<TokenStream>; 3] {
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
    pub(super) fn restated_one(&self) -> [Option<TokenStream>; 2] {
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
    pub(super) fn entering_rows(&self) -> TokenStream {
        let (root, taken) = (root(), &self.widths.taken);
        if self.sure {
            quote!(0)
        } else {
            quote!(#root::kernel::rows::<#taken>())
        }
    }

    /// The rows that the layer takes in the record: `forth` of them for what it produces and `back` for the cotangent of
    /// what it takes, where it does not pass tiles on.
    pub(super) fn in_record(&self, forth: Option<&Size>, back: Option<&Size>) -> TokenStream {
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
    pub(super) fn same_offsets(&self) -> TokenStream {
        let (at, at_next) = (self.name("AT"), self.next("AT"));
        let (sums, sums_next) = (self.name("SUMS"), self.next("SUMS"));
        quote! {
            const #at_next: usize = Self::#at;
            const #sums_next: usize = Self::#sums;
        }
    }
}

/// Takes a tile of this width from the scratch space.
pub(super) fn carve(tile: &Ident, width: &Size) -> TokenStream {
    let root = root();
    quote!(let (#tile, scratch) = #root::kernel::carve::<Num, #width, LANES>(scratch);)
}

/// Takes a tile of this width from the record.
pub(super) fn record(tile: &Ident, width: &Size) -> TokenStream {
    let root = root();
    quote!(let (#tile, record) = #root::kernel::carve::<Num, #width, LANES>(record);)
}
