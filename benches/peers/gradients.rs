//! Gradients of the mean square of a solution, with and without saved points.

use neuralode::{prelude::*, Adjoint};

use crate::{
    measure::{time, Facts, Results},
    numpy::Rng,
    support::{batch, gradients_of, relative_error, set_parameters},
    Outcome,
};

neural_ode! {
    #[derive(Clone, Debug)]
    struct Spiral {
        input: [2],
        ode: Ode {
            field(t, y): [Pow(3), Dense(2 => 50, tanh), Dense(50 => 2)],
            span: 0.0..1.5,
            solver: Tsit5 { rtol: 1e-6, atol: 1e-6 },
        },
    }
}

neural_ode! {
    #[derive(Clone, Debug)]
    struct SmallNode {
        input: [4],
        ode: Ode {
            field(t, y): [Dense(4 => 32, tanh), Dense(32 => 4)],
            span: 0.0..10.0,
            solver: Tsit5 { rtol: 1e-6, atol: 1e-6 },
        },
    }
}

neural_ode! {
    #[derive(Clone, Debug)]
    struct WideNode {
        input: [256],
        ode: Ode {
            field(t, y): [Dense(256 => 512, tanh), Dense(512 => 256)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

/// One trajectory from (2, 0), at 30 equidistant times from 0 to 1.5.
pub(crate) fn spiral(case: &str, results: &mut Results) -> Outcome {
    let mut rng = Rng::new(1);
    let start = Start {
        parameters: rng.dense_layers(&[2, 50, 2]),
        y0: vec![2.0, 0.0],
        times: Some((0..30).map(|i| 1.5 * f64::from(i) / 29.0).collect()),
    };
    let single = Spiral::<f32, _>::build(&Cpu::default()).ode;
    let double = Spiral::<f64, _>::build(&Cpu::default()).ode;
    both_adjoints(case, single, double, &start, 50, results)
}

/// 64 trajectories of 4 features to t = 10.
pub(crate) fn small_node(case: &str, results: &mut Results) -> Outcome {
    let mut rng = Rng::new(1);
    let start = Start {
        parameters: rng.dense_layers(&[4, 32, 4]),
        y0: rng.uniforms(-1.0, 1.0, 64 * 4),
        times: None,
    };
    let single = SmallNode::<f32, _>::build(&Cpu::default()).ode;
    let double = SmallNode::<f64, _>::build(&Cpu::default()).ode;
    both_adjoints(case, single, double, &start, 20, results)
}

/// 256 trajectories of 256 features.
pub(crate) fn wide_node(case: &str, results: &mut Results) -> Outcome {
    let mut rng = Rng::new(1);
    let start = Start {
        parameters: rng.dense_layers(&[256, 512, 256]),
        y0: rng.uniforms(-1.0, 1.0, 256 * 256),
        times: None,
    };
    let single = WideNode::<f32, _>::build(&Cpu::default()).ode;
    let double = WideNode::<f64, _>::build(&Cpu::default()).ode;
    both_adjoints(case, single, double, &start, 10, results)
}

struct Start {
    parameters: Vec<Vec<f64>>,
    y0: Vec<f64>,
    /// Times to save, or the end alone.
    times: Option<Vec<f64>>,
}

/// Times the gradient in f32 under both adjoints; its error is that against f64 with tight tolerances.
fn both_adjoints<const N: usize, F, G>(
    case: &str,
    mut single: NeuralOde<F>,
    mut double: NeuralOde<G>,
    start: &Start,
    repetitions: usize,
    results: &mut Results,
) -> Outcome
where
    F: TensorField<N, f32, Cpu>,
    G: TensorField<N, f64, Cpu>,
{
    set_parameters(&mut single.field, &start.parameters);
    set_parameters(&mut double.field, &start.parameters);
    double.options.rtol = 1e-9;
    double.options.atol = 1e-9;
    let dev = Cpu::default();
    let times = start.times.as_deref();
    let (_, exact, _) = gradient(&double, &batch(&dev, &start.y0), times)?;
    let exact = gradients_of(&double.field, &exact).concat();
    let y0 = batch(&dev, &start.y0);
    for (name, adjoint) in [
        ("discrete", Adjoint::Discrete),
        ("interpolating", Adjoint::Interpolating),
    ] {
        single.options.adjoint = adjoint;
        let (timing, (loss, gradients, stats)) =
            time(repetitions, || (), |()| gradient(&single, &y0, times))?;
        let found = gradients_of(&single.field, &gradients).concat();
        let facts = Facts {
            steps: Some(stats.accepted + stats.rejected),
            loss: Some(f64::from(loss)),
            error: Some(relative_error(&found, &exact)),
        };
        results.add(&format!("{case}/{name}"), timing, facts);
    }
    Ok(())
}

/// The mean square of the solution at `times` or at the end, its gradients, and the forward solve's statistics.
fn gradient<const N: usize, E: Dtype, F: TensorField<N, E, Cpu>>(
    block: &NeuralOde<F>,
    y0: &Tensor<(usize, Const<N>), E, Cpu>,
    times: Option<&[f64]>,
) -> Result<(E, Gradients<E, Cpu>, Stats), SolveError>
where
    Cpu: Device<E>,
{
    let y0 = y0.trace(block.alloc_grads());
    let (loss, stats) = if let Some(times) = times {
        let (ys, stats) = block.try_forward_at(y0, times)?;
        (ys.square().mean::<Rank0, _>(), stats)
    } else {
        let (y1, stats) = block.try_forward_with_stats(y0)?;
        (y1.square().mean::<Rank0, _>(), stats)
    };
    let value = loss.array();
    let (gradients, _) = try_backward(loss)?;
    Ok((value, gradients, stats))
}
