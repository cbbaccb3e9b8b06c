//! States and parameters' cotangents in flat buffers.

use pulp::{Arch, Simd, WithSimd};

use crate::{
    kernel::tile::Row,
    ode::{
        error::SolveError,
        options::Tolerances,
        state::{exact_square_sum, random_sign, worst_of, Scaled, State},
    },
    simd::{parallel, pool, real::Real},
};

/// A batch of states in tiles of `L` samples: blocks of samples side by side, one row per feature.
///
/// Lanes of the last tile that belong to no sample repeat the last one, so that they are as harmless as it;
/// norms and gradients leave them out. Buffers come from a list of free ones and go back to it.
#[derive(Debug)]
pub struct Tiles<E: Real, const L: usize> {
    samples: usize,
    features: usize,
    rows: Vec<Row<E, L>>,
}

impl<E: Real, const L: usize> Tiles<E, L> {
    /// From the states of all samples, one array each.
    pub fn from_rows<const N: usize>(rows: &[[E; N]]) -> Self {
        const { assert!(N > 0, "a state has at least one feature") };
        Self::from_whole_rows(N, rows.as_flattened())
    }

    /// From the numbers of all samples, one sample of so many features after the other.
    ///
    /// # Errors
    /// [`SolveError::ShapeMismatch`] if a sample is incomplete, [`SolveError::EmptyBatch`] if there is no feature.
    pub fn from_flat(features: usize, numbers: &[E]) -> Result<Self, SolveError> {
        if features == 0 {
            return Err(SolveError::EmptyBatch {
                shape: vec![numbers.len(), features],
            });
        }
        let samples = numbers.len().div_ceil(features);
        if samples * features != numbers.len() {
            return Err(SolveError::ShapeMismatch {
                expected: vec![samples, features],
                found: vec![numbers.len()],
            });
        }
        Ok(Self::from_whole_rows(features, numbers))
    }

    /// Tiles whose contents mean nothing.
    fn of_any(samples: usize, features: usize) -> Self {
        let count = samples.div_ceil(L) * features;
        let mut rows = pool::with_room::<pool::States, _>(count);
        rows.resize(count, Row::default());
        Self {
            samples,
            features,
            rows,
        }
    }

    /// The same of numbers that are known to be complete: what is left is no sample.
    #[doc(hidden)]
    pub fn from_whole_rows(features: usize, rows: &[E]) -> Self {
        let samples = rows.len() / features.max(1);
        let mut this = Self::of_any(samples, features);
        for (index, tile) in this.rows.chunks_exact_mut(features.max(1)).enumerate() {
            for lane in 0..L {
                let sample = (index * L + lane).min(samples - 1);
                let row = &rows[sample * features..][..features];
                for (feature, x) in tile.iter_mut().zip(row) {
                    feature[lane] = *x;
                }
            }
        }
        this
    }

    /// The numbers of all samples, one sample after the other.
    pub fn to_rows(&self) -> Vec<E> {
        let features = self.features.max(1);
        let mut rows = vec![E::default(); self.samples * self.features];
        let chunks = rows.chunks_mut(features * L);
        for (tile, rows) in self.rows.chunks_exact(features).zip(chunks) {
            for (lane, row) in rows.chunks_exact_mut(features).enumerate() {
                for (x, feature) in row.iter_mut().zip(tile) {
                    *x = feature[lane];
                }
            }
        }
        rows
    }

    /// Features of a sample.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Number of samples.
    pub(crate) fn samples(&self) -> usize {
        self.samples
    }

    /// The features of all tiles, one after the other.
    pub(crate) fn rows(&self) -> &[Row<E, L>] {
        &self.rows
    }

    /// The same, to be written.
    pub(crate) fn rows_mut(&mut self) -> &mut [Row<E, L>] {
        &mut self.rows
    }

    /// The same with zeros in the lanes that belong to no sample: what a cotangent must have.
    #[must_use]
    pub fn with_empty_padding(mut self) -> Self {
        self.pad_with_zeros();
        self
    }
}

impl<E: Real, const L: usize> Drop for Tiles<E, L> {
    fn drop(&mut self) {
        pool::give::<pool::States, _>(core::mem::take(&mut self.rows));
    }
}

impl<E: Real, const L: usize> Clone for Tiles<E, L> {
    fn clone(&self) -> Self {
        let mut rows = pool::with_room::<pool::States, _>(self.rows.len());
        rows.clear();
        rows.extend_from_slice(&self.rows);
        Self {
            samples: self.samples,
            features: self.features,
            rows,
        }
    }
}

/// The longest combination that is gathered at once; longer ones take several passes.
const TERMS: usize = 16;

/// `out = base + sum(c x)` over all terms, in one pass through memory.
struct Combine<'a, E, const L: usize> {
    base: &'a [Row<E, L>],
    terms: &'a [(E, &'a [Row<E, L>])],
    out: &'a mut [Row<E, L>],
    /// The row of the terms that belongs to the first of `base` and `out`.
    first: usize,
}

impl<E, const L: usize> Combine<'_, E, L> {
    fn split_at(self, at: usize) -> (Self, Self) {
        let (terms, first) = (self.terms, self.first);
        let (base_low, base_high) = self.base.split_at(at);
        let (out_low, out_high) = self.out.split_at_mut(at);
        let part = |base, out, first| Combine {
            base,
            terms,
            out,
            first,
        };
        (
            part(base_low, out_low, first),
            part(base_high, out_high, first + at),
        )
    }
}

impl<E: Real, const L: usize> WithSimd for Combine<'_, E, L> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for index in 0..self.base.len().min(self.out.len()) {
            let base = E::registers::<S>(&*self.base[index]);
            let out = E::registers_mut::<S>(&mut *self.out[index]);
            for register in 0..L / E::lanes::<S>() {
                let mut sum = base[register];
                for (c, x) in self.terms {
                    let x = E::registers::<S>(&*x[self.first + index])[register];
                    sum = E::fma(simd, E::splat(simd, *c), x, sum);
                }
                out[register] = sum;
            }
        }
    }
}

/// [`Combine`] under the widest instructions, shared by threads where that pays. Compiled once per state, whatever
/// iterators bring the terms.
#[inline(never)]
fn pass<E: Real, const L: usize>(
    base: &[Row<E, L>],
    terms: &[(E, &[Row<E, L>])],
    out: &mut [Row<E, L>],
) {
    let numbers = out.len() * L * (terms.len() + 2);
    let threads = parallel::threads_of_pass(numbers, out.len());
    let whole = Combine {
        base,
        terms,
        out,
        first: 0,
    };
    pass_part(whole, threads);
}

fn pass_part<E: Real, const L: usize>(part: Combine<'_, E, L>, threads: usize) {
    if threads <= 1 {
        Arch::new().dispatch(part);
        return;
    }
    let at = parallel::first_half(part.out.len(), threads);
    let (low, high) = part.split_at(at);
    let half = threads / 2;
    rayon::join(|| pass_part(low, half), || pass_part(high, threads - half));
}

fn combine<'a, E: Real, const L: usize>(
    base: &[Row<E, L>],
    terms: impl Iterator<Item = (f64, &'a [Row<E, L>])>,
    out: &mut [Row<E, L>],
) {
    let mut gathered: [(E, &[Row<E, L>]); TERMS] = [(E::default(), &[]); TERMS];
    let mut count = 0;
    let mut first = true;
    for (c, x) in terms {
        if count == TERMS {
            let sum = if first { base.to_vec() } else { out.to_vec() };
            pass(&sum, &gathered, out);
            (first, count) = (false, 0);
        }
        gathered[count] = (E::from_f64(c), x);
        count += 1;
    }
    let terms = &gathered[..count];
    if first {
        pass(base, terms, out);
    } else {
        let sum = out.to_vec();
        pass(&sum, terms, out);
    }
}

/// The sum over the first `used` lanes of the squared scaled errors of one tile.
#[inline(always)]
pub(crate) fn tile_square_sum<S: Simd, E: Real, const L: usize>(
    error: &[Row<E, L>],
    y0: &[Row<E, L>],
    y1: &[Row<E, L>],
    (rtol, atol): (E, E),
    used: usize,
) -> f64 {
    let mut sums = [E::default(); L];
    for n in 0..error.len() {
        add_squares::<S, E, L>(&mut sums, &error[n], (&y0[n], &y1[n]), (rtol, atol));
    }
    let mut total = 0.0;
    for sum in &sums[..used] {
        total += sum.to_f64();
    }
    total
}

/// Adds the squares of one row of scaled errors to the sum of every lane, which is not finite where `y1` is not.
#[inline(always)]
pub(crate) fn add_squares<S: Simd, E: Real, const L: usize>(
    sums: &mut [E; L],
    error: &Row<E, L>,
    (y0, y1): (&Row<E, L>, &Row<E, L>),
    (rtol, atol): (E, E),
) {
    for l in 0..L {
        let size = y0[l].abs().max(y1[l].abs());
        let scaled = error[l] / rtol.mul_add::<S>(size, atol);
        // Zero for a finite state, NaN otherwise: an infinite `y1` would hide in the scale.
        let guard = y1[l] * E::default();
        sums[l] = scaled.mul_add::<S>(scaled, sums[l] + guard);
    }
}

/// The sums over features of the squared scaled errors, lane by lane, then over lanes and tiles in f64.
struct ScaledSquares<'a, E: Real, const L: usize> {
    samples: usize,
    features: usize,
    error: &'a [Row<E, L>],
    y0: &'a [Row<E, L>],
    y1: &'a [Row<E, L>],
    tolerances: (E, E),
}

impl<E: Real, const L: usize> WithSimd for ScaledSquares<'_, E, L> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let mut total = 0.0;
        let mut left = self.samples;
        let features = self.features.max(1);
        let states = self.y0.chunks(features).zip(self.y1.chunks(features));
        for (error, (y0, y1)) in self.error.chunks(features).zip(states) {
            let used = left.min(L);
            total += tile_square_sum::<S, E, L>(error, y0, y1, self.tolerances, used);
            left -= used;
        }
        total
    }
}

impl<E: Real, const L: usize> State for Tiles<E, L> {
    fn unset(&self) -> Self {
        Self::of_any(self.samples, self.features)
    }

    fn nothing(&self) -> Self {
        Self {
            samples: 0,
            features: self.features,
            rows: Vec::new(),
        }
    }

    fn len(&self) -> usize {
        self.samples * self.features
    }

    fn samples(&self) -> usize {
        self.samples
    }

    fn is_padded_with_zeros(&self) -> bool {
        let used = self.samples % L;
        let mut last = self.rows.iter().rev().take(self.features);
        used == 0 || last.all(|feature| feature[used..].iter().all(|x| *x == E::default()))
    }

    fn pad_with_zeros(&mut self) {
        let used = self.samples % L;
        if used > 0 {
            for feature in self.rows.iter_mut().rev().take(self.features) {
                feature[used..].fill(E::default());
            }
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(self.rows.as_slice())
    }

    fn dot(&self, other: &Self) -> Result<f64, SolveError> {
        let pairs = self.to_rows().into_iter().zip(other.to_rows());
        Ok(pairs.map(|(a, b)| a.to_f64() * b.to_f64()).sum())
    }

    fn sample_norms(&self, norms: &mut Vec<f64>) -> Result<(), SolveError> {
        norms.clear();
        for tile in self.rows().chunks(self.features.max(1)) {
            let mut squares = [0.0; L];
            for row in tile {
                for l in 0..L {
                    let x = row[l].to_f64();
                    squares[l] += x * x;
                }
            }
            norms.extend(squares.map(f64::sqrt));
        }
        norms.truncate(self.samples);
        Ok(())
    }

    fn epsilon(&self) -> f64 {
        E::EPSILON
    }

    fn combine_into<'a>(
        &self,
        terms: impl Iterator<Item = (f64, &'a Self)> + Clone,
        out: &mut Self,
    ) -> Result<(), SolveError>
    where
        Self: 'a,
    {
        let terms = terms.map(|(c, x)| (c, x.rows()));
        combine(self.rows(), terms, out.rows_mut());
        Ok(())
    }

    fn zeros_like(&self) -> Result<Self, SolveError> {
        Ok(Self {
            samples: self.samples,
            features: self.features,
            rows: pool::filled::<pool::States, _>(self.rows.len(), Row::default()),
        })
    }

    fn signs(&self, seed: u64) -> Result<Self, SolveError> {
        let numbers = (0..State::len(self)).map(|place| E::from_f64(random_sign(seed, place)));
        Ok(Self::from_whole_rows(
            self.features,
            &numbers.collect::<Vec<_>>(),
        ))
    }

    fn scaled_square_sum(
        error: &Self,
        y0: &Self,
        y1: &Self,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        let sum = Arch::new().dispatch(ScaledSquares {
            samples: error.samples,
            features: error.features,
            error: error.rows(),
            y0: y0.rows(),
            y1: y1.rows(),
            tolerances: (E::from_f64(tolerances.rtol), E::from_f64(tolerances.atol)),
        });
        if sum.is_finite() {
            return Ok(sum);
        }
        // The squares of f32 overflow long before the numbers do: look again in f64.
        Ok(exact_square_sum(scaled_errors(error, y0, y1, tolerances)))
    }

    fn worst_sample(error: &Self, y0: &Self, y1: &Self, tolerances: &Tolerances) -> Option<usize> {
        worst_of(scaled_errors(error, y0, y1, tolerances), error.features)
    }
}

/// Every scalar's error with its scale, in f64 and in the order of samples.
fn scaled_errors<E: Real, const L: usize>(
    error: &Tiles<E, L>,
    y0: &Tiles<E, L>,
    y1: &Tiles<E, L>,
    tolerances: &Tolerances,
) -> impl Iterator<Item = Scaled> {
    let tolerances = *tolerances;
    let y = y0.to_rows().into_iter().zip(y1.to_rows());
    let errors = error.to_rows().into_iter().zip(y);
    errors.map(move |(error, (y0, y1))| {
        Scaled::new(error.to_f64(), (y0.to_f64(), y1.to_f64()), &tolerances)
    })
}

/// A cotangent of all parameters of a field, in the order in which dfdx visits them.
#[derive(Clone, Debug)]
pub struct Params<E>(pub Vec<E>);

impl<E: Real> State for Params<E> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(self.0.as_slice())
    }

    fn dot(&self, other: &Self) -> Result<f64, SolveError> {
        let pairs = self.0.iter().zip(&other.0);
        Ok(pairs.map(|(a, b)| a.to_f64() * b.to_f64()).sum())
    }

    fn epsilon(&self) -> f64 {
        E::EPSILON
    }

    fn combine_into<'a>(
        &self,
        terms: impl Iterator<Item = (f64, &'a Self)> + Clone,
        out: &mut Self,
    ) -> Result<(), SolveError>
    where
        Self: 'a,
    {
        out.0.copy_from_slice(&self.0);
        for (c, x) in terms {
            Arch::new().dispatch(AddTo {
                c: E::from_f64(c),
                x: &x.0,
                out: &mut out.0,
            });
        }
        Ok(())
    }

    fn zeros_like(&self) -> Result<Self, SolveError> {
        Ok(Self(vec![E::default(); self.0.len()]))
    }

    fn scaled_square_sum(
        error: &Self,
        y0: &Self,
        y1: &Self,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        let sum = Arch::new().dispatch(ParamsSquares {
            error: &error.0,
            y0: &y0.0,
            y1: &y1.0,
            tolerances: *tolerances,
        });
        if sum.is_finite() {
            return Ok(sum);
        }
        let y = y0.0.iter().zip(&y1.0);
        let errors = error.0.iter().zip(y).map(|(error, (y0, y1))| {
            Scaled::new(error.to_f64(), (y0.to_f64(), y1.to_f64()), tolerances)
        });
        Ok(exact_square_sum(errors))
    }

    fn worst_sample(_: &Self, _: &Self, _: &Self, _: &Tolerances) -> Option<usize> {
        None
    }
}

/// Adds `c x` to `out`.
struct AddTo<'a, E> {
    c: E,
    x: &'a [E],
    out: &'a mut [E],
}

impl<E: Real> WithSimd for AddTo<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (out, x) in self.out.iter_mut().zip(self.x) {
            *out = self.c.mul_add::<S>(*x, *out);
        }
    }
}

/// The sum of the squared scaled errors of a list of numbers, in f64: of every eighth number, then of these eight.
struct ParamsSquares<'a, E> {
    error: &'a [E],
    y0: &'a [E],
    y1: &'a [E],
    tolerances: Tolerances,
}

impl<E: Real> WithSimd for ParamsSquares<'_, E> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let Tolerances { rtol, atol } = self.tolerances;
        let mut sums = [0.0; 8];
        let add = |sum: &mut f64, error: E, y0: E, y1: E| {
            let (error, y0, y1) = (error.to_f64(), y0.to_f64(), y1.to_f64());
            let scaled = error / (atol + rtol * y0.abs().max(y1.abs()));
            // Zero for a finite number, NaN otherwise: an infinite `y1` would hide in the scale.
            *sum += scaled * scaled + y1 * 0.0;
        };
        let (errors, error_rest) = self.error.as_chunks::<8>();
        let (y0s, y0_rest) = self.y0.as_chunks::<8>();
        let (y1s, y1_rest) = self.y1.as_chunks::<8>();
        for (error, (y0, y1)) in errors.iter().zip(y0s.iter().zip(y1s)) {
            for l in 0..8 {
                add(&mut sums[l], error[l], y0[l], y1[l]);
            }
        }
        for (l, (error, (y0, y1))) in error_rest
            .iter()
            .zip(y0_rest.iter().zip(y1_rest))
            .enumerate()
        {
            add(&mut sums[l], *error, *y0, *y1);
        }
        sums.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Tiles;
    use crate::ode::state::State;

    #[test]
    fn a_large_combination_is_the_same_on_any_number_of_threads() {
        // Small integers: every sum is exact.
        let rows = |step: u32| -> Vec<f32> {
            let numbers = (0..5000 * 20_u32).map(|i| i * step % 11);
            numbers
                .map(|i| f32::from(u8::try_from(i).unwrap()))
                .collect()
        };
        let (base, x, y) = (rows(3), rows(5), rows(7));
        let pairs = base.iter().zip(x.iter().zip(&y));
        let expected: Vec<f32> = pairs.map(|(b, (x, y))| b + 2.0 * x - 4.0 * y).collect();
        let tiles = [&base, &x, &y].map(|rows| Tiles::<f32, 32>::from_flat(20, rows).unwrap());
        let [base, x, y] = &tiles;
        for threads in [1, 2, 3, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let found = pool.build().unwrap().install(|| {
                let mut out = base.zeros_like().unwrap();
                let terms = [(2.0, x), (-4.0, y)];
                base.combine_into(terms.into_iter(), &mut out).unwrap();
                out.to_rows()
            });
            // Not the numbers in the message: there are many.
            assert!(found == expected, "{threads} threads differ");
        }
    }
}
