//! The first derivatives and the sizes of the first steps.

use pulp::{Simd, WithSimd};

use crate::{
    engine::lanes::{arithmetic::norms, Group, Plan},
    kernel::{field::TileKernel, tile::Row},
    ode::{
        control::{first_size, larger, probe_size},
        error::{Quantity, SolveError},
    },
    simd::real::Real,
};

/// The first derivatives and the sizes of the first steps of all samples of a group, tile by tile.
pub(crate) struct Start<'a, G, E: Real, const N: usize, const L: usize> {
    pub(crate) field: &'a G,
    pub(crate) plan: &'a Plan<'a, E>,
    pub(crate) group: &'a mut Group<E, N, L>,
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
        // No step goes farther, and so nothing is looked at beyond.
        let span = span.min(options.dt_max.unwrap_or(span));
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
                    let largest = larger(d1[l], changes[l] / looks[l]);
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
