//! What generated code names. No part of the public interface: it changes without notice.

pub use core::{
    clone::Clone,
    fmt::Debug,
    iter::Iterator,
    marker::PhantomData,
    option::Option::{self, None, Some},
    result::Result::{self, Err, Ok},
};

pub use pulp::Simd;
pub use std::vec::Vec;

pub use dfdx::{
    nn::{
        BuildModule, BuildOnDevice, Module, ModuleVisitor, NonMutableModule, TensorCollection,
        ToDevice,
    },
    shapes::{Const, Dim, Dtype, HasShape},
    tensor::{Cpu, Gradients, NoneTape, OwnedTape, Tape, Tensor},
    tensor_ops::Device,
};

pub use crate::{
    block::{has_kernels, NeuralOde},
    check::{model_batch, model_input, model_output},
    engine::{
        host::{
            kernel::{self, DenseParams, Tile, TileField},
            pow,
            real::Real,
            vector,
        },
        tensor::{DeviceErr, KernelVisitor, TensorField},
    },
    entry::{enter_dense, AsGiven, Data, Entry},
    error::SolveError,
    layer::{
        activation::{Elu, Gelu, Identity, LeakyRelu, Relu, Sigmoid, Silu, Sin, Softplus, Tanh},
        append_time, apply, branch, epsilon_bits,
        init::{Dfdx, Glorot, Kaiming, Orthogonal, Zeros},
        reshape, resize, sum, AppendTime, Augment, Dense, Flatten, LayerNorm, Pow, Project,
        Reshape, Residual, Scale,
    },
    options::{Adjoint, Controller, SolveOptions, Solver, StepSizes},
    shape::{
        assert_feeds, assert_holds, assert_keeps, assert_positive, assert_returns_input,
        assert_returns_state,
    },
    stats::Stats,
    summary::Summary,
};
