//! The problems on which Neural ODE libraries are compared, solved through the interface that a user has.
//!
//! `cargo bench --bench peers -- [case ...] [--mnist DIR] [--json FILE] [--compare FILE]`, see `benches/README.md`.

#![allow(missing_docs, reason = "a benchmark")]

mod compare;
mod conv;
mod gradients;
mod lorenz;
mod measure;
mod mnist;
mod numpy;
mod stiffening;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::{error::Error, path::PathBuf};

use clap::Parser;
use measure::Results;

type Outcome = Result<(), Box<dyn Error>>;

/// Times neuralode on the problems of the comparison with other libraries.
#[derive(Parser, Debug)]
struct Cli {
    /// Cases to run; all of them if none is named.
    #[arg(value_parser = CASES)]
    cases: Vec<String>,
    /// Folder with `train-images-idx3-ubyte.gz` and `train-labels-idx1-ubyte.gz`.
    #[arg(long, env = "MNIST_DIR")]
    mnist: Option<PathBuf>,
    /// Writes the figures here.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Takes our figures from this file instead of measuring them.
    #[arg(long, conflicts_with_all = ["cases", "json"])]
    read: Option<PathBuf>,
    /// Prints a table against the figures of another library in this file.
    #[arg(long)]
    compare: Option<PathBuf>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

const CASES: [&str; 8] = [
    "mnist",
    "mnist_large",
    "conv",
    "spiral_grad",
    "small_node_grad",
    "wide_node_grad",
    "lorenz",
    "stiffening",
];

fn run(case: &str, cli: &Cli, results: &mut Results) -> Outcome {
    match case {
        "mnist" => mnist::run::<128>(case, cli.mnist.as_deref(), results),
        "mnist_large" => mnist::run::<4096>(case, cli.mnist.as_deref(), results),
        "conv" => conv::run(case, cli.mnist.as_deref(), results),
        "spiral_grad" => gradients::spiral(case, results),
        "small_node_grad" => gradients::small_node(case, results),
        "wide_node_grad" => gradients::wide_node(case, results),
        "lorenz" => lorenz::run(case, results),
        "stiffening" => stiffening::run(case, results),
        other => Err(format!("no case `{other}`").into()),
    }
}

fn main() -> Outcome {
    // As a program that trains would: this thread works beside the others instead of waiting for them.
    rayon::ThreadPoolBuilder::new()
        .use_current_thread()
        .build_global()?;
    let cli = Cli::parse();
    // cargo starts benches in their package's folder; paths are meant from the repository's root.
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))?;
    numpy::check();
    let results = if let Some(file) = &cli.read {
        Results::read(file)?
    } else {
        let mut results = Results::default();
        if cli.cases.is_empty() {
            for case in CASES {
                run(case, &cli, &mut results)?;
            }
        }
        for case in &cli.cases {
            run(case, &cli, &mut results)?;
        }
        results
    };
    if let Some(file) = &cli.json {
        results.write(file)?;
    }
    if let Some(file) = &cli.compare {
        compare::print(&results, &Results::read(file)?);
    }
    Ok(())
}
