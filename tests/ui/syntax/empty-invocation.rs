// Nothing at all.
use neuralode::prelude::*;

neural_ode! {
}

fn main() {}
