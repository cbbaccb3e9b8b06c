//! The kernels that fields are made of: layers over tiles, and layers made of them.

#![allow(
    clippy::inline_always,
    reason = "only code inlined into a dispatched function runs under its vector instructions"
)]
#![allow(
    clippy::needless_range_loop,
    clippy::manual_memcpy,
    reason = "without link-time optimisation closures and adapters of iterators stay calls, at every turn of a loop"
)]

pub mod activation;
pub(crate) mod blocks;
pub mod chain;
pub mod conv;
pub mod dense;
pub mod features;
pub mod field;
pub mod layer;
pub mod norm;
pub mod pooling;
pub mod pow;
pub mod rows;
pub mod scale;
pub mod tile;
pub mod tiled;

pub use crate::kernel::{
    activation::{ActivationLayer, TileActivation},
    chain::{ResidualLayer, Then},
    conv::Conv2dLayer,
    dense::DenseLayer,
    features::{AppendTimeLayer, ResizeLayer},
    field::TileField,
    layer::TileLayer,
    norm::LayerNormLayer,
    pooling::{AvgPoolLayer, MaxPoolLayer},
    pow::Power,
    scale::ScaleLayer,
    tile::{Row, Sums, Tile, WIDTH},
};
