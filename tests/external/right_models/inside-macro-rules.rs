// Names, numbers, constants and paths may come out of the arguments of a `macro_rules!` macro, each as the
// fragment that it is captured by.
use neuralode::prelude::*;

const SIX: usize = 6;

macro_rules! model {
    (
        $visibility:vis $name:ident, $stage:ident, $input:literal => $width:expr => $constant:path,
        $activation:ident, $layer:tt, $start:literal .. $end:expr, $rtol:expr, $adjoint:ident
    ) => {
        neural_ode! {
            $visibility struct $name {
                input: [$input],
                $stage: [Dense($input => $width, $activation), $layer, Dense($width => $constant)],
                ode: Ode {
                    field(t, y): [Dense(_ => $width), Dense($constant)],
                    span: $start..$end,
                    solver: Tsit5 { rtol: $rtol, atol: $rtol },
                    adjoint: $adjoint,
                },
                head: Dense($constant => 1),
            }
        }
    };
}

model!(pub Outer, first, 4 => 8 => SIX, tanh, relu, -1.0..1.5, 1e-3, Interpolating);

/// Constants of the macro's own crate.
macro_rules! own {
    () => {
        neural_ode! {
            struct Own {
                input: [$crate::SIX],
                head: Dense($crate::SIX => 2),
            }
        }
    };
}

own!();

fn main() {
    model!(Inner, second, 4 => 8 => crate::SIX, sin, sigmoid, 0..-1.0, 1e-4, Discrete);
    let dev = Cpu::default();
    let outer = Outer::<f32, _>::build(&dev);
    let inner = Inner::<f32, _>::build(&dev);
    let _: Tensor<Rank2<1, 1>, f32, _> = outer.forward(dev.zeros::<Rank2<1, 4>>());
    let _: Tensor<Rank2<1, 1>, f32, _> = inner.forward(dev.zeros::<Rank2<1, 4>>());
    assert_eq!((outer.ode.options.t0, inner.ode.options.t1), (-1.0, -1.0));
    let own = Own::<f64, _>::build(&dev);
    assert_eq!(own.head.bias.as_vec(), [0.0; 2]);
}
