//! What generated code names. No part of the public interface: it changes without notice.

pub use core::{
    clone::Clone,
    fmt::Debug,
    option::Option::{self, None, Some},
    primitive,
    result::Result::{self, Err, Ok},
};

pub use dfdx::{
    nn::{
        BuildModule, BuildOnDevice, Module, ModuleVisitor, NonMutableModule, TensorCollection,
        ToDevice,
    },
    shapes::{Const, Dim, Dtype, HasShape},
    tensor::{HasErr, Tape, Tensor},
    tensor_ops::Device,
};

pub use crate::{
    block::NeuralOde,
    check::{model_input, model_output},
    engine::tensor::TensorField,
    error::SolveError,
    layer::{
        activation::{Identity, Relu, Sigmoid, Sin, Tanh},
        reshape, Activation, Dense,
    },
    options::{Adjoint, Controller, SaveAt, SolveOptions, Solver},
    shape::{assert_feeds, assert_positive, assert_returns_state},
    stats::Stats,
    summary::Summary,
};
