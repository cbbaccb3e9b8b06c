//! A crate outside the workspace that depends on `neuralode` alone compiles its models without a warning
//! and trains them.

#![allow(missing_docs, reason = "a test program")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// Runs a crate of a user, with the versions of this workspace, so that nothing has to be fetched.
fn run(user_crate: &Path) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::copy(root.join("Cargo.lock"), user_crate.join("Cargo.lock")).unwrap();
    Command::new(env!("CARGO"))
        .args(["run", "--offline"])
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

#[test]
fn models_compile_without_warnings_in_every_edition_and_under_another_name_of_the_library() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = root.join("tests/external/editions/main.rs");
    for edition in ["2018", "2021", "2024"] {
        let user_crate = root.join("target/external/editions").join(edition);
        fs::create_dir_all(&user_crate).unwrap();
        let manifest = format!(
            "[package]\nname = \"edition-{edition}\"\nversion = \"0.0.0\"\nedition = \"{edition}\"\n\
             publish = false\n\n\
             [[bin]]\nname = \"edition-{edition}\"\npath = {source:?}\n\n\
             [dependencies]\node = {{ package = \"neuralode\", path = {root:?} }}\n\n\
             [workspace]\n\n\
             [profile.dev]\ndebug = false\n[profile.dev.package.\"*\"]\nopt-level = 1\n",
        );
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
