//! A crate outside the workspace that depends on `neuralode` alone compiles its models without a warning
//! and trains them.

#![allow(missing_docs, reason = "a test program")]

use std::{path::Path, process::Command};

#[test]
fn a_users_crate_compiles_without_warnings_and_trains_its_models() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let user_crate = root.join("tests/external");
    // The versions of this workspace, so that nothing has to be fetched.
    std::fs::copy(root.join("Cargo.lock"), user_crate.join("Cargo.lock")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["run", "--offline"])
        .current_dir(&user_crate)
        .env("CARGO_TARGET_DIR", root.join("target/external"))
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    let (printed, messages) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{messages}");
    assert!(!messages.contains("warning"), "{messages}");
    assert!(printed.contains("16450 trainable parameters"), "{printed}");
    let trained = printed.lines().filter(|line| line.contains(": loss "));
    assert!(trained.count() >= 7, "{printed}");
}
