//! Vector-Jacobian products and whole steps backwards over all tiles.
//!
//! Cotangents of states stay within their tile; those of the parameters are sums over all samples. Tiles form
//! groups by their number alone, each with sums of its own, which are joined in order: the same bits, whatever
//! the number of threads.

use pulp::{Arch, Simd, WithSimd};

use crate::{
    adjoint::{by_step, Cotangent, Part},
    pool,
    step::Step,
    tableau::ButcherTableau,
};

use super::{
    field::TileVjp,
    forward::{combine, Terms},
    isa::dispatch,
    kernel::{carve, Row, Sums, Tile},
    parallel,
    real::Real,
    tiles::Tiles,
};

/// Most groups of tiles.
const GROUPS: usize = 16;
/// Fewest tiles of a group, but for the last.
const PER_GROUP: usize = 2;

/// Tiles per group, given all of them.
pub(super) fn group_size(tiles: usize) -> usize {
    tiles.div_ceil(GROUPS).max(PER_GROUP)
}

/// Sums and scratch space of one group.
pub(super) struct Group<E: Real, const L: usize> {
    pub(super) sums: Vec<Sums<E>>,
    pub(super) scratch: Vec<Row<E, L>>,
}

impl<E: Real, const L: usize> Drop for Group<E, L> {
    fn drop(&mut self) {
        pool::give(core::mem::take(&mut self.sums));
        pool::give(core::mem::take(&mut self.scratch));
    }
}

/// Makes `groups` those of so many tiles, with `rows` rows of scratch space each and sums of zero.
fn prepare<E: Real, const L: usize>(
    groups: &mut Vec<Group<E, L>>,
    tiles: usize,
    sums: usize,
    rows: usize,
) {
    let count = tiles.div_ceil(group_size(tiles).max(1));
    groups.truncate(count);
    groups.resize_with(count, || Group {
        sums: pool::take(),
        scratch: pool::take(),
    });
    for group in groups {
        group.sums.clear();
        group.sums.resize(sums, Sums::default());
        group.scratch.resize(rows, Row::default());
    }
}

/// `(df/dy)^T c` into `y_bar` and `(df/dtheta)^T c` into `theta_bar`.
pub(super) fn vjp<G: TileVjp<E, N, L>, E: Real, const N: usize, const L: usize>(
    arch: Arch,
    field: &G,
    t: f64,
    (y, c): (&[Tile<E, N, L>], &[Tile<E, N, L>]),
    y_bar: &mut [Tile<E, N, L>],
    theta_bar: &mut [E],
    groups: &mut Vec<Group<E, L>>,
) {
    prepare(groups, y.len(), field.sums(), field.scratch());
    let size = group_size(y.len());
    let threads = parallel::threads(3 * field.products() * y.len() * L, groups.len());
    vjp_groups(arch, field, t, (y, c), y_bar, groups, (size, threads));
    theta_bar.fill(E::default());
    dispatch::<G, _>(
        arch,
        Join::<G, E, N, L> {
            field,
            groups,
            theta_bar,
        },
    );
}

/// Adds the sums of all groups, in order, to the parameters' cotangent.
struct Join<'a, G, E: Real, const N: usize, const L: usize> {
    field: &'a G,
    groups: &'a [Group<E, L>],
    theta_bar: &'a mut [E],
}

impl<G: TileVjp<E, N, L>, E: Real, const N: usize, const L: usize> WithSimd
    for Join<'_, G, E, N, L>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for group in self.groups {
            self.field.join(simd, &group.sums, self.theta_bar);
        }
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
                    sums: &mut group.sums,
                    scratch: &mut group.scratch,
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

struct Vjp<'a, G, E, const N: usize, const L: usize> {
    field: &'a G,
    t: f64,
    y: &'a [Tile<E, N, L>],
    c: &'a [Tile<E, N, L>],
    y_bar: &'a mut [Tile<E, N, L>],
    sums: &'a mut [Sums<E>],
    scratch: &'a mut [Row<E, L>],
}

impl<G: TileVjp<E, N, L>, E: Real, const N: usize, const L: usize> WithSimd
    for Vjp<'_, G, E, N, L>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for ((y, c), y_bar) in self.y.iter().zip(self.c).zip(self.y_bar) {
            self.field
                .vjp(simd, self.t, y, c, y_bar, self.sums, self.scratch);
        }
    }
}

/// A cotangent of the solution inside a step.
struct Inside<'a, E: Real, const N: usize, const L: usize, const S: usize> {
    /// The interpolant's weights at its time.
    weights: [E; S],
    value: &'a Tiles<E, N, L>,
}

/// A step to go back over.
struct StepBack<'a, E: Real, const N: usize, const L: usize, const S: usize> {
    step: &'a Step<Tiles<E, N, L>, [Tiles<E, N, L>; S]>,
    at_end: &'a [Cotangent<Tiles<E, N, L>>],
    inside: Vec<Inside<'a, E, N, L, S>>,
}

/// What all tiles have in common on the way back over several steps.
pub(super) struct Plan<'a, E: Real, const N: usize, const L: usize, const S: usize> {
    c: [f64; S],
    /// Rows of the tableau: the weights of earlier stages in a stage's argument.
    a: [Terms<E, S>; S],
    /// Columns of the tableau: the weights of a stage in the arguments of later ones.
    later: [Terms<E, S>; S],
    b: [E; S],
    /// Whether a stage takes part in the end state, itself or through later stages.
    live: [bool; S],
    steps: Vec<StepBack<'a, E, N, L, S>>,
}

impl<'a, E: Real, const N: usize, const L: usize, const S: usize> Plan<'a, E, N, L, S> {
    pub(super) fn new(
        tableau: &ButcherTableau<S>,
        steps: &'a [Step<Tiles<E, N, L>, [Tiles<E, N, L>; S]>],
        cotangents: &'a [Cotangent<Tiles<E, N, L>>],
    ) -> Self {
        let mut live = [false; S];
        for i in (0..S).rev() {
            live[i] = tableau.b[i] != 0.0 || (i + 1..S).any(|j| live[j] && tableau.a[j][i] != 0.0);
        }
        let parts = by_step(steps, cotangents);
        let steps = steps.iter().zip(parts).map(|(step, cotangents)| {
            let ends = cotangents.partition_point(|cotangent| step.theta(cotangent.t) < 1.0);
            let (inside, at_end) = cotangents.split_at(ends);
            let inside = inside
                .iter()
                .map(|saved| Inside {
                    weights: tableau.dense_weights(step.theta(saved.t)).map(E::from_f64),
                    value: &saved.value,
                })
                .collect();
            StepBack {
                step,
                at_end,
                inside,
            }
        });
        Self {
            c: tableau.c,
            a: core::array::from_fn(|i| Terms::new(&tableau.a[i][..i])),
            later: core::array::from_fn(|i| {
                Terms::new(&core::array::from_fn::<f64, S, _>(|j| {
                    if j > i {
                        tableau.a[j][i]
                    } else {
                        0.0
                    }
                }))
            }),
            b: tableau.b.map(E::from_f64),
            live,
            steps: steps.collect(),
        }
    }

    /// Whether stage `i` of a step has a cotangent.
    fn is_live(&self, i: usize, step: &StepBack<'_, E, N, L, S>) -> bool {
        self.live[i] || !step.inside.is_empty()
    }

    /// Products per tile.
    fn products(&self) -> usize {
        let per_step = |step| (0..S).filter(|i| self.is_live(*i, step)).count();
        self.steps.iter().map(per_step).sum()
    }
}

/// Pulls `lambda` back over the steps of `plan`, adds to `theta_bar`, and returns the number of products. Sums of
/// the parameters' cotangent stay in `groups` until the last part of a walk.
#[allow(
    clippy::too_many_arguments,
    reason = "inputs, outputs and scratch of one walk"
)]
pub(super) fn pull_back_steps<
    G: TileVjp<E, N, L>,
    E: Real,
    const N: usize,
    const L: usize,
    const S: usize,
>(
    arch: Arch,
    field: &G,
    plan: &Plan<'_, E, N, L, S>,
    lambda: &mut [Tile<E, N, L>],
    theta_bar: &mut [E],
    groups: &mut Vec<Group<E, L>>,
    part: Part,
) -> usize {
    // A tile for the argument of a stage, one for its cotangent, and the arguments' cotangents.
    let rows = (2 + S) * N + field.scratch();
    if part.begins {
        prepare(groups, lambda.len(), field.sums(), rows);
    }
    let size = group_size(lambda.len());
    let products = plan.products();
    let work = 3 * field.products() * lambda.len() * L * products;
    let threads = parallel::threads(work, groups.len());
    pull_back_groups(arch, field, plan, (0, lambda), groups, (size, threads));
    if part.ends {
        dispatch::<G, _>(
            arch,
            Join::<G, E, N, L> {
                field,
                groups,
                theta_bar,
            },
        );
    }
    products
}

fn pull_back_groups<
    G: TileVjp<E, N, L>,
    E: Real,
    const N: usize,
    const L: usize,
    const S: usize,
>(
    arch: Arch,
    field: &G,
    plan: &Plan<'_, E, N, L, S>,
    (first, lambda): (usize, &mut [Tile<E, N, L>]),
    groups: &mut [Group<E, L>],
    (size, threads): (usize, usize),
) {
    if threads <= 1 {
        for (index, (lambda, group)) in lambda.chunks_mut(size).zip(groups).enumerate() {
            dispatch::<G, _>(
                arch,
                PullBack {
                    field,
                    plan,
                    first: first + index * size,
                    lambda,
                    sums: &mut group.sums,
                    scratch: &mut group.scratch,
                },
            );
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

struct PullBack<'a, G, E: Real, const N: usize, const L: usize, const S: usize> {
    field: &'a G,
    plan: &'a Plan<'a, E, N, L, S>,
    /// Index of the first of these tiles.
    first: usize,
    lambda: &'a mut [Tile<E, N, L>],
    sums: &'a mut [Sums<E>],
    scratch: &'a mut [Row<E, L>],
}

impl<G: TileVjp<E, N, L>, E: Real, const N: usize, const L: usize, const STAGES: usize> WithSimd
    for PullBack<'_, G, E, N, L, STAGES>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { field, plan, .. } = self;
        let (argument, scratch) = carve::<E, N, L>(self.scratch);
        let (k_bar, scratch) = carve::<E, N, L>(scratch);
        let (y_bars, scratch) = scratch.split_at_mut(STAGES * N);
        let (y_bars, _) = y_bars.as_chunks_mut::<N>();
        // Step by step, so that a walk in several parts adds in the same order.
        for back in plan.steps.iter().rev() {
            for (index, lambda) in self.lambda.iter_mut().enumerate() {
                let tile = self.first + index;
                for saved in back.at_end {
                    add(simd, E::ONE, &saved.value.tiles[tile], lambda);
                }
                let step = back.step;
                let h = E::from_f64(step.h);
                let y = &step.y.tiles[tile];
                let k: [&Tile<E, N, L>; STAGES] =
                    core::array::from_fn(|j| &step.stages[j].tiles[tile]);
                for i in (0..STAGES).rev() {
                    if !plan.is_live(i, back) {
                        continue;
                    }
                    let (now, later) = y_bars.split_at_mut(i + 1);
                    // kbar = h (b lambda + sum(a ybar)); dead stages have no weight in the tableau.
                    scale(simd, plan.b[i], lambda, k_bar);
                    for (a, j) in plan.later[i].get() {
                        if plan.is_live(*j, back) {
                            add(simd, *a, &later[j - i - 1], k_bar);
                        }
                    }
                    for saved in &back.inside {
                        add(simd, saved.weights[i], &saved.value.tiles[tile], k_bar);
                    }
                    scale_in_place(simd, h, k_bar);
                    combine(simd, y, h, plan.a[i].get(), &k, argument);
                    let t = step.h.mul_add(plan.c[i], step.t);
                    let y_bar = &mut now[i];
                    field.vjp(simd, t, argument, k_bar, y_bar, self.sums, scratch);
                }
                for (i, y_bar) in y_bars.iter().enumerate() {
                    if plan.is_live(i, back) {
                        add(simd, E::ONE, y_bar, lambda);
                    }
                }
                for saved in &back.inside {
                    add(simd, E::ONE, &saved.value.tiles[tile], lambda);
                }
            }
        }
    }
}

/// `y += c x`.
#[inline(always)]
fn add<S: Simd, E: Real, const N: usize, const L: usize>(
    simd: S,
    c: E,
    x: &Tile<E, N, L>,
    y: &mut Tile<E, N, L>,
) {
    let c = E::splat(simd, c);
    for (x, y) in x.iter().zip(y) {
        let registers = E::registers_mut::<S>(&mut **y);
        for (x, y) in E::registers::<S>(&**x).iter().zip(registers) {
            *y = E::fma(simd, c, *x, *y);
        }
    }
}

/// `y = c x`.
#[inline(always)]
fn scale<S: Simd, E: Real, const N: usize, const L: usize>(
    simd: S,
    c: E,
    x: &Tile<E, N, L>,
    y: &mut Tile<E, N, L>,
) {
    let c = E::splat(simd, c);
    for (x, y) in x.iter().zip(y) {
        let registers = E::registers_mut::<S>(&mut **y);
        for (x, y) in E::registers::<S>(&**x).iter().zip(registers) {
            *y = E::product(simd, c, *x);
        }
    }
}

/// `y *= c`.
#[inline(always)]
fn scale_in_place<S: Simd, E: Real, const N: usize, const L: usize>(
    simd: S,
    c: E,
    y: &mut Tile<E, N, L>,
) {
    let c = E::splat(simd, c);
    for y in y {
        for y in E::registers_mut::<S>(&mut **y) {
            *y = E::product(simd, c, *y);
        }
    }
}
