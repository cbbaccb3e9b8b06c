
// What the host launches beside the solve and its adjoint; `Real` is the type of the numbers.

// What a whole solve reports: the first sample that failed, or the number of samples, with its report; sums over all samples.
struct Summary {
    int failed, status;
    unsigned long long accepted, rejected;
    double t, h, error;
};

// One block.
extern "C" __global__ void neuralode_summarise(const Report* reports, int batch, Summary* summary) {
    __shared__ int failed;
    __shared__ unsigned long long accepted, rejected;
    if (threadIdx.x == 0) {
        failed = batch;
        accepted = rejected = 0;
    }
    __syncthreads();
    for (int s = threadIdx.x; s < batch; s += blockDim.x) {
        if (reports[s].status != DONE) atomicMin(&failed, s);
        atomicAdd(&accepted, (unsigned long long)reports[s].accepted);
        atomicAdd(&rejected, (unsigned long long)reports[s].rejected);
    }
    __syncthreads();
    if (threadIdx.x != 0) return;
    summary->failed = failed;
    summary->accepted = accepted;
    summary->rejected = rejected;
    const Report& report = reports[failed < batch ? failed : 0];
    summary->status = report.status;
    summary->t = report.t;
    summary->h = report.h;
    summary->error = report.error;
}

// How wrong a gradient may be: the largest error of a walk back, the first sample of that walk, and how many walks ask for a
// second look.
struct Verdict {
    double error;
    int sample, suspicious;
};

// One block of 256 threads at most. `norms` has so many rows, with a column for each sample if each has step sizes of its
// own, else for each tile.
extern "C" __global__ void neuralode_doubt(
    const Method* method, const Options options, int batch, StepNorms* norms, int rows, int columns, double suspicious,
    Verdict* verdict) {
    __shared__ Verdict of[256];
    const bool own = options.share == PER_SAMPLE;
    for (int row = threadIdx.x; row < (own ? 0 : rows); row += blockDim.x) join(norms + (long long)row * columns, columns);
    __syncthreads();
    Verdict worst = {-1.0, 0, 0};
    for (int walk = threadIdx.x; walk < (own ? batch : 1); walk += blockDim.x) {
        const Doubt found = doubt(*method, options, norms, rows, columns, walk);
        if (found.grew || found.error > suspicious) worst.suspicious += 1;
        if (found.error > worst.error) {
            worst.error = found.error;
            worst.sample = walk;
        }
    }
    of[threadIdx.x] = worst;
    __syncthreads();
    if (threadIdx.x != 0) return;
    for (int i = 1; i < (int)blockDim.x; ++i) {
        worst.suspicious += of[i].suspicious;
        if (of[i].error > worst.error || (of[i].error == worst.error && of[i].sample < worst.sample)) {
            worst.error = of[i].error;
            worst.sample = of[i].sample;
        }
    }
    *verdict = worst;
}

// to[i] += the sum over parts of part[part * stride + from + i], in their order.
extern "C" __global__ void neuralode_add(const Real* part, int parts, int stride, int from, int count, Real* to) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    Real sum = part[from + i];
    for (int p = 1; p < parts; ++p) sum += part[(long long)p * stride + from + i];
    to[i] += sum;
}

// The smallest index of a number that is infinite or NaN, if that is less than `*first`.
extern "C" __global__ void neuralode_first_not_finite(const Real* numbers, int count, int* first) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count && !neuralode::finite((double)numbers[i])) atomicMin(first, i);
}
