//! The example `mnist_ode` as a program: what it prints and writes, and how it fails.

#![allow(missing_docs, reason = "a test program")]

use std::{
    fs::OpenOptions,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::Duration,
};

use serde_json::Value;

/// Builds the example, as `cargo test` on its own does, and returns its path.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        // With the features of the whole workspace, which is built already where all tests run.
        cargo.args(["build", "--quiet", "--workspace", "--example", "mnist_ode"]);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let built = cargo
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(built.success());
        let test = std::env::current_exe().unwrap();
        let profile = test.parent().unwrap().parent().unwrap();
        profile.join("examples").join("mnist_ode")
    })
}

/// The example in an empty folder, without a network, a cache or MNIST.
fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command
        .args(arguments)
        .current_dir(home)
        .env_remove("MNIST_DIR")
        .env("NEURALODE_OFFLINE", "1")
        .env("HOME", home)
        .env("XDG_CACHE_HOME", home.join("cache"));
    command
}

/// Runs it.
fn run(arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    command(home.path(), arguments).output().unwrap()
}

fn json(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// Finished epochs of the last run in a file.
fn epochs(file: &Path) -> usize {
    let json = json(file);
    let run = json["runs"].as_array().unwrap().last().unwrap();
    run["epochs"].as_array().unwrap().len()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The program ends with status 2 and a message that contains `parts`; it does not panic.
fn fails(arguments: &[&str], parts: &[&str]) -> Output {
    let output = run(arguments);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
    assert!(!message.contains("panicked"), "{arguments:?}: {message}");
    for part in parts {
        assert!(
            message.contains(part),
            "{arguments:?}: no `{part}` in: {message}"
        );
    }
    output
}

#[test]
fn without_mnist_it_trains_on_drawn_digits_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.json");
    let output = run(&[
        "--images",
        "300",
        "--epochs",
        "2",
        "--json",
        file.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    assert!(
        printed.starts_with("Data: digits drawn by this program, because MNIST was not available"),
        "{printed}"
    );
    assert!(printed.contains("16450 trainable parameters"), "{printed}");

    let json = json(&file);
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(
        keys(&json),
        ["adjoint", "backend", "batch", "dataset", "device", "dtype", "images", "runs"]
    );
    assert_eq!(json["dataset"], "drawn-digits");
    assert_eq!(json["device"], "cpu");
    assert_eq!(json["dtype"], "f32");
    assert_eq!(json["adjoint"], "interpolating");
    assert_eq!(json["backend"], "kernels");
    assert_eq!(
        (&json["images"], &json["batch"]),
        (&300.into(), &128.into())
    );
    let epochs = json["runs"][0]["epochs"].as_array().unwrap();
    assert_eq!(epochs.len(), 2);
    assert_eq!(
        keys(&epochs[0]),
        [
            "accepted",
            "epoch",
            "loss",
            "nfe",
            "rejected",
            "seconds",
            "test_accuracy",
            "train_accuracy"
        ]
    );
    // 270 training images are three batches: the field is called 2 + 6 n times for n steps of each.
    let sum = |key: &str| epochs[1][key].as_u64().unwrap();
    assert_eq!(sum("nfe"), 3 * 2 + 6 * (sum("accepted") + sum("rejected")));
    let accuracy = epochs[1]["train_accuracy"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&accuracy));
    assert!(epochs[1]["loss"].as_f64() < epochs[0]["loss"].as_f64());
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "no temporary file is left"
    );
}

#[test]
fn the_same_seed_gives_the_same_numbers_and_another_seed_others() {
    let folder = tempfile::tempdir().unwrap();
    let losses = |seed: &str, seeds: &str| -> Vec<f64> {
        let file = folder.path().join("out.json");
        let path = file.to_str().unwrap();
        let output = run(&[
            "--images", "200", "--epochs", "1", "--seed", seed, "--seeds", seeds, "--json", path,
        ]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let json = json(&file);
        let runs = json["runs"].as_array().unwrap();
        runs.iter()
            .map(|run| run["epochs"][0]["loss"].as_f64().unwrap())
            .collect()
    };
    let (five, six, both) = (losses("5", "1"), losses("6", "1"), losses("5", "2"));
    assert_eq!(both, [five.clone(), six.clone()].concat());
    assert_ne!(five, six);
}

#[test]
fn generated_kernels_and_the_tape_train_alike() {
    let folder = tempfile::tempdir().unwrap();
    let loss = |backend: &str| -> f64 {
        let file = folder.path().join("out.json");
        let path = file.to_str().unwrap();
        let output = run(&[
            "--images",
            "300",
            "--epochs",
            "2",
            "--backend",
            backend,
            "--json",
            path,
        ]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let json = json(&file);
        assert_eq!(json["backend"], backend);
        json["runs"][0]["epochs"][1]["loss"].as_f64().unwrap()
    };
    assert!((loss("kernels") - loss("operations")).abs() < 1e-4);
}

#[test]
fn several_seeds_give_a_mean_and_a_deviation() {
    let output = run(&[
        "--images",
        "100",
        "--epochs",
        "1",
        "--seeds",
        "3",
        "--adjoint",
        "discrete",
    ]);
    let printed = text(&output.stdout);
    assert!(
        printed.contains("3 runs, last epoch, mean ± sd: train "),
        "{printed}"
    );
}

#[test]
fn a_batch_larger_than_the_data_and_a_last_batch_of_one_work() {
    for arguments in [
        ["--images", "40", "--batch", "1000"],
        ["--images", "10", "--batch", "4"],
    ] {
        let output = run(&[&arguments[..], &["--epochs", "1"]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

#[test]
fn wrong_arguments_are_explained() {
    fails(&["--images", "0"], &["--images", "at least 2"]);
    fails(&["--images", "70000"], &["60000", "70000"]);
    fails(&["--batch", "0"], &["--batch", "at least 1"]);
    fails(&["--epochs", "0"], &["--epochs", "at least 1"]);
    fails(&["--lr", "NaN"], &["--lr", "positive number"]);
    fails(&["--lr", "0"], &["--lr", "positive number"]);
    fails(
        &["--adjoint", "exact"],
        &[
            "interpolating",
            "gauss",
            "quadrature",
            "discrete",
            "backsolve",
        ],
    );
    fails(&["--device", "tpu"], &["cpu", "cuda"]);
    fails(&["--solver", "rk5"], &["--solver", "rk4", "dopri8"]);
    fails(
        &["--compare", "--backend", "operations"],
        &["--compare", "--backend"],
    );
    fails(&["--seeds", "0"], &["--seeds", "at least 1"]);
    fails(&["--nonsense"], &["--nonsense"]);
}

#[test]
fn solver_and_tolerances_are_those_that_were_asked_for() {
    let calls = |arguments: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out.json");
        let common = [
            "--images",
            "300",
            "--epochs",
            "1",
            "--json",
            file.to_str().unwrap(),
        ];
        let output = run(&[&common, arguments].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let json = json(&file);
        json["runs"][0]["epochs"][0]["nfe"].as_u64().unwrap()
    };
    // 270 training images are three batches; equal steps take no probe for a first size.
    assert_eq!(calls(&["--solver", "rk4", "--dt", "0.25"]), 3 * (1 + 4 * 4));
    assert_eq!(calls(&["--solver", "euler", "--dt", "0.5"]), 3 * (1 + 2));
    let loose = calls(&[]);
    assert!(calls(&["--rtol", "1e-6", "--atol", "1e-6"]) > loose);
    fails(
        &["--images", "300", "--solver", "euler"],
        &["Euler", "error"],
    );
    fails(&["--images", "300", "--rtol", "2"], &["rtol"]);
}

#[test]
fn a_comparison_has_a_row_for_every_configuration_of_the_page() {
    let output = run(&["--images", "300", "--epochs", "2", "--compare"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    let (_, table) = printed.rsplit_once("adjoint, backend ").unwrap();
    for configuration in [
        "interpolating, kernels",
        "gauss, kernels",
        "interpolating, operations",
        "discrete, operations",
        "discrete, kernels",
    ] {
        assert_eq!(table.matches(configuration).count(), 1, "{table}");
    }
}

#[test]
fn a_data_folder_that_does_not_work_is_an_error_and_no_reason_to_draw() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nowhere");
    fails(
        &["--data-dir", missing.to_str().unwrap()],
        &["no folder", "nowhere"],
    );
    fails(
        &["--data-dir", folder.path().to_str().unwrap()],
        &["train-images-idx3-ubyte"],
    );
    std::fs::write(
        folder.path().join("train-images-idx3-ubyte"),
        [0, 0, 8, 3, 0],
    )
    .unwrap();
    std::fs::write(folder.path().join("train-labels-idx1-ubyte"), [0, 0, 8, 1]).unwrap();
    fails(
        &["--data-dir", folder.path().to_str().unwrap()],
        &["train-"],
    );
}

#[test]
fn a_json_file_that_cannot_be_written_is_an_error_before_the_training() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("missing").join("out.json");
    let output = fails(&["--json", file.to_str().unwrap()], &["--json", "out.json"]);
    assert!(output.stdout.is_empty(), "nothing was trained");
    fails(
        &["--json", folder.path().to_str().unwrap()],
        &["not a file"],
    );
}

#[test]
#[cfg(not(feature = "cuda"))]
fn cuda_without_the_feature_is_an_error_that_says_how_to_get_it() {
    fails(&["--device", "cuda"], &["--features cuda"]);
}

#[test]
fn a_training_that_diverges_is_a_typed_error_and_keeps_what_was_finished() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.json");
    let path = file.to_str().unwrap();
    for adjoint in [
        "interpolating",
        "gauss",
        "quadrature",
        "discrete",
        "backsolve",
    ] {
        fails(
            &[
                "--images",
                "300",
                "--lr",
                "1e38",
                "--epochs",
                "5",
                "--adjoint",
                adjoint,
                "--json",
                path,
            ],
            &["error: ", ": "],
        );
        let json = json(&file);
        assert!(json["runs"][0]["epochs"].as_array().unwrap().len() < 5);
    }
}

#[test]
fn version_info_names_the_toolchain_and_the_machine() {
    let output = run(&["--version-info"]);
    assert!(output.status.success());
    let printed = text(&output.stdout);
    for line in [
        "neuralode  0.1.0",
        "toolchain  1.95.0",
        "tensors    dfdx 0.13",
        "processor",
        "threads",
    ] {
        assert!(printed.contains(line), "{printed}");
    }
}

const SHORT: [&str; 5] = ["--images", "100", "--epochs", "3", "--json"];

#[test]
fn a_reader_that_leaves_costs_no_results() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("d.json");
    let mut child = command(home.path(), &SHORT)
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("Data: "));
    drop(lines);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    assert_eq!(epochs(&file), 3);
    assert_eq!(names(home.path()), ["d.json"]);
}

#[test]
fn a_reader_that_leaves_ends_a_training_without_a_file() {
    let home = tempfile::tempdir().unwrap();
    // It would take hours.
    let mut child = command(home.path(), &["--images", "100", "--epochs", "1000000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    drop(lines);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_standard_output_costs_no_results() {
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("d.json");
    let output = command(home.path(), &SHORT)
        .arg(&file)
        .stdout(full())
        .output()
        .unwrap();
    let message = text(&output.stderr);
    assert!(output.status.success(), "{message}");
    assert!(
        message.contains("standard output cannot be written"),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1, "{message}");
    assert_eq!(epochs(&file), 3);

    // Without the file they are lost, which is an error; and standard error may be full as well.
    let lost = |stderr: Stdio| {
        let mut lost = command(home.path(), &SHORT[..4]);
        lost.stdout(full()).stderr(stderr).output().unwrap()
    };
    let output = lost(Stdio::piped());
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("--json FILE"), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    assert_eq!(lost(full().into()).status.code(), Some(2));
}

/// A training that goes on for hours and has finished its first epochs.
fn long_training(home: &Path, file: &Path) -> Child {
    let mut child = command(home, &["--images", "100", "--epochs", "1000000", "--json"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !file.exists() || epochs(file) < 2 {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn every_finished_epoch_is_in_the_file_when_the_program_is_killed() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("d.json");
    let mut child = long_training(home.path(), &file);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(epochs(&file) >= 2);
}

#[test]
#[cfg(unix)]
fn an_interrupted_training_keeps_its_epochs_and_leaves_no_temporary_file() {
    for signal in ["INT", "TERM"] {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("d.json");
        let child = long_training(home.path(), &file);
        let sent = Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
        let output = child.wait_with_output().unwrap();
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{message}");
        assert_eq!(message, "error: the training was interrupted\n");
        assert!(epochs(&file) >= 2);
        assert_eq!(names(home.path()), ["d.json"]);
    }
}

#[test]
fn a_step_size_that_leads_nowhere_is_an_error_of_a_few_words() {
    let output = fails(
        &["--images", "100", "--dt", "1e-300"],
        &["4096 steps", "e-297 of 1"],
    );
    let message = text(&output.stderr);
    assert!(message.len() < 400, "{message}");
}
