//! The way back over the attempts of lanes that ran on their own: the discrete adjoint of every sample.
//!
//! Attempts are visited in reverse, with the samples in the lanes in which they were: a lane takes the cotangent of the
//! sample that ended in it last, pulls it back step by step, puts it down where the sample started, and takes the one
//! before. Lanes without an accepted step in an attempt have a size of zero, hence nothing but zeros. See
//! [`crate::ode::adjoint::discrete`] for the method. Groups are those of the solve, each with its own sums for the
//! parameters' cotangent, joined in order: the same bits for any number of threads.

use pulp::{Arch, Simd, WithSimd};

use crate::{
    engine::{
        lanes::{
            arithmetic::combine,
            plan::{terms, Terms},
            record::{Event, Record, What},
        },
        tiles::pullback::{self, Records},
    },
    kernel::{
        field::TileVjp,
        tile::{carve, Row, Tile},
    },
    ode::{
        adjoint::gradient_error::{wants_full, LaneNorms, Quick},
        method::TableauView,
        options::SolveOptions,
    },
    simd::{isa::dispatch, parallel::first_half, pool, real::Real},
};

/// A stage on the way back.
struct Stage<E> {
    index: usize,
    c: f64,
    /// The weights of earlier stages in its argument.
    a: Terms<E>,
    /// Its weight in the end of the step.
    b: E,
    /// Its weights in the arguments of later stages.
    later: Terms<E>,
    /// Its weight among the tableau's signs.
    sign: E,
}

/// What all samples have in common on the way back.
pub(crate) struct PlanBack<'a, E> {
    tableau: TableauView,
    /// The stages that the method has, from the last one on.
    stages: Vec<Stage<E>>,
    /// Whether a stage takes part in the end state, itself or through later stages.
    live: Vec<bool>,
    options: &'a SolveOptions,
    /// Whether the field has kinks.
    kinks: bool,
    /// Rows of features: for every time, of all samples.
    cotangents: &'a [E],
    samples: usize,
    times: usize,
}

impl<'a, E: Real> PlanBack<'a, E> {
    pub(crate) fn new(
        tableau: TableauView,
        (options, kinks): (&'a SolveOptions, bool),
        cotangents: &'a [E],
        (samples, times): (usize, usize),
    ) -> Self {
        let count = tableau.stages;
        let mut live = vec![false; count];
        for i in (0..count).rev() {
            live[i] =
                tableau.b[i] != 0.0 || (i + 1..count).any(|j| live[j] && tableau.a(j, i) != 0.0);
        }
        let stages = (0..count).rev().filter(|i| tableau.has_stage(*i));
        let stage = |index: usize| Stage {
            index,
            c: tableau.c[index],
            a: terms((0..index).map(|j| tableau.a(index, j))),
            b: E::from_f64(tableau.b[index]),
            later: terms((0..count).map(|j| if j > index { tableau.a(j, index) } else { 0.0 })),
            sign: E::from_f64(tableau.signs.weights[index]),
        };
        Self {
            stages: stages.map(stage).collect(),
            live,
            tableau,
            options,
            kinks,
            cotangents,
            samples,
            times,
        }
    }

    /// Products of an accepted step of one sample without and with saved times inside.
    pub(crate) fn products(&self) -> [usize; 2] {
        [
            self.live.iter().filter(|live| **live).count(),
            self.stages.len(),
        ]
    }

    fn cotangent(&self, time: usize, sample: usize, features: usize) -> &'a [E] {
        &self.cotangents[(time * self.samples + sample) * features..][..features]
    }
}

/// What is known of the error of a sample's gradient.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Doubt {
    /// The quick estimate.
    pub(crate) estimate: f64,
    /// Whether the estimate is to be made in full.
    pub(crate) full: bool,
    /// Time and size of the first step on the way back after which the cotangent is not finite.
    pub(crate) lost: Option<(f64, f64)>,
}

/// A group on its way back.
pub(crate) struct GroupBack<'a, E: Real, const N: usize, const L: usize> {
    /// Index of its first sample in the batch.
    pub(crate) first: usize,
    pub(crate) record: &'a Record<E, N, L>,
    /// Cotangents of the initial states, rows of features.
    pub(crate) y_bar: &'a mut [E],
    /// Of each sample.
    pub(crate) doubts: &'a mut [Doubt],
    pub(crate) sums: pullback::Group<E, L>,
}

/// Walks back over all groups, which so many threads share.
pub(crate) fn run<G: TileVjp<E, N, L>, E: Real, const N: usize, const L: usize>(
    arch: Arch,
    field: &G,
    plan: &PlanBack<'_, E>,
    groups: &mut [GroupBack<'_, E, N, L>],
    threads: usize,
) {
    if threads <= 1 {
        for group in groups {
            dispatch::<G, _>(arch, WalkBack { field, plan, group });
        }
        return;
    }
    let (low, high) = groups.split_at_mut(first_half(groups.len(), threads));
    let half = threads / 2;
    rayon::join(
        || run(arch, field, plan, low, half),
        || run(arch, field, plan, high, threads - half),
    );
}

/// Rows of scratch space of a walk: the cotangent of a stage, those of all arguments, and of the state.
pub(crate) fn scratch_rows<const N: usize>(stages: usize) -> usize {
    (stages + 2) * N
}

struct WalkBack<'w, 'a, G, E: Real, const N: usize, const L: usize> {
    field: &'w G,
    plan: &'w PlanBack<'w, E>,
    group: &'w mut GroupBack<'a, E, N, L>,
}

impl<G: TileVjp<E, N, L>, E: Real, const N: usize, const L: usize> WithSimd
    for WalkBack<'_, '_, G, E, N, L>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { field, plan, group } = self;
        let record = group.record;
        let count = plan.tableau.stages;
        let (mut records, scratch) = Records::of(field, &mut group.sums);
        let (lambda, scratch) = carve::<E, N, L>(scratch);
        let (k_bar, scratch) = carve::<E, N, L>(scratch);
        let (y_bars, scratch) = scratch.split_at_mut(count * N);
        let (y_bars, _) = y_bars.as_chunks_mut::<N>();
        *lambda = [Row::default(); N];
        let mut quick = Quick::<L>::new(plan.tableau.signs, plan.kinks, plan.options);
        let mut weights: Vec<f64> = pool::take::<pool::Scratch, _>();
        let mut events = record.events.as_slice();
        for (index, [t, h]) in record.steps.iter().enumerate().rev() {
            // What happened behind this attempt, and then what happened in it.
            for event in split_from(&mut events, index + 1).iter().rev() {
                let ends = (&mut *group.y_bar, &mut *group.doubts);
                turn_over(plan, (group.first, ends), &mut quick, event, lambda);
            }
            let saved = split_from(&mut events, index);
            let between = saved.partition_point(|event| !matches!(event.what, What::Saved { .. }));
            let (before, saved) = saved.split_at(between);
            let inside = saved
                .iter()
                .any(|event| matches!(event.what, What::Saved { theta, .. } if theta > 0.0));
            let Some((y, k)) = record.attempt(index).split_first() else {
                return;
            };
            let mut step = Row::<E, L>::default();
            for l in 0..L {
                step[l] = E::from_f64(h[l]);
            }
            weights.resize(saved.len() * count, 0.0);
            for (event, weights) in saved.iter().zip(weights.chunks_exact_mut(count)) {
                if let What::Saved { theta, .. } = event.what {
                    plan.tableau.dense_weights(theta, weights);
                }
            }
            for stage in &plan.stages {
                if !(plan.live[stage.index] || inside) {
                    continue;
                }
                // kbar = h (b lambda + sum(a ybar))
                for n in 0..N {
                    for l in 0..L {
                        k_bar[n][l] = stage.b * lambda[n][l];
                    }
                    for (a, j) in &stage.later {
                        if !(plan.live[*j] || inside) {
                            continue;
                        }
                        let y_bar = &y_bars[*j][n];
                        for l in 0..L {
                            k_bar[n][l] = a.mul_add::<S>(y_bar[l], k_bar[n][l]);
                        }
                    }
                    for l in 0..L {
                        k_bar[n][l] = step[l] * k_bar[n][l];
                    }
                }
                for (event, weights) in saved.iter().zip(weights.chunks_exact(count)) {
                    if let What::Saved { time, .. } = event.what {
                        let weight = step[event.lane] * E::from_f64(weights[stage.index]);
                        let cotangent = plan.cotangent(time, group.first + event.sample, N);
                        add(weight, cotangent, event.lane, k_bar);
                    }
                }
                let argument = records.next(simd, scratch);
                let (stage_argument, _) = carve::<E, N, L>(argument);
                combine(simd, y, &step, (&stage.a, k), stage_argument);
                let mut times = [0.0; L];
                for l in 0..L {
                    times[l] = Real::mul_add::<S>(h[l], stage.c, t[l]);
                }
                field.vjp(
                    simd,
                    &times,
                    Some(&k[stage.index]),
                    k_bar,
                    &mut y_bars[stage.index],
                    argument,
                    scratch,
                );
            }
            let mut norms = before_step::<E, N, L>(plan, group.first, (t, h), saved, &mut quick);
            leave_step(plan, (group.first, saved, inside), y_bars, lambda);
            if plan.live[0] || inside {
                norms.first = [squares(k_bar), squares(&y_bars[0])];
            }
            norms.lambda = squares(lambda);
            norms.error = sign_squares::<S, E, N, L>(plan, inside, y_bars);
            quick.step(&norms);
            for event in before.iter().rev() {
                let ends = (&mut *group.y_bar, &mut *group.doubts);
                turn_over(plan, (group.first, ends), &mut quick, event, lambda);
            }
        }
        for event in events.iter().rev() {
            let ends = (&mut *group.y_bar, &mut *group.doubts);
            turn_over(plan, (group.first, ends), &mut quick, event, lambda);
        }
        records.gather(simd, scratch);
        pool::give::<pool::Scratch, _>(weights);
    }
}

/// From the cotangents of a step's end and of its stages' arguments to that of its start.
#[inline(always)]
fn leave_step<E: Real, const N: usize, const L: usize>(
    plan: &PlanBack<'_, E>,
    (first, saved, inside): (usize, &[Event], bool),
    y_bars: &[Tile<E, N, L>],
    lambda: &mut Tile<E, N, L>,
) {
    for (n, lambda) in lambda.iter_mut().enumerate() {
        let mut sum = Row::<E, L>::default();
        for stage in plan.stages.iter().rev() {
            if plan.live[stage.index] || inside {
                for l in 0..L {
                    sum[l] += y_bars[stage.index][n][l];
                }
            }
        }
        for l in 0..L {
            lambda[l] += sum[l];
        }
    }
    // Those at the start of the step belong to the state there, behind all others.
    for at_start in [false, true] {
        for event in saved {
            match event.what {
                What::Saved { time, theta } if (theta <= 0.0) == at_start => {
                    let cotangent = plan.cotangent(time, first + event.sample, N);
                    add(E::ONE, cotangent, event.lane, lambda);
                }
                _ => {}
            }
        }
    }
}

/// The norms of a step, still to be taken, after its saved points have given their cotangents.
fn before_step<E: Real, const N: usize, const L: usize>(
    plan: &PlanBack<'_, E>,
    first: usize,
    (t, h): (&[f64; L], &[f64; L]),
    saved: &[Event],
    quick: &mut Quick<'_, L>,
) -> LaneNorms<L> {
    let mut norms = LaneNorms {
        t: *t,
        h: *h,
        error: [0.0; L],
        first: [[0.0; L]; 2],
        lambda: [0.0; L],
        inside: [false; L],
    };
    for event in saved {
        if let What::Saved { time, theta } = event.what {
            let cotangent = plan.cotangent(time, first + event.sample, N);
            quick.give(event.lane, norm(cotangent));
            norms.inside[event.lane] |= theta > 0.0;
        }
    }
    norms
}

/// The squares of every lane's norm.
#[inline(always)]
fn squares<E: Real, const N: usize, const L: usize>(tile: &Tile<E, N, L>) -> [f64; L] {
    let mut sums = Row::<E, L>::default();
    for n in 0..N {
        for l in 0..L {
            sums[l] += tile[n][l] * tile[n][l];
        }
    }
    let mut squares = [0.0; L];
    for l in 0..L {
        squares[l] = sums[l].to_f64();
    }
    squares
}

/// The squares of every lane's combination of cotangents with the weights of the tableau's signs.
#[inline(always)]
fn sign_squares<S: Simd, E: Real, const N: usize, const L: usize>(
    plan: &PlanBack<'_, E>,
    inside: bool,
    y_bars: &[Tile<E, N, L>],
) -> [f64; L] {
    let mut sums = Row::<E, L>::default();
    for n in 0..N {
        let mut error = Row::<E, L>::default();
        for stage in &plan.stages {
            if plan.live[stage.index] || inside {
                let y_bar = &y_bars[stage.index][n];
                for l in 0..L {
                    error[l] = stage.sign.mul_add::<S>(y_bar[l], error[l]);
                }
            }
        }
        for l in 0..L {
            sums[l] += error[l] * error[l];
        }
    }
    let mut squares = [0.0; L];
    for l in 0..L {
        squares[l] = sums[l].to_f64();
    }
    squares
}

/// The norm of a row, in f64.
fn norm<E: Real>(row: &[E]) -> f64 {
    let squares = row.iter().map(|x| x.to_f64() * x.to_f64());
    squares.sum::<f64>().sqrt()
}

/// Takes the events with so many attempts or more before them off the end.
fn split_from<'e>(events: &mut &'e [Event], after: usize) -> &'e [Event] {
    let (earlier, taken) = events.split_at(events.partition_point(|event| event.after < after));
    *events = earlier;
    taken
}

/// Puts the cotangent of a sample down where it started, or takes it up where it ended.
fn turn_over<E: Real, const N: usize, const L: usize>(
    plan: &PlanBack<'_, E>,
    (first, (y_bar, doubts)): (usize, (&mut [E], &mut [Doubt])),
    quick: &mut Quick<'_, L>,
    event: &Event,
    lambda: &mut Tile<E, N, L>,
) {
    let lane = event.lane;
    match event.what {
        What::Start => {
            let row = &mut y_bar[event.sample * N..][..N];
            for (x, feature) in row.iter_mut().zip(lambda) {
                *x = core::mem::take(&mut feature[lane]);
            }
            doubts[event.sample] = Doubt {
                estimate: quick.estimate(lane),
                full: wants_full(quick, lane, plan.options),
                lost: quick.lost(lane),
            };
        }
        What::End { time } => {
            quick.begin(lane);
            // The last one first, as `lambda` begins with it.
            let others = time..plan.times.max(1) - 1;
            for time in (time..plan.times).last().into_iter().chain(others) {
                let cotangent = plan.cotangent(time, first + event.sample, N);
                quick.give(lane, norm(cotangent));
                add(E::ONE, cotangent, lane, lambda);
            }
        }
        What::Saved { .. } => {}
    }
}

/// Adds `c x` to one lane.
#[inline(always)]
fn add<E: Real, const N: usize, const L: usize>(
    c: E,
    x: &[E],
    lane: usize,
    tile: &mut Tile<E, N, L>,
) {
    for (feature, x) in tile.iter_mut().zip(x) {
        feature[lane] += c * *x;
    }
}
