//! Fields written as closures: one small system, or a batch of them in tiles.

use core::{fmt, marker::PhantomData};

use pulp::{Arch, Simd, WithSimd};

use crate::{
    error::SolveError,
    options::Tolerances,
    state::{exact_square_sum, worst_of, State},
    step::Attempt,
    tableau::ButcherTableau,
    vector_field::VectorField,
};

use super::{
    field::TileKernel,
    kernel::{Row, Tile},
    real::Real,
    HostEngine,
};

/// A vector field `f(t, y)` of `N` numbers without parameters, as a closure.
///
/// As it stands it solves one system whose state is an array: no buffer, no tile. [`FnField::batch`] makes an
/// engine that solves many at once, with one step size for all.
///
/// # Examples
/// ```
/// use neuralode_runtime::{solve::solve, tableau::TSIT5, FnField, SolveOptions};
///
/// let mut lorenz = FnField::new(|_t, [x, y, z]: &[f64; 3]| {
///     [10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z]
/// });
/// let options = SolveOptions::new(0.0, 10.0, 1e-9, 1e-9);
/// let solution = solve(&mut lorenz, &TSIT5, [1.0, 0.0, 0.0], &options, &mut ())?;
/// assert!(solution.y.iter().all(|y| y.abs() < 50.0));
/// # Ok::<(), neuralode_runtime::SolveError>(())
/// ```
#[derive(Clone, Copy)]
pub struct FnField<F, E, const N: usize> {
    f: F,
    arch: Arch,
    state: PhantomData<[E; N]>,
}

impl<F, E, const N: usize> fmt::Debug for FnField<F, E, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnField")
            .field("features", &N)
            .finish_non_exhaustive()
    }
}

impl<F: Fn(f64, &[E; N]) -> [E; N], E: Real, const N: usize> FnField<F, E, N> {
    /// The field of this closure.
    pub fn new(f: F) -> Self {
        Self {
            f,
            arch: Arch::new(),
            state: PhantomData,
        }
    }

    /// An engine for a batch of states, in tiles of `L` samples (32 of f32, 16 of f64). The closure runs for
    /// all samples of a tile at once where the compiler can vectorise it: it is fastest without branches.
    pub fn batch<const L: usize>(self) -> HostEngine<Self, E, N, L>
    where
        F: Sync,
    {
        HostEngine::with_field(self)
    }
}

impl<F: Fn(f64, &[E; N]) -> [E; N] + Sync, E: Real, const N: usize, const L: usize>
    TileKernel<E, N, L> for FnField<F, E, N>
{
    fn scratch(&self) -> usize {
        0
    }

    fn products(&self) -> usize {
        // What the closure does is not known; a few products per feature are likely.
        4 * N
    }

    #[inline(always)]
    fn eval<S: Simd>(
        &self,
        _: S,
        t: f64,
        y: &Tile<E, N, L>,
        dy: &mut Tile<E, N, L>,
        _: &mut [Row<E, L>],
    ) {
        for l in 0..L {
            let value = (self.f)(t, &core::array::from_fn(|n| y[n][l]));
            for (dy, value) in dy.iter_mut().zip(value) {
                dy[l] = value;
            }
        }
    }
}

impl<F: Fn(f64, &[E; N]) -> [E; N], E: Real, const N: usize> VectorField for FnField<F, E, N> {
    type State = [E; N];

    fn eval(&mut self, t: f64, y: &[E; N], dy: &mut [E; N]) -> Result<(), SolveError> {
        *dy = (self.f)(t, y);
        Ok(())
    }

    #[inline]
    fn attempt<const S: usize>(
        &mut self,
        tableau: &ButcherTableau<S>,
        step: &mut Attempt<[E; N], S>,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        if S > STAGES {
            return step.by_parts(tableau, tolerances, |t, y, dy| self.eval(t, y, dy));
        }
        let sum = self.arch.dispatch(Straight {
            f: &self.f,
            tableau,
            step,
            tolerances,
        });
        if sum.is_finite() {
            return Ok((sum * Self::MEAN).sqrt());
        }
        step.error_norm(tableau, tolerances)
    }
}

impl<F, E, const N: usize> FnField<F, E, N> {
    #[allow(clippy::cast_precision_loss, reason = "no array has 2^53 numbers")]
    const MEAN: f64 = if N == 0 { 1.0 } else { 1.0 / N as f64 };
}

/// The most stages that are written out one by one.
const STAGES: usize = 17;

/// A whole step with every loop unrolled: stages and features are constants.
struct Straight<'a, F, E, const N: usize, const S: usize> {
    f: &'a F,
    tableau: &'a ButcherTableau<S>,
    step: &'a mut Attempt<[E; N], S>,
    tolerances: &'a Tolerances,
}

impl<F: Fn(f64, &[E; N]) -> [E; N], E: Real, const N: usize, const STAGES: usize>
    Straight<'_, F, E, N, STAGES>
{
    /// Stage `I`; its argument is the step's end if it is the last one.
    #[inline(always)]
    fn stage<S: Simd, const I: usize>(&mut self, h: E) {
        let (tableau, step) = (self.tableau, &mut *self.step);
        // The newest stage comes last and costs one operation: all others are added up while it is computed.
        let older = weighted_sum::<S, E, N>(&tableau.a[I][..I - 1], &step.k);
        let newest = h * E::from_f64(tableau.a[I][I - 1]);
        let argument = core::array::from_fn(|n| {
            let partial = h.mul_add::<S>(older[n], step.y[n]);
            newest.mul_add::<S>(step.k[I - 1][n], partial)
        });
        step.k[I] = (self.f)(step.h.mul_add(tableau.c[I], step.t), &argument);
        if I + 1 == STAGES {
            step.y1 = argument;
        }
    }
}

/// `sum(w_j k_j)` over as many stages as there are weights.
#[inline(always)]
fn weighted_sum<S: Simd, E: Real, const N: usize>(weights: &[f64], k: &[[E; N]]) -> [E; N] {
    let mut sum = [E::default(); N];
    for (w, k) in weights.iter().zip(k) {
        let w = E::from_f64(*w);
        for n in 0..N {
            sum[n] = w.mul_add::<S>(k[n], sum[n]);
        }
    }
    sum
}

macro_rules! stages {
    ($this:ident, $h:ident, $($i:literal)*) => {
        $(if const { $i < STAGES } {
            $this.stage::<S, $i>($h);
        })*
    };
}

impl<F: Fn(f64, &[E; N]) -> [E; N], E: Real, const N: usize, const STAGES: usize> WithSimd
    for Straight<'_, F, E, N, STAGES>
{
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> f64 {
        let h = E::from_f64(self.step.h);
        stages!(self, h, 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
        let step = &*self.step;
        let weights = &self.tableau.b_err;
        let older = weighted_sum::<S, E, N>(&weights[..STAGES - 1], &step.k);
        let newest = h * E::from_f64(weights[STAGES - 1]);
        let mut total = 0.0;
        for n in 0..N {
            let (y0, y1) = (step.y[n].to_f64(), step.y1[n].to_f64());
            let scale = self.tolerances.atol + self.tolerances.rtol * y0.abs().max(y1.abs());
            // Its inverse does not wait for the last stage.
            let inverse = 1.0 / scale;
            let error = newest.mul_add::<S>(step.k[STAGES - 1][n], h * older[n]);
            let scaled = error.to_f64() * inverse;
            total += scaled * scaled + y1 * 0.0;
        }
        total
    }
}

/// Every number's error over its scale, with the number of `y1`.
fn scaled_errors<'a, E: Real>(
    error: &'a [E],
    y0: &'a [E],
    y1: &'a [E],
    tolerances: &'a Tolerances,
) -> impl Iterator<Item = (f64, f64)> + 'a {
    error
        .iter()
        .zip(y0.iter().zip(y1))
        .map(|(error, (y0, y1))| {
            let (error, y0, y1) = (error.to_f64(), y0.to_f64(), y1.to_f64());
            let scale = tolerances.atol + tolerances.rtol * y0.abs().max(y1.abs());
            (error.abs() / scale, y1)
        })
}

/// One small system: a state without a buffer.
impl<E: Real, const N: usize> State for [E; N] {
    fn len(&self) -> usize {
        N
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
        *out = *self;
        for (c, x) in terms {
            let c = E::from_f64(c);
            for (out, x) in out.iter_mut().zip(x) {
                *out += c * *x;
            }
        }
        Ok(())
    }

    fn zeros_like(&self) -> Result<Self, SolveError> {
        Ok([E::default(); N])
    }

    fn scaled_square_sum(
        error: &Self,
        y0: &Self,
        y1: &Self,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        Ok(exact_square_sum(scaled_errors(error, y0, y1, tolerances)))
    }

    fn worst_sample(error: &Self, y0: &Self, y1: &Self, tolerances: &Tolerances) -> Option<usize> {
        worst_of(scaled_errors(error, y0, y1, tolerances), N)
    }
}
