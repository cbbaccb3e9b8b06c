//! What one training step of the tutorial's model is made of: the field, its VJP, the solve, both adjoints.
//!
//! `cargo bench --bench step`

#![allow(missing_docs, reason = "a benchmark")]
#![allow(clippy::cast_precision_loss, reason = "small numbers")]

use std::hint::black_box;

use criterion::{criterion_group, criterion_main, Criterion};
use neuralode::{
    engine::{HostEngine, Tiles},
    kernel::TileField,
    ode::field::{Differentiable, VectorField},
    prelude::*,
    tensor::{KernelVisitor, TensorEngine, TensorState},
    Adjoint, Backend,
};

neural_ode! {
    #[derive(Clone, Debug)]
    struct MnistOde {
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

const BATCH: usize = 128;

fn field(c: &mut Criterion) {
    let dev = Cpu::seed_from_u64(0);
    let model = MnistOde::<f32, _>::build(&dev);
    let y: Tensor<Rank2<BATCH, 20>, f32, _> = dev.sample_uniform();
    let y = TensorState(y);
    let mut engine = TensorEngine::new(model.ode.field.clone());
    let mut dy = y.clone();
    c.bench_function("field, dfdx operations", |b| {
        b.iter(|| engine.eval(0.0, black_box(&y), &mut dy).unwrap());
    });
    let mut theta_bar = engine.zero_params().unwrap();
    c.bench_function("vjp, dfdx tape", |b| {
        b.iter(|| {
            engine
                .vjp(0.0, black_box(&y), &y, &mut dy, &mut theta_bar)
                .unwrap();
        });
    });
}

/// Times the generated kernels on a batch of ones.
struct Kernels<'c> {
    criterion: &'c mut Criterion,
    params: Vec<f32>,
}

impl KernelVisitor<20> for Kernels<'_> {
    type Output = ();

    fn visit<K: TileField<20>>(self) {
        let mut engine =
            HostEngine::<neuralode::kernel::field::Generated<K, f32>, f32, 20, 32>::new(
                self.params,
            )
            .unwrap();
        let y = Tiles::from_flat(20, &[0.5; BATCH * 20]).unwrap();
        let mut dy = y.clone();
        self.criterion.bench_function("field, generated", |b| {
            b.iter(|| engine.eval(0.0, black_box(&y), &mut dy).unwrap());
        });
        let mut theta_bar = engine.zero_params().unwrap();
        self.criterion.bench_function("vjp, generated", |b| {
            b.iter(|| {
                engine
                    .vjp(0.0, black_box(&y), &y, &mut dy, &mut theta_bar)
                    .unwrap();
            });
        });
    }
}

fn kernels(c: &mut Criterion) {
    let count = 210 + 110 + 220;
    let visitor = Kernels {
        criterion: c,
        params: (0..count).map(|i| (i as f32).sin() * 0.3).collect(),
    };
    let shown = MnistOdeOdeField::<f32, Cpu>::with_kernel(visitor);
    assert!(shown.is_ok(), "a generated field has kernels");
}

fn solve(c: &mut Criterion) {
    let dev = Cpu::seed_from_u64(0);
    let mut model = MnistOde::<f32, _>::build(&dev);
    let images: Tensor<Rank3<BATCH, 28, 28>, f32, _> = dev.sample_uniform();
    let targets = dev.one_hot_encode(Const::<10>, [3; BATCH]);
    c.bench_function("forward", |b| {
        b.iter(|| model.try_forward(black_box(images.clone())).unwrap());
    });
    let both = [Backend::Kernels, Backend::Operations];
    let cases = both.map(|backend| {
        [
            (Adjoint::Discrete, backend),
            (Adjoint::Interpolating, backend),
        ]
    });
    for (adjoint, backend) in cases.into_iter().flatten() {
        model.ode.options.adjoint = adjoint;
        model.ode.options.backend = backend;
        let mut optimizer = Adam::new(&model, AdamConfig::default());
        let mut model = model.clone();
        let mut kept = Some(model.alloc_grads());
        c.bench_function(&format!("training step, {adjoint:?}, {backend:?}"), |b| {
            b.iter(|| {
                let gradients = kept.take().unwrap();
                let (logits, _) = model.try_forward_traced(images.clone(), gradients).unwrap();
                let loss = softmax_cross_entropy(logits, targets.clone());
                let (mut gradients, _) = try_backward(loss).unwrap();
                optimizer.update(&mut model, &gradients).unwrap();
                model.zero_grads(&mut gradients);
                kept = Some(gradients);
            });
        });
    }
}

criterion_group!(benches, field, kernels, solve);
criterion_main!(benches);
