//! Layers with state, and layers of a user's own.

use quote::format_ident;
use syn::Ident;

use crate::{
    ast::{Expr, Value},
    check,
    model::{
        stateful::{Stateful, StatefulKind},
        Layer, LayerKind, Quantity, Shape,
    },
};

use super::{words::found, Lowering};

const DROPOUT: &str = "write the probability to be dropped, such as `Dropout(0.5)`";

const BATCH_NORM: &str = "write `BatchNorm`, or `BatchNorm(momentum: 0.1, epsilon: 1e-5)`";

const CUSTOM: &str =
    "write `Custom(path::Type)`, or `Custom(path::Type => 16)` if it changes the shape";

impl Lowering<'_> {
    /// The next layer with state of this stage or field.
    fn stateful(&mut self, kind: StatefulKind, input: Shape, output: Shape) -> Layer {
        let slot = self.slots;
        self.slots += 1;
        Layer {
            kind: LayerKind::Stateful(Stateful { slot, kind }),
            input,
            output,
        }
    }

    /// `Dropout(0.5)`; the shape stays, whatever goes wrong.
    pub(super) fn dropout(
        &mut self,
        name: &Ident,
        arguments: Option<&[Expr]>,
        current: Option<&Shape>,
    ) -> Option<Layer> {
        let value = self.one_value("Dropout", name, "its probability", arguments, DROPOUT)?;
        let probability = self.setting(value, "probability", &check::PROBABILITY)?;
        let probability = self.in_domain(probability, Quantity::Probability);
        let shape = current?.clone();
        Some(self.stateful(StatefulKind::Dropout { probability }, shape.clone(), shape))
    }

    /// `BatchNorm(momentum: 0.1, epsilon: 1e-5)`, outside of fields; the shape stays, whatever goes wrong.
    pub(super) fn batch_norm(
        &mut self,
        name: &Ident,
        mut arguments: Option<&[Expr]>,
        current: Option<&Shape>,
    ) -> Option<Layer> {
        if self.time.is_some() {
            self.diagnostics.error(
                name,
                "`BatchNorm` cannot stand in a field: training normalises each evaluation by its own batch, inference has \
                 one mean and variance for all",
                "write `LayerNorm`, or put `BatchNorm` in a stage before or after the block",
            );
            // Its settings go with it.
            arguments = None;
        }
        let arguments = self.arguments("BatchNorm", arguments, &["momentum", "epsilon"]);
        if let Some(surplus) = arguments.values.first() {
            if !matches!(surplus, Expr::Invalid) {
                let message = "`BatchNorm` takes its settings by name";
                self.diagnostics.error(surplus, message, BATCH_NORM);
            }
        }
        let momentum = arguments.setting("momentum");
        let momentum = momentum.and_then(|value| self.setting(value, "momentum", &check::MOMENTUM));
        let epsilon = arguments.setting("epsilon");
        let epsilon =
            epsilon.and_then(|value| self.setting(value, "epsilon", &check::BATCH_EPSILON));
        let momentum = momentum.map(|value| self.in_domain(value, Quantity::Momentum));
        let epsilon = epsilon.map(|value| self.in_domain(value, Quantity::Epsilon));
        let shape = current?.clone();
        let kind = StatefulKind::BatchNorm {
            channels: shape.first()?.clone(),
            momentum,
            epsilon,
        };
        Some(self.stateful(kind, shape.clone(), shape))
    }

    /// `Custom(path::Type)`, `Custom(path::Type => [8, 7, 7])`
    pub(super) fn custom(
        &mut self,
        name: &Ident,
        arguments: Option<&[Expr]>,
        current: &mut Option<Shape>,
    ) -> Option<Layer> {
        let incoming = current.take();
        let value = self.one_value("Custom", name, "its type", arguments, CUSTOM)?;
        let Expr::Type(path, change) = value else {
            let message = format!("expected the path of a type{}", found(value));
            self.diagnostics.error(value, message, CUSTOM);
            return None;
        };
        let output = match change.as_deref() {
            None => incoming.clone(),
            Some(list @ Expr::List(..)) => self.shape(list),
            Some(size) => self.size(size, "16").map(|written| vec![written.size]),
        };
        current.clone_from(&output);
        let check = format_ident!("__{}_LAYER_{}", self.model, self.customs);
        self.customs += 1;
        let kind = StatefulKind::Custom {
            path: path.clone(),
            check,
            in_field: self.time.is_some(),
        };
        Some(self.stateful(kind, incoming?, output?))
    }

    /// A number in a domain, or a constant.
    fn setting(&mut self, value: &Expr, name: &str, domain: &check::Interval) -> Option<Value> {
        self.checked(value, domain.what, domain.example, |value, diagnostics| {
            check::in_interval(value, name, domain, diagnostics)
        })
    }
}
