#include <cstdio>
#include <cstdlib>
#include <vector>

template <class X> std::vector<X> read(size_t count) {
    std::vector<X> numbers(count);
    for (X& x : numbers) { double number; if (std::scanf("%la", &number) != 1) std::exit(2); x = (X)number; }
    return numbers;
}
struct Problem {
    int batch, threads;
    neuralode::Method method;
    neuralode::Options options;
};
static Problem read_problem() {
    const auto shape = read<int>(5);
    const int stages = shape[2];
    Problem problem = {shape[0], shape[1], {}, {}};
    neuralode::Method& method = problem.method;
    method.stages = stages;
    method.order = shape[3];
    method.weighs = shape[4];
    const auto has = read<int>(stages);
    for (int i = 0; i < stages; ++i) method.has[i] = has[i];
    for (int i = 0; i < stages; ++i) { const auto a = read<double>(stages); for (int j = 0; j < stages; ++j) method.a[i][j] = a[j]; }
    for (double* row : {method.b, method.b_err, method.c, method.signs, method.linear}) { const auto numbers = read<double>(stages); for (int j = 0; j < stages; ++j) row[j] = numbers[j]; }
    const auto o = read<double>(11);
    const auto words = read<int>(6);
    problem.options = {o[0], o[1], o[2], o[3], o[4], o[5], o[6], o[7], o[8], o[9], o[10], (unsigned long long)words[0],
        words[1], words[2], words[3], words[4], words[5]};
    return problem;
}
