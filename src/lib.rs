//! placeholder
pub use neuralode_macros::neural_ode;
#[doc(hidden)]
pub use neuralode_runtime::__private;
pub use neuralode_runtime::*;
/// prelude
pub mod prelude {

    pub use crate::{
        neural_ode, try_backward, Adjoint as AdjointMethod, NeuralOde, SolveError, SolveOptions,
        Stats, Summary, TensorField,
    };
    pub use neuralode_runtime::dfdx::{
        optim::{Adam, RMSprop, Sgd},
        prelude::*,
    };
}
