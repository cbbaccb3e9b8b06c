//! Solves of plain closures, without parameters and without gradients.
//!
//! [`solve`] is the one place that knows how: a library function for fields from closures would replace this
//! module.

use neuralode::{
    engine::host::real::Real, options::Tolerances, solve, state::State, tableau::TSIT5,
    vector_field::VectorField, SolveError, SolveOptions, Stats,
};

/// The solution at `options.t1` of `dy/dt = f(t, y)` for every sample of `y0`, all with the same steps.
pub(crate) fn solve<E: Real, const N: usize, const B: usize>(
    f: impl Fn(f64, &[E; N]) -> [E; N],
    y0: [[E; N]; B],
    options: &SolveOptions,
) -> Result<([[E; N]; B], Stats), SolveError> {
    let solution = solve::solve(&mut Closure(f, y0), &TSIT5, Samples(y0), options, &mut ())?;
    let stats = solution.stats();
    Ok((solution.y.0, stats))
}

struct Closure<F, Y>(F, Y);

impl<E: Real, const N: usize, const B: usize, F: Fn(f64, &[E; N]) -> [E; N]> VectorField
    for Closure<F, [[E; N]; B]>
{
    type State = Samples<E, N, B>;

    #[inline]
    fn eval(&mut self, t: f64, y: &Self::State, dy: &mut Self::State) -> Result<(), SolveError> {
        for (y, dy) in y.0.iter().zip(&mut dy.0) {
            *dy = self.0(t, y);
        }
        Ok(())
    }
}

/// `B` samples of `N` numbers.
#[derive(Clone, Debug)]
struct Samples<E, const N: usize, const B: usize>([[E; N]; B]);

impl<E: Real, const N: usize, const B: usize> State for Samples<E, N, B> {
    fn len(&self) -> usize {
        N * B
    }

    fn epsilon(&self) -> f64 {
        E::EPSILON
    }

    #[inline]
    fn combine_into<'a>(
        &self,
        terms: impl Iterator<Item = (f64, &'a Self)> + Clone,
        out: &mut Self,
    ) -> Result<(), SolveError>
    where
        Self: 'a,
    {
        out.0 = self.0;
        for (c, x) in terms {
            let c = E::from_f64(c);
            for (out, x) in out.0.as_flattened_mut().iter_mut().zip(x.0.as_flattened()) {
                // A fused product would be a call where the compiler may not assume the instruction.
                *out += c * *x;
            }
        }
        Ok(())
    }

    fn zeros_like(&self) -> Result<Self, SolveError> {
        Ok(Self([[E::default(); N]; B]))
    }

    #[inline]
    fn scaled_square_sum(
        error: &Self,
        y0: &Self,
        y1: &Self,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        let (rtol, atol) = (E::from_f64(tolerances.rtol), E::from_f64(tolerances.atol));
        let mut sum = 0.0;
        for ((error, y0), y1) in error.0.iter().zip(&y0.0).zip(&y1.0) {
            for i in 0..N {
                let size = y0[i].abs().max(y1[i].abs());
                let scaled = error[i] / (rtol * size + atol);
                // The second term is zero, or NaN for a state that is not finite.
                sum += (scaled * scaled).to_f64() + y1[i].to_f64() * 0.0;
            }
        }
        Ok(sum)
    }

    fn worst_sample(_: &Self, _: &Self, _: &Self, _: &Tolerances) -> Option<usize> {
        None
    }
}
