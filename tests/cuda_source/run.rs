//! Programs compiled and run on the processor or a GPU, with numbers as text between them.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use neuralode::{
    device::Program,
    ode::method::{ButcherTableau, WithTableau},
    prelude::*,
    Control, Controller, StepSizes,
};

pub(crate) fn runs(program: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// What emulates a launch: every block has threads of its own, and barriers do what the hardware does.
const HOST: &str = include_str!("../support/device_code/host.cpp");

/// How both programs read what [`input`] writes, up to the parameters.
const PROBLEM: &str = include_str!("../support/device_code/problem.cpp");

/// Reads a problem, solves it, pulls a cotangent back, and prints everything.
const MAIN: &str = include_str!("../support/device_code/main.cpp");

/// Behind a whole program: reads a problem and what is expected, launches both kernels, and compares. With an argument it
/// then launches them that often and says how long each takes. Exits with 77 where there is no GPU.
const GPU_MAIN: &str = include_str!("../support/device_code/gpu_main.cu");

/// What a launch gives: status, accepted and rejected steps of each sample, numbers, and of each sample's last step time,
/// size and decay.
pub(crate) struct Launched {
    pub(crate) counts: Vec<f64>,
    pub(crate) y1: Vec<f64>,
    pub(crate) y0_bar: Vec<f64>,
    pub(crate) theta_bar: Vec<f64>,
    pub(crate) ends: Vec<f64>,
    /// Of each walk back the estimate of the gradient's error, and whether steps grew tenfold.
    pub(crate) doubts: Vec<f64>,
}

/// Compiles a program for the host, in a folder of its own.
pub(crate) fn compile(
    program: &Program,
    name: &str,
    real: &str,
    folder: &Path,
) -> std::path::PathBuf {
    let source = format!(
        "{HOST}{}\ntypedef {real} Real;\nconstexpr int TILE = {}, WORKSPACE = {};\n{PROBLEM}{MAIN}",
        program.device_code(),
        program.tile(),
        program.workspace()
    )
    .replace("#include <thread>", "#include <memory>\n#include <thread>");
    let (text, binary) = (folder.join("host.cpp"), folder.join("host"));
    fs::write(&text, source).unwrap();
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let output = Command::new(compiler)
        .args([
            "-std=c++20",
            "-O0",
            "-Wall",
            "-Werror",
            "-Wno-unused",
            "-pthread",
            "-o",
        ])
        .args([&binary, &text])
        .output()
        .unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {messages}");
    binary
}

/// Compiles a program with its launches for a GPU of compute capability 9.0.
pub(crate) fn compile_for_a_gpu(
    program: &Program,
    name: &str,
    folder: &Path,
) -> std::path::PathBuf {
    let source = format!(
        "{}\nconstexpr int TILE = {}, WORKSPACE = {};\n{PROBLEM}{GPU_MAIN}",
        program.text(),
        program.tile(),
        program.workspace()
    );
    let (text, binary) = (folder.join(format!("{name}.cu")), folder.join(name));
    fs::write(&text, source).unwrap();
    let output = Command::new("nvcc")
        .args([
            "-std=c++17",
            "-O3",
            "-arch=sm_90",
            "-cudart",
            "static",
            "-o",
        ])
        .args([&binary, &text])
        .output()
        .unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {messages}");
    fs::remove_file(text).unwrap();
    binary
}

/// A number for the program: nothing is lost.
pub(crate) fn hex(x: f64) -> String {
    // `%a` of C reads decimal digits as well; seventeen of them are enough.
    format!("{x:.17e} ")
}

/// The input of the program for a solve of `y0` with these options.
pub(crate) fn input(
    options: &SolveOptions,
    parameters: &[f64],
    (y0, c): (&[f64], &[f64]),
    batch: usize,
    threads: usize,
) -> String {
    struct Describe;
    impl WithTableau for Describe {
        type Output = String;
        fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) -> String {
            let signs = &tableau.signs;
            let weighs = signs.weights.iter().any(|weight| weight.abs() > 1e-12);
            let mut text = format!("{S} {} {} ", tableau.order, u8::from(weighs));
            for i in 0..S {
                let _ = write!(text, "{} ", u8::from(tableau.has_stage(i)));
            }
            let numbers = tableau.a.iter().flatten().chain(&tableau.b);
            let numbers = numbers.chain(&tableau.b_err).chain(&tableau.c);
            for x in numbers.chain(&signs.weights[..S]).chain(&signs.linear[..S]) {
                text.push_str(&hex(*x));
            }
            text
        }
    }
    let mut text = format!("{batch} {threads} ");
    text.push_str(&options.solver.with_tableau(Describe));
    let (control, [p, i, d], dt) = match options.controller {
        Controller::I => (0, [0.0, 1.0, 0.0], 0.0),
        Controller::PI => (1, [0.0; 3], 0.0),
        Controller::Pid { p, i, d } => (2, [p, i, d], 0.0),
        Controller::Constant { dt } => (3, [0.0; 3], dt),
        other => panic!("{other:?} has no device code"),
    };
    for x in [
        options.t0,
        options.t1,
        options.rtol,
        options.atol,
        p,
        i,
        d,
        dt,
        options.dt0.unwrap_or(0.0),
        options.dt_min.unwrap_or(0.0),
        options.dt_max.unwrap_or(f64::INFINITY),
    ] {
        text.push_str(&hex(x));
    }
    let share = if options.steps == StepSizes::PerSample {
        2
    } else {
        0
    };
    let guided = match options.control {
        Control::Gradients { seed } => Some(seed),
        _ => None,
    };
    let _ = write!(
        text,
        "{} {} {share} {control} 400 {} ",
        guided.unwrap_or(0),
        options.max_steps,
        u8::from(guided.is_some())
    );
    for x in parameters.iter().chain(y0).chain(c) {
        text.push_str(&hex(*x));
    }
    text
}

/// Compiles nothing: runs the program on this input.
pub(crate) fn launch(binary: &Path, input: &str) -> Launched {
    let mut child = Command::new(binary)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text
        .lines()
        .map(|line| line.split_whitespace().map(from_hex).collect::<Vec<f64>>());
    let mut next = || lines.next().unwrap();
    Launched {
        counts: next(),
        y1: next(),
        y0_bar: next(),
        theta_bar: next(),
        ends: next(),
        doubts: next(),
    }
}

/// C's `%a`: `-0x1.8p+3`
pub(crate) fn from_hex(text: &str) -> f64 {
    if let Ok(plain @ (f64::INFINITY | f64::NEG_INFINITY)) = text.parse() {
        return plain;
    }
    if text.contains("nan") {
        return f64::NAN;
    }
    let (sign, digits) = text
        .strip_prefix('-')
        .map_or((1.0, text), |rest| (-1.0, rest));
    let digits = digits.strip_prefix("0x").unwrap();
    let (mantissa, exponent) = digits.split_once('p').unwrap();
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let bits = u64::from_str_radix(&format!("{whole}{fraction}"), 16).unwrap();
    let exponent = exponent.parse::<i32>().unwrap() - 4 * i32::try_from(fraction.len()).unwrap();
    #[allow(clippy::cast_precision_loss, reason = "53 bits")]
    let bits = bits as f64;
    sign * bits * f64::from(exponent).exp2()
}
