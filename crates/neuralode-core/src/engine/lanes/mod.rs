//! Lanes that run on their own: every lane of a tile solves a sample with its own time, step size and controller.
//!
//! All lanes attempt a step together and each is judged alone. A lane whose sample has reached the end takes the next
//! one of its group at once, so that lanes stay busy until a group runs out of samples. The arithmetic is that of whole
//! tiles with one step size ([`crate::engine::tiles::forward`]), lane by lane: a sample gives the bits of a batch of
//! one, in whatever lane it was. Samples form groups by their number alone, each with its own queue: the same bits for
//! any number of threads. The number of stages is known at run time only, so that all of this is compiled once per
//! field and type.

mod arithmetic;
pub(crate) mod back;
mod numbers;
mod plan;
pub(crate) mod record;
mod start;

pub(crate) use plan::{group_size, Plan};

use pulp::{Arch, Simd, WithSimd};

use crate::{
    kernel::{
        field::TileKernel,
        tile::{Row, Tile},
    },
    ode::{
        error::{Quantity, SolveError},
        state::Scaled,
        stats::Stats,
        stiffness,
    },
    simd::{isa::dispatch, parallel::first_half, pool, real::Real},
};

use arithmetic::{careful_mean, combine, error_row, lane_squares, mean};
use numbers::Lanes;
use record::{Record, Stock, What};
use start::Start;

/// Samples that share a queue, and what becomes of them.
pub(crate) struct Group<E: Real, const N: usize, const L: usize> {
    /// Index of the first of them in the batch.
    pub(crate) first: usize,
    /// Rows of values, sample by sample and time by time.
    pub(crate) values: Vec<E>,
    pub(crate) stats: Vec<Stats>,
    /// Accepted steps of each sample with saved times inside.
    pub(crate) dense_steps: Vec<usize>,
    /// The first sample that failed, by its number within the group, and why. Those behind it are given up.
    pub(crate) failed: Option<(usize, SolveError)>,
    pub(crate) record: Option<Record<E, N, L>>,
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
    pub(crate) fn new(
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
pub(crate) fn run<G: TileKernel<E, N, L>, E: Real, const N: usize, const L: usize>(
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
        let mut attempts = 0;
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
            attempts += 1;
            if attempts >= plan.options.max_steps {
                let with = (field, scratch.as_mut_slice());
                see_decay(simd, with, plan, &mut lanes, (y, y1, k), argument);
            }
            let saves = lanes.judge(plan);
            let mut keep = Row::<E, L>::default();
            for l in 0..L {
                keep[l] = E::from_f64(lanes.accepts[l]);
            }
            let saved = !saves || save::<S, E, N, L>(group, plan, &mut lanes, tiles);
            if let Some(record) = &mut group.record {
                record.push(stock, tiles, &keep, (&lanes.t, &lanes.h));
            }
            let [y, first, .., last] = &mut *tiles else {
                return;
            };
            select(&keep, y1, y);
            select(&keep, last, first);
            if lanes.advance(plan) || !saved {
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

/// What decays in the attempts that are the last ones of their samples; as [`crate::ode::stiffness::decay`] does.
#[cold]
fn see_decay<S: Simd, G: TileKernel<E, N, L>, E: Real, const N: usize, const L: usize>(
    simd: S,
    (field, scratch): (&G, &mut [Row<E, L>]),
    plan: &Plan<'_, E>,
    lanes: &mut Lanes<L>,
    (y, y1, k): (&Tile<E, N, L>, &Tile<E, N, L>, &[Tile<E, N, L>]),
    aside: &mut Tile<E, N, L>,
) {
    let tries: [bool; L] = core::array::from_fn(|l| lanes.is_last_try(l, plan));
    let earlier = stiffness::earlier_stage(plan.tableau.evaluations);
    let (Some(before), Some(last)) = (k.get(earlier), k.last()) else {
        return;
    };
    if !tries.contains(&true) {
        return;
    }
    let tolerances = plan.options.tolerances();
    let scale = |n: usize, l: usize| {
        Scaled::new(0.0, (y[n][l].to_f64(), y1[n][l].to_f64()), &tolerances).scale
    };
    let change = |n: usize, l: usize, from: &Tile<E, N, L>, to: &Tile<E, N, L>| {
        lanes.h[l] * (to[n][l] - from[n][l]).to_f64()
    };
    *aside = *y1;
    let mut t = [0.0; L];
    for l in (0..L).filter(|l| tries[*l]) {
        t[l] = lanes.t[l] + lanes.h[l];
        let squares = (0..N).map(|n| (change(n, l, before, last) / scale(n, l)).powi(2));
        let size = squares.sum::<f64>().sqrt();
        for n in 0..N {
            aside[n][l] += E::from_f64(change(n, l, before, last) / size);
        }
    }
    let mut there: Vec<Tile<E, N, L>> = pool::filled::<pool::Scratch, _>(1, *y1);
    for there in &mut there {
        field.eval(simd, &t, aside, there, scratch);
        for l in (0..L).filter(|l| tries[*l]) {
            let products = (0..N).map(|n| {
                let d = (aside[n][l] - y1[n][l]).to_f64() / scale(n, l);
                (d * change(n, l, last, there) / scale(n, l), d * d)
            });
            let (product, square) = products.fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
            lanes.decay[l] = -product / square;
        }
    }
    pool::give::<pool::Scratch, _>(there);
}

/// Writes the values at the saved times inside of accepted attempts; returns whether all are finite, and fails the
/// samples with those that are not.
#[inline(always)]
fn save<S: Simd, E: Real, const N: usize, const L: usize>(
    group: &mut Group<E, N, L>,
    plan: &Plan<'_, E>,
    lanes: &mut Lanes<L>,
    tiles: &[Tile<E, N, L>],
) -> bool {
    let Some((y, k)) = tiles.split_first() else {
        return true;
    };
    let mut all_finite = true;
    for l in 0..L {
        let mut inside = false;
        while lanes.accepts[l] > 0.0 {
            // A time that rounding has taken before the start is the start.
            let theta = ((lanes.saves_at[l] - lanes.t[l]) / lanes.h[l]).max(0.0);
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
                if value.iter().any(|value| !value.to_f64().is_finite()) {
                    all_finite = false;
                    let error = SolveError::NonFinite {
                        quantity: Quantity::Interpolant,
                        t: lanes.saves_at[l],
                        h: lanes.h[l],
                        sample: Some(group.first + sample),
                    };
                    group.fail(sample, error);
                }
            }
            if let Some(record) = &mut group.record {
                record.note(l, sample, What::Saved { time, theta });
            }
            lanes.set_time(l, time + 1, plan);
        }
        lanes.dense_steps[l] += usize::from(inside);
    }
    all_finite
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
