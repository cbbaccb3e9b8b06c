//! What a training step of the tutorial's model does outside of its ODE block.
//!
//! `cargo bench --bench layers`

#![allow(missing_docs, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{criterion_group, criterion_main, Criterion};
use neuralode::prelude::*;

neural_ode! {
    #[derive(Clone, Debug)]
    struct Layers {
        input: [28, 28],
        encoder: [Flatten, Dense(784 => 20, tanh)],
        head: Dense(20 => 10),
    }
}

const BATCH: usize = 128;

fn step(c: &mut Criterion) {
    let dev = Cpu::seed_from_u64(0);
    let mut model = Layers::<f32, _>::build(&dev);
    let images: Tensor<Rank3<BATCH, 28, 28>, f32, _> = dev.sample_uniform();
    let targets = dev.one_hot_encode(Const::<10>, [3; BATCH]);
    c.bench_function("layers, forward", |b| {
        b.iter(|| model.try_forward(black_box(images.clone())).unwrap());
    });
    c.bench_function("layers, forward and backward, data", |b| {
        b.iter(|| {
            let gradients = Gradients::leaky();
            let (logits, _) = model
                .try_forward_traced(black_box(images.clone()), gradients)
                .unwrap();
            try_backward(softmax_cross_entropy(logits, targets.clone())).unwrap()
        });
    });
    c.bench_function("layers, forward and backward, taped input", |b| {
        b.iter(|| {
            let logits = model.try_forward(black_box(images.leaky_trace())).unwrap();
            try_backward(softmax_cross_entropy(logits, targets.clone())).unwrap()
        });
    });
    c.bench_function("layers, the same with dfdx's loss", |b| {
        b.iter(|| {
            let logits = model.try_forward(black_box(images.leaky_trace())).unwrap();
            try_backward(cross_entropy_with_logits_loss(logits, targets.clone())).unwrap()
        });
    });
    let mut optimizer = Adam::new(&model, AdamConfig::default());
    c.bench_function("layers, training step", |b| {
        b.iter(|| {
            let gradients = model.alloc_grads();
            let (logits, _) = model
                .try_forward_traced(black_box(images.clone()), gradients)
                .unwrap();
            let loss = softmax_cross_entropy(logits, targets.clone());
            let (gradients, _) = try_backward(loss).unwrap();
            optimizer.update(&mut model, &gradients).unwrap();
        });
    });
}

fn losses(c: &mut Criterion) {
    let dev = Cpu::seed_from_u64(0);
    let logits: Tensor<Rank2<BATCH, 10>, f32, _> = dev.sample_normal();
    let targets = dev.one_hot_encode(Const::<10>, [3; BATCH]);
    c.bench_function("softmax_cross_entropy, forward and backward", |b| {
        b.iter(|| softmax_cross_entropy(logits.leaky_trace(), targets.clone()).backward());
    });
    c.bench_function("dfdx's cross entropy, forward and backward", |b| {
        b.iter(|| cross_entropy_with_logits_loss(logits.leaky_trace(), targets.clone()).backward());
    });
}

fn adam(c: &mut Criterion) {
    let dev = Cpu::seed_from_u64(0);
    let mut model = Layers::<f32, _>::build(&dev);
    let gradients = model.alloc_grads();
    let mut optimizer = Adam::new(&model, AdamConfig::default());
    c.bench_function("Adam", |b| {
        b.iter(|| optimizer.update(&mut model, &gradients).unwrap());
    });
    let mut gradients = gradients;
    let mut optimizer = FusedAdam::new(&model, AdamConfig::default());
    c.bench_function("FusedAdam, which zeroes gradients as well", |b| {
        b.iter(|| optimizer.step(&mut model, &mut gradients).unwrap());
    });
    c.bench_function("alloc_grads", |b| b.iter(|| model.alloc_grads()));
}

criterion_group!(benches, step, losses, adam);
criterion_main!(benches);
