//! The Lux.jl tutorial "MNIST Classification using Neural ODEs", in Rust.
//!
//! ```text
//! cargo run --release --example mnist_ode
//! cargo run --release --example mnist_ode -- --images 60000 --adjoint discrete --seeds 3
//! cargo run --release --example mnist_ode -- --compare
//! cargo run --release --example mnist_ode -- --help
//! ```
//!
//! Same data (the first 1500 training images, split 0.9, batches of 128), same model, same loss and
//! optimizer (Adam, 0.001), same 9 epochs. Where MNIST cannot be had it draws digits itself and says so.

mod cli;
mod data;
mod report;
mod screen;
mod stop;
mod train;
mod version;

use std::{error::Error, process::ExitCode};

use clap::Parser;
use neuralode::prelude::*;

use cli::{AdjointName, Arguments, BackendName, DeviceName};
use report::Report;
use screen::{complain, say};
use stop::Stop;
use train::Images;

neural_ode! {
    /// The classifier of the Lux tutorial.
    #[derive(Clone, Debug)]
    pub struct MnistOde {
        input: [28, 28],
        encoder: [Flatten, Dense(784 => 20, tanh)],
        ode: Ode {
            field(t, y): [Dense(20 => 10, tanh), Dense(10 => 10, tanh), Dense(10 => 20, tanh)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
            adjoint: Interpolating,
        },
        head: Dense(20 => 10),
    }
}

fn main() -> ExitCode {
    // Bad arguments end here too, with status 2 and a message of their own.
    let arguments = Arguments::parse();
    // With large batches this thread works beside the others instead of waiting for them.
    let pool = rayon::ThreadPoolBuilder::new().use_current_thread();
    if let Err(error) = pool.build_global() {
        complain!("warning: no threads beside this one ({error})");
    }
    stop::listen();
    let outcome = run(&arguments).and_then(|()| match arguments.json {
        Some(_) => Ok(()),
        None => Ok(screen::check()?),
    });
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    if matches!(error.downcast_ref(), Some(Stop::Unread)) {
        return ExitCode::SUCCESS;
    }
    complain!("error: {error}");
    match error.downcast_ref() {
        Some(Stop::Interrupted) => ExitCode::from(stop::INTERRUPTED),
        _ => ExitCode::from(2),
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    if arguments.version_info {
        version::print();
        return Ok(());
    }
    if arguments.compare {
        return compare(arguments);
    }
    let output = arguments
        .json
        .as_deref()
        .map(report::Output::create)
        .transpose()?;
    train(arguments, output).map(|_| ())
}

/// Every configuration that the tutorial's page shows, and the fastest of this library, in one table.
fn compare(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let configurations = [
        (
            "InterpolatingAdjoint(ZygoteVJP)",
            AdjointName::Interpolating,
            BackendName::Kernels,
        ),
        (
            "GaussAdjoint(ZygoteVJP)",
            AdjointName::Gauss,
            BackendName::Kernels,
        ),
        (
            "InterpolatingAdjoint(ReverseDiffVJP)",
            AdjointName::Interpolating,
            BackendName::Operations,
        ),
        (
            "ReverseDiffAdjoint",
            AdjointName::Discrete,
            BackendName::Operations,
        ),
        ("", AdjointName::Discrete, BackendName::Kernels),
    ];
    let mut rows = Vec::new();
    for (page, adjoint, backend) in configurations {
        let configuration = Arguments {
            adjoint,
            backend,
            ..arguments.clone()
        };
        let report = train(&configuration, None)?;
        rows.push(report.row(page));
        say!("");
    }
    report::print_comparison(&rows);
    Ok(())
}

fn train(arguments: &Arguments, output: Option<report::Output>) -> Result<Report, Box<dyn Error>> {
    match arguments.device {
        DeviceName::Cpu => all_runs(arguments, output, |seed| Ok(Cpu::seed_from_u64(seed))),
        DeviceName::Cuda => on_cuda(arguments, output),
    }
}

#[cfg(feature = "cuda")]
fn on_cuda(
    arguments: &Arguments,
    output: Option<report::Output>,
) -> Result<Report, Box<dyn Error>> {
    let open = |seed| {
        neuralode::cuda::open(0, seed)
            .map_err(|error| format!("{error}; --device cpu needs no GPU").into())
    };
    // Before anything is downloaded.
    drop(open(arguments.seed)?);
    all_runs(arguments, output, open)
}

#[cfg(not(feature = "cuda"))]
fn on_cuda(_: &Arguments, _: Option<report::Output>) -> Result<Report, Box<dyn Error>> {
    Err("this program was built without CUDA: run `cargo run --release --features cuda --example mnist_ode \
         -- --device cuda` on a machine with a CUDA toolkit and an NVIDIA GPU, or use --device cpu"
        .into())
}

/// Trains once per seed, prints a table for each, and writes the JSON file: after every epoch, and after a failure, too,
/// with what was finished until then.
fn all_runs<D: Device<f32>>(
    arguments: &Arguments,
    output: Option<report::Output>,
    device: impl Fn(u64) -> Result<D, Box<dyn Error>>,
) -> Result<Report, Box<dyn Error>> {
    let places = data::Places::from_env(arguments.data_dir.clone());
    let set = data::load(&places, arguments.images)?;
    say!("Data: {}.", set.origin);
    let mut report = Report::new(arguments, &set.origin, output);
    let images = Images::split(set);
    say!(
        "{} training and {} test images, batches of {}, {} epochs, Adam({}), adjoint {}, backend {}, device {}.\n",
        images.training(),
        images.test(),
        arguments.batch,
        arguments.epochs,
        arguments.lr,
        arguments.adjoint,
        arguments.effective_backend(),
        arguments.device,
    );
    let mut one_run = |seed| {
        let device = device(seed)?;
        let mut model = MnistOde::<f32, _>::try_build(&device)
            .map_err(|error| format!("the model could not be built: {error}"))?;
        arguments.apply(&mut model.ode.options);
        if seed == arguments.seed {
            say!("{}\n", model.summary());
        }
        report.begin(seed);
        train::train(&mut model, &device, &images, arguments, seed, &mut report)
    };
    let outcome = stop::training(|| arguments.seeds().try_for_each(&mut one_run));
    report.print_means();
    let written = report.save();
    outcome?;
    written?;
    Ok(report)
}
