//! What a model is made of, for people to read.

use core::fmt;

use dfdx::{
    nn::{NumParams, TensorCollection},
    shapes::Dtype,
    tensor_ops::Device,
};

use neuralode_core::ode::{
    choices::{Adjoint, Backend, Control, Controller, StepSizes},
    options::SolveOptions,
};

/// Stages, layers, static shapes and parameter counts of a model, as `model.summary()` returns it.
///
/// Its `Display` is a table.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// Name of the model.
    pub model: String,
    /// Its layers in order.
    pub layers: Vec<LayerSummary>,
    /// Two lines per Neural ODE block: its path and how it is solved, the path of its field and the field's static
    /// type.
    pub blocks: Vec<(String, String)>,
}

/// One layer of a [`Summary`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerSummary {
    /// Path of the layer, such as `ode.field.1`.
    pub path: String,
    /// Static type of the layer; the epsilon of a `LayerNorm`, whose bits are in its type, as a number.
    pub kind: String,
    /// Shape of one sample on the way in.
    pub input: Vec<usize>,
    /// Shape of one sample on the way out.
    pub output: Vec<usize>,
    /// Number of trainable scalars.
    pub parameters: usize,
    /// Static type of its state, for a layer that has one.
    pub state: Option<String>,
}

/// When generated kernels solve a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// There are none, here or at all.
    Never,
    /// Where the state of its field is constant.
    InInference,
    /// On a GPU: whole solves without stops, and their discrete adjoint.
    DiscreteAdjoint,
    /// The same, where the state of its field is constant.
    DiscreteAdjointInInference,
    /// In every call.
    Always,
}

impl Summary {
    /// A summary without layers yet.
    pub fn new(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            layers: Vec::new(),
            blocks: Vec::new(),
        }
    }

    /// Adds a layer of the static type `L`.
    #[must_use]
    pub fn layer<L>(
        mut self,
        path: &str,
        input: &[usize],
        output: &[usize],
        parameters: usize,
    ) -> Self {
        self.layers.push(LayerSummary {
            path: path.to_owned(),
            kind: with_epsilon(without_paths(core::any::type_name::<L>())),
            input: input.to_vec(),
            output: output.to_vec(),
            parameters,
            state: None,
        });
        self
    }

    /// Adds that the state of the last layer is an `S`.
    #[must_use]
    pub fn state<S>(mut self) -> Self {
        if let Some(layer) = self.layers.last_mut() {
            layer.state = Some(without_paths(core::any::type_name::<S>()));
        }
        self
    }

    /// Adds how the block at `path` with a field of type `F` is solved; `kernels` says when generated kernels can do
    /// it.
    #[must_use]
    pub fn block<F>(mut self, path: &str, options: &SolveOptions, kernels: Kernels) -> Self {
        let stops = !(options.step_at.is_empty() && options.jump_at.is_empty());
        let whole = options.adjoint == Adjoint::Discrete && !stops;
        let kernels = match kernels {
            Kernels::DiscreteAdjoint if whole => Kernels::Always,
            Kernels::DiscreteAdjointInInference if whole => Kernels::InInference,
            other => other,
        };
        let backend = match (options.backend, kernels) {
            (Backend::Kernels, Kernels::Always) => "Kernels",
            (Backend::Kernels, Kernels::InInference) => {
                "Kernels in inference, Operations in training"
            }
            _ => "Operations",
        };
        let tolerances = format!("rtol {:e}, atol {:e}", options.rtol, options.atol);
        let control = match options.controller {
            // Its integral alone is adaptive.
            Controller::Constant { dt } if options.adjoint == Adjoint::Quadrature => {
                format!("dt {dt:?}, {tolerances} of the adjoint")
            }
            Controller::Constant { dt } => format!("dt {dt:?}"),
            controller => format!("{tolerances}, controller {controller:?}"),
        };
        let steps = if options.steps == StepSizes::PerSample {
            ", steps PerSample"
        } else {
            ""
        };
        let guided = match options.control {
            Control::Gradients { .. } if options.is_adaptive() => ", control Gradients",
            _ => "",
        };
        let solved = format!(
            "{:?} over {:?}..{:?}, {control}{guided}{steps}, adjoint {:?}, backend {backend}",
            options.solver, options.t0, options.t1, options.adjoint
        );
        self.blocks.push((path.to_owned(), solved));
        let field = without_paths(core::any::type_name::<F>());
        self.blocks.push((format!("{path}.field"), field));
        self
    }

    /// Number of trainable scalars of the whole model.
    pub fn parameters(&self) -> usize {
        self.layers.iter().map(|layer| layer.parameters).sum()
    }
}

/// Number of trainable scalars of a layer that the macro cannot see into.
pub fn count_parameters<E: Dtype, D: Device<E>, M: TensorCollection<E, D>>(layer: &M) -> usize {
    layer.num_trainable_params()
}

/// `a::b::Type<c::__Other>` without the modules and the marks of hidden names: `Type<Other>`.
fn without_paths(name: &str) -> String {
    let mut out = String::new();
    for part in name.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
        let name = part.rsplit("::").next().unwrap_or(part);
        out.push_str(name.strip_prefix("__").unwrap_or(name));
    }
    out
}

/// `LayerNorm<6, f32, Cpu, 4532020583610935537>` with the number that these bits are: `LayerNorm<6, f32, Cpu, 1e-5>`.
fn with_epsilon(kind: String) -> String {
    if !kind.starts_with("LayerNorm<") {
        return kind;
    }
    let Some((front, last)) = kind.rsplit_once(", ") else {
        return kind;
    };
    match last.trim_end_matches('>').parse().map(f64::from_bits) {
        Ok(epsilon) => format!("{front}, {epsilon:e}>"),
        Err(_) => kind,
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["layer", "type", "shape", "parameters"].map(str::to_owned);
        let rows = self.layers.iter().map(|layer| {
            [
                layer.path.clone(),
                layer.kind.clone(),
                format!("{:?} -> {:?}", layer.input, layer.output),
                layer.parameters.to_string(),
            ]
        });
        let rows: Vec<[String; 4]> = core::iter::once(header).chain(rows).collect();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths = [width(0), width(1), width(2), width(3)];
        writeln!(f, "{}", self.model)?;
        for [path, kind, shape, parameters] in &rows {
            writeln!(
                f,
                "  {path:<0$}  {kind:<1$}  {shape:<2$}  {parameters:>3$}",
                widths[0], widths[1], widths[2], widths[3]
            )?;
        }
        for layer in &self.layers {
            if let Some(state) = &layer.state {
                writeln!(f, "  {}: state {state}", layer.path)?;
            }
        }
        for (path, solved) in &self.blocks {
            writeln!(f, "  {path}: {solved}")?;
        }
        write!(f, "  {} trainable parameters", self.parameters())
    }
}

#[cfg(test)]
mod tests {
    use super::{with_epsilon, without_paths};

    #[test]
    fn type_names_lose_their_modules() {
        assert_eq!(
            without_paths("a::b::Dense<784, 20, a::activation::Tanh, f32, x::Cpu>"),
            "Dense<784, 20, Tanh, f32, Cpu>"
        );
    }

    #[test]
    fn the_epsilon_of_a_layer_norm_is_a_number() {
        let kind = format!("LayerNorm<6, f32, Cpu, {}>", 1e-5_f64.to_bits());
        assert_eq!(with_epsilon(kind), "LayerNorm<6, f32, Cpu, 1e-5>");
        for other in ["Dense<2, 3, Tanh, f32, Cpu>", "LayerNorm<6, f32>", "Pow<3>"] {
            assert_eq!(with_epsilon(other.to_owned()), other);
        }
    }
}
