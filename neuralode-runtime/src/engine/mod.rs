//! Engines: a storage for states together with fields over it.
//!
//! An engine implements [`State`](crate::state::State),
//! [`VectorField`](crate::vector_field::VectorField) and
//! [`Differentiable`](crate::vector_field::Differentiable); the loop and the adjoints are written
//! against these alone.

pub mod cuda;
pub(crate) mod erased;
pub mod host;
pub mod tensor;
