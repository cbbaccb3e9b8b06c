//! Every layer that a field may have: both lowerings agree, over random instances in both types.

#![allow(missing_docs, reason = "a test program")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "small numbers"
)]

mod support;

use neuralode::prelude::*;

models! {
    Resized: 3, [Augment(4), Dense(7 => 5, tanh), Project(4), Dense(4 => 3)];
    Timed: 3, [Append(t), Dense(4 => 6, tanh), Append(t), Dense(7 => 3)];
    Skips: 4, [Residual[Dense(4 => 6, tanh), Dense(6 => 4)], tanh, Residual[tanh, Residual[Pow(2)], Dense(4 => 4)]];
    Folded: 6, [Reshape([2, 3]), Append(t), Reshape([9]), Dense(9 => 6, sin), Residual[sin]];
}

compare! {
    augmented_and_projected_states_agree: 3, ResizedOdeField;
    fields_that_read_the_time_agree: 3, TimedOdeField;
    residual_layers_agree: 4, SkipsOdeField;
    reshaped_states_agree: 6, FoldedOdeField;
}
