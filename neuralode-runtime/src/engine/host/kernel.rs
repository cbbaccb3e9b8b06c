//! The kernels that fields are made of: layers over tiles, and layers made of them.

pub use super::{
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
