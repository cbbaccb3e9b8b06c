//! Activations over tiles and for one sample.

use core::marker::PhantomData;

use pulp::Simd;

use crate::{
    device::FieldSource,
    kernel::{
        layer::{no_params, Filled, Records, Rows, TileLayer},
        tile::{copy, Row, Sums, Tile},
    },
    simd::{real::Real, special},
};

/// An activation over lanes.
pub trait TileActivation: 'static {
    /// Whether the derivative jumps somewhere.
    const KINKS: bool;
    /// Whether the derivative needs the argument.
    const FROM_ARGUMENT: bool;
    /// Whether the derivative needs the value; a constant one needs neither.
    const FROM_VALUE: bool;

    /// The value at `x`.
    fn value<S: Simd, E: Real>(x: E) -> E;

    /// The derivative, from the argument `x` (only if [`Self::FROM_ARGUMENT`]) or the value `y`.
    fn derivative<S: Simd, E: Real>(x: E, y: E) -> E;

    /// Its name in device code.
    fn name() -> String;

    /// Multiplies `c` by the derivative, where the value `y` is enough.
    fn scale<S: Simd, E: Real>(simd: S, y: E::Register<S>, c: E::Register<S>) -> E::Register<S>;
}

macro_rules! marks {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $name;
    )*};
}

// The functions by name; a type `A` of these stands for the function.
marks! {
    /// `x`
    Identity;
    /// `tanh(x)`
    Tanh;
    /// `max(x, 0)`, and NaN where `x` is NaN
    Relu;
    /// `1 / (1 + exp(-x))`
    Sigmoid;
    /// `sin(x)`
    Sin;
    /// `x` right of zero, `x / 100` elsewhere, and NaN where `x` is NaN
    ///
    /// A. L. Maas, A. Y. Hannun, A. Y. Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML 2013
    /// Workshop on Deep Learning for Audio, Speech and Language Processing.
    LeakyRelu;
    /// `x` right of zero, `exp(x) - 1` elsewhere
    ///
    /// D.-A. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by exponential linear
    /// units (ELUs)", ICLR 2016, arXiv:1511.07289.
    Elu;
    /// `x Phi(x)`, `Phi` the distribution function of the normal distribution: the exact function, by `erf`
    ///
    /// D. Hendrycks, K. Gimpel, "Gaussian Error Linear Units (GELUs)", arXiv:1606.08415.
    Gelu;
    /// `x / (1 + exp(-x))`
    ///
    /// S. Elfwing, E. Uchibe, K. Doya, "Sigmoid-weighted linear units for neural network function approximation in
    /// reinforcement learning", Neural Networks 107 (2018), arXiv:1702.03118.
    Silu;
    /// `log(1 + exp(x))`, and `x` where `exp(x)` would overflow
    ///
    /// C. Dugas, Y. Bengio, F. Belisle, C. Nadeau, R. Garcia, "Incorporating second-order functional knowledge for
    /// better option pricing", NIPS 2000.
    Softplus;
}

impl LeakyRelu {
    /// The derivative left of zero, and at zero.
    pub const SLOPE: f64 = 0.01;
}

macro_rules! tile_activations {
    ($(
        $name:ident, $from_argument:literal, $from_value:literal, $kinks:literal,
        |$x:ident| $value:expr,
        |$dx:pat_param, $dy:pat_param| $derivative:expr,
        |$simd:pat_param, $y:pat_param, $c:ident| $scale:expr;
    )*) => {$(
        impl TileActivation for $name {
            const KINKS: bool = $kinks;
            const FROM_ARGUMENT: bool = $from_argument;
            const FROM_VALUE: bool = $from_value;

            fn name() -> String {
                stringify!($name).to_owned()
            }

            #[inline(always)]
            fn value<S: Simd, E: Real>($x: E) -> E {
                $value
            }

            #[inline(always)]
            fn derivative<S: Simd, E: Real>($dx: E, $dy: E) -> E {
                $derivative
            }

            #[inline(always)]
            fn scale<S: Simd, E: Real>(
                $simd: S,
                $y: E::Register<S>,
                $c: E::Register<S>,
            ) -> E::Register<S> {
                $scale
            }
        }
    )*};
}

tile_activations! {
    Identity, false, false, false, |x| x, |_, _| E::ONE, |_, _, c| c;
    Tanh, false, true, false, |x| x.tanh::<S>(), |_, y| (-y).mul_add::<S>(y, E::ONE),
        |simd, y, c| E::neg_fma(simd, E::product(simd, c, y), y, c);
    // A NaN is neither above nor below zero, and stays.
    Relu, false, true, true, |x| if x <= E::default() { E::default() } else { x },
        |_, y| if y > E::default() { E::ONE } else { E::default() },
        |simd, y, c| E::product(simd, c, derivative_by_sign::<S, E>(simd, y, 0.0));
    Sigmoid, false, true, false, |x| x.sigmoid::<S>(), |_, y| (-y).mul_add::<S>(y, y),
        |simd, y, c| E::product(simd, c, E::neg_fma(simd, y, y, y));
    Sin, true, false, false, |x| x.sin(), |x, _| x.cos(), |_, _, c| c;
    LeakyRelu, false, true, true,
        |x| if x > E::default() { x } else { x * E::from_f64(LeakyRelu::SLOPE) },
        |_, y| if y > E::default() { E::ONE } else { E::from_f64(LeakyRelu::SLOPE) },
        |simd, y, c| E::product(simd, c, derivative_by_sign::<S, E>(simd, y, LeakyRelu::SLOPE));
    Elu, false, true, false, |x| special::elu::<S, E>(x),
        |_, y| if y > E::default() { E::ONE } else { y + E::ONE },
        |simd, y, c| {
            let one = E::splat(simd, E::ONE);
            E::product(simd, c, E::where_positive(simd, y, one, E::sum(simd, y, one)))
        };
    Gelu, true, false, false, |x| special::gelu::<S, E>(x),
        |x, _| special::gelu_derivative::<S, E>(x), |_, _, c| c;
    Silu, true, false, false, |x| special::silu::<S, E>(x),
        |x, _| special::silu_derivative::<S, E>(x), |_, _, c| c;
    Softplus, true, false, false, |x| special::softplus::<S, E>(x), |x, _| x.sigmoid::<S>(),
        |_, _, c| c;
}

/// One where `y > 0`, `left` elsewhere.
#[inline(always)]
fn derivative_by_sign<S: Simd, E: Real>(simd: S, y: E::Register<S>, left: f64) -> E::Register<S> {
    let (one, left) = (E::splat(simd, E::ONE), E::splat(simd, E::from_f64(left)));
    E::where_positive(simd, y, one, left)
}

/// Multiplies a tangent or a cotangent `c` by the derivative of `y = A(x)`.
#[inline(always)]
pub(crate) fn scale_by_derivative<
    A: TileActivation,
    S: Simd,
    E: Real,
    const N: usize,
    const L: usize,
>(
    simd: S,
    x: &Tile<E, N, L>,
    y: &Tile<E, N, L>,
    c: &mut Tile<E, N, L>,
) {
    for n in 0..N {
        if A::FROM_ARGUMENT {
            let (x, y, c) = (&x[n], &y[n], &mut c[n]);
            for l in 0..L {
                c[l] = c[l] * A::derivative::<S, E>(x[l], y[l]);
            }
        } else {
            // In registers: the compiler would else vectorise over features, with gathers.
            let y = E::registers::<S>(&*y[n]);
            let c = E::registers_mut::<S>(&mut *c[n]);
            for r in 0..L / E::lanes::<S>() {
                c[r] = A::scale::<S, E>(simd, y[r], c[r]);
            }
        }
    }
}

/// `out = c A'`, where `y = A(x)`: in one pass what would else take a copy before.
#[inline(always)]
fn scaled_by_derivative<A: TileActivation, S: Simd, E: Real, const N: usize, const L: usize>(
    simd: S,
    x: &Tile<E, N, L>,
    y: &Tile<E, N, L>,
    c: &Tile<E, N, L>,
    out: &mut Tile<E, N, L>,
) {
    for n in 0..N {
        if A::FROM_ARGUMENT {
            let (x, y, c, out) = (&x[n], &y[n], &c[n], &mut out[n]);
            for l in 0..L {
                out[l] = c[l] * A::derivative::<S, E>(x[l], y[l]);
            }
        } else {
            let (y, c) = (E::registers::<S>(&*y[n]), E::registers::<S>(&*c[n]));
            let out = E::registers_mut::<S>(&mut *out[n]);
            for r in 0..L / E::lanes::<S>() {
                out[r] = A::scale::<S, E>(simd, y[r], c[r]);
            }
        }
    }
}

/// `y = A(x)` of one sample, whose features fill the registers.
#[inline(always)]
pub(super) fn activate_one<A: TileActivation, S: Simd, E: Real, const N: usize>(
    x: &[E; N],
) -> [E; N] {
    let mut y = *x;
    for y in &mut y {
        *y = A::value::<S, E>(*y);
    }
    y
}

/// The same of one sample: multiplies the cotangent `c` by the derivative of `y = A(x)`.
#[inline(always)]
pub(super) fn scale_one_by_derivative<A: TileActivation, S: Simd, E: Real, const N: usize>(
    x: &[E; N],
    y: &[E; N],
    mut c: [E; N],
) -> [E; N] {
    for n in 0..N {
        c[n] = c[n] * A::derivative::<S, E>(x[n], y[n]);
    }
    c
}

/// `y = A(x)`, an activation as a layer.
#[derive(Debug)]
pub struct ActivationLayer<A>(PhantomData<A>);

impl<A: TileActivation, const N: usize> TileLayer<N, N> for ActivationLayer<A> {
    /// One counts as sixteen.
    const PRODUCTS: usize = 16 * N;
    const KINKS: bool = A::KINKS;
    const POINT: bool = true;
    no_params!();
    type One<E: Real> = ();

    #[inline(always)]
    fn forward<S: Simd, E: Real, const L: usize>(
        _simd: S,
        _params: &[E],
        _t: &[f64; L],
        x: &Tile<E, N, L>,
        _rows: Rows<'_, E, L>,
        y: &mut Tile<E, N, L>,
    ) {
        for n in 0..N {
            for l in 0..L {
                y[n][l] = A::value::<S, E>(x[n][l]);
            }
        }
    }

    #[inline(always)]
    fn recall<S: Simd, E: Real, const L: usize>(
        simd: S,
        params: &[E],
        t: &[f64; L],
        x: &Tile<E, N, L>,
        value: Option<&Tile<E, N, L>>,
        rows: Rows<'_, E, L>,
        y: &mut Tile<E, N, L>,
    ) {
        match value {
            _ if const { !A::FROM_VALUE } => {}
            Some(value) => copy(value, y),
            None => Self::forward(simd, params, t, x, rows, y),
        }
    }

    #[inline(always)]
    fn backward<S: Simd, E: Real, const L: usize>(
        simd: S,
        _params: &[E],
        _transposed: &[E],
        x: &Tile<E, N, L>,
        _rows: Rows<'_, E, L>,
        y: &Tile<E, N, L>,
        c: &mut Tile<E, N, L>,
        x_bar: &mut Tile<E, N, L>,
    ) {
        scaled_by_derivative::<A, S, E, N, L>(simd, x, y, c, x_bar);
    }

    #[inline(always)]
    fn tangent<S: Simd, E: Real, const L: usize>(
        simd: S,
        _params: &[E],
        _direction: &[E],
        x: &Tile<E, N, L>,
        v: &Tile<E, N, L>,
        _rows: Filled<'_, E, L>,
        y: &Tile<E, N, L>,
        _scratch: &mut [Row<E, L>],
        out: &mut Tile<E, N, L>,
    ) {
        scaled_by_derivative::<A, S, E, N, L>(simd, x, y, v, out);
    }

    #[inline(always)]
    fn forward_one<S: Simd, E: Real>(
        _simd: S,
        _params: &[E],
        _transposed: &[E],
        _t: f64,
        x: &[E; N],
    ) -> ((), [E; N]) {
        ((), activate_one::<A, S, E, N>(x))
    }

    #[inline(always)]
    fn backward_one<S: Simd, E: Real>(
        _simd: S,
        _params: &[E],
        _transposed: &[E],
        x: &[E; N],
        _kept: &(),
        y: &[E; N],
        c: [E; N],
        _theta_bar: &mut [E],
    ) -> [E; N] {
        scale_one_by_derivative::<A, S, E, N>(x, y, c)
    }

    fn cuda(source: FieldSource) -> Option<FieldSource> {
        Some(source.pointwise(&A::name(), N))
    }
}
