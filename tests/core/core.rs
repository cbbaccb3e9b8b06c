//! The solvers, their adjoints and events, on problems with known answers.

#![allow(missing_docs, unreachable_pub, reason = "a test program")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::excessive_precision,
    clippy::float_cmp,
    clippy::redundant_closure_for_method_calls,
    reason = "numbers are small and printed as published; equal bits are meant; a method has one lifetime, a closure any"
)]

mod adjoints;
mod events;
mod gradient_error;
mod limits;
mod methods;
mod solve;
mod steps;
mod support;
mod tangents;
mod times;
