//! What generated code names. No part of the public interface: it changes without notice.

pub use core::{
    clone::Clone,
    fmt::Debug,
    iter::{IntoIterator, Iterator},
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
    block::{cuda_program, has_kernels, has_kernels_at_state, NeuralOde, StatefulField},
    check::{model_batch, model_input, model_output},
    domain::{
        assert_atol, assert_coefficient, assert_dt, assert_ends_differ, assert_epsilon,
        assert_momentum, assert_probability, assert_rtol, assert_step_fits, assert_time,
        check_number, ends_differ, is_finite, is_momentum, is_positive, is_probability, is_rtol,
        number, step_fits,
    },
    engine::{
        cuda,
        host::{
            kernel::{self, DenseParams, Tile, TileField},
            pow,
            real::Real,
            vector,
        },
        tensor::{DeviceErr, KernelVisitor, TensorField},
    },
    entry::{AsGiven, Data, Entry, InMemory},
    error::SolveError,
    layer::{
        activation::{Elu, Gelu, Identity, LeakyRelu, Relu, Sigmoid, Silu, Sin, Softplus, Tanh},
        append_time, apply, apply_tiled, assert_sendable, branch, check_layer, check_name,
        init::{Dfdx, Glorot, Kaiming, Orthogonal, Zeros},
        reshape, resize, seed_of, sum, AppendTime, Augment, AvgPool2d, BatchNorm, BatchNormState,
        Call, Checked, Conv2d, Dense, Dropout, DropoutState, Flatten, GlobalAvgPool, Layer,
        LayerNorm, MaxPool2d, Mode, Pow, Project, Reshape, Residual, Scale, Stateless,
    },
    options::{Adjoint, Control, Controller, SolveOptions, Solver, StepSizes},
    samples::Samples,
    shape::{
        assert_feeds, assert_holds, assert_keeps, assert_positive, assert_returns_input,
        assert_returns_state,
    },
    stats::Stats,
    summary::{count_parameters, Summary},
};
