//! What is said and what is underlined. `tests/ui` has every message as the compiler prints it; this table
//! is quick and needs no compiler.

use proc_macro2::TokenStream;

use crate::{analyse, diag::Diagnostics, parse::parse};

use super::MODEL;

/// The messages, without their help, each with the text that it underlines.
fn diagnose(source: &str) -> Vec<(String, String)> {
    let tokens: TokenStream = source.parse().expect("tokens");
    let mut diagnostics = Diagnostics::default();
    let definitions = parse(tokens, &mut diagnostics);
    let _ = analyse(definitions, &mut diagnostics);
    diagnostics
        .into_errors()
        .iter()
        .map(|error| {
            let text = error.to_string();
            let (message, help) = text.split_once('\n').expect("a message and its help");
            assert!(help.starts_with("help: "), "{text}");
            assert!(!text.ends_with('.') && !message.ends_with('.'), "{text}");
            (
                message.to_owned(),
                error.span().source_text().unwrap_or_default(),
            )
        })
        .collect()
}

#[track_caller]
fn check(source: &str, expected: &[(&str, &str)]) {
    let found = diagnose(source);
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(m, t)| (m.as_str(), t.as_str()))
        .collect();
    assert_eq!(found, expected, "{source}");
}

/// The model with the first `from` replaced.
#[track_caller]
fn changed(from: &str, to: &str, expected: &[(&str, &str)]) {
    assert!(MODEL.contains(from), "{from}");
    check(&MODEL.replacen(from, to, 1), expected);
}

#[test]
fn the_model_is_right() {
    check(MODEL, &[]);
}

#[test]
fn one_mistake_gives_one_message_at_its_token() {
    changed(
        "Dense(8 => 3usize)",
        "Dense(9 => 3)",
        &[(
            "this layer takes 9 inputs, but the one before it produces 8",
            "9",
        )],
    );
    changed(
        "sin, Dense(20)",
        "sin, Dense(12)",
        &[(
            "a field must return the shape of its state: the state has 20 features, but the last layer \
             produces 12",
            "12",
        )],
    );
    changed("relu", "rleu", &[("unknown activation `rleu`", "rleu")]);
    changed(
        "tanh)],\n        ode",
        "tanh, 3)],\n        ode",
        &[("`Dense` takes no third argument", "3")],
    );
    changed(
        "1e-6",
        "-1e-6",
        &[("`atol` must be positive, found `-1e-6`", "-1e-6")],
    );
    changed("..END", "..=END", &[("expected `..`, found `..=`", "..=")]);
    changed("=> 3usize", "-> 3", &[("expected `=>`, found `->`", "->")]);
    changed(
        "(t, y)",
        "(t)",
        &[(
            "a field takes the time and the state, found 1 parameter",
            "(t)",
        )],
    );
    changed(
        "(t, y)",
        "",
        &[(
            "a field takes the time and the state, found no parameters",
            "field",
        )],
    );
    changed(
        "span: -0.5..END,",
        "",
        &[("this `Ode` has no `span`", "Ode")],
    );
    changed(
        "span:",
        "spam:",
        &[("unknown clause `spam` of an `Ode`", "spam")],
    );
    changed(
        "rtol:",
        "tolerance:",
        &[("unknown setting `tolerance` of `Tsit5`", "tolerance")],
    );
    changed("Tsit5 {", "Tsit4 {", &[("unknown solver `Tsit4`", "Tsit4")]);
    changed(
        "Flatten, ",
        "",
        &[(
            "`Dense` takes a flat vector of features, found 2 axes: [28, sizes::WIDTH]",
            "Dense",
        )],
    );
    changed(
        "input: [28,",
        "inputs: [28,",
        &[("expected `input` first, found `inputs`", "inputs")],
    );
}

#[test]
fn a_missing_or_wrong_mark_hides_nothing_else() {
    changed(
        "sizes::WIDTH],",
        "sizes::WIDTH]",
        &[("expected `,`, found a doc comment", "/// A stage.")],
    );
    changed(
        "tanh), sin,",
        "tanh) sin,",
        &[("expected `,`, found `sin`", "sin")],
    );
    changed(
        "rtol: 1e-3,",
        "rtol: 1e-3;",
        &[("expected `,`, found `;`", ";")],
    );
    changed(
        "rtol: 1e-3",
        "rtol = 1e-3",
        &[("expected `:` after `rtol`, found `=`", "=")],
    );
    changed(
        "rtol: 1e-3",
        "rtol 1e-3",
        &[("expected `:` after `rtol`, found `1e-3`", "1e-3")],
    );
    changed(
        "rtol: 1e-3",
        "rtol:",
        &[("expected a value, found `,`", ",")],
    );
    changed(
        "head: identity",
        "identity",
        &[("expected `:` after `identity`, found `,`", ",")],
    );
    changed(
        "head: identity",
        "Dense(2)",
        &[("expected a name before `Dense`", "Dense")],
    );
    changed(
        "head: identity",
        "type: tanh",
        &[("expected a name, found the keyword `type`", "type")],
    );
    changed(
        "[28,",
        "[2 * 14,",
        &[(
            "expected a number or a constant, found an expression with `*`",
            "*",
        )],
    );
}

#[test]
fn mistakes_of_all_phases_are_reported_together() {
    let source = MODEL
        .replace("sizes::WIDTH],", "28]")
        .replace("relu", "rleu")
        .replace("rtol: 1e-3", "rtol 0")
        .replace("8 => 3usize", "7 => 3u8")
        .replace("adjoint: Interpolating", "adjoint: Exact");
    check(
        &source,
        &[
            ("expected `,`, found a doc comment", "/// A stage."),
            ("expected `:` after `rtol`, found `0`", "0"),
            ("`rtol` must be positive, found `0`", "0"),
            ("unknown adjoint `Exact`", "Exact"),
            ("unknown activation `rleu`", "rleu"),
            ("sizes are `usize`, found the suffix `u8`", "3u8"),
            (
                "this layer takes 7 inputs, but the one before it produces 8",
                "7",
            ),
        ],
    );
}

#[test]
fn a_field_for_another_state_is_wrong_once() {
    let model = "struct Model { input: [20], ode: Ode {
        field(t, y): [Dense(32 => 8, tanh), Dense(8 => 32)],
        span: 0..1,
        solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
    } }";
    check(
        model,
        &[("this layer takes 32 inputs, but the state has 20", "32")],
    );
}

#[test]
fn what_is_no_model_at_all_is_said_once() {
    check("", &[("expected `struct`, found nothing", "")]);
    check(
        "struct",
        &[("expected the name of the model, found nothing", "")],
    );
    check(
        "struct Model;",
        &[("expected `{` after `Model`, found `;`", ";")],
    );
    check(
        "struct Model {}",
        &[("the model `Model` has no input and no stages", "Model")],
    );
    check(
        "enum Model { input: [2], head: tanh }",
        &[("expected `struct`, found `enum`", "enum")],
    );
    check(
        "struct Model<const N: usize> { input: [N], head: tanh }",
        &[],
    );
    check(
        "struct Model<T> { input: [4], head: tanh }",
        &[(
            "the generic parameters of `Model` are constants, found `T`",
            "T",
        )],
    );
    check(
        "struct A { input: [2], head: tanh } struct B { input: [3] }",
        &[("a second model in one `neural_ode!`", "B")],
    );
}

#[test]
fn attributes_that_cannot_be_honoured_are_refused() {
    changed(
        "head:",
        "#[cfg(test)] head:",
        &[("a stage cannot be conditional", "#[cfg(test)]")],
    );
    changed(
        "span:",
        "#[allow(unused)] span:",
        &[("expected no attributes here", "#[allow(unused)]")],
    );
    changed("span:", "/// From start to end.\n span:", &[]);
}

#[test]
fn layers_with_state_are_judged_like_others() {
    changed(
        "Dropout(RATE)",
        "Dropout(-1)",
        &[(
            "`probability` must be at least 0 and below 1, found `-1`",
            "-1",
        )],
    );
    changed(
        "Dropout(RATE)",
        "Dropout(rate: 0.5)",
        &[("`Dropout` takes no settings, found `rate`", "rate")],
    );
    changed(
        "epsilon: 1e-4",
        "epsilon: 0, momentum: 2",
        &[
            ("`momentum` must be from 0 to 1, found `2`", "2"),
            ("`epsilon` must be positive, found `0`", "0"),
        ],
    );
    let in_field = "`BatchNorm` cannot stand in a field: training normalises each evaluation by its own batch, inference \
                    has one mean and variance for all";
    for inside in [
        "BatchNorm",
        "BatchNorm(momentum: 2, 3)",
        "Residual[BatchNorm, tanh]",
    ] {
        changed("sin, ", &format!("{inside}, "), &[(in_field, "BatchNorm")]);
    }
    changed(
        "sin, Dense(20)",
        "BatchNorm, Residual[BatchNorm], Dense(21)",
        &[
            (in_field, "BatchNorm"),
            (in_field, "BatchNorm"),
            (
                "a field must return the shape of its state: the state has 20 features, but the last layer produces 21",
                "21",
            ),
        ],
    );
    changed(
        "Custom(own::Kind<2> => [3])",
        "Custom(own::Kind => 0)",
        &[("expected a positive integer, found `0`", "0")],
    );
    changed(
        "Custom(own::Kind<2> => [3])",
        "Custom([3])",
        &[("expected the path of a type, found a list", "[3]")],
    );
    changed(
        "Custom(own::Kind<2> => [3])",
        "Custom(own::Kind, 3)",
        &[("`Custom` takes no second argument", "3")],
    );
    changed(
        "noisy: [",
        "state: [Dense(3), ",
        &[(
            "the stage `state` and the state of the model would both be kept in a struct `ModelState`",
            "state",
        )],
    );
}

#[test]
fn structs_of_two_stages_do_not_clash() {
    check(
        "struct M { input: [2], a_b: [Dense(2), Dense(2)], a__b: [Dense(2), Dense(2)] }",
        &[(
            "the stages `a_b` and `a__b` would both be kept in a struct `MAB`",
            "a__b",
        )],
    );
    check(
        "struct M { input: [2], a_b: Dense(2), a__b: Dense(2) }",
        &[],
    );
}

#[test]
fn what_other_libraries_write_is_answered_once_with_what_is_written_here() {
    let cases: &[(&str, &str, &str, &str)] = &[
        (
            "Dense(8 => 3usize)",
            "Dense(8, 3, tanh)",
            "`Dense` takes its widths as `inputs => outputs`, found `8, 3`",
            "8, 3",
        ),
        (
            "Dense(8 => 3usize)",
            "Dense(_, WIDTH)",
            "`Dense` takes its widths as `inputs => outputs`, found `_, WIDTH`",
            "_, WIDTH",
        ),
        (
            "Dense(8 => 3usize)",
            "Dense<8, 3>",
            "expected the arguments of `Dense` in parentheses",
            "<8, 3>",
        ),
        (
            "Dense(8 => 3usize)",
            "Dense::<8, 3>",
            "expected the arguments of `Dense` in parentheses",
            "::<8, 3>",
        ),
        (
            "Dense(8 => 3usize)",
            "Linear(8, 3)",
            "unknown layer `Linear`",
            "Linear",
        ),
        (
            "Dense(8 => 3usize)",
            "Dense(8 => 3, activation = tanh)",
            "the activation of a `Dense` has no name, found `activation`",
            "activation",
        ),
        (
            "Dense(8 => 3usize)",
            "Dense(8 => 3, bias: false)",
            "every `Dense` has a bias, found the setting `bias`",
            "bias",
        ),
        (
            "Dense(20 => HIDDEN, tanh)",
            "Dense([t, y] => HIDDEN, tanh)",
            "expected a number of inputs, found a list",
            "[t, y]",
        ),
        (
            "sin, Dense(20)",
            "y ** 3, Dense(20)",
            "what happens to `y` is written as a layer, found `y ** 3`",
            "*",
        ),
        (
            "sin, Dense(20)",
            "y * y, Dense(20)",
            "what happens to `y` is written as a layer, found `y * y`",
            "*",
        ),
        (
            "sin, Dense(20)",
            "y.tanh(), Dense(20)",
            "what happens to `y` is written as a layer, found `y.tanh()`",
            ".",
        ),
        (
            "span: -0.5..END",
            "span: -0.5..2.0 * 3.14",
            "expected a number or a constant, found an expression with `*`",
            "*",
        ),
        (
            "[Dense(8, relu), Dense(8 => 3usize), sigmoid]",
            "(Dense(8, relu), Dense(8 => 3usize), sigmoid)",
            "expected a list in brackets, found `(`",
            "(",
        ),
        (
            "solver: Euler { dt: 0.1 }",
            "solver: Euler(dt: 0.1)",
            "`Euler` takes its settings in braces",
            "Euler",
        ),
    ];
    for (from, to, message, underlined) in cases {
        changed(from, to, &[(message, underlined)]);
    }
    let block = MODEL.replace("timed: Ode {", "timed: Ode (");
    let block = block.replace(
        "Euler { dt: 0.1 },\n        }",
        "Euler { dt: 0.1 },\n        )",
    );
    check(&block, &[("an `Ode` takes its clauses in braces", "Ode")]);
}

#[test]
fn channels_and_windows_by_position_are_answered_once() {
    let conv = |layer: &str| format!("struct M {{ input: [1, 8, 8], conv: {layer} }}");
    let widths = |found: &str| {
        format!("`Conv2d` takes its channels as `inputs => outputs`, found `{found}`")
    };
    check(
        &conv("Conv2d(1, 8, 3)"),
        &[(widths("1, 8").as_str(), "1, 8")],
    );
    check(
        &conv("Conv2d(1, 8, kernel: 3)"),
        &[(widths("1, 8").as_str(), "1, 8")],
    );
    let window = "`Conv2d` takes the side of its window by name, found `3`";
    check(&conv("Conv2d(1 => 8, 3, padding: 1)"), &[(window, "3")]);
    check(&conv("Conv2d(8, 3)"), &[(window, "3")]);
}

#[test]
fn a_clause_beside_its_block_is_not_missed_in_it() {
    let model = "struct M { input: [4], ode: Ode { field(t, y): tanh, span: 0..1 },
        solver: Rk4 { dt: 0.5 }, head: Dense(2) }";
    check(
        model,
        &[(
            "`solver` is a clause of an `Ode`, found it outside of one",
            "solver",
        )],
    );
    // A stage may have such a name.
    check("struct M { input: [4], solver: Dense(2), span: tanh }", &[]);
}

#[test]
fn spans_and_steps_of_numbers_are_compared() {
    let ode = |span: &str, dt: &str| {
        format!(
            "struct M {{ input: [4], ode: Ode {{ field(t, y): tanh, span: {span}, solver: Rk4 {{ dt: {dt} }} }} }}"
        )
    };
    check(
        &ode("1.0..1", "0.1"),
        &[(
            "a span must not end where it starts, found `1.0..1`",
            "1.0..1",
        )],
    );
    check(
        &ode("END..END", "0.1"),
        &[(
            "a span must not end where it starts, found `END..END`",
            "END..END",
        )],
    );
    check(
        &ode("1.0..0.0", "1.5"),
        &[(
            "`dt` must not be larger than the span `1.0..0.0`, found `1.5`",
            "1.5",
        )],
    );
    // 0.3 - 0.1 is a unit in the last place below 0.2.
    for (span, dt) in [
        ("0.1..0.3", "0.2"),
        ("1..0", "1"),
        ("0..END", "5"),
        ("0..1", "STEP"),
    ] {
        check(&ode(span, dt), &[]);
    }
}
