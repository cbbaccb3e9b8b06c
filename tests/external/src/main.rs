//! The models of a user's crate, one a file, every warning an error; each trains a few steps.

#![deny(
    warnings,
    missing_docs,
    unused_qualifications,
    rust_2018_idioms,
    unreachable_pub,
    clippy::pedantic
)]

mod augmented;
mod const_generics;
mod convolution;
mod custom;
mod derived;
mod in_function;
mod state;
mod timed;
mod training;
mod tutorial;
mod two_blocks;

use training::Losses;

type Train = fn() -> Result<Losses, Box<dyn std::error::Error>>;

/// What is trained, by the name of its file.
const MODELS: [(&str, Train); 10] = [
    ("tutorial", tutorial::train),
    ("timed", timed::train),
    ("augmented", augmented::train),
    ("two_blocks", two_blocks::train),
    ("custom", custom::train),
    ("state", state::train),
    ("in_function", in_function::train),
    ("const_generics", const_generics::train),
    ("derived", derived::train),
    ("convolution", convolution::train),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for (name, train) in MODELS {
        let Losses { first, last } = train()?;
        println!("{name}: loss {first} -> {last}");
        assert!(last < first, "{name} learns nothing");
    }
    Ok(())
}
