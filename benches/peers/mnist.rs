//! A training step of the tutorial's model: forward pass, backward pass, Adam.

use std::{error::Error, fs::File, io::Read, path::Path};

use flate2::read::GzDecoder;
use neuralode::{prelude::*, Adjoint};

use crate::{
    measure::{time, Facts, Results},
    numpy::Rng,
    support::set_parameters,
    Outcome,
};

neural_ode! {
    #[derive(Clone, Debug)]
    struct Mnist {
        input: [784],
        encoder: Dense(784 => 20, tanh),
        ode: Ode {
            field(t, y): [Dense(20 => 10, tanh), Dense(10 => 10, tanh), Dense(10 => 20, tanh)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
        head: Dense(20 => 10),
    }
}

const PIXELS: usize = 784;

/// The first `BATCH` training images, over and over from the same weights.
pub(crate) fn run<const BATCH: usize>(
    case: &str,
    folder: Option<&Path>,
    results: &mut Results,
) -> Outcome {
    let Some(folder) = folder else {
        println!(
            "{case:34} skipped: name the folder of the MNIST files with --mnist or $MNIST_DIR"
        );
        return Ok(());
    };
    let dev = Cpu::default();
    let pixels = unpack(
        &folder.join("train-images-idx3-ubyte.gz"),
        16,
        BATCH * PIXELS,
    )?;
    let pixels: Vec<f32> = pixels.into_iter().map(|x| f32::from(x) / 255.0).collect();
    let images = Samples::new(PIXELS, &pixels)?;
    let labels = unpack(&folder.join("train-labels-idx1-ubyte.gz"), 8, BATCH)?;
    let labels: Vec<usize> = labels.into_iter().map(usize::from).collect();
    let targets = dev
        .one_hot_encode(Const::<10>, labels)
        .realize::<(usize, Const<10>)>();

    let mut model = Mnist::<f32, _>::build(&dev);
    let mut rng = Rng::new(0);
    set_parameters(&mut model, &rng.dense_layers(&[PIXELS, 20, 10, 10, 20, 10]));
    // Makes room for Adam's moments, as other libraries do before they measure.
    let start = model.clone();
    let mut optimizer = FusedAdam::new(&model, AdamConfig::default());
    optimizer.step(&mut model, &mut start.alloc_grads())?;
    let model = start;

    for (name, adjoint) in [
        ("discrete", Adjoint::Discrete),
        ("interpolating", Adjoint::Interpolating),
    ] {
        let mut gradients = Some(model.alloc_grads());
        let (timing, (loss, stats)) = time(
            100,
            || {
                let mut model = model.clone();
                model.ode.options.adjoint = adjoint;
                (model, optimizer.clone())
            },
            |(mut model, mut optimizer)| -> Result<_, Box<dyn Error>> {
                let zeroed = gradients.take().unwrap_or_else(|| model.alloc_grads());
                let (logits, stats) = model.try_forward_samples_traced(&images, zeroed)?;
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
        results.add(&format!("{case}/{name}"), timing, facts);
    }
    Ok(())
}

/// `count` bytes of a packed file behind its header.
pub(crate) fn unpack(file: &Path, header: usize, count: usize) -> Result<Vec<u8>, Box<dyn Error>> {
    let wrong = |error: std::io::Error| format!("{}: {error}", file.display());
    let mut unpacked = GzDecoder::new(File::open(file).map_err(wrong)?);
    let mut bytes = vec![0; header + count];
    unpacked.read_exact(&mut bytes).map_err(wrong)?;
    Ok(bytes.split_off(header))
}
