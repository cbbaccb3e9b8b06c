//! From the syntax tree to the typed model: resolves names, infers widths, follows the shape of a sample
//! through the layers. A part that was reported is left out or followed by an unknown shape, so that one
//! mistake gives one message.

use quote::ToTokens;
use syn::{Ident, Lit};

use crate::{
    ast::{Definition, Entry, Expr, Value},
    check,
    diag::Diagnostics,
    model::{
        same_path, Activation, Adjoint, Chain, Condition, ConditionKind, Controller, Layer,
        LayerKind, Method, Model, Ode, Shape, Size, Solver, Stage, StageKind, Written,
    },
    suggest,
};

/// Lowers a definition. The model is complete only if nothing was reported.
pub(crate) fn lower(definition: Definition, diagnostics: &mut Diagnostics) -> Option<Model> {
    let mut lowering = Lowering {
        diagnostics,
        conditions: Vec::new(),
        constants: Vec::new(),
    };
    lowering.model(definition)
}

struct Lowering<'d> {
    diagnostics: &'d mut Diagnostics,
    conditions: Vec<Condition>,
    /// Constants met so far.
    constants: Vec<syn::Path>,
}

/// Where a chain of layers begins, for the wording of messages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Feeder {
    Input,
    State,
    Layer,
}

impl Lowering<'_> {
    fn model(&mut self, definition: Definition) -> Option<Model> {
        let name = definition.name;
        check::no_duplicates(
            definition.entries.iter().map(|entry| &entry.name),
            "stage",
            self.diagnostics,
        );
        let mut input: Option<Shape> = None;
        let mut current: Option<Shape> = None;
        let mut stages = Vec::new();
        let count = definition.entries.len();
        for (position, entry) in definition.entries.into_iter().enumerate() {
            if entry.name == "input" {
                if position > 0 {
                    self.diagnostics.error_with_help(
                        &entry.name,
                        "`input` must come first",
                        "move it above the stages, which take their shapes from it",
                    );
                }
                input = self.input(&entry);
                current.clone_from(&input);
                continue;
            }
            if position == 0 {
                self.diagnostics.error_with_help(
                    &entry.name,
                    "expected `input` before the first stage",
                    "write `input: [28, 28],` with the shape of one sample, without the batch",
                );
            }
            self.no_parameters(&entry);
            if let Some(stage) = self.stage(entry, &mut current) {
                stages.push(stage);
            }
        }
        if count == 0 {
            self.diagnostics.error_with_help(
                &name,
                format!("the model `{name}` has no input and no stages"),
                "write `input: [28, 28], encoder: Dense(...), ...`",
            );
        } else if count == 1 && input.is_some() {
            self.diagnostics.error_with_help(
                &name,
                format!("the model `{name}` has no stages"),
                "add one after `input`, such as `head: Dense(20 => 10)`",
            );
        }
        Some(Model {
            attributes: definition.attributes,
            visibility: definition.visibility,
            name,
            input: input?,
            stages,
            conditions: core::mem::take(&mut self.conditions),
        })
    }

    fn no_parameters(&mut self, entry: &Entry) {
        if entry.parameters.is_some() {
            self.diagnostics.error(
                &entry.name,
                format!(
                    "`{}` takes no parameters here; only `field(t, y)` in an `Ode` does",
                    entry.name
                ),
            );
        }
    }

    fn input(&mut self, entry: &Entry) -> Option<Shape> {
        self.no_parameters(entry);
        let Expr::List(_, sizes) = &entry.value else {
            if !matches!(entry.value, Expr::Invalid) {
                self.diagnostics.error_with_help(
                    &entry.value,
                    "`input` must be a shape in brackets",
                    "write `input: [28, 28]`, the shape of one sample without the batch",
                );
            }
            return None;
        };
        if sizes.is_empty() || sizes.len() > 5 {
            self.diagnostics.error_with_help(
                &entry.value,
                format!("`input` must have 1 to 5 axes, found {}", sizes.len()),
                "write the shape of one sample without the batch",
            );
            return None;
        }
        let sizes: Vec<Option<Written>> = sizes.iter().map(|size| self.size(size)).collect();
        sizes
            .into_iter()
            .map(|size| size.map(|written| written.size))
            .collect()
    }

    /// A size that was written out, reported unless it is a positive integer or a constant.
    fn size(&mut self, expr: &Expr) -> Option<Written> {
        let Expr::Value(value) = expr else {
            if !matches!(expr, Expr::Invalid) {
                self.diagnostics
                    .error(expr, "expected a width: a positive integer or a constant");
            }
            return None;
        };
        self.width(value)
    }

    fn width(&mut self, value: &Value) -> Option<Written> {
        let size = match value {
            Value::Path(path) => {
                // One message for a constant of zero, however often it is used.
                if !self.constants.iter().any(|seen| same_path(seen, path)) {
                    self.constants.push(path.clone());
                    let kind = ConditionKind::Positive(Size::Constant(path.clone()));
                    self.conditions.push(Condition::new(path, kind));
                }
                Size::Constant(path.clone())
            }
            Value::Infer(_) => {
                self.diagnostics.error_with_help(
                    value,
                    "this width cannot be inferred",
                    "only the input width of a `Dense` can, as in `Dense(_ => 20)`",
                );
                return None;
            }
            Value::Number(minus, lit) => {
                Size::Literal(check::width(value, minus.is_some(), lit, self.diagnostics)?)
            }
        };
        Some(Written {
            size,
            tokens: value.clone(),
        })
    }

    fn stage(&mut self, entry: Entry, current: &mut Option<Shape>) -> Option<Stage> {
        let kind = match &entry.value {
            Expr::Block(name, clauses) if name == "Ode" => {
                let ode = self.ode(name, clauses, current);
                StageKind::Ode(Box::new(ode?))
            }
            Expr::Block(name, _) => {
                self.diagnostics.error_with_help(
                    name,
                    format!("unknown block `{name}`"),
                    suggest::help(&name.to_string(), &["Ode"]),
                );
                *current = None;
                return None;
            }
            value => {
                let chain = self.chain(value, current, Feeder::Input);
                StageKind::Layers(chain?)
            }
        };
        Some(Stage {
            attributes: entry.attributes,
            name: entry.name,
            kind,
        })
    }

    /// The layers of a stage or field. `current` is the shape that enters and, afterwards, leaves; `None`
    /// if unknown because of an error.
    fn chain(
        &mut self,
        value: &Expr,
        current: &mut Option<Shape>,
        mut feeder: Feeder,
    ) -> Option<Chain> {
        let layers = layers_of(value);
        if layers.is_empty() {
            self.diagnostics.error_with_help(
                value,
                "expected at least one layer",
                "write layers such as `[Dense(20 => 10, tanh), Dense(10 => 20)]`",
            );
            *current = None;
            return None;
        }
        let mut complete = true;
        let mut lowered = Vec::new();
        for layer in layers {
            match self.layer(layer, current, feeder) {
                Some(layer) => lowered.push(layer),
                None => complete = false,
            }
            feeder = Feeder::Layer;
        }
        complete.then_some(Chain { layers: lowered })
    }

    fn layer(&mut self, expr: &Expr, current: &mut Option<Shape>, feeder: Feeder) -> Option<Layer> {
        let known = [
            "Dense", "Flatten", "tanh", "relu", "sigmoid", "sin", "identity",
        ];
        let (name, arguments) = match expr {
            Expr::Call(name, arguments) => (name, Some(arguments.as_slice())),
            Expr::Value(value) => {
                let Some(name) = value.as_ident() else {
                    self.diagnostics.error_with_help(
                        value,
                        "expected a layer",
                        format!("write one of {}", suggest::list(&known)),
                    );
                    *current = None;
                    return None;
                };
                (name, None)
            }
            Expr::Block(name, _) if name == "Ode" => {
                self.diagnostics.error_with_help(
                    name,
                    "an `Ode` cannot stand among layers",
                    "make it a stage of its own: `name: Ode { ... }`",
                );
                *current = None;
                return None;
            }
            Expr::Invalid => {
                *current = None;
                return None;
            }
            _ => {
                self.diagnostics.error_with_help(
                    expr,
                    "expected a layer",
                    format!("write one of {}", suggest::list(&known)),
                );
                *current = None;
                return None;
            }
        };
        match name.to_string().as_str() {
            "Dense" => self.dense(name, arguments, current, feeder),
            "Flatten" => self.flatten(name, arguments, current),
            word => {
                if let Some(activation) = Activation::named(word) {
                    return self.activation_layer(name, activation, arguments, current);
                }
                self.diagnostics.error_with_help(
                    name,
                    format!("unknown layer `{name}`"),
                    suggest::help(word, &known),
                );
                *current = None;
                None
            }
        }
    }

    fn no_arguments(&mut self, name: &Ident, arguments: Option<&[Expr]>) {
        if let Some([first, ..]) = arguments {
            self.diagnostics.error_with_help(
                first,
                format!("`{name}` takes no arguments"),
                format!("write `{name}`"),
            );
        }
    }

    fn flatten(
        &mut self,
        name: &Ident,
        arguments: Option<&[Expr]>,
        current: &mut Option<Shape>,
    ) -> Option<Layer> {
        self.no_arguments(name, arguments);
        let input = current.take()?;
        let product = Size::Product(input.clone());
        let constant = input.iter().any(|size| size.known().is_none());
        let features = match product.known() {
            Some(features) => Size::Literal(features),
            None if constant => product,
            None => {
                self.diagnostics
                    .error(name, "the number of features overflows `usize`");
                return None;
            }
        };
        let output = vec![features];
        *current = Some(output.clone());
        Some(Layer {
            kind: LayerKind::Flatten,
            input,
            output,
        })
    }

    fn activation_layer(
        &mut self,
        name: &Ident,
        activation: Activation,
        arguments: Option<&[Expr]>,
        current: &mut Option<Shape>,
    ) -> Option<Layer> {
        self.no_arguments(name, arguments);
        let shape = current.clone()?;
        Some(Layer {
            kind: LayerKind::Activation(activation),
            input: shape.clone(),
            output: shape,
        })
    }

    fn dense(
        &mut self,
        name: &Ident,
        arguments: Option<&[Expr]>,
        current: &mut Option<Shape>,
        feeder: Feeder,
    ) -> Option<Layer> {
        // Whatever goes wrong below, the shape that enters is used up here.
        let incoming = current.take();
        let usage = "write `Dense(inputs => outputs, activation)`, `Dense(_ => outputs)` or `Dense(outputs)`";
        let Some([width, rest @ ..]) = arguments else {
            self.diagnostics
                .error_with_help(name, "`Dense` needs its number of outputs", usage);
            return None;
        };
        let (declared, outputs) = match width {
            Expr::Edge(Value::Infer(_), outputs) | Expr::Value(outputs) => (None, outputs),
            Expr::Edge(inputs, outputs) => (Some(inputs), outputs),
            Expr::Invalid => return None,
            other => {
                self.diagnostics
                    .error_with_help(other, "expected the widths of a `Dense`", usage);
                return None;
            }
        };
        let declared_size = declared.map(|inputs| self.width(inputs));
        let output = self.width(outputs);
        let activation = self.dense_activation(rest, usage);
        // What leaves is known as soon as the output width is, whatever else was wrong.
        *current = output.as_ref().map(|output| vec![output.size.clone()]);

        let incoming = incoming.and_then(|shape| self.flat(name, shape));
        let input = match declared_size {
            Some(written) => {
                let written = written?;
                if let Some(produced) = incoming {
                    let condition = check::feeds(
                        &produced,
                        &written,
                        match feeder {
                            Feeder::Input => "the input has",
                            Feeder::State => "the state has",
                            Feeder::Layer => "the one before it produces",
                        },
                        self.diagnostics,
                    );
                    self.conditions.extend(condition);
                }
                written.size
            }
            None => incoming?,
        };
        let output = output?.size;
        Some(Layer {
            input: vec![input.clone()],
            output: vec![output.clone()],
            kind: LayerKind::Dense {
                input,
                output,
                activation: activation?,
            },
        })
    }

    fn dense_activation(&mut self, rest: &[Expr], usage: &str) -> Option<Activation> {
        let (word, more) = match rest {
            [] => return Some(Activation::Identity),
            [word, more @ ..] => (word, more),
        };
        if let [surplus, ..] = more {
            self.diagnostics
                .error_with_help(surplus, "`Dense` takes no third argument", usage);
            return None;
        }
        if matches!(word, Expr::Invalid) {
            return None;
        }
        let ident = match word {
            Expr::Value(value) => value.as_ident(),
            _ => None,
        };
        let Some(ident) = ident else {
            self.diagnostics.error_with_help(
                word,
                "expected an activation",
                format!("write {}", suggest::list(Activation::NAMES)),
            );
            return None;
        };
        let found = Activation::named(&ident.to_string());
        if found.is_none() {
            self.diagnostics.error_with_help(
                ident,
                format!("unknown activation `{ident}`"),
                suggest::help(&ident.to_string(), Activation::NAMES),
            );
        }
        found
    }

    /// The number of features of a flat shape.
    fn flat(&mut self, at: &Ident, shape: Shape) -> Option<Size> {
        let axes = shape.len();
        let rendered = render_shape(&shape);
        let mut sizes = shape.into_iter();
        match (sizes.next(), sizes.next()) {
            (Some(features), None) => Some(features),
            _ => {
                self.diagnostics.error_with_help(
                    at,
                    format!(
                        "`{at}` takes a flat vector of features, found {axes} axes: {rendered}"
                    ),
                    "put `Flatten` before it",
                );
                None
            }
        }
    }

    fn ode(&mut self, name: &Ident, clauses: &[Entry], current: &mut Option<Shape>) -> Option<Ode> {
        check::no_duplicates(
            clauses.iter().map(|clause| &clause.name),
            "clause",
            self.diagnostics,
        );
        let state = current.take().and_then(|shape| self.flat(name, shape));
        let (mut field, mut span, mut solver) = (None, None, None);
        let (mut has_field, mut has_span, mut has_solver) = (false, false, false);
        let mut adjoint = Some(Adjoint::Discrete);
        for clause in clauses {
            if clause.name != "field" {
                self.no_parameters(clause);
            }
            match clause.name.to_string().as_str() {
                "field" => {
                    has_field = true;
                    field = self.field(clause, state.as_ref());
                }
                "span" => {
                    has_span = true;
                    span = self.span(&clause.value);
                }
                "solver" => {
                    has_solver = true;
                    solver = self.solver(&clause.value);
                }
                "adjoint" => {
                    adjoint = self.word(&clause.value, "adjoint", Adjoint::NAMES, Adjoint::named);
                }
                "save_at" => {
                    let _ = self.word(&clause.value, "choice of saved values", &["End"], |name| {
                        (name == "End").then_some(())
                    });
                }
                other => self.diagnostics.error_with_help(
                    &clause.name,
                    format!("unknown clause `{other}` of an `Ode`"),
                    suggest::help(other, &["field", "span", "solver", "adjoint", "save_at"]),
                ),
            }
        }
        let required = [
            (has_field, "field", "field(t, y): [Dense(20 => 20, tanh)]"),
            (has_span, "span", "span: 0.0..1.0"),
            (
                has_solver,
                "solver",
                "solver: Tsit5 { rtol: 1e-3, atol: 1e-3 }",
            ),
        ];
        for (present, clause, example) in required {
            if !present {
                self.diagnostics.error_with_help(
                    name,
                    format!("this `Ode` has no `{clause}`"),
                    format!("add `{example},`"),
                );
            }
        }
        // A field returns the shape of its state, so what follows is known whatever was wrong inside.
        *current = state.clone().map(|state| vec![state]);
        Some(Ode {
            state: state?,
            field: field?,
            span: span?,
            solver: solver?,
            adjoint: adjoint?,
        })
    }

    fn field(&mut self, clause: &Entry, state: Option<&Size>) -> Option<Chain> {
        let parameters = clause.parameters.as_ref().map(Vec::len);
        if parameters != Some(2) {
            self.diagnostics.error_with_help(
                &clause.name,
                "a field is a function of time and state",
                "write `field(t, y): [...]`",
            );
        }
        let mut current = state.map(|state| vec![state.clone()]);
        let last_output = last_output(&clause.value).map(ToTokens::to_token_stream);
        let chain = self.chain(&clause.value, &mut current, Feeder::State)?;
        let produced = current?;
        if let ([produced], Some(state)) = (produced.as_slice(), state) {
            let at = last_output.unwrap_or_else(|| clause.name.to_token_stream());
            let condition = check::returns_state(produced, state, at, self.diagnostics);
            self.conditions.extend(condition);
        }
        Some(chain)
    }

    fn span(&mut self, value: &Expr) -> Option<(Value, Value)> {
        let Expr::Range(start, end) = value else {
            if !matches!(value, Expr::Invalid) {
                self.diagnostics.error_with_help(
                    value,
                    "expected a time span",
                    "write `span: 0.0..1.0`",
                );
            }
            return None;
        };
        let start_ok = check::number(start, "a time", self.diagnostics);
        let end_ok = check::number(end, "a time", self.diagnostics);
        (start_ok.is_some() && end_ok.is_some()).then(|| (start.clone(), end.clone()))
    }

    fn solver(&mut self, value: &Expr) -> Option<Solver> {
        let (name, settings): (&Ident, &[Entry]) = match value {
            Expr::Block(name, settings) => (name, settings),
            Expr::Value(value) if value.as_ident().is_some() => (value.as_ident()?, &[]),
            Expr::Invalid => return None,
            other => {
                self.diagnostics.error_with_help(
                    other,
                    "expected a solver",
                    "write `solver: Tsit5 { rtol: 1e-3, atol: 1e-3 }`",
                );
                return None;
            }
        };
        let method = Method::named(&name.to_string());
        if method.is_none() {
            self.diagnostics.error_with_help(
                name,
                format!("unknown solver `{name}`"),
                suggest::help(&name.to_string(), Method::NAMES),
            );
            // The settings of a solver that is not known cannot be judged.
            return None;
        }
        check::no_duplicates(
            settings.iter().map(|setting| &setting.name),
            "setting",
            self.diagnostics,
        );
        let (mut rtol, mut atol, mut controller) = (None, None, Some(Controller::I));
        let (mut has_rtol, mut has_atol) = (false, false);
        for setting in settings {
            self.no_parameters(setting);
            match setting.name.to_string().as_str() {
                "rtol" => {
                    has_rtol = true;
                    rtol = self.tolerance(&setting.value, "rtol", Some(1.0));
                }
                "atol" => {
                    has_atol = true;
                    atol = self.tolerance(&setting.value, "atol", None);
                }
                "controller" => {
                    controller = self.word(
                        &setting.value,
                        "controller",
                        Controller::NAMES,
                        Controller::named,
                    );
                }
                other => self.diagnostics.error_with_help(
                    &setting.name,
                    format!("unknown setting `{other}` of `{name}`"),
                    suggest::help(other, &["rtol", "atol", "controller"]),
                ),
            }
        }
        for (present, setting) in [(has_rtol, "rtol"), (has_atol, "atol")] {
            if !present {
                self.diagnostics.error_with_help(
                    name,
                    format!("`{name}` has no `{setting}`"),
                    format!("write `{name} {{ rtol: 1e-3, atol: 1e-3 }}`"),
                );
            }
        }
        Some(Solver {
            method: method?,
            rtol: rtol?,
            atol: atol?,
            controller: controller?,
        })
    }

    fn tolerance(&mut self, value: &Expr, name: &str, below: Option<f64>) -> Option<Value> {
        let Expr::Value(value) = value else {
            if !matches!(value, Expr::Invalid) {
                self.diagnostics
                    .error(value, format!("`{name}` must be a number"));
            }
            return None;
        };
        check::tolerance(value, name, below, self.diagnostics).then(|| value.clone())
    }

    /// One word out of a closed set.
    fn word<T>(
        &mut self,
        value: &Expr,
        what: &str,
        names: &[&str],
        named: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        if matches!(value, Expr::Invalid) {
            return None;
        }
        let ident = match value {
            Expr::Value(value) => value.as_ident(),
            _ => None,
        };
        let Some(ident) = ident else {
            self.diagnostics.error_with_help(
                value,
                format!("expected the name of a {what}"),
                format!("write {}", suggest::list(names)),
            );
            return None;
        };
        let found = named(&ident.to_string());
        if found.is_none() {
            self.diagnostics.error_with_help(
                ident,
                format!("unknown {what} `{ident}`"),
                suggest::help(&ident.to_string(), names),
            );
        }
        found
    }
}

/// The layers of a list, or the one layer that stands without brackets.
fn layers_of(value: &Expr) -> &[Expr] {
    match value {
        Expr::List(_, layers) => layers,
        layer => core::slice::from_ref(layer),
    }
}

/// The output width that the last `Dense` of a field declares: what to underline if it is wrong.
fn last_output(value: &Expr) -> Option<&Value> {
    layers_of(value).iter().rev().find_map(|layer| match layer {
        Expr::Call(_, arguments) => match arguments.first()? {
            Expr::Edge(_, outputs) | Expr::Value(outputs) => Some(outputs),
            _ => None,
        },
        _ => None,
    })
}

fn render_shape(shape: &Shape) -> String {
    let sizes: Vec<String> = shape.iter().map(render_size).collect();
    format!("[{}]", sizes.join(", "))
}

fn render_size(size: &Size) -> String {
    match size {
        Size::Literal(size) => size.to_string(),
        Size::Constant(path) => path.to_token_stream().to_string(),
        Size::Product(factors) => {
            let factors: Vec<String> = factors.iter().map(render_size).collect();
            factors.join(" * ")
        }
    }
}

/// Whether a literal is an integer or a float, and its digits without the suffix.
pub(crate) fn digits(lit: &Lit) -> Option<(&str, &str)> {
    match lit {
        Lit::Int(lit) => Some((lit.base10_digits(), lit.suffix())),
        Lit::Float(lit) => Some((lit.base10_digits(), lit.suffix())),
        _ => None,
    }
}
