//! Vector-Jacobian products and whole steps backwards over all tiles.
//!
//! Cotangents of states stay within their tile; those of the parameters are sums over all samples. Tiles form
//! groups by their number alone, each with sums of its own, which are joined in order: the same bits, whatever
//! the number of threads.

use core::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use crate::{
    engine::tiles::{
        forward::{
            accumulate, combine, scaled_sum, stages_of, tile_or, Combinations, Weighted,
            MAX_STAGES, USUAL_STAGES,
        },
        state::Tiles,
    },
    kernel::{
        field::TileVjp,
        tile::{carve, Row, Sums, Tile},
    },
    ode::{
        field::back::{by_step, Cotangent, Part, StepNorms},
        method::ButcherTableau,
        step::Step,
    },
    simd::{isa::dispatch, parallel, pool, real::Real},
};

/// Sums and scratch space of one group.
pub(crate) struct Group<E: Real, const L: usize> {
    sums: Vec<Sums<E>>,
    records: Vec<Row<E, L>>,
    /// Rows of `records` that hold products not yet in `sums`.
    recorded: usize,
    scratch: Vec<Row<E, L>>,
    /// What the steps of the last walk left, the last step first.
    norms: Vec<StepNorms>,
}

impl<E: Real, const L: usize> Drop for Group<E, L> {
    fn drop(&mut self) {
        pool::give::<pool::Scratch, _>(core::mem::take(&mut self.sums));
        pool::give::<pool::Scratch, _>(core::mem::take(&mut self.scratch));
        pool::give::<pool::Records, _>(core::mem::take(&mut self.records));
        pool::give::<pool::Scratch, _>(core::mem::take(&mut self.norms));
    }
}

/// Makes `groups` those of so many tiles, with room for `products` records, `rows` rows of scratch space besides
/// the field's own, and sums of zero.
fn prepare<G: TileVjp<E, N, L>, E: Real, const N: usize, const L: usize>(
    groups: &mut Vec<Group<E, L>>,
    field: &G,
    tiles: usize,
    products: usize,
    rows: usize,
) {
    let size = parallel::tiles_of_group(tiles).max(1);
    let count = tiles.div_ceil(size);
    groups.truncate(count);
    groups.resize_with(count, Group::empty);
    for group in groups {
        group.prepare(field, size.saturating_mul(products), rows);
    }
}

impl<E: Real, const L: usize> Group<E, L> {
    pub(crate) fn empty() -> Self {
        Self {
            sums: pool::take::<pool::Scratch, _>(),
            records: pool::take::<pool::Records, _>(),
            recorded: 0,
            scratch: pool::take::<pool::Scratch, _>(),
            norms: pool::take::<pool::Scratch, _>(),
        }
    }

    /// Sets the sums to zero and makes room for `products` records, or fewer if they are many, and for `rows` rows of
    /// scratch space besides the field's own.
    pub(crate) fn prepare<G: TileVjp<E, N, L>, const N: usize>(
        &mut self,
        field: &G,
        products: usize,
        rows: usize,
    ) {
        /// Bytes of records that stay in the second cache until they are gathered.
        const CACHED: usize = 256 * 1024;
        let per_record = (field.record() * size_of::<Row<E, L>>()).max(1);
        let records = (CACHED / per_record).min(products).max(1);
        self.recorded = 0;
        self.sums.clear();
        self.sums.resize(field.sums(), Sums::default());
        let record_rows = records * field.record();
        self.records.resize(record_rows, Row::default());
        let rows = rows + field.vjp_scratch().max(field.gather_scratch());
        self.scratch.resize(rows, Row::default());
    }

    /// Adds the sums to the parameters' cotangent.
    pub(crate) fn join<G: TileVjp<E, N, L>, const N: usize>(&self, field: &G, theta_bar: &mut [E]) {
        field.join(&self.sums, theta_bar);
    }
}

/// The records of products, gathered whenever there is no room for another one.
///
/// A product per record and a few more for all of them at once: the sums over samples, one per parameter, do not fit
/// the first cache while each takes a register, which they would for every single product.
pub(crate) struct Records<'a, G, E: Real, const L: usize> {
    field: &'a G,
    sums: &'a mut [Sums<E>],
    rows: &'a mut [Row<E, L>],
    used: &'a mut usize,
}

impl<'a, G, E: Real, const L: usize> Records<'a, G, E, L> {
    /// Those of a group, and its scratch space.
    #[inline(always)]
    pub(crate) fn of(field: &'a G, group: &'a mut Group<E, L>) -> (Self, &'a mut [Row<E, L>]) {
        let this = Self {
            field,
            sums: &mut group.sums,
            rows: &mut group.records,
            used: &mut group.recorded,
        };
        (this, &mut group.scratch)
    }

    /// Room for the next record.
    #[inline(always)]
    pub(crate) fn next<S: Simd, const N: usize>(
        &mut self,
        simd: S,
        scratch: &mut [Row<E, L>],
    ) -> &mut [Row<E, L>]
    where
        G: TileVjp<E, N, L>,
    {
        let size = self.field.record();
        if *self.used + size > self.rows.len() {
            self.gather(simd, scratch);
        }
        let record = &mut self.rows[*self.used..][..size];
        *self.used += size;
        record
    }

    /// Adds what the records hold to the sums.
    #[inline(always)]
    pub(crate) fn gather<S: Simd, const N: usize>(&mut self, simd: S, scratch: &mut [Row<E, L>])
    where
        G: TileVjp<E, N, L>,
    {
        let records = &self.rows[..*self.used];
        self.field.gather(simd, records, self.sums, scratch);
        *self.used = 0;
    }
}

/// `(df/dy)^T c` into `y_bar` and `(df/dtheta)^T c` into `theta_bar`.
pub(crate) fn vjp<G: TileVjp<E, N, L>, E: Real, const N: usize, const L: usize>(
    arch: Arch,
    field: &G,
    t: f64,
    (y, c): (&[Tile<E, N, L>], &[Tile<E, N, L>]),
    y_bar: &mut [Tile<E, N, L>],
    theta_bar: &mut [E],
    groups: &mut Vec<Group<E, L>>,
) {
    prepare(groups, field, y.len(), 1, 0);
    let size = parallel::tiles_of_group(y.len());
    let threads = parallel::threads(3 * field.products() * y.len() * L, groups.len());
    vjp_groups(arch, field, t, (y, c), y_bar, groups, (size, threads));
    theta_bar.fill(E::default());
    join(field, groups, theta_bar);
}

/// Adds the sums of all groups, in order, to the parameters' cotangent.
fn join<G: TileVjp<E, N, L>, E: Real, const N: usize, const L: usize>(
    field: &G,
    groups: &[Group<E, L>],
    theta_bar: &mut [E],
) {
    for group in groups {
        group.join(field, theta_bar);
    }
}

fn vjp_groups<G: TileVjp<E, N, L>, E: Real, const N: usize, const L: usize>(
    arch: Arch,
    field: &G,
    t: f64,
    (y, c): (&[Tile<E, N, L>], &[Tile<E, N, L>]),
    y_bar: &mut [Tile<E, N, L>],
    groups: &mut [Group<E, L>],
    (size, threads): (usize, usize),
) {
    if threads <= 1 {
        let tiles = y
            .chunks(size)
            .zip(c.chunks(size))
            .zip(y_bar.chunks_mut(size));
        for (((y, c), y_bar), group) in tiles.zip(groups) {
            dispatch::<G, _>(
                arch,
                Vjp {
                    field,
                    t,
                    y,
                    c,
                    y_bar,
                    group,
                },
            );
        }
        return;
    }
    let at = parallel::first_half(groups.len(), threads);
    let (groups_low, groups_high) = groups.split_at_mut(at);
    let (y_low, y_high) = y.split_at(at * size);
    let (c_low, c_high) = c.split_at(at * size);
    let (bar_low, bar_high) = y_bar.split_at_mut(at * size);
    let half = threads / 2;
    rayon::join(
        || {
            vjp_groups(
                arch,
                field,
                t,
                (y_low, c_low),
                bar_low,
                groups_low,
                (size, half),
            );
        },
        || {
            let rest = (size, threads - half);
            vjp_groups(
                arch,
                field,
                t,
                (y_high, c_high),
                bar_high,
                groups_high,
                rest,
            );
        },
    );
}

struct Vjp<'a, G, E: Real, const N: usize, const L: usize> {
    field: &'a G,
    t: f64,
    y: &'a [Tile<E, N, L>],
    c: &'a [Tile<E, N, L>],
    y_bar: &'a mut [Tile<E, N, L>],
    group: &'a mut Group<E, L>,
}

impl<G: TileVjp<E, N, L>, E: Real, const N: usize, const L: usize> WithSimd
    for Vjp<'_, G, E, N, L>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { field, group, .. } = self;
        let t = [self.t; L];
        let (mut records, scratch) = Records::of(field, group);
        for index in 0..self.y.len() {
            let (c, y_bar) = (&self.c[index], &mut self.y_bar[index]);
            let record = records.next(simd, scratch);
            record[..N].copy_from_slice(&self.y[index]);
            field.vjp(simd, &t, None, c, y_bar, record, scratch);
        }
        records.gather(simd, scratch);
    }
}

/// A cotangent of the solution inside a step.
#[derive(Debug)]
struct Inside<'a, E, const L: usize> {
    /// Which of the interpolant's weights are those at its time.
    weights: usize,
    value: &'a [Row<E, L>],
}

/// A step to go back over; its parts lie in the lists of the plan.
#[derive(Debug)]
struct StepBack<'a, E, const L: usize> {
    t: f64,
    h: f64,
    y: &'a [Row<E, L>],
    at_end: Range<usize>,
    inside: Range<usize>,
}

/// What all tiles have in common on the way back over several steps.
#[derive(Debug)]
pub struct Plan<'a, E, const L: usize> {
    stages: usize,
    c: [f64; MAX_STAGES],
    /// Rows of the tableau: the weights of earlier stages in a stage's argument.
    a: Combinations<E>,
    /// Columns of the tableau: the weights of a stage in the arguments of later ones.
    later: Combinations<E>,
    b: [E; MAX_STAGES],
    /// Whether a stage takes part in the end state, itself or through later stages.
    live: [bool; MAX_STAGES],
    /// The weights of the tableau's signs.
    signs: [E; MAX_STAGES],
    /// See [`ButcherTableau::has_stage`].
    has_stage: [bool; MAX_STAGES],
    part: Part,
    steps: Vec<StepBack<'a, E, L>>,
    /// The stages of all steps.
    k: Vec<&'a [Row<E, L>]>,
    at_end: Vec<&'a [Row<E, L>]>,
    inside: Vec<Inside<'a, E, L>>,
    /// The interpolant's weights at the times of `inside`, a row each.
    weights: Vec<E>,
}

impl<'a, E: Real, const L: usize> Plan<'a, E, L> {
    /// `None` if the method has too many stages.
    pub(crate) fn new<const S: usize>(
        tableau: &ButcherTableau<S>,
        steps: &'a [Step<Tiles<E, L>, [Tiles<E, L>; S]>],
        cotangents: &'a [Cotangent<Tiles<E, L>>],
        part: Part,
    ) -> Option<Self> {
        if S > MAX_STAGES {
            return None;
        }
        let mut this = Self {
            stages: S,
            c: [0.0; MAX_STAGES],
            a: Combinations::none(),
            later: Combinations::none(),
            b: [E::default(); MAX_STAGES],
            live: [false; MAX_STAGES],
            signs: [E::default(); MAX_STAGES],
            has_stage: [false; MAX_STAGES],
            part,
            steps: Vec::with_capacity(steps.len()),
            k: Vec::with_capacity(steps.len() * S),
            at_end: Vec::new(),
            inside: Vec::new(),
            weights: Vec::new(),
        };
        for i in (0..S).rev() {
            this.live[i] =
                tableau.b[i] != 0.0 || (i + 1..S).any(|j| this.live[j] && tableau.a[j][i] != 0.0);
        }
        for i in 0..S {
            this.signs[i] = E::from_f64(tableau.signs.weights[i]);
            this.c[i] = tableau.c[i];
            this.b[i] = E::from_f64(tableau.b[i]);
            this.has_stage[i] = tableau.has_stage(i);
            this.a.set(i, tableau.a[i]);
            this.later.set(i, tableau.a.map(|row| row[i]));
        }
        for (step, cotangents) in steps.iter().zip(by_step(steps, cotangents)) {
            this.push(tableau, step, cotangents);
        }
        Some(this)
    }

    fn push<const S: usize>(
        &mut self,
        tableau: &ButcherTableau<S>,
        step: &'a Step<Tiles<E, L>, [Tiles<E, L>; S]>,
        cotangents: &'a [Cotangent<Tiles<E, L>>],
    ) {
        let ends = cotangents.partition_point(|cotangent| step.theta(cotangent.t) < 1.0);
        let (inside, at_end) = cotangents.split_at(ends);
        let (first_inside, first_at_end) = (self.inside.len(), self.at_end.len());
        for saved in inside {
            self.inside.push(Inside {
                weights: self.weights.len(),
                value: saved.value.rows(),
            });
            let weights = tableau.dense_weights(step.theta(saved.t));
            self.weights.extend(weights.map(E::from_f64));
        }
        self.at_end
            .extend(at_end.iter().map(|saved| saved.value.rows()));
        self.k.extend(step.stages.iter().map(Tiles::rows));
        self.steps.push(StepBack {
            t: step.t,
            h: step.h,
            y: step.y.rows(),
            at_end: first_at_end..self.at_end.len(),
            inside: first_inside..self.inside.len(),
        });
    }

    /// Whether stage `i` of a step has a cotangent.
    #[inline(always)]
    fn is_live(&self, i: usize, step: &StepBack<'_, E, L>) -> bool {
        self.live[i] || (self.has_stage[i] && !step.inside.is_empty())
    }

    /// Products per tile.
    fn products(&self) -> usize {
        let per_step = |step| (0..self.stages).filter(|i| self.is_live(*i, step)).count();
        self.steps.iter().map(per_step).sum()
    }
}

/// A tile of a state's rows.
#[inline(always)]
fn tile_of<E, const N: usize, const L: usize>(rows: &[Row<E, L>], index: usize) -> &Tile<E, N, L> {
    &rows.as_chunks().0[index]
}

/// Pulls `lambda` back over the steps of `plan`, adds to `theta_bar` and to `norms`, and returns the number of
/// products. Sums of the parameters' cotangent stay in `groups` until the last part of a walk.
pub(crate) fn pull_back_steps<G: TileVjp<E, N, L>, E: Real, const N: usize, const L: usize>(
    arch: Arch,
    field: &G,
    plan: &Plan<'_, E, L>,
    (lambda, theta_bar): (&mut [Tile<E, N, L>], &mut [E]),
    norms: &mut Vec<StepNorms>,
    groups: &mut Vec<Group<E, L>>,
) -> usize {
    let products = plan.products();
    // A tile for the cotangent of a stage, and the arguments' cotangents.
    if plan.part.begins {
        let rows = (1 + plan.stages) * N;
        prepare(groups, field, lambda.len(), usize::MAX, rows);
    }
    let size = parallel::tiles_of_group(lambda.len());
    let work = 3 * field.products() * lambda.len() * L * products;
    let threads = parallel::threads(work, groups.len());
    pull_back_groups(arch, field, plan, (0, lambda), groups, (size, threads));
    for (index, step) in plan.steps.iter().rev().enumerate() {
        let mut of_step = StepNorms::new(step.t, step.h);
        for part in groups.iter().filter_map(|group| group.norms.get(index)) {
            of_step.add(part);
        }
        norms.push(of_step);
    }
    if plan.part.ends {
        join(field, groups, theta_bar);
    }
    products
}

fn pull_back_groups<G: TileVjp<E, N, L>, E: Real, const N: usize, const L: usize>(
    arch: Arch,
    field: &G,
    plan: &Plan<'_, E, L>,
    (first, lambda): (usize, &mut [Tile<E, N, L>]),
    groups: &mut [Group<E, L>],
    (size, threads): (usize, usize),
) {
    if threads <= 1 {
        for (index, (lambda, group)) in lambda.chunks_mut(size).zip(groups).enumerate() {
            let first = first + index * size;
            if plan.stages == USUAL_STAGES {
                let all = PullBack::<G, E, N, L, USUAL_STAGES> {
                    field,
                    plan,
                    first,
                    lambda,
                    group,
                };
                dispatch::<G, _>(arch, all);
            } else {
                let all = PullBack::<G, E, N, L, MAX_STAGES> {
                    field,
                    plan,
                    first,
                    lambda,
                    group,
                };
                dispatch::<G, _>(arch, all);
            }
        }
        return;
    }
    let at = parallel::first_half(groups.len(), threads);
    let (groups_low, groups_high) = groups.split_at_mut(at);
    let (low, high) = lambda.split_at_mut(at * size);
    let half = threads / 2;
    rayon::join(
        || pull_back_groups(arch, field, plan, (first, low), groups_low, (size, half)),
        || {
            let (high, rest) = ((first + at * size, high), (size, threads - half));
            pull_back_groups(arch, field, plan, high, groups_high, rest);
        },
    );
}

struct PullBack<'a, G, E: Real, const N: usize, const L: usize, const CAP: usize> {
    field: &'a G,
    plan: &'a Plan<'a, E, L>,
    /// Index of the first of these tiles.
    first: usize,
    lambda: &'a mut [Tile<E, N, L>],
    group: &'a mut Group<E, L>,
}

impl<G: TileVjp<E, N, L>, E: Real, const N: usize, const L: usize, const CAP: usize> WithSimd
    for PullBack<'_, G, E, N, L, CAP>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            field,
            plan,
            first: first_tile,
            lambda: lambdas,
            group,
        } = self;
        let mut norms = core::mem::take(&mut group.norms);
        norms.clear();
        let (mut records, scratch) = Records::of(field, &mut *group);
        let (k_bar, scratch) = carve::<E, N, L>(scratch);
        let count = stages_of::<CAP>(plan.stages);
        let (y_bars, scratch) = scratch.split_at_mut(count * N);
        let (y_bars, _) = y_bars.as_chunks_mut::<N>();
        // Step by step, so that a walk in several parts adds in the same order.
        for step in (0..plan.steps.len()).rev() {
            let (back, stages) = (&plan.steps[step], &plan.k[step * count..][..count]);
            let h = E::from_f64(back.h);
            let mut of_step = StepNorms::new(back.t, back.h);
            for index in 0..lambdas.len() {
                let (lambda, tile) = (&mut lambdas[index], first_tile + index);
                for saved in &plan.at_end[back.at_end.clone()] {
                    accumulate(simd, &[(E::ONE, tile_of(saved, tile))], lambda);
                }
                let y = tile_of::<E, N, L>(back.y, tile);
                let mut k = [y; CAP];
                for j in 0..count {
                    k[j] = tile_or(stages[j].as_chunks().0, tile, y);
                }
                for i in (0..count).rev() {
                    if !plan.is_live(i, back) {
                        continue;
                    }
                    let (now, later) = y_bars.split_at_mut(i + 1);
                    // kbar = h (b lambda + sum(a ybar)); dead stages have no weight in the tableau.
                    let mut terms = Weighted::<E, N, L, CAP>::none(&*lambda);
                    terms.push(plan.b[i], lambda);
                    for (a, j) in plan.later.get(i) {
                        if plan.is_live(*j, back) {
                            terms.push(*a, &later[j - i - 1]);
                        }
                    }
                    scaled_sum(simd, h, terms.get(), k_bar);
                    for saved in &plan.inside[back.inside.clone()] {
                        let weight = h * plan.weights[saved.weights + i];
                        accumulate(simd, &[(weight, tile_of(saved.value, tile))], k_bar);
                    }
                    let record = records.next(simd, scratch);
                    let (argument, _) = carve::<E, N, L>(record);
                    let terms = plan.a.of(i, &k);
                    combine(simd, y, h, terms.get(), argument);
                    let t = [back.h.mul_add(plan.c[i], back.t); L];
                    field.vjp(simd, &t, Some(k[i]), k_bar, &mut now[i], record, scratch);
                }
                let mut terms = Weighted::<E, N, L, CAP>::none(&y_bars[0]);
                for i in 0..count {
                    if plan.is_live(i, back) {
                        terms.push(plan.signs[i], &y_bars[i]);
                    }
                }
                let first = [&*k_bar, &y_bars[0]];
                let squares = leave_step(simd, terms.get(), first, lambda);
                of_step.error += squares[0].to_f64();
                if plan.is_live(0, back) {
                    of_step.first[0] += squares[1].to_f64();
                    of_step.first[1] += squares[2].to_f64();
                }
                let mut square = squares[3];
                for saved in &plan.inside[back.inside.clone()] {
                    accumulate(simd, &[(E::ONE, tile_of(saved.value, tile))], lambda);
                }
                if !back.inside.is_empty() {
                    square = tile_square(simd, lambda);
                }
                of_step.lambda += square.to_f64();
            }
            norms.push(of_step);
        }
        if plan.part.ends {
            records.gather(simd, scratch);
        }
        group.norms = norms;
    }
}

/// The square of a tile's norm.
#[inline(always)]
fn tile_square<S: Simd, E: Real, const N: usize, const L: usize>(
    simd: S,
    tile: &Tile<E, N, L>,
) -> E {
    let mut square = E::splat(simd, E::default());
    for n in 0..N {
        for r in 0..L / E::lanes::<S>() {
            let x = E::registers::<S>(&*tile[n])[r];
            square = E::fma(simd, x, x, square);
        }
    }
    E::reduce(simd, square)
}

/// Adds all `y_bars` to `lambda`, and returns sums of squares: of the combination of `y_bars` with their weights, of
/// the two tiles of the first stage, and of `lambda`. Lanes that belong to no sample hold zeros.
#[inline(always)]
fn leave_step<S: Simd, E: Real, const N: usize, const L: usize>(
    simd: S,
    y_bars: &[(E, &Tile<E, N, L>)],
    [k_bar, y_bar]: [&Tile<E, N, L>; 2],
    lambda: &mut Tile<E, N, L>,
) -> [E; 4] {
    let zero = E::splat(simd, E::default());
    let mut squares = [zero; 4];
    for n in 0..N {
        for r in 0..L / E::lanes::<S>() {
            let (mut sum, mut error) = (zero, zero);
            for (weight, y_bar) in y_bars {
                let y_bar = E::registers::<S>(&*y_bar[n])[r];
                sum = E::sum(simd, sum, y_bar);
                error = E::fma(simd, E::splat(simd, *weight), y_bar, error);
            }
            let lambda = &mut E::registers_mut::<S>(&mut *lambda[n])[r];
            *lambda = E::sum(simd, *lambda, sum);
            let parts = [
                error,
                E::registers::<S>(&*k_bar[n])[r],
                E::registers::<S>(&*y_bar[n])[r],
                *lambda,
            ];
            for k in 0..4 {
                squares[k] = E::fma(simd, parts[k], parts[k], squares[k]);
            }
        }
    }
    let mut sums = [E::default(); 4];
    for k in 0..4 {
        sums[k] = E::reduce(simd, squares[k]);
    }
    sums
}
