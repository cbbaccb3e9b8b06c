// Where the README links to these files, rustdoc links to what shows them: of two definitions the first counts.
//! [docs/guide.md]: guide
//! [docs/dsl.md]: neural_ode!
//! [docs/derive.md]: derive@OdeModel
//! [docs/numerics.md]: numerics
//! [docs/cuda.md]: mod@cuda
//!
#![doc = include_str!("../README.md")]
//!
//! # Where things are
//! * [`guide`] goes from a first model to everything around it, and translates from other libraries.
//! * [`neural_ode!`] declares a model, [`OdeModel`](derive@OdeModel) makes one of a struct; [`prelude`] brings both,
//!   dfdx and the rest of daily use into scope.
//! * [`NeuralOde`] is a block of its own for a [`TensorField`] that you write by hand.
//! * [`Solve`] solves any vector field, a closure ([`FnField`]) for example, with everything around it: output
//!   ([`SaveAt`]), [events](ode::output::events), stops, hooks, and what a failing solve still gives.
//! * `files` saves parameters at once, and loads all of them or none (feature `safetensors`).
//! * [`try_backward`] is dfdx's backward pass with failures as errors, [`softmax_cross_entropy`] a loss in one
//!   operation.
//! * [`ode`] has everything of which a solve is made: [options](ode::options), [errors](ode::error),
//!   [methods](ode::method), [fields](ode::field), [adjoints](ode::adjoint), [sensitivities](ode::tangents); [`engine`]
//!   holds states and fields, and [`release_buffers`](engine::release_buffers) frees the memory that solves keep for
//!   the next one.

#![forbid(unsafe_code)]

pub use dfdx;
pub use neuralode_runtime::{
    cuda, engine, keep_gradient, layer, ode, softmax_cross_entropy, take_backward_report, tensor,
    try_backward, try_softmax_cross_entropy, Adjoint, Backend, Control, Controller, DenseOutput,
    Event, FnField, Frozen, FusedAdam, GradientCheck, KeptGradient, LayerSummary, Mode, NeuralOde,
    Samples, SaveAt, Solve, SolveError, SolveOptions, Solver, StatefulField, Stats, StepSizes,
    Summary, TensorField,
};

#[doc(hidden)]
pub use neuralode_runtime::{device, kernel, simd};

#[cfg(feature = "safetensors")]
pub use neuralode_runtime::{files, FileError};

#[doc(hidden)]
pub use neuralode_runtime::__private;

#[doc = include_str!("../docs/dsl.md")]
pub use neuralode_macros::neural_ode;

#[doc = include_str!("../docs/derive.md")]
pub use neuralode_macros::OdeModel;

#[doc = include_str!("../docs/guide.md")]
pub mod guide {}

#[doc = include_str!("../docs/numerics.md")]
pub mod numerics {}

/// What a program that declares and trains models uses: this crate's names, and all of dfdx's prelude with
/// its optimizers.
///
/// Where dfdx has something of the same name, the name is this crate's.
pub mod prelude {
    // With its feature `safetensors` dfdx's prelude has a module of this name, which would make the paths of the crate
    // `safetensors` ambiguous in programs. A name that is private here hides it.
    #[allow(hidden_glob_reexports, reason = "that is what it is for")]
    mod safetensors {}

    pub use crate::{
        keep_gradient, neural_ode, softmax_cross_entropy, try_backward, try_softmax_cross_entropy,
        Adjoint, Backend, Control, Controller, Event, FnField, FusedAdam, GradientCheck, Mode,
        NeuralOde, OdeModel, Samples, SaveAt, Solve, SolveError, SolveOptions, Solver, Stats,
        StepSizes, Summary, TensorField,
    };
    pub use dfdx::{
        data::OneHotEncode,
        optim::{Adam, RMSprop, Sgd},
        prelude::*,
    };
    // In place of dfdx's traits of these names, which lose the earlier file while they write.
    #[cfg(feature = "safetensors")]
    pub use crate::{
        files::{LoadFromSafetensors, SaveToSafetensors},
        FileError,
    };
}
