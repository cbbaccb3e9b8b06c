//! Layers with state, and layers of a user's own, in the typed model.

use syn::Ident;

use crate::{
    ast::Value,
    model::{Chain, LayerKind, Model, Size},
};

/// The words for such layers.
pub(crate) const STATEFUL: &[&str] = &["BatchNorm", "Dropout", "Custom"];

/// A layer that is called with its state.
pub(crate) struct Stateful {
    /// Its place among the layers with state of its stage or field.
    pub(crate) slot: usize,
    pub(crate) kind: StatefulKind,
}

pub(crate) enum StatefulKind {
    Dropout {
        probability: Value,
    },
    BatchNorm {
        channels: Size,
        /// Those of its settings that are given.
        momentum: Option<Value>,
        epsilon: Option<Value>,
    },
    Custom {
        /// A type of the user, without the dtype and the device.
        path: syn::Path,
        /// The name of a constant that only a layer has.
        check: Ident,
        /// Whether it stands in a vector field.
        in_field: bool,
    },
}

impl StatefulKind {
    /// Whether it may have parameters: types of the user are taken to.
    pub(crate) fn has_parameters(&self) -> bool {
        !matches!(self, Self::Dropout { .. })
    }
}

/// Whether layers have state. A type of the user says so where the macro cannot see it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum HasState {
    No,
    Perhaps,
    Surely,
}

/// Whether all layers of a field have kernels in inference, where `Dropout` does nothing.
pub(crate) fn has_kernels(field: &Chain) -> bool {
    field.layers.iter().all(|layer| match &layer.kind {
        LayerKind::Residual(inner) => has_kernels(inner),
        LayerKind::Stateful(stateful) => matches!(stateful.kind, StatefulKind::Dropout { .. }),
        _ => true,
    })
}

impl HasState {
    pub(crate) fn of_chain(chain: &Chain) -> Self {
        let of_layer = |kind: &LayerKind| match kind {
            LayerKind::Residual(inner) => Self::of_chain(inner),
            LayerKind::Stateful(Stateful {
                kind: StatefulKind::Custom { .. },
                ..
            }) => Self::Perhaps,
            LayerKind::Stateful(_) => Self::Surely,
            _ => Self::No,
        };
        let layers = chain.layers.iter().map(|layer| of_layer(&layer.kind));
        layers.max().unwrap_or(Self::No)
    }

    pub(crate) fn of(model: &Model) -> Self {
        let stages = model.stages.iter();
        let stages = stages.map(|stage| Self::of_chain(stage.chain()));
        stages.max().unwrap_or(Self::No)
    }
}
