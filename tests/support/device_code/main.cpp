using namespace neuralode;

template <class X> void print(const std::vector<X>& numbers) {
    for (X x : numbers) std::printf("%a ", (double)x);
    std::printf("\n");
}

int main() {
    const Problem problem = read_problem();
    const Method& method = problem.method;
    const Options& options = problem.options;
    const int batch = problem.batch, threads = problem.threads, N = Field::N;
    const auto theta = read<Real>(Field::PARAMS);
    const auto y0 = read<Real>(batch * N), y1_bar = read<Real>(batch * N);

    const int blocks = (batch + TILE - 1) / TILE, steps = options.record;
    std::vector<Real> y1(batch * N), y0_bar(batch * N), record_y((size_t)blocks * steps * N * TILE);
    std::vector<double> record_t((size_t)blocks * steps * TILE), record_h((size_t)blocks * steps * TILE), partial(blocks);
    std::vector<Real> theta_bars((size_t)blocks * Field::PARAMS);
    std::vector<Report> reports(batch);
    std::vector<std::vector<Real>> work(blocks, std::vector<Real>(WORKSPACE));
    std::vector<Lanes<TILE>> lanes(blocks);
    const int walks = options.share == PER_SAMPLE ? batch : 1, columns = options.share == PER_SAMPLE ? batch : blocks;
    std::vector<StepNorms> norms((size_t)(steps + 1) * columns);
    for (int pass = 0; pass < 2; ++pass) {
        std::barrier<> all(blocks * threads);
        std::vector<std::unique_ptr<std::barrier<>>> own;
        for (int b = 0; b < blocks; ++b) own.push_back(std::make_unique<std::barrier<>>(threads));
        std::vector<std::thread> running;
        for (int b = 0; b < blocks; ++b)
            for (int t = 0; t < threads; ++t)
                running.emplace_back([&, b, t] {
                    const Block block = {t, threads, own[b].get()};
                    const Grid grid = {b, blocks, &all};
                    const size_t at = (size_t)b * steps * TILE;
                    if (pass == 0)
                        solve<Field, TILE>(block, grid, lanes[b], method, options, batch, theta.data(), y0.data(), y1.data(),
                            work[b].data(), partial.data(), reports.data(), &record_t[at], &record_h[at], &record_y[at * N]);
                    else
                        pull_back<Field, TILE>(block, grid, lanes[b], method, options, batch, theta.data(), y1_bar.data(),
                            y0_bar.data(), theta_bars.data() + (size_t)b * Field::PARAMS, work[b].data(), reports.data(),
                            &record_t[at], &record_h[at], &record_y[at * N], norms.data());
                });
        for (auto& thread : running) thread.join();
    }
    std::vector<Real> theta_bar(Field::PARAMS);
    for (int b = 0; b < blocks; ++b)
        for (int p = 0; p < Field::PARAMS; ++p) theta_bar[p] += theta_bars[(size_t)b * Field::PARAMS + p];
    std::vector<int> counts;
    for (const Report& report : reports) { counts.push_back(report.status); counts.push_back(report.accepted); counts.push_back(report.rejected); }
    std::vector<double> ends;
    for (const Report& report : reports) { ends.push_back(report.t); ends.push_back(report.h); ends.push_back(report.decay); }
    std::vector<double> doubts;
    for (int row = 0; options.share != PER_SAMPLE && row <= steps; ++row) join(&norms[(size_t)row * columns], columns);
    for (int walk = 0; walk < walks; ++walk) {
        const Doubt found = doubt(method, options, norms.data(), steps + 1, columns, walk);
        doubts.push_back(found.error); doubts.push_back(found.grew);
    }
    print(counts); print(y1); print(y0_bar); print(theta_bar); print(ends); print(doubts);
}
