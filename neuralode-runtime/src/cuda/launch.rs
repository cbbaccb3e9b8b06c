//! Launching the kernels of a [`Program`]: whole solves, and the way back over the steps that they recorded.
//!
//! The only unsafe code of this crate: a launch is a foreign call whose arguments nothing checks.
//! `scripts/emulated-gpu.sh` runs all of them without a GPU, with a guard page behind every buffer.

use std::{cell::Cell, sync::Arc};

use cudarc::{
    driver::{
        sys::CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, CudaDevice,
        CudaFunction, CudaSlice, DeviceRepr, DeviceSlice, LaunchAsync, LaunchConfig,
        ValidAsZeroBits,
    },
    nvrtc::{compile_ptx, CompileError},
};
use dfdx::shapes::Dtype;

use crate::cuda::layout::{
    int, method, Options, Summary, Verdict, DECAY, MAX_STEPS, RECORD_FULL, REPORT, STEP_NORMS,
    SUMMARY, TOO_SMALL, VERDICT,
};
use neuralode_core::{
    device::{Precision, Program},
    ode::{
        choices::{Control, Controller, StepSizes},
        error::{Quantity, SolveError},
        method::{ButcherTableau, WithTableau},
        options::SolveOptions,
        resolution::resolution,
        stats::Stats,
        stiffness::{is_stiff, stable_up_to},
    },
};

/// The type of a program's numbers.
pub(crate) trait Scalar: Dtype + DeviceRepr + ValidAsZeroBits + Unpin + 'static {
    const PRECISION: Precision;
    /// Distance from one to the next number.
    const EPSILON: f64;
}

impl Scalar for f32 {
    const PRECISION: Precision = Precision::F32;
    const EPSILON: f64 = f32::EPSILON as f64;
}

impl Scalar for f64 {
    const PRECISION: Precision = Precision::F64;
    const EPSILON: f64 = f64::EPSILON;
}

/// Samples per block of threads, so that all blocks of a batch are resident together: one for each multiprocessor at
/// most, while the samples' times and sizes fit into shared memory.
pub(crate) fn tile(device: &Arc<CudaDevice>, batch: usize) -> Result<usize, SolveError> {
    let multiprocessors = device
        .attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
        .map_err(driver)?;
    let blocks = usize::try_from(multiprocessors).unwrap_or(1).max(1);
    Ok(batch.div_ceil(blocks).next_power_of_two().min(256))
}

/// Stages of the programs that solve with this method.
pub(crate) fn stages(options: &SolveOptions) -> usize {
    struct Count;

    impl WithTableau for Count {
        type Output = usize;

        fn run<const S: usize>(self, _: &'static ButcherTableau<S>) -> usize {
            S
        }
    }

    if options.solver.with_tableau(Count) <= 7 {
        7
    } else {
        14
    }
}

fn driver(error: impl core::fmt::Debug) -> SolveError {
    SolveError::device(format!("the CUDA driver failed: {error:?}"))
}

/// A program that a device has loaded.
#[derive(Debug)]
pub(crate) struct Kernels {
    device: Arc<CudaDevice>,
    solve: CudaFunction,
    pull_back: CudaFunction,
    doubt: CudaFunction,
    summarise: CudaFunction,
    add: CudaFunction,
    first_not_finite: CudaFunction,
    tile: usize,
    stages: usize,
    parameters: usize,
    features: usize,
    /// Scalars per block in global memory.
    workspace: usize,
    threads: u32,
    /// Accepted steps that the last solves had room for.
    room: Cell<usize>,
}

/// What a solve leaves for the way back.
#[derive(Debug)]
pub(crate) struct Record<R> {
    options: Options,
    per_sample: bool,
    room: usize,
    batch: usize,
    method: CudaSlice<u64>,
    theta: CudaSlice<R>,
    reports: CudaSlice<u64>,
    times: CudaSlice<f64>,
    states: CudaSlice<R>,
    /// Field evaluations and vector-Jacobian products of the way back.
    cost: Stats,
}

/// Cotangents on the device.
#[derive(Debug)]
pub(crate) struct Pulled<R> {
    /// Of `y0`, in rows of samples.
    pub(crate) y_bar: CudaSlice<R>,
    /// Of the parameters, a part for each tile.
    theta_bars: CudaSlice<R>,
    tiles: usize,
    pub(crate) stats: Stats,
    /// How wrong the gradient may be.
    pub(crate) verdict: Verdict,
}

impl Kernels {
    /// Compiles a program and loads it into the device under a name of its own, unless the device has it.
    ///
    /// # Errors
    /// [`SolveError::Device`] with the compiler's messages or the driver's reason.
    pub(crate) fn load(
        device: &Arc<CudaDevice>,
        name: &str,
        program: &Program,
    ) -> Result<Self, SolveError> {
        let compile = || {
            compile_ptx(program.text()).map_err(|error| {
                SolveError::device(match error {
                    CompileError::CompileError { nvrtc, log, .. } => {
                        format!("NVRTC failed ({nvrtc:?}): {}", log.to_string_lossy())
                    }
                    other => format!("NVRTC failed: {other:?}"),
                })
            })
        };
        let names = [
            Program::SOLVE,
            Program::PULL_BACK,
            Program::DOUBT,
            Program::SUMMARISE,
            Program::ADD,
            Program::FIRST_NOT_FINITE,
        ];
        // Another thread may have loaded it.
        if !device.has_func(name, Program::SOLVE) {
            device.load_ptx(compile()?, name, &names).map_err(driver)?;
        }
        let function = |function: &str| {
            let found = device.get_func(name, function);
            found.ok_or_else(|| SolveError::device(format!("the kernel {function} is not there")))
        };
        let items = program.features() * program.tile();
        let threads = items.next_multiple_of(32).clamp(32, 256);
        Ok(Self {
            device: Arc::clone(device),
            solve: function(Program::SOLVE)?,
            pull_back: function(Program::PULL_BACK)?,
            doubt: function(Program::DOUBT)?,
            summarise: function(Program::SUMMARISE)?,
            add: function(Program::ADD)?,
            first_not_finite: function(Program::FIRST_NOT_FINITE)?,
            tile: program.tile(),
            stages: program.stages(),
            parameters: program.parameters(),
            features: program.features(),
            workspace: if program.in_shared_memory() {
                0
            } else {
                program.workspace()
            },
            threads: u32::try_from(threads).unwrap_or(256),
            room: Cell::new(32),
        })
    }

    fn zeros<X: DeviceRepr + ValidAsZeroBits>(
        &self,
        count: usize,
    ) -> Result<CudaSlice<X>, SolveError> {
        // The driver gives no memory of no bytes.
        self.device.alloc_zeros(count.max(1)).map_err(driver)
    }

    /// Whether tiles of this batch may wait for each other.
    fn all_resident(&self, blocks: usize) -> Result<bool, SolveError> {
        let of_each = self
            .solve
            .occupancy_max_active_blocks_per_multiprocessor(self.threads, 0, None)
            .map_err(driver)?;
        let multiprocessors = self
            .device
            .attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
            .map_err(driver)?;
        let resident = u64::from(of_each) * u64::try_from(multiprocessors).unwrap_or(0);
        Ok(blocks as u64 <= resident)
    }

    fn grid(blocks: usize, threads: u32) -> LaunchConfig {
        LaunchConfig {
            grid_dim: (u32::try_from(blocks).unwrap_or(u32::MAX), 1, 1),
            block_dim: (threads, 1, 1),
            shared_mem_bytes: 0,
        }
    }

    /// Solves from `y0` in one launch, and in another one for each time that its steps had too little room; writes the
    /// solution to `y1`; with `keep` returns what the way back needs. `None` if the batch is too large for one step
    /// size with all its tiles at once, or the record for the device's 32-bit indices.
    ///
    /// # Errors
    /// Those of [`neuralode_core::ode::solve::record`] for options and for a solve that fails, [`SolveError::Device`].
    pub(crate) fn solve<R: Scalar>(
        &self,
        options: &SolveOptions,
        theta: Vec<R>,
        y0: &CudaSlice<R>,
        y1: &mut CudaSlice<R>,
        keep: bool,
    ) -> Result<Option<(Stats, Option<Record<R>>)>, SolveError> {
        let solver = options.solver;
        options.validate_with(R::EPSILON, solver.name(), solver.adaptive())?;
        let batch = y0.len() / self.features;
        let (tiles, shared) = (
            batch.div_ceil(self.tile),
            options.steps == StepSizes::Shared,
        );
        let sizes_agree = theta.len() == self.parameters
            && y1.len() == y0.len()
            && y0.len() == batch * self.features;
        let counts_fit =
            i32::try_from(y0.len()).is_ok() && i32::try_from(options.max_steps).is_ok();
        if !sizes_agree || !counts_fit || (shared && !self.all_resident(tiles)?) {
            return Ok(None);
        }
        let words = method(options, self.stages);
        let method = self.device.htod_copy(words).map_err(driver)?;
        let theta = if theta.is_empty() {
            self.zeros(1)?
        } else {
            self.device.htod_copy(theta).map_err(driver)?
        };
        let mut work = self.zeros::<R>(tiles * self.workspace)?;
        let mut partial = self.zeros::<f64>(tiles)?;
        let mut reports = self.zeros::<u64>(batch * REPORT)?;
        loop {
            let room = if keep {
                self.room.get().min(options.max_steps)
            } else {
                0
            };
            if i32::try_from(self.tile * room * self.features).is_err() {
                return Ok(None);
            }
            let of_kernel = Options::new(options, room);
            let lanes = tiles * self.tile * room;
            let mut times = self.zeros::<f64>(2 * lanes)?;
            let mut states = self.zeros::<R>(lanes * self.features)?;
            let mut arrivals = self.zeros::<u32>(1)?;
            // SAFETY: `neuralode_solve(const Method*, Options, int batch, const Real* theta, const Real* y0, Real* y1,
            // Real* work, double* partial, unsigned* arrivals, Report* reports, double* record_times, Real* record_y)`.
            // It reads `features` numbers per sample of y0, writes as many to y1, and a report of six words per sample;
            // a tile uses its `workspace` numbers of `work`, one of `partial`, and `room` times, sizes and states of
            // its samples, which it never passes (the status RECORD_FULL). All of these were made that long above.
            // Tiles that wait for each other are resident together. Buffers freed below are freed in the order of the
            // stream.
            unsafe {
                self.solve.clone().launch(
                    Self::grid(tiles, self.threads),
                    (
                        &method,
                        of_kernel,
                        int(batch),
                        &theta,
                        y0,
                        &mut *y1,
                        &mut work,
                        &mut partial,
                        &mut arrivals,
                        &mut reports,
                        &mut times,
                        &mut states,
                    ),
                )
            }
            .map_err(driver)?;
            let summary = self.summarise(&reports, batch)?;
            if summary.failed < batch {
                if summary.status == RECORD_FULL && room < options.max_steps {
                    self.room.set(room.saturating_mul(4));
                    continue;
                }
                return Err(self.failure(&summary, options, y0, &reports)?);
            }
            let calls = calls(options);
            let share = if shared { batch } else { 1 };
            let (accepted, rejected) = (summary.accepted / share, summary.rejected / share);
            let starts = if shared { 1 } else { batch };
            let mut stats = Stats::NONE;
            stats.field_calls = starts * calls.start
                + calls.step * (accepted + rejected)
                + calls.accepted * accepted;
            (stats.accepted, stats.rejected) = (accepted, rejected);
            let mut cost = Stats::NONE;
            (cost.field_calls, cost.vjps) = (accepted * calls.again, accepted * calls.back);
            let record = keep.then(|| Record {
                options: of_kernel,
                per_sample: !shared,
                room,
                batch,
                method,
                theta,
                reports,
                times,
                states,
                cost,
            });
            return Ok(Some((stats, record)));
        }
    }

    fn summarise(&self, reports: &CudaSlice<u64>, batch: usize) -> Result<Summary, SolveError> {
        let mut words = self.zeros::<u64>(SUMMARY)?;
        // SAFETY: `neuralode_summarise(const Report*, int batch, Summary*)`, with `batch` reports and one summary of
        // six words; one block.
        unsafe {
            let arguments = (reports, int(batch), &mut words);
            self.summarise.clone().launch(Self::grid(1, 256), arguments)
        }
        .map_err(driver)?;
        let words = self.device.dtoh_sync_copy(&words).map_err(driver)?;
        Summary::from_words(&words).ok_or_else(|| SolveError::device("no summary came back"))
    }

    /// Why a solve failed.
    fn failure<R: Scalar>(
        &self,
        summary: &Summary,
        options: &SolveOptions,
        y0: &CudaSlice<R>,
        reports: &CudaSlice<u64>,
    ) -> Result<SolveError, SolveError> {
        let &Summary {
            failed,
            status,
            t,
            h,
            error,
            ..
        } = summary;
        let sample = (options.steps == StepSizes::PerSample).then_some(failed);
        Ok(match status {
            MAX_STEPS => {
                let (t1, steps) = (options.t1, options.max_steps);
                let decay = self.decay(reports, sample)?;
                let limit = stable_up_to(&options.solver.view());
                if is_stiff(decay, limit, (t, t1), h, steps) {
                    SolveError::Stiff {
                        t,
                        t1,
                        h,
                        decay,
                        limit,
                        steps,
                        sample,
                    }
                } else {
                    SolveError::MaxSteps {
                        t,
                        t1,
                        h,
                        error,
                        steps,
                        sample,
                    }
                }
            }
            TOO_SMALL => SolveError::StepTooSmall {
                t,
                h,
                minimum: resolution(t).max(options.smallest_floor()),
                error,
                sample,
            },
            _ => match self.first_not_finite(y0)? {
                Some(index) => SolveError::NonFinite {
                    quantity: Quantity::InitialState,
                    t: options.t0,
                    h: 0.0,
                    sample: Some(index / self.features),
                },
                // The size of the first step comes from the field at the start.
                None if h.is_nan() => SolveError::NonFinite {
                    quantity: Quantity::VectorField,
                    t,
                    h: 0.0,
                    sample,
                },
                None => SolveError::NonFinite {
                    quantity: Quantity::Step,
                    t,
                    h,
                    sample,
                },
            },
        })
    }

    /// The fastest decay that one sample's last step saw, or those of all samples together.
    fn decay(&self, reports: &CudaSlice<u64>, sample: Option<usize>) -> Result<f64, SolveError> {
        let words = self.device.dtoh_sync_copy(reports).map_err(driver)?;
        let decays = words.chunks_exact(REPORT).enumerate();
        let wanted = decays.filter(|(index, _)| sample.is_none_or(|sample| sample == *index));
        let decays = wanted.map(|(_, words)| f64::from_bits(words[DECAY]));
        Ok(decays.fold(0.0, f64::max))
    }

    /// The index of the first number that is infinite or NaN.
    fn first_not_finite<R: Scalar>(
        &self,
        numbers: &CudaSlice<R>,
    ) -> Result<Option<usize>, SolveError> {
        let count = numbers.len();
        let mut first = self.device.htod_copy(vec![int(count)]).map_err(driver)?;
        // SAFETY: `neuralode_first_not_finite(const Real* numbers, int count, int* first)`, with `count` numbers.
        unsafe {
            let arguments = (numbers, int(count), &mut first);
            let config = Self::grid(count.div_ceil(256).max(1), 256);
            self.first_not_finite.clone().launch(config, arguments)
        }
        .map_err(driver)?;
        let first = self.device.dtoh_sync_copy(&first).map_err(driver)?;
        let first = first.first().and_then(|&first| usize::try_from(first).ok());
        Ok(first.filter(|&first| first < count))
    }

    /// Pulls `y1_bar`, the cotangent of the solution, back through the recorded steps, in one launch, and judges the
    /// gradient by the norms of the walk, in another; an estimate above `suspicious` asks for a second look.
    ///
    /// # Errors
    /// [`SolveError::NonFinite`] for a cotangent or a gradient that is not finite, [`SolveError::Device`].
    pub(crate) fn pull_back<R: Scalar>(
        &self,
        record: &Record<R>,
        y1_bar: &CudaSlice<R>,
        suspicious: f64,
    ) -> Result<Pulled<R>, SolveError> {
        let batch = record.batch;
        let tiles = batch.div_ceil(self.tile);
        if y1_bar.len() != batch * self.features {
            return Err(SolveError::ShapeMismatch {
                expected: vec![batch, self.features],
                found: vec![y1_bar.len()],
            });
        }
        if let Some(index) = self.first_not_finite(y1_bar)? {
            return Err(SolveError::NonFinite {
                quantity: Quantity::Cotangent,
                t: record.options.t1,
                h: 0.0,
                sample: Some(index / self.features),
            });
        }
        let mut y_bar = self.zeros::<R>(batch * self.features)?;
        let mut theta_bars = self.zeros::<R>(tiles * self.parameters)?;
        let mut work = self.zeros::<R>(tiles * self.workspace)?;
        let (rows, columns) = (
            record.room + 1,
            if record.per_sample { batch } else { tiles },
        );
        let mut norms = self.zeros::<f64>(rows * columns * STEP_NORMS)?;
        // SAFETY: `neuralode_pull_back(const Method*, Options, int batch, const Real* theta, const Real* y1_bar, Real*
        // y0_bar, Real* theta_bar, Real* work, const Report*, const double* record_times, const Real* record_y,
        // StepNorms* norms)`, with options and record of one solve of this program, so of equal lengths; `features`
        // numbers per sample of y1_bar and y0_bar, `parameters` per tile of theta_bar, `workspace` per tile of `work`;
        // a row of `norms`, of four doubles per sample if each has step sizes of its own and else per tile, for each
        // recorded step and one more. Tiles do not wait.
        unsafe {
            self.pull_back.clone().launch(
                Self::grid(tiles, self.threads),
                (
                    &record.method,
                    record.options,
                    int(batch),
                    &record.theta,
                    y1_bar,
                    &mut y_bar,
                    &mut theta_bars,
                    &mut work,
                    &record.reports,
                    &record.times,
                    &record.states,
                    &mut norms,
                ),
            )
        }
        .map_err(driver)?;
        for (numbers, per_sample) in [(&y_bar, Some(self.features)), (&theta_bars, None)] {
            if let Some(index) = self.first_not_finite(numbers)? {
                return Err(SolveError::NonFinite {
                    quantity: Quantity::SolveGradient,
                    t: record.options.t0,
                    h: 0.0,
                    sample: per_sample.map(|features| index / features),
                });
            }
        }
        Ok(Pulled {
            y_bar,
            theta_bars,
            tiles,
            stats: record.cost,
            verdict: self.judge(record, &mut norms, (rows, columns), suspicious)?,
        })
    }

    /// What the norms of a walk back say of its gradient.
    fn judge<R: Scalar>(
        &self,
        record: &Record<R>,
        norms: &mut CudaSlice<f64>,
        (rows, columns): (usize, usize),
        suspicious: f64,
    ) -> Result<Verdict, SolveError> {
        let mut words = self.zeros::<u64>(VERDICT)?;
        // SAFETY: `neuralode_doubt(const Method*, Options, int batch, StepNorms*, int rows, int columns, double,
        // Verdict*)` with the rows and columns that the walk back wrote, four doubles each, and a verdict of two words;
        // one block of 256 threads.
        unsafe {
            let arguments = (
                &record.method,
                record.options,
                int(record.batch),
                norms,
                int(rows),
                int(columns),
                suspicious,
                &mut words,
            );
            self.doubt.clone().launch(Self::grid(1, 256), arguments)
        }
        .map_err(driver)?;
        let words = self.device.dtoh_sync_copy(&words).map_err(driver)?;
        Verdict::from_words(&words).ok_or_else(|| SolveError::device("no verdict came back"))
    }

    /// Adds the cotangent of `y0` to `gradient`, which is as long.
    pub(crate) fn add_y_bar<R: Scalar>(
        &self,
        pulled: &Pulled<R>,
        gradient: &mut CudaSlice<R>,
    ) -> Result<(), SolveError> {
        let count = pulled.y_bar.len();
        self.add(&pulled.y_bar, (1, count), (0, count), gradient)
    }

    /// Adds the cotangents of the parameters from `from` to `gradient`, as many as it has.
    pub(crate) fn add_theta_bar<R: Scalar>(
        &self,
        pulled: &Pulled<R>,
        from: usize,
        gradient: &mut CudaSlice<R>,
    ) -> Result<(), SolveError> {
        let (parts, count) = ((pulled.tiles, self.parameters), gradient.len());
        self.add(&pulled.theta_bars, parts, (from, count), gradient)
    }

    fn add<R: Scalar>(
        &self,
        part: &CudaSlice<R>,
        (parts, stride): (usize, usize),
        (from, count): (usize, usize),
        to: &mut CudaSlice<R>,
    ) -> Result<(), SolveError> {
        if from + count > stride || parts * stride > part.len() || to.len() != count {
            return Err(SolveError::ShapeMismatch {
                expected: vec![count],
                found: vec![to.len()],
            });
        }
        if count == 0 {
            return Ok(());
        }
        // SAFETY: `neuralode_add(const Real* part, int parts, int stride, int from, int count, Real* to)`; it reads
        // `count` numbers from `from` on in each of `parts` rows of `stride`, which were compared with the lengths
        // above.
        unsafe {
            self.add.clone().launch(
                Self::grid(count.div_ceil(256), 256),
                (part, int(parts), int(stride), int(from), int(count), to),
            )
        }
        .map_err(driver)
    }
}

/// Field evaluations at the start, per attempted and per accepted step; those and products of the way back per accepted
/// one.
struct Calls {
    start: usize,
    step: usize,
    accepted: usize,
    again: usize,
    back: usize,
}

fn calls(options: &SolveOptions) -> Calls {
    struct Count;

    impl WithTableau for Count {
        type Output = (usize, usize);

        /// Stages without the one at the new state, and those of them on which that state depends.
        fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) -> (usize, usize) {
            let mut used = [false; S];
            for i in (0..S - 1).rev().filter(|&i| tableau.has_stage(i)) {
                let later = (i + 1..S - 1).any(|j| used[j] && tableau.a[j][i] != 0.0);
                used[i] = later || tableau.b[i] != 0.0;
            }
            let stages = (0..S - 1).filter(|&i| tableau.has_stage(i)).count();
            (stages, used.iter().filter(|&&used| used).count())
        }
    }

    let (stages, back) = options.solver.with_tableau(Count);
    let chosen =
        options.dt0.is_none() && !matches!(options.controller, Controller::Constant { .. });
    let guided = options.is_adaptive() && matches!(options.control, Control::Gradients { .. });
    let states = 1 + usize::from(guided);
    Calls {
        start: states * (1 + usize::from(chosen)),
        step: states * stages,
        accepted: usize::from(guided),
        again: stages.saturating_sub(1),
        back,
    }
}
