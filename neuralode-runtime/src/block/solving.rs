//! The solve of a block, with loop and adjoints that this crate compiles for all models.
//!
//! Generic code is compiled where it is used: a solver that knew the field's type would be compiled again for every
//! model of every user. Here the field is behind a pointer ([`Erased`], [`AnyField`]), so that a model compiles its
//! kernels and its operations, and little else.

use neuralode_core::{
    engine::{erased::AnyField, tiles::Erased},
    ode::{
        adjoint::{Kept, Pullback},
        error::SolveError,
        field::{back::Cotangent, Differentiable, VectorField},
        method::{ButcherTableau, WithTableau},
        options::SolveOptions,
        output::saved_points::solve_at,
        stats::Stats,
    },
};

/// Pulls the cotangents of a solve's values back through it.
pub(super) type PullBack<F> = Box<
    dyn Fn(
        &mut F,
        &[Cotangent<<F as VectorField>::State>],
    ) -> Result<
        Pullback<<F as VectorField>::State, <F as Differentiable>::Params>,
        SolveError,
    >,
>;

/// The outcome of a solve.
pub(super) struct Outcome<F: Differentiable> {
    /// One value per time.
    pub(super) values: Vec<F::State>,
    pub(super) stats: Stats,
    /// Where gradients are wanted.
    pub(super) pull_back: Option<PullBack<F>>,
}

/// How a solve is done, whatever its method.
pub(super) type Solve<F> = fn(Solving<'_, F>) -> Result<Outcome<F>, SolveError>;

/// A solve that waits for its tableau.
pub(super) struct Solving<'a, F: VectorField> {
    pub(super) field: &'a mut F,
    pub(super) y0: F::State,
    pub(super) times: &'a [f64],
    pub(super) options: &'a SolveOptions,
    /// Whether gradients are wanted.
    pub(super) keep: bool,
}

impl<F: Differentiable> WithTableau for Solving<'_, F> {
    type Output = Result<Outcome<F>, SolveError>;

    fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) -> Self::Output {
        let Self {
            field,
            y0,
            times,
            options,
            keep,
        } = self;
        let mut kept = keep.then(|| Kept::new(tableau, options));
        let (values, stats) = solve_at(field, tableau, y0, times, options, &mut kept)?;
        let pull_back = kept.map(|mut kept| -> PullBack<F> {
            kept.finish(times, &values);
            Box::new(move |field, cotangents| kept.pull_back(field, cotangents))
        });
        Ok(Outcome {
            values,
            stats,
            pull_back,
        })
    }
}

/// Solves with any method. These functions are not generic, and so are compiled here.
macro_rules! solves {
    ($($name:ident: $field:ty;)*) => {
        $(#[inline(never)]
        pub(super) fn $name(solving: Solving<'_, $field>) -> Result<Outcome<$field>, SolveError> {
            solving.options.solver.with_padded_tableau(solving)
        })*
    };
}

solves! {
    solve_any: AnyField;
    solve_f32: Erased<f32, LANES_F32>;
    solve_f64: Erased<f64, LANES_F64>;
}

pub(super) use neuralode_core::kernel::tiled::{LANES_F32, LANES_F64};
