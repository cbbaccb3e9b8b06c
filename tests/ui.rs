//! What the compiler says about wrong models, word for word. Right ones are in `external_crate.rs`: with a case that must
//! compile, trybuild builds all of them.
//!
//! Messages are those of one compiler version: on others these tests skip, aloud. `scripts/bless.sh` writes
//! the expected messages anew.

#![allow(missing_docs, reason = "a test program")]

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// The compiler whose messages the `.stderr` files hold.
const COMPILER: &str = "1.95.";

/// Whether this is the compiler; says so if not.
fn is_the_compiler() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    let version = output.map_or_else(
        |error| format!("no compiler ({error})"),
        |output| {
            let text = String::from_utf8_lossy(&output.stdout);
            text.lines().next().unwrap_or_default().to_owned()
        },
    );
    let right = version.starts_with(&format!("rustc {COMPILER}"));
    if !right {
        // Past the test harness, which shows what is printed only if a test fails.
        let line =
            format!("skipped: the messages are those of rustc {COMPILER}x, this is {version}\n");
        let _ = io::stderr().write_all(line.as_bytes());
    }
    right
}

#[test]
fn wrong_models_are_explained() {
    if is_the_compiler() {
        trybuild::TestCases::new().compile_fail("tests/ui/*/*.rs");
    }
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of cases") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}

#[test]
fn expected_messages_name_no_place_of_this_machine() {
    let ui = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui");
    for path in files(&ui, "stderr") {
        let text = fs::read_to_string(&path).expect("readable");
        // With and without the component `rust-src` the compiler quotes its own sources differently.
        for place in ["$RUST", "$CARGO"] {
            assert!(!text.contains(place), "{} has {place}", path.display());
        }
        let mut words = text.split(|c: char| c.is_whitespace() || "`'\"(".contains(c));
        let absolute = words.find(|word| {
            // Comments begin with slashes as well.
            word.len() > 2 && !word.starts_with("//") && Path::new(word).is_absolute()
        });
        assert_eq!(absolute, None, "{}", path.display());
    }
}

#[test]
fn every_case_says_what_it_proves_and_has_one_error_for_each_mistake() {
    let ui = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui");
    let cases = files(&ui, "rs");
    assert!(cases.len() >= 100, "{} cases", cases.len());
    for path in cases {
        let text = fs::read_to_string(&path).expect("readable");
        assert!(text.starts_with("// "), "{}", path.display());
        let messages = fs::read_to_string(path.with_extension("stderr")).expect("its messages");
        let errors = messages.lines().filter(|line| line.starts_with("error"));
        let mistakes = if path.ends_with("together/several-mistakes.rs") {
            11
        } else {
            1
        };
        assert_eq!(errors.count(), mistakes, "{}", path.display());
    }
}
