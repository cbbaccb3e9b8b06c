// A constant number of features to keep, more than there are.
use neuralode::prelude::*;

const HIDDEN: usize = 8;

neural_ode! {
    struct Model {
        input: [4],
        few: Project(HIDDEN),
    }
}

fn main() {}
