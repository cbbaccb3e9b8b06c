//! Messages and cases belong together: `docs/diagnostics.md` lists what the cases of `tests/ui` show, all of it and
//! nothing else, and every text that the macro or the runtime may say to a user is in one of them.
//!
//! Compiles nothing. `scripts/bless.sh`, or `BLESS=1 cargo test -p neuralode-macros --test diagnostics`, writes the
//! list anew.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

fn root() -> &'static Path {
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    parent.expect("the workspace")
}

/// All files under `folder` with this extension, sorted.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    let text = fs::read_to_string(path);
    text.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Line by line, what the compiler prints for all cases.
fn expected_lines() -> Vec<String> {
    let texts = files(&root().join("tests/ui"), "stderr");
    let lines = texts.iter().flat_map(|path| {
        let text = read(path);
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    lines.collect()
}

/// A message, with the line that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Message {
    text: String,
    help: String,
}

/// The messages of an expected output. What to do is in the macro's help line, in a note of the runtime's, or in the
/// compiler's words at the underlined place.
fn messages(output: &str) -> Vec<Message> {
    let mut all: Vec<(String, Vec<&str>)> = Vec::new();
    for line in output.lines() {
        match line.split_once(": ") {
            Some((start, text)) if start == "error" || start.starts_with("error[") => {
                all.push((text.to_owned(), Vec::new()));
            }
            _ => {
                if let Some((_, rest)) = all.last_mut() {
                    rest.push(line);
                }
            }
        }
    }
    let with_help = all.into_iter().map(|(text, rest)| {
        let after = |mark: &str| {
            let found = rest.iter().find_map(|line| line.split_once(mark));
            found.map(|(_, help)| help.trim().to_owned())
        };
        let own = rest
            .first()
            .and_then(|line| line.trim().strip_prefix("help: "));
        let label = || {
            let underlined = rest.iter().find(|line| line.contains('^'));
            let label = underlined.and_then(|line| line.rsplit_once("^ "));
            label.map(|(_, label)| label.trim().to_owned())
        };
        let help = own.map(str::to_owned);
        // The compiler's own, where it has one to offer.
        let offered = || {
            let line = rest.iter().find(|line| line.starts_with("help: there is "));
            line.map(|line| line.trim_start_matches("help: ").to_owned())
        };
        let help = help.or_else(offered);
        let help =
            help.or_else(|| after("= note: ").filter(|note| !note.starts_with("this error")));
        let help = help.or_else(label).unwrap_or_default();
        Message { text, help }
    });
    with_help.collect()
}

/// The whole list.
fn document() -> String {
    type Cases = Vec<(String, String)>;
    let mut classes: BTreeMap<String, BTreeMap<Message, Cases>> = BTreeMap::new();
    let ui = root().join("tests/ui");
    let mut count = 0;
    for path in files(&ui, "stderr") {
        let name = |path: &Path| {
            let stem = path.file_stem().expect("a name");
            stem.to_string_lossy().into_owned()
        };
        let class = name(path.parent().expect("a class"));
        let case = name(&path);
        count += 1;
        for message in messages(&read(&path)) {
            let link = format!("../tests/ui/{class}/{case}.rs");
            let cases = classes.entry(class.clone()).or_default();
            cases.entry(message).or_default().push((case.clone(), link));
        }
    }
    let total: usize = classes.values().map(BTreeMap::len).sum();
    let mut text = format!(
        "# What the compiler says about wrong models\n\n\
         {total} messages from {count} cases, each with what to do about it and the case that shows it. Written by \
         `scripts/bless.sh` from `tests/ui`; do not edit. Where a message is the compiler's own, so is what stands behind it.\n"
    );
    for (class, messages) in classes {
        let _ = write!(
            text,
            "\n## {class}\n\n| message | what to do | shown by |\n|---|---|---|\n"
        );
        for (
            Message {
                text: message,
                help,
            },
            cases,
        ) in messages
        {
            let links: Vec<String> = cases
                .iter()
                .map(|(case, link)| format!("[{case}]({link})"))
                .collect();
            let row = [message, help, links.join(", ")].map(|cell| cell.replace('|', "\\|"));
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
    }
    text
}

#[test]
fn the_list_of_messages_is_that_of_the_cases() {
    let path = root().join("docs/diagnostics.md");
    let expected = document();
    if env::var_os("BLESS").is_some() {
        fs::write(&path, &expected).expect("writable");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let missing: Vec<&str> = expected
        .lines()
        .filter(|line| !found.lines().any(|other| other == *line))
        .collect();
    let surplus: Vec<&str> = found
        .lines()
        .filter(|line| !expected.lines().any(|other| other == *line))
        .collect();
    assert!(
        found == expected,
        "docs/diagnostics.md is not what the cases of tests/ui show; run scripts/bless.sh\nmissing: {missing:#?}\n\
         shown by no case: {surplus:#?}"
    );
}

#[test]
fn every_class_has_cases_and_every_message_says_what_to_do() {
    let mut cases = 0;
    for path in files(&root().join("tests/ui"), "stderr") {
        cases += 1;
        let messages = messages(&read(&path));
        assert!(!messages.is_empty(), "{}", path.display());
        for message in messages {
            assert!(!message.help.is_empty(), "{}: {message:?}", path.display());
        }
    }
    assert!(cases >= 70, "{cases}");
}

/// The string literals in `tokens` that may be shown to a user: not in attributes, in generated code, or in assertions.
fn literals(tokens: TokenStream, found: &mut Vec<String>) {
    const NOT_SHOWN: [&str; 7] = [
        "quote",
        "quote_spanned",
        "parse_quote",
        "assert",
        "assert_eq",
        "unreachable",
        "expect",
    ];
    let mut last = String::new();
    for token in tokens {
        let skipped = matches!(last.as_str(), "#" | "#!") || {
            let word = last.trim_end_matches('!');
            NOT_SHOWN.contains(&word)
        };
        match &token {
            TokenTree::Group(group) if !skipped => literals(group.stream(), found),
            TokenTree::Literal(literal) => {
                if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                    found.push(text.value());
                }
            }
            _ => {}
        }
        last = match &token {
            TokenTree::Punct(mark) if mark.as_char() == '!' => last + "!",
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => last,
            other => other.to_string(),
        };
    }
}

/// Whether `line` has the text of a format string, with anything for its arguments.
fn has(line: &str, format: &str) -> bool {
    if line.contains(format) {
        return true;
    }
    let format = format.replace("{{", "\u{1}").replace("}}", "\u{2}");
    let mut rest = line;
    for (index, piece) in format.split('{').enumerate() {
        let fixed = match piece.split_once('}') {
            Some((_, fixed)) if index > 0 => fixed,
            _ => piece,
        };
        let fixed = fixed.replace('\u{1}', "{").replace('\u{2}', "}");
        match rest.split_once(fixed.as_str()) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    true
}

#[test]
fn every_text_of_the_macro_is_shown_by_a_case() {
    let lines = expected_lines();
    let sources = root().join("neuralode-macros/src");
    let mut unseen = Vec::new();
    for path in files(&sources, "rs") {
        let name = path.strip_prefix(&sources).expect("a source");
        // What is generated, and tests, say nothing to users.
        if name.starts_with("codegen") || name.starts_with("tests") {
            continue;
        }
        let text = read(&path);
        let shown = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let tokens = shown.parse::<TokenStream>().expect("Rust");
        let mut found = Vec::new();
        literals(tokens, &mut found);
        for literal in found {
            // A line break joins a message and its help, which are looked at themselves.
            let is_prose = literal.trim().contains(' ') && !literal.contains('\n');
            if is_prose && !lines.iter().any(|line| has(line, &literal)) {
                unseen.push(format!("{}: {literal}", name.display()));
            }
        }
    }
    assert!(unseen.is_empty(), "no case of tests/ui shows\n{unseen:#?}");
}

/// The literals of `#[diagnostic::on_unimplemented(...)]`.
fn explanations(tokens: TokenStream, found: &mut Vec<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (index, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else {
            continue;
        };
        let is = |back: usize, word: &str| {
            let before = index.checked_sub(back).and_then(|index| tokens.get(index));
            before.is_some_and(|token| token.to_string() == word)
        };
        if is(1, "on_unimplemented") {
            literals(group.stream(), found);
        } else {
            explanations(group.stream(), found);
        }
    }
}

#[test]
fn every_explanation_of_the_runtime_is_shown_by_a_case() {
    let lines = expected_lines();
    let mut found = Vec::new();
    for path in files(&root().join("neuralode-runtime/src"), "rs") {
        explanations(read(&path).parse().expect("Rust"), &mut found);
    }
    assert!(found.len() >= 20, "{found:#?}");
    found.retain(|literal| !lines.iter().any(|line| has(line, literal)));
    assert!(found.is_empty(), "no case of tests/ui shows\n{found:#?}");
}

#[test]
fn texts_are_found_whatever_their_arguments() {
    assert!(has("error: unknown layer `Dens`", "unknown layer `{name}`"));
    assert!(has("write `PID { p: 0.2 }`", "write `{word} {{ p: 0.2 }}`"));
    assert!(has("write `Ode { ... }`", "write `Ode { ... }`"));
    assert!(!has("unknown layer `Dens`", "unknown solver `{name}`"));
    assert!(!has("`a` has no `b`", "`{a}` has no `{b}` either"));
}
