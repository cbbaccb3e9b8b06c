//! The rules that a model must keep: one small function each, with the mistake it finds.

mod parameters;

use proc_macro2::TokenStream;
use syn::{Attribute, Ident, Lit};

use crate::{
    ast::{digits, plain, Entry, Expr, Value},
    diag::Diagnostics,
    model::{
        same_path, Condition, ConditionKind, Feeder, Method, Returned, Shape, Size, Stage,
        StageKind, Written,
    },
};

pub(crate) use parameters::{
    alone_if_open, is_reserved, parameter_is_number, parameter_is_size, parameters,
};

/// Two stages, clauses or settings of one name: `head: ..., head: ...`
pub(crate) fn no_duplicates<'a>(
    names: impl Iterator<Item = &'a Ident>,
    what: &str,
    diagnostics: &mut Diagnostics,
) {
    let mut seen: Vec<&Ident> = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
            continue;
        }
        if name == "input" {
            diagnostics.error(name, "`input` is declared twice", "remove one of the two");
            continue;
        }
        let rename = if what == "stage" { " or rename" } else { "" };
        diagnostics.error(
            name,
            format!("the {what} `{name}` is declared twice"),
            format!("remove{rename} one of the two"),
        );
    }
}

/// A stage whose layers would be kept in the struct of the model's state: `state: [...]`
pub(crate) fn no_clash_with_state(model: &Ident, stages: &[Stage], diagnostics: &mut Diagnostics) {
    let state = format!("{}State", plain(model));
    let clash = |stage: &&Stage| stage.struct_name(model).as_ref() == Some(&state);
    if let Some(stage) = stages.iter().find(clash) {
        diagnostics.error(
            &stage.name,
            format!(
                "the stage `{}` and the state of the model would both be kept in a struct `{state}`",
                stage.name
            ),
            "write another name",
        );
    }
}

/// Stages of a derived model whose layers are too many for a tuple that dfdx visits.
pub(crate) fn tuples(stages: &[Stage], diagnostics: &mut Diagnostics) {
    const LONGEST: usize = 6;
    for stage in stages {
        let StageKind::Layers(chain) = &stage.kind else {
            continue;
        };
        let count = chain.layers.len();
        if chain.sole_layer().is_none() && count > LONGEST {
            diagnostics.error(
                &stage.name,
                format!(
                    "a stage that you keep in a tuple has at most {LONGEST} layers, found {count}"
                ),
                "make two stages of it",
            );
        }
    }
}

/// Stages whose layers would be kept in structs of one name: `block1: [...], block_1: [...]`
pub(crate) fn no_clashes(model: &Ident, stages: &[Stage], diagnostics: &mut Diagnostics) {
    let mut seen: Vec<(String, &Ident)> = Vec::new();
    for stage in stages {
        let Some(held_in) = stage.struct_name(model) else {
            continue;
        };
        match seen.iter().find(|(name, _)| *name == held_in) {
            // Two stages of one name are reported as such.
            Some((_, other)) if **other == stage.name => {}
            Some((_, other)) => diagnostics.error(
                &stage.name,
                format!(
                    "the stages `{other}` and `{}` would both be kept in a struct `{held_in}`",
                    stage.name
                ),
                "write another name",
            ),
            None => seen.push((held_in, &stage.name)),
        }
    }
}

/// Where attributes stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Model,
    Stage,
    Entry,
}

/// Attributes that generated code cannot honour: `#[cfg(test)] head: ...`, `#[serde(skip)] span: ...`
pub(crate) fn attributes(attributes: &[Attribute], place: Place, diagnostics: &mut Diagnostics) {
    for attribute in attributes {
        let path = attribute.path();
        let conditional = path.is_ident("cfg") || path.is_ident("cfg_attr");
        match place {
            Place::Model if conditional => diagnostics.error(
                attribute,
                "a model cannot be conditional",
                "write the attribute above `neural_ode!`",
            ),
            Place::Stage if conditional => diagnostics.error(
                attribute,
                "a stage cannot be conditional",
                "write two models, each under an attribute above its `neural_ode!`",
            ),
            Place::Entry if !path.is_ident("doc") => diagnostics.error(
                attribute,
                "expected no attributes here",
                "remove it; models and stages may have attributes",
            ),
            _ => {}
        }
    }
}

/// Parameters of anything but a field: `head(x): ...`
pub(crate) fn no_parameters(entry: &Entry, diagnostics: &mut Diagnostics) {
    if let (Some(parameters), Some(name)) = (&entry.parameters, &entry.name) {
        diagnostics.error(
            parameters,
            format!("`{name}` takes no parameters"),
            format!("write `{name}: ...`"),
        );
    }
}

/// A field that is no function of time and state: `field: ...`, `field(t): ...`, `field(y, y): ...`
pub(crate) fn field_parameters(clause: &Entry, diagnostics: &mut Diagnostics) {
    const HELP: &str = "write `field(t, y): ...`";
    let Some(parameters) = &clause.parameters else {
        let message = "a field takes the time and the state, found no parameters";
        return diagnostics.error(&clause.name, message, HELP);
    };
    match parameters.names.as_slice() {
        names if names.iter().any(Option::is_none) => {}
        [Some(t), Some(y)] if t == y => {
            let message = format!("the parameter `{y}` is declared twice");
            diagnostics.error(y, message, HELP);
        }
        [_, _] => {}
        names => {
            let (count, s) = (names.len(), if names.len() == 1 { "" } else { "s" });
            let message =
                format!("a field takes the time and the state, found {count} parameter{s}");
            diagnostics.error(parameters, message, HELP);
        }
    }
}

/// A width that is no positive integer: `Dense(0 => 10)`, `Dense(2.5 => 10)`, `Dense(-3 => 10)`
pub(crate) fn width(
    at: &Value,
    negative: bool,
    lit: &Lit,
    example: &'static str,
    diagnostics: &mut Diagnostics,
) -> Option<usize> {
    let size = Positive {
        name: "size",
        kind: "usize",
        maximum: usize::MAX,
        example,
    };
    positive(at, negative, lit, &size, diagnostics)
}

/// An exponent that is no positive integer: `Pow(0)`, `Pow(0.5)`, `Pow(-1)`
pub(crate) fn exponent(
    at: &Value,
    negative: bool,
    lit: &Lit,
    diagnostics: &mut Diagnostics,
) -> Option<i32> {
    let exponent = Positive {
        name: "exponent",
        kind: "i32",
        maximum: 2_147_483_647,
        example: "3",
    };
    let found = positive(at, negative, lit, &exponent, diagnostics)?;
    i32::try_from(found).ok()
}

/// What a positive integer stands for.
struct Positive {
    name: &'static str,
    /// Its type.
    kind: &'static str,
    maximum: usize,
    example: &'static str,
}

fn positive(
    at: &Value,
    negative: bool,
    lit: &Lit,
    Positive {
        name,
        kind,
        maximum,
        example,
    }: &Positive,
    diagnostics: &mut Diagnostics,
) -> Option<usize> {
    let found = at.text();
    let expected = format!("expected a positive integer, found `{found}`");
    let Lit::Int(int) = lit else {
        let whole = digits(lit).and_then(|(digits, _)| digits.strip_suffix(".0"));
        let help = whole.map(|whole| format!("write `{whole}`"));
        let help = help.unwrap_or_else(|| format!("write a number such as `{example}`"));
        diagnostics.error(at, expected, help);
        return None;
    };
    if int.suffix() != "" && int.suffix() != *kind {
        diagnostics.error(
            at,
            format!("{name}s are `{kind}`, found the suffix `{}`", int.suffix()),
            format!("write `{}`", int.base10_digits()),
        );
        return None;
    }
    match int.base10_parse::<usize>() {
        Ok(number) if number <= *maximum => {
            if number > 0 && !negative {
                return Some(number);
            }
            let help = match number {
                0 => format!("write a number such as `{example}`"),
                number => format!("write `{number}`"),
            };
            diagnostics.error(at, expected, help);
        }
        Ok(_) | Err(_) => diagnostics.error(
            at,
            format!("the {name} `{found}` overflows `{kind}`"),
            format!("write a number up to {maximum}"),
        ),
    }
    None
}

/// Whether two sizes differ, or may: nobody knows what a parameter will be.
fn differ(a: &Size, b: &Size) -> bool {
    match (a.known(), b.known()) {
        (Some(a), Some(b)) => a != b,
        _ => (a.is_open() || b.is_open()) && !a.is_surely(b),
    }
}

/// Layers that do not fit: `Dense(20 => 10), Dense(12 => 10)`
pub(crate) fn feeds(
    produced: &Size,
    taken: &Written,
    unit: &str,
    feeder: Feeder,
    diagnostics: &mut Diagnostics,
) -> Option<Condition> {
    if produced.is_surely(&taken.size) {
        return None;
    }
    if differ(produced, &taken.size) {
        let size = &taken.size;
        let feeder = match feeder {
            Feeder::Input => "the input has",
            Feeder::State => "the state has",
            Feeder::Layer => "the one before it produces",
            Feeder::Block => "the `Ode` before it returns",
            Feeder::Residual => "the `Residual` takes",
        };
        diagnostics.error(
            &taken.tokens,
            format!("this layer takes {size} {unit}, but {feeder} {produced}"),
            format!("write `{produced}` here, or `_` to infer it"),
        );
        return None;
    }
    Some(Condition::new(
        &taken.tokens,
        ConditionKind::Feeds {
            produced: produced.clone(),
            taken: taken.size.clone(),
        },
    ))
}

/// A field or a `Residual` that returns another shape: `field(t, y): Dense(20 => 10)` for a state of 20. `None` if that
/// was reported; else the conditions that are left to the compiler.
pub(crate) fn returns(
    produced: &Shape,
    taken: &Shape,
    what: Returned,
    at: &TokenStream,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Condition>> {
    let (must, has) = match what {
        Returned::State => (
            "a field must return the shape of its state",
            "the state has",
        ),
        Returned::Residual => ("a `Residual` must return what enters it", "it takes"),
    };
    if produced.len() != taken.len() || produced.iter().zip(taken).any(|(a, b)| differ(a, b)) {
        let list = |shape: &Shape| {
            let sizes: Vec<String> = shape.iter().map(Size::to_string).collect();
            sizes.join(", ")
        };
        let (produced_sizes, taken_sizes) = (list(produced), list(taken));
        if produced.len() == 1 && taken.len() == 1 {
            diagnostics.error(
                at,
                format!(
                    "{must}: {has} {taken_sizes} features, but the last layer produces {produced_sizes}"
                ),
                format!("write `{taken_sizes}` here"),
            );
        } else {
            diagnostics.error(
                at,
                format!(
                    "{must}: {has} [{taken_sizes}], but the last layer produces [{produced_sizes}]"
                ),
                format!("end with a layer that produces [{taken_sizes}]"),
            );
        }
        return None;
    }
    let axes = produced.iter().zip(taken);
    let unsure = axes.filter(|(produced, taken)| !produced.is_surely(taken));
    let conditions = unsure.map(|(produced, taken)| {
        let (produced, taken) = (produced.clone(), taken.clone());
        let kind = match what {
            Returned::State => ConditionKind::ReturnsState {
                produced,
                state: taken,
            },
            Returned::Residual => ConditionKind::ReturnsInput {
                produced,
                entering: taken,
            },
        };
        Condition::new(at, kind)
    });
    Some(conditions.collect())
}

/// A value that is no number: `span: "now"..1.0`. A literal gives its value, a constant gives NaN.
pub(crate) fn number(
    value: &Value,
    what: &str,
    example: &str,
    diagnostics: &mut Diagnostics,
) -> Option<f64> {
    let (minus, literal) = match value {
        Value::Path(_) => return Some(f64::NAN),
        Value::Infer(_) => (false, None),
        Value::Number(minus, lit) => (minus.is_some(), digits(lit)),
    };
    let Some((digits, suffix)) = literal else {
        diagnostics.error(
            value,
            format!("expected {what}, found `{}`", value.text()),
            format!("write a number such as `{example}`, or the name of a constant"),
        );
        return None;
    };
    if !matches!(suffix, "" | "f64") {
        diagnostics.error(
            value,
            format!("times, tolerances and coefficients are `f64`, found the suffix `{suffix}`"),
            format!("write `{}{digits}`", if minus { "-" } else { "" }),
        );
        return None;
    }
    match digits.parse::<f64>() {
        Ok(number) if number.is_finite() => Some(if minus { -number } else { number }),
        _ => {
            diagnostics.error(
                value,
                format!("the number `{}` overflows `f64`", value.text()),
                "write a number below 1.8e308",
            );
            None
        }
    }
}

/// The number that a literal is.
fn literal(value: &Value) -> Option<f64> {
    let Value::Number(minus, lit) = value else {
        return None;
    };
    let number = digits(lit)?.0.parse::<f64>().ok()?;
    Some(if minus.is_some() { -number } else { number })
}

/// A span that ends where it starts: `1.0..1.0`, `END..END`
pub(crate) fn ends_differ(
    span: &Expr,
    start: &Value,
    end: &Value,
    diagnostics: &mut Diagnostics,
) -> bool {
    let is_same = match (start, end) {
        (Value::Path(start), Value::Path(end)) => same_path(start, end),
        #[allow(clippy::float_cmp, reason = "the same time, to the last bit")]
        _ => literal(start).is_some_and(|start| literal(end) == Some(start)),
    };
    if is_same {
        diagnostics.error(
            span,
            format!(
                "a span must not end where it starts, found `{}..{}`",
                start.text(),
                end.text()
            ),
            "write two times, such as `0.0..1.0`",
        );
    }
    !is_same
}

/// Equal steps larger than the span: `span: 0.0..1.0, solver: Euler { dt: 2.0 }`
pub(crate) fn step_in_span(
    dt: &Value,
    (start, end): &(Value, Value),
    diagnostics: &mut Diagnostics,
) {
    let (Some(step), Some(t0), Some(t1)) = (literal(dt), literal(start), literal(end)) else {
        return;
    };
    // Up to the rounding of the ends.
    let resolution = 4.0 * f64::EPSILON * t0.abs().max(t1.abs());
    if step > (t1 - t0).abs() + resolution {
        diagnostics.error(
            dt,
            format!(
                "`dt` must not be larger than the span `{}..{}`, found `{}`",
                start.text(),
                end.text(),
                dt.text()
            ),
            "write a part of the span, such as `0.1`",
        );
    }
}

/// The numbers that a setting may have.
pub(crate) struct Domain {
    pub(crate) what: &'static str,
    pub(crate) example: &'static str,
    /// The smallest number that is too large, if any.
    pub(crate) below: Option<f64>,
    pub(crate) help: &'static str,
}

pub(crate) const RELATIVE_TOLERANCE: Domain = Domain {
    below: Some(1.0),
    ..ABSOLUTE_TOLERANCE
};

pub(crate) const ABSOLUTE_TOLERANCE: Domain = Domain {
    what: "a tolerance",
    example: "1e-3",
    below: None,
    help: "write `1e-3`, usual for training, or `1e-6` for accurate solutions",
};

pub(crate) const STEP_SIZE: Domain = Domain {
    what: "a step size",
    example: "0.1",
    below: None,
    help: "write `0.1`, or another part of the span; it is positive backwards in time as well",
};

pub(crate) const EPSILON: Domain = Domain {
    what: "a positive number",
    example: "1e-5",
    below: None,
    help: "write `1e-5`, or another number small beside the variance of what enters",
};

/// A number outside its domain: `rtol: 0.0`, `atol: -1e-3`, `rtol: 2`, `dt: 0.0`
pub(crate) fn in_domain(
    value: &Value,
    name: &str,
    domain: &Domain,
    diagnostics: &mut Diagnostics,
) -> bool {
    let Some(number) = number(value, domain.what, domain.example, diagnostics) else {
        return false;
    };
    let rule = if number <= 0.0 {
        "positive"
    } else if domain.below.is_some_and(|below| number >= below) {
        "below 1"
    } else {
        return true;
    };
    let message = format!("`{name}` must be {rule}, found `{}`", value.text());
    diagnostics.error(value, message, domain.help);
    false
}

/// The numbers that a setting of a layer may have.
pub(crate) struct Interval {
    pub(crate) what: &'static str,
    pub(crate) example: &'static str,
    contains: fn(f64) -> bool,
    /// What it contains, in words.
    rule: &'static str,
}

pub(crate) const PROBABILITY: Interval = Interval {
    what: "a probability",
    example: "0.5",
    contains: |number| (0.0..1.0).contains(&number),
    rule: "at least 0 and below 1",
};

pub(crate) const MOMENTUM: Interval = Interval {
    what: "a momentum",
    example: "0.1",
    contains: |number| (0.0..=1.0).contains(&number),
    rule: "from 0 to 1",
};

pub(crate) const BATCH_EPSILON: Interval = Interval {
    what: "a number",
    example: "1e-5",
    contains: |number| number > 0.0,
    rule: "positive",
};

/// A setting of a layer outside its interval: `Dropout(1.0)`, `BatchNorm(momentum: 2)`, `BatchNorm(epsilon: 0)`.
pub(crate) fn in_interval(
    value: &Value,
    name: &str,
    interval: &Interval,
    diagnostics: &mut Diagnostics,
) -> bool {
    let Some(number) = number(value, interval.what, interval.example, diagnostics) else {
        return false;
    };
    if number.is_nan() || (interval.contains)(number) {
        return true;
    }
    diagnostics.error(
        value,
        format!(
            "`{name}` must be {}, found `{}`",
            interval.rule,
            value.text()
        ),
        format!("write a number such as `{}`", interval.example),
    );
    false
}

/// A setting of adaptive steps where all are equal: `Euler { dt: 0.1, rtol: 1e-3 }`,
/// `Tsit5 { dt: 0.1, rtol: 1e-3 }`
pub(crate) fn of_equal_steps(
    setting: &Entry,
    solver: &str,
    method: Method,
    diagnostics: &mut Diagnostics,
) {
    let Some(name) = &setting.name else {
        return;
    };
    if method.estimates_errors() {
        diagnostics.error(
            name,
            format!("`{name}` has no meaning beside `dt`, which makes all steps equal"),
            "remove one of the two",
        );
    } else {
        diagnostics.error(
            name,
            format!("`{solver}` does not estimate its error, so it has no `{name}`"),
            format!(
                "write `{solver} {{ dt: 0.1 }}`, or a solver with an estimate, such as `Tsit5`"
            ),
        );
    }
}
