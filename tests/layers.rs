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
    Leaks: 5, [Dense(5 => 8, leaky_relu), Dense(8 => 5), leaky_relu];
    Elus: 5, [Dense(5 => 8, elu), Dense(8 => 5), elu];
    Gelus: 5, [Dense(5 => 8, gelu), Dense(8 => 5), gelu];
    Silus: 5, [Dense(5 => 8, silu), Dense(8 => 5), silu];
    Pluses: 5, [Dense(5 => 8, softplus), Dense(8 => 5), softplus];
    Bare: 6, [leaky_relu, elu, gelu, silu, softplus];
    LastLeaks: 3, [Dense(3, leaky_relu)];
    LastElus: 3, [Dense(3, elu)];
    LastGelus: 3, [Dense(3, gelu)];
    LastSilus: 3, [Dense(3, silu)];
    LastPluses: 3, [Dense(3, softplus)];
    Scaled: 7, [Scale, tanh];
    ScaledLast: 17, [sin, Scale];
    ScaledBetween: 4, [Dense(4 => 9, tanh), Scale, Dense(9 => 4), Scale];
    Channels: 12, [Reshape([3, 2, 2]), Scale, tanh, Scale, Flatten];
    Normed: 5, [LayerNorm];
    NormedLast: 18, [tanh, LayerNorm(epsilon: 1e-3)];
    NormedBetween: 4, [Dense(4 => 9), LayerNorm, silu, Dense(9 => 4)];
    NormedImage: 12, [Reshape([3, 2, 2]), LayerNorm(epsilon: LARGE), Scale, Flatten];
    NormedResidual: 6, [Residual[LayerNorm, Dense(6 => 8, gelu), Dense(8 => 6)], Append(t), LayerNorm, Dense(7 => 6)];
    // Far from samples of no variance, near which rounding noise grows without bound.
    NormedSoftly: 6, [Residual[LayerNorm(epsilon: LARGE), Dense(6 => 8, gelu), Dense(8 => 6)], Append(t), LayerNorm(epsilon: LARGE), Dense(7 => 6)];
    Folded: 6, [Reshape([2, 3]), Append(t), Reshape([9]), Dense(9 => 6, sin), Residual[sin]];
}

/// An epsilon as large as the variance.
const LARGE: f64 = 0.5;

compare! {
    10 instances;
    one_layer_with_gelu_agrees: 3, LastGelusOdeField;
    scaled_layers_agree: 4, ScaledBetweenOdeField;
    normalised_residual_layers_agree: 6, NormedSoftlyOdeField;
    augmented_and_projected_states_agree: 3, ResizedOdeField;
    fields_that_read_the_time_agree: 3, TimedOdeField;
    residual_layers_agree: 4, SkipsOdeField;
    reshaped_states_agree: 6, FoldedOdeField;
}

compare_products! {
    10 instances;
    fields_with_leaky_relu_agree: 5, LeaksOdeField;
    fields_with_elu_agree: 5, ElusOdeField;
    fields_with_gelu_agree: 5, GelusOdeField;
    fields_with_silu_agree: 5, SilusOdeField;
    fields_with_softplus_agree: 5, PlusesOdeField;
    activations_alone_agree: 6, BareOdeField;
    one_layer_with_leaky_relu_agrees: 3, LastLeaksOdeField;
    one_layer_with_elu_agrees: 3, LastElusOdeField;
    one_layer_with_silu_agrees: 3, LastSilusOdeField;
    one_layer_with_softplus_agrees: 3, LastPlusesOdeField;
    scaled_states_agree: 7, ScaledOdeField;
    scaled_derivatives_agree: 17, ScaledLastOdeField;
    scaled_channels_agree: 12, ChannelsOdeField;
    normalised_states_agree: 5, NormedOdeField;
    normalised_derivatives_agree: 18, NormedLastOdeField;
    normalised_layers_agree: 4, NormedBetweenOdeField;
    normalised_images_agree: 12, NormedImageOdeField;
}

/// In f32 its gradients are rounding noise in the fourth digit: the layers magnify it from step to step.
#[test]
fn normalised_residual_layers_agree_in_f64_where_variances_are_small() {
    for seed in 0..10 {
        support::kernels::instance::<6, f64, NormedResidualOdeField<f64, Cpu>, 16>(
            "NormedResidual",
            seed,
            1e-10,
        );
    }
}
