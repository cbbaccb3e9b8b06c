//! Chains of layers, and the shapes between them.

use proc_macro2::Span;
use quote::{quote, ToTokens};
use syn::Ident;

use crate::{
    ast::{Expr, Value},
    check,
    model::{Activation, Chain, Feeder, Init, Layer, LayerKind, Returned, Shape, Size},
    suggest,
};

use super::{
    arguments::Arguments,
    foreign::{listed_widths, with_arrow},
    layers_of,
    ode::output_of,
    words::found,
    Lowering,
};

const DENSE: &str =
    "write `Dense(inputs => outputs, activation)`, `Dense(_ => outputs)` or `Dense(outputs)`";

const POW: &str = "write the exponent as a number, such as `Pow(3)`";

impl Lowering<'_> {
    /// The layers of a stage or field. `current` is the shape that enters and, afterwards, leaves; `None`
    /// if unknown because of an error.
    pub(super) fn chain(
        &mut self,
        value: &Expr,
        current: &mut Option<Shape>,
        feeder: Feeder,
    ) -> Option<Chain> {
        let layers = layers_of(value);
        if layers.is_empty() {
            self.diagnostics.error(
                value,
                "expected at least one layer",
                "write layers such as `[Dense(20 => 10, tanh), Dense(10 => 20)]`",
            );
            *current = None;
            return None;
        }
        self.slots = 0;
        self.layers(layers, current, feeder)
    }

    fn layers(
        &mut self,
        layers: &[Expr],
        current: &mut Option<Shape>,
        mut feeder: Feeder,
    ) -> Option<Chain> {
        let mut lowered = Vec::new();
        for layer in layers {
            lowered.push(self.layer(layer, current, feeder));
            feeder = Feeder::Layer;
        }
        let layers = lowered.into_iter().collect::<Option<_>>()?;
        Some(Chain { layers })
    }

    fn layer(&mut self, expr: &Expr, current: &mut Option<Shape>, feeder: Feeder) -> Option<Layer> {
        if matches!(expr, Expr::Invalid) {
            *current = None;
            return None;
        }
        if let Expr::Named(name, _, layer) = expr {
            self.diagnostics.error(
                name,
                format!("layers in brackets have no names, found `{name}`"),
                format!("remove `{name}:`"),
            );
            return self.layer(layer, current, feeder);
        }
        let Some(name) = expr.head() else {
            self.diagnostics.error(
                expr,
                format!("expected a layer{}", found(expr)),
                format!("write {}", suggest::list(LayerKind::NAMES)),
            );
            *current = None;
            return None;
        };
        if name == "Ode" {
            self.diagnostics.error(
                name,
                "an `Ode` cannot stand among layers",
                "make it a stage of its own: `ode: Ode { ... }`",
            );
            // It would leave the shape as it is.
            return None;
        }
        let word = self.layer_word(name, expr);
        let arguments = match expr {
            Expr::Call(_, arguments) => Some(arguments.as_slice()),
            Expr::Nested(_, bracket, layers) => {
                if word == Some("Residual") {
                    return self.residual(layers, bracket.span.join(), current);
                }
                if word.is_some_and(|word| name == word) {
                    self.diagnostics.error(
                        name,
                        format!("expected the arguments of `{name}` in parentheses"),
                        format!("write `{name}(...)`"),
                    );
                }
                *current = None;
                return None;
            }
            Expr::Block(_, entries) => {
                // Where its contents or its name were reported, that is enough.
                if word.is_some_and(|word| name == word)
                    && entries.iter().all(|entry| entry.name.is_some())
                {
                    self.diagnostics.error(
                        name,
                        format!("expected the arguments of `{name}` in parentheses"),
                        format!("write `{name}(...)`"),
                    );
                }
                *current = None;
                return None;
            }
            _ => None,
        };
        let mark = self.diagnostics.mark();
        let layer = self.named(word, name, arguments, current, feeder);
        if word.is_none_or(|word| name != word) {
            // What a guess makes of the arguments is no second mistake.
            self.diagnostics.forget_since(mark);
        }
        layer
    }

    /// The layer that a word means.
    fn named(
        &mut self,
        word: Option<&'static str>,
        name: &Ident,
        arguments: Option<&[Expr]>,
        current: &mut Option<Shape>,
        feeder: Feeder,
    ) -> Option<Layer> {
        match word {
            Some("Dense") => self.dense(name, arguments, current, feeder),
            Some(word @ ("Conv2d" | "MaxPool2d" | "AvgPool2d" | "GlobalAvgPool")) => {
                self.spatial(word, name, arguments, current, feeder)
            }
            Some("Flatten") => self.flatten(name, arguments, current),
            Some("Reshape") => self.reshape(name, arguments, current),
            Some("Pow") => self.pow(name, arguments, current.as_ref()),
            Some("Scale") => self.scale(arguments, current.as_ref()),
            Some("LayerNorm") => self.layer_norm(name, arguments, current.as_ref()),
            Some("Augment") => self.augment(name, arguments, current),
            Some("Project") => self.project(name, arguments, current),
            Some("Append") => self.append(name, arguments, current),
            Some("BatchNorm") => self.batch_norm(name, arguments, current.as_ref()),
            Some("Dropout") => self.dropout(name, arguments, current.as_ref()),
            Some("Custom") => self.custom(name, arguments, current),
            Some("Residual") => {
                self.diagnostics.error(
                    name,
                    "`Residual` takes its layers in brackets",
                    "write `Residual[...]`",
                );
                None
            }
            Some(word) => self.activation(word, arguments, current.as_ref()),
            None => {
                *current = None;
                None
            }
        }
    }

    /// An activation of its own.
    fn activation(
        &mut self,
        word: &str,
        arguments: Option<&[Expr]>,
        current: Option<&Shape>,
    ) -> Option<Layer> {
        let kind = LayerKind::Activation(Activation::named(word)?);
        self.no_arguments(word, arguments);
        let shape = current?.clone();
        Some(Layer {
            kind,
            input: shape.clone(),
            output: shape,
        })
    }

    /// `Residual[...]`: the shape that enters leaves it, whatever goes wrong inside.
    fn residual(
        &mut self,
        layers: &[Expr],
        brackets: Span,
        current: &mut Option<Shape>,
    ) -> Option<Layer> {
        if layers.is_empty() {
            let brackets = Ident::new("_x", brackets);
            self.diagnostics.error(
                brackets,
                "expected at least one layer",
                "write layers such as `Residual[Dense(20 => 10, tanh), Dense(10 => 20)]`",
            );
            return None;
        }
        let mut inside = current.clone();
        let chain = self.layers(layers, &mut inside, Feeder::Residual)?;
        let shape = current.clone()?;
        let at = layers.last()?;
        let at = output_of(at).map_or_else(|| at.to_token_stream(), ToTokens::to_token_stream);
        let conditions =
            check::returns(&inside?, &shape, Returned::Residual, &at, self.diagnostics)?;
        self.conditions.extend(conditions);
        Some(Layer {
            kind: LayerKind::Residual(chain),
            input: shape.clone(),
            output: shape,
        })
    }

    /// The only argument of a layer.
    pub(super) fn one_value<'e>(
        &mut self,
        layer: &str,
        name: &Ident,
        what: &str,
        arguments: Option<&'e [Expr]>,
        help: &str,
    ) -> Option<&'e Expr> {
        let values = self.arguments(layer, arguments, &[]).values;
        let Some((first, rest)) = values.split_first() else {
            // What was given under a name is reported already.
            if arguments.is_none_or(<[Expr]>::is_empty) {
                let message = format!("`{layer}` needs {what}");
                self.diagnostics.error(name, message, help);
            }
            return None;
        };
        if let Some(surplus) = rest.first() {
            if !matches!(surplus, Expr::Invalid) {
                let message = format!("`{layer}` takes no second argument");
                self.diagnostics.error(surplus, message, help);
            }
        }
        (!matches!(first, Expr::Invalid)).then_some(first)
    }

    pub(super) fn no_arguments(&mut self, name: &str, arguments: Option<&[Expr]>) {
        if let Some([first, ..]) = arguments {
            if !matches!(first, Expr::Invalid) {
                self.diagnostics.error(
                    first,
                    format!("`{name}` takes no arguments"),
                    format!("write `{name}`"),
                );
            }
        }
    }

    /// An integer power; the shape stays, whatever goes wrong.
    fn pow(
        &mut self,
        name: &Ident,
        arguments: Option<&[Expr]>,
        current: Option<&Shape>,
    ) -> Option<Layer> {
        let exponent = self.one_value("Pow", name, "its exponent", arguments, POW)?;
        let exponent = match exponent {
            Expr::Value(value @ Value::Number(minus, lit)) => {
                check::exponent(value, minus.is_some(), lit, self.diagnostics)?
            }
            other => {
                let message = format!("expected a positive integer{}", found(other));
                self.diagnostics.error(other, message, POW);
                return None;
            }
        };
        let shape = current?.clone();
        Some(Layer {
            kind: LayerKind::Pow { exponent },
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
        let arguments = self.arguments("Dense", arguments, &["init"]);
        let init = self.init(&arguments);
        let arguments = arguments.values;
        let Some((width, rest)) = arguments.split_first() else {
            self.diagnostics
                .error(name, "`Dense` needs its number of outputs", DENSE);
            return None;
        };
        if let Some((inputs, outputs)) = listed_widths(&arguments) {
            let found = format!("{}, {}", inputs.text(), outputs.text());
            self.diagnostics.error(
                quote!(#inputs #outputs),
                format!("`Dense` takes its widths as `inputs => outputs`, found `{found}`"),
                format!("write `Dense({})`", with_arrow(&arguments)),
            );
            *current = self.width(outputs).map(|output| vec![output.size]);
            return None;
        }
        let activation = self.activation_of("Dense", rest, DENSE);
        let (declared, outputs) = match width {
            Expr::Edge(Value::Infer(_), outputs) | Expr::Value(outputs) => (None, outputs),
            Expr::Edge(inputs, outputs) => (Some(inputs), outputs),
            Expr::Invalid => return None,
            other => {
                let message = format!("expected the widths of a `Dense`{}", found(other));
                self.diagnostics.error(other, message, DENSE);
                return None;
            }
        };
        let declared_size = declared.map(|inputs| self.width(inputs));
        let output = self.width(outputs);
        // What leaves is known as soon as the output width is, whatever else was wrong.
        *current = output.as_ref().map(|output| vec![output.size.clone()]);

        let incoming =
            incoming.and_then(|shape| self.flat(name, &shape, "put `Flatten` before it"));
        let input = match declared_size {
            Some(written) => {
                let written = written?;
                if let Some(produced) = incoming {
                    let condition =
                        check::feeds(&produced, &written, "inputs", feeder, self.diagnostics);
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
                init: init?,
            },
        })
    }

    /// The second argument of the layer `layer`; there is no third.
    pub(super) fn activation_of(
        &mut self,
        layer: &str,
        rest: &[&Expr],
        help: &str,
    ) -> Option<Activation> {
        match rest {
            [] => Some(Activation::Identity),
            [word] => self.word(word, "an activation", Activation::NAMES, Activation::named),
            [_, surplus, ..] => {
                if !matches!(surplus, Expr::Invalid) {
                    let message = format!("`{layer}` takes no third argument");
                    self.diagnostics.error(surplus, message, help);
                }
                None
            }
        }
    }

    /// The setting `init` of a layer with weights.
    pub(super) fn init(&mut self, arguments: &Arguments<'_>) -> Option<Init> {
        let Some(value) = arguments.setting("init") else {
            return Some(Init::Glorot);
        };
        self.word(value, "an initialisation", Init::NAMES, Init::named)
    }

    /// The number of features of a flat shape.
    pub(super) fn flat(&mut self, at: &Ident, shape: &[Size], help: &str) -> Option<Size> {
        if let [features] = shape {
            return Some(features.clone());
        }
        let sizes: Vec<String> = shape.iter().map(Size::to_string).collect();
        let (axes, sizes) = (shape.len(), sizes.join(", "));
        self.diagnostics.error(
            at,
            format!("`{at}` takes a flat vector of features, found {axes} axes: [{sizes}]"),
            help,
        );
        None
    }
}
