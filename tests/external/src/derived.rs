//! A model derived from a struct that is written by hand. Still empty: the macro cannot do it yet.
//!
//! What comes here: the model, and `pub(crate) fn train()` as in `timed.rs`, named in `MODELS` of `main.rs`.
