//! Lanes that run on their own: every lane of a tile solves a sample with its own time, step size and controller.
//!
//! All lanes attempt a step together and each is judged alone. A lane whose sample has reached the end takes the next
//! one of its group at once, so that lanes stay busy until a group runs out of samples. The arithmetic is that of
//! whole tiles with one step size ([`super::forward`]), lane by lane: a sample gives the bits of a batch of one, in
//! whatever lane it was. Samples form groups by their number alone, each with its own queue: the same bits for any
//! number of threads. The number of stages is known at run time only, so that all of this is compiled once per field
//! and type.

use pulp::{Arch, Simd, WithSimd};

use crate::{
    controller::{first_size, probe_size, Law, Memory},
    error::{Quantity, SolveError},
    options::{Controller, SolveOptions},
    pool,
    stats::Stats,
    tableau::TableauView,
};

use super::{
    field::TileKernel,
    isa::dispatch,
    kernel::{in_blocks, Row, Tile, SPAN},
    lane_record::{Record, Stock, What},
    parallel::first_half,
    real::Real,
    tiles::add_squares,
};

/// How much of a step is rounding noise.
const NOISE: f64 = 1.0 + 1e-10;
/// Most groups of samples.
const GROUPS: usize = 32;
/// Fewest tiles' worth of samples per group, but for the last: a group ends with idle lanes.
const TILES_PER_GROUP: usize = 8;

/// Samples per group, given all of them and the lanes of a tile.
pub(super) fn group_size(samples: usize, lanes: usize) -> usize {
    let tiles = samples.div_ceil(lanes);
    tiles.div_ceil(GROUPS).max(TILES_PER_GROUP) * lanes
}

/// Weights that are not zero, with the index of their stage.
pub(super) type Terms<E> = Vec<(E, usize)>;

pub(super) fn terms<E: Real>(weights: impl Iterator<Item = f64>) -> Terms<E> {
    let indexed = weights.enumerate().filter(|(_, weight)| *weight != 0.0);
    indexed
        .map(|(j, weight)| (E::from_f64(weight), j))
        .collect()
}

/// A stage to be computed.
struct Stage<E> {
    index: usize,
    c: f64,
    /// The weights of earlier stages in its argument.
    a: Terms<E>,
}

/// What all samples of a solve have in common.
pub(super) struct Plan<'a, E> {
    tableau: TableauView,
    /// All stages that the method has, but for the first.
    stages: Vec<Stage<E>>,
    error: Terms<E>,
    law: Law,
    tolerances: (E, E),
    options: &'a SolveOptions,
    adaptive: bool,
    direction: f64,
    smallest: f64,
    largest: f64,
    /// Rows of features of all samples.
    y0: &'a [E],
    times: &'a [f64],
}

impl<'a, E: Real> Plan<'a, E> {
    pub(super) fn new(
        tableau: TableauView,
        y0: &'a [E],
        times: &'a [f64],
        options: &'a SolveOptions,
    ) -> Self {
        let stages = (1..tableau.stages).filter(|i| tableau.has_stage(*i));
        let (t0, t1) = (options.t0, options.t1);
        Self {
            stages: stages
                .map(|index| Stage {
                    index,
                    c: tableau.c[index],
                    a: terms((0..index).map(|j| tableau.a(index, j))),
                })
                .collect(),
            error: terms(tableau.b_err.iter().copied()),
            law: Law::new(options.controller, tableau.order),
            tolerances: (E::from_f64(options.rtol), E::from_f64(options.atol)),
            options,
            adaptive: !matches!(options.controller, Controller::Constant { .. }),
            direction: (t1 - t0).signum(),
            smallest: f64::max(
                16.0 * f64::EPSILON * t0.abs().max(t1.abs()),
                options.dt_min.unwrap_or(0.0),
            ),
            largest: options.dt_max.unwrap_or(f64::INFINITY),
            tableau,
            y0,
            times,
        }
    }

    /// The size of the first step where it does not depend on the sample.
    fn given_size(&self) -> Option<f64> {
        match self.options.controller {
            Controller::Constant { dt } => Some(dt),
            _ => self.options.dt0,
        }
    }

    #[allow(
        clippy::float_cmp,
        reason = "the empty span is the one with equal ends"
    )]
    fn is_empty_span(&self) -> bool {
        self.options.t0 == self.options.t1
    }
}

/// Samples that share a queue, and what becomes of them.
pub(super) struct Group<E: Real, const N: usize, const L: usize> {
    /// Index of the first of them in the batch.
    pub(super) first: usize,
    /// Rows of values, sample by sample and time by time.
    pub(super) values: Vec<E>,
    pub(super) stats: Vec<Stats>,
    /// Accepted steps of each sample with saved times inside.
    pub(super) dense_steps: Vec<usize>,
    /// The first sample that failed, by its number within the group, and why. Those behind it are given up.
    pub(super) failed: Option<(usize, SolveError)>,
    pub(super) record: Option<Record<E, N, L>>,
    /// Derivatives at the start, rows of features.
    f0: Vec<E>,
    /// Sizes of the first steps.
    sizes: Vec<f64>,
    /// `y`, the stages, `y1` and the argument of a stage.
    tiles: Vec<Tile<E, N, L>>,
    scratch: Vec<Row<E, L>>,
    weights: Vec<f64>,
}

impl<E: Real, const N: usize, const L: usize> Group<E, N, L> {
    /// A group of `count` samples from `first` on; with room for a record if it `keeps` one.
    pub(super) fn new(
        plan: &Plan<'_, E>,
        (first, count): (usize, usize),
        scratch: usize,
        keeps: bool,
    ) -> Self {
        let stages = plan.tableau.stages;
        Self {
            first,
            values: pool::filled::<pool::Scratch, _>(count * plan.times.len() * N, E::default()),
            stats: pool::filled::<pool::Scratch, _>(count, Stats::default()),
            dense_steps: pool::filled::<pool::Scratch, _>(count, 0),
            failed: None,
            record: keeps.then(|| Record::new(stages)),
            f0: pool::filled::<pool::Scratch, _>(count * N, E::default()),
            sizes: pool::filled::<pool::Scratch, _>(count, 0.0),
            tiles: pool::filled::<pool::Scratch, _>(stages + 3, [Row::default(); N]),
            scratch: pool::filled::<pool::Scratch, _>(scratch, Row::default()),
            weights: pool::filled::<pool::Scratch, _>(stages, 0.0),
        }
    }

    /// Keeps the failure of the first sample.
    fn fail(&mut self, sample: usize, error: SolveError) {
        if self
            .failed
            .as_ref()
            .is_none_or(|(first, _)| sample < *first)
        {
            self.failed = Some((sample, error));
        }
    }

    /// The samples that are still wanted.
    fn wanted(&self) -> usize {
        self.failed
            .as_ref()
            .map_or(self.stats.len(), |(first, _)| *first)
    }

    fn row<'p>(&self, plan: &Plan<'p, E>, sample: usize) -> &'p [E] {
        &plan.y0[(self.first + sample) * N..][..N]
    }
}

impl<E: Real, const N: usize, const L: usize> Drop for Group<E, N, L> {
    fn drop(&mut self) {
        pool::give::<pool::Scratch, _>(core::mem::take(&mut self.values));
        pool::give::<pool::Scratch, _>(core::mem::take(&mut self.stats));
        pool::give::<pool::Scratch, _>(core::mem::take(&mut self.dense_steps));
        pool::give::<pool::Scratch, _>(core::mem::take(&mut self.f0));
        pool::give::<pool::Scratch, _>(core::mem::take(&mut self.sizes));
        pool::give::<pool::Scratch, _>(core::mem::take(&mut self.tiles));
        pool::give::<pool::Scratch, _>(core::mem::take(&mut self.scratch));
        pool::give::<pool::Scratch, _>(core::mem::take(&mut self.weights));
    }
}

/// Solves all samples of `groups`, which so many threads share.
pub(super) fn run<G: TileKernel<E, N, L>, E: Real, const N: usize, const L: usize>(
    arch: Arch,
    field: &G,
    plan: &Plan<'_, E>,
    stock: &Stock<Tile<E, N, L>>,
    groups: &mut [Group<E, N, L>],
    threads: usize,
) {
    if threads <= 1 {
        for group in groups {
            dispatch::<G, _>(
                arch,
                Start {
                    field,
                    plan,
                    group: &mut *group,
                },
            );
            if plan.is_empty_span() {
                stay(plan, group);
            } else {
                dispatch::<G, _>(
                    arch,
                    Run {
                        field,
                        plan,
                        stock,
                        group,
                    },
                );
            }
        }
        return;
    }
    let (low, high) = groups.split_at_mut(first_half(groups.len(), threads));
    let half = threads / 2;
    rayon::join(
        || run(arch, field, plan, stock, low, half),
        || run(arch, field, plan, stock, high, threads - half),
    );
}

/// The solve over an empty span.
fn stay<E: Real, const N: usize, const L: usize>(plan: &Plan<'_, E>, group: &mut Group<E, N, L>) {
    for sample in 0..group.wanted() {
        let row = group.row(plan, sample);
        let values = &mut group.values[sample * plan.times.len() * N..];
        for value in values.chunks_exact_mut(N.max(1)).take(plan.times.len()) {
            value.copy_from_slice(row);
        }
        if let Some(record) = &mut group.record {
            record.note(0, sample, What::Start);
            record.note(0, sample, What::End { time: 0 });
        }
    }
}

/// `sum(w k)` for rows `at..at + K` and a block of registers from `register` on.
#[inline(always)]
fn sum_block<S: Simd, E: Real, const N: usize, const L: usize, const K: usize>(
    simd: S,
    terms: &[(E, usize)],
    k: &[Tile<E, N, L>],
    (at, register): (usize, usize),
) -> [[E::Register<S>; SPAN]; K] {
    let mut sums = [[E::splat(simd, E::default()); SPAN]; K];
    for (w, j) in terms {
        let (w, x) = (E::splat(simd, *w), &k[*j]);
        for r in 0..K {
            let x = &E::registers::<S>(&*x[at + r])[register..register + SPAN];
            for s in 0..SPAN {
                sums[r][s] = E::fma(simd, w, x[s], sums[r][s]);
            }
        }
    }
    sums
}

/// `out = base + h sum(w k)`, with an `h` for each lane.
#[inline(always)]
pub(super) fn combine<S: Simd, E: Real, const N: usize, const L: usize>(
    simd: S,
    base: &Tile<E, N, L>,
    h: &Row<E, L>,
    (terms, k): (&[(E, usize)], &[Tile<E, N, L>]),
    out: &mut Tile<E, N, L>,
) {
    let h = E::registers::<S>(&**h);
    in_blocks!(N, |at, K| {
        let mut register = 0;
        while register + SPAN <= L / E::lanes::<S>() {
            let sums = sum_block::<S, E, N, L, K>(simd, terms, k, (at, register));
            for r in 0..K {
                let base = E::registers::<S>(&*base[at + r]);
                let out = E::registers_mut::<S>(&mut *out[at + r]);
                for s in 0..SPAN {
                    let place = register + s;
                    out[place] = E::fma(simd, h[place], sums[r][s], base[place]);
                }
            }
            register += SPAN;
        }
    });
}

/// `h sum(w k)`, one row of it.
#[inline(always)]
fn error_row<S: Simd, E: Real, const N: usize, const L: usize>(
    h: &Row<E, L>,
    (terms, k): (&[(E, usize)], &[Tile<E, N, L>]),
    n: usize,
) -> Row<E, L> {
    let mut error = Row::default();
    for (w, j) in terms {
        let k = &k[*j][n];
        for l in 0..L {
            error[l] = w.mul_add::<S>(k[l], error[l]);
        }
    }
    for l in 0..L {
        error[l] = error[l] * h[l];
    }
    error
}

/// The sum of the squared scaled errors of every lane; `error` gives its rows.
#[inline(always)]
fn lane_squares<S: Simd, E: Real, const N: usize, const L: usize>(
    error: impl Fn(usize) -> Row<E, L>,
    y0: &Tile<E, N, L>,
    y1: &Tile<E, N, L>,
    tolerances: (E, E),
) -> [E; L] {
    let mut sums = [E::default(); L];
    for n in 0..N {
        let (error, y) = (error(n), (&y0[n], &y1[n]));
        add_squares::<S, E, L>(&mut sums, &error, y, tolerances);
    }
    sums
}

/// The mean square of one lane's scaled error, in the state's type and, where its squares overflow, in f64.
fn careful_mean<S: Simd, E: Real, const N: usize>(
    (rtol, atol): (E, E),
    options: &SolveOptions,
    error: impl Fn(usize) -> E,
    (y0, y1): (impl Fn(usize) -> E, impl Fn(usize) -> E),
) -> f64 {
    let mut sum = E::default();
    let mut exact = 0.0;
    for n in 0..N {
        let (error, y0, y1) = (error(n), y0(n), y1(n));
        let scaled = error / rtol.mul_add::<S>(y0.abs().max(y1.abs()), atol);
        sum = scaled.mul_add::<S>(scaled, sum + y1 * E::default());
        let (error, y0, y1) = (error.to_f64(), y0.to_f64(), y1.to_f64());
        let scaled = error.abs() / (options.atol + options.rtol * y0.abs().max(y1.abs()));
        // NaN where `y1` is not finite.
        exact += scaled * scaled + y1 * 0.0;
    }
    let sum = sum.to_f64();
    mean::<N>(if sum.is_finite() { sum } else { exact })
}

#[inline(always)]
#[allow(clippy::cast_precision_loss, reason = "no sample has 2^53 features")]
fn mean<const N: usize>(sum: f64) -> f64 {
    sum / const {
        if N == 0 {
            1.0
        } else {
            N as f64
        }
    }
}

/// The root mean square of every lane's `x`, scaled by `y`.
#[inline(always)]
fn norms<S: Simd, E: Real, const N: usize, const L: usize>(
    plan: &Plan<'_, E>,
    x: &Tile<E, N, L>,
    y: &Tile<E, N, L>,
) -> [f64; L] {
    let mut squares = [E::default(); L];
    for (x, y) in x.iter().zip(y) {
        add_squares::<S, E, L>(&mut squares, x, (y, y), plan.tolerances);
    }
    let mut norms = [0.0; L];
    let mut finite = true;
    for l in 0..L {
        norms[l] = mean::<N>(squares[l].to_f64()).sqrt();
        finite &= norms[l].is_finite();
    }
    if !finite {
        for l in 0..L {
            if !norms[l].is_finite() {
                let at = (|n: usize| y[n][l], |n: usize| y[n][l]);
                let square =
                    careful_mean::<S, E, N>(plan.tolerances, plan.options, |n| x[n][l], at);
                norms[l] = square.sqrt();
            }
        }
    }
    norms
}

/// The first derivatives and the sizes of the first steps of all samples of a group, tile by tile.
struct Start<'a, G, E: Real, const N: usize, const L: usize> {
    field: &'a G,
    plan: &'a Plan<'a, E>,
    group: &'a mut Group<E, N, L>,
}

impl<G: TileKernel<E, N, L>, E: Real, const N: usize, const L: usize> WithSimd
    for Start<'_, G, E, N, L>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { field, plan, group } = self;
        let options = plan.options;
        let given = plan.given_size();
        let span = (options.t1 - options.t0).abs();
        let mut tiles = core::mem::take(&mut group.tiles);
        let mut scratch = core::mem::take(&mut group.scratch);
        // As there are two stages at least, these are there.
        let [y, f0, change, argument, ..] = tiles.as_mut_slice() else {
            return;
        };
        for first in (0..group.stats.len()).step_by(L) {
            let count = L.min(group.stats.len() - first);
            for lane in 0..L {
                let row = group.row(plan, first + lane.min(count - 1));
                for (feature, x) in y.iter_mut().zip(row) {
                    feature[lane] = *x;
                }
            }
            let d0 = norms::<S, E, N, L>(plan, y, y);
            let mut d1 = [0.0; L];
            if !plan.is_empty_span() {
                field.eval(simd, &[options.t0; L], y, f0, &mut scratch);
                d1 = norms::<S, E, N, L>(plan, f0, y);
            }
            let bad = (0..count).find(|l| !(d0[*l].is_finite() && d1[*l].is_finite()));
            if let Some(lane) = bad {
                let quantity = if d0[lane].is_finite() {
                    Quantity::VectorField
                } else {
                    Quantity::InitialState
                };
                group.fail(
                    first + lane,
                    SolveError::NonFinite {
                        quantity,
                        t: options.t0,
                        h: 0.0,
                        sample: Some(group.first + first + lane),
                    },
                );
            }
            if plan.is_empty_span() {
                continue;
            }
            if let Some(size) = given {
                group.sizes[first..first + count].fill(size);
            } else {
                let mut looks = [0.0; L];
                let (mut h, mut t) = (Row::<E, L>::default(), [0.0; L]);
                for l in 0..L {
                    looks[l] = probe_size(d0[l], d1[l], span);
                    h[l] = E::from_f64(plan.direction * looks[l]);
                    t[l] = options.t0 + plan.direction * looks[l];
                }
                for n in 0..N {
                    for l in 0..L {
                        argument[n][l] = h[l].mul_add::<S>(f0[n][l], y[n][l]);
                    }
                }
                field.eval(simd, &t, argument, change, &mut scratch);
                for n in 0..N {
                    for l in 0..L {
                        change[n][l] = (-E::ONE).mul_add::<S>(f0[n][l], change[n][l]);
                    }
                }
                let changes = norms::<S, E, N, L>(plan, change, y);
                for (l, size) in group.sizes[first..first + count].iter_mut().enumerate() {
                    let largest = d1[l].max(changes[l] / looks[l]);
                    *size = first_size(looks[l], largest, plan.tableau.order, span);
                }
            }
            for lane in 0..count {
                let row = &mut group.f0[(first + lane) * N..][..N];
                for (x, feature) in row.iter_mut().zip(&*f0) {
                    *x = feature[lane];
                }
            }
            if bad.is_some() {
                break;
            }
        }
        (group.tiles, group.scratch) = (tiles, scratch);
    }
}

/// The numbers of every lane that are not state. Answers are 1 or 0, as wide as the numbers that they come from:
/// vectors of bytes would have to be put together from pieces.
struct Lanes<const L: usize> {
    /// Whether there is a sample.
    busy: [f64; L],
    /// Its number within its group.
    sample: [usize; L],
    t: [f64; L],
    /// Size of the attempt, zero in an idle lane.
    h: [f64; L],
    /// Size of the next attempt, positive.
    size: [f64; L],
    /// Whether the attempt would reach the end.
    last: [f64; L],
    memory: [Memory; L],
    square: [f64; L],
    accepts: [f64; L],
    factor: [f64; L],
    /// Accepted steps.
    accepted: [f64; L],
    /// Attempts.
    tries: [f64; L],
    /// Whether the sample has come to an end, good or bad.
    over: [f64; L],
    /// The next saved time, beyond the end if there is none.
    saves_at: [f64; L],
    /// Its index.
    time: [usize; L],
    dense_steps: [usize; L],
}

const fn one_if(yes: bool) -> f64 {
    if yes {
        1.0
    } else {
        0.0
    }
}

impl<const L: usize> Lanes<L> {
    const IDLE: Self = Self {
        busy: [0.0; L],
        sample: [0; L],
        t: [0.0; L],
        h: [0.0; L],
        size: [0.0; L],
        last: [0.0; L],
        memory: [Memory::NONE; L],
        square: [1.0; L],
        accepts: [0.0; L],
        factor: [1.0; L],
        accepted: [0.0; L],
        tries: [0.0; L],
        over: [0.0; L],
        saves_at: [0.0; L],
        time: [0; L],
        dense_steps: [0; L],
    };

    fn is_busy(&self, lane: usize) -> bool {
        self.busy[lane] > 0.0
    }

    /// Puts `sample` into a lane, at its start.
    fn enter<E: Real>(&mut self, lane: usize, sample: usize, size: f64, plan: &Plan<'_, E>) {
        self.busy[lane] = 1.0;
        self.sample[lane] = sample;
        self.t[lane] = plan.options.t0;
        self.size[lane] = size;
        self.memory[lane] = Memory::NONE;
        (self.accepted[lane], self.tries[lane]) = (0.0, 0.0);
        self.dense_steps[lane] = 0;
        self.set_time(lane, 0, plan);
    }

    fn set_time<E: Real>(&mut self, lane: usize, time: usize, plan: &Plan<'_, E>) {
        let end = plan.options.t1;
        self.time[lane] = time;
        // What lies at the end, or beyond it by rounding, is the end's.
        self.saves_at[lane] = match plan.times.get(time) {
            Some(t) if (*t - end) * plan.direction < 0.0 => *t,
            _ => plan.direction * f64::INFINITY,
        };
    }

    /// Chooses the sizes of the next attempts.
    #[inline(always)]
    fn choose<E: Real>(&mut self, plan: &Plan<'_, E>) {
        let t1 = plan.options.t1;
        let floor = if plan.adaptive { plan.smallest } else { 0.0 };
        for l in 0..L {
            let remaining = (t1 - self.t[l]).abs();
            // Below this the sum `t + h` may not differ from `t`.
            let size = self.size[l].max(floor);
            // A step that would leave only rounding noise behind takes it along.
            let cut = remaining > plan.largest * NOISE;
            let limit = if cut { plan.largest } else { remaining };
            let limited = size * NOISE >= limit;
            let size = if limited { limit } else { size };
            self.last[l] = one_if(limited && !cut);
            self.h[l] = if self.busy[l] > 0.0 {
                plan.direction * size
            } else {
                0.0
            };
        }
    }

    /// Judges the attempts by their squares; returns whether there is a saved time in an accepted one.
    #[inline(always)]
    fn judge<E: Real>(&mut self, plan: &Plan<'_, E>) -> bool {
        for l in 0..L {
            self.square[l] = if self.busy[l] > 0.0 {
                self.square[l]
            } else {
                1.0
            };
        }
        plan.law.judge_each(
            &mut self.memory,
            &self.square,
            &mut self.accepts,
            &mut self.factor,
        );
        let mut saves = false;
        for l in 0..L {
            let size = self.h[l].abs();
            self.accepts[l] *= self.busy[l];
            let ahead = (self.saves_at[l] - self.t[l]) * plan.direction;
            saves |= self.accepts[l] > 0.0 && ahead < size;
            self.size[l] = size * self.factor[l];
        }
        saves
    }

    /// Moves time in the lanes whose attempt was accepted; returns whether a lane has come to an end, good or bad.
    #[inline(always)]
    fn advance<E: Real>(&mut self, plan: &Plan<'_, E>) -> bool {
        let (t0, t1) = (plan.options.t0, plan.options.t1);
        #[allow(clippy::cast_precision_loss, reason = "no solve takes 2^53 steps")]
        let most = plan.options.max_steps as f64;
        for l in 0..L {
            self.tries[l] += self.busy[l];
            self.accepted[l] += self.accepts[l];
        }
        // A rejected step cannot be tried again below the smallest size, nor where sizes are given.
        let hopeless = if plan.adaptive {
            plan.smallest
        } else {
            f64::INFINITY
        };
        let mut any_over = false;
        for l in 0..L {
            // Equal steps stand at multiples of their size, however many there are.
            let next = if plan.adaptive {
                self.t[l] + self.h[l]
            } else {
                t0 + self.accepted[l] * self.h[l]
            };
            let accepts = self.accepts[l] > 0.0;
            let last = self.last[l] > 0.0;
            let next = if last { t1 } else { next };
            self.t[l] = if accepts { next } else { self.t[l] };
            let fails = !accepts && self.size[l] < hopeless;
            let over = self.busy[l] > 0.0 && (accepts && last || fails || self.tries[l] >= most);
            self.over[l] = one_if(over);
            any_over |= over;
        }
        any_over
    }

    /// What became of the sample in a lane, if it has come to an end; `before` is the time before the attempt.
    fn outcome<E: Real>(
        &self,
        lane: usize,
        first: usize,
        plan: &Plan<'_, E>,
    ) -> Option<Result<(), SolveError>> {
        if self.over[lane] == 0.0 {
            return None;
        }
        let sample = Some(first + self.sample[lane]);
        let (t, h, error) = (self.t[lane], self.h[lane], self.square[lane].sqrt());
        if self.accepts[lane] > 0.0 {
            if self.last[lane] > 0.0 {
                return Some(Ok(()));
            }
        } else if self.size[lane] < plan.smallest || !plan.adaptive {
            return Some(Err(if error.is_finite() {
                SolveError::StepTooSmall {
                    t,
                    h,
                    error,
                    minimum: plan.smallest,
                    sample,
                }
            } else {
                SolveError::NonFinite {
                    quantity: Quantity::Step,
                    t,
                    h,
                    sample,
                }
            }));
        }
        Some(Err(SolveError::MaxSteps {
            t,
            t1: plan.options.t1,
            h: plan.direction * self.size[lane],
            error,
            steps: plan.options.max_steps,
            sample,
        }))
    }

    /// What the sample in a lane cost.
    fn stats<E: Real>(&self, lane: usize, plan: &Plan<'_, E>) -> Stats {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole numbers, zero or more"
        )]
        let count = |x: f64| x as usize;
        let (tries, accepted) = (count(self.tries[lane]), count(self.accepted[lane]));
        let before = if plan.given_size().is_some() { 1 } else { 2 };
        Stats {
            field_calls: before + plan.tableau.evaluations * tries,
            accepted,
            rejected: tries - accepted,
            vjps: 0,
            jvps: 0,
        }
    }
}

/// The solves of a group.
struct Run<'a, G, E: Real, const N: usize, const L: usize> {
    field: &'a G,
    plan: &'a Plan<'a, E>,
    stock: &'a Stock<Tile<E, N, L>>,
    group: &'a mut Group<E, N, L>,
}

impl<G: TileKernel<E, N, L>, E: Real, const N: usize, const L: usize> WithSimd
    for Run<'_, G, E, N, L>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            field,
            plan,
            stock,
            group,
        } = self;
        let stages = plan.tableau.stages;
        let mut work = core::mem::take(&mut group.tiles);
        let mut scratch = core::mem::take(&mut group.scratch);
        // `y` with its stages, the end of the step, and the argument of a stage.
        let (tiles, rest) = work.split_at_mut(1 + stages);
        let [y1, argument] = rest else {
            return;
        };
        let mut lanes = Lanes::<L>::IDLE;
        let mut queue = 0..group.wanted();
        let mut busy = 0;
        for lane in 0..L {
            let next = queue.next();
            // Idle lanes stand where the last sample starts.
            let Some(sample) = next.or_else(|| group.wanted().checked_sub(1)) else {
                break;
            };
            enter(group, plan, &mut lanes, tiles, (lane, sample));
            if next.is_some() {
                if let Some(record) = &mut group.record {
                    record.note(lane, sample, What::Start);
                }
                busy += 1;
            } else {
                lanes.busy[lane] = 0.0;
            }
        }
        while busy > 0 {
            lanes.choose(plan);
            let mut h = Row::<E, L>::default();
            for l in 0..L {
                h[l] = E::from_f64(lanes.h[l]);
            }
            for stage in &plan.stages {
                let (done, now) = tiles.split_at_mut(1 + stage.index);
                let (Some((y, k)), Some(now)) = (done.split_first(), now.first_mut()) else {
                    return;
                };
                let out = if stage.index + 1 == stages {
                    &mut *y1
                } else {
                    &mut *argument
                };
                combine(simd, y, &h, (&stage.a, k), out);
                let mut t = [0.0; L];
                for (t, (h, start)) in t.iter_mut().zip(lanes.h.iter().zip(&lanes.t)) {
                    *t = Real::mul_add::<S>(*h, stage.c, *start);
                }
                field.eval(simd, &t, out, now, &mut scratch);
            }
            let Some((y, k)) = tiles.split_first_mut() else {
                return;
            };
            let error = |n: usize| error_row::<S, E, N, L>(&h, (&plan.error, k), n);
            let squares = lane_squares::<S, E, N, L>(error, y, y1, plan.tolerances);
            let mut finite = true;
            for (square, sum) in lanes.square.iter_mut().zip(squares) {
                *square = mean::<N>(sum.to_f64());
                finite &= square.is_finite();
            }
            if !finite {
                look_again::<S, E, N, L>(plan, &mut lanes, (y, y1, k));
            }
            let saves = lanes.judge(plan);
            let mut keep = Row::<E, L>::default();
            for l in 0..L {
                keep[l] = E::from_f64(lanes.accepts[l]);
            }
            if saves {
                save::<S, E, N, L>(group, plan, &mut lanes, tiles);
            }
            if let Some(record) = &mut group.record {
                record.push(stock, tiles, &keep, (&lanes.t, &lanes.h));
            }
            let [y, first, .., last] = &mut *tiles else {
                return;
            };
            select(&keep, y1, y);
            select(&keep, last, first);
            if lanes.advance(plan) {
                busy = turn_over(group, plan, &mut lanes, tiles, (&mut queue, busy));
            }
        }
        (group.tiles, group.scratch) = (work, scratch);
    }
}

/// `y = x` in the lanes that `keep`.
#[inline(always)]
fn select<E: Real, const N: usize, const L: usize>(
    keep: &Row<E, L>,
    x: &Tile<E, N, L>,
    y: &mut Tile<E, N, L>,
) {
    for (x, y) in x.iter().zip(y) {
        for l in 0..L {
            y[l] = if keep[l] == E::default() { y[l] } else { x[l] };
        }
    }
}

/// Puts a sample into a lane.
fn enter<E: Real, const N: usize, const L: usize>(
    group: &mut Group<E, N, L>,
    plan: &Plan<'_, E>,
    lanes: &mut Lanes<L>,
    tiles: &mut [Tile<E, N, L>],
    (lane, sample): (usize, usize),
) {
    let [y, first, ..] = tiles else {
        return;
    };
    let f0 = &group.f0[sample * N..][..N];
    for (n, (y0, f0)) in group.row(plan, sample).iter().zip(f0).enumerate() {
        y[n][lane] = *y0;
        first[n][lane] = *f0;
    }
    lanes.enter(lane, sample, group.sizes[sample], plan);
}

/// The squares that are not finite once more: those of f32 overflow long before the numbers do.
#[cold]
fn look_again<S: Simd, E: Real, const N: usize, const L: usize>(
    plan: &Plan<'_, E>,
    lanes: &mut Lanes<L>,
    (y, y1, k): (&Tile<E, N, L>, &Tile<E, N, L>, &[Tile<E, N, L>]),
) {
    for l in 0..L {
        if lanes.square[l].is_finite() || !lanes.is_busy(l) {
            continue;
        }
        let error = |n: usize| {
            let mut error = E::default();
            for (weight, k) in plan.tableau.b_err.iter().zip(k) {
                if *weight != 0.0 {
                    error = E::from_f64(lanes.h[l] * weight).mul_add::<S>(k[n][l], error);
                }
            }
            error
        };
        let ends = (|n: usize| y[n][l], |n: usize| y1[n][l]);
        lanes.square[l] = careful_mean::<S, E, N>(plan.tolerances, plan.options, error, ends);
    }
}

/// Writes the values at the saved times inside of accepted attempts.
#[inline(always)]
fn save<S: Simd, E: Real, const N: usize, const L: usize>(
    group: &mut Group<E, N, L>,
    plan: &Plan<'_, E>,
    lanes: &mut Lanes<L>,
    tiles: &[Tile<E, N, L>],
) {
    let Some((y, k)) = tiles.split_first() else {
        return;
    };
    for l in 0..L {
        let mut inside = false;
        while lanes.accepts[l] > 0.0 {
            let theta = (lanes.saves_at[l] - lanes.t[l]) / lanes.h[l];
            if theta >= 1.0 {
                // The end of this step is the start of the next, or of nothing.
                break;
            }
            let (sample, time) = (lanes.sample[l], lanes.time[l]);
            let value = &mut group.values[(sample * plan.times.len() + time) * N..][..N];
            for (value, y) in value.iter_mut().zip(y) {
                *value = y[l];
            }
            if theta > 0.0 {
                inside = true;
                plan.tableau.dense_weights(theta, &mut group.weights);
                for (weight, k) in group.weights.iter().zip(k) {
                    if *weight != 0.0 {
                        let weight = E::from_f64(lanes.h[l] * weight);
                        for (value, k) in value.iter_mut().zip(k) {
                            *value = weight.mul_add::<S>(k[l], *value);
                        }
                    }
                }
            }
            if let Some(record) = &mut group.record {
                record.note(l, sample, What::Saved { time, theta });
            }
            lanes.set_time(l, time + 1, plan);
        }
        lanes.dense_steps[l] += usize::from(inside);
    }
}

/// Takes samples that have come to an end out of their lanes and puts the next ones in; returns how many lanes are
/// busy.
fn turn_over<E: Real, const N: usize, const L: usize>(
    group: &mut Group<E, N, L>,
    plan: &Plan<'_, E>,
    lanes: &mut Lanes<L>,
    tiles: &mut [Tile<E, N, L>],
    (queue, mut busy): (&mut core::ops::Range<usize>, usize),
) -> usize {
    for lane in 0..L {
        let Some(outcome) = lanes.outcome(lane, group.first, plan) else {
            continue;
        };
        let sample = lanes.sample[lane];
        match outcome {
            Ok(()) => {
                group.stats[sample] = lanes.stats(lane, plan);
                group.dense_steps[sample] = lanes.dense_steps[lane];
                let time = lanes.time[lane];
                let count = plan.times.len();
                let values =
                    &mut group.values[(sample * count + time) * N..(sample + 1) * count * N];
                if let Some(y) = tiles.first() {
                    for value in values.chunks_exact_mut(N.max(1)) {
                        for (value, y) in value.iter_mut().zip(y) {
                            *value = y[lane];
                        }
                    }
                }
                if let Some(record) = &mut group.record {
                    record.note(lane, sample, What::End { time });
                }
            }
            Err(error) => group.fail(sample, error),
        }
        lanes.busy[lane] = 0.0;
        busy -= 1;
        queue.end = queue.end.min(group.wanted());
        if let Some(sample) = queue.next() {
            if let Some(record) = &mut group.record {
                record.note(lane, sample, What::Start);
            }
            enter(group, plan, lanes, tiles, (lane, sample));
            busy += 1;
        }
    }
    // Samples behind one that failed are given up.
    for lane in 0..L {
        if lanes.is_busy(lane) && lanes.sample[lane] >= group.wanted() {
            lanes.busy[lane] = 0.0;
            busy -= 1;
        }
    }
    busy
}
