//! Convolutions and pools in fields: kernels over tiles and dfdx's operations agree, over random instances in both types.

#![allow(missing_docs, reason = "a test program")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "small numbers"
)]

mod support;

use neuralode::prelude::*;

/// A constant number of channels.
const CHANNELS: usize = 3;

models! {
    // One pixel, and a window of one.
    Point: 2, [Reshape([2, 1, 1]), Conv2d(2 => 2, tanh, kernel: 1), Flatten];
    // Blocks of eight, four, two and one channels.
    Wide: 12, [Reshape([1, 3, 4]), Conv2d(_ => 15, relu, kernel: 3, padding: 1), Conv2d(1, kernel: 3, padding: 1), Flatten];
    // No square, and a last line and column that no window reaches.
    Strided: 30, [Reshape([1, 5, 6]), Conv2d(4, sin, kernel: 2, stride: 2), Conv2d(5, kernel: 1), Flatten, Dense(30)];
    Leaping: 40, [Reshape([2, 4, 5]), Conv2d(3, gelu, kernel: 3, stride: 3, padding: 2), Flatten, Dense(18 => 40)];
    AfterConstants: 12, [Reshape([3, 2, 2]), Conv2d(CHANNELS => 3, kernel: 2, padding: 1), Conv2d(3 => CHANNELS, kernel: 2), Flatten];
    Skip: 18, [Reshape([2, 3, 3]), Residual[Conv2d(4, tanh, kernel: 3, padding: 1), Conv2d(2, kernel: 3, padding: 1)], Conv2d(2, tanh, kernel: 3, padding: 1), Flatten];
    Largest: 50, [Reshape([2, 5, 5]), MaxPool2d(kernel: 3, stride: 1), Flatten, Dense(18 => 50)];
    Means: 70, [Reshape([2, 5, 7]), AvgPool2d(kernel: 3, stride: 2), Flatten, Dense(12 => 70)];
    Global: 24, [Reshape([2, 3, 4]), Conv2d(5, tanh, kernel: 2), GlobalAvgPool, Dense(5 => 24)];
}

compare! {
    3 instances;
    residual_convolutions_agree: 18, SkipOdeField;
}

compare_products! {
    3 instances;
    largest_numbers_of_a_state_agree: 50, LargestOdeField;
    blocks_of_channels_agree: 12, WideOdeField;
    single_pixels_agree: 2, PointOdeField;
    windows_apart_agree: 30, StridedOdeField;
    windows_beside_the_image_agree: 40, LeapingOdeField;
    constant_channels_after_numbers_agree: 12, AfterConstantsOdeField;
    means_of_a_state_agree: 70, MeansOdeField;
    means_of_channels_agree: 24, GlobalOdeField;
}
