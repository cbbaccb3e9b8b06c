//! What generated code names. No part of the public interface: it changes without notice.

pub use core::{
    clone::Clone,
    fmt::Debug,
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
    block::{
        cuda_program, cuda_programs, has_kernels, has_kernels_at_state, NeuralOde, StatefulField,
    },
    check::{model_batch, model_input, model_output},
    domain::{
        assert_atol, assert_coefficient, assert_dt, assert_ends_differ, assert_epsilon,
        assert_momentum, assert_probability, assert_rtol, assert_step_fits, assert_time,
        check_number, ends_differ, is_finite, is_momentum, is_positive, is_probability, is_rtol,
        number, step_fits,
    },
    entry::{AsGiven, Data, Entry, InMemory},
    layer::{
        activation::Pointwise,
        append_time, apply, apply_tiled, assert_sendable, branch, check_field_layer, check_layer,
        check_name,
        init::{Dfdx, Glorot, Kaiming, Orthogonal, Zeros},
        reshape, resize, seed_of, sum, AppendTime, Augment, AvgPool2d, BatchNorm, BatchNormState,
        Call, Checked, Conv2d, Dense, Dropout, DropoutState, Flatten, GlobalAvgPool, Layer,
        LayerNorm, MaxPool2d, Mode, Pow, Project, Reshape, Residual, Scale, Stateless,
    },
    samples::Samples,
    shape::{
        assert_feeds, assert_holds, assert_keeps, assert_positive, assert_returns_input,
        assert_returns_state,
    },
    summary::{count_parameters, Summary},
    tensor::{DeviceErr, KernelVisitor, TensorField},
};
pub use neuralode_core::{
    device,
    kernel::{
        self,
        activation::{Elu, Gelu, Identity, LeakyRelu, Relu, Sigmoid, Silu, Sin, Softplus, Tanh},
    },
    ode::{
        choices::{Adjoint, Control, Controller, Solver, StepSizes},
        error::SolveError,
        options::SolveOptions,
        stats::Stats,
    },
};

pub use crate::__model_files as model_files;

/// The methods of a model for its file: with the feature `safetensors`, [`crate::files`] as methods of its own, which
/// come before those of traits, whichever are in scope.
#[cfg(feature = "safetensors")]
#[doc(hidden)]
#[macro_export]
macro_rules! __model_files {
    ($elem:ident, $dev:ident) => {
        /// Saves all parameters to the file `path`, in place of an earlier one, in one step: wherever the program or a
        /// write fails, a usable file stays.
        ///
        /// # Errors
        /// What the system says, and something else than a file at `path`.
        pub fn save_safetensors<P: ::core::convert::AsRef<::std::path::Path>>(
            &self,
            path: P,
        ) -> ::core::result::Result<(), $crate::FileError>
        where
            $elem: $crate::dfdx::tensor::safetensors::SafeDtype,
        {
            $crate::files::SaveToSafetensors::<$elem, $dev>::save_safetensors(self, path)
        }

        /// Loads all parameters from the file `path`, or none.
        ///
        /// # Errors
        /// What the system says, and a file that is damaged or holds other names, dtypes or shapes. The model is then
        /// unchanged.
        pub fn load_safetensors<P: ::core::convert::AsRef<::std::path::Path>>(
            &mut self,
            path: P,
        ) -> ::core::result::Result<(), $crate::FileError>
        where
            $elem: $crate::dfdx::tensor::safetensors::SafeDtype,
        {
            $crate::files::LoadFromSafetensors::<$elem, $dev>::load_safetensors(self, path)
        }
    };
}

/// Without the feature there are none.
#[cfg(not(feature = "safetensors"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __model_files {
    ($elem:ident, $dev:ident) => {};
}
