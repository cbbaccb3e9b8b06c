#include <algorithm>
#include <cmath>

static void check(cudaError_t error, const char* what) {
    if (error == cudaSuccess) return;
    std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
    std::exit(3);
}
template <class X> struct Device {
    X* at = nullptr;
    size_t count;
    explicit Device(size_t count) : count(count) {
        check(cudaMalloc(&at, std::max<size_t>(count, 1) * sizeof(X)), "cudaMalloc");
        check(cudaMemset(at, 0, std::max<size_t>(count, 1) * sizeof(X)), "cudaMemset");
    }
    explicit Device(const std::vector<X>& numbers) : Device(numbers.size()) {
        check(cudaMemcpy(at, numbers.data(), count * sizeof(X), cudaMemcpyHostToDevice), "to the device");
    }
    std::vector<X> read() const {
        std::vector<X> numbers(count);
        check(cudaMemcpy(numbers.data(), at, count * sizeof(X), cudaMemcpyDeviceToHost), "from the device");
        return numbers;
    }
};
static double difference(const std::vector<double>& found, const std::vector<double>& expected) {
    double scale = 0.0, worst = 0.0;
    for (double x : expected) scale = std::max(scale, std::fabs(x));
    for (size_t i = 0; i < found.size(); ++i) {
        const double e = std::fabs(found[i] - expected[i]);
        if (!(e <= worst)) worst = e;
    }
    return scale > 0.0 ? worst / scale : worst;
}

int main(int argc, char** argv) {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) { std::fprintf(stderr, "no GPU\n"); return 77; }
    const Problem problem = read_problem();
    const Options& options = problem.options;
    const int batch = problem.batch, threads = problem.threads, N = Field::N, P = Field::PARAMS;
    const int blocks = (batch + TILE - 1) / TILE;
    const size_t lanes = (size_t)blocks * options.record * TILE;
    const Device<Method> method(std::vector<Method>{problem.method});
    const Device<Real> theta(read<Real>(P)), y0(read<Real>((size_t)batch * N)), c(read<Real>((size_t)batch * N));
    Device<Real> y1((size_t)batch * N), y0_bar((size_t)batch * N), theta_bars((size_t)blocks * P), work((size_t)blocks * WORKSPACE);
    Device<Real> record_y(lanes * N);
    Device<double> partial(blocks), record_times(2 * lanes);
    Device<unsigned> arrivals(1);
    Device<Report> reports(batch);
    const int rows = options.record + 1, columns = options.share == PER_SAMPLE ? batch : blocks;
    Device<StepNorms> norms((size_t)rows * columns);
    Device<Verdict> verdict(1);
    cudaEvent_t marks[3];
    for (auto& mark : marks) check(cudaEventCreate(&mark), "cudaEventCreate");
    const int repetitions = argc > 1 ? std::atoi(argv[1]) : 0;
    std::vector<float> forward, backward;
    for (int turn = 0; turn <= repetitions; ++turn) {
        check(cudaMemset(arrivals.at, 0, sizeof(unsigned)), "cudaMemset");
        cudaEventRecord(marks[0]);
        neuralode_solve<<<blocks, threads>>>(method.at, options, batch, theta.at, y0.at, y1.at, work.at, partial.at, arrivals.at,
            reports.at, record_times.at, record_y.at);
        cudaEventRecord(marks[1]);
        check(cudaMemset(theta_bars.at, 0, theta_bars.count * sizeof(Real)), "cudaMemset");
        neuralode_pull_back<<<blocks, threads>>>(method.at, options, batch, theta.at, c.at, y0_bar.at, theta_bars.at, work.at,
            reports.at, record_times.at, record_y.at, norms.at);
        neuralode_doubt<<<1, 256>>>(method.at, options, batch, norms.at, rows, columns, 0.05, verdict.at);
        cudaEventRecord(marks[2]);
        check(cudaGetLastError(), "launch");
        check(cudaDeviceSynchronize(), "kernels");
        float ms[2];
        for (int i = 0; i < 2; ++i) check(cudaEventElapsedTime(&ms[i], marks[i], marks[i + 1]), "cudaEventElapsedTime");
        if (turn > 0) { forward.push_back(ms[0]); backward.push_back(ms[1]); }
    }

    const double tolerance = read<double>(1)[0];
    const auto steps = read<double>(2);
    double accepted = 0.0, rejected = 0.0, failed = 0.0;
    for (const Report& report : reports.read()) { failed += report.status != DONE; accepted += report.accepted; rejected += report.rejected; }
    std::vector<double> theta_bar(P);
    const auto parts = theta_bars.read();
    for (size_t i = 0; i < parts.size(); ++i) theta_bar[i % P] += parts[i];
    const auto wide = [](const std::vector<Real>& x) { return std::vector<double>(x.begin(), x.end()); };
    const double errors[3] = {
        difference(wide(y1.read()), read<double>((size_t)batch * N)),
        difference(wide(y0_bar.read()), read<double>((size_t)batch * N)),
        difference(theta_bar, read<double>(P)),
    };
    bool passed = failed == 0.0 && accepted == steps[0] && rejected == steps[1];
    for (double error : errors) passed = passed && error <= tolerance;
    const auto median = [](std::vector<float> x) { std::sort(x.begin(), x.end()); return x.empty() ? 0.0 : 1e3 * x[x.size() / 2]; };
    std::printf("{\"passed\": %s, \"failed_samples\": %g, \"accepted\": [%g, %g], \"rejected\": [%g, %g], \"y1\": %.2e, \"y0_bar\": %.2e, "
        "\"theta_bar\": %.2e, \"tolerance\": %g, \"solve_us\": %.2f, \"pull_back_us\": %.2f}\n", passed ? "true" : "false", failed, accepted,
        steps[0], rejected, steps[1], errors[0], errors[1], errors[2], tolerance, median(forward), median(backward));
    return passed ? 0 : 1;
}
