//! A model derived from a struct that is written by hand.
//!
//! What comes here, once there is a derive: the struct, and `pub(crate) fn train()` as in the files beside this one.
