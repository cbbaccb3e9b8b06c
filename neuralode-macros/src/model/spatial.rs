//! Layers over the places of an image, in the typed model.

use crate::model::{Activation, Chain, Init, LayerKind, Size};

/// A layer from an image, `[channels, height, width]`, to another one, or to its channels.
pub(crate) struct Spatial {
    /// Channels of what enters.
    pub(crate) channels: Size,
    /// Height and width of what enters.
    pub(crate) from: (usize, usize),
    /// Height and width of what leaves.
    pub(crate) to: (usize, usize),
    pub(crate) kind: SpatialKind,
}

/// Square windows of an image.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
}

pub(crate) enum SpatialKind {
    Conv {
        /// Channels of what leaves.
        output: Size,
        window: Window,
        padding: usize,
        activation: Activation,
        init: Init,
    },
    MaxPool(Window),
    AvgPool(Window),
    GlobalAvgPool,
}

impl SpatialKind {
    pub(crate) fn has_parameters(&self) -> bool {
        matches!(self, Self::Conv { .. })
    }
}

/// Whether any layer of a chain is one over places.
pub(crate) fn any_in(chain: &Chain) -> bool {
    chain.layers.iter().any(|layer| match &layer.kind {
        LayerKind::Spatial(_) => true,
        LayerKind::Residual(inner) => any_in(inner),
        _ => false,
    })
}
