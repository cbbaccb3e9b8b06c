//! What several test programs share: parameters as flat vectors, finite differences, fields by hand.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test program uses a part of this module"
)]

pub mod fields;
pub mod kernels;

use neuralode::{prelude::*, Adjoint};

/// Every adjoint; the budget of the last one is far from enough to keep the steps of a tight solve.
pub const ADJOINTS: [Adjoint; 6] = [
    Adjoint::Discrete,
    Adjoint::Interpolating,
    Adjoint::Gauss,
    Adjoint::Quadrature,
    Adjoint::Backsolve,
    Adjoint::Checkpointed { bytes: 100_000 },
];

/// Says why a test proves nothing here, past the harness, which hides what passing tests print.
pub fn skip(reason: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}

/// Overwrites the parameters of `module`, in the order in which dfdx visits them.
pub fn set_parameters<E: Dtype, D: Device<E>, M: TensorCollection<E, D>>(
    module: &mut M,
    values: &[Vec<f64>],
) {
    struct Set<'v>(std::slice::Iter<'v, Vec<f64>>);
    impl<E: Dtype, D: Device<E>> TensorVisitor<E, D> for Set<'_> {
        type Viewer = ViewTensorMut;
        type Err = D::Err;
        type E2 = E;
        type D2 = D;
        fn visit<S: Shape>(
            &mut self,
            _: TensorOptions<S, E, D>,
            tensor: &mut Tensor<S, E, D>,
        ) -> Result<Option<Tensor<S, E, D>>, D::Err> {
            let values = self.0.next().expect("fewer values than parameters");
            let values: Vec<E> = values.iter().map(|&x| E::from_f64(x).unwrap()).collect();
            tensor.copy_from(&values);
            Ok(None)
        }
    }
    let mut set = Set(values.iter());
    M::iter_tensors(&mut RecursiveWalker {
        m: module,
        f: &mut set,
    })
    .unwrap_or_else(|_| panic!("the device failed"));
    assert_eq!(set.0.len(), 0, "more values than parameters");
}

/// The gradients of the parameters of `module`, in the order in which dfdx visits them.
pub fn gradients_of<E: Dtype, D: Device<E>, M: TensorCollection<E, D>>(
    module: &M,
    gradients: &Gradients<E, D>,
) -> Vec<Vec<f64>> {
    struct Get<'g, E: Dtype, D: Device<E>>(&'g Gradients<E, D>, Vec<Vec<f64>>);
    impl<E: Dtype, D: Device<E>> TensorVisitor<E, D> for Get<'_, E, D> {
        type Viewer = ViewTensorRef;
        type Err = D::Err;
        type E2 = E;
        type D2 = D;
        fn visit<S: Shape>(
            &mut self,
            _: TensorOptions<S, E, D>,
            tensor: &Tensor<S, E, D>,
        ) -> Result<Option<Tensor<S, E, D>>, D::Err> {
            self.1.push(to_f64(&self.0.get(tensor).as_vec()));
            Ok(None)
        }
    }
    let mut get = Get(gradients, Vec::new());
    M::iter_tensors(&mut RecursiveWalker {
        m: module,
        f: &mut get,
    })
    .unwrap_or_else(|_| panic!("the device failed"));
    get.1
}

/// The parameters of `module`, in the order in which dfdx visits them.
pub fn parameters_of<E: Dtype, D: Device<E>, M: TensorCollection<E, D>>(
    module: &M,
) -> Vec<Vec<f64>> {
    struct Get(Vec<Vec<f64>>);
    impl<E: Dtype, D: Device<E>> TensorVisitor<E, D> for Get {
        type Viewer = ViewTensorRef;
        type Err = D::Err;
        type E2 = E;
        type D2 = D;
        fn visit<S: Shape>(
            &mut self,
            _: TensorOptions<S, E, D>,
            tensor: &Tensor<S, E, D>,
        ) -> Result<Option<Tensor<S, E, D>>, D::Err> {
            self.0.push(to_f64(&tensor.as_vec()));
            Ok(None)
        }
    }
    let mut get = Get(Vec::new());
    M::iter_tensors(&mut RecursiveWalker {
        m: module,
        f: &mut get,
    })
    .unwrap_or_else(|_| panic!("the device failed"));
    get.0
}

pub fn to_f64<E: Dtype>(values: &[E]) -> Vec<f64> {
    values.iter().map(|x| x.to_f64().unwrap()).collect()
}

/// A batch of states from row-major values.
pub fn batch<const N: usize, E: Dtype, D: Device<E>>(
    dev: &D,
    values: &[f64],
) -> Tensor<(usize, Const<N>), E, D> {
    let values: Vec<E> = values.iter().map(|&x| E::from_f64(x).unwrap()).collect();
    let rows = values.len() / N;
    dev.tensor_from_vec(values, (rows, Const))
}

/// The largest difference, relative to the largest number of `expected`.
pub fn relative_error(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let worst = found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        // `max` would drop a NaN.
        .fold(0.0, |m: f64, e| if e <= m { m } else { e });
    worst / scale.max(f64::MIN_POSITIVE)
}

/// `y1`, `dL/dy0` and `dL/dtheta` for the loss `L = sum(c * y1)`.
pub struct Gradient {
    pub y1: Vec<f64>,
    pub loss: f64,
    pub y0_bar: Vec<f64>,
    pub theta_bar: Vec<Vec<f64>>,
    pub forward: Stats,
    pub backward: Stats,
}

pub fn differentiate<const N: usize, E: Dtype, D: Device<E>, F: TensorField<N, E, D>>(
    block: &NeuralOde<F>,
    y0: &Tensor<(usize, Const<N>), E, D>,
    cotangent: &Tensor<(usize, Const<N>), E, D>,
) -> Result<Gradient, SolveError> {
    let (y1, forward) = block.try_forward_with_stats(y0.leaky_trace())?;
    let values = to_f64(&y1.as_vec());
    let loss = (y1 * cotangent.clone()).sum::<Rank0, _>();
    let value = to_f64(&loss.as_vec())[0];
    let (gradients, backward) = try_backward(loss)?;
    Ok(Gradient {
        y1: values,
        loss: value,
        y0_bar: to_f64(&gradients.get(y0).as_vec()),
        theta_bar: gradients_of(&block.field, &gradients),
        forward,
        backward,
    })
}

/// Adds something to every parameter: biases start at zero, and a test wants them to matter.
pub fn shift_biases<E: Dtype, D: Device<E>, M: TensorCollection<E, D>>(module: &mut M) {
    let mut parameters = parameters_of(module);
    for (index, x) in parameters.iter_mut().flatten().enumerate() {
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let index = index as f64;
        *x += 0.1 * index.sin();
    }
    set_parameters(module, &parameters);
}

/// Central differences, extrapolated once: the error is of fourth order in the shift.
pub fn derivative(loss: impl Fn(f64) -> f64) -> f64 {
    let central = |d: f64| (loss(d) - loss(-d)) / (2.0 * d);
    let d = 1e-3;
    (4.0 * central(d / 2.0) - central(d)) / 3.0
}
