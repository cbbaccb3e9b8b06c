//! Fields and states without their types, so that loop and adjoints over them are compiled once, in the crate that
//! solves.
//!
//! Every operation costs a call through a pointer and a box for its result, which counts little beside operations of
//! tensors, for which it is. Tiles have a form of their own, [`Erased`](crate::engine::tiles::Erased).

use core::{any::Any, fmt};

use crate::ode::{
    error::SolveError,
    field::{Differentiable, VectorField},
    options::Tolerances,
    state::State,
};

/// [`State`] as an object. States that meet have the same type.
trait Operations: Any {
    fn clone_box(&self) -> Box<dyn Operations>;
    fn len(&self) -> usize;
    fn samples(&self) -> usize;
    fn bytes(&self) -> usize;
    fn sample_norms(&self, norms: &mut Vec<f64>) -> Result<(), SolveError>;
    fn epsilon(&self) -> f64;
    fn dot(&self, other: &dyn Operations) -> Result<f64, SolveError>;
    fn combine_into(
        &self,
        terms: &[(f64, &dyn Operations)],
        out: &mut dyn Operations,
    ) -> Result<(), SolveError>;
    fn zeros_like(&self) -> Result<Box<dyn Operations>, SolveError>;
    fn signs(&self, seed: u64) -> Result<Box<dyn Operations>, SolveError>;
    /// As [`State::scaled_square_sum`], of `self` as the error.
    fn scaled_square_sum(
        &self,
        y0: &dyn Operations,
        y1: &dyn Operations,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError>;
    /// As [`State::worst_sample`], of `self` as the error.
    fn worst_sample(
        &self,
        y0: &dyn Operations,
        y1: &dyn Operations,
        tolerances: &Tolerances,
    ) -> Option<usize>;
}

/// `x` as a state of type `Y`, or `otherwise`, which no solve needs.
fn as_state<'a, Y: State>(x: &'a dyn Operations, otherwise: &'a Y) -> &'a Y {
    let x: &dyn Any = x;
    let found = x.downcast_ref();
    debug_assert!(found.is_some(), "states of one solve have one type");
    found.unwrap_or(otherwise)
}

impl<Y: State> Operations for Y {
    fn clone_box(&self) -> Box<dyn Operations> {
        Box::new(self.clone())
    }

    fn len(&self) -> usize {
        State::len(self)
    }

    fn samples(&self) -> usize {
        State::samples(self)
    }

    fn bytes(&self) -> usize {
        State::bytes(self)
    }

    fn sample_norms(&self, norms: &mut Vec<f64>) -> Result<(), SolveError> {
        State::sample_norms(self, norms)
    }

    fn epsilon(&self) -> f64 {
        State::epsilon(self)
    }

    fn dot(&self, other: &dyn Operations) -> Result<f64, SolveError> {
        State::dot(self, as_state(other, self))
    }

    fn combine_into(
        &self,
        terms: &[(f64, &dyn Operations)],
        out: &mut dyn Operations,
    ) -> Result<(), SolveError> {
        let out: &mut dyn Any = out;
        match out.downcast_mut() {
            Some(out) => {
                let terms = terms.iter().map(|(c, x)| (*c, as_state(*x, self)));
                State::combine_into(self, terms, out)
            }
            None => Ok(()),
        }
    }

    fn zeros_like(&self) -> Result<Box<dyn Operations>, SolveError> {
        Ok(Box::new(State::zeros_like(self)?))
    }

    fn signs(&self, seed: u64) -> Result<Box<dyn Operations>, SolveError> {
        Ok(Box::new(State::signs(self, seed)?))
    }

    fn scaled_square_sum(
        &self,
        y0: &dyn Operations,
        y1: &dyn Operations,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        Y::scaled_square_sum(self, as_state(y0, self), as_state(y1, self), tolerances)
    }

    fn worst_sample(
        &self,
        y0: &dyn Operations,
        y1: &dyn Operations,
        tolerances: &Tolerances,
    ) -> Option<usize> {
        Y::worst_sample(self, as_state(y0, self), as_state(y1, self), tolerances)
    }
}

/// A state of any type.
pub struct AnyState(Box<dyn Operations>);

impl fmt::Debug for AnyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyState")
            .field("len", &self.0.len())
            .finish_non_exhaustive()
    }
}

impl AnyState {
    /// The same state.
    pub fn new<Y: State>(state: Y) -> Self {
        Self(Box::new(state))
    }

    /// The state, if it is a `Y`.
    pub fn get<Y: State>(&self) -> Option<&Y> {
        let state: &dyn Any = &*self.0;
        state.downcast_ref()
    }

    fn get_mut<Y: State>(&mut self) -> Option<&mut Y> {
        let state: &mut dyn Any = &mut *self.0;
        state.downcast_mut()
    }
}

impl Clone for AnyState {
    fn clone(&self) -> Self {
        Self(self.0.clone_box())
    }
}

impl State for AnyState {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn samples(&self) -> usize {
        self.0.samples()
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.0.bytes()
    }

    fn sample_norms(&self, norms: &mut Vec<f64>) -> Result<(), SolveError> {
        self.0.sample_norms(norms)
    }

    fn epsilon(&self) -> f64 {
        self.0.epsilon()
    }

    fn dot(&self, other: &Self) -> Result<f64, SolveError> {
        self.0.dot(&*other.0)
    }

    fn combine_into<'a>(
        &self,
        terms: impl Iterator<Item = (f64, &'a Self)> + Clone,
        out: &mut Self,
    ) -> Result<(), SolveError>
    where
        Self: 'a,
    {
        let terms: Vec<_> = terms.map(|(c, x)| (c, &*x.0)).collect();
        self.0.combine_into(&terms, &mut *out.0)
    }

    fn zeros_like(&self) -> Result<Self, SolveError> {
        self.0.zeros_like().map(Self)
    }

    fn signs(&self, seed: u64) -> Result<Self, SolveError> {
        self.0.signs(seed).map(Self)
    }

    fn scaled_square_sum(
        error: &Self,
        y0: &Self,
        y1: &Self,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        error.0.scaled_square_sum(&*y0.0, &*y1.0, tolerances)
    }

    fn worst_sample(error: &Self, y0: &Self, y1: &Self, tolerances: &Tolerances) -> Option<usize> {
        error.0.worst_sample(&*y0.0, &*y1.0, tolerances)
    }
}

/// [`Differentiable`] as an object.
trait Products {
    fn eval(&mut self, t: f64, y: &AnyState, dy: &mut AnyState) -> Result<(), SolveError>;
    fn zero_params(&mut self) -> Result<AnyState, SolveError>;
    fn has_kinks(&self) -> bool;
    fn vjp(
        &mut self,
        t: f64,
        y: &AnyState,
        cotangent: &AnyState,
        y_bar: &mut AnyState,
        theta_bar: &mut AnyState,
    ) -> Result<(), SolveError>;
}

impl<F: Differentiable> Products for F {
    fn eval(&mut self, t: f64, y: &AnyState, dy: &mut AnyState) -> Result<(), SolveError> {
        match (y.get(), dy.get_mut()) {
            (Some(y), Some(dy)) => VectorField::eval(self, t, y, dy),
            _ => Ok(()),
        }
    }

    fn zero_params(&mut self) -> Result<AnyState, SolveError> {
        Differentiable::zero_params(self).map(AnyState::new)
    }

    fn has_kinks(&self) -> bool {
        Differentiable::has_kinks(self)
    }

    fn vjp(
        &mut self,
        t: f64,
        y: &AnyState,
        cotangent: &AnyState,
        y_bar: &mut AnyState,
        theta_bar: &mut AnyState,
    ) -> Result<(), SolveError> {
        let from = y.get().zip(cotangent.get());
        match (from, y_bar.get_mut(), theta_bar.get_mut()) {
            (Some((y, cotangent)), Some(y_bar), Some(theta_bar)) => {
                Differentiable::vjp(self, t, y, cotangent, y_bar, theta_bar)
            }
            _ => Ok(()),
        }
    }
}

/// A field of any type. Its states are those of that field, in [`AnyState`].
pub struct AnyField(Box<dyn Products>);

impl fmt::Debug for AnyField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyField").finish_non_exhaustive()
    }
}

impl AnyField {
    /// The same field.
    pub fn new<F: Differentiable + 'static>(field: F) -> Self {
        Self(Box::new(field))
    }
}

impl VectorField for AnyField {
    type State = AnyState;

    fn eval(&mut self, t: f64, y: &AnyState, dy: &mut AnyState) -> Result<(), SolveError> {
        self.0.eval(t, y, dy)
    }
}

impl Differentiable for AnyField {
    type Params = AnyState;

    fn zero_params(&mut self) -> Result<AnyState, SolveError> {
        self.0.zero_params()
    }

    fn has_kinks(&self) -> bool {
        self.0.has_kinks()
    }

    fn vjp(
        &mut self,
        t: f64,
        y: &AnyState,
        cotangent: &AnyState,
        y_bar: &mut AnyState,
        theta_bar: &mut AnyState,
    ) -> Result<(), SolveError> {
        self.0.vjp(t, y, cotangent, y_bar, theta_bar)
    }
}
