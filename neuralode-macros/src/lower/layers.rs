//! Chains of layers, and the shapes between them.

use syn::Ident;

use crate::{
    ast::{Expr, Value},
    check,
    model::{Activation, Chain, Feeder, Layer, LayerKind, Shape, Size},
    suggest,
};

use super::{layers_of, words::found, Lowering};

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
        mut feeder: Feeder,
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
        let unknown = format_args!("unknown layer `{name}`");
        let word = self.resolve(name, LayerKind::NAMES, unknown);
        let arguments = match expr {
            Expr::Call(_, arguments) => Some(arguments.as_slice()),
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
        match word {
            Some("Dense") => self.dense(name, arguments, current, feeder),
            Some("Flatten") => self.flatten(name, arguments, current),
            Some("Pow") => self.pow(name, arguments, current.as_ref()),
            Some(word) => {
                let kind = LayerKind::Activation(Activation::named(word)?);
                self.no_arguments(word, arguments);
                let shape = current.clone()?;
                Some(Layer {
                    kind,
                    input: shape.clone(),
                    output: shape,
                })
            }
            None => {
                *current = None;
                None
            }
        }
    }

    fn no_arguments(&mut self, name: &str, arguments: Option<&[Expr]>) {
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

    fn flatten(
        &mut self,
        name: &Ident,
        arguments: Option<&[Expr]>,
        current: &mut Option<Shape>,
    ) -> Option<Layer> {
        self.no_arguments("Flatten", arguments);
        let input = current.take()?;
        let product = Size::Product(input.clone());
        let constant = input.iter().any(|size| size.known().is_none());
        let features = match product.known() {
            Some(features) => Size::Literal(features),
            None if constant => product,
            None => {
                self.diagnostics.error(
                    name,
                    format!("the number of features {product} overflows `usize`"),
                    "write smaller sizes in `input`",
                );
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

    /// An integer power; the shape stays, whatever goes wrong.
    fn pow(
        &mut self,
        name: &Ident,
        arguments: Option<&[Expr]>,
        current: Option<&Shape>,
    ) -> Option<Layer> {
        let Some([exponent, rest @ ..]) = arguments else {
            self.diagnostics
                .error(name, "`Pow` needs its exponent", POW);
            return None;
        };
        if let Some(surplus) = rest.first() {
            if !matches!(surplus, Expr::Invalid) {
                self.diagnostics
                    .error(surplus, "`Pow` takes no second argument", POW);
            }
        }
        let exponent = match exponent {
            Expr::Value(value @ Value::Number(minus, lit)) => {
                check::exponent(value, minus.is_some(), lit, self.diagnostics)?
            }
            Expr::Invalid => return None,
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
        let Some([width, rest @ ..]) = arguments else {
            self.diagnostics
                .error(name, "`Dense` needs its number of outputs", DENSE);
            return None;
        };
        let activation = self.dense_activation(rest);
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
                    let condition = check::feeds(&produced, &written, feeder, self.diagnostics);
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

    /// The second argument of a `Dense`; there is no third.
    fn dense_activation(&mut self, rest: &[Expr]) -> Option<Activation> {
        match rest {
            [] => Some(Activation::Identity),
            [word] => self.word(word, "an activation", Activation::NAMES, Activation::named),
            [_, surplus, ..] => {
                if !matches!(surplus, Expr::Invalid) {
                    self.diagnostics
                        .error(surplus, "`Dense` takes no third argument", DENSE);
                }
                None
            }
        }
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
