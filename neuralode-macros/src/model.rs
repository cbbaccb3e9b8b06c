//! The typed model: what a definition means. Names are resolved and widths inferred; every node keeps the
//! user's tokens for messages. Both checks and code generation read this and nothing else.

use quote::ToTokens;
use syn::{Attribute, Ident, Visibility};

use crate::ast::{plain, Value};

/// A whole model.
pub(crate) struct Model {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) name: Ident,
    /// Shape of one sample.
    pub(crate) input: Shape,
    pub(crate) stages: Vec<Stage>,
    /// Conditions on constants, for the compiler to check.
    pub(crate) conditions: Vec<Condition>,
}

/// The sizes of one sample's axes.
pub(crate) type Shape = Vec<Size>;

/// A size of one axis.
#[derive(Clone)]
pub(crate) enum Size {
    /// A number.
    Literal(usize),
    /// A constant of the user's crate.
    Constant(syn::Path),
    /// The number of scalars of a shape with constants in it.
    Product(Vec<Size>),
}

impl Size {
    /// The number, where the macro knows it.
    pub(crate) fn known(&self) -> Option<usize> {
        match self {
            Self::Literal(size) => Some(*size),
            Self::Constant(_) => None,
            Self::Product(factors) => factors.iter().try_fold(1_usize, |product, factor| {
                product.checked_mul(factor.known()?)
            }),
        }
    }

    /// Whether both are the same for sure: equal numbers, or the same constant.
    pub(crate) fn is_surely(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Constant(a), Self::Constant(b)) => same_path(a, b),
            _ => self.known().is_some() && self.known() == other.known(),
        }
    }
}

impl core::fmt::Display for Size {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Literal(size) => size.fmt(f),
            Self::Constant(path) => f.write_str(&Value::Path(path.clone()).text()),
            Self::Product(factors) => {
                let factors: Vec<String> = factors.iter().map(Self::to_string).collect();
                f.write_str(&factors.join(" * "))
            }
        }
    }
}

/// Whether two paths are written alike.
pub(crate) fn same_path(a: &syn::Path, b: &syn::Path) -> bool {
    a.to_token_stream().to_string() == b.to_token_stream().to_string()
}

/// A size where the user wrote it.
#[derive(Clone)]
pub(crate) struct Written {
    pub(crate) size: Size,
    pub(crate) tokens: Value,
}

/// One named part of a model, in order.
pub(crate) struct Stage {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) name: Ident,
    pub(crate) kind: StageKind,
}

pub(crate) enum StageKind {
    Layers(Chain),
    Ode(Box<Ode>),
}

impl Stage {
    /// Its layers, or those of its field.
    pub(crate) fn chain(&self) -> &Chain {
        match &self.kind {
            StageKind::Layers(chain) => chain,
            StageKind::Ode(ode) => &ode.field,
        }
    }

    /// Name of the struct that holds its layers in the model `model`, if one is needed.
    pub(crate) fn struct_name(&self, model: &Ident) -> Option<String> {
        let (model, stage) = (plain(model), pascal_case(&self.name));
        match &self.kind {
            StageKind::Layers(chain) if chain.sole_layer().is_some() => None,
            StageKind::Layers(_) => Some(format!("{model}{stage}")),
            StageKind::Ode(_) => Some(format!("{model}{stage}Field")),
        }
    }
}

/// `my_stage` to `MyStage`.
fn pascal_case(ident: &Ident) -> String {
    plain(ident)
        .split('_')
        .flat_map(|word| {
            let mut letters = word.chars();
            letters
                .next()
                .into_iter()
                .flat_map(char::to_uppercase)
                .chain(letters)
                .collect::<Vec<char>>()
        })
        .collect()
}

/// Layers one after another.
pub(crate) struct Chain {
    pub(crate) layers: Vec<Layer>,
}

impl Chain {
    /// The layer that stands for its whole stage: the only one, or the only one with parameters. Such a
    /// stage is stored as that layer, and parameter paths name the stage alone (`encoder.weight`).
    pub(crate) fn sole_layer(&self) -> Option<&Layer> {
        let mut with_parameters = self
            .layers
            .iter()
            .filter(|layer| layer.kind.has_parameters());
        match (with_parameters.next(), with_parameters.next()) {
            (Some(only), None) => Some(only),
            (Some(_), Some(_)) => None,
            (None, _) => match self.layers.as_slice() {
                [only] => Some(only),
                _ => None,
            },
        }
    }
}

/// What comes before a layer, for the wording of messages.
#[derive(Clone, Copy)]
pub(crate) enum Feeder {
    Input,
    State,
    Layer,
    Block,
}

/// A layer with its shapes.
pub(crate) struct Layer {
    pub(crate) kind: LayerKind,
    pub(crate) input: Shape,
    pub(crate) output: Shape,
}

pub(crate) enum LayerKind {
    Flatten,
    Activation(Activation),
    /// `x^exponent`
    Pow {
        exponent: i32,
    },
    Dense {
        input: Size,
        output: Size,
        activation: Activation,
    },
}

impl LayerKind {
    /// All words that name a layer.
    pub(crate) const NAMES: &'static [&'static str] = &[
        "Dense", "Flatten", "Pow", "tanh", "relu", "sigmoid", "sin", "identity",
    ];

    pub(crate) fn has_parameters(&self) -> bool {
        matches!(self, Self::Dense { .. })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    Identity,
    Tanh,
    Relu,
    Sigmoid,
    Sin,
}

impl Activation {
    pub(crate) const NAMES: &'static [&'static str] =
        &["tanh", "relu", "sigmoid", "sin", "identity"];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "tanh" => Self::Tanh,
            "relu" => Self::Relu,
            "sigmoid" => Self::Sigmoid,
            "sin" => Self::Sin,
            "identity" => Self::Identity,
            _ => return None,
        })
    }
}

/// A Neural ODE block.
pub(crate) struct Ode {
    /// Number of features of the state.
    pub(crate) state: Size,
    pub(crate) field: Chain,
    pub(crate) span: (Value, Value),
    pub(crate) solver: Solver,
    pub(crate) adjoint: Adjoint,
}

pub(crate) struct Solver {
    pub(crate) method: Method,
    pub(crate) steps: Steps,
}

/// Who chooses the sizes of steps.
pub(crate) enum Steps {
    /// The controller, from the error of each step.
    Adaptive {
        rtol: Value,
        atol: Value,
        controller: Controller,
        sizes: Sizes,
    },
    /// The user: all the same.
    Equal { dt: Value },
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Euler,
    Midpoint,
    Heun,
    Ralston,
    Bosh3,
    Rk4,
    Dopri5,
    Tsit5,
    Vern7,
    Dopri8,
}

impl Method {
    pub(crate) const NAMES: &'static [&'static str] = &[
        "Tsit5", "Dopri5", "Dopri8", "Vern7", "Bosh3", "Heun", "Midpoint", "Ralston", "Rk4",
        "Euler",
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "Euler" => Self::Euler,
            "Midpoint" => Self::Midpoint,
            "Heun" => Self::Heun,
            "Ralston" => Self::Ralston,
            "Bosh3" => Self::Bosh3,
            "Rk4" => Self::Rk4,
            "Dopri5" => Self::Dopri5,
            "Tsit5" => Self::Tsit5,
            "Vern7" => Self::Vern7,
            "Dopri8" => Self::Dopri8,
            _ => return None,
        })
    }

    /// Whether it estimates the error of a step, without which only the user can choose step sizes.
    pub(crate) fn estimates_errors(self) -> bool {
        !matches!(self, Self::Euler | Self::Rk4)
    }
}

pub(crate) enum Controller {
    I,
    Pi,
    /// Those of its coefficients `p`, `i` and `d` that are given.
    Pid(Box<[Option<Value>; 3]>),
}

impl Controller {
    pub(crate) const NAMES: &'static [&'static str] = &["I", "PI", "PID"];
}

/// Whose error the controller sees.
#[derive(Clone, Copy)]
pub(crate) enum Sizes {
    Shared,
    PerSample,
}

impl Sizes {
    pub(crate) const NAMES: &'static [&'static str] = &["Shared", "PerSample"];
}

pub(crate) enum Adjoint {
    Discrete,
    Interpolating,
    Gauss,
    Quadrature,
    Backsolve,
    Checkpointed { bytes: Size },
}

impl Adjoint {
    pub(crate) const NAMES: &'static [&'static str] = &[
        "Discrete",
        "Interpolating",
        "Gauss",
        "Quadrature",
        "Backsolve",
        "Checkpointed",
    ];

    /// The adjoint that its name alone says.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "Discrete" => Self::Discrete,
            "Interpolating" => Self::Interpolating,
            "Gauss" => Self::Gauss,
            "Quadrature" => Self::Quadrature,
            "Backsolve" => Self::Backsolve,
            _ => return None,
        })
    }
}

/// A condition on sizes that holds constants, with the tokens to underline if it fails.
pub(crate) struct Condition {
    pub(crate) at: proc_macro2::TokenStream,
    pub(crate) kind: ConditionKind,
}

pub(crate) enum ConditionKind {
    /// `produced` features enter a layer of `taken` inputs.
    Feeds { produced: Size, taken: Size },
    /// A field of `state` features ends in `produced`.
    ReturnsState { produced: Size, state: Size },
    /// A width is not zero.
    Positive(Size),
}

impl Condition {
    pub(crate) fn new(at: impl ToTokens, kind: ConditionKind) -> Self {
        Self {
            at: at.into_token_stream(),
            kind,
        }
    }
}
