//! One sample at a time: states are arrays, and a step is straight-line code.

use core::{fmt, marker::PhantomData};

use pulp::{Arch, Simd, WithSimd};

use crate::{
    engine::tiles::state::Params,
    kernel::field::{Generated, TileField},
    ode::{
        error::SolveError,
        field::{
            back::{by_step, Cotangent, StepNorms, WalkBack},
            Differentiable, VectorField,
        },
        method::ButcherTableau,
        options::Tolerances,
        state::{exact_square_sum, random_sign, worst_of, Scaled, State},
        step::{Attempt, Step},
    },
    simd::{
        isa::{dispatch, Compiled},
        real::Real,
    },
};

/// A vector field over one sample of `N` features.
pub(crate) trait PointKernel<E, const N: usize>: Compiled {
    /// `f(t, y)`.
    fn eval<S: Simd>(&self, simd: S, t: f64, y: &[E; N]) -> [E; N];
}

impl<K: TileField<N>, E: Real, const N: usize> PointKernel<E, N> for Generated<K, E> {
    #[inline(always)]
    fn eval<S: Simd>(&self, simd: S, t: f64, y: &[E; N]) -> [E; N] {
        // A function of its own, compiled once for all stages.
        simd.vectorize(EvalOne::<K, E, N> {
            params: self.params(),
            transposed: self.transposed(),
            t,
            y,
            kernels: PhantomData,
        })
    }
}

struct EvalOne<'a, K, E, const N: usize> {
    params: &'a [E],
    transposed: &'a [E],
    t: f64,
    y: &'a [E; N],
    kernels: PhantomData<K>,
}

impl<K: TileField<N>, E: Real, const N: usize> WithSimd for EvalOne<'_, K, E, N> {
    type Output = [E; N];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [E; N] {
        K::forward_one(simd, self.params, self.transposed, self.t, self.y).1
    }
}

/// Whether a field is small enough to live on the stack, with all stages of a step.
pub const fn fits<K: TileField<N>, const N: usize>() -> bool {
    K::POINT && K::FIELD_RECORD + K::KEPT + K::SCRATCH <= 4096 && N <= 256
}

/// A generated field for one sample.
pub struct PointEngine<K, E, const N: usize> {
    field: Generated<K, E>,
    arch: Arch,
}

impl<K, E, const N: usize> fmt::Debug for PointEngine<K, E, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PointEngine")
            .field("field", &self.field)
            .finish_non_exhaustive()
    }
}

impl<K: TileField<N>, E: Real, const N: usize> PointEngine<K, E, N> {
    /// A generated field with these parameters; `None` unless there are as many as it has, and the processor
    /// has vector instructions.
    pub fn new(params: Vec<E>) -> Option<Self> {
        Some(Self {
            field: Generated::new(params)?,
            arch: Arch::new(),
        })
    }
}

struct Eval<'a, G, E, const N: usize> {
    field: &'a G,
    t: f64,
    y: &'a [E; N],
}

impl<G: PointKernel<E, N>, E: Real, const N: usize> WithSimd for Eval<'_, G, E, N> {
    type Output = [E; N];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [E; N] {
        self.field.eval(simd, self.t, self.y)
    }
}

impl<K: TileField<N>, E: Real, const N: usize> VectorField for PointEngine<K, E, N> {
    type State = [E; N];

    /// Blocks take tiles for that: every model would compile the loop once more.
    const GUIDED: bool = false;

    fn eval(&mut self, t: f64, y: &[E; N], dy: &mut [E; N]) -> Result<(), SolveError> {
        let field = &self.field;
        if let Some(value) = dispatch::<Generated<K, E>, _>(self.arch, Eval { field, t, y }) {
            *dy = value;
        }
        Ok(())
    }

    fn attempt<const S: usize>(
        &mut self,
        tableau: &ButcherTableau<S>,
        step: &mut Attempt<[E; N], S>,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        attempt(self.arch, &self.field, tableau, step, tolerances)
    }
}

impl<K: TileField<N>, E: Real, const N: usize> Differentiable for PointEngine<K, E, N> {
    type Params = Params<E>;

    fn zero_params(&mut self) -> Result<Params<E>, SolveError> {
        Ok(Params(vec![E::default(); K::PARAMS]))
    }

    fn has_kinks(&self) -> bool {
        K::KINKS
    }

    fn vjp(
        &mut self,
        t: f64,
        y: &[E; N],
        cotangent: &[E; N],
        y_bar: &mut [E; N],
        theta_bar: &mut Params<E>,
    ) -> Result<(), SolveError> {
        theta_bar.0.fill(E::default());
        let product = Vjp {
            field: &self.field,
            t,
            y,
            c: cotangent,
            theta_bar: &mut theta_bar.0,
        };
        if let Some(value) = dispatch::<Generated<K, E>, _>(self.arch, product) {
            *y_bar = value;
        }
        Ok(())
    }

    fn pull_back_steps<const S: usize>(
        &mut self,
        tableau: &ButcherTableau<S>,
        steps: &[Step<[E; N], [[E; N]; S]>],
        cotangents: &[Cotangent<[E; N]>],
        back: &mut WalkBack<[E; N], Params<E>>,
    ) -> Result<usize, SolveError> {
        let walk = PullBack {
            field: &self.field,
            tableau,
            steps,
            cotangents,
            lambda: &mut back.lambda,
            theta_bar: &mut back.theta_bar.0,
            norms: &mut back.norms,
        };
        Ok(dispatch::<Generated<K, E>, _>(self.arch, walk).unwrap_or_default())
    }
}

struct Vjp<'a, K, E, const N: usize> {
    field: &'a Generated<K, E>,
    t: f64,
    y: &'a [E; N],
    c: &'a [E; N],
    theta_bar: &'a mut [E],
}

impl<K: TileField<N>, E: Real, const N: usize> WithSimd for Vjp<'_, K, E, N> {
    type Output = [E; N];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [E; N] {
        let (params, transposed) = (self.field.params(), self.field.transposed());
        let (kept, value) = K::forward_one(simd, params, transposed, self.t, self.y);
        K::backward_one(
            simd,
            params,
            transposed,
            self.y,
            &kept,
            &value,
            *self.c,
            self.theta_bar,
        )
    }
}

/// See [`crate::ode::adjoint::discrete`]; returns the number of products.
struct PullBack<'a, K, E, const N: usize, const S: usize> {
    field: &'a Generated<K, E>,
    tableau: &'a ButcherTableau<S>,
    steps: &'a [Step<[E; N], [[E; N]; S]>],
    cotangents: &'a [Cotangent<[E; N]>],
    lambda: &'a mut [E; N],
    theta_bar: &'a mut [E],
    norms: &'a mut Vec<StepNorms>,
}

impl<K: TileField<N>, E: Real, const N: usize, const STAGES: usize> WithSimd
    for PullBack<'_, K, E, N, STAGES>
{
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let Self { field, tableau, .. } = self;
        let mut lambda = *self.lambda;
        let mut products = 0;
        let parts = by_step(self.steps, self.cotangents);
        for (step, cotangents) in self.steps.iter().zip(parts).rev() {
            let ends = cotangents.partition_point(|cotangent| step.theta(cotangent.t) < 1.0);
            let (inside, at_end) = cotangents.split_at(ends);
            for saved in at_end {
                add::<S, E, N>(E::ONE, &saved.value, &mut lambda);
            }
            let h = E::from_f64(step.h);
            // The stages' cotangents, less the factor h; what comes through later stages is added to them.
            let mut k_bars = tableau.b.map(|b| scaled(E::from_f64(b), &lambda));
            let mut live = tableau.b.map(|b| b != 0.0);
            let mut before = lambda;
            for saved in inside {
                live = core::array::from_fn(|i| tableau.has_stage(i));
                let weights = tableau.dense_weights(step.theta(saved.t));
                for (weight, k_bar) in weights.iter().zip(&mut k_bars) {
                    add::<S, E, N>(E::from_f64(*weight), &saved.value, k_bar);
                }
                add::<S, E, N>(E::ONE, &saved.value, &mut before);
            }
            let mut error = [E::default(); N];
            let mut of_step = StepNorms::new(step.t, step.h);
            for i in (0..STAGES).rev() {
                if !live[i] {
                    continue;
                }
                let row = &tableau.a[i];
                let argument = argument::<S, E, N>(&step.y, h, &row[..i], &step.stages);
                let t = step.h.mul_add(tableau.c[i], step.t);
                let k_bar = scaled(h, &k_bars[i]);
                let y_bar = simd.vectorize(Vjp {
                    field,
                    t,
                    y: &argument,
                    c: &k_bar,
                    theta_bar: &mut *self.theta_bar,
                });
                products += 1;
                for (j, (a, k_bar)) in row[..i].iter().zip(&mut k_bars).enumerate() {
                    if *a != 0.0 {
                        live[j] = true;
                        add::<S, E, N>(E::from_f64(*a), &y_bar, k_bar);
                    }
                }
                add::<S, E, N>(E::ONE, &y_bar, &mut before);
                add::<S, E, N>(E::from_f64(tableau.signs.weights[i]), &y_bar, &mut error);
                if i == 0 {
                    of_step.first = [square(&k_bar), square(&y_bar)];
                }
            }
            of_step.error = square(&error);
            of_step.lambda = square(&before);
            self.norms.push(of_step);
            lambda = before;
        }
        *self.lambda = lambda;
        products
    }
}

/// `c x`.
#[inline(always)]
fn scaled<E: Real, const N: usize>(c: E, x: &[E; N]) -> [E; N] {
    x.map(|x| c * x)
}

/// The square of the norm, in f64.
#[inline(always)]
fn square<E: Real, const N: usize>(x: &[E; N]) -> f64 {
    let mut sum = 0.0;
    for n in 0..N {
        let x = x[n].to_f64();
        sum += x * x;
    }
    sum
}

/// `y += c x`.
#[inline(always)]
fn add<S: Simd, E: Real, const N: usize>(c: E, x: &[E; N], y: &mut [E; N]) {
    for n in 0..N {
        y[n] = c.mul_add::<S>(x[n], y[n]);
    }
}

/// `y + h sum(w_j k_j)`; the newest stage comes last and costs one operation, all others are added up while it
/// is computed.
#[inline(always)]
fn argument<S: Simd, E: Real, const N: usize>(
    y: &[E; N],
    h: E,
    weights: &[f64],
    k: &[[E; N]],
) -> [E; N] {
    let Some((newest, older)) = weights.split_last() else {
        return *y;
    };
    if older.is_empty() {
        // The step's size comes last.
        let newest = E::from_f64(*newest);
        return core::array::from_fn(|n| h.mul_add::<S>(newest * k[0][n], y[n]));
    }
    let older_sum = weighted_sum::<S, E, N>(older, k);
    let (newest, k) = (h * E::from_f64(*newest), &k[older.len()]);
    core::array::from_fn(|n| newest.mul_add::<S>(k[n], h.mul_add::<S>(older_sum[n], y[n])))
}

/// A whole step for one sample; returns the mean square of its error.
#[inline(always)]
pub(crate) fn attempt<G: PointKernel<E, N>, E: Real, const N: usize, const S: usize>(
    arch: Arch,
    field: &G,
    tableau: &ButcherTableau<S>,
    step: &mut Attempt<[E; N], S>,
    tolerances: &Tolerances,
) -> Result<f64, SolveError> {
    // A method made up to more stages than it has would need a question before each.
    if S > STAGES || tableau.evaluations + 1 < S {
        return step.by_parts(tableau, tolerances, |t, y, dy| {
            if let Some(value) = dispatch::<G, _>(arch, Eval { field, t, y }) {
                *dy = value;
            }
            Ok(())
        });
    }
    let straight = Straight {
        field,
        tableau,
        step: &mut *step,
        tolerances,
    };
    let mean = dispatch::<G, _>(arch, straight).unwrap_or(f64::NAN);
    if mean.is_finite() {
        return Ok(mean);
    }
    step.error_square(tableau, tolerances)
}

/// The most stages that are written out one by one.
const STAGES: usize = 17;

/// A whole step with every loop unrolled: stages and features are constants.
struct Straight<'a, G, E, const N: usize, const S: usize> {
    field: &'a G,
    tableau: &'a ButcherTableau<S>,
    step: &'a mut Attempt<[E; N], S>,
    tolerances: &'a Tolerances,
}

impl<G: PointKernel<E, N>, E: Real, const N: usize, const STAGES: usize>
    Straight<'_, G, E, N, STAGES>
{
    /// Stage `I`; its argument is the step's end if it is the last one.
    #[inline(always)]
    fn stage<S: Simd, const I: usize>(&mut self, simd: S, h: E) {
        let (tableau, step) = (self.tableau, &mut *self.step);
        let argument = argument::<S, E, N>(&step.y, h, &tableau.a[I][..I], &step.k);
        step.k[I] = self
            .field
            .eval(simd, step.h.mul_add(tableau.c[I], step.t), &argument);
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
    ($this:ident, $simd:ident, $h:ident, $($i:literal)*) => {
        $(if const { $i < STAGES } {
            $this.stage::<S, $i>($simd, $h);
        })*
    };
}

impl<G: PointKernel<E, N>, E: Real, const N: usize, const STAGES: usize> WithSimd
    for Straight<'_, G, E, N, STAGES>
{
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) -> f64 {
        let h = E::from_f64(self.step.h);
        stages!(self, simd, h, 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
        let step = &*self.step;
        let weights = &self.tableau.b_err;
        let older = weighted_sum::<S, E, N>(&weights[..STAGES - 1], &step.k);
        let newest = h * E::from_f64(weights[STAGES - 1]);
        #[allow(clippy::cast_precision_loss, reason = "no array has 2^53 numbers")]
        let share = const { 1.0 / if N == 0 { 1.0 } else { N as f64 } }.sqrt();
        let squares = core::array::from_fn::<f64, N, _>(|n| {
            let (y0, y1) = (step.y[n].to_f64(), step.y1[n].to_f64());
            let scale = self.tolerances.atol + self.tolerances.rtol * y0.abs().max(y1.abs());
            // Its inverse does not wait for the last stage, and takes the mean's divisor along.
            let inverse = share / scale;
            let error = newest.mul_add::<S>(step.k[STAGES - 1][n], h * older[n]);
            let scaled = error.to_f64() * inverse;
            // Not finite if `y1` is not.
            Real::mul_add::<S>(scaled, scaled, y1 * 0.0)
        });
        squares.into_iter().sum()
    }
}

/// Every number's error with its scale.
fn scaled_errors<'a, E: Real>(
    error: &'a [E],
    y0: &'a [E],
    y1: &'a [E],
    tolerances: &'a Tolerances,
) -> impl Iterator<Item = Scaled> + 'a {
    let states = y0.iter().zip(y1);
    error.iter().zip(states).map(|(error, (y0, y1))| {
        Scaled::new(error.to_f64(), (y0.to_f64(), y1.to_f64()), tolerances)
    })
}

/// One small system: a state without a buffer.
impl<E: Real, const N: usize> State for [E; N] {
    fn len(&self) -> usize {
        N
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }

    fn dot(&self, other: &Self) -> Result<f64, SolveError> {
        let pairs = self.iter().zip(other);
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

    fn signs(&self, seed: u64) -> Result<Self, SolveError> {
        Ok(core::array::from_fn(|n| E::from_f64(random_sign(seed, n))))
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
