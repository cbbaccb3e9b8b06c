//! Words of the language as types: activations, what weights start with, the epsilon of a normalisation.

use proc_macro2::{Literal, TokenStream};
use quote::{quote, ToTokens};

use crate::{
    ast::{digits, Value},
    model::{Activation, Init},
};

use super::{root, values};

/// The type of an activation.
pub(super) fn activation_type(activation: Activation) -> TokenStream {
    let root = root();
    let name = activation.runtime_name();
    quote!(#root::#name)
}

/// The last generic argument of a layer with weights, with a comma before it; none for what is the default.
pub(super) fn init_argument(init: Init) -> Option<TokenStream> {
    let root = root();
    (init != Init::Glorot).then(|| {
        let name = init.runtime_name();
        quote!(, #root::#name)
    })
}

/// The bits of the epsilon of a `LayerNorm` as a constant generic argument.
pub(super) fn epsilon_bits(epsilon: Option<&Value>) -> TokenStream {
    let digits = match epsilon {
        None => None,
        Some(Value::Number(_, lit)) => digits(lit).map(|(digits, _)| digits.parse::<f64>()),
        Some(value) => {
            let number = values::number(value);
            return quote!({ #number.to_bits() });
        }
    };
    let number = digits.and_then(Result::ok).unwrap_or(1e-5);
    Literal::u64_unsuffixed(number.to_bits()).into_token_stream()
}
