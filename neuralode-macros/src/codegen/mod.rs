//! From the typed model to Rust. Only these modules (and `fallback`) quote code.
//!
//! The structs are visible items; everything else stands in one `const _: () = { ... }` behind them.
//! Generated code names the library by absolute paths, and its type parameters are called `Elem`, `Dev`,
//! `Batch` and `Tp`, which no constant of the user is.

mod conditions;
mod derived;
mod field;
mod kernel;
mod layer;
mod methods;
mod options;
mod passes;
mod root;
mod sizes;
mod state;
mod storage;
mod structs;
mod summary;
mod values;
mod words;

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::Model;

use storage::Storage;

pub(crate) use root::{root, rooted};

/// Generates all items of a model.
pub(crate) fn generate(model: &Model) -> TokenStream {
    let storage: Vec<Storage<'_>> = model
        .stages
        .iter()
        .map(|stage| Storage::of(model, stage))
        .collect();
    let structs = structs::generate(model, &storage);
    let collections = structs::collections(model, &storage);
    let fields = storage.iter().filter_map(field::generate);
    let methods = methods::generate(model, &storage);
    let module = methods::module(model);
    let state_struct = state::state_struct(model, &storage);
    let state_items = state::items(model, &storage);
    let conditions = conditions::generate(model);
    quote! {
        #structs
        #state_struct

        #[allow(dead_code, unused_mut, unused_variables, clippy::all, clippy::pedantic, clippy::nursery)]
        const _: () = {
            #conditions
            #collections
            #(#fields)*
            #methods
            #module
            #state_items
        };
    }
}
