//! `Ode` blocks: their clauses, and the settings of their solvers.

use proc_macro2::Span;
use quote::ToTokens;
use syn::Ident;

use crate::{
    ast::{Entry, Expr, Value},
    check::{self, Place},
    diag::Diagnostics,
    model::{
        surely, Adjoint, Chain, Condition, ConditionKind, Control, Controller, Feeder, Method, Ode,
        Quantity, Returned, Shape, Sizes, Solver, Steps,
    },
};

use super::{layers_of, words::found, Lowering};

pub(super) const CLAUSES: &[&str] = &["field", "span", "solver", "adjoint", "save_at"];
const SETTINGS: &[&str] = &["rtol", "atol", "controller", "control", "steps", "dt"];
const COEFFICIENTS: &[&str] = &["p", "i", "d"];
const CHECKPOINTED: &str = "write `Checkpointed { bytes: 100_000_000 }`";
const SOLVER: &str = "write `Tsit5 { rtol: 1e-3, atol: 1e-3 }`";

impl Lowering<'_> {
    pub(super) fn ode(
        &mut self,
        name: &Ident,
        clauses: &[Entry],
        current: &mut Option<Shape>,
    ) -> Option<Ode> {
        let state = current.take();
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
        let width = match state.as_deref() {
            Some([width]) => width.to_string(),
            _ => "20".to_owned(),
        };
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
            if is_missing(clause, &words) && !self.outside.contains(&clause) {
                self.diagnostics.error(
                    name,
                    format!("this `Ode` has no `{clause}`"),
                    format!("add `{example},`"),
                );
            }
        }
        if let (Some(span), Some(Steps::Equal { dt })) =
            (&span, solver.as_ref().map(|solver| &solver.steps))
        {
            self.step_in_span(dt, span);
        }
        // A field returns the shape of its state, so what follows is known whatever was wrong inside.
        current.clone_from(&state);
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

    fn field(&mut self, clause: &Entry, state: Option<&Shape>) -> Option<Chain> {
        check::field_parameters(clause, self.diagnostics);
        let names = clause.parameters.as_ref().map(|all| all.names.as_slice());
        let time = match names {
            Some([Some(time), ..]) => time.clone(),
            _ => Ident::new("t", Span::call_site()),
        };
        let mut current = state.cloned();
        self.time = Some(time);
        let chain = self.chain(&clause.value, &mut current, Feeder::State);
        self.time = None;
        let chain = chain?;
        let (Some(produced), Some(state)) = (current, state) else {
            return Some(chain);
        };
        // A field of its own state, `[Dense(32 => 8), Dense(8 => 32)]` for a state of 20, is wrong once: at
        // its first layer.
        let layers = layers_of(&clause.value);
        let declared = chain.layers.first().map(|layer| &layer.input);
        let reported = declared
            .is_some_and(|declared| !surely(declared, state) && surely(declared, &produced));
        if !reported {
            let at = layers.iter().rev().find_map(output_of);
            let at = at.map_or_else(|| clause.name.to_token_stream(), ToTokens::to_token_stream);
            let conditions =
                check::returns(&produced, state, Returned::State, &at, self.diagnostics);
            self.conditions.extend(conditions.into_iter().flatten());
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
        start_ok.and(end_ok)?;
        let first = self.in_domain(start.clone(), Quantity::Time);
        let last = self.in_domain(end.clone(), Quantity::Time);
        if !check::ends_differ(value, start, end, self.diagnostics) {
            return None;
        }
        if let (Value::Path(_), _) | (_, Value::Path(_)) = (start, end) {
            let at = if matches!(end, Value::Path(_)) {
                end
            } else {
                start
            };
            let kind = ConditionKind::EndsDiffer(first.clone(), last.clone());
            self.conditions.push(Condition::new(at, kind));
        }
        Some((first, last))
    }

    /// A step that is larger than the span: reported, or left to the compiler.
    fn step_in_span(&mut self, dt: &Value, span: &(Value, Value)) {
        check::step_in_span(dt, span, self.diagnostics);
        let constant = [dt, &span.0, &span.1]
            .into_iter()
            .find(|value| matches!(value, Value::Path(_)));
        if let Some(at) = constant {
            let kind = ConditionKind::StepFits {
                dt: dt.clone(),
                span: span.clone(),
            };
            self.conditions.push(Condition::new(at, kind));
        }
    }

    fn solver(&mut self, value: &Expr) -> Option<Solver> {
        let (name, settings) = match (value, value.head()) {
            (Expr::Invalid, _) => return None,
            (Expr::Block(_, settings), Some(name)) => (name, Some(settings)),
            (Expr::Value(_), Some(name)) => (name, None),
            _ => {
                if self.settings_in_other_brackets(value, Method::NAMES) {
                    return None;
                }
                let message = format!("expected a solver with its settings{}", found(value));
                self.diagnostics.error(value, message, SOLVER);
                return None;
            }
        };
        let unknown = format_args!("unknown solver `{name}`");
        // The settings of a solver that is not known cannot be judged.
        let word = self.resolve(name, Method::NAMES, unknown)?;
        let method = Method::named(word)?;
        let Some(settings) = settings else {
            if name == word {
                let (needed, help) = if method.estimates_errors() {
                    (
                        "tolerances",
                        format!("write `{word} {{ rtol: 1e-3, atol: 1e-3 }}`"),
                    )
                } else {
                    ("step size", format!("write `{word} {{ dt: 0.1 }}`"))
                };
                let message = format!("`{name}` needs its {needed}");
                self.diagnostics.error(name, message, help);
            }
            return None;
        };
        let (mut rtol, mut atol, mut dt, mut controller) = (None, None, None, Some(Controller::I));
        let mut sizes = Some(Sizes::Shared);
        let mut control = Some(Control::Solution);
        let unknown = |setting: &Ident| format!("unknown setting `{setting}` of `{word}`");
        let words = self.entries(settings, "setting", SETTINGS, unknown);
        let equal = words.contains(&Some("dt")) || !method.estimates_errors();
        let mut adaptive_words = 0;
        for (setting_word, setting) in words.iter().zip(settings) {
            check::no_parameters(setting, self.diagnostics);
            let value = &setting.value;
            match setting_word {
                Some("dt") => dt = self.number_above_zero(value, "dt", &check::STEP_SIZE),
                // All of them are one mistake.
                Some(_) if equal => {
                    if adaptive_words == 0 {
                        check::of_equal_steps(setting, word, method, self.diagnostics);
                    }
                    adaptive_words += 1;
                }
                Some("rtol") => {
                    rtol = self.number_above_zero(value, "rtol", &check::RELATIVE_TOLERANCE);
                }
                Some("atol") => {
                    atol = self.number_above_zero(value, "atol", &check::ABSOLUTE_TOLERANCE);
                }
                Some("controller") => controller = self.controller(value),
                Some("control") => control = self.control(value),
                Some("steps") => sizes = self.sizes(value),
                _ => {}
            }
        }
        let needed: &[(&str, &str)] = if equal {
            &[("dt", "0.1")]
        } else {
            &[("rtol", "1e-3"), ("atol", "1e-3")]
        };
        for (setting, example) in needed {
            let explained = equal && adaptive_words > 0;
            if is_missing(setting, &words) && !explained {
                self.diagnostics.error(
                    name,
                    format!("`{word}` has no `{setting}`"),
                    format!("add `{setting}: {example}`"),
                );
            }
        }
        let steps = if equal {
            let dt = self.in_domain(dt?, Quantity::StepSize);
            Steps::Equal { dt }
        } else {
            let (rtol, atol) = (rtol?, atol?);
            Steps::Adaptive {
                rtol: self.in_domain(rtol, Quantity::RelativeTolerance),
                atol: self.in_domain(atol, Quantity::AbsoluteTolerance),
                controller: controller?,
                control: control?,
                sizes: sizes?,
            }
        };
        Some(Solver { method, steps })
    }

    /// `Solution` or `Gradients`
    fn control(&mut self, value: &Expr) -> Option<Control> {
        self.word(value, "a choice of errors", Control::NAMES, |word| {
            Some(match word {
                "Gradients" => Control::Gradients,
                _ => Control::Solution,
            })
        })
    }

    /// `Shared` or `PerSample`
    fn sizes(&mut self, value: &Expr) -> Option<Sizes> {
        self.word(value, "a choice of steps", Sizes::NAMES, Sizes::named)
    }

    /// `I`, `PI` or `PID { p: 0.2, i: 0.4 }`
    fn controller(&mut self, value: &Expr) -> Option<Controller> {
        let Expr::Block(name, coefficients) = value else {
            if self.settings_in_other_brackets(value, &["PID"]) {
                return None;
            }
            return match self.word(value, "a controller", Controller::NAMES, Some)? {
                "PI" => Some(Controller::Pi),
                "PID" => {
                    self.diagnostics.error(
                        value,
                        "`PID` needs its coefficients",
                        "write `PID { p: 0.2, i: 0.4, d: 0.0 }`",
                    );
                    None
                }
                _ => Some(Controller::I),
            };
        };
        let unknown = format_args!("unknown controller `{name}`");
        let word = self.resolve(name, Controller::NAMES, unknown)?;
        if word != "PID" {
            self.diagnostics.error(
                name,
                format!("`{word}` has no coefficients"),
                format!("write `{word}`, or `PID` for coefficients of your own"),
            );
            return None;
        }
        let (mut p, mut i, mut d) = (None, None, None);
        let unknown = |found: &Ident| format!("unknown coefficient `{found}` of `PID`");
        let words = self.entries(coefficients, "coefficient", COEFFICIENTS, unknown);
        for (word, coefficient) in words.iter().zip(coefficients) {
            check::no_parameters(coefficient, self.diagnostics);
            let number = self.checked(
                &coefficient.value,
                "a coefficient",
                "0.2",
                |value, diagnostics| {
                    check::number(value, "a coefficient", "0.2", diagnostics).is_some()
                },
            )?;
            let number = self.in_domain(number, Quantity::Coefficient);
            match word {
                Some("p") => p = Some(number),
                Some("i") => i = Some(number),
                Some("d") => d = Some(number),
                _ => {}
            }
        }
        Some(Controller::Pid(Box::new([p, i, d])))
    }

    /// Reports settings in brackets that are no braces, `Tsit5(rtol: 1e-3, atol: 1e-3)`, of one of the words.
    fn settings_in_other_brackets(&mut self, value: &Expr, words: &[&str]) -> bool {
        let (Expr::Call(name, _) | Expr::Nested(name, ..)) = value else {
            return false;
        };
        let takes_settings = words.iter().any(|word| name == word);
        if takes_settings {
            self.diagnostics.error(
                name,
                format!("`{name}` takes its settings in braces"),
                format!("write `{name} {{ ... }}`"),
            );
        }
        takes_settings
    }

    /// A tolerance, a step size, or another number above zero.
    pub(super) fn number_above_zero(
        &mut self,
        value: &Expr,
        name: &str,
        domain: &check::Domain,
    ) -> Option<Value> {
        self.checked(value, domain.what, domain.example, |value, diagnostics| {
            check::in_domain(value, name, domain, diagnostics)
        })
    }

    /// `Gauss`, or `Checkpointed { bytes: 100_000_000 }`
    fn adjoint(&mut self, value: &Expr) -> Option<Adjoint> {
        let Expr::Block(name, settings) = value else {
            if self.settings_in_other_brackets(value, &["Checkpointed"]) {
                return None;
            }
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

    /// A number that keeps a rule.
    pub(super) fn checked(
        &mut self,
        value: &Expr,
        what: &str,
        example: &str,
        keeps: impl FnOnce(&Value, &mut Diagnostics) -> bool,
    ) -> Option<Value> {
        match value {
            Expr::Value(value) => keeps(value, self.diagnostics).then(|| value.clone()),
            Expr::Invalid => None,
            other => {
                self.diagnostics.error(
                    other,
                    format!("expected {what}{}", found(other)),
                    format!("write a number such as `{example}`"),
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
pub(super) fn output_of(layer: &Expr) -> Option<&Value> {
    let Expr::Call(_, arguments) = layer else {
        return None;
    };
    match arguments.first()? {
        Expr::Edge(_, outputs) | Expr::Value(outputs) => Some(outputs),
        _ => None,
    }
}
