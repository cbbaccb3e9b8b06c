use neuralode::prelude::*;

neural_ode! {
    /// The classifier of the Lux tutorial.
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

fn main() {
    let dev = AutoDevice::seed_from_u64(0);
    let mut model = MnistOde::<f32, _>::build(&dev);
    println!("{}", model.summary());
    let images: Tensor<(usize, Const<28>, Const<28>), f32, _> = dev.sample_uniform_like(&(128, Const, Const));
    let (logits, stats) = model.try_forward_with_stats(images.clone()).unwrap();
    println!("{stats:?} {:?}", logits.shape());
    let mut opt = Adam::new(&model, AdamConfig { lr: 1e-3, ..Default::default() });
    let targets: Tensor<(usize, Const<10>), f32, _> = dev.sample_uniform_like(&(128, Const));
    let mut grads = model.alloc_grads();
    let t0 = std::time::Instant::now();
    for i in 0..100 {
        let (logits, _) = model.try_forward_with_stats(images.clone().traced(grads)).unwrap();
        let loss = cross_entropy_with_logits_loss(logits, targets.clone());
        if i % 20 == 0 { println!("{:?}", loss.array()); }
        let (g, s) = try_backward(loss).unwrap();
        if i % 20 == 0 { println!("{s:?}"); }
        opt.update(&mut model, &g).unwrap();
        grads = g;
        model.zero_grads(&mut grads);
    }
    println!("{:?}/step", t0.elapsed() / 100);
}
