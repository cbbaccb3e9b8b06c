//! From the syntax tree to the typed model: resolves names, infers widths, follows the shape of a sample
//! through the layers. A part that was reported is left out or followed by an unknown shape, so that one
//! mistake gives one message.

mod arguments;
mod conv;
mod foreign;
mod layers;
mod norm;
mod ode;
mod shapes;
mod stateful;
mod words;

use syn::Ident;

use crate::{
    ast::{plain, Definition, Entry, Expr, Value},
    check::{self, Place},
    diag::Diagnostics,
    generics::Generics,
    model::{
        stateful::HasState, Condition, Feeder, LayerKind, Model, Quantity, Shape, Stage, StageKind,
        Written,
    },
    parse::values::{CLAUSES_HELP, CLAUSES_IN_BRACES},
    suggest,
};

use words::found;

/// Lowers a definition. The model is complete only if nothing was reported.
pub(crate) fn lower(definition: Definition, diagnostics: &mut Diagnostics) -> Option<Model> {
    let mut lowering = Lowering {
        diagnostics,
        conditions: Vec::new(),
        constants: Vec::new(),
        numbers: Vec::new(),
        time: None,
        outside: Vec::new(),
        slots: 0,
        customs: 0,
        model: plain(&definition.name),
        generics: definition.generics.clone(),
    };
    lowering.model(definition)
}

struct Lowering<'d> {
    diagnostics: &'d mut Diagnostics,
    conditions: Vec<Condition>,
    /// Constants met so far.
    constants: Vec<syn::Path>,
    /// Constants met so far in the places of numbers.
    numbers: Vec<(syn::Path, Quantity)>,
    /// What the time is called, inside of a field.
    time: Option<Ident>,
    /// Clauses that stand outside of their block, which miss in it.
    outside: Vec<&'static str>,
    /// Layers with state met so far in this stage or field.
    slots: usize,
    /// Layers of the user's own met so far.
    customs: usize,
    /// The name of the model.
    model: String,
    /// The parameters of the model.
    generics: Generics,
}

impl Lowering<'_> {
    fn model(&mut self, definition: Definition) -> Option<Model> {
        let Definition {
            crate_path: _,
            attributes,
            visibility,
            name,
            generics,
            derived,
            entries,
        } = definition;
        let names = entries.iter().filter_map(|entry| entry.name.as_ref());
        check::attributes(&attributes, Place::Model, self.diagnostics);
        check::no_duplicates(names, "stage", self.diagnostics);
        let position = self.input_position(&name, &entries);
        let input = position.and_then(|position| self.input(entries.get(position)?));
        let mut current = input.clone();
        let mut feeder = Feeder::Input;
        let mut stages = Vec::new();
        let outside = self.clauses_outside(&entries);
        for (index, entry) in entries.into_iter().enumerate() {
            // A second `input` is reported already.
            let is_input = entry.name.as_ref().is_some_and(|name| name == "input");
            if Some(index) != position && !is_input && !outside.contains(&index) {
                let is_block = matches!(entry.value, Expr::Block(..));
                stages.extend(self.stage(entry, &mut current, feeder));
                feeder = if is_block {
                    Feeder::Block
                } else {
                    Feeder::Layer
                };
            }
        }
        check::no_clashes(&name, &stages, self.diagnostics);
        if derived.is_some() {
            check::tuples(&stages, self.diagnostics);
        }
        let model = Model {
            attributes,
            visibility,
            name,
            generics,
            derived,
            input: input?,
            stages,
            conditions: core::mem::take(&mut self.conditions),
        };
        if HasState::of(&model) > HasState::No {
            check::no_clash_with_state(&model.name, &model.stages, self.diagnostics);
        }
        Some(model)
    }

    /// Where the input is declared. Reports that it is not, or not first, and that nothing else is.
    fn input_position(&mut self, name: &Ident, entries: &[Entry]) -> Option<usize> {
        let Some(first) = entries.first() else {
            self.diagnostics.error(
                name,
                format!("the model `{name}` has no input and no stages"),
                format!("write `struct {name} {{ input: [4], head: Dense(4 => 2) }}`"),
            );
            return None;
        };
        let has_gaps = entries.iter().any(|entry| entry.name.is_none());
        let position = entries
            .iter()
            .position(|entry| entry.name.as_ref().is_some_and(|name| name == "input"))
            .or_else(|| self.misspelt_input(first));
        let input = position
            .and_then(|position| entries.get(position))
            .and_then(|input| input.name.as_ref());
        match (input, &first.name) {
            (Some(input), Some(first)) if position != Some(0) => self.diagnostics.error(
                input,
                format!("expected `input` first, found it after `{first}`"),
                format!("move it above `{first}`"),
            ),
            (None, Some(first)) if !has_gaps => self.diagnostics.error(
                first,
                format!("expected `input` first, found `{first}`"),
                "write `input: [28, 28],` before it: the shape of one sample, without the batch",
            ),
            (Some(_), _) if entries.len() == 1 => self.diagnostics.error(
                name,
                format!("the model `{name}` has no stages"),
                "add one after `input`, such as `head: Dense(4 => 2)`",
            ),
            _ => {}
        }
        position
    }

    /// The first entry, if it is a shape under a name close to `input`.
    fn misspelt_input(&mut self, first: &Entry) -> Option<usize> {
        let name = first.name.as_ref()?;
        let Expr::List(_, sizes) = &first.value else {
            return None;
        };
        let Some(Expr::Value(Value::Number(..))) = sizes.first() else {
            return None;
        };
        let words = &["input"];
        let closest = suggest::closest(&name.to_string(), words)?;
        self.diagnostics.error(
            name,
            format!("expected `input` first, found `{name}`"),
            suggest::help(Some(closest), words),
        );
        Some(0)
    }

    fn input(&mut self, entry: &Entry) -> Option<Shape> {
        check::attributes(&entry.attributes, Place::Entry, self.diagnostics);
        check::no_parameters(entry, self.diagnostics);
        self.shape(&entry.value)
    }

    /// `[28, 28]`
    fn shape(&mut self, value: &Expr) -> Option<Shape> {
        let sizes = match value {
            Expr::List(_, sizes) => sizes,
            Expr::Invalid => return None,
            value => {
                let help = match value {
                    Expr::Value(value @ (Value::Number(..) | Value::Path(_))) => {
                        format!("write `[{}]`", value.text())
                    }
                    _ => "write `[28, 28]`: the shape of one sample, without the batch".to_owned(),
                };
                let message = format!("expected a shape in brackets{}", found(value));
                self.diagnostics.error(value, message, help);
                return None;
            }
        };
        if sizes.is_empty() || sizes.len() > 5 {
            self.diagnostics.error(
                value,
                format!("expected 1 to 5 axes, found {}", sizes.len()),
                "write `[28, 28]`: the shape of one sample, without the batch",
            );
            return None;
        }
        let sizes: Vec<Option<Written>> = sizes.iter().map(|size| self.size(size, "28")).collect();
        let sizes: Vec<Written> = sizes.into_iter().collect::<Option<_>>()?;
        let (sizes, tokens): (Shape, Vec<Value>) = sizes
            .into_iter()
            .map(|written| (written.size, written.tokens))
            .unzip();
        check::alone_if_open(&sizes, &tokens, self.diagnostics).then_some(sizes)
    }

    fn stage(
        &mut self,
        entry: Entry,
        current: &mut Option<Shape>,
        feeder: Feeder,
    ) -> Option<Stage> {
        check::attributes(&entry.attributes, Place::Stage, self.diagnostics);
        check::no_parameters(&entry, self.diagnostics);
        let kind = match &entry.value {
            Expr::Block(name, clauses) if !LayerKind::NAMES.iter().any(|layer| name == layer) => {
                let known = self.resolve(name, &["Ode"], format_args!("unknown block `{name}`"));
                // A near miss is an `Ode` if its clauses are.
                if known.is_none() || name != "Ode" && !ode::has_known_clause(clauses) {
                    *current = None;
                    return None;
                }
                StageKind::Ode(Box::new(self.ode(name, clauses, current)?))
            }
            value if value.head().is_some_and(|name| name == "Ode") => {
                self.diagnostics
                    .error(value, CLAUSES_IN_BRACES, CLAUSES_HELP);
                *current = None;
                return None;
            }
            value => StageKind::Layers(self.chain(value, current, feeder)?),
        };
        Some(Stage {
            attributes: entry.attributes,
            name: entry.name?,
            kind,
        })
    }
}

/// The layers of a list, or the one layer that stands without brackets.
fn layers_of(value: &Expr) -> &[Expr] {
    match value {
        Expr::List(_, layers) => layers,
        layer => core::slice::from_ref(layer),
    }
}
