//! Generated kernels against the portable field: values, products, solves and gradients, over 240 random
//! instances of twelve models, in both types.

#![allow(missing_docs, reason = "a test program")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "small numbers"
)]

mod support;

use neuralode::{
    engine::{
        host::{
            instruction_sets, kernel::TileField, real::Real, Generated, HostEngine, Params, Tiles,
        },
        tensor::{KernelVisitor, TensorEngine},
    },
    prelude::*,
    vector_field::{Differentiable, Pushforward, VectorField},
    Adjoint, Controller, Vjp,
};
use rand::{rngs::StdRng, Rng, SeedableRng};
use support::{batch, differentiate, parameters_of, relative_error, set_parameters, to_f64};

const WIDTH: usize = 6;

macro_rules! models {
    ($($name:ident: $state:tt, $layers:tt;)*) => {$(
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
    OneDense: 3, [Dense(3 => 3)];
    Narrow: 1, [Dense(1 => 7, tanh), Dense(7 => 1)];
    Wide: 4, [Dense(4 => 33, tanh), Dense(33 => 4)];
    Waves: 5, [Dense(5 => 9, sin), Dense(9 => 5, sin)];
    Gates: 6, [Dense(6 => 8, sigmoid), Dense(8 => 6, tanh)];
    Kinks: 4, [Dense(4 => 12, relu), Dense(12 => 4)];
    Bare: 7, [sin, Dense(7 => 5), tanh, sigmoid, Dense(5 => 7)];
    Constants: WIDTH, [Dense(_ => 11, tanh), Dense(WIDTH)];
    Nothing: 2, [tanh, identity];
    Broad: 45, [Dense(45 => 53, tanh), Dense(53 => 45)];
    Cubes: 2, [tanh, Pow(3), Dense(2 => 9, tanh), Pow(2), Pow(1), Dense(9 => 2)];
}

/// Products and values of the kernels at one point, as rows.
struct Products {
    dy: Vec<f64>,
    y_bar: Vec<f64>,
    theta_bar: Vec<f64>,
    jvp: Vec<f64>,
}

/// Evaluates the kernels in type `R`, in tiles of `L` samples, under the instruction set with this index.
#[derive(Clone)]
struct Evaluate<R, const L: usize> {
    instructions: usize,
    params: Vec<R>,
    y: Vec<R>,
    c: Vec<R>,
}

impl<const N: usize, R: Real, const L: usize> KernelVisitor<N> for Evaluate<R, L> {
    type Output = Products;

    fn visit<K: TileField<N>>(self) -> Products {
        let mut engine = HostEngine::<Generated<K, R>, R, N, L>::new(self.params)
            .unwrap()
            .under(instruction_sets()[self.instructions]);
        let y = Tiles::from_rows(&self.y);
        let c = Tiles::from_rows(&self.c).with_empty_padding();
        let (mut dy, mut y_bar, mut jvp) = (y.clone(), y.clone(), y.clone());
        let mut theta_bar: Params<R> = engine.zero_params().unwrap();
        engine.eval(0.3, &y, &mut dy).unwrap();
        engine.vjp(0.3, &y, &c, &mut y_bar, &mut theta_bar).unwrap();
        let resting = engine.zero_params().unwrap();
        engine.jvp(0.3, &y, &c, &resting, &mut jvp).unwrap();
        let rows = |tiles: &Tiles<R, N, L>| tiles.to_rows().into_iter().map(Real::to_f64).collect();
        Products {
            dy: rows(&dy),
            y_bar: rows(&y_bar),
            theta_bar: theta_bar.0.into_iter().map(Real::to_f64).collect(),
            jvp: rows(&jvp),
        }
    }
}

/// The same through dfdx; the Jacobian-vector product row by row of the Jacobian.
fn portable<const N: usize, E: Dtype, F: TensorField<N, E, Cpu>>(
    field: &F,
    y: &Tensor<(usize, Const<N>), E, Cpu>,
    c: &Tensor<(usize, Const<N>), E, Cpu>,
) -> Products
where
    Cpu: Device<E>,
{
    let mut engine = TensorEngine::new(field.clone());
    let (mut dy, mut y_bar) = (y.clone(), y.clone());
    let mut theta_bar = engine.zero_params().unwrap();
    engine.eval(0.3, y, &mut dy).unwrap();
    engine.vjp(0.3, y, c, &mut y_bar, &mut theta_bar).unwrap();
    let rows = y.shape().0;
    let mut jvp = vec![0.0; rows * N];
    for output in 0..N {
        let mut unit = vec![0.0; rows * N];
        unit.iter_mut()
            .skip(output)
            .step_by(N)
            .for_each(|x| *x = 1.0);
        let (mut row, mut unused) = (y.clone(), theta_bar.clone());
        engine
            .vjp(
                0.3,
                y,
                &batch(&Cpu::default(), &unit),
                &mut row,
                &mut unused,
            )
            .unwrap();
        let (row, v) = (to_f64(&row.as_vec()), to_f64(&c.as_vec()));
        for sample in 0..rows {
            jvp[sample * N + output] = (0..N)
                .map(|i| row[sample * N + i] * v[sample * N + i])
                .sum();
        }
    }
    Products {
        dy: to_f64(&dy.as_vec()),
        y_bar: to_f64(&y_bar.as_vec()),
        theta_bar: theta_bar.iter().flat_map(|p| to_f64(&p.as_vec())).collect(),
        jvp,
    }
}

fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    if !expected.is_empty() {
        let error = relative_error(found, expected);
        assert!(error <= tolerance, "{what}: {error:e}");
    }
}

/// One random instance of one model in type `E`.
fn instance<const N: usize, E: Dtype + Real, F, const L: usize>(
    name: &str,
    seed: u64,
    tolerance: f64,
) where
    F: TensorField<N, E, Cpu> + BuildModule<Cpu, E>,
    Cpu: Device<E>,
{
    let mut rng = StdRng::seed_from_u64(seed);
    let mut random = |count: usize, size: f64| -> Vec<f64> {
        (0..count)
            .map(|_| size * rng.gen_range(-1.0..1.0))
            .collect()
    };
    let mut field: F = BuildModule::build(&Cpu::seed_from_u64(seed));
    let jittered: Vec<Vec<f64>> = parameters_of(&field)
        .into_iter()
        .map(|p| {
            p.iter()
                .zip(random(p.len(), 0.3))
                .map(|(a, b)| a + b)
                .collect()
        })
        .collect();
    set_parameters(&mut field, &jittered);
    // Batches of 1, of less than a tile, of a whole one, and of several with a rest.
    let rows = [1, 3, L, L + 1, 2 * L + 5][seed as usize % 5];
    let (y, c) = (random(rows * N, 1.5), random(rows * N, 1.0));
    let (y, c) = (
        batch::<N, E, _>(&Cpu::default(), &y),
        batch::<N, E, _>(&Cpu::default(), &c),
    );

    let evaluate = Evaluate::<E, L> {
        instructions: 0,
        params: jittered
            .iter()
            .flatten()
            .map(|&x| <E as Real>::from_f64(x))
            .collect(),
        y: y.as_vec(),
        c: c.as_vec(),
    };
    let expected = portable(&field, &y, &c);
    let what = |part: &str| format!("{name}, seed {seed}: {part}");
    for instructions in 0..instruction_sets().len() {
        let evaluate = Evaluate {
            instructions,
            ..evaluate.clone()
        };
        let Ok(found) = F::with_kernel(evaluate) else {
            panic!("{name} has no kernels");
        };
        let what = |part: &str| format!("{}, instructions {instructions}", what(part));
        assert_close(&what("value"), &found.dy, &expected.dy, tolerance);
        assert_close(
            &what("y cotangent"),
            &found.y_bar,
            &expected.y_bar,
            tolerance,
        );
        assert_close(
            &what("parameter cotangent"),
            &found.theta_bar,
            &expected.theta_bar,
            tolerance,
        );
        assert_close(&what("tangent"), &found.jvp, &expected.jvp, tolerance);
    }

    // Equal steps: an adaptive step size follows from rounding noise too, and the result from it. So do the pieces of
    // the adaptive quadrature, which is left out here, and the windows of a budget that is not enough for one: states in
    // tiles take more memory.
    for adjoint in [
        Adjoint::Discrete,
        Adjoint::Interpolating,
        Adjoint::Gauss,
        Adjoint::Backsolve,
        Adjoint::Checkpointed { bytes: 100_000_000 },
    ] {
        let options = SolveOptions::new(0.0, 0.7, 1e-4, 1e-4)
            .with_controller(Controller::Constant { dt: 0.1 })
            .with_adjoint(adjoint);
        let solve = |vjp| {
            let block = NeuralOde::new(field.clone(), options.clone().with_vjp(vjp));
            differentiate(&block, &y, &c).unwrap()
        };
        let (found, expected) = (solve(Vjp::Generated), solve(Vjp::Tape));
        assert_eq!(found.forward, expected.forward, "{}", what("work"));
        assert_eq!(found.backward, expected.backward, "{}", what("work"));
        assert_close(&what("solution"), &found.y1, &expected.y1, tolerance);
        assert_close(&what("dL/dy0"), &found.y0_bar, &expected.y0_bar, tolerance);
        for (found, expected) in found.theta_bar.iter().zip(&expected.theta_bar) {
            assert_close(&what("dL/dtheta"), found, expected, tolerance);
        }
    }
}

macro_rules! compare {
    ($($test:ident: $n:expr, $field:ident;)*) => {$(
        #[test]
        fn $test() {
            for seed in 0..10 {
                instance::<{ $n }, f64, $field<f64, Cpu>, 16>(stringify!($field), seed, 1e-12);
                instance::<{ $n }, f32, $field<f32, Cpu>, 32>(stringify!($field), seed, 1e-5);
            }
        }
    )*};
}

compare! {
    the_tutorials_field_agrees: 20, TutorialOdeField;
    a_single_layer_agrees: 3, OneDenseOdeField;
    a_scalar_state_agrees: 1, NarrowOdeField;
    a_wide_hidden_layer_agrees: 4, WideOdeField;
    layers_of_thousands_of_weights_agree: 45, BroadOdeField;
    sines_agree: 5, WavesOdeField;
    sigmoids_agree: 6, GatesOdeField;
    relus_agree: 4, KinksOdeField;
    bare_activations_agree: 7, BareOdeField;
    constant_widths_agree: WIDTH, ConstantsOdeField;
    a_field_without_parameters_agrees: 2, NothingOdeField;
    powers_agree: 2, CubesOdeField;
}

#[test]
fn rows_survive_the_way_through_tiles() {
    for samples in [1, 15, 16, 17, 64, 65] {
        let rows: Vec<f64> = (0..samples * 3).map(f64::from).collect();
        assert_eq!(Tiles::<f64, 3, 16>::from_rows(&rows).to_rows(), rows);
    }
}

#[test]
fn a_batch_gives_every_sample_the_bits_it_has_in_any_other_place() {
    // With equal steps no sample sees another: reversing the batch reverses the result.
    let dev = Cpu::default();
    let mut model = Tutorial::<f32, _>::build(&Cpu::seed_from_u64(1));
    model.ode.options.controller = Controller::Constant { dt: 0.1 };
    let rows: Vec<f32> = (0..37 * 20).map(|i| (i as f32 * 0.1).sin()).collect();
    let reversed: Vec<f32> = rows.chunks(20).rev().flatten().copied().collect();
    let solve = |rows: Vec<f32>| {
        model
            .forward(dev.tensor_from_vec(rows, (37_usize, Const::<20>)))
            .as_vec()
    };
    let expected: Vec<f32> = solve(rows).chunks(20).rev().flatten().copied().collect();
    assert_eq!(solve(reversed), expected);
}

#[test]
fn adaptive_solves_in_f64_take_the_same_steps_to_the_same_result() {
    let dev = Cpu::seed_from_u64(3);
    for tolerance in [1e-3, 1e-6, 1e-9] {
        let mut model = Tutorial::<f64, _>::build(&dev);
        let x: Tensor<Rank2<21, 20>, f64, _> = dev.sample_uniform();
        model.ode.options.rtol = tolerance;
        model.ode.options.atol = tolerance;
        let (y, work) = model.try_forward_with_stats(x.clone()).unwrap();
        model.ode.options.vjp = Vjp::Tape;
        let (expected, expected_work) = model.try_forward_with_stats(x).unwrap();
        assert_eq!(work, expected_work);
        assert_close("solution", &y.as_vec(), &expected.as_vec(), 1e-11);
    }
}

#[test]
fn threads_change_no_bit() {
    // Enough work for two threads (`parallel.rs`), forward and backward.
    let solve = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| {
            let dev = Cpu::default();
            let field: TutorialOdeField<f32, Cpu> = BuildModule::build(&Cpu::seed_from_u64(1));
            let options = SolveOptions::new(0.0, 1.0, 1e-4, 1e-4);
            let rows: Vec<f64> = (0..4096 * 20).map(|i| f64::from(i).sin()).collect();
            let cotangent: Vec<f64> = (0..4096 * 20).map(|i| f64::from(i).cos()).collect();
            let (y0, c) = (batch(&dev, &rows), batch(&dev, &cotangent));
            let found = differentiate(&NeuralOde::new(field, options), &y0, &c).unwrap();
            (found.y1, found.y0_bar, found.theta_bar)
        })
    };
    // Not the numbers in the message: there are many.
    assert!(solve(1) == solve(2), "one thread and two differ");
}
