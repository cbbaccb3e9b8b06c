//! Combinations and norms with a step size for each lane.

use pulp::Simd;

use crate::{
    engine::{lanes::Plan, tiles::state::add_squares},
    kernel::{
        blocks::{in_blocks, SPAN},
        tile::{Row, Tile},
    },
    ode::{
        options::SolveOptions,
        state::{exact_square_sum, Scaled},
    },
    simd::real::Real,
};

/// `sum(w k)` for rows `at..at + K` and a block of registers from `register` on.
#[inline(always)]
pub(crate) fn sum_block<S: Simd, E: Real, const N: usize, const L: usize, const K: usize>(
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
pub(crate) fn combine<S: Simd, E: Real, const N: usize, const L: usize>(
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
pub(crate) fn error_row<S: Simd, E: Real, const N: usize, const L: usize>(
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
pub(crate) fn lane_squares<S: Simd, E: Real, const N: usize, const L: usize>(
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
pub(crate) fn careful_mean<S: Simd, E: Real, const N: usize>(
    (rtol, atol): (E, E),
    options: &SolveOptions,
    error: impl Fn(usize) -> E,
    (y0, y1): (impl Fn(usize) -> E, impl Fn(usize) -> E),
) -> f64 {
    let mut sum = E::default();
    for n in 0..N {
        let (error, y0, y1) = (error(n), y0(n), y1(n));
        let scaled = error / rtol.mul_add::<S>(y0.abs().max(y1.abs()), atol);
        sum = scaled.mul_add::<S>(scaled, sum + y1 * E::default());
    }
    let sum = sum.to_f64();
    if sum.is_finite() {
        return mean::<N>(sum);
    }
    let tolerances = options.tolerances();
    let errors = (0..N).map(|n| {
        let (y0, y1) = (y0(n).to_f64(), y1(n).to_f64());
        Scaled::new(error(n).to_f64(), (y0, y1), &tolerances)
    });
    mean::<N>(exact_square_sum(errors))
}

#[inline(always)]
#[allow(clippy::cast_precision_loss, reason = "no sample has 2^53 features")]
pub(crate) fn mean<const N: usize>(sum: f64) -> f64 {
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
pub(crate) fn norms<S: Simd, E: Real, const N: usize, const L: usize>(
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
