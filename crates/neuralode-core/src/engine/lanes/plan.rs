//! What all samples of a solve with their own step sizes have in common.

use crate::{
    ode::{
        choices::Controller, control::Law, method::TableauView, options::SolveOptions,
        resolution::Reach,
    },
    simd::real::Real,
};

/// Most groups of samples.
const GROUPS: usize = 32;
/// Fewest tiles' worth of samples per group, but for the last: a group ends with idle lanes.
const TILES_PER_GROUP: usize = 8;

/// Samples per group, given all of them and the lanes of a tile.
pub(crate) fn group_size(samples: usize, lanes: usize) -> usize {
    let tiles = samples.div_ceil(lanes);
    tiles.div_ceil(GROUPS).max(TILES_PER_GROUP) * lanes
}

/// Weights that are not zero, with the index of their stage.
pub(crate) type Terms<E> = Vec<(E, usize)>;

pub(crate) fn terms<E: Real>(weights: impl Iterator<Item = f64>) -> Terms<E> {
    let indexed = weights.enumerate().filter(|(_, weight)| *weight != 0.0);
    indexed
        .map(|(j, weight)| (E::from_f64(weight), j))
        .collect()
}

/// A stage to be computed.
pub(crate) struct Stage<E> {
    pub(crate) index: usize,
    pub(crate) c: f64,
    /// The weights of earlier stages in its argument.
    pub(crate) a: Terms<E>,
}

/// What all samples of a solve have in common.
pub(crate) struct Plan<'a, E> {
    pub(crate) tableau: TableauView,
    /// All stages that the method has, but for the first.
    pub(crate) stages: Vec<Stage<E>>,
    pub(crate) error: Terms<E>,
    pub(crate) law: Law,
    pub(crate) tolerances: (E, E),
    pub(crate) options: &'a SolveOptions,
    pub(crate) adaptive: bool,
    pub(crate) direction: f64,
    /// The least size of a step at any time.
    pub(crate) floor: f64,
    /// The largest size that the error may ask for.
    pub(crate) largest: f64,
    pub(crate) reach: Reach,
    /// Rows of features of all samples.
    pub(crate) y0: &'a [E],
    pub(crate) times: &'a [f64],
}

impl<'a, E: Real> Plan<'a, E> {
    pub(crate) fn new(
        tableau: TableauView,
        y0: &'a [E],
        times: &'a [f64],
        options: &'a SolveOptions,
    ) -> Self {
        let stages = (1..tableau.stages).filter(|i| tableau.has_stage(*i));
        let (t0, t1) = (options.t0, options.t1);
        let adaptive = !matches!(options.controller, Controller::Constant { .. });
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
            adaptive,
            direction: (t1 - t0).signum(),
            floor: options.smallest_floor(),
            largest: options.dt_max.filter(|_| adaptive).unwrap_or(f64::INFINITY),
            reach: Reach::new(t0, t1, adaptive),
            tableau,
            y0,
            times,
        }
    }

    /// The size of the first step where it does not depend on the sample.
    pub(crate) fn given_size(&self) -> Option<f64> {
        match self.options.controller {
            Controller::Constant { dt } => Some(dt.min(self.options.dt_max.unwrap_or(dt))),
            _ => self.options.dt0,
        }
    }

    #[allow(
        clippy::float_cmp,
        reason = "the empty span is the one with equal ends"
    )]
    pub(crate) fn is_empty_span(&self) -> bool {
        self.options.t0 == self.options.t1
    }
}
