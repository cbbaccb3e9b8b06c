// Stages, models and constants may have the names of keywords, written `r#name`; paths of parameters have
// the plain name.
use neuralode::prelude::*;

#[allow(non_upper_case_globals)]
const r#final: usize = 3;

neural_ode! {
    struct r#Model {
        input: [2],
        r#type: Dense(2 => r#final),
        r#async: [Dense(r#final => 4), Dense(4 => 2)],
        r#loop: Ode {
            field(t, y): Dense(2 => 2, tanh),
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

fn main() {
    let model = Model::<f32, _>::build(&Cpu::default());
    let summary = model.summary().to_string();
    for path in [
        "Model",
        " type ",
        " async.0 ",
        " loop.field.0 ",
        " loop: Tsit5",
    ] {
        assert!(summary.contains(path), "{path} in {summary}");
    }
    assert!(!summary.contains("r#"), "{summary}");
    assert_eq!(model.r#type.bias.as_vec(), [0.0; 3]);
}
