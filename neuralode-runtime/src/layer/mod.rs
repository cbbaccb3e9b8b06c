//! Layers: the building blocks of stages and vector fields.

pub mod activation;
mod dense;
mod reshape;

pub use activation::Activation;
pub use dense::Dense;
pub use reshape::reshape;
