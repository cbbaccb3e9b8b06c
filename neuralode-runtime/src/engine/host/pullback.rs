//! Vector-Jacobian products and whole steps backwards over all tiles.
//!
//! Cotangents of states stay within their tile; those of the parameters are sums over all samples. Tiles form
//! groups by their number alone, each with sums of its own, which are joined in order: the same bits, whatever
//! the number of threads.

use pulp::{Arch, Simd, WithSimd};

use super::{
    field::TileVjp,
    kernel::{Row, Sums, Tile},
    parallel, pool,
    real::Real,
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

/// The groups of so many tiles, with `rows` rows of scratch space each.
pub(super) fn groups<E: Real, const L: usize>(
    tiles: usize,
    sums: usize,
    rows: usize,
) -> Vec<Group<E, L>> {
    let count = tiles.div_ceil(group_size(tiles).max(1));
    (0..count)
        .map(|_| {
            let mut scratch = pool::take();
            scratch.resize(rows, Row::default());
            Group {
                sums: pool::filled(sums, Sums::default()),
                scratch,
            }
        })
        .collect()
}

/// `(df/dy)^T c` into `y_bar` and `(df/dtheta)^T c` into `theta_bar`.
pub(super) fn vjp<G: TileVjp<E, N, L>, E: Real, const N: usize, const L: usize>(
    arch: Arch,
    field: &G,
    t: f64,
    (y, c): (&[Tile<E, N, L>], &[Tile<E, N, L>]),
    y_bar: &mut [Tile<E, N, L>],
    theta_bar: &mut [E],
) {
    let mut groups = groups::<E, L>(y.len(), field.sums(), field.scratch());
    let size = group_size(y.len());
    let threads = parallel::threads(3 * field.products() * y.len() * L, groups.len());
    vjp_groups(arch, field, t, (y, c), y_bar, &mut groups, (size, threads));
    theta_bar.fill(E::default());
    arch.dispatch(Join::<G, E, N, L> {
        field,
        groups: &groups,
        theta_bar,
    });
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
            arch.dispatch(Vjp {
                field,
                t,
                y,
                c,
                y_bar,
                sums: &mut group.sums,
                scratch: &mut group.scratch,
            });
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
            )
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
