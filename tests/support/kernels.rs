//! Generated kernels against the portable field: values, products, solves and gradients of random instances.

use neuralode::{
    engine::{HostEngine, Params, Tiles},
    kernel::{field::Generated, TileField},
    ode::field::{Differentiable, Pushforward, VectorField},
    prelude::*,
    simd::{isa::instruction_sets, real::Real},
    tensor::{KernelVisitor, TensorEngine, TensorState},
    Adjoint, Backend, Controller, Stats,
};
use rand::{rngs::StdRng, Rng, SeedableRng};

use super::{batch, differentiate, parameters_of, relative_error, set_parameters, to_f64};

/// Models of one block, `NAME: state, layers of the field;`.
#[macro_export]
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

/// One test per field: so many random instances in f64 and as many in f32.
#[macro_export]
macro_rules! compare {
    ($instances:literal instances; $($test:ident: $n:expr, $field:ident;)*) => {$(
        #[test]
        fn $test() {
            for seed in 0..$instances {
                $crate::support::kernels::instance::<{ $n }, f64, $field<f64, Cpu>, 16>(stringify!($field), seed, 1e-12);
                $crate::support::kernels::instance::<{ $n }, f32, $field<f32, Cpu>, 32>(stringify!($field), seed, 1e-5);
            }
        }
    )*};
}

/// One test per field, as `compare!` without the solves: what a solve adds is the same for all layers, and takes the
/// compiler longest.
#[macro_export]
macro_rules! compare_products {
    ($instances:literal instances; $($test:ident: $n:expr, $field:ident;)*) => {$(
        #[test]
        fn $test() {
            for seed in 0..$instances {
                $crate::support::kernels::products::<{ $n }, f64, $field<f64, Cpu>, 16>(stringify!($field), seed, 1e-12);
                $crate::support::kernels::products::<{ $n }, f32, $field<f32, Cpu>, 32>(stringify!($field), seed, 1e-5);
            }
        }
    )*};
}

/// Products and values of the kernels at one point, as rows.
struct Products {
    dy: Vec<f64>,
    y_bar: Vec<f64>,
    theta_bar: Vec<f64>,
    jvp: Vec<f64>,
}

/// A Jacobian-vector product against a vector-Jacobian product along the same directions, of the state and of the
/// parameters: `<c, J_y v + J_theta d> = <J_y^T c, v> + <J_theta^T c, d>`.
#[derive(Clone)]
struct Duality<R, const L: usize> {
    params: Vec<R>,
    direction: Vec<R>,
    y: Vec<R>,
    v: Vec<R>,
    c: Vec<R>,
}

impl<const N: usize, R: Real, const L: usize> KernelVisitor<N> for Duality<R, L> {
    /// Both sides, and the sum of the sizes of the terms of the left one.
    type Output = [f64; 3];

    fn visit<K: TileField<N>>(self) -> [f64; 3] {
        let mut engine = HostEngine::<Generated<K, R>, R, N, L>::new(self.params).unwrap();
        let y = Tiles::from_flat(N, &self.y).unwrap();
        let v = Tiles::from_flat(N, &self.v).unwrap();
        let c = Tiles::from_flat(N, &self.c).unwrap().with_empty_padding();
        let direction = Params(self.direction);
        let (mut y_bar, mut jvp) = (y.clone(), y.clone());
        let mut theta_bar: Params<R> = engine.zero_params().unwrap();
        engine.vjp(0.3, &y, &c, &mut y_bar, &mut theta_bar).unwrap();
        engine.jvp(0.3, &y, &v, &direction, &mut jvp).unwrap();
        let products = |a: &[R], b: &[R]| -> Vec<f64> {
            let pairs = a.iter().zip(b);
            pairs.map(|(a, b)| a.to_f64() * b.to_f64()).collect()
        };
        let left = products(&jvp.to_rows(), &self.c);
        let right = products(&y_bar.to_rows(), &self.v);
        let along = products(&theta_bar.0, &direction.0);
        [
            left.iter().sum(),
            right.iter().chain(&along).sum(),
            left.iter().map(|x| x.abs()).sum(),
        ]
    }
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
        let y = Tiles::from_flat(N, &self.y).unwrap();
        let c = Tiles::from_flat(N, &self.c).unwrap().with_empty_padding();
        let (mut dy, mut y_bar, mut jvp) = (y.clone(), y.clone(), y.clone());
        let mut theta_bar: Params<R> = engine.zero_params().unwrap();
        engine.eval(0.3, &y, &mut dy).unwrap();
        engine.vjp(0.3, &y, &c, &mut y_bar, &mut theta_bar).unwrap();
        let resting = engine.zero_params().unwrap();
        engine.jvp(0.3, &y, &c, &resting, &mut jvp).unwrap();
        let rows = |tiles: &Tiles<R, L>| tiles.to_rows().into_iter().map(Real::to_f64).collect();
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
    let (y, c) = (&TensorState(y.clone()), &TensorState(c.clone()));
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
                &TensorState(batch(&Cpu::default(), &unit)),
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

pub fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    if !expected.is_empty() {
        let error = relative_error(found, expected);
        assert!(error <= tolerance, "{what}: {error:e}");
    }
}

/// A field with random parameters, with states and cotangents for it.
pub struct Instance<const N: usize, E: Dtype, F>
where
    Cpu: Device<E>,
{
    field: F,
    y: Tensor<(usize, Const<N>), E, Cpu>,
    c: Tensor<(usize, Const<N>), E, Cpu>,
}

/// One random instance of one model in type `E`: kernels and portable field, and solves with both.
///
/// # Panics
/// If they differ.
pub fn instance<const N: usize, E: Dtype + Real, F, const L: usize>(
    name: &str,
    seed: u64,
    tolerance: f64,
) where
    F: TensorField<N, E, Cpu> + BuildModule<Cpu, E>,
    Cpu: Device<E>,
{
    instance_of::<N, E, F, L>(random_module(seed), name, seed, tolerance);
}

/// The same of a field.
///
/// # Panics
/// If they differ.
pub fn instance_of<const N: usize, E: Dtype + Real, F, const L: usize>(
    field: F,
    name: &str,
    seed: u64,
    tolerance: f64,
) where
    F: TensorField<N, E, Cpu>,
    Cpu: Device<E>,
{
    let drawn = products_of::<N, E, F, L>(field, name, seed, tolerance);
    solves(&drawn, &format!("{name}, seed {seed}"), tolerance);
}

/// One random instance of one model in type `E`: values and products of kernels and of the portable field.
///
/// # Panics
/// If they differ.
pub fn products<const N: usize, E: Dtype + Real, F, const L: usize>(
    name: &str,
    seed: u64,
    tolerance: f64,
) -> Instance<N, E, F>
where
    F: TensorField<N, E, Cpu> + BuildModule<Cpu, E>,
    Cpu: Device<E>,
{
    products_of::<N, E, F, L>(random_module(seed), name, seed, tolerance)
}

/// `count` numbers from `-size` to `size`.
fn random(rng: &mut StdRng, count: usize, size: f64) -> Vec<f64> {
    (0..count)
        .map(|_| size * rng.gen_range(-1.0..1.0))
        .collect()
}

/// A module with random numbers in all of its tensors.
pub fn random_module<E: Dtype, M>(seed: u64) -> M
where
    M: TensorCollection<E, Cpu> + BuildModule<Cpu, E>,
    Cpu: Device<E>,
{
    let mut rng = StdRng::seed_from_u64(seed);
    let mut module: M = BuildModule::build(&Cpu::seed_from_u64(seed));
    let jittered: Vec<Vec<f64>> = parameters_of(&module)
        .into_iter()
        .map(|p| {
            p.iter()
                .zip(random(&mut rng, p.len(), 0.3))
                .map(|(a, b)| a + b)
                .collect()
        })
        .collect();
    set_parameters(&mut module, &jittered);
    module
}

/// Values and products of the kernels of `field` and of its operations, at random states.
///
/// # Panics
/// If they differ.
#[allow(clippy::cast_possible_truncation, reason = "ten seeds")]
pub fn products_of<const N: usize, E: Dtype + Real, F, const L: usize>(
    field: F,
    name: &str,
    seed: u64,
    tolerance: f64,
) -> Instance<N, E, F>
where
    F: TensorField<N, E, Cpu>,
    Cpu: Device<E>,
{
    let mut rng = StdRng::seed_from_u64(!seed);
    let mut random = |count: usize, size: f64| random(&mut rng, count, size);
    let params: Vec<E> = field.kernel_parameters().unwrap().expect("no kernels");
    // Batches of 1, of less than a tile, of a whole one, and of several with a rest.
    let rows = [1, 3, L, L + 1, 2 * L + 5][seed as usize % 5];
    let (y, c) = (random(rows * N, 1.5), random(rows * N, 1.0));
    let (y, c) = (
        batch::<N, E, _>(&Cpu::default(), &y),
        batch::<N, E, _>(&Cpu::default(), &c),
    );

    let evaluate = Evaluate::<E, L> {
        instructions: 0,
        params: params.clone(),
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

    let numbers = |values: Vec<f64>| values.into_iter().map(<E as Real>::from_f64).collect();
    let duality = Duality::<E, L> {
        params: params.clone(),
        direction: numbers(random(params.len(), 1.0)),
        y: evaluate.y.clone(),
        v: numbers(random(rows * N, 1.0)),
        c: evaluate.c.clone(),
    };
    if let Ok([left, right, size]) = F::with_kernel(duality) {
        let error = (left - right).abs() / size;
        // Those of f64 are held to 1e-10.
        assert!(
            error <= 100.0 * tolerance,
            "{}: {error:e}",
            what("tangent along parameters")
        );
    }
    Instance { field, y, c }
}

/// Solves and gradients with kernels and with the portable field.
fn solves<const N: usize, E: Dtype + Real, F>(
    Instance { field, y, c }: &Instance<N, E, F>,
    name: &str,
    tolerance: f64,
) where
    F: TensorField<N, E, Cpu>,
    Cpu: Device<E>,
{
    let what = |part: &str| format!("{name}: {part}");
    // Equal steps: an adaptive step size follows from rounding noise too, and the result from it. So do the pieces of
    // the adaptive quadrature, which is left out here, those of Gauss, and the windows of a budget that is not enough for one: states in
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
            let block = NeuralOde::new(field.clone(), options.clone().with_backend(vjp));
            differentiate(&block, y, c).unwrap()
        };
        let (found, expected) = (solve(Backend::Kernels), solve(Backend::Operations));
        assert_eq!(found.forward, expected.forward, "{}", what("work"));
        let work = |mut stats: Stats| {
            stats.gradient_error = 0.0;
            if adjoint == Adjoint::Gauss {
                // Where its integrand has kinks it cuts steps into pieces.
                stats.vjps = 0;
            }
            stats
        };
        let (back, expected_back) = (found.backward, expected.backward);
        assert_eq!(work(back), work(expected_back), "{}", what("work"));
        // Relative to the size of a gradient already.
        let error = (back.gradient_error - expected_back.gradient_error).abs();
        let bound = if back.vjps == expected_back.vjps {
            tolerance
        } else {
            1e-4
        };
        assert!(error <= bound, "{}: {error:e}", what("gradient error"));
        assert_close(&what("solution"), &found.y1, &expected.y1, tolerance);
        assert_close(&what("dL/dy0"), &found.y0_bar, &expected.y0_bar, tolerance);
        // Other pieces have another sum, within the tolerance of the solve.
        let bound = if back.vjps == expected_back.vjps {
            tolerance
        } else {
            f64::max(tolerance, 1e-4)
        };
        for (found, expected) in found.theta_bar.iter().zip(&expected.theta_bar) {
            assert_close(&what("dL/dtheta"), found, expected, bound);
        }
    }
}
