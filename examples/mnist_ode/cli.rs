//! The command line.

use std::{fmt, ops::RangeInclusive, path::PathBuf};

use clap::{Parser, ValueEnum};
use neuralode::{Adjoint, Backend, Controller, SolveOptions, Solver};

/// Trains a Neural ODE on MNIST, as the Lux.jl tutorial does.
#[derive(Parser, Clone, Debug)]
#[command(version, about)]
pub(crate) struct Arguments {
    /// Folder with the MNIST files, `.gz` or unpacked [default: `$MNIST_DIR`, `data/mnist`, the cache folder, a
    /// download; digits drawn by this program if none of these works]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Use the first N images; nine tenths of them for training
    #[arg(long, value_name = "N", default_value_t = 1500, value_parser = at_least::<2>)]
    pub(crate) images: usize,

    /// Images per training step; the last batch of an epoch may be smaller
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = at_least::<1>)]
    pub(crate) batch: usize,

    /// Passes over the training images
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = at_least::<1>)]
    pub(crate) epochs: usize,

    /// Learning rate of Adam
    #[arg(long, value_name = "RATE", default_value_t = 1e-3, value_parser = learning_rate)]
    pub(crate) lr: f64,

    /// How the gradient of the solve is computed
    #[arg(long, value_enum, default_value_t = AdjointName::Interpolating)]
    pub(crate) adjoint: AdjointName,

    /// How the field and its vector-Jacobian products are computed
    #[arg(long, value_enum, default_value_t = BackendName::Kernels)]
    pub(crate) backend: BackendName,

    /// Method of the solve: euler, midpoint, heun, ralston, bosh3, rk4, dopri5, tsit5, vern7 or dopri8
    #[arg(long, value_name = "NAME", default_value = "tsit5", value_parser = solver)]
    pub(crate) solver: Solver,

    /// Relative tolerance of the solve
    #[arg(long, value_name = "NUMBER", default_value_t = 1e-3)]
    pub(crate) rtol: f64,

    /// Absolute tolerance of the solve
    #[arg(long, value_name = "NUMBER", default_value_t = 1e-3)]
    pub(crate) atol: f64,

    /// Equal steps of this size instead of tolerances (euler and rk4 have no others)
    #[arg(long, value_name = "SIZE")]
    pub(crate) dt: Option<f64>,

    /// Train once for each configuration of the tutorial's page and print one table
    #[arg(long, conflicts_with_all = ["adjoint", "backend", "seeds", "json"])]
    pub(crate) compare: bool,

    /// Seed of the initial weights and of the order of images
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,

    /// Train N times, with the seeds SEED, SEED + 1, ..., and print mean and standard deviation
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least::<1>)]
    pub(crate) seeds: usize,

    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    pub(crate) device: DeviceName,

    /// Write all results to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Print what this program was built with and runs on
    #[arg(long)]
    pub(crate) version_info: bool,
}

impl Arguments {
    /// Changes a block's declared options to these.
    pub(crate) fn apply(&self, options: &mut SolveOptions) {
        options.solver = self.solver;
        options.rtol = self.rtol;
        options.atol = self.atol;
        if let Some(dt) = self.dt {
            options.controller = Controller::Constant { dt };
        }
        options.adjoint = self.adjoint.into();
        options.backend = self.backend.into();
    }

    /// The seed of every run.
    pub(crate) fn seeds(&self) -> RangeInclusive<u64> {
        self.seed..=self.seed.saturating_add(self.seeds as u64 - 1)
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum AdjointName {
    /// The continuous adjoint, solved backwards over the dense output
    Interpolating,
    /// The same for the state; the parameters by quadrature of every backward step
    Gauss,
    /// The same for the state; the parameters by adaptive quadrature
    Quadrature,
    /// The exact derivative of the accepted steps
    Discrete,
    /// The solution itself solved backwards, beside the continuous adjoint
    Backsolve,
}

impl From<AdjointName> for Adjoint {
    fn from(name: AdjointName) -> Self {
        match name {
            AdjointName::Interpolating => Self::Interpolating,
            AdjointName::Gauss => Self::Gauss,
            AdjointName::Quadrature => Self::Quadrature,
            AdjointName::Discrete => Self::Discrete,
            AdjointName::Backsolve => Self::Backsolve,
        }
    }
}

impl fmt::Display for AdjointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interpolating => "interpolating",
            Self::Gauss => "gauss",
            Self::Quadrature => "quadrature",
            Self::Discrete => "discrete",
            Self::Backsolve => "backsolve",
        })
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum BackendName {
    /// By the kernels that the macro generated (on the CPU)
    Kernels,
    /// By dfdx's operations and tape
    Operations,
}

impl From<BackendName> for Backend {
    fn from(name: BackendName) -> Self {
        match name {
            BackendName::Kernels => Self::Kernels,
            BackendName::Operations => Self::Operations,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DeviceName {
    /// The processor
    Cpu,
    /// The first NVIDIA GPU (needs the feature `cuda`)
    Cuda,
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        })
    }
}

impl Arguments {
    /// What computes the products in fact: only the processor has generated kernels.
    pub(crate) fn effective_backend(&self) -> &'static str {
        match (self.backend, self.device) {
            (BackendName::Kernels, DeviceName::Cpu) => "kernels",
            _ => "operations",
        }
    }
}

fn at_least<const MINIMUM: usize>(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number >= MINIMUM => Ok(number),
        _ => Err(format!("expected a whole number of at least {MINIMUM}")),
    }
}

fn solver(text: &str) -> Result<Solver, String> {
    let name = |solver: Solver| format!("{solver:?}").to_lowercase();
    let found = Solver::ALL.into_iter().find(|solver| name(*solver) == text);
    found.ok_or_else(|| format!("expected one of {}", Solver::ALL.map(name).join(", ")))
}

fn learning_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("expected a positive number such as 0.001".to_owned()),
    }
}
