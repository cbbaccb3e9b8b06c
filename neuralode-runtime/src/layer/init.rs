//! What the parameters of a layer start with.

use core::{cell::RefCell, fmt};

use dfdx::{
    shapes::{Dtype, Shape},
    tensor::{HasErr, Tensor},
    tensor_ops::Device,
};
use rand::{distributions::Distribution, Rng};

/// How many numbers meet in a layer's map, which sets the scale of its weights.
///
/// For a dense layer these are its features; for a convolution the channels times the size of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fan {
    /// Inputs that one output is a sum over.
    pub inputs: usize,
    /// Outputs that one input reaches.
    pub outputs: usize,
}

impl Fan {
    /// `sqrt(numerator / count)`, for no inputs as for one.
    #[allow(clippy::cast_precision_loss, reason = "no layer has 2^53 features")]
    fn bound(numerator: f64, count: usize) -> f64 {
        (numerator / count.max(1) as f64).sqrt()
    }
}

/// A rule for the initial weights and biases of a layer.
///
/// All draws are made in f64, in the order of the numbers, so that equal seeds give equal models in f32 and f64 up to
/// rounding.
pub trait Initialisation: 'static + Copy + Default + fmt::Debug + Send + Sync {
    /// Fills the weights of a map, which come output by output: `weights.len() / fan.inputs` rows of `fan.inputs`.
    fn fill<R: Rng + ?Sized>(weights: &mut [f64], fan: Fan, rng: &mut R);

    /// Fills the biases. By default they are zero, and nothing is drawn.
    fn fill_bias<R: Rng + ?Sized>(biases: &mut [f64], fan: Fan, rng: &mut R) {
        let _ = (fan, rng);
        biases.fill(0.0);
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $name;
    )*};
}

rules! {
    /// Uniform weights, `U(-l, l)` with `l = sqrt(6 / (inputs + outputs))`, and zero biases: for activations like
    /// `tanh`.
    ///
    /// X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    /// AISTATS 2010, PMLR 9:249-256.
    Glorot;
    /// Uniform weights, `U(-l, l)` with `l = sqrt(6 / inputs)`, and zero biases: for activations like `relu`.
    ///
    /// K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers", ICCV 2015, DOI 10.1109/ICCV.2015.123.
    Kaiming;
    /// Weights and biases `U(-l, l)` with `l = 1 / sqrt(inputs)`: the distribution of dfdx's own layers, and of
    /// `PyTorch`'s.
    Dfdx;
    /// Weights and biases of zero: a last layer that starts as nothing, such as the end of a residual branch.
    Zeros;
    /// Weights with orthonormal rows, or columns if there are more rows than columns, uniform among all such, and zero
    /// biases. Costs `O(rows * columns * min(rows, columns))`.
    ///
    /// A. M. Saxe, J. L. `McClelland`, S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep
    /// linear neural networks", ICLR 2014, arXiv:1312.6120. F. Mezzadri, "How to generate random matrices from the
    /// classical compact groups", Notices of the AMS 54 (2007), arXiv:math-ph/0609050.
    Orthogonal;
}

/// Independent draws of `U(-bound, bound)`.
fn uniform<R: Rng + ?Sized>(numbers: &mut [f64], bound: f64, rng: &mut R) {
    for number in numbers {
        let unit: f64 = rng.gen_range(-1.0..1.0);
        *number = bound * unit;
    }
}

impl Initialisation for Glorot {
    fn fill<R: Rng + ?Sized>(weights: &mut [f64], fan: Fan, rng: &mut R) {
        let both = fan.inputs.saturating_add(fan.outputs);
        uniform(weights, Fan::bound(6.0, both), rng);
    }
}

impl Initialisation for Kaiming {
    fn fill<R: Rng + ?Sized>(weights: &mut [f64], fan: Fan, rng: &mut R) {
        uniform(weights, Fan::bound(6.0, fan.inputs), rng);
    }
}

impl Initialisation for Dfdx {
    fn fill<R: Rng + ?Sized>(weights: &mut [f64], fan: Fan, rng: &mut R) {
        uniform(weights, Fan::bound(1.0, fan.inputs), rng);
    }

    fn fill_bias<R: Rng + ?Sized>(biases: &mut [f64], fan: Fan, rng: &mut R) {
        uniform(biases, Fan::bound(1.0, fan.inputs), rng);
    }
}

impl Initialisation for Zeros {
    fn fill<R: Rng + ?Sized>(weights: &mut [f64], _fan: Fan, _rng: &mut R) {
        weights.fill(0.0);
    }
}

impl Initialisation for Orthogonal {
    fn fill<R: Rng + ?Sized>(weights: &mut [f64], fan: Fan, rng: &mut R) {
        let columns = fan.inputs.max(1);
        let rows = weights.len() / columns;
        let (long, short) = (rows.max(columns), rows.min(columns));
        let vectors = orthonormal(long, short, rng);
        for (row, weights) in weights.chunks_mut(columns).enumerate() {
            for (column, weight) in weights.iter_mut().enumerate() {
                let (vector, place) = if rows < columns {
                    (row, column)
                } else {
                    (column, row)
                };
                let number = vectors.get(vector).and_then(|vector| vector.get(place));
                *weight = number.copied().unwrap_or_default();
            }
        }
    }
}

/// A draw of the normal distribution, by G. E. P. Box and M. E. Muller, "A note on the generation of random normal
/// deviates", 1958, DOI 10.1214/aoms/1177706645.
fn normal<R: Rng + ?Sized>(rng: &mut R) -> f64 {
    let (radius, angle): (f64, f64) = (rng.gen_range(0.0..1.0), rng.gen_range(0.0..1.0));
    // `1 - radius` is never zero.
    (-2.0 * (1.0 - radius).ln()).sqrt() * (core::f64::consts::TAU * angle).cos()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Reflects what `vector` has from the place `from` on, by `1 - r r^T` with the `reflection` `r`.
fn reflect(vector: &mut [f64], from: usize, reflection: &[f64]) {
    let Some(tail) = vector.get_mut(from..) else {
        return;
    };
    let factor = dot(tail, reflection);
    for (x, r) in tail.iter_mut().zip(reflection) {
        *x -= factor * r;
    }
}

/// `count` orthonormal vectors of length `length >= count`, uniform among all such: the columns of `Q` in the
/// decomposition `Q R` of a normal matrix with a positive diagonal of `R`, by Householder's reflections, which leave
/// `Q` orthogonal to rounding whatever was drawn.
fn orthonormal<R: Rng + ?Sized>(length: usize, count: usize, rng: &mut R) -> Vec<Vec<f64>> {
    let mut columns: Vec<Vec<f64>> = (0..count)
        .map(|_| (0..length).map(|_| normal(rng)).collect())
        .collect();
    // Of each reflection: the vector from its own row on, of square length 2, and the sign that makes the diagonal of
    // `R` positive.
    let mut reflections: Vec<(Vec<f64>, f64)> = Vec::with_capacity(count);
    for (k, column) in columns.iter_mut().enumerate() {
        for (j, (reflection, _)) in reflections.iter().enumerate() {
            reflect(column, j, reflection);
        }
        let mut vector = column.split_off(k);
        let size = dot(&vector, &vector).sqrt();
        let mut sign = 1.0;
        if let Some(head) = vector.first_mut() {
            // `H x = -sign(x_1) |x| e_1`.
            sign = -1.0_f64.copysign(*head);
            // The sum of two numbers of one sign.
            *head += size.copysign(*head);
        }
        let square = dot(&vector, &vector);
        if square > 0.0 {
            let scale = (2.0 / square).sqrt();
            for x in &mut vector {
                *x *= scale;
            }
        }
        reflections.push((vector, sign));
    }
    (0..count)
        .map(|k| {
            let mut column = vec![0.0; length];
            if let (Some(unit), Some((_, sign))) = (column.get_mut(k), reflections.get(k)) {
                *unit = *sign;
            }
            for (j, (reflection, _)) in reflections.iter().enumerate().take(k + 1).rev() {
                reflect(&mut column, j, reflection);
            }
            column
        })
        .collect()
}

/// Fills the weights of a layer by the rule `J`, from the device's generator.
pub(super) fn fill<J: Initialisation, S: Shape, E: Dtype, D: Device<E>>(
    weights: &mut Tensor<S, E, D>,
    fan: Fan,
) -> Result<(), <D as HasErr>::Err> {
    draw(weights, |numbers, mut rng| J::fill(numbers, fan, &mut rng))
}

/// Fills the biases of a layer by the rule `J`, from the device's generator.
pub(super) fn fill_bias<J: Initialisation, S: Shape, E: Dtype, D: Device<E>>(
    biases: &mut Tensor<S, E, D>,
    fan: Fan,
) -> Result<(), <D as HasErr>::Err> {
    draw(biases, |numbers, mut rng| {
        J::fill_bias(numbers, fan, &mut rng);
    })
}

/// dfdx lends a device's generator to a distribution of single numbers alone. This one draws all numbers when it is
/// asked for the first, and hands them out in order.
struct Drawn<F> {
    fill: F,
    count: usize,
    left: RefCell<Option<std::vec::IntoIter<f64>>>,
}

impl<E: Dtype, F: Fn(&mut [f64], &mut dyn rand::RngCore)> Distribution<E> for Drawn<F> {
    fn sample<R: Rng + ?Sized>(&self, mut rng: &mut R) -> E {
        let mut left = self.left.borrow_mut();
        let numbers = left.get_or_insert_with(|| {
            let mut numbers = vec![0.0; self.count];
            (self.fill)(&mut numbers, &mut rng);
            numbers.into_iter()
        });
        crate::tensor::scalar(numbers.next().unwrap_or_default())
    }
}

fn draw<S: Shape, E: Dtype, D: Device<E>>(
    tensor: &mut Tensor<S, E, D>,
    fill: impl Fn(&mut [f64], &mut dyn rand::RngCore),
) -> Result<(), <D as HasErr>::Err> {
    let count = dfdx::shapes::HasShape::shape(tensor).num_elements();
    tensor.try_fill_with_distr(Drawn {
        fill,
        count,
        left: RefCell::new(None),
    })
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "small counts")]
mod tests {
    use rand::{rngs::StdRng, SeedableRng};

    use super::{dot, Dfdx, Fan, Glorot, Initialisation, Kaiming, Orthogonal, Zeros};

    /// Weights and biases of a layer of these sizes.
    fn layer<J: Initialisation>(inputs: usize, outputs: usize, seed: u64) -> (Vec<f64>, Vec<f64>) {
        let mut rng = StdRng::seed_from_u64(seed);
        let fan = Fan { inputs, outputs };
        let (mut weights, mut biases) = (vec![f64::NAN; inputs * outputs], vec![f64::NAN; outputs]);
        J::fill(&mut weights, fan, &mut rng);
        J::fill_bias(&mut biases, fan, &mut rng);
        (weights, biases)
    }

    /// Whether the numbers look like draws of `U(-bound, bound)`: mean and variance within five standard errors, the
    /// largest close to the bound.
    fn assert_uniform(numbers: &[f64], bound: f64) {
        let count = numbers.len() as f64;
        let largest = numbers.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
        let mean = numbers.iter().sum::<f64>() / count;
        let variance = dot(numbers, numbers) / count;
        assert!(
            largest <= bound && largest >= bound * (1.0 - 10.0 / count),
            "{largest} {bound}"
        );
        // Variances of one draw and of its square: b^2 / 3 and 4 b^4 / 45.
        assert!(mean.abs() <= 5.0 * bound / (3.0 * count).sqrt(), "{mean}");
        let error = (variance - bound * bound / 3.0).abs();
        assert!(
            error <= 5.0 * bound * bound * (4.0 / 45.0 / count).sqrt(),
            "{variance}"
        );
    }

    #[test]
    fn uniform_rules_keep_their_bounds_and_variances() {
        let (inputs, outputs) = (120, 250);
        for seed in 0..4 {
            let (weights, biases) = layer::<Glorot>(inputs, outputs, seed);
            assert_uniform(&weights, (6.0_f64 / 370.0).sqrt());
            assert!(biases.iter().all(|x| *x == 0.0));
            let (weights, biases) = layer::<Kaiming>(inputs, outputs, seed);
            assert_uniform(&weights, (6.0_f64 / 120.0).sqrt());
            assert!(biases.iter().all(|x| *x == 0.0));
            let (weights, biases) = layer::<Dfdx>(inputs, outputs, seed);
            assert_uniform(&weights, (1.0_f64 / 120.0).sqrt());
            assert_uniform(&biases, (1.0_f64 / 120.0).sqrt());
        }
    }

    #[test]
    fn zeros_are_zeros() {
        let (weights, biases) = layer::<Zeros>(7, 3, 0);
        assert!(weights.iter().chain(&biases).all(|x| *x == 0.0));
    }

    #[test]
    fn orthogonal_weights_have_orthonormal_rows_or_columns() {
        let mut worst = 0.0_f64;
        for (inputs, outputs) in [
            (1, 1),
            (6, 6),
            (40, 40),
            (3, 17),
            (17, 3),
            (1, 9),
            (9, 1),
            (64, 50),
        ] {
            for seed in 0..3 {
                let (weights, biases) = layer::<Orthogonal>(inputs, outputs, seed);
                assert!(biases.iter().all(|x| *x == 0.0));
                let at = |row: usize, column: usize| weights[row * inputs + column];
                let short = inputs.min(outputs);
                for a in 0..short {
                    for b in 0..short {
                        let product: f64 = if outputs <= inputs {
                            (0..inputs).map(|i| at(a, i) * at(b, i)).sum()
                        } else {
                            (0..outputs).map(|o| at(o, a) * at(o, b)).sum()
                        };
                        let expected = f64::from(u8::from(a == b));
                        worst = worst.max((product - expected).abs());
                    }
                }
            }
        }
        println!("orthonormal to {worst:e}");
        assert!(worst <= 1e-14, "{worst:e}");
    }

    #[test]
    fn orthogonal_weights_favour_no_direction() {
        // Of a uniform orthogonal matrix of size n, every entry has the mean 0 and the variance 1 / n, and half of the
        // determinants are negative: without the signs of `R`'s diagonal, the diagonal would be biased.
        let (n, count) = (3, 4000);
        let (mut sums, mut squares, mut negative) = ([0.0; 9], [0.0; 9], 0);
        for seed in 0..count {
            let (w, _) = layer::<Orthogonal>(n, n, seed);
            for (k, w) in w.iter().enumerate() {
                sums[k] += w;
                squares[k] += w * w;
            }
            let minor = |a: usize, b: usize| w[3 + a] * w[6 + b] - w[3 + b] * w[6 + a];
            let determinant = w[0] * minor(1, 2) - w[1] * minor(0, 2) + w[2] * minor(0, 1);
            assert!((determinant.abs() - 1.0).abs() < 1e-13);
            negative += u32::from(determinant < 0.0);
        }
        let count = count as f64;
        let error = 5.0 / count.sqrt();
        for k in 0..9 {
            assert!(
                (sums[k] / count).abs() <= error * (1.0_f64 / 3.0).sqrt(),
                "{sums:?}"
            );
            assert!(
                (squares[k] / count - 1.0 / 3.0).abs() <= error * 0.3,
                "{squares:?}"
            );
        }
        assert!(
            (f64::from(negative) / count - 0.5).abs() <= error * 0.5,
            "{negative}"
        );
    }

    #[test]
    fn layers_without_inputs_are_filled_without_fail() {
        for fill in [
            layer::<Glorot>,
            layer::<Kaiming>,
            layer::<Dfdx>,
            layer::<Orthogonal>,
        ] {
            let (weights, biases) = fill(0, 3, 1);
            assert!(weights.is_empty() && biases.iter().all(|x| x.is_finite()));
        }
    }
}
