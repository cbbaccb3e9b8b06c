//! The training run of `tests/golden/generate_mnist_training.py`: the tutorial's model on 1280 real images,
//! three passes with Adam, followed loss by loss.
//!
//! Needs `mnist_training.json` and `mnist_training.safetensors` in `$NEURALODE_GOLDEN_DIR` (default
//! `tests/golden`) and the MNIST training files in `$MNIST_DIR`; says so and passes where they are missing.

#![allow(missing_docs, reason = "a test program")]

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use neuralode::{prelude::*, Adjoint, Backend};

neural_ode! {
    #[derive(Clone, Debug)]
    pub struct MnistOde {
        input: [28, 28],
        encoder: [Flatten, Dense(784 => 20, tanh)],
        ode: Ode {
            field(t, y): [Dense(20 => 10, tanh), Dense(10 => 10, tanh), Dense(10 => 20, tanh)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-6, atol: 1e-6 },
        },
        head: Dense(20 => 10),
    }
}

const BATCH: usize = 128;

struct Reference {
    losses: Vec<f64>,
    first_gradient_l2: serde_json::Value,
    final_logits_image0: Vec<f64>,
    weights: Vec<u8>,
    images: Vec<f32>,
    labels: Vec<u8>,
}

/// The file `name` of MNIST, without its header, from its `.gz` or unpacked form.
fn mnist_file(folder: &Path, name: &str, header: usize) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    if let Ok(file) = std::fs::File::open(folder.join(format!("{name}.gz"))) {
        let mut decoder = flate2::read::GzDecoder::new(file);
        decoder.read_to_end(&mut content).ok()?;
    } else {
        content = std::fs::read(folder.join(name)).ok()?;
    }
    content.get(header..).map(<[u8]>::to_vec)
}

fn reference() -> Result<Reference, String> {
    let golden = std::env::var_os("NEURALODE_GOLDEN_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden"),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(golden.join("mnist_training.json"))
        .map_err(|e| format!("mnist_training.json: {e}"))?;
    let weights = std::fs::read(golden.join("mnist_training.safetensors"))
        .map_err(|e| format!("mnist_training.safetensors: {e}; set NEURALODE_GOLDEN_DIR"))?;
    let folder = std::env::var_os("MNIST_DIR").ok_or("MNIST_DIR is not set")?;
    let images = mnist_file(Path::new(&folder), "train-images-idx3-ubyte", 16);
    let labels = mnist_file(Path::new(&folder), "train-labels-idx1-ubyte", 8);
    let images = images.ok_or("no MNIST training images in MNIST_DIR")?;
    let labels = labels.ok_or("no MNIST training labels in MNIST_DIR")?;
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let numbers = |key: &str| -> Vec<f64> {
        let array = document[key].as_array().unwrap();
        array.iter().map(|x| x.as_f64().unwrap()).collect()
    };
    Ok(Reference {
        losses: numbers("losses"),
        first_gradient_l2: document["first_gradient_l2"].clone(),
        final_logits_image0: numbers("final_logits_image0"),
        weights,
        images: images[..1280 * 784]
            .iter()
            .map(|&pixel| f32::from(pixel) / 255.0)
            .collect(),
        labels: labels[..1280].to_vec(),
    })
}

fn initial_model(dev: &Cpu, weights: &[u8]) -> MnistOde<f32, Cpu> {
    let weights = ::safetensors::SafeTensors::deserialize(weights).unwrap();
    let load = |name: &str| -> Vec<f32> {
        let data = weights.tensor(name).unwrap();
        let bytes = data.data().chunks_exact(4);
        bytes
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect()
    };
    let mut model = MnistOde::<f32, _>::build(dev);
    model.encoder.weight.copy_from(&load("encoder.weight"));
    model.encoder.bias.copy_from(&load("encoder.bias"));
    model.ode.field.0.weight.copy_from(&load("field.l1.weight"));
    model.ode.field.0.bias.copy_from(&load("field.l1.bias"));
    model.ode.field.1.weight.copy_from(&load("field.l2.weight"));
    model.ode.field.1.bias.copy_from(&load("field.l2.bias"));
    model.ode.field.2.weight.copy_from(&load("field.l3.weight"));
    model.ode.field.2.bias.copy_from(&load("field.l3.bias"));
    model.head.weight.copy_from(&load("head.weight"));
    model.head.bias.copy_from(&load("head.bias"));
    model
}

fn follow(adjoint: Adjoint, backend: Backend) {
    let reference = match reference() {
        Ok(reference) => reference,
        Err(reason) => {
            println!("SKIPPED: the reference training run is not at hand ({reason})");
            return;
        }
    };
    let dev = Cpu::default();
    let mut model = initial_model(&dev, &reference.weights);
    model.ode.options.adjoint = adjoint;
    model.ode.options.backend = backend;
    let config = AdamConfig {
        lr: 1e-3,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: None,
    };
    let mut optimizer = Adam::new(&model, config);
    let mut gradients = model.alloc_grads();
    let mut worst: f64 = 0.0;
    for (step, expected) in reference.losses.iter().enumerate() {
        let first = (step % 10) * BATCH;
        let images = reference.images[first * 784..][..BATCH * 784].to_vec();
        let images = dev.tensor_from_vec(images, (BATCH, Const::<28>, Const::<28>));
        let mut targets = vec![0.0; BATCH * 10];
        for (row, label) in reference.labels[first..][..BATCH].iter().enumerate() {
            targets[row * 10 + usize::from(*label)] = 1.0;
        }
        let targets = dev.tensor_from_vec(targets, (BATCH, Const::<10>));
        let logits = model.try_forward(images.traced(gradients)).unwrap();
        let loss = cross_entropy_with_logits_loss(logits, targets);
        let error = (f64::from(loss.array()) - expected).abs() / expected;
        worst = worst.max(error);
        assert!(
            error <= 2e-4,
            "{adjoint:?}: loss {step} is {}, not {expected}",
            loss.array()
        );
        gradients = try_backward(loss).unwrap().0;
        if step == 0 {
            check_first_gradient(&model, &gradients, &reference.first_gradient_l2);
        }
        optimizer.update(&mut model, &gradients).unwrap();
        model.zero_grads(&mut gradients);
    }
    assert_eq!(reference.losses.len(), 30);
    let image0 = reference.images[..784].to_vec();
    let image0 = dev.tensor_from_vec(image0, (1, Const::<28>, Const::<28>));
    let logits = model.forward(image0).as_vec();
    for (found, expected) in logits.iter().zip(&reference.final_logits_image0) {
        assert!((f64::from(*found) - expected).abs() < 2e-3, "{logits:?}");
    }
    println!("{adjoint:?}, {backend:?}: 30 losses within {worst:.1e} of the reference");
}

/// The L2 norm of every parameter's gradient at the first batch, to 1e-4 relative.
fn check_first_gradient(
    model: &MnistOde<f32, Cpu>,
    gradients: &Gradients<f32, Cpu>,
    expected: &serde_json::Value,
) {
    let norm = |values: Vec<f32>| -> f64 {
        values
            .iter()
            .map(|x| f64::from(*x).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    let field = &model.ode.field;
    let found = [
        (
            "encoder.weight",
            norm(gradients.get(&model.encoder.weight).as_vec()),
        ),
        (
            "encoder.bias",
            norm(gradients.get(&model.encoder.bias).as_vec()),
        ),
        (
            "field.l1.weight",
            norm(gradients.get(&field.0.weight).as_vec()),
        ),
        ("field.l1.bias", norm(gradients.get(&field.0.bias).as_vec())),
        (
            "field.l2.weight",
            norm(gradients.get(&field.1.weight).as_vec()),
        ),
        ("field.l2.bias", norm(gradients.get(&field.1.bias).as_vec())),
        (
            "field.l3.weight",
            norm(gradients.get(&field.2.weight).as_vec()),
        ),
        ("field.l3.bias", norm(gradients.get(&field.2.bias).as_vec())),
        (
            "head.weight",
            norm(gradients.get(&model.head.weight).as_vec()),
        ),
        ("head.bias", norm(gradients.get(&model.head.bias).as_vec())),
    ];
    for (name, found) in found {
        let expected = expected[name].as_f64().unwrap();
        assert!(
            (found - expected).abs() <= 1e-4 * expected,
            "{name}: {found}, not {expected}"
        );
    }
}

#[test]
fn the_discrete_adjoint_follows_the_reference_training_run() {
    follow(Adjoint::Discrete, Backend::Kernels);
    follow(Adjoint::Discrete, Backend::Operations);
}

#[test]
fn the_interpolating_adjoint_follows_the_reference_training_run() {
    follow(Adjoint::Interpolating, Backend::Kernels);
    follow(Adjoint::Interpolating, Backend::Operations);
}
