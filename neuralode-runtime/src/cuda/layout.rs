//! What the host and the device code agree on: structs as words of memory, and names for numbers. All of it stands in
//! `device.cuh` and `kernels.cuh` as well.

use cudarc::driver::DeviceRepr;

use neuralode_core::ode::{
    choices::{Control, Controller, StepSizes},
    method::{ButcherTableau, WithTableau},
    options::SolveOptions,
};

/// `Share`: whose a step size is.
const PER_BATCH: i32 = 0;
const PER_SAMPLE: i32 = 2;

/// `Control`.
const INTEGRAL: i32 = 0;
const PROPORTIONAL_INTEGRAL: i32 = 1;
const PID: i32 = 2;
const EQUAL: i32 = 3;

/// `Status` of a sample; every other one than these three is that of a number that is not finite.
pub(super) const MAX_STEPS: u64 = 1;
pub(super) const TOO_SMALL: u64 = 2;
pub(super) const RECORD_FULL: u64 = 4;

/// What a kernel takes by value; `Options` of the device code.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) t0: f64,
    pub(super) t1: f64,
    rtol: f64,
    atol: f64,
    pid: [f64; 3],
    dt: f64,
    dt0: f64,
    dt_min: f64,
    dt_max: f64,
    seed: u64,
    max_steps: i32,
    share: i32,
    control: i32,
    record: i32,
    guided: i32,
}

// SAFETY: `repr(C)`, and field by field the struct `Options` of `device.cuh`: eleven doubles, a 64-bit word, then five
// ints.
unsafe impl DeviceRepr for Options {}

impl Options {
    pub(super) fn new(options: &SolveOptions, record: usize) -> Self {
        let (control, pid, dt) = match options.controller {
            Controller::PI => (PROPORTIONAL_INTEGRAL, [0.0; 3], 0.0),
            Controller::Pid { p, i, d } => (PID, [p, i, d], 0.0),
            Controller::Constant { dt } => (EQUAL, [0.0; 3], dt),
            // `I`: the core is of the same version, and has no other.
            _ => (INTEGRAL, [0.0; 3], 0.0),
        };
        let seed = match options.control {
            Control::Gradients { seed } if options.is_adaptive() => Some(seed),
            _ => None,
        };
        Self {
            t0: options.t0,
            t1: options.t1,
            rtol: options.rtol,
            atol: options.atol,
            pid,
            dt,
            dt0: options.dt0.unwrap_or(0.0),
            dt_min: options.dt_min.unwrap_or(0.0),
            dt_max: options.dt_max.unwrap_or(f64::INFINITY),
            seed: seed.unwrap_or(0),
            max_steps: int(options.max_steps),
            share: if options.steps == StepSizes::PerSample {
                PER_SAMPLE
            } else {
                PER_BATCH
            },
            control,
            record: int(record),
            guided: i32::from(seed.is_some()),
        }
    }
}

/// A count for device code; counts above `i32` do not get here, for batches and steps are bounded before.
pub(super) fn int(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// `Method` of the device code for programs of `stages` stages, as the words of its memory.
pub(super) fn method(options: &SolveOptions, stages: usize) -> Vec<u64> {
    struct Words {
        stages: usize,
    }

    impl WithTableau for Words {
        type Output = Vec<u64>;

        fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) -> Vec<u64> {
            let signs = &tableau.signs;
            let mut ints = vec![S as u64, tableau.order as u64, u64::from(signs.weighs())];
            ints.extend((0..self.stages).map(|i| u64::from(i < S && tableau.has_stage(i))));
            ints.resize(ints.len().next_multiple_of(2), 0);
            let pairs = ints.chunks_exact(2);
            let mut words: Vec<u64> = pairs.map(|pair| pair[0] | pair[1] << 32).collect();
            let mut row = |numbers: &[f64]| {
                let end = words.len() + self.stages;
                words.extend(numbers.iter().map(|x| x.to_bits()));
                words.resize(end, 0);
            };
            for i in 0..self.stages {
                row(tableau.a.get(i).map_or(&[], |row| row.as_slice()));
            }
            row(&tableau.b);
            row(&tableau.b_err);
            row(&tableau.c);
            row(&signs.weights[..S]);
            row(&signs.linear[..S]);
            words
        }
    }

    options.solver.with_tableau(Words { stages })
}

/// Words of a `Report`, the one of them that is its `decay`, and words of the `Summary` of all.
pub(super) const REPORT: usize = 6;
pub(super) const DECAY: usize = 5;
pub(super) const SUMMARY: usize = 6;

/// Doubles of a `StepNorms`, words of a `Verdict`.
pub(super) const STEP_NORMS: usize = 4;
pub(super) const VERDICT: usize = 2;

/// What all samples reported together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Summary {
    /// The first sample that failed, or the number of samples.
    pub(super) failed: usize,
    pub(super) status: u64,
    pub(super) accepted: usize,
    pub(super) rejected: usize,
    pub(super) t: f64,
    pub(super) h: f64,
    pub(super) error: f64,
}

impl Summary {
    pub(super) fn from_words(words: &[u64]) -> Option<Self> {
        let &[first, accepted, rejected, t, h, error] = words else {
            return None;
        };
        Some(Self {
            failed: usize::try_from(first & 0xffff_ffff).ok()?,
            status: first >> 32,
            accepted: usize::try_from(accepted).ok()?,
            rejected: usize::try_from(rejected).ok()?,
            t: f64::from_bits(t),
            h: f64::from_bits(h),
            error: f64::from_bits(error),
        })
    }
}

/// What the walks back say of a gradient.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    /// The largest estimate of a walk, and its first sample.
    pub(crate) error: f64,
    pub(crate) sample: usize,
    /// Whether a walk asks for a second look.
    pub(crate) suspicious: bool,
}

impl Verdict {
    pub(super) fn from_words(words: &[u64]) -> Option<Self> {
        let &[error, rest] = words else {
            return None;
        };
        Some(Self {
            error: f64::from_bits(error),
            sample: usize::try_from(rest & 0xffff_ffff).ok()?,
            suspicious: rest >> 32 != 0,
        })
    }
}
