//! Vector fields written by hand, as users write their own.

use neuralode::prelude::*;

/// A field whose parameters are named tensors with constant shapes.
macro_rules! field_struct {
    ($(#[$doc:meta])* $name:ident { $($param:ident: $shape:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name<E: Dtype, D: Device<E>> {
            $(pub $param: Tensor<$shape, E, D>,)*
        }

        impl<E: Dtype, D: Device<E>> TensorCollection<E, D> for $name<E, D> {
            type To<E2: Dtype, D2: Device<E2>> = $name<E2, D2>;

            fn iter_tensors<V: ModuleVisitor<Self, E, D>>(
                visitor: &mut V,
            ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
                visitor.visit_fields(
                    ($(Self::tensor(
                        stringify!($param),
                        |s| &s.$param,
                        |s| &mut s.$param,
                        TensorOptions::reset_to_zeros(),
                    ),)*),
                    |($($param,)*)| $name { $($param),* },
                )
            }
        }
    };
}

type Batch<B, const N: usize, E, D, T> = Tensor<(B, Const<N>), E, D, T>;

fn affine<const I: usize, const O: usize, B: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Batch<B, I, E, D, T>,
    weight: &Tensor<Rank2<O, I>, E, D>,
    bias: &Tensor<Rank1<O>, E, D>,
) -> Batch<B, O, E, D, T> {
    let weight: Tensor<Rank2<I, O>, E, D, T> = weight.retaped::<T>().permute();
    let y = x.matmul(weight);
    let shape = *y.shape();
    y + bias.retaped::<T>().broadcast_like(&shape)
}

fn constant<E: Dtype>(x: f64) -> E {
    E::from_f64(x).unwrap()
}

field_struct! {
    /// `A y`
    Linear2 { weight: Rank2<2, 2> }
}

impl<E: Dtype, D: Device<E>> TensorField<2, E, D> for Linear2<E, D> {
    fn try_eval<B: Dim, T: Tape<E, D>>(
        &self,
        _t: f64,
        y: Batch<B, 2, E, D, T>,
    ) -> Result<Batch<B, 2, E, D, T>, SolveError> {
        let weight: Tensor<Rank2<2, 2>, E, D, T> = self.weight.retaped::<T>().permute();
        Ok(y.matmul(weight))
    }
}

field_struct! {
    /// `a . (y * y * y)`
    Cubic { weight: Rank2<2, 2> }
}

impl<E: Dtype, D: Device<E>> TensorField<2, E, D> for Cubic<E, D> {
    fn try_eval<B: Dim, T: Tape<E, D>>(
        &self,
        _t: f64,
        y: Batch<B, 2, E, D, T>,
    ) -> Result<Batch<B, 2, E, D, T>, SolveError> {
        let weight: Tensor<Rank2<2, 2>, E, D, T> = self.weight.retaped::<T>().permute();
        Ok(y.powi(3).matmul(weight))
    }
}

field_struct! {
    /// `l2 . tanh(l1 . [y, t])`: a state of 3, 16 hidden features
    TimeMlp { w1: Rank2<16, 4>, b1: Rank1<16>, w2: Rank2<3, 16>, b2: Rank1<3> }
}

impl<E: Dtype, D: Device<E>> TensorField<3, E, D> for TimeMlp<E, D> {
    fn try_eval<B: Dim, T: Tape<E, D>>(
        &self,
        t: f64,
        y: Batch<B, 3, E, D, T>,
    ) -> Result<Batch<B, 3, E, D, T>, SolveError> {
        // `[y, t]` as `P y + t e`, where P appends a zero and e is the last unit vector.
        let dev = y.device().clone();
        let shape = (y.shape().0, Const::<4>);
        let mut append = [[0.0; 4]; 3];
        (0..3).for_each(|i| append[i][i] = 1.0);
        let append: Vec<E> = append.concat().into_iter().map(constant).collect();
        let append: Tensor<Rank2<3, 4>, E, D> = dev.tensor_from_vec(append, (Const, Const));
        let time: Vec<E> = [0.0, 0.0, 0.0, t].into_iter().map(constant).collect();
        let time: Tensor<Rank1<4>, E, D> = dev.tensor_from_vec(time, (Const,));
        let yt = y.matmul(append) + time.broadcast_like(&shape);
        Ok(affine(
            affine(yt, &self.w1, &self.b1).tanh(),
            &self.w2,
            &self.b2,
        ))
    }
}

field_struct! {
    /// `l2 . sin(l1 . y) - y / 2`: a state of 6, 12 hidden features
    ResidualSin { w1: Rank2<12, 6>, b1: Rank1<12>, w2: Rank2<6, 12>, b2: Rank1<6> }
}

impl<E: Dtype, D: Device<E>> TensorField<6, E, D> for ResidualSin<E, D> {
    fn try_eval<B: Dim, T: Tape<E, D>>(
        &self,
        _t: f64,
        y: Batch<B, 6, E, D, T>,
    ) -> Result<Batch<B, 6, E, D, T>, SolveError> {
        let damping = y.with_empty_tape() * constant::<E>(-0.5);
        Ok(affine(affine(y, &self.w1, &self.b1).sin(), &self.w2, &self.b2) + damping)
    }
}

field_struct! {
    /// `[a x - b x y, -c y + d x y]` with `rates = [a, b, c, d]`
    LotkaVolterra { rates: Rank1<4> }
}

impl<E: Dtype, D: Device<E>> TensorField<2, E, D> for LotkaVolterra<E, D> {
    fn try_eval<B: Dim, T: Tape<E, D>>(
        &self,
        _t: f64,
        y: Batch<B, 2, E, D, T>,
    ) -> Result<Batch<B, 2, E, D, T>, SolveError> {
        // Rates enter as `(m0 . rates) * y + (m1 . rates) * (x y)`, with constant selections m0, m1.
        let dev = y.device().clone();
        let shape = *y.shape();
        let select = |rows: [[f64; 2]; 4]| -> Tensor<Rank2<4, 2>, E, D> {
            let values: Vec<E> = rows.concat().into_iter().map(constant).collect();
            dev.tensor_from_vec(values, (Const, Const))
        };
        let own = select([[1.0, 0.0], [0.0, 0.0], [0.0, -1.0], [0.0, 0.0]]);
        let cross = select([[0.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]);
        let swap: Vec<E> = [0.0, 1.0, 1.0, 0.0].into_iter().map(constant).collect();
        let swap: Tensor<Rank2<2, 2>, E, D> = dev.tensor_from_vec(swap, (Const, Const));
        let rates = || self.rates.retaped::<T>();
        let product = y.with_empty_tape() * y.with_empty_tape().matmul(swap);
        let linear = y * rates().matmul(own).broadcast_like(&shape);
        Ok(linear + product * rates().matmul(cross).broadcast_like(&shape))
    }
}
