//! Methods with one number of stages in common, so that one piece of compiled code serves them all.

use crate::ode::{
    choices::Solver,
    method::{
        signs::Signs, ButcherTableau, WithTableau, BOSH3, DOPRI5, DOPRI8, EULER, HEUN, MIDPOINT,
        RALSTON, RK4, TSIT5, VERN7,
    },
};

/// A method with `$stages` stages, of which those that it does not have stand before its last.
macro_rules! padded {
    ($tableau:ident, $stages:literal) => {{
        const DENSE: [[f64; $stages]; $tableau.dense.len()] = dense_rows(&$tableau);
        const PADDED: ButcherTableau<$stages> = padded(&$tableau, &DENSE);
        const _: () = PADDED.assert_consistent();
        &PADDED
    }};
}

impl Solver {
    /// Hands the tableau of this method to `with`, made up to 7 or 14 stages. The additional ones are no stages
    /// ([`ButcherTableau::has_stage`]): they cost nothing but zeros in sums and empty places in arrays of
    /// stages, and `with` is compiled twice instead of once for every number of stages.
    pub fn with_padded_tableau<W: WithTableau>(self, with: W) -> W::Output {
        match self {
            Self::Euler => with.run(padded!(EULER, 7)),
            Self::Midpoint => with.run(padded!(MIDPOINT, 7)),
            Self::Heun => with.run(padded!(HEUN, 7)),
            Self::Ralston => with.run(padded!(RALSTON, 7)),
            Self::Bosh3 => with.run(padded!(BOSH3, 7)),
            Self::Rk4 => with.run(padded!(RK4, 7)),
            Self::Dopri5 => with.run(&DOPRI5),
            Self::Tsit5 => with.run(&TSIT5),
            Self::Vern7 => with.run(padded!(VERN7, 14)),
            Self::Dopri8 => with.run(&DOPRI8),
        }
    }

    /// The tableau of a method that takes steps written out for seven stages, all of which it has.
    pub fn seven_stages(self) -> Option<&'static ButcherTableau<7>> {
        match self {
            Self::Dopri5 => Some(&DOPRI5),
            Self::Tsit5 => Some(&TSIT5),
            _ => None,
        }
    }
}

const fn padded<const S: usize, const P: usize>(
    tableau: &ButcherTableau<S>,
    dense: &'static [[f64; P]],
) -> ButcherTableau<P> {
    let mut a = [[0.0; P]; P];
    let mut i = 0;
    while i < S {
        a[place::<S, P>(i)] = spread(&tableau.a[i]);
        i += 1;
    }
    ButcherTableau {
        name: tableau.name,
        order: tableau.order,
        dense_order: tableau.dense_order,
        evaluations: tableau.evaluations,
        c: spread(&tableau.c),
        a,
        b: spread(&tableau.b),
        b_err: spread(&tableau.b_err),
        dense,
        signs: Signs::NONE,
    }
    .with_signs()
}

const fn dense_rows<const S: usize, const P: usize, const D: usize>(
    tableau: &ButcherTableau<S>,
) -> [[f64; P]; D] {
    let mut dense = [[0.0; P]; D];
    let mut m = 0;
    while m < D {
        dense[m] = spread(&tableau.dense[m]);
        m += 1;
    }
    dense
}

/// Where stage `i` of `S` stands among `P`: the last one stays the last.
const fn place<const S: usize, const P: usize>(i: usize) -> usize {
    if i + 1 == S {
        P - 1
    } else {
        i
    }
}

const fn spread<const S: usize, const P: usize>(weights: &[f64; S]) -> [f64; P] {
    let mut out = [0.0; P];
    let mut i = 0;
    while i < S {
        out[place::<S, P>(i)] = weights[i];
        i += 1;
    }
    out
}
