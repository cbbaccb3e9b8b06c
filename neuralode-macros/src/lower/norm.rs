//! Layers that scale their features by learned weights: `Scale` and `LayerNorm`.

use syn::Ident;

use crate::{
    ast::Expr,
    check,
    model::{Layer, LayerKind, Quantity, Shape},
};

use super::Lowering;

const LAYER_NORM: &str = "write `LayerNorm` or `LayerNorm(epsilon: 1e-5)`";

impl Lowering<'_> {
    /// `Scale`: a weight and a bias for each size of the first axis.
    pub(super) fn scale(
        &mut self,
        arguments: Option<&[Expr]>,
        current: Option<&Shape>,
    ) -> Option<Layer> {
        self.no_arguments("Scale", arguments);
        let shape = current?.clone();
        Some(Layer {
            kind: LayerKind::Scale {
                channels: shape.first()?.clone(),
            },
            input: shape.clone(),
            output: shape,
        })
    }

    /// `LayerNorm`, `LayerNorm(epsilon: 1e-5)`; the shape stays, whatever goes wrong.
    pub(super) fn layer_norm(
        &mut self,
        name: &Ident,
        arguments: Option<&[Expr]>,
        current: Option<&Shape>,
    ) -> Option<Layer> {
        if arguments.is_some_and(<[Expr]>::is_empty) {
            self.diagnostics
                .error(name, "`LayerNorm` has no settings", LAYER_NORM);
        }
        let arguments = self.arguments("LayerNorm", arguments, &["epsilon"]);
        if let Some(surplus) = arguments.values.first() {
            if !matches!(surplus, Expr::Invalid) {
                let message = "`LayerNorm` takes no arguments without a name";
                self.diagnostics.error(surplus, message, LAYER_NORM);
            }
        }
        let epsilon = match arguments.setting("epsilon") {
            Some(value) => {
                let epsilon = self.number_above_zero(value, "epsilon", &check::EPSILON)?;
                Some(self.in_domain(epsilon, Quantity::Epsilon))
            }
            None => None,
        };
        let shape = current?.clone();
        Some(Layer {
            kind: LayerKind::LayerNorm { epsilon },
            input: shape.clone(),
            output: shape,
        })
    }
}
