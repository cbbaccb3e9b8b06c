//! Layers that give what enters another shape.

use quote::ToTokens;
use syn::Ident;

use crate::{
    ast::Expr,
    model::{Condition, ConditionKind, Layer, LayerKind, Shape, Size},
};

use super::{words::found, Lowering};

const RESHAPE: &str = "write the new shape, such as `Reshape([1, 28, 28])`";

const AUGMENT: &str = "write how many features to add, such as `Augment(2)`";

const PROJECT: &str = "write how many features to keep, such as `Project(2)`";

impl Lowering<'_> {
    /// `Reshape([1, 28, 28])`
    pub(super) fn reshape(
        &mut self,
        name: &Ident,
        arguments: Option<&[Expr]>,
        current: &mut Option<Shape>,
    ) -> Option<Layer> {
        let incoming = current.take();
        let value = self.one_value("Reshape", name, "the new shape", arguments, RESHAPE)?;
        let output = self.shape(value)?;
        *current = Some(output.clone());
        let input = incoming?;
        let (entering, leaving) = (Size::of(&input), Size::of(&output));
        match (entering.known(), leaving.known()) {
            _ if entering.is_surely(&leaving) => {}
            (Some(_), Some(_)) => {
                self.diagnostics.error(
                    value,
                    format!(
                        "a shape of {leaving} scalars cannot hold the {entering} that enter it"
                    ),
                    "write sizes whose product is the same",
                );
                return None;
            }
            _ if entering.is_open() || leaving.is_open() => {
                self.open(value, "`Reshape` compares sizes", &entering, &leaving);
                return None;
            }
            _ => self.conditions.push(Condition::new(
                value,
                ConditionKind::Holds { entering, leaving },
            )),
        }
        Some(Layer {
            kind: LayerKind::Reshape,
            input,
            output,
        })
    }

    /// `Augment(2)`
    pub(super) fn augment(
        &mut self,
        name: &Ident,
        arguments: Option<&[Expr]>,
        current: &mut Option<Shape>,
    ) -> Option<Layer> {
        let incoming = current.take();
        let value = self.one_value(
            "Augment",
            name,
            "the number of new features",
            arguments,
            AUGMENT,
        )?;
        let new = self.size(value, "2")?;
        self.longer(LayerKind::Augment, value, &incoming?, &new.size, current)
    }

    /// A layer that makes the first axis longer.
    fn longer(
        &mut self,
        kind: LayerKind,
        at: &impl ToTokens,
        incoming: &Shape,
        new: &Size,
        current: &mut Option<Shape>,
    ) -> Option<Layer> {
        let (first, others) = incoming.split_first()?;
        if first.is_open() || new.is_open() {
            let open = if first.is_open() { first } else { new };
            self.diagnostics.error(
                at,
                format!("`{first} + {new}` features: no size can be computed from the parameter `{open}`"),
                "write a number or a constant instead of the parameter",
            );
            return None;
        }
        let Some(first) = first.plus(new) else {
            self.diagnostics.error(
                at,
                format!("the number of features {first} + {new} overflows `usize`"),
                "write a smaller number",
            );
            return None;
        };
        let output: Shape = core::iter::once(first)
            .chain(others.iter().cloned())
            .collect();
        *current = Some(output.clone());
        Some(Layer {
            kind,
            input: incoming.clone(),
            output,
        })
    }

    /// `Project(2)`
    pub(super) fn project(
        &mut self,
        name: &Ident,
        arguments: Option<&[Expr]>,
        current: &mut Option<Shape>,
    ) -> Option<Layer> {
        let incoming = current.take();
        let value = self.one_value(
            "Project",
            name,
            "the number of features to keep",
            arguments,
            PROJECT,
        )?;
        let written = self.size(value, "2")?;
        let incoming = incoming?;
        let (first, others) = incoming.split_first()?;
        let output: Shape = core::iter::once(written.size.clone())
            .chain(others.iter().cloned())
            .collect();
        *current = Some(output.clone());
        match (written.size.known(), first.known()) {
            (Some(kept), Some(first)) if kept > first => {
                self.diagnostics.error(
                    value,
                    format!("`Project` keeps {kept} features, but only {first} enter it"),
                    format!("write a number up to {first}"),
                );
                return None;
            }
            (Some(_), Some(_)) => {}
            _ if written.size.is_surely(first) => {}
            _ if written.size.is_open() || first.is_open() => {
                self.open(value, "`Project` compares sizes", &written.size, first);
                return None;
            }
            _ => self.conditions.push(Condition::new(
                value,
                ConditionKind::Keeps {
                    kept: written.size,
                    entering: first.clone(),
                },
            )),
        }
        Some(Layer {
            kind: LayerKind::Project,
            input: incoming,
            output,
        })
    }

    /// `Append(t)`
    pub(super) fn append(
        &mut self,
        name: &Ident,
        arguments: Option<&[Expr]>,
        current: &mut Option<Shape>,
    ) -> Option<Layer> {
        let incoming = current.take();
        let Some(time) = self.time.clone() else {
            self.diagnostics.error(
                name,
                "`Append` takes the time, which only a field has",
                "move it into the `field` of an `Ode`",
            );
            return None;
        };
        let help = format!("write `Append({time})`");
        let value = self.one_value("Append", name, "the time", arguments, &help)?;
        if value.head().is_none_or(|word| *word != time) || !matches!(value, Expr::Value(_)) {
            let message = format!("expected the time `{time}` of this field{}", found(value));
            self.diagnostics.error(value, message, help);
        }
        self.longer(
            LayerKind::AppendTime,
            name,
            &incoming?,
            &Size::Literal(1),
            current,
        )
    }

    /// A comparison of sizes of which one is a parameter.
    fn open(&mut self, at: &Expr, what: &str, a: &Size, b: &Size) {
        let open = if a.is_open() { a } else { b };
        self.diagnostics.error(
            at,
            format!("{what}, and nobody knows here what the parameter `{open}` will be"),
            "write a number or a constant instead of the parameter",
        );
    }

    pub(super) fn flatten(
        &mut self,
        name: &Ident,
        arguments: Option<&[Expr]>,
        current: &mut Option<Shape>,
    ) -> Option<Layer> {
        self.no_arguments("Flatten", arguments);
        let input = current.take()?;
        let product = match input.as_slice() {
            [features] => features.clone(),
            axes => Size::Product(axes.to_vec()),
        };
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
}
