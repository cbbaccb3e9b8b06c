//! What solves allocate: nothing inside a step, and no more than an adjoint's budget.

#![allow(missing_docs, reason = "a test program")]
#![allow(clippy::cast_precision_loss, reason = "small numbers")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use neuralode::{
    engine::{release_buffers, solve_per_sample, solve_per_sample_keeping, HostEngine, Tiles},
    kernel::{field::Generated, TileField},
    ode::{
        adjoint::{pull_back, solve_keeping, Cotangent},
        field::VectorField,
        method::TSIT5,
        solve::record,
        trajectory::Trajectory,
    },
    prelude::*,
    tensor::KernelVisitor,
    Adjoint, Controller, FnField,
};

thread_local! {
    /// Allocations and reallocations of this thread: what other tests do is not counted.
    static COUNT: Cell<usize> = const { Cell::new(0) };
    /// Bytes of this thread that are allocated and not freed, and the most of them so far.
    static LIVE: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

struct Counting;

impl Counting {
    fn count() {
        // A thread that ends may still allocate.
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
    }

    /// So many bytes come, so many go; what another thread allocated may go here.
    fn change(more: usize, less: usize) {
        let _ = LIVE.try_with(|live| {
            let (now, most) = live.get();
            let now = (now + more).saturating_sub(less);
            live.set((now, most.max(now)));
        });
    }
}

// SAFETY: every call goes to the system's allocator unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        Self::change(layout.size(), 0);
        // SAFETY: the caller's promises are those that `System` wants.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count();
        Self::change(layout.size(), 0);
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count();
        // Both may exist while the contents move.
        Self::change(size, 0);
        Self::change(0, layout.size());
        // SAFETY: as in `alloc`; `at` came from `System`.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        Self::change(0, layout.size());
        // SAFETY: `at` came from `System`, with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The allocations of `run`.
fn allocations<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let before = COUNT.get();
    let value = run();
    (COUNT.get() - before, value)
}

/// The most bytes that were allocated at once during `run`, beyond what there was before.
fn peak<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let before = LIVE.get().0;
    LIVE.set((before, before));
    let value = run();
    (LIVE.get().1 - before, value)
}

fn equal_steps(steps: usize) -> SolveOptions {
    SolveOptions::new(0.0, 1.0, 1e-3, 1e-3).with_controller(Controller::Constant {
        dt: 1.0 / steps as f64,
    })
}

/// The allocations of a solve in so many equal steps.
fn of_solve<F: VectorField>(field: &mut F, y0: &F::State, steps: usize) -> usize {
    let options = equal_steps(steps);
    let (count, solution) =
        allocations(|| record(field, &TSIT5, y0.clone(), &options, &mut ()).unwrap());
    assert_eq!(solution.accepted, steps);
    count
}

fn pendulum(_: f64, [angle, speed]: &[f64; 2]) -> [f64; 2] {
    [*speed, -angle.sin()]
}

#[test]
fn a_solve_of_one_system_allocates_nothing() {
    let mut field = FnField::new(pendulum);
    assert_eq!(of_solve(&mut field, &[0.1, 0.0], 5), 0);
    assert_eq!(of_solve(&mut field, &[0.1, 0.0], 500), 0);
}

#[test]
fn a_solve_of_a_batch_allocates_the_same_for_any_number_of_steps() {
    let mut engine = FnField::new(pendulum).batch_of::<16>();
    let y0 = Tiles::from_flat(2, &[0.1; 2 * 40]).unwrap();
    of_solve(&mut engine, &y0, 500);
    let few = of_solve(&mut engine, &y0, 5);
    assert_eq!(of_solve(&mut engine, &y0, 500), few);
}

#[test]
fn a_solve_with_steps_for_each_sample_allocates_the_same_for_any_number_of_them() {
    let engine = FnField::new(pendulum).batch_of::<16>();
    let of = |steps| {
        let options = equal_steps(steps);
        let solve = || solve_per_sample(&engine, &TSIT5, &[0.1; 2 * 40], &[1.0], &options).unwrap();
        allocations(solve).0
    };
    // Lists of free buffers hold several sizes, and settle within a few calls.
    for _ in 0..3 {
        of(500);
    }
    let few = of(5);
    assert_eq!(of(500), few);
}

neural_ode! {
    #[derive(Clone, Debug)]
    struct Small {
        input: [6],
        encoder: Dense(6 => 4, tanh),
        ode: Ode {
            field(t, y): [Dense(4 => 8, tanh), Dense(8 => 4)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
        head: Dense(4 => 3),
    }
}

/// Counts what the generated kernels of a field allocate, forward and backward.
struct Kernels(Vec<f32>);

impl<const N: usize> KernelVisitor<N> for Kernels {
    type Output = ();

    fn visit<K: TileField<N>>(self) {
        let mut engine = HostEngine::<Generated<K, f32>, f32, N, 32>::new(self.0).unwrap();
        let y0 = Tiles::from_flat(N, &[0.1; 40].repeat(N)).unwrap();
        of_solve(&mut engine, &y0, 500);
        let few = of_solve(&mut engine, &y0, 5);
        assert_eq!(of_solve(&mut engine, &y0, 500), few, "forward");

        let mut of_adjoint = |steps| {
            let options = equal_steps(steps);
            let mut trajectory = Trajectory::new(&TSIT5);
            let start = y0.clone();
            let solution = record(&mut engine, &TSIT5, start, &options, &mut trajectory).unwrap();
            let cotangents = [Cotangent {
                t: 1.0,
                value: solution.y.with_empty_padding(),
            }];
            allocations(|| pull_back(&mut engine, &trajectory, &cotangents, &options).unwrap()).0
        };
        of_adjoint(500);
        let few = of_adjoint(5);
        assert_eq!(of_adjoint(500), few, "backward");

        let y0 = y0.to_rows();
        let cotangents = vec![0.5; y0.len()];
        let of_each_sample = |steps| {
            let options = equal_steps(steps);
            allocations(|| {
                let (_, kept) =
                    solve_per_sample_keeping(&engine, &TSIT5, &y0, &[1.0], &options).unwrap();
                kept.pull_back(&engine, &cotangents).unwrap()
            })
            .0
        };
        of_each_sample(500);
        of_each_sample(500);
        // The list of chunks grows: a chunk is 256 KB, a step a 20th of it.
        let few = of_each_sample(5);
        let many = of_each_sample(500);
        assert!(many <= few + 10, "per sample: {many} {few}");
    }
}

#[test]
fn generated_kernels_allocate_the_same_for_any_number_of_steps() {
    let count = 4 * 8 + 8 + 8 * 4 + 4;
    let params = (0..count).map(|i| (i as f32).sin() * 0.3).collect();
    let shown = SmallOdeField::<f32, Cpu>::with_kernel(Kernels(params));
    assert!(shown.is_ok(), "a generated field has kernels");
}

/// The allocations of a training step with so many equal steps of the solver.
fn of_training_step(adjoint: Adjoint, few: usize, many: usize) -> [usize; 2] {
    let dev = Cpu::seed_from_u64(0);
    let mut model = Small::<f32, _>::build(&dev);
    model.ode.options.adjoint = adjoint;
    let x: Tensor<Rank2<40, 6>, f32, _> = dev.sample_uniform();
    let targets = dev.one_hot_encode(Const::<3>, [1; 40]);
    let mut optimizer = Adam::new(&model, AdamConfig::default());
    let mut kept = Some(model.alloc_grads());
    let mut step = |steps: usize| {
        model.ode.options.controller = equal_steps(steps).controller;
        let (count, work) = allocations(|| {
            let gradients = kept.take().unwrap();
            let (logits, work) = model.try_forward_traced(x.clone(), gradients).unwrap();
            let loss = softmax_cross_entropy(logits, targets.clone());
            let (mut gradients, _) = try_backward(loss).unwrap();
            optimizer.update(&mut model, &gradients).unwrap();
            model.zero_grads(&mut gradients);
            kept = Some(gradients);
            work
        });
        assert_eq!(work.accepted, steps);
        count
    };
    for _ in 0..3 {
        step(many);
    }
    let found = [step(few), step(many)];
    println!("{adjoint:?}: {found:?}");
    found
}

#[test]
fn the_allocations_of_a_training_step_do_not_depend_on_the_number_of_steps() {
    // The quadrature's pieces follow from the numbers, not from the steps; checkpoints come and go with them.
    for adjoint in [
        Adjoint::Discrete,
        Adjoint::Interpolating,
        Adjoint::Gauss,
        Adjoint::Backsolve,
    ] {
        let [few, many] = of_training_step(adjoint, 4, 64);
        assert_eq!(many, few, "{adjoint:?}");
    }
}

/// What a solve and its gradient allocate at most, by the generated kernels of a field, with a batch of 40.
struct Peak {
    params: Vec<f32>,
    adjoint: Adjoint,
    steps: usize,
}

impl<const N: usize> KernelVisitor<N> for Peak {
    type Output = (usize, Vec<f32>);

    fn visit<K: TileField<N>>(self) -> (usize, Vec<f32>) {
        let options = equal_steps(self.steps)
            .with_adjoint(self.adjoint)
            .with_max_steps(100_000);
        // Buffers that earlier solves left would not be counted.
        release_buffers();
        peak(|| {
            let mut engine = HostEngine::<Generated<K, f32>, f32, N, 32>::new(self.params).unwrap();
            let start = Tiles::from_flat(N, &[0.1; 40].repeat(N)).unwrap();
            let (values, stats, kept) =
                solve_keeping(&mut engine, &TSIT5, start, &[1.0], &options).unwrap();
            assert_eq!(stats.accepted, self.steps);
            let cotangents = [Cotangent {
                t: 1.0,
                value: values[0].clone().with_empty_padding(),
            }];
            kept.pull_back(&mut engine, &cotangents)
                .unwrap()
                .theta_bar
                .0
        })
    }
}

fn peak_of(adjoint: Adjoint, steps: usize) -> (usize, Vec<f32>) {
    let params = (0..76).map(|i| (i as f32).sin() * 0.3).collect();
    let shown = SmallOdeField::<f32, Cpu>::with_kernel(Peak {
        params,
        adjoint,
        steps,
    });
    shown.unwrap_or_else(|_| panic!("a generated field has kernels"))
}

#[test]
fn checkpoints_stay_within_their_budget_for_any_number_of_steps() {
    // One state of this batch is a kilobyte, a step with its stages eight of them.
    peak_of(Adjoint::Discrete, 1);
    let (working, _) = peak_of(Adjoint::Discrete, 1);
    let (all, expected) = peak_of(Adjoint::Discrete, 16_384);
    assert!(all > 130_000_000, "{all}");
    for bytes in [600_000, 1_000_000, 4_000_000, 20_000_000] {
        let (found, theta_bar) = peak_of(Adjoint::Checkpointed { bytes }, 16_384);
        println!("budget {bytes}: {found}, of which {working} for one step");
        assert!(
            found <= bytes + working,
            "{found} bytes with a budget of {bytes} and {working} for one step"
        );
        assert_eq!(theta_bar, expected);
    }
}

#[test]
fn the_backsolve_adjoint_takes_the_same_memory_for_any_number_of_steps() {
    // The first solve of a thread also makes what it keeps.
    peak_of(Adjoint::Backsolve, 8);
    let (few, _) = peak_of(Adjoint::Backsolve, 8);
    let (many, _) = peak_of(Adjoint::Backsolve, 8192);
    assert_eq!(many, few);
}
