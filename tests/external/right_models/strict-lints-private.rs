// A private model is silent under every lint that a careful crate may deny, also where little of it is used.
//! A crate.

#![deny(
    warnings,
    missing_docs,
    missing_debug_implementations,
    missing_copy_implementations,
    unused,
    unused_qualifications,
    unused_lifetimes,
    unused_results,
    unreachable_pub,
    unnameable_types,
    single_use_lifetimes,
    trivial_casts,
    trivial_numeric_casts,
    non_ascii_idents,
    let_underscore_drop,
    future_incompatible,
    rust_2018_idioms,
    rust_2021_compatibility,
    rust_2024_compatibility,
    nonstandard_style,
    clippy::all,
    clippy::pedantic,
    clippy::nursery
)]
#![forbid(unsafe_code)]

use neuralode::prelude::{neural_ode, Cpu};

/// Features.
const HIDDEN: usize = 8;

neural_ode! {
    #[derive(Clone, Debug)]
    struct Model {
        input: [2, 2],
        encoder: [Flatten, Dense(4 => HIDDEN, tanh), Dense(HIDDEN => 4)],
        ode: Ode {
            field(t, y): [Dense(4 => HIDDEN, relu), sin, Dense(HIDDEN => 4)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
        head: Dense(4 => 2),
    }
}

neural_ode! {
    #[derive(Clone, Debug)]
    struct Small {
        input: [3],
        only: tanh,
    }
}

fn main() {
    let model = Model::<f32, _>::build(&Cpu::default());
    let small = Small::<f32, _>::build(&Cpu::default());
    println!("{}\n{}", model.summary(), small.summary());
}
