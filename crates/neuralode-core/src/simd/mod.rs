//! Instruction sets, numbers in registers, threads and memory.

#![allow(
    clippy::inline_always,
    reason = "only code inlined into a dispatched function runs under its vector instructions"
)]
#![allow(
    clippy::needless_range_loop,
    clippy::manual_memcpy,
    reason = "without link-time optimisation closures and adapters of iterators stay calls, at every turn of a loop"
)]

pub(crate) mod awake;
pub mod buffer;
mod coefficients;
pub mod isa;
pub mod parallel;
pub mod pool;
pub mod real;
pub mod special;
