//! What all samples of a solve with their own step sizes have in common.

use crate::{
    controller::Law,
    options::{Controller, SolveOptions},
    resolution::Reach,
    tableau::TableauView,
};

use super::super::real::Real;

/// Most groups of samples.
const GROUPS: usize = 32;
/// Fewest tiles' worth of samples per group, but for the last: a group ends with idle lanes.
const TILES_PER_GROUP: usize = 8;

/// Samples per group, given all of them and the lanes of a tile.
pub(in crate::engine::host) fn group_size(samples: usize, lanes: usize) -> usize {
    let tiles = samples.div_ceil(lanes);
    tiles.div_ceil(GROUPS).max(TILES_PER_GROUP) * lanes
}

/// Weights that are not zero, with the index of their stage.
pub(in crate::engine::host) type Terms<E> = Vec<(E, usize)>;

pub(in crate::engine::host) fn terms<E: Real>(weights: impl Iterator<Item = f64>) -> Terms<E> {
    let indexed = weights.enumerate().filter(|(_, weight)| *weight != 0.0);
    indexed
        .map(|(j, weight)| (E::from_f64(weight), j))
        .collect()
}

/// A stage to be computed.
pub(super) struct Stage<E> {
    pub(super) index: usize,
    pub(super) c: f64,
    /// The weights of earlier stages in its argument.
    pub(super) a: Terms<E>,
}

/// What all samples of a solve have in common.
pub(in crate::engine::host) struct Plan<'a, E> {
    pub(super) tableau: TableauView,
    /// All stages that the method has, but for the first.
    pub(super) stages: Vec<Stage<E>>,
    pub(super) error: Terms<E>,
    pub(super) law: Law,
    pub(super) tolerances: (E, E),
    pub(super) options: &'a SolveOptions,
    pub(super) adaptive: bool,
    pub(super) direction: f64,
    /// The least size of a step at any time.
    pub(super) floor: f64,
    /// The largest size that the error may ask for.
    pub(super) largest: f64,
    pub(super) reach: Reach,
    /// Rows of features of all samples.
    pub(super) y0: &'a [E],
    pub(super) times: &'a [f64],
}

impl<'a, E: Real> Plan<'a, E> {
    pub(in crate::engine::host) fn new(
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
    pub(super) fn given_size(&self) -> Option<f64> {
        match self.options.controller {
            Controller::Constant { dt } => Some(dt.min(self.options.dt_max.unwrap_or(dt))),
            _ => self.options.dt0,
        }
    }

    #[allow(
        clippy::float_cmp,
        reason = "the empty span is the one with equal ends"
    )]
    pub(super) fn is_empty_span(&self) -> bool {
        self.options.t0 == self.options.t1
    }
}
