//! Blocks solve as the loop does: every method, stops and jumps, generated code and dfdx's tape.

#![allow(missing_docs, reason = "a test program")]
#![allow(clippy::cast_precision_loss, reason = "numbers are small")]

mod support;

use neuralode::{
    ode::{
        field::VectorField,
        method::{ButcherTableau, WithTableau, TSIT5},
        output::saved_points::solve_at,
        solve::record,
    },
    prelude::*,
    tensor::{TensorEngine, TensorState},
    Backend, Controller, Solver,
};
use support::relative_error;

/// `dy/dt = W tanh(y) + t`, small enough to differentiate by differences.
mod model {
    use neuralode::prelude::*;

    neural_ode! {
        #[derive(Clone, Debug)]
        pub(crate) struct Small {
            input: [3],
            ode: Ode {
                field(t, y): [Dense(3 => 5, tanh), Dense(5 => 3)],
                span: 0.0..1.0,
                solver: Tsit5 { rtol: 1e-6, atol: 1e-6 },
            },
        }
    }
}

type Rows<const N: usize> = Tensor<(usize, Const<N>), f64, Cpu>;

fn rows<const N: usize>(count: usize, phase: f64) -> Rows<N> {
    let values: Vec<f64> = (0..count * N)
        .map(|i| (i as f64 * 0.9 + phase).sin())
        .collect();
    Cpu::default().tensor_from_vec(values, (count, Const::<N>))
}

/// The options of a solve that every method can do.
fn in_six_steps(solver: Solver) -> SolveOptions {
    SolveOptions::new(0.0, 1.0, 1e-6, 1e-6)
        .with_solver(solver)
        .with_controller(Controller::Constant { dt: 1.0 / 6.0 })
}

#[test]
fn blocks_solve_like_the_loop_with_every_method() {
    /// The same solve with the tableau as it stands, over dfdx's operations.
    struct Plain<'m>(&'m model::Small<f64, Cpu>, Rows<3>, &'m [f64]);
    impl WithTableau for Plain<'_> {
        type Output = (Vec<Vec<f64>>, Stats);
        fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) -> Self::Output {
            let Self(model, y0, times) = self;
            let y0 = TensorState(y0);
            let mut engine = TensorEngine::new(model.ode.field.clone());
            let options = model.ode.options.clone();
            let (values, stats) =
                solve_at(&mut engine, tableau, y0, times, &options, &mut ()).unwrap();
            (values.iter().map(|value| value.as_vec()).collect(), stats)
        }
    }
    let dev = Cpu::seed_from_u64(3);
    let mut model = model::Small::<f64, _>::build(&dev);
    let times = [0.0, 0.05, 0.5, 0.77, 1.0];
    for solver in Solver::ALL {
        model.ode.options = in_six_steps(solver);
        // One sample takes another path than several.
        for count in [1, 3] {
            let y0 = rows::<3>(count, 0.2);
            let (expected, stats) = solver.with_tableau(Plain(&model, y0.clone(), &times));
            for backend in [Backend::Kernels, Backend::Operations] {
                model.ode.options.backend = backend;
                let (found, found_stats) = model.ode.try_forward_at(y0.clone(), &times).unwrap();
                assert_eq!(found_stats, stats, "{solver:?} {backend:?}");
                for (found, expected) in found.as_vec().iter().zip(expected.concat()) {
                    assert!((found - expected).abs() < 1e-13, "{solver:?} {backend:?}");
                }
            }
        }
    }
}

#[test]
fn gradients_of_every_method_are_those_of_its_steps() {
    let dev = Cpu::seed_from_u64(3);
    let mut model = model::Small::<f64, _>::build(&dev);
    let times = [0.0, 0.05, 0.5, 0.77, 1.0];
    for solver in Solver::ALL {
        model.ode.options = in_six_steps(solver);
        for count in [1, 3] {
            let y0 = rows::<3>(count, 0.2);
            let loss = |model: &model::Small<f64, Cpu>, y0: Rows<3>| -> f64 {
                let (ys, _) = model.ode.try_forward_at(y0, &times).unwrap();
                ys.square().sum::<Rank0, _>().array()
            };
            let mut gradients: Vec<Vec<f64>> = Vec::new();
            for backend in [Backend::Kernels, Backend::Operations] {
                model.ode.options.backend = backend;
                let traced = y0.leaky_trace();
                let (ys, _) = model.ode.try_forward_at(traced, &times).unwrap();
                let (found, _) = try_backward(ys.square().sum::<Rank0, _>()).unwrap();
                let mut all = found.get(&y0).as_vec();
                all.extend(found.get(&model.ode.field.0.weight).as_vec());
                all.extend(found.get(&model.ode.field.1.bias).as_vec());
                gradients.push(all);
            }
            for (generated, tape) in gradients[0].iter().zip(&gradients[1]) {
                assert!((generated - tape).abs() < 1e-12, "{solver:?}");
            }
            let e = 1e-5;
            for index in 0..3 * count {
                let moved = |by: f64| {
                    let mut values = y0.as_vec();
                    values[index] += by;
                    loss(&model, dev.tensor_from_vec(values, (count, Const::<3>)))
                };
                let difference: f64 = (moved(e) - moved(-e)) / (2.0 * e);
                let found = gradients[0][index];
                assert!((found - difference).abs() < 1e-8, "{solver:?} y0[{index}]");
            }
            for index in [0, 7, 14] {
                let moved = |by: f64| {
                    let mut model = model.clone();
                    let mut values = model.ode.field.0.weight.as_vec();
                    values[index] += by;
                    model.ode.field.0.weight.copy_from(&values);
                    loss(&model, y0.clone())
                };
                let difference: f64 = (moved(e) - moved(-e)) / (2.0 * e);
                let found = gradients[0][3 * count + index];
                assert!((found - difference).abs() < 1e-8, "{solver:?} w[{index}]");
            }
        }
    }
}

#[test]
fn a_block_honours_stops_and_jumps_of_its_options() {
    let dev = Cpu::default();
    let mut block = NeuralOde::new(
        support::fields::Linear2 {
            weight: dev.tensor([[-0.5, 0.3], [0.1, -0.8]]),
        },
        SolveOptions::new(0.0, 1.0, 1e-9, 1e-9),
    );
    let y0: Tensor<Rank2<1, 2>, f64, _> = dev.tensor([[1.0, 2.0]]);
    let (free, stats) = block.try_forward_with_stats(y0.clone()).unwrap();
    block.options = block
        .options
        .clone()
        .with_step_at(vec![0.3, 0.6])
        .with_jump_at(vec![0.5]);
    let (stopped, more) = block.try_forward_with_stats(y0).unwrap();
    assert!(more.accepted > stats.accepted);
    assert_eq!(more.field_calls, 3 + 6 * (more.accepted + more.rejected));
    assert!(relative_error(&stopped.as_vec(), &free.as_vec()) < 1e-8);
}

#[test]
fn squares_of_tensors_that_overflow_are_no_infinities() {
    /// `y' = 1e25` in f32.
    struct Fast;
    impl VectorField for Fast {
        type State = TensorState<Rank1<1>, f32, Cpu>;
        fn eval(
            &mut self,
            _: f64,
            y: &Self::State,
            dy: &mut Self::State,
        ) -> Result<(), SolveError> {
            *dy = TensorState(y.device().tensor([1e25]));
            Ok(())
        }
    }
    let y0: Tensor<Rank1<1>, f32, Cpu> = Cpu::default().tensor([0.0]);
    let options = SolveOptions::new(0.0, 1.0, 1e-3, 1e-3);
    let solution = record(&mut Fast, &TSIT5, y0.into(), &options, &mut ()).unwrap();
    assert!((solution.y.array()[0] / 1e25 - 1.0).abs() < 1e-4);
}
