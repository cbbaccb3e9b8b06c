// Names of the user that are those of the standard library, of dfdx and of the runtime change nothing.
#![allow(dead_code, non_snake_case, unused_macros)]

use neuralode::neural_ode;

mod core {}
mod std {}
mod alloc {}
mod dfdx {}
mod neuralode_runtime {}
struct Option;
struct Result;
struct Vec;
struct String;
struct PhantomData;
struct Tensor;
struct Dense;
struct Tanh;
struct Ode;
struct Const;
struct Field;
trait Module {}
trait Clone {}
trait Debug {}
trait Default {}
trait Deref {}
fn Some() {}
fn None() {}
fn Ok() {}
fn Err() {}
macro_rules! vec {
    () => {};
}
macro_rules! panic {
    () => {};
}

neural_ode! {
    pub struct Model {
        input: [2, 2],
        encoder: [Flatten, Dense(4 => 8, tanh), Dense(8 => 4)],
        ode: Ode {
            field(t, y): [Dense(4 => 8, relu), sin, Dense(8 => 4)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
        head: sigmoid,
    }
}

fn main() {
    let model = Model::<f64, _>::build(&::neuralode::dfdx::tensor::Cpu::default());
    let _ = model.summary();
}
