//! From the layers of a field to the text of a CUDA program.

use core::fmt::Write as _;

/// What is the same in every program: layers, solve and adjoint over tiles.
const DEVICE: &str = include_str!("device.cuh");
/// What the host launches besides.
const KERNELS: &str = include_str!("kernels.cuh");

/// Shared memory that every GPU gives a block without being asked, in bytes.
const SHARED_MEMORY: usize = 48 * 1024;

/// The type of a program's states and parameters; time, step sizes and error norms are always `double`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// `float`
    F32,
    /// `double`
    F64,
}

impl Precision {
    const fn name(self) -> &'static str {
        match self {
            Self::F32 => "float",
            Self::F64 => "double",
        }
    }

    const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

/// The layers of a vector field, one after the other, as generated code names them.
#[derive(Clone, Debug)]
pub struct FieldSource {
    name: String,
    features: usize,
    steps: Vec<Step>,
}

/// One layer, or the end of a residual layer.
#[derive(Clone, Debug)]
struct Step {
    /// The type of the device code's layer; `None` for what a tile does not see.
    layer: Option<String>,
    /// The layer at which what is added entered, for the end of a residual layer.
    from: Option<usize>,
    produced: usize,
    params: usize,
    kept: usize,
}

impl FieldSource {
    /// A field of this name without layers, over states of so many features.
    pub fn new(name: &str, features: usize) -> Self {
        Self {
            name: name.to_owned(),
            features,
            steps: Vec::new(),
        }
    }

    fn with(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Adds a layer without parameters that works feature by feature: an activation of the device code.
    #[must_use]
    pub fn pointwise(self, function: &str, features: usize) -> Self {
        self.with(Step {
            layer: Some(format!("Pointwise<{features}, {function}>")),
            from: None,
            produced: features,
            params: 0,
            kept: 0,
        })
    }

    /// Adds a dense layer; `keeps` says whether its activation's derivative needs the argument.
    #[must_use]
    pub fn dense(self, inputs: usize, outputs: usize, activation: &str, keeps: bool) -> Self {
        self.with(Step {
            layer: Some(format!("Dense<{inputs}, {outputs}, {activation}>")),
            from: None,
            produced: outputs,
            params: (inputs + 1) * outputs,
            kept: if keeps { outputs } else { 0 },
        })
    }

    /// Adds a convolution; `from` and `to` are channels, height and width, `window` is kernel, stride and padding.
    #[must_use]
    pub fn conv2d(
        self,
        from: [usize; 3],
        to: [usize; 3],
        window: [usize; 3],
        activation: &str,
        keeps: bool,
    ) -> Self {
        let ([channels, height, width], [output, lines, columns]) = (from, to);
        let [kernel, stride, padding] = window;
        let produced = output * lines * columns;
        self.with(Step {
            layer: Some(format!(
                "Conv2d<{channels}, {height}, {width}, {output}, {lines}, {columns}, {kernel}, {stride}, {padding}, {activation}>"
            )),
            from: None,
            produced,
            params: (channels * kernel * kernel + 1) * output,
            kept: if keeps { produced } else { 0 },
        })
    }

    /// Adds the largest number of each window of `kernel` by `kernel`, `stride` apart.
    #[must_use]
    pub fn max_pool(self, from: [usize; 3], to: [usize; 2], kernel: usize, stride: usize) -> Self {
        let ([channels, height, width], [lines, columns]) = (from, to);
        self.with(Step {
            layer: Some(format!(
                "MaxPool<{channels}, {height}, {width}, {lines}, {columns}, {kernel}, {stride}>"
            )),
            from: None,
            produced: channels * lines * columns,
            params: 0,
            kept: 0,
        })
    }

    /// Adds the mean of each window, `stride` apart.
    #[must_use]
    pub fn avg_pool(
        self,
        from: [usize; 3],
        to: [usize; 2],
        window: [usize; 2],
        stride: usize,
    ) -> Self {
        let ([channels, height, width], [lines, columns], [down, right]) = (from, to, window);
        self.with(Step {
            layer: Some(format!(
                "AvgPool<{channels}, {height}, {width}, {lines}, {columns}, {down}, {right}, {stride}>"
            )),
            from: None,
            produced: channels * lines * columns,
            params: 0,
            kept: 0,
        })
    }

    /// Adds a weight and a bias for each of `channels` channels.
    #[must_use]
    pub fn scale(self, features: usize, channels: usize) -> Self {
        self.with(Step {
            layer: Some(format!("Scale<{features}, {channels}>")),
            from: None,
            produced: features,
            params: 2 * channels,
            kept: 0,
        })
    }

    /// Adds a normalisation of each sample; the bits of epsilon go into the program, so that it is the same number.
    #[must_use]
    pub fn layer_norm(self, features: usize, epsilon: f64) -> Self {
        let bits = epsilon.to_bits();
        let (exponent, digits) = ((bits >> 52) & 0x7ff, bits & ((1 << 52) - 1));
        // Subnormal numbers have no leading one.
        let mantissa = if exponent == 0 {
            digits
        } else {
            digits | 1 << 52
        };
        let exponent = i64::try_from(exponent.max(1)).unwrap_or(0) - 1075;
        self.with(Step {
            layer: Some(format!("LayerNorm<{features}, {mantissa}LL, {exponent}>")),
            from: None,
            produced: features,
            params: 2 * features,
            kept: 2,
        })
    }

    /// Adds a layer that keeps the first features; further ones are the time, or zero.
    #[must_use]
    pub fn resize(self, inputs: usize, outputs: usize, time: bool) -> Self {
        self.with(Step {
            layer: Some(format!("Resize<{inputs}, {outputs}, {time}>")),
            from: None,
            produced: outputs,
            params: 0,
            kept: 0,
        })
    }

    /// Ends a residual layer: adds what entered the layer of index `from`.
    #[must_use]
    pub fn join(self, from: usize) -> Self {
        let produced = self.width(from);
        self.with(Step {
            layer: None,
            from: Some(from),
            produced,
            params: 0,
            kept: 0,
        })
    }

    /// Number of layers so far, ends of residual layers with them.
    pub fn layers(&self) -> usize {
        self.steps.len()
    }

    /// Features that enter the layer of index `index`.
    fn width(&self, index: usize) -> usize {
        let before = index
            .checked_sub(1)
            .and_then(|before| self.steps.get(before));
        before.map_or(self.features, |step| step.produced)
    }

    /// Number of features of the state.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Number of parameters, in the order of the field's tensors.
    pub fn parameters(&self) -> usize {
        self.steps.iter().map(|step| step.params).sum()
    }

    /// The field as a struct of device code.
    fn definition(&self) -> String {
        let count = self.steps.len();
        let (mut rows, mut at) = (0, 0);
        let (mut places, mut forward, mut backward) = (String::new(), String::new(), Vec::new());
        let mut place = |name: &str, width: usize| {
            let _ = writeln!(places, "        R* {name} = work + {rows} * T;");
            rows += width;
        };
        for (index, step) in self.steps.iter().enumerate() {
            let next = index + 1;
            place(&format!("x_{next}"), step.produced);
            if step.kept > 0 {
                place(&format!("kept_{index}"), step.kept);
            }
            let kept = if step.kept > 0 {
                format!("kept_{index}")
            } else {
                "(R*)nullptr".to_owned()
            };
            let scalars = format!("{} * T", step.produced);
            let mut back = String::new();
            match (&step.layer, step.from) {
                (Some(layer), _) => {
                    let _ = writeln!(
                        forward,
                        "        {layer}::template forward<T>(block, theta + {at}, t, x_{index}, {kept}, x_{next});"
                    );
                    let _ = writeln!(
                        back,
                        "        {layer}::template backward<T>(block, theta + {at}, x_{index}, {kept}, x_{next}, c_{next}, \
                         c_{index}, theta_bar + {at});"
                    );
                }
                (None, from) => {
                    let _ = writeln!(
                        forward,
                        "        copy(block, {scalars}, x_{index}, x_{next});"
                    );
                    if let Some(from) = from {
                        let _ = writeln!(
                            forward,
                            "        add(block, {scalars}, x_{from}, x_{next});"
                        );
                    }
                    let _ = writeln!(back, "        copy(block, {scalars}, c_{next}, c_{index});");
                }
            }
            backward.push(back);
            at += step.params;
        }
        // What entered a residual layer has a cotangent of two parts, once that of its first layer is there.
        for (index, step) in self.steps.iter().enumerate() {
            if let Some(back) = step.from.and_then(|from| backward.get_mut(from)) {
                let (from, next) = (step.from.unwrap_or(0), index + 1);
                let _ = writeln!(
                    back,
                    "        add(block, {} * T, c_{next}, c_{from});",
                    step.produced
                );
            }
        }
        for index in 0..=count {
            place(&format!("c_{index}"), self.width(index));
        }
        backward.reverse();
        let (backward, name, features) = (backward.concat(), &self.name, self.features);
        let produced = self.width(count);
        let parameters = self.parameters();
        format!(
            "struct {name} {{
    static constexpr int N = {features}, PARAMS = {parameters}, WORK = {rows};

    // dy = f(t, x_0)
    template <int T, class R>
    NEURALODE_DEVICE static void eval(
        const Block& block, const R* theta, const double* t, const R* x_0, R* dy, R* work) {{
{places}{forward}        copy(block, {produced} * T, x_{count}, dy);
    }}

    // y_bar = (df/dy)^T c; adds (df/dtheta)^T c to theta_bar.
    template <int T, class R>
    NEURALODE_DEVICE static void vjp(
        const Block& block, const R* theta, const double* t, const R* x_0, const R* c, R* y_bar, R* theta_bar, R* work) {{
{places}{forward}        copy(block, {produced} * T, c, c_{count});
{backward}        copy(block, {features} * T, c_0, y_bar);
    }}
}};
"
        )
    }

    /// A program for tiles of `tile` samples, at least one, and methods of up to `stages` stages, 7 or 14.
    pub fn program(&self, precision: Precision, tile: usize, stages: usize) -> Program {
        let tile = tile.max(1);
        let stages = if stages <= 7 { 7 } else { 14 };
        let definition = self.definition();
        let rows: usize = self
            .steps
            .iter()
            .map(|step| step.produced + step.kept)
            .sum();
        let back: usize = (0..=self.steps.len()).map(|index| self.width(index)).sum();
        let numbers = (self.features * (6 + 2 * stages) + rows + back) * tile;
        let shared = (numbers + self.parameters()) * precision.bytes();
        Program {
            field: self.name.clone(),
            device: format!(
                "constexpr int NEURALODE_STAGES = {stages};\n\n{DEVICE}\nnamespace neuralode {{\n\n{definition}\n}}  // namespace neuralode\n"
            ),
            precision,
            tile,
            features: self.features,
            stages,
            workspace: numbers,
            parameters: self.parameters(),
            in_shared_memory: shared + 128 * tile + 1024 <= SHARED_MEMORY,
        }
    }
}

/// A field's device code for one precision, tile and length of methods.
#[derive(Clone, Debug)]
pub struct Program {
    field: String,
    device: String,
    precision: Precision,
    tile: usize,
    features: usize,
    stages: usize,
    workspace: usize,
    parameters: usize,
    in_shared_memory: bool,
}

impl Program {
    /// The name of the kernel that solves.
    pub const SOLVE: &'static str = "neuralode_solve";
    /// The name of the kernel that pulls cotangents back through the recorded steps.
    pub const PULL_BACK: &'static str = "neuralode_pull_back";
    /// The name of the kernel that says how wrong a gradient may be.
    pub const DOUBT: &'static str = "neuralode_doubt";
    /// The name of the kernel that sums the reports of all samples up.
    pub const SUMMARISE: &'static str = "neuralode_summarise";
    /// The name of the kernel that adds the tiles' parts of a cotangent to a gradient.
    pub const ADD: &'static str = "neuralode_add";
    /// The name of the kernel that looks for numbers that are none.
    pub const FIRST_NOT_FINITE: &'static str = "neuralode_first_not_finite";

    /// Samples per block of threads.
    pub fn tile(&self) -> usize {
        self.tile
    }

    /// Features of the state.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Number of parameters, in the order of the field's tensors.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Stages of the methods that it has room for.
    pub fn stages(&self) -> usize {
        self.stages
    }

    /// Scalars of the workspace of one block.
    pub fn workspace(&self) -> usize {
        self.workspace
    }

    /// Whether parameters and workspace fit into the shared memory of a block; else the host gives a workspace.
    pub fn in_shared_memory(&self) -> bool {
        self.in_shared_memory
    }

    /// Layers, solve, adjoint and the field, without kernels: CUDA, and plain C++ where `NEURALODE_HOST` is defined
    /// along with `neuralode::Block` and `neuralode::Grid`.
    pub fn device_code(&self) -> &str {
        &self.device
    }

    /// The whole program, for NVRTC or nvcc: [`Self::device_code`] and the kernels, of which [`Self::SOLVE`] and
    /// [`Self::PULL_BACK`] are launched with one block per tile, all of them resident.
    pub fn text(&self) -> String {
        let (real, tile, field) = (self.precision.name(), self.tile, &self.field);
        let (memory, theta, work) = if self.in_shared_memory {
            let (parameters, workspace) = (self.parameters.max(1), self.workspace);
            (
                format!(
                    "    __shared__ Real weights[{parameters}], space[{workspace}];
    for (int e = block.thread; e < {}; e += block.threads) weights[e] = theta[e];
    block.sync();
",
                    self.parameters
                ),
                "weights".to_owned(),
                "space".to_owned(),
            )
        } else {
            (
                String::new(),
                "theta".to_owned(),
                format!("work + (long long)grid.index * {}", self.workspace),
            )
        };
        let device = &self.device;
        let solve = Self::SOLVE;
        let pull_back = Self::PULL_BACK;
        format!(
            "{device}
using namespace neuralode;
typedef {real} Real;

extern \"C\" __global__ void {solve}(
    const Method* method, const Options options, int batch, const Real* theta, const Real* y0, Real* y1, Real* work,
    double* partial, unsigned* arrivals, Report* reports, double* record_times, Real* record_y) {{
    const Block block = {{(int)threadIdx.x, (int)blockDim.x}};
    const Grid grid = {{(int)blockIdx.x, (int)gridDim.x, arrivals}};
    __shared__ Lanes<{tile}> lanes;
{memory}    const long long steps = (long long)grid.index * options.record * {tile};
    // First all times, then all sizes.
    const long long sizes = (long long)grid.count * options.record * {tile} + steps;
    solve<{field}, {tile}>(
        block, grid, lanes, *method, options, batch, {theta}, y0, y1, {work}, partial, reports,
        record_times + steps, record_times + sizes, record_y + steps * {field}::N);
}}

extern \"C\" __global__ void {pull_back}(
    const Method* method, const Options options, int batch, const Real* theta, const Real* y1_bar, Real* y0_bar,
    Real* theta_bar, Real* work, const Report* reports, const double* record_times, const Real* record_y,
    StepNorms* norms) {{
    const Block block = {{(int)threadIdx.x, (int)blockDim.x}};
    const Grid grid = {{(int)blockIdx.x, (int)gridDim.x, nullptr}};
    __shared__ Lanes<{tile}> lanes;
{memory}    const long long steps = (long long)grid.index * options.record * {tile};
    // First all times, then all sizes.
    const long long sizes = (long long)grid.count * options.record * {tile} + steps;
    pull_back<{field}, {tile}>(
        block, grid, lanes, *method, options, batch, {theta}, y1_bar, y0_bar,
        theta_bar + (long long)grid.index * {field}::PARAMS, {work}, reports,
        record_times + steps, record_times + sizes, record_y + steps * {field}::N, norms);
}}
{KERNELS}"
        )
    }
}
