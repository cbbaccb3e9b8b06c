// Something that is no item with a name and entries.
use neuralode::prelude::*;

neural_ode! {
    fn model() {}
}

fn main() {}
