//! States and fields that the solvers work with.
//!
//! An engine is a storage for states together with fields over it: it implements [`State`](crate::ode::state::State),
//! [`VectorField`](crate::ode::field::VectorField) and [`Differentiable`](crate::ode::field::Differentiable); the loop
//! and the adjoints are written against these alone. States and scratch space come from a list of buffers that earlier
//! solves left.
//! * [`HostEngine`]: [`Generated`](crate::kernel::field::Generated) fields and [`FnField::batch`] over tiles of
//!   samples.
//! * [`solve_per_sample`] gives every sample of a batch step sizes of its own, in lanes.
//! * [`PointEngine`] and [`FnField`] itself solve one sample, whose state is an array.
//!
//! Generated kernels are compiled for AVX2 with FMA, AVX-512 and NEON; a closure is compiled for plain scalars too.

#![allow(
    clippy::inline_always,
    reason = "only code inlined into a dispatched function runs under its vector instructions"
)]
#![allow(
    clippy::needless_range_loop,
    clippy::manual_memcpy,
    reason = "without link-time optimisation closures and adapters of iterators stay calls, at every turn of a loop"
)]

pub mod closure;
pub mod erased;
mod lanes;
pub mod per_sample;
pub mod point;
pub mod tiles;

pub use crate::simd::pool::release_buffers;
pub use closure::FnField;
pub use per_sample::{
    solve_per_sample, solve_per_sample_keeping, KeptPerSample, PerSample, PulledPerSample,
};
pub use point::PointEngine;
pub use tiles::{
    state::{Params, Tiles},
    HostEngine, TileEngine,
};
