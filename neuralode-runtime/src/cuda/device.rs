//! Opening a GPU.

use cudarc::driver::result::{device, init};
use dfdx::tensor::Cuda;

use neuralode_core::ode::error::SolveError;

/// Opens the GPU of this index, from 0, with a generator of random numbers that starts from `seed`.
///
/// dfdx's own constructors panic where there is no driver or no such GPU; this one asks first. A program that was
/// linked to the driver's library does not start at all where that library is missing.
///
/// # Errors
/// [`SolveError::Device`], which says what is missing.
pub fn open(ordinal: usize, seed: u64) -> Result<Cuda, SolveError> {
    init().map_err(|error| {
        SolveError::device(format!(
            "NVIDIA's driver does not start ({error:?}): check it with `nvidia-smi`"
        ))
    })?;
    let count = device::get_count().map_err(|error| SolveError::device(format!("{error:?}")))?;
    let count = usize::try_from(count).unwrap_or(0);
    if ordinal >= count {
        return Err(SolveError::device(format!(
            "there is no GPU of index {ordinal}: the driver sees {count}"
        )));
    }
    Cuda::try_build(ordinal, seed).map_err(|error| SolveError::device(format!("{error:?}")))
}
