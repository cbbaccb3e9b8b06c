//! A dense layer of one sample: there is no batch to fill the registers, so features do.

use pulp::Simd;

use crate::{
    kernel::{
        activation::{activate_one, scale_one_by_derivative, TileActivation},
        dense::DenseParams,
        tile::WIDTH,
    },
    simd::real::Real,
};

/// `sum(a b)`, in [`WIDTH`] partial sums.
#[inline(always)]
fn dot<S: Simd, E: Real>(a: &[E], b: &[E]) -> E {
    let mut sums = [E::default(); WIDTH];
    let (a_chunks, a_rest) = a.as_chunks::<WIDTH>();
    let (b_chunks, b_rest) = b.as_chunks::<WIDTH>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for l in 0..WIDTH {
            sums[l] = a[l].mul_add::<S>(b[l], sums[l]);
        }
    }
    for ((a, b), sum) in a_rest.iter().zip(b_rest).zip(&mut sums) {
        *sum = a.mul_add::<S>(*b, *sum);
    }
    let mut half = WIDTH / 2;
    while half > 0 {
        let (low, high) = sums.split_at_mut(half);
        for (low, high) in low.iter_mut().zip(high) {
            *low += *high;
        }
        half /= 2;
    }
    sums[0]
}

impl<E: Real, const I: usize, const O: usize> DenseParams<'_, E, I, O> {
    /// The argument `z = W x + b` and `y = A(z)`; `transposed` by columns.
    #[inline(always)]
    pub(crate) fn forward_one<A: TileActivation, S: Simd>(
        &self,
        transposed: &[E],
        x: &[E; I],
    ) -> ([E; O], [E; O]) {
        let mut z = [E::default(); O];
        if const { O >= I } {
            z.copy_from_slice(self.bias);
            for (x, row) in x.iter().zip(transposed.as_chunks::<O>().0) {
                for o in 0..O {
                    z[o] = row[o].mul_add::<S>(*x, z[o]);
                }
            }
        } else {
            for (z, (row, bias)) in z.iter_mut().zip(self.weight.iter().zip(self.bias)) {
                *z = dot::<S, E>(row, x) + *bias;
            }
        }
        let y = activate_one::<A, S, E, O>(&z);
        (z, y)
    }

    /// From the cotangent `c` of `y = A(W x + b)` to that of `x`; adds the parameters' to `theta_bar`, in the
    /// order of the parameters.
    #[inline(always)]
    pub(crate) fn backward_one<A: TileActivation, S: Simd>(
        &self,
        transposed: &[E],
        x: &[E; I],
        (z, y): (&[E; O], &[E; O]),
        c: [E; O],
        theta_bar: &mut [E],
    ) -> [E; I] {
        let c = scale_one_by_derivative::<A, S, E, O>(z, y, c);
        let mut x_bar = [E::default(); I];
        if const { I >= O } {
            for (c, row) in c.iter().zip(self.weight) {
                for i in 0..I {
                    x_bar[i] = row[i].mul_add::<S>(*c, x_bar[i]);
                }
            }
        } else {
            for (x_bar, row) in x_bar.iter_mut().zip(transposed.as_chunks::<O>().0) {
                *x_bar = dot::<S, E>(row, &c);
            }
        }
        let (weight_bar, bias_bar) = theta_bar.split_at_mut(I * O);
        let rows = weight_bar.as_chunks_mut::<I>().0;
        for (c, (row, bias)) in c.iter().zip(rows.iter_mut().zip(bias_bar)) {
            for i in 0..I {
                row[i] = c.mul_add::<S>(x[i], row[i]);
            }
            *bias += *c;
        }
        x_bar
    }
}
