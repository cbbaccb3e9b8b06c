//! Jacobian-vector products of generated fields, and solves with tangents of them.

#![allow(missing_docs, reason = "a test program")]
#![allow(
    clippy::cast_precision_loss,
    clippy::excessive_precision,
    clippy::float_cmp,
    reason = "numbers are small and printed as published; equal bits are meant"
)]

mod support;

use neuralode::{
    engine::{HostEngine, Params, Tiles},
    kernel::{field::Generated, TileField},
    ode::{
        adjoint::{solve_keeping, Cotangent},
        field::{Differentiable, Pushforward, VectorField},
        method::TSIT5,
        tangents::{solve_with_tangents, ErrorControl},
    },
    prelude::*,
    simd::{isa::instruction_sets, real::Real},
    tensor::KernelVisitor,
    Controller,
};

use rand::{rngs::StdRng, Rng, SeedableRng};

use support::relative_error;

fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    let error = relative_error(found, expected);
    println!("{what}: {error:e}");
    assert!(
        error <= tolerance,
        "{what}: {error:e}\n{found:?}\n{expected:?}"
    );
}

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

// Every layer and every activation, within a dense layer and bare.
models! {
    Tutorial: 20, [Dense(20 => 10, tanh), Dense(10 => 10, tanh), Dense(10 => 20, tanh)];
    Fused: 5, [Dense(5 => 9, sin), Dense(9 => 7, sigmoid), Dense(7 => 8, relu), Dense(8 => 5)];
    Bare: 7, [Flatten, sin, Dense(7 => 5), tanh, sigmoid, Dense(5 => 7), relu, identity];
    Constants: WIDTH, [Dense(_ => 11, tanh), Dense(WIDTH)];
    Nothing: 2, [tanh, identity];
    Cubes: 2, [tanh, Pow(3), Dense(2 => 9, tanh), Pow(2), Pow(1), Dense(9 => 2)];
}

/// The kernels of a field in type `R`, in tiles of `L` samples, and random numbers for them.
struct Kernels<K, R: Real, const N: usize, const L: usize> {
    rng: StdRng,
    samples: usize,
    params: Vec<R>,
    instructions: usize,
    of: core::marker::PhantomData<K>,
}

impl<K: TileField<N>, R: Real, const N: usize, const L: usize> Kernels<K, R, N, L> {
    fn new(seed: u64, instructions: usize) -> Self {
        let mut this = Self {
            rng: StdRng::seed_from_u64(seed),
            // Batches of 1, of less than a tile, of a whole one, and of several with a rest.
            samples: [1, 3, L, L + 1, 2 * L + 5][usize::try_from(seed).unwrap() % 5],
            params: Vec::new(),
            instructions,
            of: core::marker::PhantomData,
        };
        this.params = this.numbers(K::PARAMS, 0.6);
        this
    }

    fn numbers(&mut self, count: usize, size: f64) -> Vec<R> {
        let draw = |_| R::from_f64(size * self.rng.gen_range(-1.0..1.0));
        (0..count).map(draw).collect()
    }

    fn rows(&mut self) -> Vec<R> {
        self.numbers(self.samples * N, 1.5)
    }

    fn engine(&self, params: &[R]) -> HostEngine<Generated<K, R>, R, N, L> {
        HostEngine::<Generated<K, R>, R, N, L>::new(params.to_vec())
            .unwrap()
            .under(instruction_sets()[self.instructions])
    }

    fn eval(&self, params: &[R], y: &[R]) -> Vec<f64> {
        let y = Tiles::from_flat(N, y).unwrap();
        let mut dy = y.clone();
        self.engine(params).eval(0.3, &y, &mut dy).unwrap();
        numbers(&dy)
    }

    fn jvp(&self, y: &[R], y_dot: &[R], theta_dot: &[R]) -> Vec<f64> {
        let y = Tiles::from_flat(N, y).unwrap();
        let mut out = y.clone();
        let (y_dot, theta_dot) = (
            Tiles::from_flat(N, y_dot).unwrap(),
            Params(theta_dot.to_vec()),
        );
        let mut engine = self.engine(&self.params);
        engine.jvp(0.3, &y, &y_dot, &theta_dot, &mut out).unwrap();
        numbers(&out)
    }
}

fn numbers<R: Real, const L: usize>(tiles: &Tiles<R, L>) -> Vec<f64> {
    to_f64(&tiles.to_rows())
}

fn to_f64<R: Real>(numbers: &[R]) -> Vec<f64> {
    numbers.iter().map(|x| Real::to_f64(*x)).collect()
}

/// `<a, b>`, and the sum of the sizes of its terms.
fn dot(a: &[f64], b: &[f64]) -> (f64, f64) {
    let terms = || a.iter().zip(b).map(|(a, b)| a * b);
    (terms().sum(), terms().map(f64::abs).sum())
}

/// `<c, J d> = <J^T c, d>` for random `c` and `d` in both the state and the parameters.
struct Duality<const L: usize> {
    seed: u64,
    instructions: usize,
}

/// The larger of the two sides' errors, relative to their terms, in the type `R`.
fn duality<K: TileField<N>, R: Real, const N: usize, const L: usize>(
    seed: u64,
    instructions: usize,
) -> f64 {
    let mut kernels = Kernels::<K, R, N, L>::new(seed, instructions);
    let (y, y_dot, c) = (kernels.rows(), kernels.rows(), kernels.rows());
    let theta_dot = kernels.numbers(K::PARAMS, 1.0);
    let forth = kernels.jvp(&y, &y_dot, &theta_dot);

    let mut engine = kernels.engine(&kernels.params);
    let y = Tiles::<R, L>::from_flat(N, &y).unwrap();
    let c_tiles = Tiles::from_flat(N, &c).unwrap().with_empty_padding();
    let (mut y_bar, mut theta_bar) = (y.clone(), engine.zero_params().unwrap());
    engine
        .vjp(0.3, &y, &c_tiles, &mut y_bar, &mut theta_bar)
        .unwrap();

    let (left, left_size) = dot(&to_f64(&c), &forth);
    let (by_y, y_size) = dot(&numbers(&y_bar), &to_f64(&y_dot));
    let (by_theta, theta_size) = dot(&to_f64(&theta_bar.0), &to_f64(&theta_dot));
    (left - by_y - by_theta).abs() / left_size.max(y_size + theta_size)
}

impl<const N: usize, const L: usize> KernelVisitor<N> for Duality<L> {
    type Output = [f64; 2];

    fn visit<K: TileField<N>>(self) -> [f64; 2] {
        [
            duality::<K, f64, N, L>(self.seed, self.instructions),
            duality::<K, f32, N, L>(self.seed, self.instructions),
        ]
    }
}

/// A tangent with every part of a direction, with the state's alone and with the parameters' alone, against central
/// differences in f64; the relative errors.
struct Differences<const L: usize> {
    seed: u64,
    instructions: usize,
}

impl<const N: usize, const L: usize> KernelVisitor<N> for Differences<L> {
    type Output = [f64; 3];

    fn visit<K: TileField<N>>(self) -> [f64; 3] {
        let mut kernels = Kernels::<K, f64, N, L>::new(self.seed, self.instructions);
        let (y, y_dot) = (kernels.rows(), kernels.rows());
        let theta_dot = kernels.numbers(K::PARAMS, 1.0);
        let resting = |moves: &[f64], by: f64| moves.iter().map(|x| x * by).collect::<Vec<_>>();
        [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0)].map(|(by_y, by_theta)| {
            let (y_dot, theta_dot) = (resting(&y_dot, by_y), resting(&theta_dot, by_theta));
            let moved = |from: &[f64], along: &[f64], h: f64| -> Vec<f64> {
                from.iter().zip(along).map(|(x, d)| x + h * d).collect()
            };
            let at = |h| {
                kernels.eval(
                    &moved(&kernels.params, &theta_dot, h),
                    &moved(&y, &y_dot, h),
                )
            };
            let pairs = at(1e-6).into_iter().zip(at(-1e-6));
            let expected: Vec<f64> = pairs.map(|(high, low)| (high - low) / 2e-6).collect();
            let found = kernels.jvp(&y, &y_dot, &theta_dot);
            if found.iter().chain(&expected).all(|x| *x == 0.0) {
                0.0
            } else {
                relative_error(&found, &expected)
            }
        })
    }
}

/// An evaluation with eleven directions, against evaluation and products on their own.
struct Together<const L: usize> {
    seed: u64,
    instructions: usize,
}

impl<const N: usize, const L: usize> KernelVisitor<N> for Together<L> {
    type Output = ();

    fn visit<K: TileField<N>>(self) {
        let mut kernels = Kernels::<K, f32, N, L>::new(self.seed, self.instructions);
        let y = kernels.rows();
        let y_dots: Vec<Vec<f32>> = (0..11).map(|_| kernels.rows()).collect();
        let theta_dots: Vec<Vec<f32>> = (0..11).map(|_| kernels.numbers(K::PARAMS, 1.0)).collect();

        let tiles: Vec<Tiles<f32, L>> = y_dots
            .iter()
            .map(|y_dot| Tiles::from_flat(N, y_dot).unwrap())
            .collect();
        let params: Vec<_> = theta_dots.iter().cloned().map(Params).collect();
        let at = Tiles::from_flat(N, &y).unwrap();
        let (mut dy, mut outs) = (at.clone(), tiles.clone());
        let mut engine = kernels.engine(&kernels.params);
        engine
            .eval_with_jvps(0.3, &at, &mut dy, &tiles, &params, &mut outs)
            .unwrap();
        assert_eq!(numbers(&dy), kernels.eval(&kernels.params, &y));
        for ((y_dot, theta_dot), out) in y_dots.iter().zip(&theta_dots).zip(&outs) {
            assert_eq!(numbers(out), kernels.jvp(&y, y_dot, theta_dot));
        }
    }
}

fn products_of<const N: usize, F: TensorField<N, f32, Cpu>>(name: &str) {
    for instructions in 0..instruction_sets().len() {
        for seed in 0..10 {
            let what = format!("{name}, seed {seed}, instructions {instructions}");
            let Ok([wide, narrow]) = F::with_kernel(Duality::<32> { seed, instructions }) else {
                panic!("{name} has no kernels");
            };
            println!("{what}: {wide:e}, {narrow:e}");
            assert!(wide <= 1e-12, "{what}: {wide:e} in f64");
            assert!(narrow <= 1e-5, "{what}: {narrow:e} in f32");

            let Ok(errors) = F::with_kernel(Differences::<32> { seed, instructions }) else {
                panic!("{name} has no kernels");
            };
            println!("{what}: {errors:?}");
            assert!(
                errors.iter().all(|error| *error <= 1e-7),
                "{what}: {errors:?}"
            );

            assert!(F::with_kernel(Together::<32> { seed, instructions }).is_ok());
        }
    }
}

macro_rules! check_products {
    ($($test:ident: $field:ident;)*) => {$(
        #[test]
        fn $test() {
            products_of::<_, $field<f32, Cpu>>(stringify!($field));
        }
    )*};
}

check_products! {
    the_tutorials_field_has_products_that_move_parameters: TutorialOdeField;
    layers_with_activations_have_products_that_move_parameters: FusedOdeField;
    bare_activations_have_products_that_move_parameters: BareOdeField;
    layers_of_constant_widths_have_products_that_move_parameters: ConstantsOdeField;
    a_field_without_parameters_has_products: NothingOdeField;
    powers_have_products_that_move_parameters: CubesOdeField;
}

/// Solves of generated fields with tangents, in equal steps, against the discrete adjoint.
struct Gradient;

impl<const N: usize> KernelVisitor<N> for Gradient {
    type Output = ();

    fn visit<K: TileField<N>>(self) {
        let mut kernels = Kernels::<K, f64, N, 16>::new(4, 0);
        let (y0, c) = (kernels.rows(), kernels.rows());
        let (y_dot, theta_dot) = (kernels.rows(), kernels.numbers(K::PARAMS, 1.0));
        let mut engine = kernels.engine(&kernels.params);
        let options = SolveOptions::new(0.0, 0.7, 1e-6, 1e-6)
            .with_controller(Controller::Constant { dt: 0.1 });
        let start = Tiles::from_flat(N, &y0).unwrap();
        let resting = (
            Tiles::from_flat(N, &vec![0.0; y0.len()]).unwrap(),
            vec![0.0; K::PARAMS],
        );
        let directions = [
            (Tiles::from_flat(N, &y_dot).unwrap(), Params(resting.1)),
            (resting.0, Params(theta_dot.clone())),
        ];
        let times = [0.25, 0.7];
        let found = solve_with_tangents(
            &mut engine,
            &TSIT5,
            start.clone(),
            directions,
            &times,
            &options,
            ErrorControl::Full,
        )
        .unwrap();

        let (values, work, kept) =
            solve_keeping(&mut engine, &TSIT5, start, &times, &options).unwrap();
        for (found, expected) in found.values.iter().zip(&values) {
            assert_close("values", &numbers(found), &numbers(expected), 1e-14);
        }
        assert_eq!(found.stats.field_calls, work.field_calls);
        assert_eq!(found.stats.jvps, 2 * work.field_calls);
        let value = Tiles::from_flat(N, &c).unwrap().with_empty_padding();
        let cotangents = times.map(|t| Cotangent {
            t,
            value: value.clone(),
        });
        let back = kept.pull_back(&mut engine, &cotangents).unwrap();
        let forth: Vec<f64> = found
            .tangents
            .iter()
            .map(|at| at.iter().map(|tangent| dot(&c, &numbers(tangent)).0).sum())
            .collect();
        let expected = [
            dot(&numbers(&back.y_bar), &y_dot).0,
            dot(&back.theta_bar.0, &theta_dot).0,
        ];
        assert_close("gradient", &forth, &expected, 1e-12);
    }
}

#[test]
fn tangents_of_generated_fields_agree_with_the_adjoint() {
    assert!(TutorialOdeField::<f64, Cpu>::with_kernel(Gradient).is_ok());
    assert!(FusedOdeField::<f64, Cpu>::with_kernel(Gradient).is_ok());
    assert!(CubesOdeField::<f64, Cpu>::with_kernel(Gradient).is_ok());
}

/// Products of a large batch on so many threads.
struct OnThreads(usize);

impl<const N: usize> KernelVisitor<N> for OnThreads {
    type Output = Vec<f64>;

    fn visit<K: TileField<N>>(self) -> Vec<f64> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.0).build();
        pool.unwrap().install(|| {
            let mut kernels = Kernels::<K, f32, N, 32>::new(0, 0);
            kernels.samples = 32 * 150 + 7;
            let mut tiles = || Tiles::<f32, 32>::from_flat(N, &kernels.rows()).unwrap();
            let (y, y_dots) = (tiles(), [tiles(), tiles()]);
            let theta_dots = [(); 2].map(|()| Params(kernels.numbers(K::PARAMS, 1.0)));
            let (mut dy, mut outs) = (y.clone(), y_dots.clone());
            let mut engine = kernels.engine(&kernels.params);
            engine
                .eval_with_jvps(0.3, &y, &mut dy, &y_dots, &theta_dots, &mut outs)
                .unwrap();
            let [first, second] = &outs;
            [numbers(&dy), numbers(first), numbers(second)].concat()
        })
    }
}

#[test]
fn threads_change_no_bit_of_products() {
    let on = |threads| {
        let found = TutorialOdeField::<f32, Cpu>::with_kernel(OnThreads(threads));
        found.unwrap_or_else(|_| panic!("no kernels"))
    };
    let expected = on(1);
    for threads in [2, 3] {
        assert!(on(threads) == expected, "{threads} threads");
    }
}

/// Directions that do not fit the field or the state.
struct Misfits;

impl<const N: usize> KernelVisitor<N> for Misfits {
    type Output = ();

    fn visit<K: TileField<N>>(self) {
        let kernels = Kernels::<K, f32, N, 32>::new(0, 0);
        let mut engine = kernels.engine(&kernels.params);
        let options = SolveOptions::new(0.0, 1.0, 1e-3, 1e-3);
        let mut solve = |[samples, features]: [usize; 2], count: usize| {
            let y0 = Tiles::<f32, 32>::from_flat(N, &vec![0.1; 3 * N]).unwrap();
            let y_dot = Tiles::from_flat(features, &vec![0.1; samples * features]).unwrap();
            let directions = [(y_dot, Params(vec![0.0; count]))];
            let control = ErrorControl::Full;
            solve_with_tangents(
                &mut engine,
                &TSIT5,
                y0,
                directions,
                &[1.0],
                &options,
                control,
            )
            .map(|_| ())
        };
        assert_eq!(solve([3, N], K::PARAMS), Ok(()));
        let misfit = |expected: &[usize], found: &[usize]| {
            Err(SolveError::ShapeMismatch {
                expected: expected.to_vec(),
                found: found.to_vec(),
            })
        };
        assert_eq!(solve([2, N], K::PARAMS), misfit(&[3, N], &[2, N]));
        // As many numbers, and another shape.
        assert_eq!(solve([3 * N, 1], K::PARAMS), misfit(&[3, N], &[3 * N, 1]));
        let too_few = K::PARAMS - 1;
        assert_eq!(solve([3, N], too_few), misfit(&[K::PARAMS], &[too_few]));
    }
}

#[test]
fn directions_of_other_sizes_are_refused() {
    assert!(FusedOdeField::<f32, Cpu>::with_kernel(Misfits).is_ok());
}
