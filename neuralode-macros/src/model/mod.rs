//! The typed model: what a definition means. Names are resolved and widths inferred; every node keeps the
//! user's tokens for messages. Both checks and code generation read this and nothing else.

pub(crate) mod spatial;
pub(crate) mod stateful;

use proc_macro2::Span;
use quote::ToTokens;
use syn::{Attribute, Ident, Visibility};

use crate::{
    ast::{plain, Derived, Value},
    generics::Generics,
    model::{spatial::Spatial, stateful::Stateful},
};

/// An enum of words of the language, `Variant = "word"`, in the order in which messages list them. The runtime knows
/// what a word means by the name of the variant.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name {
            $($variant,)*
        }

        impl $name {
            pub(crate) const NAMES: &'static [&'static str] = &[$($word),*];

            pub(crate) fn named(word: &str) -> Option<Self> {
                Some(match word {
                    $($word => Self::$variant,)*
                    _ => return None,
                })
            }

            /// The name of the runtime's type or variant.
            pub(crate) fn runtime_name(self) -> Ident {
                let name = match self {
                    $(Self::$variant => stringify!($variant),)*
                };
                Ident::new(name, Span::call_site())
            }
        }
    };
}

/// A whole model.
pub(crate) struct Model {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) name: Ident,
    /// Parameters besides the dtype and the device.
    pub(crate) generics: Generics,
    /// The struct that the user wrote, if the macro does not.
    pub(crate) derived: Option<Derived>,
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
    /// A generic parameter of the model.
    Parameter(Ident),
    /// The number of scalars of a shape with constants in it.
    Product(Vec<Size>),
    /// A size and what was added to it.
    Sum(Vec<Size>),
}

impl Size {
    /// The number, where the macro knows it.
    pub(crate) fn known(&self) -> Option<usize> {
        match self {
            Self::Literal(size) => Some(*size),
            Self::Constant(_) | Self::Parameter(_) => None,
            Self::Product(factors) => factors.iter().try_fold(1_usize, |product, factor| {
                product.checked_mul(factor.known()?)
            }),
            Self::Sum(terms) => terms
                .iter()
                .try_fold(0_usize, |sum, term| sum.checked_add(term.known()?)),
        }
    }

    /// Whether only the user of the model will say what it is.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Literal(_) | Self::Constant(_) => false,
            Self::Parameter(_) => true,
            Self::Product(sizes) | Self::Sum(sizes) => sizes.iter().any(Self::is_open),
        }
    }

    /// The number of scalars of a shape.
    pub(crate) fn of(shape: &Shape) -> Self {
        match shape.as_slice() {
            [size] => size.clone(),
            sizes => {
                let product = Self::Product(sizes.to_vec());
                product.known().map_or(product, Self::Literal)
            }
        }
    }

    /// The sum of two sizes; `None` if it is no `usize`.
    pub(crate) fn plus(&self, other: &Self) -> Option<Self> {
        match (self.known(), other.known()) {
            (Some(a), Some(b)) => a.checked_add(b).map(Self::Literal),
            _ => Some(Self::Sum(vec![self.clone(), other.clone()])),
        }
    }

    /// Whether both are the same for sure: equal numbers, or the same constant.
    pub(crate) fn is_surely(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Constant(a), Self::Constant(b)) => same_path(a, b),
            (Self::Parameter(a), Self::Parameter(b)) => a == b,
            (Self::Product(a), Self::Product(b)) | (Self::Sum(a), Self::Sum(b))
                if self.known().is_none() =>
            {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_surely(b))
            }
            _ => self.known().is_some() && self.known() == other.known(),
        }
    }
}

impl core::fmt::Display for Size {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Literal(size) => size.fmt(f),
            Self::Constant(path) => f.write_str(&Value::Path(path.clone()).text()),
            Self::Parameter(name) => name.fmt(f),
            Self::Product(factors) => {
                let factors: Vec<String> = factors.iter().map(Self::to_string).collect();
                f.write_str(&factors.join(" * "))
            }
            Self::Sum(terms) => {
                let terms: Vec<String> = terms.iter().map(Self::to_string).collect();
                f.write_str(&terms.join(" + "))
            }
        }
    }
}

/// Whether two paths are written alike.
pub(crate) fn same_path(a: &syn::Path, b: &syn::Path) -> bool {
    a.to_token_stream().to_string() == b.to_token_stream().to_string()
}

/// Whether two shapes are the same for sure.
pub(crate) fn surely(a: &Shape, b: &Shape) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_surely(b))
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
        match &self.kind {
            StageKind::Layers(chain) if chain.sole_layer().is_some() => None,
            StageKind::Layers(_) => Some(format!("{}{}", plain(model), pascal_case(&self.name))),
            StageKind::Ode(_) => Some(field_name(model, &self.name)),
        }
    }
}

/// Name of the struct of the vector field of a block `stage` in the model `model`.
pub(crate) fn field_name(model: &Ident, stage: &Ident) -> String {
    format!("{}{}Field", plain(model), pascal_case(stage))
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
    /// The layer that stands for its whole stage: the only one, or the only one with parameters or settings. Such a
    /// stage is stored as that layer, and parameter paths name the stage alone (`encoder.weight`).
    pub(crate) fn sole_layer(&self) -> Option<&Layer> {
        let mut kept = self.layers.iter().filter(|layer| layer.kind.is_kept());
        match (kept.next(), kept.next()) {
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
    Residual,
}

/// What must return the shape that it takes.
#[derive(Clone, Copy)]
pub(crate) enum Returned {
    State,
    Residual,
}

/// A layer with its shapes.
pub(crate) struct Layer {
    pub(crate) kind: LayerKind,
    pub(crate) input: Shape,
    pub(crate) output: Shape,
}

impl Layer {
    /// The number of scalars that it takes of a sample.
    pub(crate) fn taken(&self) -> Size {
        Size::of(&self.input)
    }

    /// The number of scalars that it makes of a sample.
    pub(crate) fn produced(&self) -> Size {
        Size::of(&self.output)
    }
}

pub(crate) enum LayerKind {
    Flatten,
    Reshape,
    /// Zeros behind what enters.
    Augment,
    /// The first ones of what enters.
    Project,
    /// The time behind what enters.
    AppendTime,
    /// Layers, and what entered them added to what they return.
    Residual(Chain),
    Activation(Activation),
    /// `x^exponent`
    Pow {
        exponent: i32,
    },
    /// A weight and a bias for each size of the first axis.
    Scale {
        channels: Size,
    },
    /// With 1e-5, if nothing is said.
    LayerNorm {
        epsilon: Option<Value>,
    },
    Dense {
        input: Size,
        output: Size,
        activation: Activation,
        init: Init,
    },
    /// A layer over the places of an image.
    Spatial(Spatial),
    /// A layer that is called with its state.
    Stateful(Stateful),
}

impl LayerKind {
    /// All words that name a layer.
    pub(crate) const NAMES: &'static [&'static str] = &{
        const LAYERS: [&str; 17] = [
            "Dense",
            "Conv2d",
            "MaxPool2d",
            "AvgPool2d",
            "GlobalAvgPool",
            "Flatten",
            "Reshape",
            "Pow",
            "Residual",
            "Augment",
            "Project",
            "Append",
            "BatchNorm",
            "Dropout",
            "Custom",
            "Scale",
            "LayerNorm",
        ];
        let mut names = [""; LAYERS.len() + Activation::NAMES.len()];
        let (layers, activations) = names.split_at_mut(LAYERS.len());
        layers.copy_from_slice(&LAYERS);
        activations.copy_from_slice(Activation::NAMES);
        names
    };

    pub(crate) fn has_parameters(&self) -> bool {
        match self {
            Self::Dense { .. } | Self::Scale { .. } | Self::LayerNorm { .. } => true,
            Self::Residual(chain) => chain.layers.iter().any(|layer| layer.kind.has_parameters()),
            Self::Spatial(layer) => layer.kind.has_parameters(),
            Self::Stateful(layer) => layer.kind.has_parameters(),
            Self::Flatten
            | Self::Reshape
            | Self::Augment
            | Self::Project
            | Self::AppendTime
            | Self::Activation(_)
            | Self::Pow { .. } => false,
        }
    }

    /// Whether there is something to keep between calls: parameters or settings.
    fn is_kept(&self) -> bool {
        match self {
            Self::Residual(chain) => chain.layers.iter().any(|layer| layer.kind.is_kept()),
            Self::Stateful(_) => true,
            other => other.has_parameters(),
        }
    }
}

words! {
    /// A function that a layer applies to every number.
    Activation {
        Tanh = "tanh",
        Relu = "relu",
        Sigmoid = "sigmoid",
        Sin = "sin",
        Identity = "identity",
        LeakyRelu = "leaky_relu",
        Elu = "elu",
        Gelu = "gelu",
        Silu = "silu",
        Softplus = "softplus",
    }
}

words! {
    /// What the parameters of a layer start with.
    Init {
        Glorot = "glorot",
        Kaiming = "kaiming",
        Dfdx = "dfdx",
        Zeros = "zeros",
        Orthogonal = "orthogonal",
    }
}

/// A Neural ODE block.
pub(crate) struct Ode {
    /// Shape of the state of one sample.
    pub(crate) state: Shape,
    pub(crate) field: Chain,
    pub(crate) span: (Value, Value),
    pub(crate) solver: Solver,
    pub(crate) adjoint: Adjoint,
}

impl Ode {
    /// Number of scalars of the state.
    pub(crate) fn features(&self) -> Size {
        Size::of(&self.state)
    }
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
        control: Control,
        sizes: Sizes,
    },
    /// The user: all the same.
    Equal { dt: Value },
}

words! {
    /// A Runge-Kutta method.
    Method {
        Tsit5 = "Tsit5",
        Dopri5 = "Dopri5",
        Dopri8 = "Dopri8",
        Vern7 = "Vern7",
        Bosh3 = "Bosh3",
        Heun = "Heun",
        Midpoint = "Midpoint",
        Ralston = "Ralston",
        Rk4 = "Rk4",
        Euler = "Euler",
    }
}

impl Method {
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

/// Whose error chooses the steps.
#[derive(Clone, Copy)]
pub(crate) enum Control {
    Solution,
    Gradients,
}

impl Control {
    pub(crate) const NAMES: &'static [&'static str] = &["Solution", "Gradients"];
}

words! {
    /// One step size for the batch, or one for each sample.
    Sizes {
        Shared = "Shared",
        PerSample = "PerSample",
    }
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
    /// A `Residual` that `entering` features enter ends in `produced`.
    ReturnsInput { produced: Size, entering: Size },
    /// A `Reshape` of so many scalars to a shape of so many.
    Holds { entering: Size, leaving: Size },
    /// A `Project` of so many features to so many.
    Keeps { kept: Size, entering: Size },
    /// A width is not zero.
    Positive(Size),
    /// A constant is one of the numbers that its place may have, or none of those of a place where that is said
    /// already.
    InDomain {
        number: Value,
        quantity: Quantity,
        judged: Vec<Quantity>,
    },
    /// A span ends elsewhere than it starts.
    EndsDiffer(Value, Value),
    /// A step is no larger than the span.
    StepFits { dt: Value, span: (Value, Value) },
}

/// What a number is, which says what it may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    RelativeTolerance,
    AbsoluteTolerance,
    StepSize,
    Time,
    Coefficient,
    Probability,
    Momentum,
    Epsilon,
}

impl Condition {
    pub(crate) fn new(at: impl ToTokens, kind: ConditionKind) -> Self {
        Self {
            at: at.into_token_stream(),
            kind,
        }
    }
}
