//! What a solver needs to know of a state: linear combinations and a norm.

use crate::ode::{error::SolveError, options::Tolerances};

/// A vector of the space in which a differential equation lives.
///
/// Engines implement it for their storage (dfdx tensors, flat buffers); [`Augmented`] and `Vec` build
/// larger states from smaller ones. Combinations write into a given state, so that an engine that owns
/// its buffers allocates nothing.
pub trait State: Clone + 'static {
    /// A state of the same shape whose contents mean nothing. Cheaper than a clone where an engine has buffers.
    #[must_use]
    fn unset(&self) -> Self {
        self.clone()
    }

    /// A state that takes as little memory as can be and is never read: for stages that a method lacks.
    #[must_use]
    fn nothing(&self) -> Self {
        self.clone()
    }

    /// The state by value, leaving one whose contents mean nothing.
    #[must_use]
    fn take(&mut self) -> Self {
        let left = self.unset();
        core::mem::replace(self, left)
    }

    /// Number of scalars.
    fn len(&self) -> usize;

    /// Whether there is no scalar at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Independent samples of a batch, which could have step sizes of their own
    /// ([`StepSizes::PerSample`](crate::ode::choices::StepSizes::PerSample)). The default is one.
    fn samples(&self) -> usize {
        1
    }

    /// Whether places that belong to no sample are zero, as they must be in a cotangent.
    #[doc(hidden)]
    fn is_padded_with_zeros(&self) -> bool {
        true
    }

    /// Makes them zero.
    #[doc(hidden)]
    fn pad_with_zeros(&mut self) {}

    /// The memory that the state takes, in bytes, its own fields included: what a budget of memory counts. The
    /// default counts eight bytes per scalar.
    fn bytes(&self) -> usize {
        size_of::<Self>() + 8 * self.len()
    }

    /// The sum of the products of the scalars of `self` and `other`, in a fixed order and in f64.
    ///
    /// The default needs nothing but norms and combinations, `|a + b|^2 - |a - b|^2`, and three states of memory.
    ///
    /// # Errors
    /// [`SolveError::Device`] if the device fails.
    fn dot(&self, other: &Self) -> Result<f64, SolveError> {
        let unit = Tolerances {
            rtol: 0.0,
            atol: 1.0,
        };
        let zero = self.zeros_like()?;
        let square = |x: &Self| Self::scaled_square_sum(x, &zero, &zero, &unit);
        let (a, b) = (square(self)?.sqrt(), square(other)?.sqrt());
        if a == 0.0 || b == 0.0 {
            return Ok(0.0);
        }
        // Of equal length, so that neither drowns in the other.
        let mut sum = zero.clone();
        zero.combine_into([(1.0 / a, self), (1.0 / b, other)].into_iter(), &mut sum)?;
        let mut difference = zero.clone();
        zero.combine_into(
            [(1.0 / a, self), (-1.0 / b, other)].into_iter(),
            &mut difference,
        )?;
        Ok(0.25 * a * b * (square(&sum)? - square(&difference)?))
    }

    /// The Euclidean norm, in f64; not finite if a scalar is not.
    ///
    /// # Errors
    /// [`SolveError::Device`] if the device fails.
    fn norm(&self) -> Result<f64, SolveError> {
        let unit = Tolerances {
            rtol: 0.0,
            atol: 1.0,
        };
        let sum = Self::scaled_square_sum(self, self, self, &unit)?;
        // The squares of small numbers vanish in f32.
        let sum = if sum < 1e-20 { self.dot(self)? } else { sum };
        Ok(sum.sqrt())
    }

    /// The root mean square of the scalars; see [`State::norm`].
    ///
    /// # Errors
    /// [`SolveError::Device`] if the device fails.
    fn root_mean_square(&self) -> Result<f64, SolveError> {
        #[allow(
            clippy::cast_precision_loss,
            reason = "a state of 2^53 scalars fits no memory"
        )]
        let count = self.len().max(1) as f64;
        Ok(self.norm()? / count.sqrt())
    }

    /// Writes the Euclidean norm of every sample, in f64, into `norms`, whose old contents mean nothing. The default
    /// takes the state for one sample.
    ///
    /// # Errors
    /// [`SolveError::Device`] if the device fails.
    fn sample_norms(&self, norms: &mut Vec<f64>) -> Result<(), SolveError> {
        norms.clear();
        norms.push(self.norm()?);
        Ok(())
    }

    /// Machine epsilon of the scalars: the distance from 1 to the next larger number.
    fn epsilon(&self) -> f64;

    /// Writes `self + sum(c * x)` over all `(c, x)` of `terms` into `out`.
    ///
    /// # Errors
    /// [`SolveError::Device`] if the device fails.
    fn combine_into<'a>(
        &self,
        terms: impl Iterator<Item = (f64, &'a Self)> + Clone,
        out: &mut Self,
    ) -> Result<(), SolveError>
    where
        Self: 'a;

    /// A state of the same shape, filled with zeros.
    ///
    /// # Errors
    /// [`SolveError::Device`] if the device fails.
    fn zeros_like(&self) -> Result<Self, SolveError>;

    /// A state of the same shape of numbers 1 and -1, random but a function of the seed and of the number's place among
    /// all: sample by sample, feature by feature.
    ///
    /// # Errors
    /// [`SolveError::NoTangent`], the default, from a state that does not show its numbers;
    /// [`SolveError::Device`] if the device fails.
    fn signs(&self, _seed: u64) -> Result<Self, SolveError> {
        Err(SolveError::NoTangent)
    }

    /// The sum over all scalars of `(error / (atol + rtol * max(|y0|, |y1|)))^2`, in a fixed order.
    ///
    /// Not finite exactly where a scalar of `error` or of `y1` is not, so that one number tells the loop
    /// whether a step can be used at all: a sum that overflows counts as 1e300.
    ///
    /// # Errors
    /// [`SolveError::Device`] if the device fails.
    fn scaled_square_sum(
        error: &Self,
        y0: &Self,
        y1: &Self,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError>;

    /// Whether every scalar is finite.
    ///
    /// # Errors
    /// [`SolveError::Device`] if the device fails.
    fn is_finite(&self) -> Result<bool, SolveError> {
        let unit = Tolerances {
            rtol: 1.0,
            atol: 1.0,
        };
        Ok(Self::scaled_square_sum(self, self, self, &unit)?.is_finite())
    }

    /// The sample of the batch with the largest scaled error, or the first one that is not finite.
    /// Called only after a failure; `None` where samples have no meaning.
    fn worst_sample(error: &Self, y0: &Self, y1: &Self, tolerances: &Tolerances) -> Option<usize>;

    /// The root mean square of the scaled error; see [`State::scaled_square_sum`].
    ///
    /// # Errors
    /// [`SolveError::Device`] if the device fails.
    fn scaled_norm(
        error: &Self,
        y0: &Self,
        y1: &Self,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        Ok(Self::scaled_mean_square(error, y0, y1, tolerances)?.sqrt())
    }

    /// The square of [`State::scaled_norm`].
    ///
    /// # Errors
    /// [`SolveError::Device`] if the device fails.
    fn scaled_mean_square(
        error: &Self,
        y0: &Self,
        y1: &Self,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        #[allow(
            clippy::cast_precision_loss,
            reason = "a state of 2^53 scalars fits no memory"
        )]
        let count = error.len().max(1) as f64;
        Ok(Self::scaled_square_sum(error, y0, y1, tolerances)? / count)
    }
}

/// An error unless `found` has the samples and the features of `expected`.
pub(crate) fn alike<Y: State>(expected: &Y, found: &Y) -> Result<(), SolveError> {
    if expected.len() == found.len() && expected.samples() == found.samples() {
        return Ok(());
    }
    let shape = |state: &Y| match state.samples() {
        0 | 1 => vec![state.len()],
        samples => vec![samples, state.len() / samples],
    };
    Err(SolveError::ShapeMismatch {
        expected: shape(expected),
        found: shape(found),
    })
}

/// 1 or -1, a function of a seed and a place.
///
/// # Sources
/// G. L. Steele Jr., D. Lea, C. H. Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014,
/// doi:10.1145/2660193.2660195: `SplitMix64`, of which this is the top bit.
pub fn random_sign(seed: u64, place: usize) -> f64 {
    let steps = (place as u64).wrapping_add(1);
    let mut bits = seed.wrapping_add(steps.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    if (bits ^ (bits >> 31)) >> 63 == 0 {
        1.0
    } else {
        -1.0
    }
}

/// What stands for squares too large for f64: sums of many of them are finite.
const LARGEST_SQUARE: f64 = 1e300;

/// The sum of the squares of scaled errors, in f64; not finite only if an error, or the state after it, is not.
pub fn exact_square_sum(errors: impl Iterator<Item = Scaled>) -> f64 {
    let mut sum = 0.0;
    for Scaled { error, scale, y1 } in errors {
        if !(error.is_finite() && y1.is_finite()) {
            return f64::NAN;
        }
        let scaled = error / scale;
        sum += scaled * scaled;
    }
    if sum > LARGEST_SQUARE {
        LARGEST_SQUARE
    } else {
        sum
    }
}

/// An error, the one that is allowed, and the scalar of the state after it.
#[derive(Clone, Copy, Debug)]
pub struct Scaled {
    pub(crate) error: f64,
    pub(crate) scale: f64,
    pub(crate) y1: f64,
}

impl Scaled {
    /// The error in `y1`, `y0` before.
    pub fn new(error: f64, (y0, y1): (f64, f64), tolerances: &Tolerances) -> Self {
        let Tolerances { rtol, atol } = *tolerances;
        Self {
            error,
            scale: atol + rtol * y0.abs().max(y1.abs()),
            y1,
        }
    }
}

/// The sample with the largest scaled error, or the first one where it or the state is not finite; each
/// sample has `per_sample` of them.
pub fn worst_of(errors: impl Iterator<Item = Scaled>, per_sample: usize) -> Option<usize> {
    let mut worst = (0.0, None);
    for (index, Scaled { error, scale, y1 }) in errors.enumerate() {
        let sample = Some(index / per_sample.max(1));
        if !error.is_finite() || !y1.is_finite() {
            return sample;
        }
        let scaled = error.abs() / scale;
        if scaled > worst.0 {
            worst = (scaled, sample);
        }
    }
    worst.1
}

impl<Y: State> State for Vec<Y> {
    fn len(&self) -> usize {
        self.iter().map(State::len).sum()
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.iter().map(State::bytes).sum::<usize>()
    }

    fn dot(&self, other: &Self) -> Result<f64, SolveError> {
        let pairs = self.iter().zip(other);
        pairs.map(|(a, b)| a.dot(b)).sum()
    }

    fn epsilon(&self) -> f64 {
        self.iter().map(State::epsilon).fold(0.0, f64::max)
    }

    fn combine_into<'a>(
        &self,
        terms: impl Iterator<Item = (f64, &'a Self)> + Clone,
        out: &mut Self,
    ) -> Result<(), SolveError>
    where
        Self: 'a,
    {
        for (index, (part, out)) in self.iter().zip(out.iter_mut()).enumerate() {
            let parts = terms
                .clone()
                .filter_map(|(c, x)| x.get(index).map(|x| (c, x)));
            part.combine_into(parts, out)?;
        }
        Ok(())
    }

    fn zeros_like(&self) -> Result<Self, SolveError> {
        self.iter().map(State::zeros_like).collect()
    }

    fn scaled_square_sum(
        error: &Self,
        y0: &Self,
        y1: &Self,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        let mut sum = 0.0;
        for ((error, y0), y1) in error.iter().zip(y0).zip(y1) {
            sum += Y::scaled_square_sum(error, y0, y1, tolerances)?;
        }
        Ok(sum)
    }

    fn worst_sample(_: &Self, _: &Self, _: &Self, _: &Tolerances) -> Option<usize> {
        None
    }
}

/// The sizes beside which a reverse solve measures the errors of its parts, in the units of these parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizes {
    /// Of the cotangent of `y`.
    pub lambda: f64,
    /// Of the cotangent of the parameters.
    pub mu: f64,
}

/// The state of a reverse solve: the cotangent of `y`, and what an adjoint carries along with it.
///
/// All states of one solve have the same parts and sizes. The error of a cotangent is measured beside
/// `rtol * (size + |cotangent|)`: like the cotangent itself this grows with the loss, so that a loss times a constant
/// takes the same steps. The error of `y` is measured as in the forward solve. The norm is the largest one of a part.
#[derive(Clone, Debug)]
pub struct Augmented<Y, P> {
    /// `dL/dy(t)`, of the shape of `y`.
    pub lambda: Y,
    /// The integral of `(df/dtheta)^T lambda` from `t` to the end, of the shape of the parameters.
    pub mu: Option<P>,
    /// The solution `y(t)` itself.
    pub y: Option<Y>,
    /// What counts as small.
    pub sizes: Sizes,
}

/// The part of each term that `of` picks; all states of a solve have the same ones.
fn parts<'a, S: 'a, X: 'a>(
    terms: impl Iterator<Item = (f64, &'a S)> + Clone,
    of: impl Fn(&'a S) -> Option<&'a X> + Clone,
) -> impl Iterator<Item = (f64, &'a X)> + Clone {
    terms.filter_map(move |(c, x)| of(x).map(|part| (c, part)))
}

/// The tolerances of a part beside this size. What vanishes in f32 would make the error of a zero NaN.
fn beside(size: f64, tolerances: &Tolerances) -> Tolerances {
    Tolerances {
        rtol: tolerances.rtol,
        atol: (tolerances.rtol * size).max(f64::from(f32::MIN_POSITIVE)),
    }
}

/// The larger number, or NaN if one of them is.
pub(crate) fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b {
        a
    } else {
        b
    }
}

impl<Y: State, P: State> State for Augmented<Y, P> {
    fn unset(&self) -> Self {
        Self {
            lambda: self.lambda.unset(),
            mu: self.mu.as_ref().map(State::unset),
            y: self.y.as_ref().map(State::unset),
            sizes: self.sizes,
        }
    }

    fn len(&self) -> usize {
        let parts = [
            self.mu.as_ref().map(State::len),
            self.y.as_ref().map(State::len),
        ];
        self.lambda.len() + parts.into_iter().flatten().sum::<usize>()
    }

    fn samples(&self) -> usize {
        self.lambda.samples()
    }

    fn bytes(&self) -> usize {
        let parts = [
            self.mu.as_ref().map(State::bytes),
            self.y.as_ref().map(State::bytes),
        ];
        self.lambda.bytes() + parts.into_iter().flatten().sum::<usize>()
    }

    fn epsilon(&self) -> f64 {
        self.lambda.epsilon()
    }

    fn combine_into<'a>(
        &self,
        terms: impl Iterator<Item = (f64, &'a Self)> + Clone,
        out: &mut Self,
    ) -> Result<(), SolveError>
    where
        Self: 'a,
    {
        let lambdas = terms.clone().map(|(c, x)| (c, &x.lambda));
        self.lambda.combine_into(lambdas, &mut out.lambda)?;
        if let (Some(mu), Some(out)) = (&self.mu, &mut out.mu) {
            mu.combine_into(parts(terms.clone(), |x: &Self| x.mu.as_ref()), out)?;
        }
        if let (Some(y), Some(out)) = (&self.y, &mut out.y) {
            y.combine_into(parts(terms, |x: &Self| x.y.as_ref()), out)?;
        }
        Ok(())
    }

    fn zeros_like(&self) -> Result<Self, SolveError> {
        Ok(Self {
            lambda: self.lambda.zeros_like()?,
            mu: self.mu.as_ref().map(State::zeros_like).transpose()?,
            y: self.y.as_ref().map(State::zeros_like).transpose()?,
            sizes: self.sizes,
        })
    }

    fn scaled_square_sum(
        error: &Self,
        y0: &Self,
        y1: &Self,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        let lambda = beside(y0.sizes.lambda, tolerances);
        let mut sum = Y::scaled_square_sum(&error.lambda, &y0.lambda, &y1.lambda, &lambda)?;
        if let (Some(error), Some(mu0), Some(mu1)) = (&error.mu, &y0.mu, &y1.mu) {
            let mu = beside(y0.sizes.mu, tolerances);
            sum += P::scaled_square_sum(error, mu0, mu1, &mu)?;
        }
        if let (Some(error), Some(y0), Some(y1)) = (&error.y, &y0.y, &y1.y) {
            sum += Y::scaled_square_sum(error, y0, y1, tolerances)?;
        }
        Ok(sum)
    }

    fn scaled_mean_square(
        error: &Self,
        y0: &Self,
        y1: &Self,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        let lambda = beside(y0.sizes.lambda, tolerances);
        let mut largest = Y::scaled_mean_square(&error.lambda, &y0.lambda, &y1.lambda, &lambda)?;
        if let (Some(error), Some(mu0), Some(mu1)) = (&error.mu, &y0.mu, &y1.mu) {
            let mu = beside(y0.sizes.mu, tolerances);
            largest = larger(largest, P::scaled_mean_square(error, mu0, mu1, &mu)?);
        }
        if let (Some(error), Some(y0), Some(y1)) = (&error.y, &y0.y, &y1.y) {
            largest = larger(largest, Y::scaled_mean_square(error, y0, y1, tolerances)?);
        }
        Ok(largest)
    }

    fn worst_sample(error: &Self, y0: &Self, y1: &Self, tolerances: &Tolerances) -> Option<usize> {
        let lambda = beside(y0.sizes.lambda, tolerances);
        Y::worst_sample(&error.lambda, &y0.lambda, &y1.lambda, &lambda)
    }
}
