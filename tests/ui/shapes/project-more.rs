// More features to keep than there are.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        few: Project(5),
    }
}

fn main() {}
