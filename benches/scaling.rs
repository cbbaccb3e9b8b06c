//! What the kernels reach of the processor's peak, and how the time of a block grows with batch, steps and layers.
//! Prints Markdown tables; each number is the least of several repetitions.
//!
//! `cargo bench --bench scaling`

#![allow(missing_docs, reason = "a benchmark")]
#![allow(clippy::cast_precision_loss, reason = "small numbers")]

use std::{hint::black_box, time::Instant};

use neuralode::{
    engine::{HostEngine, Tiles},
    kernel::{field::Generated, TileField},
    ode::field::{Differentiable, VectorField},
    prelude::*,
    simd::real::Real,
    tensor::KernelVisitor,
    Controller,
};
use pulp::{Arch, Simd, WithSimd};

const LANES: usize = 32;

macro_rules! models {
    ($($name:ident: $state:literal, $layers:tt;)*) => {$(
        neural_ode! {
            #[derive(Clone, Debug)]
            struct $name {
                input: [$state],
                ode: Ode {
                    field(t, y): $layers,
                    span: 0.0..1.0,
                    solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
                },
            }
        }
    )*};
}

models! {
    Tutorial: 20, [Dense(20 => 10, tanh), Dense(10 => 10, tanh), Dense(10 => 20, tanh)];
    Wide: 256, [Dense(256 => 512, tanh), Dense(512 => 256)];
    One: 10, [Dense(10 => 10, tanh)];
    Ten: 10, [
        Dense(10 => 10, tanh), Dense(10 => 10, tanh), Dense(10 => 10, tanh), Dense(10 => 10, tanh),
        Dense(10 => 10, tanh), Dense(10 => 10, tanh), Dense(10 => 10, tanh), Dense(10 => 10, tanh),
        Dense(10 => 10, tanh), Dense(10 => 10, tanh)
    ];
}

/// Fields of as many layers as there are widths.
macro_rules! deep {
    ($name:ident: $($width:tt)*) => {
        models! { $name: 10, [$(Dense($width => $width, tanh)),*]; }
    };
}

deep!(Hundred:
    10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10
    10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10
    10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10
    10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10
);

/// The least time of some repetitions, in microseconds.
fn least(mut work: impl FnMut()) -> f64 {
    let begin = Instant::now();
    let mut least = f64::INFINITY;
    let mut count = 0;
    while count < 3 || begin.elapsed().as_secs_f64() < 0.3 {
        let start = Instant::now();
        work();
        least = least.min(start.elapsed().as_secs_f64());
        count += 1;
    }
    least * 1e6
}

/// Independent multiply-adds in f32, in GFLOP/s.
struct Peak;

impl WithSimd for Peak {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        const CHAINS: usize = 12;
        const TURNS: usize = 100_000;
        let (x, c) = (f32::splat(simd, 0.999), f32::splat(simd, 1e-3));
        let mut sums = [x; CHAINS];
        // Written out: a closure would not run under the wide instructions.
        let mut time = f64::INFINITY;
        for _ in 0..30 {
            let start = Instant::now();
            for _ in 0..TURNS {
                for sum in &mut sums {
                    *sum = f32::fma(simd, *sum, x, c);
                }
            }
            time = time.min(start.elapsed().as_secs_f64() * 1e6);
            let total = sums.into_iter().fold(c, |a, b| f32::sum(simd, a, b));
            black_box(f32::reduce(simd, total));
        }
        (2 * CHAINS * TURNS * S::F32_LANES) as f64 / time * 1e-3
    }
}

/// Prints what the kernels of a field reach for a batch.
struct Kernels {
    name: &'static str,
    batch: usize,
}

impl<const N: usize> KernelVisitor<N> for Kernels {
    type Output = ();

    fn visit<K: TileField<N>>(self) {
        let params = (0..K::PARAMS).map(|i| (i as f32).sin() * 0.05).collect();
        let Some(mut engine) = HostEngine::<Generated<K, f32>, f32, N, LANES>::new(params) else {
            println!("no vector instructions here");
            return;
        };
        let y = Tiles::from_flat(N, &vec![0.5; self.batch * N]).unwrap();
        let (mut dy, mut y_bar) = (y.clone(), y.clone());
        let mut theta_bar = engine.zero_params().unwrap();
        let field = least(|| engine.eval(0.0, black_box(&y), &mut dy).unwrap());
        let vjp = least(|| {
            engine
                .vjp(0.0, black_box(&y), &y, &mut y_bar, &mut theta_bar)
                .unwrap();
        });
        let flops = (2 * K::PARAMS * self.batch) as f64 * 1e-3;
        println!(
            "| {} | {} | {field:.2} | {:.0} | {vjp:.2} | {:.0} |",
            self.name,
            self.batch,
            flops / field,
            3.0 * flops / vjp
        );
    }
}

/// Time of a solve with so many equal steps, alone and with the discrete adjoint, in microseconds.
fn solve<const N: usize, F>(field: &F, batch: usize, steps: usize) -> [f64; 2]
where
    F: TensorField<N, f32, Cpu>,
{
    let dev = Cpu::default();
    let y0: Tensor<(usize, Const<N>), f32, _> = dev.sample_uniform_like(&(batch, Const));
    let dt = 1.0 / steps as f64;
    let options = SolveOptions::new(0.0, 1.0, 1e-3, 1e-3)
        .with_controller(Controller::Constant { dt })
        .with_max_steps(2 * steps);
    let block = NeuralOde::new(field.clone(), options);
    let forward = least(|| {
        black_box(block.try_forward(y0.clone()).unwrap());
    });
    let both = least(|| {
        let y1 = block.try_forward(y0.leaky_trace()).unwrap();
        black_box(try_backward(y1.mean()).unwrap());
    });
    [forward, both]
}

fn growth(what: &str, rows: impl IntoIterator<Item = (usize, usize, [f64; 2])>) {
    println!(
        "\n| {what} | forward, us | per unit, ns | with discrete adjoint, us | per unit, ns |"
    );
    println!("|---|---|---|---|---|");
    for (count, units, [forward, both]) in rows {
        let per_unit = |time: f64| time * 1e3 / units as f64;
        println!(
            "| {count} | {forward:.1} | {:.2} | {both:.1} | {:.2} |",
            per_unit(forward),
            per_unit(both)
        );
    }
}

fn main() {
    println!(
        "peak of one core: {:.0} GFLOP/s in f32\n",
        Arch::new().dispatch(Peak)
    );
    let one = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    one.install(|| {
        println!("| field | batch | call, us | GFLOP/s | VJP, us | GFLOP/s |");
        println!("|---|---|---|---|---|---|");
        for batch in [128, 4096] {
            let name = "20-10-10-20";
            let shown = TutorialOdeField::<f32, Cpu>::with_kernel(Kernels { name, batch });
            assert!(shown.is_ok());
        }
        let (name, batch) = ("256-512-256", 256);
        let shown = WideOdeField::<f32, Cpu>::with_kernel(Kernels { name, batch });
        assert!(shown.is_ok());
        let dev = Cpu::default();
        let a: Tensor<Rank2<256, 256>, f32, _> = dev.sample_uniform();
        let b: Tensor<Rank2<256, 512>, f32, _> = dev.sample_uniform();
        let time = least(|| {
            black_box(a.clone().matmul(b.clone()));
        });
        let flops = 2.0 * 256.0 * 256.0 * 512.0 * 1e-3;
        println!(
            "\ndfdx's product 256 x 256 x 512: {time:.0} us, {:.0} GFLOP/s",
            flops / time
        );

        let tutorial = Tutorial::<f32, _>::build(&dev).ode.field;
        let batches = [32, 128, 512, 2048, 8192, 32768];
        growth(
            "batch (10 steps)",
            batches.map(|n| (n, n, solve(&tutorial, n, 10))),
        );
        let steps = [10, 100, 1000, 10_000];
        growth(
            "steps (batch 32)",
            steps.map(|n| (n, n, solve(&tutorial, 32, n))),
        );
        let layers = [
            (1, solve(&One::<f32, _>::build(&dev).ode.field, 128, 10)),
            (10, solve(&Ten::<f32, _>::build(&dev).ode.field, 128, 10)),
            (
                100,
                solve(&Hundred::<f32, _>::build(&dev).ode.field, 128, 10),
            ),
        ]
        .map(|(count, times)| (count, count, times));
        growth("layers 10 => 10 (batch 128, 10 steps)", layers);
    });
    let tutorial = Tutorial::<f32, _>::build(&Cpu::default()).ode.field;
    let [alone, shared] = [1, 2].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| solve(&tutorial, 4096, 10))
    });
    println!(
        "\ntwo threads at batch 4096, 10 steps: {:.2} times faster forward, {:.2} with the discrete adjoint",
        alone[0] / shared[0],
        alone[1] / shared[1]
    );
}
