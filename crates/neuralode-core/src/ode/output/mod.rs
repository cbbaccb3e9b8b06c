//! What a solve gives: steps, dense output, values at given times, events.

pub(crate) mod crossing;
pub mod dense_output;
pub mod events;
pub mod saved_points;
