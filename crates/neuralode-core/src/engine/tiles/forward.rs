//! Evaluations and whole steps over all tiles.

use pulp::{Arch, Simd, WithSimd};

use crate::{
    engine::tiles::state::{tile_square_sum, Params, Tiles},
    kernel::{
        blocks::{in_blocks, SPAN},
        field::{Generated, TileField, TileKernel},
        layer::{Filled, Rows},
        tile::{carve, Row, Tile},
    },
    ode::{method::ButcherTableau, options::Tolerances, step::Attempt},
    simd::{isa::dispatch, parallel::first_half, real::Real},
};

/// `f(t, y)` for all tiles, shared by as many threads as there are buffers of scratch space.
pub(crate) fn eval<G: TileKernel<E, N, L>, E: Real, const N: usize, const L: usize>(
    arch: Arch,
    field: &G,
    t: f64,
    (y, dy): (&[Tile<E, N, L>], &mut [Tile<E, N, L>]),
    scratch: &mut [Vec<Row<E, L>>],
) {
    match scratch {
        [] => {}
        [scratch] => {
            dispatch::<G, _>(
                arch,
                Eval {
                    field,
                    t,
                    y,
                    dy,
                    scratch,
                },
            );
        }
        _ => {
            let at = first_half(y.len(), scratch.len());
            let (y_low, y_high) = y.split_at(at);
            let (dy_low, dy_high) = dy.split_at_mut(at);
            let (low, high) = scratch.split_at_mut(scratch.len() / 2);
            rayon::join(
                || eval(arch, field, t, (y_low, dy_low), low),
                || eval(arch, field, t, (y_high, dy_high), high),
            );
        }
    }
}

struct Eval<'a, G, E, const N: usize, const L: usize> {
    field: &'a G,
    t: f64,
    y: &'a [Tile<E, N, L>],
    dy: &'a mut [Tile<E, N, L>],
    scratch: &'a mut [Row<E, L>],
}

impl<G: TileKernel<E, N, L>, E: Real, const N: usize, const L: usize> WithSimd
    for Eval<'_, G, E, N, L>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let t = [self.t; L];
        for index in 0..self.y.len() {
            let (y, dy) = (&self.y[index], &mut self.dy[index]);
            self.field.eval(simd, &t, y, dy, self.scratch);
        }
    }
}

/// Most stages of a method that takes whole steps; others take steps by parts.
pub(crate) const MAX_STAGES: usize = 16;

/// Stages of the methods whose steps have constant loops, Tsit5 among them. Fields of two or three features take half
/// the time than with as many stages as may come.
pub(crate) const USUAL_STAGES: usize = 7;

/// The number of stages where arrays have room for `CAP`: a constant for [`USUAL_STAGES`].
#[inline(always)]
pub(crate) const fn stages_of<const CAP: usize>(stages: usize) -> usize {
    if CAP == USUAL_STAGES {
        CAP
    } else {
        stages
    }
}

/// Combinations of stages: for each, the weights that are not zero, with the stage's index.
#[derive(Clone, Debug)]
pub(crate) struct Combinations<E> {
    /// As many as there are stages are meant, zeros behind those that count.
    terms: [[(E, usize); MAX_STAGES]; MAX_STAGES + 1],
    counts: [usize; MAX_STAGES + 1],
}

impl<E: Real> Combinations<E> {
    pub(crate) fn none() -> Self {
        Self {
            terms: [[(E::default(), 0); MAX_STAGES]; MAX_STAGES + 1],
            counts: [0; MAX_STAGES + 1],
        }
    }

    /// Makes combination `i` one with these weights, at most [`MAX_STAGES`].
    pub(crate) fn set<const S: usize>(&mut self, i: usize, weights: [f64; S]) {
        let (mut terms, mut count) = ([(E::default(), 0); S], 0);
        for (index, weight) in weights.into_iter().enumerate() {
            if weight != 0.0 {
                terms[count] = (E::from_f64(weight), index);
                count += 1;
            }
        }
        self.terms[i][..S].copy_from_slice(&terms);
        self.counts[i] = count;
    }

    /// The terms of combination `i`.
    #[inline(always)]
    pub(crate) fn get(&self, i: usize) -> &[(E, usize)] {
        &self.terms[i][..self.counts[i]]
    }

    /// The terms of combination `i` with the tiles of their stages.
    #[inline(always)]
    pub(crate) fn of<'a, const N: usize, const L: usize, const CAP: usize>(
        &self,
        i: usize,
        stages: &[&'a Tile<E, N, L>; CAP],
    ) -> Weighted<'a, E, N, L, CAP> {
        let mut these = Weighted::none(stages[0]);
        for k in 0..CAP {
            let (weight, stage) = self.terms[i][k];
            these.terms[k] = (weight, stages[stage]);
        }
        these.count = self.counts[i];
        these
    }
}

/// Weights with the tiles that they belong to.
pub(crate) struct Weighted<'a, E, const N: usize, const L: usize, const CAP: usize> {
    terms: [(E, &'a Tile<E, N, L>); CAP],
    count: usize,
}

impl<'a, E: Real, const N: usize, const L: usize, const CAP: usize> Weighted<'a, E, N, L, CAP> {
    /// No terms; the tile fills places that are never read.
    #[inline(always)]
    pub(crate) fn none(tile: &'a Tile<E, N, L>) -> Self {
        Self {
            terms: [(E::default(), tile); CAP],
            count: 0,
        }
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, weight: E, tile: &'a Tile<E, N, L>) {
        self.terms[self.count] = (weight, tile);
        self.count += 1;
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> &[(E, &'a Tile<E, N, L>)] {
        &self.terms[..self.count]
    }
}

/// `sum(w x)` for rows `at..at + K` of all tiles `x` and a block of registers from `register` on.
#[inline(always)]
fn sum_block<S: Simd, E: Real, const N: usize, const L: usize, const K: usize>(
    simd: S,
    terms: &[(E, &Tile<E, N, L>)],
    at: usize,
    register: usize,
) -> [[E::Register<S>; SPAN]; K] {
    let mut sums = [[E::splat(simd, E::default()); SPAN]; K];
    for (w, x) in terms {
        let w = E::splat(simd, *w);
        for k in 0..K {
            let x = &E::registers::<S>(&*x[at + k])[register..register + SPAN];
            for s in 0..SPAN {
                sums[k][s] = E::fma(simd, w, x[s], sums[k][s]);
            }
        }
    }
    sums
}

/// Runs `$write` with every sum of `$terms` and its place in `$out`, a register.
macro_rules! sums {
    ($simd:ident, $terms:ident, |$sum:ident, $n:ident, $r:ident| $value:expr => $out:ident) => {
        in_blocks!(N, |at, K| {
            let mut register = 0;
            while register + SPAN <= L / E::lanes::<S>() {
                let sums = sum_block::<S, E, N, L, K>($simd, $terms, at, register);
                for k in 0..K {
                    for s in 0..SPAN {
                        let ($sum, $n, $r) = (sums[k][s], at + k, register + s);
                        E::registers_mut::<S>(&mut *$out[$n])[$r] = $value;
                    }
                }
                register += SPAN;
            }
        });
    };
}

/// `out = base + h sum(w x)`.
#[inline(always)]
pub(crate) fn combine<S: Simd, E: Real, const N: usize, const L: usize>(
    simd: S,
    base: &Tile<E, N, L>,
    h: E,
    terms: &[(E, &Tile<E, N, L>)],
    out: &mut Tile<E, N, L>,
) {
    let h = E::splat(simd, h);
    sums!(simd, terms, |sum, n, r| {
        E::fma(simd, h, sum, E::registers::<S>(&*base[n])[r])
    } => out);
}

/// `out = h sum(w x)`.
#[inline(always)]
pub(crate) fn scaled_sum<S: Simd, E: Real, const N: usize, const L: usize>(
    simd: S,
    h: E,
    terms: &[(E, &Tile<E, N, L>)],
    out: &mut Tile<E, N, L>,
) {
    let h = E::splat(simd, h);
    sums!(simd, terms, |sum, _n, _r| E::product(simd, h, sum) => out);
}

/// `out += sum(w x)`.
#[inline(always)]
pub(crate) fn accumulate<S: Simd, E: Real, const N: usize, const L: usize>(
    simd: S,
    terms: &[(E, &Tile<E, N, L>)],
    out: &mut Tile<E, N, L>,
) {
    sums!(simd, terms, |sum, n, r| {
        E::sum(simd, E::registers::<S>(&*out[n])[r], sum)
    } => out);
}

/// The numbers of a step in the state's type.
#[derive(Clone, Debug)]
pub struct StepCoefficients<E> {
    t: f64,
    h: f64,
    stages: usize,
    /// See [`ButcherTableau::has_stage`].
    has_stage: [bool; MAX_STAGES],
    c: [f64; MAX_STAGES],
    /// One combination per stage, and the error.
    combinations: Combinations<E>,
    pub(crate) evaluations: usize,
    tolerances: (E, E),
}

impl<E: Real> StepCoefficients<E> {
    /// Those of no step.
    pub(crate) fn none() -> Self {
        Self {
            t: 0.0,
            h: 0.0,
            stages: 0,
            has_stage: [false; MAX_STAGES],
            c: [0.0; MAX_STAGES],
            combinations: Combinations::none(),
            evaluations: 0,
            tolerances: Default::default(),
        }
    }

    /// Makes them those of `step`; `false` if the method has too many stages.
    pub(crate) fn set<Y, const S: usize>(
        &mut self,
        tableau: &ButcherTableau<S>,
        step: &Attempt<Y, S>,
        tolerances: &Tolerances,
    ) -> bool {
        if S > MAX_STAGES {
            return false;
        }
        (self.t, self.h) = (step.t, step.h);
        self.stages = S;
        self.evaluations = tableau.evaluations;
        self.tolerances = (E::from_f64(tolerances.rtol), E::from_f64(tolerances.atol));
        for i in 0..S {
            self.c[i] = tableau.c[i];
            self.has_stage[i] = tableau.has_stage(i);
            self.combinations.set(i, tableau.a[i]);
        }
        self.combinations.set(S, tableau.b_err);
        true
    }
}

/// The states of a step in the making, tile after tile.
#[derive(Debug)]
pub struct StepRows<'a, E, const L: usize> {
    /// Samples in these tiles.
    pub(crate) samples: usize,
    pub(crate) y: &'a [Row<E, L>],
    pub(crate) y1: &'a mut [Row<E, L>],
    /// Empty for stages that the method lacks.
    pub(crate) k: [&'a mut [Row<E, L>]; MAX_STAGES],
}

impl<'a, E: Real, const L: usize> StepRows<'a, E, L> {
    /// Those of `step`, of `S <= MAX_STAGES` stages.
    pub(crate) fn of<const S: usize>(step: &'a mut Attempt<Tiles<E, L>, S>) -> Self {
        let mut stages = step.k.iter_mut();
        Self {
            samples: step.y.samples(),
            y: step.y.rows(),
            y1: step.y1.rows_mut(),
            k: core::array::from_fn(|_| stages.next().map_or(Default::default(), Tiles::rows_mut)),
        }
    }
}

/// Some of the tiles of a step.
struct Part<'a, E, const N: usize, const L: usize> {
    /// Samples in these tiles.
    samples: usize,
    y: &'a [Tile<E, N, L>],
    y1: &'a mut [Tile<E, N, L>],
    k: [&'a mut [Tile<E, N, L>]; MAX_STAGES],
    norms: &'a mut [f64],
}

impl<E, const N: usize, const L: usize> Part<'_, E, N, L> {
    fn split_at(self, at: usize) -> (Self, Self) {
        let first = self.samples.min(at * L);
        let (y_low, y_high) = self.y.split_at(at);
        let (y1_low, y1_high) = self.y1.split_at_mut(at);
        let (norms_low, norms_high) = self.norms.split_at_mut(at);
        let mut high: [&mut [Tile<E, N, L>]; MAX_STAGES] =
            core::array::from_fn(|_| Default::default());
        let mut index = 0;
        let low = self.k.map(|k| {
            // A stage that the method lacks has no tiles.
            let (k_low, k_high) = k.split_at_mut(at.min(k.len()));
            high[index] = k_high;
            index += 1;
            k_low
        });
        (
            Part {
                samples: first,
                y: y_low,
                y1: y1_low,
                k: low,
                norms: norms_low,
            },
            Part {
                samples: self.samples - first,
                y: y_high,
                y1: y1_high,
                k: high,
                norms: norms_high,
            },
        )
    }
}

/// A tile of a stage, or `other` where the method lacks the stage.
#[inline(always)]
pub(crate) fn tile_or<'a, T>(stage: &'a [T], index: usize, other: &'a T) -> &'a T {
    if index < stage.len() {
        &stage[index]
    } else {
        other
    }
}

/// Computes stages and end state of a step and returns the sum of its squared scaled errors, tile by tile.
pub(crate) fn attempt<G: TileKernel<E, N, L>, E: Real, const N: usize, const L: usize>(
    arch: Arch,
    field: &G,
    coefficients: &StepCoefficients<E>,
    step: StepRows<'_, E, L>,
    norms: &mut [f64],
    scratch: &mut [Vec<Row<E, L>>],
) -> f64 {
    let part = Part {
        samples: step.samples,
        y: step.y.as_chunks().0,
        y1: step.y1.as_chunks_mut().0,
        k: step.k.map(|k| k.as_chunks_mut().0),
        norms: &mut *norms,
    };
    attempt_part(arch, field, coefficients, part, scratch);
    norms.iter().sum()
}

fn attempt_part<G: TileKernel<E, N, L>, E: Real, const N: usize, const L: usize>(
    arch: Arch,
    field: &G,
    coefficients: &StepCoefficients<E>,
    part: Part<'_, E, N, L>,
    scratch: &mut [Vec<Row<E, L>>],
) {
    match scratch {
        [] => {}
        [scratch] => {
            if coefficients.stages == USUAL_STAGES {
                dispatch::<G, _>(
                    arch,
                    AttemptPart::<G, E, N, L, USUAL_STAGES> {
                        field,
                        coefficients,
                        part,
                        scratch,
                    },
                );
            } else {
                dispatch::<G, _>(
                    arch,
                    AttemptPart::<G, E, N, L, MAX_STAGES> {
                        field,
                        coefficients,
                        part,
                        scratch,
                    },
                );
            }
        }
        _ => {
            let at = first_half(part.y.len(), scratch.len());
            let (part_low, part_high) = part.split_at(at);
            let (low, high) = scratch.split_at_mut(scratch.len() / 2);
            rayon::join(
                || attempt_part(arch, field, coefficients, part_low, low),
                || attempt_part(arch, field, coefficients, part_high, high),
            );
        }
    }
}

struct AttemptPart<'a, G, E, const N: usize, const L: usize, const CAP: usize> {
    field: &'a G,
    coefficients: &'a StepCoefficients<E>,
    part: Part<'a, E, N, L>,
    scratch: &'a mut [Row<E, L>],
}

impl<G: TileKernel<E, N, L>, E: Real, const N: usize, const L: usize, const CAP: usize> WithSimd
    for AttemptPart<'_, G, E, N, L, CAP>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            field,
            coefficients: step,
            mut part,
            scratch,
        } = self;
        let stages = stages_of::<CAP>(step.stages);
        let h = E::from_f64(step.h);
        let (stage, scratch) = carve::<E, N, L>(scratch);
        let mut left = part.samples;
        for index in 0..part.y.len() {
            let (y, y1) = (&part.y[index], &mut part.y1[index]);
            for i in 1..stages {
                if !step.has_stage[i] {
                    continue;
                }
                let (done, rest) = part.k.split_at_mut(i);
                let mut k = [y; CAP];
                for j in 0..i {
                    k[j] = tile_or(&*done[j], index, y);
                }
                let argument = if i + 1 == stages {
                    &mut *y1
                } else {
                    &mut *stage
                };
                let terms = step.combinations.of(i, &k);
                combine(simd, y, h, terms.get(), argument);
                let t = [step.h.mul_add(step.c[i], step.t); L];
                field.eval(simd, &t, argument, &mut rest[0][index], scratch);
            }
            let used = left.min(L);
            let mut k = [y; CAP];
            for j in 0..stages {
                k[j] = tile_or(&*part.k[j], index, y);
            }
            let terms = step.combinations.of(stages, &k);
            scaled_sum(simd, h, terms.get(), stage);
            part.norms[index] = tile_square_sum::<S, E, L>(stage, y, y1, step.tolerances, used);
            left -= used;
        }
    }
}

/// Directions whose products share one evaluation of the layers; more take several passes.
pub(crate) const DIRECTIONS: usize = 8;

/// Some tiles of a point with at most [`DIRECTIONS`] directions, and the places of the products along them.
pub(crate) struct Directions<'a, E, const N: usize, const L: usize> {
    y: &'a [Tile<E, N, L>],
    /// Where the values are wanted.
    dy: Option<&'a mut [Tile<E, N, L>]>,
    theta_dots: &'a [Params<E>],
    y_dots: [&'a [Tile<E, N, L>]; DIRECTIONS],
    outs: [&'a mut [Tile<E, N, L>]; DIRECTIONS],
}

impl<'a, E: Real, const N: usize, const L: usize> Directions<'a, E, N, L> {
    /// Of these states, as many as there are `theta_dots`.
    pub(crate) fn new(
        y: &'a Tiles<E, L>,
        dy: Option<&'a mut Tiles<E, L>>,
        theta_dots: &'a [Params<E>],
        y_dots: &'a [Tiles<E, L>],
        outs: &'a mut [Tiles<E, L>],
    ) -> Self {
        let (mut y_dots, mut outs) = (y_dots.iter(), outs.iter_mut());
        Self {
            y: y.rows().as_chunks().0,
            dy: dy.map(|dy| dy.rows_mut().as_chunks_mut().0),
            theta_dots,
            y_dots: core::array::from_fn(|_| {
                y_dots
                    .next()
                    .map_or(Default::default(), |v| v.rows().as_chunks().0)
            }),
            outs: core::array::from_fn(|_| {
                let out = outs.next().map(Tiles::rows_mut);
                out.map_or(Default::default(), |out| out.as_chunks_mut().0)
            }),
        }
    }

    fn split_at(self, at: usize) -> (Self, Self) {
        let theta_dots = self.theta_dots;
        let (y_low, y_high) = self.y.split_at(at);
        let (dy_low, dy_high) = self.dy.map(|dy| dy.split_at_mut(at)).unzip();
        // The places of directions that are not there are empty.
        let dots = self.y_dots.map(|v| v.split_at(at.min(v.len())));
        let mut high: [&mut [Tile<E, N, L>]; DIRECTIONS] = Default::default();
        let mut places = high.iter_mut();
        let low = self.outs.map(|out| {
            let (low, high) = out.split_at_mut(at.min(out.len()));
            if let Some(place) = places.next() {
                *place = high;
            }
            low
        });
        (
            Self {
                y: y_low,
                dy: dy_low,
                theta_dots,
                y_dots: dots.map(|(low, _)| low),
                outs: low,
            },
            Self {
                y: y_high,
                dy: dy_high,
                theta_dots,
                y_dots: dots.map(|(_, high)| high),
                outs: high,
            },
        )
    }
}

/// `f(t, y)` and `(df/dy) y_dot + (df/dtheta) theta_dot` for all tiles, shared by as many threads as there are buffers
/// of scratch space.
pub(crate) fn eval_with_jvps<K: TileField<N>, E: Real, const N: usize, const L: usize>(
    arch: Arch,
    field: &Generated<K, E>,
    t: f64,
    part: Directions<'_, E, N, L>,
    scratch: &mut [Vec<Row<E, L>>],
) {
    match scratch {
        [] => {}
        [scratch] => {
            let done = dispatch::<Generated<K, E>, _>(
                arch,
                EvalWithJvps {
                    field,
                    t,
                    part,
                    scratch,
                },
            );
            debug_assert!(done.is_some(), "such fields exist with vectors only");
        }
        _ => {
            let at = first_half(part.y.len(), scratch.len());
            let (part_low, part_high) = part.split_at(at);
            let (low, high) = scratch.split_at_mut(scratch.len() / 2);
            rayon::join(
                || eval_with_jvps(arch, field, t, part_low, low),
                || eval_with_jvps(arch, field, t, part_high, high),
            );
        }
    }
}

struct EvalWithJvps<'a, K, E, const N: usize, const L: usize> {
    field: &'a Generated<K, E>,
    t: f64,
    part: Directions<'a, E, N, L>,
    scratch: &'a mut [Row<E, L>],
}

impl<K: TileField<N>, E: Real, const N: usize, const L: usize> WithSimd
    for EvalWithJvps<'_, K, E, N, L>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            field,
            t,
            mut part,
            scratch,
        } = self;
        let params = field.params();
        let (unwanted, scratch) = carve::<E, N, L>(scratch);
        let (record, scratch) = scratch.split_at_mut(K::RECORD);
        let (kept, scratch) = scratch.split_at_mut(K::KEPT);
        for (index, y) in part.y.iter().enumerate() {
            let wanted = part.dy.as_mut().and_then(|dy| dy.get_mut(index));
            let dy = wanted.unwrap_or(&mut *unwanted);
            let places = part.y_dots.iter().zip(&mut part.outs);
            let directions = part.theta_dots.iter().zip(places);
            let directions = directions.filter_map(|(theta_dot, (v, out))| {
                Some((v.get(index)?, theta_dot.0.as_slice(), out.get_mut(index)?))
            });
            let rows = Rows {
                record: &mut *record,
                kept: &mut *kept,
            };
            K::forward(simd, params, &[t; L], y, rows, dy);
            for (v, theta_dot, out) in directions {
                let rows = Filled {
                    record: &*record,
                    kept: &*kept,
                };
                K::tangent(simd, params, theta_dot, y, v, rows, dy, scratch, out);
            }
        }
    }
}
