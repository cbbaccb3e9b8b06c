//! Three models in a user's crate, every warning an error; each trains a few steps.

#![deny(
    warnings,
    missing_docs,
    unused_qualifications,
    rust_2018_idioms,
    unreachable_pub
)]

use neuralode::prelude::*;

neural_ode! {
    /// The classifier of the Lux tutorial, verbatim.
    #[derive(Clone, Debug)]
    pub struct MnistOde {
        input: [28, 28],
        encoder: [Flatten, Dense(784 => 20, tanh)],
        ode: Ode {
            field(t, y): [Dense(20 => 10, tanh), Dense(10 => 10, tanh), Dense(10 => 20, tanh)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
            adjoint: Interpolating,
        },
        head: Dense(20 => 10),
    }
}

/// Sizes as constants.
mod sizes {
    pub(crate) const STATE: usize = 2;
    pub(crate) const HIDDEN: usize = 16;
}

neural_ode! {
    struct Spiral {
        input: [sizes::STATE],
        ode: Ode {
            field(t, y): [Dense(sizes::STATE => sizes::HIDDEN, tanh), Dense(_ => sizes::STATE)],
            span: 0.0..1.5,
            solver: Tsit5 { rtol: 1e-4, atol: 1e-4, controller: PI },
            adjoint: Discrete,
        },
    }
}

/// Trains for a few steps with dfdx's own Adam and returns the first and the last loss.
fn train<M, X, Y, D>(
    model: &mut M,
    x: &X,
    loss: impl Fn(Y) -> Tensor<Rank0, f32, D, OwnedTape<f32, D>>,
) -> (f32, f32)
where
    D: Device<f32>,
    M: TensorCollection<f32, D> + Module<X::Traced, Output = Y, Error = SolveError>,
    X: Trace<f32, D>,
{
    let mut optimizer = Adam::new(
        model,
        AdamConfig {
            lr: 1e-2,
            ..Default::default()
        },
    );
    let mut gradients = model.alloc_grads();
    let mut losses = Vec::new();
    for _ in 0..10 {
        let y = model
            .try_forward(x.trace(gradients))
            .expect("the solve succeeds");
        let loss = loss(y);
        losses.push(loss.as_vec()[0]);
        gradients = try_backward(loss).expect("the backward solve succeeds").0;
        optimizer
            .update(model, &gradients)
            .expect("every parameter has a gradient");
        model.zero_grads(&mut gradients);
    }
    (losses[0], losses[9])
}

fn main() {
    neural_ode! {
        /// A model in a function body, with two stages behind the block.
        struct Regression {
            input: [3],
            lift: Dense(3 => 6),
            flow: Ode {
                field(t, y): Dense(6 => 6, sin),
                span: -1..1,
                solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
            },
            mix: [Dense(4, relu), Dense(1)],
            bound: sigmoid,
        }
    }

    let dev = AutoDevice::seed_from_u64(0);

    let mut mnist = MnistOde::<f32, _>::build(&dev);
    let images: Tensor<(usize, Const<28>, Const<28>), f32, _> =
        dev.sample_uniform_like(&(16, Const, Const));
    let targets = dev.one_hot_encode(Const::<10>, (0..16).map(|i| i % 10).collect::<Vec<usize>>());
    let losses = train(&mut mnist, &images, |y| {
        cross_entropy_with_logits_loss(y, targets.clone())
    });
    println!("{}\nloss {} -> {}", mnist.summary(), losses.0, losses.1);
    assert!(losses.1 < losses.0);

    let mut spiral = Spiral::<f32, _>::build(&dev);
    let x: Tensor<Rank2<8, 2>, f32, _> = dev.sample_uniform();
    let losses = train(&mut spiral, &x, |y: Tensor<Rank2<8, 2>, f32, _, _>| {
        y.square().mean()
    });
    println!("spiral: loss {} -> {}", losses.0, losses.1);
    assert!(losses.1 < losses.0);

    let mut regression = Regression::<f32, _>::build(&dev);
    let x: Tensor<Rank2<8, 3>, f32, _> = dev.sample_uniform();
    let losses = train(&mut regression, &x, |y: Tensor<Rank2<8, 1>, f32, _, _>| {
        y.square().mean()
    });
    println!("regression: loss {} -> {}", losses.0, losses.1);
    assert!(losses.1 < losses.0);
}
