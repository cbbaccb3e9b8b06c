//! A crate outside the workspace that depends on `neuralode` alone compiles its models without a warning
//! and trains them.

#![allow(missing_docs, reason = "a test program")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Runs a crate of a user.
fn run(user_crate: &Path) -> Output {
    cargo("run", user_crate)
}

/// A command of cargo for a crate of a user, with the versions of this workspace, so that nothing has to be fetched.
fn cargo(command: &str, user_crate: &Path) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::copy(root.join("Cargo.lock"), user_crate.join("Cargo.lock")).unwrap();
    Command::new(env!("CARGO"))
        .args([command, "--offline"])
        .current_dir(user_crate)
        .env("CARGO_TARGET_DIR", root.join("target/external"))
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap()
}

#[test]
fn a_users_crate_compiles_without_warnings_and_trains_its_models() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = run(&root.join("tests/external"));
    let (printed, messages) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{messages}");
    assert!(!messages.contains("warning"), "{messages}");
    assert!(printed.contains("16450 trainable parameters"), "{printed}");
    assert_eq!(printed.matches(": loss ").count(), 10, "{printed}");
}

/// The manifest of a crate of these programs, with the library under the name `library`.
fn manifest(name: &str, edition: &str, library: &str, programs: &[(&str, &Path)]) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut manifest = format!(
        "[package]\nname = {name:?}\nversion = \"0.0.0\"\nedition = {edition:?}\npublish = false\n\n\
         [dependencies]\n{library} = {{ package = \"neuralode\", path = {root:?} }}\n\n\
         [workspace]\n\n\
         [profile.dev]\ndebug = false\n",
    );
    for (name, source) in programs {
        let source = source.to_str().expect("a path of UTF-8");
        let program = format!("\n[[bin]]\nname = {name:?}\npath = {source:?}\n");
        manifest.push_str(&program);
    }
    manifest
}

#[test]
fn right_models_compile_wherever_they_stand() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = fs::read_dir(root.join("tests/external/right_models")).unwrap();
    let sources: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    assert!(sources.len() >= 12, "{sources:?}");
    let programs = sources.iter().map(|source| {
        let name = source.file_stem().and_then(|name| name.to_str());
        (name.expect("a name in UTF-8"), source.as_path())
    });
    let programs: Vec<(&str, &Path)> = programs.collect();
    let user_crate = root.join("target/external/right-models");
    fs::create_dir_all(&user_crate).unwrap();
    let manifest = manifest("right-models", "2021", "neuralode", &programs);
    fs::write(user_crate.join("Cargo.toml"), manifest).unwrap();
    let output = cargo("build", &user_crate);
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{messages}");
    for (name, _) in programs {
        let program = root.join("target/external/debug").join(name);
        let output = Command::new(program).output().unwrap();
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {messages}");
    }
}

#[test]
fn models_compile_without_warnings_in_every_edition_and_under_another_name_of_the_library() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = root.join("tests/external/editions/main.rs");
    for edition in ["2018", "2021", "2024"] {
        let user_crate = root.join("target/external/editions").join(edition);
        fs::create_dir_all(&user_crate).unwrap();
        let name = format!("edition-{edition}");
        let manifest = manifest(&name, edition, "ode", &[(&name, &source)]);
        fs::write(user_crate.join("Cargo.toml"), manifest).unwrap();
        let output = run(&user_crate);
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "edition {edition}: {messages}");
        assert!(
            !messages.contains("warning"),
            "edition {edition}: {messages}"
        );
    }
}

/// Only building finds it: checking does not compile functions that are generic over a constant.
#[test]
fn a_parameter_of_zero_does_not_compile() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let user_crate = root.join("target/external/parameter-of-zero");
    fs::create_dir_all(&user_crate).unwrap();
    let source = root.join("tests/external/parameter_of_zero.rs");
    let name = "parameter-of-zero";
    let manifest = manifest(name, "2021", "ode", &[(name, &source)]);
    fs::write(user_crate.join("Cargo.toml"), manifest).unwrap();
    let output = run(&user_crate);
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{messages}");
    let expected = "the parameter `WIDTH` of `Flow` is 0, but sizes are positive";
    assert!(messages.contains(expected), "{messages}");
}
