//! Parameters in files: saved at once and for good, loaded all or nothing (feature `safetensors`).
//!
//! The format is that of dfdx's methods of the same names, safetensors with the parameters' paths as names, so that
//! files go both ways between the two. Two things differ.
//!
//! * **A save replaces the earlier file in one step**, after all of the new one is on the disk. Whenever a program is
//!   killed, whichever write fails, the path holds the earlier file or the new one. [`write()`] does the same for
//!   anything else that a training run keeps.
//! * **A load compares all names, dtypes and shapes first**, before it reads a number. A file that does not fit, or
//!   that is damaged, is a [`FileError`] that names the tensor with both sides, and the model stays what it was.
//!
//! `neuralode::prelude` has these traits in place of dfdx's, and models have the methods themselves, whatever is
//! imported. For a part of a model, such as `model.encoder`, dfdx's prelude beside this library's makes the traits
//! ambiguous, of which the compiler warns: import those of this module by name.

mod error;
mod replace;
mod tensors;

use std::path::Path;

use dfdx::{
    nn::TensorCollection, shapes::Dtype, tensor::safetensors::SafeDtype, tensor_ops::Device,
};

pub use error::{Action, FileError};
pub use replace::write;

/// What can be saved to a `.safetensors` file: models, blocks, layers, and all else that dfdx can walk through.
pub trait SaveToSafetensors<E: Dtype + SafeDtype, D: Device<E>>: TensorCollection<E, D> {
    /// Saves all parameters to the file `path`, in place of an earlier one.
    ///
    /// The numbers go to a temporary file in the same folder, which takes the file's name when it is on the disk. So a
    /// usable file stays, the earlier one or this, wherever the program or a write fails; a program that is killed
    /// on the way may leave the temporary file, `.neuralode-...`, as well. Links are followed, and the permissions of
    /// an earlier file stay.
    ///
    /// # Errors
    /// [`FileError::NotAFile`] for a folder, a pipe or a device, [`FileError::SameName`] if two parameters have one
    /// name, [`FileError::Scalar`] for a number that no `f64` holds, and [`FileError::Io`] with what the system says.
    ///
    /// # Cost
    /// Twice the memory of the parameters, and one synchronisation of the file and of its folder, which takes
    /// milliseconds on a common disk.
    ///
    /// # Examples
    /// ```
    /// use dfdx::prelude::{Cpu, DeviceBuildExt, builders::Linear, TensorFrom};
    /// use neuralode_runtime::files::{LoadFromSafetensors, SaveToSafetensors};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let file = folder.path().join("layer.safetensors");
    /// let dev = Cpu::default();
    /// let saved = dev.build_module::<Linear<3, 2>, f32>();
    /// saved.save_safetensors(&file)?;
    ///
    /// let mut loaded = dev.build_module::<Linear<3, 2>, f32>();
    /// loaded.load_safetensors(&file)?;
    /// assert_eq!(loaded.weight.as_vec(), saved.weight.as_vec());
    ///
    /// let mut other = dev.build_module::<Linear<3, 5>, f32>();
    /// let error = other.load_safetensors(&file).unwrap_err().to_string();
    /// assert!(error.contains("`bias` of shape [2]") && error.contains("[5]"), "{error}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn save_safetensors<P: AsRef<Path>>(&self, path: P) -> Result<(), FileError> {
        tensors::save(self, path.as_ref())
    }
}

impl<E: Dtype + SafeDtype, D: Device<E>, T: TensorCollection<E, D>> SaveToSafetensors<E, D> for T {}

/// What can be loaded from a `.safetensors` file: models, blocks, layers, and all else that dfdx can walk through.
pub trait LoadFromSafetensors<E: Dtype + SafeDtype, D: Device<E>>: TensorCollection<E, D> {
    /// Loads all parameters from the file `path`, or none.
    ///
    /// Parameters keep their identities, so that optimizers and gradients made before go on with them; one whose
    /// numbers lie in another order, such as a transposed tensor, becomes a new one. The numbers themselves are not
    /// judged: a NaN that was saved is loaded. A scalar that the file lacks becomes its default, as in dfdx.
    ///
    /// # Errors
    /// [`FileError::Names`], [`FileError::Dtype`] or [`FileError::Shape`] for the file of another model,
    /// [`FileError::Damaged`] for one that is incomplete or no safetensors file, [`FileError::Scalar`] for a number
    /// that its type does not hold, [`FileError::NotAFile`], and [`FileError::Io`] with what the system says. The model
    /// is then unchanged.
    ///
    /// # Cost
    /// Three times the memory of the parameters. No more of a file is read than its header if it does not fit.
    fn load_safetensors<P: AsRef<Path>>(&mut self, path: P) -> Result<(), FileError> {
        tensors::load(self, path.as_ref())
    }
}

impl<E: Dtype + SafeDtype, D: Device<E>, T: TensorCollection<E, D>> LoadFromSafetensors<E, D>
    for T
{
}
