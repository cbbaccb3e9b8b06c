//! `Ode` blocks: their clauses, and the settings of their solvers.

use quote::ToTokens;
use syn::Ident;

use crate::{
    ast::{Entry, Expr, Value},
    check::{self, Place},
    model::{Adjoint, Chain, Controller, Feeder, Method, Ode, Shape, Size, Solver},
};

use super::{layers_of, words::found, Lowering};

const CLAUSES: &[&str] = &["field", "span", "solver", "adjoint", "save_at"];
const SETTINGS: &[&str] = &["rtol", "atol", "controller"];
const CHECKPOINTED: &str = "write `Checkpointed { bytes: 100_000_000 }`";
const SOLVER: &str = "write `Tsit5 { rtol: 1e-3, atol: 1e-3 }`";

impl Lowering<'_> {
    pub(super) fn ode(
        &mut self,
        name: &Ident,
        clauses: &[Entry],
        current: &mut Option<Shape>,
    ) -> Option<Ode> {
        let help = "put a stage `flatten: Flatten,` before it";
        let state = current
            .take()
            .and_then(|shape| self.flat(name, &shape, help));
        let (mut field, mut span, mut solver) = (None, None, None);
        let mut adjoint = Some(Adjoint::Discrete);
        let unknown = |clause: &Ident| format!("unknown clause `{clause}` of an `Ode`");
        let words = self.entries(clauses, "clause", CLAUSES, unknown);
        for (word, clause) in words.iter().zip(clauses) {
            let value = &clause.value;
            if *word != Some("field") {
                check::no_parameters(clause, self.diagnostics);
            }
            match word {
                Some("field") => field = self.field(clause, state.as_ref()),
                Some("span") => span = self.span(value),
                Some("solver") => solver = self.solver(value),
                Some("adjoint") => adjoint = self.adjoint(value),
                Some("save_at") => {
                    let end = |name: &str| (name == "End").then_some(());
                    let _ = self.word(value, "a choice of saved values", &["End"], end);
                }
                _ => {}
            }
        }
        let width = state.as_ref().map_or("20".to_owned(), Size::to_string);
        for (clause, example) in [
            (
                "field",
                format!("field(t, y): Dense({width} => {width}, tanh)"),
            ),
            ("span", "span: 0.0..1.0".to_owned()),
            (
                "solver",
                "solver: Tsit5 { rtol: 1e-3, atol: 1e-3 }".to_owned(),
            ),
        ] {
            if is_missing(clause, &words) {
                self.diagnostics.error(
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

    /// The word that each entry's name is, if any. Reports unknown and repeated names.
    fn entries(
        &mut self,
        entries: &[Entry],
        what: &str,
        words: &[&'static str],
        unknown: impl Fn(&Ident) -> String,
    ) -> Vec<Option<&'static str>> {
        let names = entries.iter().filter_map(|entry| entry.name.as_ref());
        check::no_duplicates(names, what, self.diagnostics);
        let mut found = Vec::new();
        for entry in entries {
            check::attributes(&entry.attributes, Place::Entry, self.diagnostics);
            let name = entry.name.as_ref();
            found.push(name.and_then(|name| self.resolve(name, words, unknown(name))));
        }
        found
    }

    fn field(&mut self, clause: &Entry, state: Option<&Size>) -> Option<Chain> {
        check::field_parameters(clause, self.diagnostics);
        let mut current = state.map(|state| vec![state.clone()]);
        let chain = self.chain(&clause.value, &mut current, Feeder::State)?;
        let (Some([produced]), Some(state)) = (current.as_deref(), state) else {
            return Some(chain);
        };
        // A field of its own state, `[Dense(32 => 8), Dense(8 => 32)]` for a state of 20, is wrong once: at
        // its first layer.
        let layers = layers_of(&clause.value);
        let declared = chain.layers.first().and_then(|layer| layer.input.first());
        let reported = declared
            .is_some_and(|declared| !declared.is_surely(state) && declared.is_surely(produced));
        if !reported {
            let at = layers.iter().rev().find_map(output_of);
            let at = at.map_or_else(|| clause.name.to_token_stream(), ToTokens::to_token_stream);
            let condition = check::returns_state(produced, state, at, self.diagnostics);
            self.conditions.extend(condition);
        }
        Some(chain)
    }

    fn span(&mut self, value: &Expr) -> Option<(Value, Value)> {
        let (start, end) = match value {
            Expr::Range(start, end) => (start, end),
            Expr::Invalid => return None,
            other => {
                self.diagnostics.error(
                    other,
                    format!("expected a time span{}", found(other)),
                    "write `0.0..1.0`",
                );
                return None;
            }
        };
        let start_ok = check::number(start, "a time", "0.0", self.diagnostics);
        let end_ok = check::number(end, "a time", "1.0", self.diagnostics);
        (start_ok.is_some() && end_ok.is_some()).then(|| (start.clone(), end.clone()))
    }

    fn solver(&mut self, value: &Expr) -> Option<Solver> {
        let (name, settings) = match (value, value.head()) {
            (Expr::Invalid, _) => return None,
            (Expr::Block(_, settings), Some(name)) => (name, Some(settings)),
            (Expr::Value(_), Some(name)) => (name, None),
            _ => {
                let message = format!("expected a solver with its settings{}", found(value));
                self.diagnostics.error(value, message, SOLVER);
                return None;
            }
        };
        let unknown = format_args!("unknown solver `{name}`");
        // The settings of a solver that is not known cannot be judged.
        let word = self.resolve(name, Method::NAMES, unknown)?;
        let Some(settings) = settings else {
            if name == word {
                let message = format!("`{name}` needs its tolerances");
                self.diagnostics.error(name, message, SOLVER);
            }
            return None;
        };
        let (mut rtol, mut atol, mut controller) = (None, None, Some(Controller::I));
        let unknown = |setting: &Ident| format!("unknown setting `{setting}` of `{word}`");
        let words = self.entries(settings, "setting", SETTINGS, unknown);
        for (word, setting) in words.iter().zip(settings) {
            check::no_parameters(setting, self.diagnostics);
            let value = &setting.value;
            match word {
                Some(word @ "rtol") => rtol = self.tolerance(value, word, Some(1.0)),
                Some(word @ "atol") => atol = self.tolerance(value, word, None),
                Some("controller") => {
                    controller =
                        self.word(value, "a controller", Controller::NAMES, Controller::named);
                }
                _ => {}
            }
        }
        for setting in ["rtol", "atol"] {
            if is_missing(setting, &words) {
                self.diagnostics.error(
                    name,
                    format!("`{word}` has no `{setting}`"),
                    format!("add `{setting}: 1e-3`"),
                );
            }
        }
        Some(Solver {
            method: Method::named(word)?,
            rtol: rtol?,
            atol: atol?,
            controller: controller?,
        })
    }

    /// `Gauss`, or `Checkpointed { bytes: 100_000_000 }`
    fn adjoint(&mut self, value: &Expr) -> Option<Adjoint> {
        let Expr::Block(name, settings) = value else {
            let word = |name: &str| Some(name.to_owned());
            let word = self.word(value, "an adjoint", Adjoint::NAMES, word)?;
            let adjoint = Adjoint::named(&word);
            if adjoint.is_none() && value.head().is_some_and(|name| *name == word) {
                let message = format!("`{word}` needs its budget of memory");
                self.diagnostics.error(value, message, CHECKPOINTED);
            }
            return adjoint;
        };
        let unknown = format_args!("unknown adjoint `{name}`");
        let word = self.resolve(name, Adjoint::NAMES, unknown)?;
        if word != "Checkpointed" {
            if name == word {
                let message = format!("`{word}` takes no settings");
                let help = format!("write `{word}`");
                self.diagnostics.error(name, message, help);
            }
            return None;
        }
        let mut bytes = None;
        let unknown = |setting: &Ident| format!("unknown setting `{setting}` of `{word}`");
        let words = self.entries(settings, "setting", &["bytes"], unknown);
        for (word, setting) in words.iter().zip(settings) {
            check::no_parameters(setting, self.diagnostics);
            if word.is_some() {
                bytes = self.size(&setting.value, "100_000_000");
            }
        }
        if is_missing("bytes", &words) {
            self.diagnostics.error(
                name,
                format!("`{word}` has no `bytes`"),
                "add `bytes: 100_000_000`",
            );
        }
        let bytes = bytes?.size;
        Some(Adjoint::Checkpointed { bytes })
    }

    fn tolerance(&mut self, value: &Expr, name: &str, below: Option<f64>) -> Option<Value> {
        match value {
            Expr::Value(value) => {
                check::tolerance(value, name, below, self.diagnostics).then(|| value.clone())
            }
            Expr::Invalid => None,
            other => {
                self.diagnostics.error(
                    other,
                    format!("expected a tolerance{}", found(other)),
                    "write a number such as `1e-3`",
                );
                None
            }
        }
    }
}

/// Whether some of the entries are those of an `Ode`.
pub(super) fn has_known_clause(entries: &[Entry]) -> bool {
    let mut names = entries.iter().filter_map(|entry| entry.name.as_ref());
    names.any(|name| CLAUSES.iter().any(|clause| name == clause))
}

/// Whether no entry is `word`, and none that was reported may have been meant for it.
fn is_missing(word: &str, words: &[Option<&str>]) -> bool {
    words
        .iter()
        .all(|found| found.is_some_and(|found| found != word))
}

/// The output width that a `Dense` declares: what to underline if it is wrong.
fn output_of(layer: &Expr) -> Option<&Value> {
    let Expr::Call(_, arguments) = layer else {
        return None;
    };
    match arguments.first()? {
        Expr::Edge(_, outputs) | Expr::Value(outputs) => Some(outputs),
        _ => None,
    }
}
