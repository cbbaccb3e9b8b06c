//! Layers: the building blocks of stages and vector fields.

pub mod activation;
mod batch_norm;
mod conv;
mod dense;
mod dropout;
mod features;
pub mod init;
mod module;
mod norm;
mod pooling;
mod pow;
mod random;
mod reshape;
mod residual;
mod scale;
mod stateful;
mod tiled;

pub use activation::Activation;
pub use batch_norm::{BatchNorm, BatchNormState};
pub use conv::Conv2d;
pub use dense::Dense;
pub(crate) use dense::Input;
pub use dropout::{Dropout, DropoutState};
pub use features::{append_time, resize, AppendTime, Augment, Project};
pub use init::{Fan, Initialisation};
pub use module::apply;
pub use norm::{epsilon_bits, LayerNorm, DEFAULT_EPSILON};
pub use pooling::{AvgPool2d, GlobalAvgPool, MaxPool2d};
pub use pow::Pow;
pub use reshape::{reshape, Flatten, Reshape};
pub use residual::{branch, sum, Residual};
pub use scale::Scale;
pub use stateful::{
    assert_sendable, check_field_layer, check_layer, check_name, seed_of, Call, Checked, Layer,
    Mode, Stateless,
};

pub use tiled::apply_tiled;
