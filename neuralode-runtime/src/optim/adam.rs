//! A step of Adam over the numbers of one tensor, compiled once.

#![allow(
    clippy::inline_always,
    reason = "only code inlined into a dispatched function runs under its vector instructions"
)]

use dfdx::{optim::WeightDecay, tensor_ops::AdamConfig};
use pulp::{Simd, WithSimd};

use crate::tensor::storage::KernelDtype;
use neuralode_core::{kernel::rows::run, simd::real::Real};

/// A scalar whose parameters this optimizer changes.
pub(crate) trait AdamScalar: KernelDtype {
    /// The step with this number, from one on; leaves the gradient at zero.
    fn adam_step(config: &AdamConfig, step: i32, numbers: Numbers<'_, Self>);
}

/// The numbers of a tensor, as many in each slice.
#[derive(Debug)]
pub(crate) struct Numbers<'a, E> {
    /// The parameters.
    pub parameters: &'a mut [E],
    /// Their gradient.
    pub gradient: &'a mut [E],
    /// The first and the second moments of the gradient.
    pub moments: [&'a mut [E]; 2],
}

macro_rules! adam_scalar {
    ($($t:ident),*) => {$(
        impl AdamScalar for $t {
            fn adam_step(config: &AdamConfig, step: i32, numbers: Numbers<'_, Self>) {
                run(Change { config, step, numbers });
            }
        }
    )*};
}

adam_scalar!(f32, f64);

struct Change<'a, E> {
    config: &'a AdamConfig,
    step: i32,
    numbers: Numbers<'a, E>,
}

impl<E: Real> WithSimd for Change<'_, E> {
    type Output = ();

    /// The operations of dfdx's kernel in their order, which gives its bits: no product meets a sum in one instruction.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self {
            config,
            step,
            numbers,
        } = self;
        let Numbers {
            parameters,
            gradient,
            moments: [first, second],
        } = numbers;
        let [beta1, beta2] = config.betas.map(E::from_f64);
        let (rate, eps) = (E::from_f64(config.lr), E::from_f64(config.eps));
        let (decay, pull) = match config.weight_decay {
            Some(WeightDecay::L2(decay)) => (Some(E::from_f64(decay)), None),
            Some(WeightDecay::Decoupled(decay)) => (None, Some(E::from_f64(decay * config.lr))),
            None => (None, None),
        };
        let (rest1, rest2) = (E::ONE - beta1, E::ONE - beta2);
        // What the moments lack as they began at zero.
        let scale1 = E::ONE / (E::ONE - power(beta1, step));
        let scale2 = E::ONE / (E::ONE - power(beta2, step));
        let count = parameters.len();
        let (gradient, first, second) = (
            &mut gradient[..count],
            &mut first[..count],
            &mut second[..count],
        );
        for n in 0..count {
            let p = parameters[n];
            let mut g = gradient[n];
            if let Some(decay) = decay {
                g += decay * p;
            }
            first[n] = first[n] * beta1 + g * rest1;
            second[n] = second[n] * beta2 + g * g * rest2;
            let mut change = rate * (first[n] * scale1) / ((second[n] * scale2).sqrt() + eps);
            if let Some(pull) = pull {
                change += pull * p;
            }
            parameters[n] = p - change;
            gradient[n] = E::default();
        }
    }
}

/// `base` to the power of a positive `exponent`, by squares, as the compiler's `powi` does.
fn power<E: Real>(mut base: E, mut exponent: i32) -> E {
    let mut product = E::ONE;
    loop {
        if exponent % 2 == 1 {
            product = product * base;
        }
        exponent /= 2;
        if exponent == 0 {
            return product;
        }
        base = base * base;
    }
}
