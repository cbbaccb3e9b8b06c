//! The tensors of a model, to a file and back.

use core::any::{type_name, Any};
use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use dfdx::{
    nn::{
        RecursiveWalker, ScalarOptions, TensorCollection, TensorOptions, TensorVisitor,
        ViewTensorMut, ViewTensorName, ViewTensorRef,
    },
    shapes::{Dtype, HasShape, Shape},
    tensor::{safetensors::SafeDtype, Tensor},
    tensor_ops::Device,
};
use num_traits::NumCast;
use safetensors::{
    tensor::{Dtype as Kind, Metadata, TensorInfo, View},
    SafeTensorError, SafeTensors,
};

use crate::{
    files::{
        error::{Action, FileError},
        replace::write,
    },
    tensor::storage::is_contiguous,
};

/// Where the format keeps what is no tensor.
const METADATA: &str = "__metadata__";

/// The longest header that the format allows, in bytes.
const LONGEST_HEADER: u64 = 100_000_000;

/// Saves the tensors of `model`.
pub(super) fn save<E: Dtype + SafeDtype, D: Device<E>, M: TensorCollection<E, D>>(
    model: &M,
    path: &Path,
) -> Result<(), FileError> {
    let mut collected = Collected {
        path,
        tensors: BTreeMap::new(),
    };
    M::iter_tensors(&mut RecursiveWalker {
        m: (model, String::new()),
        f: &mut collected,
    })?;
    let bytes = safetensors::serialize(collected.tensors, &None)
        .map_err(|error| FileError::io(Action::Write, path)(io::Error::other(error.to_string())))?;
    write(path, bytes)
}

/// A tensor as the format has it.
struct Stored {
    kind: Kind,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for Stored {
    fn dtype(&self) -> Kind {
        self.kind
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Copies of all tensors of a model.
struct Collected<'p> {
    path: &'p Path,
    tensors: BTreeMap<String, Stored>,
}

impl Collected<'_> {
    fn add(&mut self, name: String, stored: Stored) -> Result<(), FileError> {
        if name == METADATA || self.tensors.contains_key(&name) {
            return Err(FileError::SameName {
                path: self.path.to_owned(),
                tensor: name,
            });
        }
        self.tensors.insert(name, stored);
        Ok(())
    }
}

impl<E: Dtype + SafeDtype, D: Device<E>> TensorVisitor<E, D> for Collected<'_> {
    type Viewer = (ViewTensorRef, ViewTensorName);
    type Err = FileError;
    type E2 = E;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        _: TensorOptions<S, E, D>,
        (tensor, name): (&Tensor<S, E, D>, String),
    ) -> Result<Option<Tensor<S, E, D>>, FileError> {
        let numbers = tensor.as_vec().into_iter();
        let stored = Stored {
            kind: E::safe_dtype(),
            shape: shape_of(tensor),
            bytes: numbers.flat_map(SafeDtype::to_le_bytes).collect(),
        };
        self.add(name, stored)?;
        Ok(None)
    }

    fn visit_scalar<N: NumCast>(
        &mut self,
        _: ScalarOptions<N>,
        (number, name): (&N, String),
    ) -> Result<Option<N>, FileError> {
        let number = number.to_f64().ok_or_else(|| FileError::Scalar {
            path: self.path.to_owned(),
            name: name.clone(),
            found: None,
            expected: "f64",
        })?;
        let stored = Stored {
            kind: Kind::F64,
            shape: Vec::new(),
            bytes: number.to_le_bytes().to_vec(),
        };
        self.add(name, stored)?;
        Ok(None)
    }
}

fn shape_of<S: Shape, E: Dtype, D: Device<E>>(tensor: &Tensor<S, E, D>) -> Vec<usize> {
    tensor.shape().concrete().into()
}

/// Loads the tensors of `model`.
pub(super) fn load<E: Dtype + SafeDtype, D: Device<E>, M: TensorCollection<E, D>>(
    model: &mut M,
    path: &Path,
) -> Result<(), FileError> {
    let mut described = Described::default();
    M::iter_tensors(&mut RecursiveWalker {
        m: (&*model, String::new()),
        f: &mut described,
    })?;
    let bytes = read(path, &described.tensors)?;
    let mut staged = Staged {
        path,
        file: SafeTensors::deserialize(&bytes).map_err(|error| contradictory(path, &error))?,
        values: VecDeque::new(),
    };
    M::iter_tensors(&mut RecursiveWalker {
        m: (&*model, String::new()),
        f: &mut staged,
    })?;
    // What follows cannot fail: the new tensors are there.
    M::iter_tensors(&mut RecursiveWalker {
        m: model,
        f: &mut Placed(staged.values),
    })?;
    Ok(())
}

fn damaged(path: &Path, reason: String) -> FileError {
    FileError::Damaged {
        path: path.to_owned(),
        reason,
    }
}

/// A header that contradicts itself.
fn contradictory(path: &Path, error: &SafeTensorError) -> FileError {
    damaged(path, format!("its header contradicts itself ({error})"))
}

/// What a model has under a name.
struct Expected {
    kind: Kind,
    shape: Vec<usize>,
    /// Whether the file may lack it.
    optional: bool,
}

/// All bytes of the file, if its header promises the tensors of the model.
fn read(path: &Path, expected: &BTreeMap<String, Expected>) -> Result<Vec<u8>, FileError> {
    let failed = FileError::io(Action::Read, path);
    // Opening a named pipe would wait for its other end.
    if !fs::metadata(path).map_err(&failed)?.is_file() {
        return Err(FileError::NotAFile {
            path: path.to_owned(),
        });
    }
    let mut file = File::open(path).map_err(&failed)?;
    let length = file.metadata().map_err(&failed)?.len();
    let mut bytes = Vec::new();
    let mut take = |bytes: &mut Vec<u8>, count: u64| {
        file.by_ref()
            .take(count)
            .read_to_end(bytes)
            .map_err(&failed)
    };
    take(&mut bytes, 8)?;
    let Ok(start) = <[u8; 8]>::try_from(bytes.as_slice()) else {
        let found = bytes.len();
        return Err(damaged(
            path,
            format!("it holds {found} bytes, where the first 8 are the length of its header"),
        ));
    };
    let header = u64::from_le_bytes(start);
    if header > LONGEST_HEADER.min(length.saturating_sub(8)) {
        return Err(damaged(
            path,
            format!("it holds {length} bytes, but promises a header of {header}"),
        ));
    }
    take(&mut bytes, header)?;
    let text = bytes.get(8..).unwrap_or_default();
    let metadata: Metadata = serde_json::from_slice(text)
        .map_err(|error| damaged(path, format!("its header cannot be read ({error})")))?;
    let found = metadata.tensors();
    compare(path, expected, &found)?;

    let of_tensors: u64 = found
        .values()
        .map(|info| info.shape.iter().product::<usize>() as u64 * info.dtype.size() as u64)
        .sum();
    let promised = 8 + header + of_tensors;
    if length != promised {
        return Err(damaged(
            path,
            format!("it holds {length} bytes, but its header promises {promised}"),
        ));
    }
    take(&mut bytes, of_tensors)?;
    Ok(bytes)
}

/// An error unless both sides have the same tensors.
fn compare(
    path: &Path,
    expected: &BTreeMap<String, Expected>,
    found: &std::collections::HashMap<String, &TensorInfo>,
) -> Result<(), FileError> {
    let missing = expected
        .iter()
        .filter(|(name, tensor)| !tensor.optional && !found.contains_key(*name));
    let missing: Vec<String> = missing.map(|(name, _)| name.clone()).collect();
    let mut unknown: Vec<String> = found
        .keys()
        .filter(|name| !expected.contains_key(*name))
        .cloned()
        .collect();
    unknown.sort();
    if !missing.is_empty() || !unknown.is_empty() {
        return Err(FileError::Names {
            path: path.to_owned(),
            missing,
            unknown,
        });
    }
    for (name, tensor) in expected {
        let Some(info) = found.get(name) else {
            continue;
        };
        if info.dtype != tensor.kind {
            return Err(FileError::Dtype {
                path: path.to_owned(),
                tensor: name.clone(),
                found: word(info.dtype),
                expected: word(tensor.kind),
            });
        }
        if info.shape != tensor.shape {
            return Err(FileError::Shape {
                path: path.to_owned(),
                tensor: name.clone(),
                found: info.shape.clone(),
                expected: tensor.shape.clone(),
            });
        }
    }
    Ok(())
}

/// A dtype as Rust writes it.
fn word(kind: Kind) -> String {
    format!("{kind:?}").to_lowercase()
}

/// The names, dtypes and shapes of a model.
#[derive(Default)]
struct Described {
    tensors: BTreeMap<String, Expected>,
}

impl<E: Dtype + SafeDtype, D: Device<E>> TensorVisitor<E, D> for Described {
    type Viewer = (ViewTensorRef, ViewTensorName);
    type Err = FileError;
    type E2 = E;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        _: TensorOptions<S, E, D>,
        (tensor, name): (&Tensor<S, E, D>, String),
    ) -> Result<Option<Tensor<S, E, D>>, FileError> {
        let expected = Expected {
            kind: E::safe_dtype(),
            shape: shape_of(tensor),
            optional: false,
        };
        self.tensors.insert(name, expected);
        Ok(None)
    }

    fn visit_scalar<N: NumCast>(
        &mut self,
        _: ScalarOptions<N>,
        (_, name): (&N, String),
    ) -> Result<Option<N>, FileError> {
        let expected = Expected {
            kind: Kind::F64,
            shape: Vec::new(),
            optional: true,
        };
        self.tensors.insert(name, expected);
        Ok(None)
    }
}

/// What takes a parameter's place.
enum Value {
    Tensor(Box<dyn Any>),
    Number(f64),
    Default,
}

/// The new values of all parameters, in the order in which a walk meets them.
struct Staged<'f> {
    path: &'f Path,
    file: SafeTensors<'f>,
    values: VecDeque<Value>,
}

impl<E: Dtype + SafeDtype, D: Device<E>> TensorVisitor<E, D> for Staged<'_> {
    type Viewer = (ViewTensorRef, ViewTensorName);
    type Err = FileError;
    type E2 = E;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        _: TensorOptions<S, E, D>,
        (tensor, name): (&Tensor<S, E, D>, String),
    ) -> Result<Option<Tensor<S, E, D>>, FileError> {
        let view = self
            .file
            .tensor(&name)
            .map_err(|error| contradictory(self.path, &error))?;
        let size = size_of::<E>();
        let starts = (0..view.data().len()).step_by(size.max(1));
        let numbers: Vec<E> = starts.map(|at| E::from_le_bytes(view.data(), at)).collect();
        let tensor = filled(tensor, numbers).map_err(|error| {
            FileError::io(Action::Read, self.path)(io::Error::other(error.to_string()))
        })?;
        self.values.push_back(Value::Tensor(Box::new(tensor)));
        Ok(None)
    }

    fn visit_scalar<N: NumCast>(
        &mut self,
        _: ScalarOptions<N>,
        (_, name): (&N, String),
    ) -> Result<Option<N>, FileError> {
        // Only scalars may be missing.
        let value = match self.file.tensor(&name) {
            Err(_) => Value::Default,
            Ok(view) => {
                // `compare` has seen that it is one f64.
                let bytes = <[u8; 8]>::try_from(view.data()).unwrap_or_default();
                let number = f64::from_le_bytes(bytes);
                if N::from(number).is_none() {
                    return Err(FileError::Scalar {
                        path: self.path.to_owned(),
                        name,
                        found: Some(number),
                        expected: type_name::<N>(),
                    });
                }
                Value::Number(number)
            }
        };
        self.values.push_back(value);
        Ok(None)
    }
}

/// A tensor with these numbers and the identity of `tensor`.
///
/// dfdx writes in the order of the memory. Where that is not the order of the numbers, as in a tensor that was
/// transposed, the identity is new.
fn filled<S: Shape, E: Dtype, D: Device<E>>(
    tensor: &Tensor<S, E, D>,
    numbers: Vec<E>,
) -> Result<Tensor<S, E, D>, D::Err> {
    if !is_contiguous(tensor) {
        return tensor
            .device()
            .try_tensor_from_vec(numbers, *tensor.shape());
    }
    let mut filled = tensor.clone();
    filled.copy_from(&numbers);
    Ok(filled)
}

/// Puts new values in the place of a model's parameters.
struct Placed(VecDeque<Value>);

impl<E: Dtype + SafeDtype, D: Device<E>> TensorVisitor<E, D> for Placed {
    type Viewer = ViewTensorMut;
    type Err = FileError;
    type E2 = E;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        _: TensorOptions<S, E, D>,
        tensor: &mut Tensor<S, E, D>,
    ) -> Result<Option<Tensor<S, E, D>>, FileError> {
        if let Some(Value::Tensor(value)) = self.0.pop_front() {
            if let Ok(value) = value.downcast() {
                *tensor = *value;
            }
        }
        Ok(None)
    }

    fn visit_scalar<N: NumCast>(
        &mut self,
        options: ScalarOptions<N>,
        number: &mut N,
    ) -> Result<Option<N>, FileError> {
        match self.0.pop_front() {
            Some(Value::Number(value)) => {
                if let Some(value) = N::from(value) {
                    *number = value;
                }
            }
            Some(Value::Default) => *number = options.default,
            _ => {}
        }
        Ok(None)
    }
}
