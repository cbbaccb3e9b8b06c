//! A training step of a convolutional ODE-Net: forward pass, backward pass, Adam. `conv_torch.py` is its other side.

use std::{error::Error, path::Path};

use neuralode::{prelude::*, Controller, Solver};

use crate::{
    measure::{time, Facts, Results},
    mnist::unpack,
    Outcome,
};

neural_ode! {
    #[derive(Clone, Debug)]
    struct ConvOde {
        input: [28, 28],
        encoder: [Reshape([1, 28, 28]), Conv2d(1 => 8, relu, kernel: 3, stride: 2, padding: 1)],
        ode: Ode {
            field(t, y): [Conv2d(8 => 8, tanh, kernel: 3, padding: 1), Conv2d(8 => 8, kernel: 3, padding: 1)],
            span: 0.0..1.0,
            solver: Rk4 { dt: 0.25 },
        },
        head: [AvgPool2d(kernel: 7), Flatten, Dense(32 => 10)],
    }
}

const BATCH: usize = 128;

/// The first training images, over and over; equal steps, and steps by tolerances.
pub(crate) fn run(case: &str, folder: Option<&Path>, results: &mut Results) -> Outcome {
    let Some(folder) = folder else {
        println!(
            "{case:34} skipped: name the folder of the MNIST files with --mnist or $MNIST_DIR"
        );
        return Ok(());
    };
    let dev = Cpu::seed_from_u64(0);
    let pixels = unpack(&folder.join("train-images-idx3-ubyte.gz"), 16, BATCH * 784)?;
    let pixels: Vec<f32> = pixels.into_iter().map(|x| f32::from(x) / 255.0).collect();
    let images: Tensor<Rank3<BATCH, 28, 28>, f32, _> =
        dev.tensor_from_vec(pixels, (Const, Const, Const));
    let labels = unpack(&folder.join("train-labels-idx1-ubyte.gz"), 8, BATCH)?;
    let targets = dev
        .one_hot_encode(
            Const::<10>,
            labels.into_iter().map(usize::from).collect::<Vec<_>>(),
        )
        .realize::<Rank2<BATCH, 10>>();
    for adaptive in [false, true] {
        let mut model = ConvOde::<f32, _>::build(&dev);
        if adaptive {
            model.ode.options.solver = Solver::Dopri5;
            model.ode.options.controller = Controller::I;
            (model.ode.options.rtol, model.ode.options.atol) = (1e-3, 1e-3);
        }
        let mut optimizer = FusedAdam::new(&model, AdamConfig::default());
        let mut gradients = Some(model.alloc_grads());
        let (timing, (loss, stats)) = time(
            50,
            || (),
            |()| -> Result<_, Box<dyn Error>> {
                let zeroed = gradients.take().unwrap_or_else(|| model.alloc_grads());
                let (logits, stats) = model.try_forward_traced(images.clone(), zeroed)?;
                let loss = softmax_cross_entropy(logits, targets.clone());
                let value = loss.array();
                let (mut found, _) = try_backward(loss)?;
                optimizer.step(&mut model, &mut found)?;
                gradients = Some(found);
                Ok((value, stats))
            },
        )?;
        let facts = Facts {
            steps: Some(stats.accepted + stats.rejected),
            loss: Some(f64::from(loss)),
            error: None,
        };
        let name = if adaptive { "adaptive" } else { "equal_steps" };
        results.add(&format!("{case}/{name}"), timing, facts);
    }
    Ok(())
}
