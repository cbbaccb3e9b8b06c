// Device code of neuralode: layers over tiles of samples, whole adaptive Runge-Kutta solves, and their discrete adjoint.
//
// A block of threads owns a tile of T samples for a whole solve. A tile is an array of rows, x[feature * T + sample].
// Every loop hands its items to the threads in turn and is right for any number of them; sums over samples and features
// run in one order, so that equal input gives equal bits. The numbers of a tile live in the block's workspace.
//
// NVRTC and nvcc compile this for a GPU. With NEURALODE_HOST defined it is plain C++, for a host that says what a
// block, a grid and a synchronisation are.

#ifndef NEURALODE_HOST
#define NEURALODE_DEVICE __device__ __forceinline__

namespace neuralode {

struct Block {
    int thread, threads;
    NEURALODE_DEVICE void sync() const { __syncthreads(); }
};

// All blocks of a launch, which are resident together. `arrivals` counts them and starts at zero.
struct Grid {
    int index, count;
    unsigned* arrivals;
    NEURALODE_DEVICE void sync(const Block& block) const {
        block.sync();
        if (block.thread == 0 && count > 1) {
            __threadfence();
            const unsigned blocks = (unsigned)count;
            const unsigned turn = (atomicAdd(arrivals, 1u) / blocks + 1u) * blocks;
            while (atomicAdd(arrivals, 0u) < turn) {
            }
            __threadfence();
        }
        block.sync();
    }
};

}  // namespace neuralode
#endif

namespace neuralode {

NEURALODE_DEVICE float tanh_of(float x) { return tanhf(x); }
NEURALODE_DEVICE double tanh_of(double x) { return tanh(x); }
NEURALODE_DEVICE float exp_of(float x) { return expf(x); }
NEURALODE_DEVICE double exp_of(double x) { return exp(x); }
NEURALODE_DEVICE float log1p_of(float x) { return log1pf(x); }
NEURALODE_DEVICE double log1p_of(double x) { return log1p(x); }
NEURALODE_DEVICE float sin_of(float x) { return sinf(x); }
NEURALODE_DEVICE double sin_of(double x) { return sin(x); }
NEURALODE_DEVICE float cos_of(float x) { return cosf(x); }
NEURALODE_DEVICE double cos_of(double x) { return cos(x); }
NEURALODE_DEVICE float erfc_of(float x) { return erfcf(x); }
NEURALODE_DEVICE double erfc_of(double x) { return erfc(x); }
NEURALODE_DEVICE float expm1_of(float x) { return expm1f(x); }
NEURALODE_DEVICE double expm1_of(double x) { return expm1(x); }
NEURALODE_DEVICE float root_of(float x) { return sqrtf(x); }
NEURALODE_DEVICE double root_of(double x) { return sqrt(x); }
template <class R> NEURALODE_DEVICE R magnitude(R x) { return x < R(0) ? -x : x; }
template <class R> NEURALODE_DEVICE R larger(R a, R b) { return a > b || a != a ? a : b; }
template <class R> NEURALODE_DEVICE R smaller(R a, R b) { return a < b || a != a ? a : b; }
NEURALODE_DEVICE bool finite(double x) { return x - x == 0.0; }
// Larger than any size of a step.
constexpr double HUGE_SIZE = 1.7976931348623157e308;

// Activations: `value(x)`, and `derivative(x, y)` from the argument (only where FROM_ARGUMENT) or the value.

struct Identity {
    static constexpr bool FROM_ARGUMENT = false;
    template <class R> NEURALODE_DEVICE static R value(R x) { return x; }
    template <class R> NEURALODE_DEVICE static R derivative(R, R) { return R(1); }
};
struct Tanh {
    static constexpr bool FROM_ARGUMENT = false;
    template <class R> NEURALODE_DEVICE static R value(R x) { return tanh_of(x); }
    template <class R> NEURALODE_DEVICE static R derivative(R, R y) { return R(1) - y * y; }
};
struct Relu {
    static constexpr bool FROM_ARGUMENT = false;
    template <class R> NEURALODE_DEVICE static R value(R x) { return x <= R(0) ? R(0) : x; }
    template <class R> NEURALODE_DEVICE static R derivative(R, R y) { return y > R(0) ? R(1) : R(0); }
};
struct Sigmoid {
    static constexpr bool FROM_ARGUMENT = false;
    template <class R> NEURALODE_DEVICE static R value(R x) {
        const R e = exp_of(-magnitude(x));
        return (x < R(0) ? e : R(1)) / (R(1) + e);
    }
    template <class R> NEURALODE_DEVICE static R derivative(R, R y) { return y - y * y; }
};
struct LeakyRelu {
    static constexpr bool FROM_ARGUMENT = false;
    template <class R> NEURALODE_DEVICE static R value(R x) { return x > R(0) ? x : x * R(0.01); }
    template <class R> NEURALODE_DEVICE static R derivative(R, R y) { return y > R(0) ? R(1) : R(0.01); }
};
struct Elu {
    static constexpr bool FROM_ARGUMENT = false;
    template <class R> NEURALODE_DEVICE static R value(R x) { return x > R(0) ? x : expm1_of(x); }
    template <class R> NEURALODE_DEVICE static R derivative(R, R y) { return y > R(0) ? R(1) : y + R(1); }
};
// Far from zero the next two are constant or linear; infinity times zero is neither.
struct Gelu {
    static constexpr bool FROM_ARGUMENT = true;
    template <class R> NEURALODE_DEVICE static R below(R x) { return R(0.5) * erfc_of(-x * R(0.70710678118654752)); }
    template <class R> NEURALODE_DEVICE static R value(R x) { return x < R(-40) ? R(0) : x * below(x); }
    template <class R> NEURALODE_DEVICE static R derivative(R x, R) {
        if (magnitude(x) > R(40)) return x > R(0) ? R(1) : R(0);
        return below(x) + x * (R(0.39894228040143268) * exp_of(R(-0.5) * x * x));
    }
};
struct Silu {
    static constexpr bool FROM_ARGUMENT = true;
    template <class R> NEURALODE_DEVICE static R value(R x) { return x < R(-1000) ? R(0) : x * Sigmoid::value(x); }
    template <class R> NEURALODE_DEVICE static R derivative(R x, R) {
        if (magnitude(x) > R(1000)) return x > R(0) ? R(1) : R(0);
        const R s = Sigmoid::value(x);
        return s + x * (s * Sigmoid::value(-x));
    }
};
struct Softplus {
    static constexpr bool FROM_ARGUMENT = true;
    template <class R> NEURALODE_DEVICE static R value(R x) { return larger(x, R(0)) + log1p_of(exp_of(-magnitude(x))); }
    template <class R> NEURALODE_DEVICE static R derivative(R x, R) { return Sigmoid::value(x); }
};
struct Sin {
    static constexpr bool FROM_ARGUMENT = true;
    template <class R> NEURALODE_DEVICE static R value(R x) { return sin_of(x); }
    template <class R> NEURALODE_DEVICE static R derivative(R x, R) { return cos_of(x); }
};

// x to the power N >= 1, by repeated squaring.
template <int N, class R> NEURALODE_DEVICE R power(R x) {
    R square = x, product = R(1);
    for (int n = N; n > 0; n >>= 1) {
        if (n & 1) product *= square;
        square *= square;
    }
    return product;
}
template <int N> struct Pow {
    static constexpr bool FROM_ARGUMENT = true;
    template <class R> NEURALODE_DEVICE static R value(R x) { return power<N>(x); }
    template <class R> NEURALODE_DEVICE static R derivative(R x, R) { return R(N) * power<N - 1>(x); }
};

// Layers. `forward` writes y; `backward` turns c, the cotangent of y, into that of x, and adds that of the parameters to
// theta_bar, of which every number belongs to one thread. KEPT rows carry what backward needs from forward.

// c *= the derivative of an activation, whose arguments are kept if it needs them.
template <class A, class R>
NEURALODE_DEVICE void scale_by_derivative(const Block& block, int count, const R* kept, const R* y, R* c) {
    for (int e = block.thread; e < count; e += block.threads)
        c[e] *= A::derivative(A::FROM_ARGUMENT ? kept[e] : y[e], y[e]);
    block.sync();
}

template <int N, class A> struct Pointwise {
    static constexpr int PARAMS = 0, KEPT = 0;
    template <int T, class R>
    NEURALODE_DEVICE static void forward(const Block& block, const R*, const double*, const R* x, R*, R* y) {
        for (int e = block.thread; e < N * T; e += block.threads) y[e] = A::value(x[e]);
        block.sync();
    }
    template <int T, class R>
    NEURALODE_DEVICE static void backward(const Block& block, const R*, const R* x, const R*, const R* y, R* c, R* x_bar, R*) {
        for (int e = block.thread; e < N * T; e += block.threads) x_bar[e] = c[e] * A::derivative(x[e], y[e]);
        block.sync();
    }
};

template <int I, int O, class A> struct Dense {
    static constexpr int PARAMS = (I + 1) * O, KEPT = A::FROM_ARGUMENT ? O : 0;
    template <int T, class R>
    NEURALODE_DEVICE static void forward(const Block& block, const R* theta, const double*, const R* x, R* kept, R* y) {
        for (int e = block.thread; e < O * T; e += block.threads) {
            const int o = e / T, s = e % T;
            R z = theta[I * O + o];
            for (int i = 0; i < I; ++i) z += theta[o * I + i] * x[i * T + s];
            if (A::FROM_ARGUMENT) kept[e] = z;
            y[e] = A::value(z);
        }
        block.sync();
    }
    template <int T, class R>
    NEURALODE_DEVICE static void backward(
        const Block& block, const R* theta, const R* x, const R* kept, const R* y, R* c, R* x_bar, R* theta_bar) {
        scale_by_derivative<A>(block, O * T, kept, y, c);
        for (int e = block.thread; e < I * T; e += block.threads) {
            const int i = e / T, s = e % T;
            R sum = R(0);
            for (int o = 0; o < O; ++o) sum += theta[o * I + i] * c[o * T + s];
            x_bar[e] = sum;
        }
        for (int e = block.thread; e < (I + 1) * O; e += block.threads) {
            R sum = R(0);
            if (e < I * O) {
                const int o = e / I, i = e % I;
                for (int s = 0; s < T; ++s) sum += c[o * T + s] * x[i * T + s];
            } else {
                for (int s = 0; s < T; ++s) sum += c[(e - I * O) * T + s];
            }
            theta_bar[e] += sum;
        }
        block.sync();
    }
};

// weight x + bias for each of C channels, which are runs of N / C features.
template <int N, int C> struct Scale {
    static constexpr int PARAMS = 2 * C, KEPT = 0, RUN = N / C;
    template <int T, class R>
    NEURALODE_DEVICE static void forward(const Block& block, const R* theta, const double*, const R* x, R*, R* y) {
        for (int e = block.thread; e < N * T; e += block.threads) {
            const int channel = e / T / RUN;
            y[e] = theta[channel] * x[e] + theta[C + channel];
        }
        block.sync();
    }
    template <int T, class R>
    NEURALODE_DEVICE static void backward(
        const Block& block, const R* theta, const R* x, const R*, const R*, R* c, R* x_bar, R* theta_bar) {
        for (int e = block.thread; e < N * T; e += block.threads) x_bar[e] = theta[e / T / RUN] * c[e];
        for (int e = block.thread; e < 2 * C; e += block.threads) {
            const int at = e % C * RUN * T;
            R sum = R(0);
            for (int i = at; i < at + RUN * T; ++i) sum += e < C ? x[i] * c[i] : c[i];
            theta_bar[e] += sum;
        }
        block.sync();
    }
};

// MANTISSA * 2^EXPONENT
NEURALODE_DEVICE constexpr double scaled(long long mantissa, int exponent) {
    double number = (double)mantissa;
    for (; exponent > 0; --exponent) number *= 2.0;
    for (; exponent < 0; ++exponent) number *= 0.5;
    return number;
}

// weight (x - mean) / sqrt(variance + epsilon) + bias, with the moments of each sample, which are kept as mean and inverse
// deviation.
template <int N, long long MANTISSA, int EXPONENT> struct LayerNorm {
    static constexpr int PARAMS = 2 * N, KEPT = 2;
    template <int T, class R>
    NEURALODE_DEVICE static void forward(const Block& block, const R* theta, const double*, const R* x, R* kept, R* y) {
        constexpr double epsilon = scaled(MANTISSA, EXPONENT);
        for (int s = block.thread; s < T; s += block.threads) {
            R mean = R(0), square = R(0);
            for (int n = 0; n < N; ++n) mean += x[n * T + s];
            mean *= R(1.0 / N);
            for (int n = 0; n < N; ++n) square += (x[n * T + s] - mean) * (x[n * T + s] - mean);
            kept[s] = mean;
            kept[T + s] = R(1) / root_of(square * R(1.0 / N) + R(epsilon));
        }
        block.sync();
        for (int e = block.thread; e < N * T; e += block.threads) {
            const int n = e / T, s = e % T;
            y[e] = theta[n] * ((x[e] - kept[s]) * kept[T + s]) + theta[N + n];
        }
        block.sync();
    }
    template <int T, class R>
    NEURALODE_DEVICE static void backward(
        const Block& block, const R* theta, const R* x, const R* kept, const R*, R* c, R* x_bar, R* theta_bar) {
        for (int e = block.thread; e < 2 * N; e += block.threads) {
            const int n = e % N;
            R sum = R(0);
            for (int s = 0; s < T; ++s)
                sum += e < N ? c[n * T + s] * ((x[n * T + s] - kept[s]) * kept[T + s]) : c[n * T + s];
            theta_bar[e] += sum;
        }
        for (int s = block.thread; s < T; s += block.threads) {
            R mean = R(0), along = R(0);
            for (int n = 0; n < N; ++n) {
                const R v = theta[n] * c[n * T + s];
                mean += v;
                along += (x[n * T + s] - kept[s]) * kept[T + s] * v;
            }
            mean *= R(1.0 / N);
            along *= R(1.0 / N);
            for (int n = 0; n < N; ++n) {
                const R normal = (x[n * T + s] - kept[s]) * kept[T + s];
                x_bar[n * T + s] = (theta[n] * c[n * T + s] - mean - normal * along) * kept[T + s];
            }
        }
        block.sync();
    }
};

// Keeps the first features; new ones are zero, or the time.
template <int I, int O, bool TIME> struct Resize {
    static constexpr int PARAMS = 0, KEPT = 0;
    template <int T, class R>
    NEURALODE_DEVICE static void forward(const Block& block, const R*, const double* t, const R* x, R*, R* y) {
        for (int e = block.thread; e < O * T; e += block.threads)
            y[e] = e < I * T ? x[e] : TIME ? R(t[e % T]) : R(0);
        block.sync();
    }
    template <int T, class R>
    NEURALODE_DEVICE static void backward(const Block& block, const R*, const R*, const R*, const R*, R* c, R* x_bar, R*) {
        for (int e = block.thread; e < I * T; e += block.threads) x_bar[e] = e < O * T ? c[e] : R(0);
        block.sync();
    }
};

// The output of so many whose window, STRIDE apart, meets the input `at` at its place k; -1 if none does.
template <int STRIDE> NEURALODE_DEVICE int output_that_meets(int at, int k, int outputs) {
    const int first = at - k;
    return first >= 0 && first % STRIDE == 0 && first / STRIDE < outputs ? first / STRIDE : -1;
}

// CO channels of OH by OW from CI of H by W, by windows of K by K, S apart, on an image with P zeros on each side.
template <int CI, int H, int W, int CO, int OH, int OW, int K, int S, int P, class A> struct Conv2d {
    static constexpr int WEIGHTS = CO * CI * K * K, PARAMS = WEIGHTS + CO, I = CI * H * W, O = CO * OH * OW;
    template <int T, class R>
    NEURALODE_DEVICE static void forward(const Block& block, const R* theta, const double*, const R* x, R* kept, R* y) {
        for (int e = block.thread; e < O * T; e += block.threads) {
            const int s = e % T, place = e / T, o = place / (OH * OW), line = place / OW % OH, column = place % OW;
            R z = theta[WEIGHTS + o];
            for (int w = 0; w < CI * K * K; ++w) {
                const int i = w / (K * K), row = line * S + w / K % K - P, at = column * S + w % K - P;
                if (row < 0 || row >= H || at < 0 || at >= W) continue;
                z += theta[o * CI * K * K + w] * x[((i * H + row) * W + at) * T + s];
            }
            if (A::FROM_ARGUMENT) kept[e] = z;
            y[e] = A::value(z);
        }
        block.sync();
    }
    template <int T, class R>
    NEURALODE_DEVICE static void backward(
        const Block& block, const R* theta, const R* x, const R* kept, const R* y, R* c, R* x_bar, R* theta_bar) {
        scale_by_derivative<A>(block, O * T, kept, y, c);
        for (int e = block.thread; e < I * T; e += block.threads) {
            const int s = e % T, place = e / T, i = place / (H * W), row = place / W % H, at = place % W;
            R sum = R(0);
            for (int k = 0; k < K * K; ++k) {
                const int line = output_that_meets<S>(row + P, k / K, OH), column = output_that_meets<S>(at + P, k % K, OW);
                if (line < 0 || column < 0) continue;
                for (int o = 0; o < CO; ++o)
                    sum += theta[(o * CI + i) * K * K + k] * c[((o * OH + line) * OW + column) * T + s];
            }
            x_bar[e] = sum;
        }
        for (int e = block.thread; e < PARAMS; e += block.threads) {
            const int o = e < WEIGHTS ? e / (CI * K * K) : e - WEIGHTS, i = e / (K * K) % CI, k = e % (K * K);
            R sum = R(0);
            for (int place = 0; place < OH * OW; ++place) {
                const R* c_here = c + (o * OH * OW + place) * T;
                const int row = place / OW * S + k / K - P, at = place % OW * S + k % K - P;
                if (e >= WEIGHTS) {
                    for (int s = 0; s < T; ++s) sum += c_here[s];
                } else if (row >= 0 && row < H && at >= 0 && at < W) {
                    for (int s = 0; s < T; ++s) sum += c_here[s] * x[((i * H + row) * W + at) * T + s];
                }
            }
            theta_bar[e] += sum;
        }
        block.sync();
    }
};

// The largest number of each window of K by K, S apart; a NaN is larger than all.
template <int C, int H, int W, int OH, int OW, int K, int S> struct MaxPool {
    // The first place of the window at (line, column) of a channel that holds its largest number, y.
    template <int T, class R> NEURALODE_DEVICE static int first(const R* channel, int line, int column, R y) {
        for (int k = 0; k + 1 < K * K; ++k)
            if (!(channel[((line * S + k / K) * W + column * S + k % K) * T] < y)) return k;
        return K * K - 1;
    }
    template <int T, class R>
    NEURALODE_DEVICE static void forward(const Block& block, const R*, const double*, const R* x, R*, R* y) {
        for (int e = block.thread; e < C * OH * OW * T; e += block.threads) {
            const int s = e % T, place = e / T, line = place / OW % OH, column = place % OW;
            const R* channel = x + place / (OH * OW) * H * W * T + s;
            R most = channel[(line * S * W + column * S) * T];
            for (int k = 1; k < K * K; ++k)
                most = larger(most, channel[((line * S + k / K) * W + column * S + k % K) * T]);
            y[e] = most;
        }
        block.sync();
    }
    template <int T, class R>
    NEURALODE_DEVICE static void backward(const Block& block, const R*, const R* x, const R*, const R* y, R* c, R* x_bar, R*) {
        for (int e = block.thread; e < C * H * W * T; e += block.threads) {
            const int s = e % T, place = e / T, i = place / (H * W), row = place / W % H, at = place % W;
            R sum = R(0);
            for (int k = 0; k < K * K; ++k) {
                const int line = output_that_meets<S>(row, k / K, OH), column = output_that_meets<S>(at, k % K, OW);
                if (line < 0 || column < 0) continue;
                const int out = ((i * OH + line) * OW + column) * T + s;
                if (first<T>(x + i * H * W * T + s, line, column, y[out]) == k) sum += c[out];
            }
            x_bar[e] = sum;
        }
        block.sync();
    }
};

// The mean of each window of KH by KW, S apart.
template <int C, int H, int W, int OH, int OW, int KH, int KW, int S> struct AvgPool {
    template <int T, class R>
    NEURALODE_DEVICE static void forward(const Block& block, const R*, const double*, const R* x, R*, R* y) {
        for (int e = block.thread; e < C * OH * OW * T; e += block.threads) {
            const int s = e % T, place = e / T, line = place / OW % OH, column = place % OW;
            const R* channel = x + place / (OH * OW) * H * W * T + s;
            R sum = R(0);
            for (int k = 0; k < KH * KW; ++k) sum += channel[((line * S + k / KW) * W + column * S + k % KW) * T];
            y[e] = sum * R(1.0 / (KH * KW));
        }
        block.sync();
    }
    template <int T, class R>
    NEURALODE_DEVICE static void backward(const Block& block, const R*, const R*, const R*, const R*, R* c, R* x_bar, R*) {
        for (int e = block.thread; e < C * H * W * T; e += block.threads) {
            const int s = e % T, place = e / T, i = place / (H * W), row = place / W % H, at = place % W;
            R sum = R(0);
            for (int k = 0; k < KH * KW; ++k) {
                const int line = output_that_meets<S>(row, k / KW, OH), column = output_that_meets<S>(at, k % KW, OW);
                if (line >= 0 && column >= 0) sum += c[((i * OH + line) * OW + column) * T + s];
            }
            x_bar[e] = sum * R(1.0 / (KH * KW));
        }
        block.sync();
    }
};

template <class R> NEURALODE_DEVICE void copy(const Block& block, int count, const R* from, R* to) {
    for (int e = block.thread; e < count; e += block.threads) to[e] = from[e];
    block.sync();
}
template <class R> NEURALODE_DEVICE void add(const Block& block, int count, const R* from, R* to) {
    for (int e = block.thread; e < count; e += block.threads) to[e] += from[e];
    block.sync();
}

// Explicit Runge-Kutta methods as the host knows them: the last stage is f(t + h, y1) and has no weight in y1.
constexpr int STAGES = NEURALODE_STAGES;

struct Method {
    // `weighs`: whether `signs` are weights.
    int stages, order, weighs;
    int has[STAGES];
    double a[STAGES][STAGES], b[STAGES], b_err[STAGES], c[STAGES];
    // `Signs` of the host: weights of the arguments' cotangents, and coefficients of z, z^2, .. in the error of a step of a
    // linear field.
    double signs[STAGES], linear[STAGES];
};

// Who shares a step size.
enum Share { PER_BATCH = 0, PER_TILE = 1, PER_SAMPLE = 2 };
enum Control { INTEGRAL = 0, PROPORTIONAL_INTEGRAL = 1, PID = 2, EQUAL = 3 };
enum Status { DONE = 0, MAX_STEPS = 1, TOO_SMALL = 2, NOT_FINITE = 3, RECORD_FULL = 4 };

struct Options {
    double t0, t1, rtol, atol;
    double p, i, d, dt;
    // The size of the first step, or zero to choose one; no size is below dt_min, none above dt_max.
    double dt0, dt_min, dt_max;
    // Of the tangent that chooses steps too, where there is one.
    unsigned long long seed;
    int max_steps, share, control;
    // Accepted steps per sample that the record has room for; zero to keep none.
    int record;
    // Whether a tangent chooses steps too: `Control::Gradients` of the host.
    int guided;
};

// The smallest step from t, 8 to 16 units in its last place; `resolution` of the host.
NEURALODE_DEVICE double resolution(double t) { return 8.0 * 2.220446049250313e-16 * magnitude(t); }

// How far a step of some size may go along a solve's span; `Reach` of the host.
struct Reach {
    double slack, share;
    NEURALODE_DEVICE Reach(double t0, double t1, bool adaptive)
        : slack(0.5 * resolution(larger(magnitude(t0), magnitude(t1)))), share(adaptive ? 1.0 / 16.0 : 0.5) {}
    NEURALODE_DEVICE double of(double size) const { return (1.0 + 1e-10) * size + smaller(slack, share * size); }
};

// What a tile's solve reports of each of its samples.
struct Report {
    int status, accepted, rejected;
    double t, h, error, decay;
};

// Shared by the threads of a block: numbers of each sample.
template <int T> struct Lanes {
    double t[T], at[T], h[T], size[T], error[T], sum[T];
    double previous[T], log1[T], log2[T], decay[T];
    // Of the tangent: its size, and how far the neighbour is from the solution per unit of it; room for a number more.
    double tangent[T], delta[T], spare[T];
    int active[T], accepted[T], rejected[T], status[T], last[T], first[T];
    int any;
    double total;
};

// The size of the next step as a multiple of this one's, by the square of its error; the laws of the host.
template <int T>
NEURALODE_DEVICE double judge(Lanes<T>& lanes, int s, const Options& options, int order, double square, bool& accepted) {
    const double SAFETY = 0.9, SHRINK = 0.2, GROW = 10.0;
    if (options.control == EQUAL) {
        accepted = finite(square);
        return 1.0;
    }
    if (!finite(square)) {
        accepted = false;
        return SHRINK;
    }
    accepted = square <= 1.0;
    double low = accepted ? 1.0 : SHRINK, high = accepted ? GROW : SAFETY, factor;
    const double k = (double)order;
    if (options.control == INTEGRAL) {
        factor = SAFETY * pow(square, -0.5 / k);
    } else if (options.control == PROPORTIONAL_INTEGRAL) {
        const double beta1 = 7.0 / (10.0 * k), beta2 = 2.0 / (5.0 * k);
        factor = SAFETY * pow(square, -0.5 * beta1);
        if (accepted) {
            factor *= pow(lanes.previous[s], beta2);
            low = SHRINK;
            high = lanes.first[s] ? 1e4 : GROW;
            lanes.previous[s] = larger(sqrt(square), 1e-4);
            lanes.first[s] = 0;
        }
    } else {
        double exponent = 0.0;
        if (options.p + 2.0 * options.d != 0.0) exponent += lanes.log1[s] * ((options.p + 2.0 * options.d) / k);
        if (options.d != 0.0) exponent += lanes.log2[s] * (-options.d / k);
        factor = SAFETY * (pow(square, -0.5 * (options.p + options.i + options.d) / k) * exp2(exponent));
        if (factor != factor) factor = low;
        if (accepted) {
            const double newest = 0.5 * log2(square);
            lanes.log2[s] = lanes.log1[s];
            lanes.log1[s] = finite(newest) ? newest : 0.0;
        }
    }
    return factor < low ? low : factor > high ? high : factor;
}

// A launch's part in a solve: who works on what.
template <int T> struct Work {
    const Block& block;
    const Grid& grid;
    Lanes<T>& lanes;
    const Options& options;
    // Of this tile, and of all.
    int samples, batch;
    // One number per tile.
    double* partial;
};

// From the samples' sums of so many numbers each, in lanes.sum, the mean over all that share a step size with a sample.
template <int T> NEURALODE_DEVICE void mean(const Work<T>& work, int count, double* to) {
    const Block& block = work.block;
    Lanes<T>& lanes = work.lanes;
    block.sync();
    if (work.options.share == PER_SAMPLE) {
        for (int s = block.thread; s < T; s += block.threads) to[s] = lanes.sum[s] / count;
        block.sync();
        return;
    }
    if (block.thread == 0) {
        double total = 0.0;
        for (int s = 0; s < work.samples; ++s) total += lanes.sum[s];
        lanes.total = total / ((double)work.samples * count);
        if (work.options.share == PER_BATCH) work.partial[work.grid.index] = total;
    }
    if (work.options.share == PER_BATCH) {
        work.grid.sync(block);
        if (block.thread == 0) {
            double total = 0.0;
            for (int b = 0; b < work.grid.count; ++b) total += ((volatile double*)work.partial)[b];
            lanes.total = total / ((double)work.batch * count);
        }
        // Nobody writes the next sums before everybody has read these.
        work.grid.sync(block);
    }
    block.sync();
    for (int s = block.thread; s < T; s += block.threads) to[s] = lanes.total;
    block.sync();
}

// The sum of the squares of one sample's numbers.
template <class F, int T, class R> NEURALODE_DEVICE double square_sum(const R* x, int s) {
    double sum = 0.0;
    for (int n = 0; n < F::N; ++n) sum += (double)x[n * T + s] * (double)x[n * T + s];
    return sum;
}

// The root mean square of everything that shares a step size with each sample.
template <class F, int T, class R> NEURALODE_DEVICE void root_mean_square(const Work<T>& work, const R* x, double* to) {
    for (int s = work.block.thread; s < T; s += work.block.threads)
        work.lanes.sum[s] = s < work.samples ? square_sum<F, T>(x, s) : 0.0;
    mean(work, F::N, to);
    for (int s = work.block.thread; s < T; s += work.block.threads) to[s] = sqrt(to[s]);
    work.block.sync();
}

// The mean square of scaled errors of everything that shares a step size with each sample, into lanes.error.
template <class F, int T, class R>
NEURALODE_DEVICE void mean_square(const Work<T>& work, const R* error, const R* y0, const R* y1) {
    const Block& block = work.block;
    Lanes<T>& lanes = work.lanes;
    const Options& options = work.options;
    for (int s = block.thread; s < T; s += block.threads) {
        double sum = 0.0;
        if (s < work.samples) {
            for (int n = 0; n < F::N; ++n) {
                const int e = n * T + s;
                const R scale = R(options.atol) + R(options.rtol) * larger(magnitude(y0[e]), magnitude(y1[e]));
                const double scaled = (double)(error[e] / scale);
                sum += scaled * scaled;
                if (!finite((double)error[e])) sum = (double)error[e] - (double)error[e];
                if (!finite((double)y1[e])) sum = (double)y1[e] - (double)y1[e];
            }
            // Squares too large for a double, of numbers that are not: sums of many of them are finite.
            if (sum > 1e300) sum = 1e300;
        }
        lanes.sum[s] = sum;
    }
    mean(work, F::N, lanes.error);
}

// to = y + h sum_j weight_j k_j over the first `count` stages, with each sample's h.
template <class F, int T, class R>
NEURALODE_DEVICE void combine(
    const Block& block, const Lanes<T>& lanes, const Method& method, const double* weights, int count, const R* y, const R* k,
    R* to) {
    for (int e = block.thread; e < F::N * T; e += block.threads) {
        const double h = lanes.h[e % T];
        R sum = y ? y[e] : R(0);
        for (int j = 0; j < count; ++j)
            if (method.has[j] && weights[j] != 0.0) sum += R(h * weights[j]) * k[j * F::N * T + e];
        to[e] = sum;
    }
    block.sync();
}

// 1 or -1 from a seed and a place; `random_sign` of the host.
NEURALODE_DEVICE double random_sign(unsigned long long seed, unsigned long long place) {
    unsigned long long bits = seed + (place + 1ull) * 0x9e3779b97f4a7c15ull;
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9ull;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111ebull;
    return (bits ^ bits >> 31) >> 63 ? -1.0 : 1.0;
}

// A tangent beside the solution, which chooses steps too; `ode/solve/guided.rs` on the host, but for the order of its sums.
template <class F, int T, class R> struct Tangent {
    const Work<T>& work;
    const R* theta;
    R* field_work;
    // At both ends of a step, its stages, and the state of its neighbour.
    R *v, *v1, *k, *neighbour;

    // The random part of the tangent after so many steps.
    NEURALODE_DEVICE R sign(int e, int steps) const {
        const int n = e / T, s = e % T;
        const unsigned long long sample = work.options.share == PER_SAMPLE ? 0 : work.grid.index * T + s;
        return R(random_sign(work.options.seed + (unsigned long long)steps, sample * F::N + n));
    }
    // How far the neighbour of y is, per unit of the tangent.
    NEURALODE_DEVICE void set_distance(const R* y) const {
        constexpr double CUBE_ROOT_OF_EPSILON = sizeof(R) == 4 ? 4.9215666011518501e-3 : 6.0554544523933429e-6;
        double* delta = work.lanes.delta;
        root_mean_square<F, T>(work, y, delta);
        for (int s = work.block.thread; s < T; s += work.block.threads)
            delta[s] = CUBE_ROOT_OF_EPSILON * (delta[s] + work.options.atol / work.options.rtol);
        work.block.sync();
    }
    // Writes the tangent's derivative. `neighbour` holds the tangent at first, and then y + delta tangent; dy is that of y.
    NEURALODE_DEVICE void derive(const R* y, const R* dy, R* rate) const {
        const Block& block = work.block;
        for (int e = block.thread; e < F::N * T; e += block.threads) neighbour[e] = y[e] + R(work.lanes.delta[e % T]) * neighbour[e];
        block.sync();
        F::template eval<T>(block, theta, work.lanes.at, neighbour, rate, field_work);
        for (int e = block.thread; e < F::N * T; e += block.threads) {
            const R scale = R(1.0 / work.lanes.delta[e % T]);
            rate[e] = scale * rate[e] - scale * dy[e];
        }
        block.sync();
    }
    // The tangent at the start, and its derivative.
    NEURALODE_DEVICE void start(const R* y, const R* dy) const {
        for (int e = work.block.thread; e < F::N * T; e += work.block.threads) neighbour[e] = v[e] = sign(e, 0);
        set_distance(y);
        root_mean_square<F, T>(work, v, work.lanes.tangent);
        derive(y, dy, k);
    }
    // Makes lanes.error the larger one of itself and the mean square of this error, beside rtol of the larger size of the
    // tangent at the ends.
    NEURALODE_DEVICE void add_mean_square(const R* error, const R* end) const {
        Lanes<T>& lanes = work.lanes;
        // `at` is set anew before every evaluation.
        double *size = lanes.at, *of_error = lanes.spare;
        root_mean_square<F, T>(work, end, size);
        root_mean_square<F, T>(work, error, of_error);
        for (int s = work.block.thread; s < T; s += work.block.threads) {
            const double unit = work.options.rtol * larger(lanes.tangent[s], size[s]);
            const double scaled = of_error[s] / larger(unit, 2.2250738585072014e-308);
            lanes.error[s] = larger(lanes.error[s], scaled * scaled);
        }
        work.block.sync();
    }
    // After a step to y, of the samples that took it: the tangent gets its size back, and a part in every direction. `rate`
    // and `neighbour` are lost.
    NEURALODE_DEVICE void go_on(const R* y, const R* dy, R* rate, int last_stage) const {
        const Block& block = work.block;
        Lanes<T>& lanes = work.lanes;
        double* size = lanes.spare;
        root_mean_square<F, T>(work, v1, size);
        for (int e = block.thread; e < F::N * T; e += block.threads) {
            const int s = e % T;
            if (lanes.active[s] != 1) {
                neighbour[e] = v[e];
                continue;
            }
            v[e] = v1[e];
            k[e] = k[last_stage * F::N * T + e];
            if (finite(size[s]) && size[s] > 0.0) v[e] = R(1.0 / size[s]) * v[e] + R(0.1) * sign(e, lanes.accepted[s] + 1);
            neighbour[e] = v[e];
        }
        block.sync();
        set_distance(y);
        root_mean_square<F, T>(work, v, lanes.tangent);
        derive(y, dy, rate);
        for (int e = block.thread; e < F::N * T; e += block.threads) {
            const int s = e % T;
            if (lanes.active[s] == 1 && finite(size[s]) && size[s] > 0.0) k[e] = rate[e];
        }
        block.sync();
    }
};

// The size of each sample's last step times the rate of the fastest decay that it saw, or what is in `lanes.decay` if
// that is larger; `stiffness` of the host. `k` has the field's values in the stages, and `seen` what moved between them: the
// same values, or those of the tangent.
template <class F, int T, class R>
NEURALODE_DEVICE void see_decay(
    const Block& block, Lanes<T>& lanes, const Method& method, const Options& options, const R* theta, const R* y, const R* y1,
    const R* k, const R* seen, R* aside, R* there, R* field_work) {
    constexpr int N = F::N;
    int earlier = 0;
    for (int i = 1; i + 1 < method.stages; ++i)
        if (method.has[i]) earlier = i;
    const R* before = seen + earlier * N * T;
    const R* after = seen + (method.stages - 1) * N * T;
    const R* last = k + (method.stages - 1) * N * T;
    const auto scale = [&](int e) {
        return options.atol + options.rtol * larger(magnitude((double)y[e]), magnitude((double)y1[e]));
    };
    for (int s = block.thread; s < T; s += block.threads) {
        double square = 0.0;
        for (int e = s; e < N * T; e += T) {
            const double change = lanes.h[s] * ((double)after[e] - (double)before[e]) / scale(e);
            square += change * change;
        }
        const double size = sqrt(square);
        for (int e = s; e < N * T; e += T) aside[e] = y1[e] + R(lanes.h[s] * ((double)after[e] - (double)before[e]) / size);
        lanes.at[s] = lanes.t[s] + lanes.h[s];
    }
    block.sync();
    F::template eval<T>(block, theta, lanes.at, aside, there, field_work);
    for (int s = block.thread; s < T; s += block.threads) {
        double product = 0.0, square = 0.0;
        for (int e = s; e < N * T; e += T) {
            const double d = ((double)aside[e] - (double)y1[e]) / scale(e);
            product += d * lanes.h[s] * ((double)there[e] - (double)last[e]) / scale(e);
            square += d * d;
        }
        if (-product / square > lanes.decay[s]) lanes.decay[s] = -product / square;
    }
    block.sync();
}

// Numbers of R in the workspace of a block: the state, the new one, its error, a stage's state, the stages and their
// cotangents or tangents, the tangent at both ends of a step, and what the field needs.
template <class F, int T> NEURALODE_DEVICE constexpr int workspace() {
    return F::N * T * (6 + 2 * STAGES) + F::WORK * T;
}

// A whole solve of the samples first..first + T of the batch. Rows are samples: y0[sample * N + feature].
template <class F, int T, class R>
NEURALODE_DEVICE void solve(
    const Block& block, const Grid& grid, Lanes<T>& lanes, const Method& method, const Options& options, int batch,
    const R* theta, const R* y0, R* y1_out, R* work, double* partial, Report* reports,
    // Per tile, options.record entries each: times and sizes per sample, and states.
    double* record_t, double* record_h, R* record_y) {
    constexpr int N = F::N, TILE_SIZE = N * T;
    const int first = grid.index * T;
    const int samples = batch - first < T ? batch - first : T;
    R* y = work;
    R* y1 = y + TILE_SIZE;
    R* error = y1 + TILE_SIZE;
    R* stage = error + TILE_SIZE;
    R* k = stage + TILE_SIZE;
    R* k_tangent = k + STAGES * TILE_SIZE;
    R* v = k_tangent + STAGES * TILE_SIZE;
    R* field_work = v + 2 * TILE_SIZE;
    const int last_stage = method.stages - 1;
    const Work<T> all = {block, grid, lanes, options, samples, batch, partial};
    // The error of a step is not known before its stages: until then its place is free.
    const Tangent<F, T, R> tangent = {all, theta, field_work, v, v + TILE_SIZE, k_tangent, error};
    R* k_last = k + last_stage * TILE_SIZE;
    const bool adaptive = options.control != EQUAL;
    const double span = options.t1 - options.t0, direction = span < 0.0 ? -1.0 : 1.0;
    // No step goes farther, and so nothing is looked at beyond.
    const double length = smaller(magnitude(span), options.dt_max);
    // The least size of a step at any time, the largest that the error may ask for, and the size of equal steps.
    const double floor = larger(options.dt_min, 2.2250738585072014e-308);
    const double largest = adaptive ? options.dt_max : HUGE_SIZE, equal = smaller(options.dt, options.dt_max);
    const Reach reach(options.t0, options.t1, adaptive);
    const double farthest = reach.of(largest);

    for (int e = block.thread; e < TILE_SIZE; e += block.threads) {
        const int n = e / T, s = e % T;
        // What fills the last tile up is a copy of a sample, so that it cannot fail alone.
        y[e] = y0[(first + (s < samples ? s : 0)) * N + n];
    }
    for (int s = block.thread; s < T; s += block.threads) {
        lanes.t[s] = lanes.at[s] = options.t0;
        lanes.active[s] = s < samples && span != 0.0;
        lanes.accepted[s] = lanes.rejected[s] = 0;
        lanes.status[s] = DONE;
        lanes.previous[s] = 1e-4;
        lanes.log1[s] = lanes.log2[s] = 0.0;
        lanes.first[s] = 1;
        lanes.decay[s] = 0.0;
        lanes.size[s] = adaptive ? options.dt0 : equal;
        lanes.h[s] = 0.0;
        lanes.last[s] = 0;
    }
    block.sync();
    F::template eval<T>(block, theta, lanes.at, y, k, field_work);
    if (options.guided) tangent.start(y, k);

    if (adaptive && options.dt0 == 0.0) {
        // The first step of Hairer, Norsett and Wanner; `previous` holds d0 and then h0 for a while.
        mean_square<F, T>(all, y, y, y);
        if (options.guided) tangent.add_mean_square(v, v);
        for (int s = block.thread; s < T; s += block.threads) lanes.log1[s] = sqrt(lanes.error[s]);
        block.sync();
        mean_square<F, T>(all, k, y, y);
        if (options.guided) tangent.add_mean_square(k_tangent, v);
        for (int s = block.thread; s < T; s += block.threads) {
            const double d0 = lanes.log1[s], d1 = sqrt(lanes.error[s]);
            const double probe = d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * d0 / d1;
            lanes.h[s] = smaller(probe, length);
            lanes.log2[s] = d1;
            lanes.at[s] = options.t0 + direction * lanes.h[s];
        }
        block.sync();
        for (int e = block.thread; e < TILE_SIZE; e += block.threads) stage[e] = y[e] + R(direction * lanes.h[e % T]) * k[e];
        block.sync();
        R* there = y1;
        F::template eval<T>(block, theta, lanes.at, stage, there, field_work);
        if (options.guided) {
            R* rate = k_tangent + TILE_SIZE;
            for (int e = block.thread; e < TILE_SIZE; e += block.threads)
                error[e] = v[e] + R(direction * lanes.h[e % T]) * k_tangent[e];
            tangent.set_distance(stage);
            tangent.derive(stage, there, rate);
            for (int e = block.thread; e < TILE_SIZE; e += block.threads) rate[e] -= k_tangent[e];
        }
        for (int e = block.thread; e < TILE_SIZE; e += block.threads) there[e] -= k[e];
        block.sync();
        mean_square<F, T>(all, there, y, y);
        if (options.guided) {
            tangent.add_mean_square(k_tangent + TILE_SIZE, v);
            tangent.set_distance(y);
        }
        for (int s = block.thread; s < T; s += block.threads) {
            const double h0 = lanes.h[s], d1 = lanes.log2[s], d2 = sqrt(lanes.error[s]) / h0;
            const double most = larger(d1, d2);
            const double h1 = most <= 1e-15 ? larger(1e-6, 1e-3 * h0) : pow(0.01 / most, 1.0 / method.order);
            double h = smaller(smaller(100.0 * h0, h1), length);
            if (!(finite(d2) && finite(h) && h > 0.0)) h = h0;
            lanes.size[s] = h;
            lanes.log1[s] = lanes.log2[s] = 0.0;
        }
        block.sync();
    }

    int attempts = 0;
    for (;;) {
        // Which samples go on, and how far.
        for (int s = block.thread; s < T; s += block.threads) {
            lanes.last[s] = 0;
            if (!lanes.active[s]) {
                lanes.h[s] = 0.0;
                continue;
            }
            if (lanes.accepted[s] + lanes.rejected[s] == options.max_steps) {
                lanes.status[s] = MAX_STEPS;
                lanes.previous[s] = lanes.error[s];
                lanes.size[s] = magnitude(lanes.h[s]);
                lanes.active[s] = 0;
                lanes.h[s] = 0.0;
                continue;
            }
            if (adaptive) lanes.size[s] = larger(lanes.size[s], larger(resolution(lanes.t[s]), floor));
            const double remaining = magnitude(options.t1 - lanes.t[s]);
            const bool cut = remaining > farthest;
            double h = lanes.size[s];
            if (reach.of(h) >= (cut ? largest : remaining)) {
                h = cut ? remaining / ceil(remaining / farthest) : remaining;
                lanes.last[s] = !cut;
            }
            lanes.h[s] = lanes.last[s] ? options.t1 - lanes.t[s] : direction * h;
        }
        block.sync();
        if (block.thread == 0) {
            lanes.any = 0;
            for (int s = 0; s < T; ++s) lanes.any |= lanes.active[s];
        }
        block.sync();
        // With one size for the batch, all tiles end together.
        if (!lanes.any) break;

        for (int i = 1; i < method.stages; ++i) {
            if (!method.has[i]) continue;
            for (int s = block.thread; s < T; s += block.threads)
                lanes.at[s] = i == last_stage && lanes.last[s] ? options.t1 : lanes.t[s] + method.c[i] * lanes.h[s];
            block.sync();
            R* into = i == last_stage ? y1 : stage;
            combine<F, T>(block, lanes, method, i == last_stage ? method.b : method.a[i], i, y, k, into);
            F::template eval<T>(block, theta, lanes.at, into, k + i * TILE_SIZE, field_work);
        }
        if (options.guided) {
            for (int i = 1; i < method.stages; ++i) {
                if (!method.has[i]) continue;
                const bool ends = i == last_stage;
                const double* weights = ends ? method.b : method.a[i];
                for (int s = block.thread; s < T; s += block.threads) lanes.at[s] = lanes.t[s] + method.c[i] * lanes.h[s];
                if (!ends) combine<F, T>(block, lanes, method, weights, i, y, k, stage);
                combine<F, T>(block, lanes, method, weights, i, v, k_tangent, tangent.neighbour);
                if (ends) copy(block, TILE_SIZE, tangent.neighbour, tangent.v1);
                tangent.derive(ends ? y1 : stage, k + i * TILE_SIZE, k_tangent + i * TILE_SIZE);
            }
            combine<F, T>(block, lanes, method, method.b_err, method.stages, (const R*)nullptr, k_tangent, stage);
        }
        combine<F, T>(block, lanes, method, method.b_err, method.stages, (const R*)nullptr, k, error);
        mean_square<F, T>(all, error, y, y1);
        if (options.guided) tangent.add_mean_square(stage, tangent.v1);
        // All samples that go on have as many attempts behind them.
        if (adaptive && ++attempts == options.max_steps) {
            see_decay<F, T>(block, lanes, method, options, theta, y, y1, k, k, stage, error, field_work);
            if (options.guided)
                see_decay<F, T>(block, lanes, method, options, theta, y, y1, k, k_tangent, stage, error, field_work);
        }

        for (int s = block.thread; s < T; s += block.threads) {
            if (!lanes.active[s]) continue;
            const double square = lanes.error[s];
            bool accepted;
            const double factor = judge(lanes, s, options, method.order, square, accepted);
            const double tried = magnitude(lanes.h[s]);
            lanes.size[s] = adaptive ? tried * factor : equal;
            // 1: accepted; 2: rejected; from here on `active` says what becomes of the step.
            lanes.active[s] = accepted ? 1 : 2;
            if (accepted) {
                if (options.record > 0 && lanes.accepted[s] >= options.record) {
                    lanes.status[s] = RECORD_FULL;
                    lanes.active[s] = 0;
                }
            } else {
                lanes.rejected[s] += 1;
                // A size that is NaN, from a state that is, is none.
                if (!adaptive || !(lanes.size[s] >= larger(resolution(lanes.t[s]), floor))) {
                    lanes.status[s] = finite(square) ? TOO_SMALL : NOT_FINITE;
                    lanes.size[s] = tried;
                    lanes.previous[s] = square;
                    lanes.active[s] = 0;
                }
            }
        }
        block.sync();
        for (int e = block.thread; e < TILE_SIZE; e += block.threads) {
            const int s = e % T;
            if (lanes.active[s] != 1) continue;
            if (options.record > 0) record_y[lanes.accepted[s] * TILE_SIZE + e] = y[e];
            y[e] = y1[e];
            k[e] = k_last[e];
        }
        block.sync();
        if (options.guided) {
            if (block.thread == 0) {
                lanes.any = 0;
                for (int s = 0; s < T; ++s) lanes.any |= lanes.active[s] == 1;
            }
            for (int s = block.thread; s < T; s += block.threads) lanes.at[s] = lanes.t[s] + lanes.h[s];
            block.sync();
            // With one size for the batch, all tiles accept together.
            if (lanes.any) tangent.go_on(y, k, stage, last_stage);
        }
        for (int s = block.thread; s < T; s += block.threads) {
            if (lanes.active[s] == 1) {
                if (options.record > 0) {
                    record_t[lanes.accepted[s] * T + s] = lanes.t[s];
                    record_h[lanes.accepted[s] * T + s] = lanes.h[s];
                }
                lanes.accepted[s] += 1;
                lanes.t[s] = lanes.last[s] ? options.t1
                    : adaptive               ? lanes.t[s] + lanes.h[s]
                                             : options.t0 + lanes.accepted[s] * (direction * equal);
                if (lanes.last[s]) lanes.active[s] = 0;
            } else if (lanes.active[s] == 2) {
                lanes.active[s] = 1;
            }
        }
        block.sync();
    }

    for (int e = block.thread; e < TILE_SIZE; e += block.threads) {
        const int n = e / T, s = e % T;
        if (s < samples) y1_out[(first + s) * N + n] = y[e];
    }
    for (int s = block.thread; s < samples; s += block.threads) {
        Report& report = reports[first + s];
        report.status = lanes.status[s];
        report.accepted = lanes.accepted[s];
        report.rejected = lanes.rejected[s];
        report.t = lanes.t[s];
        // Of a sample that failed: the size and the error of its last step.
        report.h = direction * lanes.size[s];
        report.error = sqrt(lanes.previous[s]);
        report.decay = lanes.decay[s];
    }
    block.sync();
}

// What a walk back leaves of a step in one column, which is a sample or a tile: its size, zero where there is none, and squares
// of norms. `error` is that of the weighed cotangents of the stages' arguments; in a method without weights `first` and
// `error` are those of the cotangents of the first stage and of its argument.
struct StepNorms {
    double h, lambda, error, first;
};

// The exact derivative of the accepted steps of `solve`: from y1_bar, the cotangent of its result, to that of y0 and the
// tile's part of that of the parameters, which starts at zero. Stages are computed anew from the recorded states.
// `norms` has rows of `columns` columns: first that of y1_bar, then those of the steps, in the order of the walk.
template <class F, int T, class R>
NEURALODE_DEVICE void pull_back(
    const Block& block, const Grid& grid, Lanes<T>& lanes, const Method& method, const Options& options, int batch,
    const R* theta, const R* y1_bar, R* y0_bar, R* theta_bar, R* work, const Report* reports, const double* record_t,
    const double* record_h, const R* record_y, StepNorms* norms) {
    constexpr int N = F::N, TILE_SIZE = N * T;
    const int first = grid.index * T;
    const int samples = batch - first < T ? batch - first : T;
    R* lambda = work;
    R* y = lambda + TILE_SIZE;
    R* cotangent = y + TILE_SIZE;
    R* stage = cotangent + TILE_SIZE;
    R* k = stage + TILE_SIZE;
    R* g = k + STAGES * TILE_SIZE;
    R* field_work = g + (STAGES + 2) * TILE_SIZE;
    const int columns = options.share == PER_SAMPLE ? batch : grid.count;
    // From the samples' squares, in four places of `lanes`, a row of norms.
    const auto leave = [&](int row) {
        block.sync();
        StepNorms* to = norms + (long long)row * columns;
        const bool own = options.share == PER_SAMPLE;
        for (int s = block.thread; s < (own ? samples : 1); s += block.threads) {
            StepNorms sum = {lanes.h[s], 0.0, 0.0, 0.0};
            for (int of = own ? s : 0; of < (own ? s + 1 : samples); ++of) {
                sum.lambda += lanes.log1[of];
                sum.error += lanes.error[of];
                sum.first += lanes.log2[of];
            }
            to[own ? first + s : grid.index] = sum;
        }
        block.sync();
    };
    for (int e = block.thread; e < F::PARAMS; e += block.threads) theta_bar[e] = R(0);
    for (int e = block.thread; e < TILE_SIZE; e += block.threads) {
        const int n = e / T, s = e % T;
        lambda[e] = s < samples ? y1_bar[(first + s) * N + n] : R(0);
    }
    if (block.thread == 0) {
        lanes.any = 0;
        for (int s = 0; s < samples; ++s)
            if (reports[first + s].accepted > lanes.any) lanes.any = reports[first + s].accepted;
    }
    block.sync();
    for (int s = block.thread; s < samples; s += block.threads) {
        lanes.log1[s] = square_sum<F, T>(lambda, s);
        lanes.h[s] = lanes.error[s] = lanes.log2[s] = 0.0;
    }
    leave(0);
    const int longest = lanes.any;
    const int counted = method.stages - 1;
    for (int back = 1; back <= longest; ++back) {
        for (int s = block.thread; s < T; s += block.threads) {
            const int step = (s < samples ? reports[first + s].accepted : 0) - back;
            lanes.active[s] = step >= 0;
            lanes.accepted[s] = step >= 0 ? step : 0;
            lanes.t[s] = s < samples ? record_t[lanes.accepted[s] * T + s] : 0.0;
            lanes.h[s] = step >= 0 ? record_h[step * T + s] : 0.0;
        }
        block.sync();
        for (int e = block.thread; e < TILE_SIZE; e += block.threads) {
            const int s = e % T;
            y[e] = s < samples ? record_y[lanes.accepted[s] * TILE_SIZE + e] : record_y[e - s];
        }
        block.sync();
        for (int i = 0; i + 1 < counted; ++i) {
            if (!method.has[i]) continue;
            for (int s = block.thread; s < T; s += block.threads) lanes.at[s] = lanes.t[s] + method.c[i] * lanes.h[s];
            combine<F, T>(block, lanes, method, method.a[i], i, y, k, stage);
            F::template eval<T>(block, theta, lanes.at, stage, k + i * TILE_SIZE, field_work);
        }
        // The stages on which the step's result depends.
        unsigned used = 0;
        for (int i = counted - 1; i >= 0; --i) {
            bool needed = method.has[i] && method.b[i] != 0.0;
            for (int j = i + 1; j < counted; ++j) needed = needed || (used >> j & 1 && method.a[j][i] != 0.0);
            if (!needed) continue;
            used |= 1u << i;
            for (int s = block.thread; s < T; s += block.threads) lanes.at[s] = lanes.t[s] + method.c[i] * lanes.h[s];
            combine<F, T>(block, lanes, method, method.a[i], i, y, k, stage);
            for (int e = block.thread; e < TILE_SIZE; e += block.threads) {
                const double h = lanes.h[e % T];
                R sum = R(h * method.b[i]) * lambda[e];
                for (int j = i + 1; j < counted; ++j)
                    if (used >> j & 1 && method.a[j][i] != 0.0) sum += R(h * method.a[j][i]) * g[j * TILE_SIZE + e];
                cotangent[e] = sum;
            }
            block.sync();
            if (i == 0)
                for (int s = block.thread; s < samples; s += block.threads) lanes.log2[s] = square_sum<F, T>(cotangent, s);
            block.sync();
            F::template vjp<T>(block, theta, lanes.at, stage, cotangent, g + i * TILE_SIZE, theta_bar, field_work);
        }
        for (int e = block.thread; e < TILE_SIZE; e += block.threads) {
            if (!lanes.active[e % T]) continue;
            R sum = lambda[e];
            for (int j = 0; j < counted; ++j)
                if (used >> j & 1) sum += g[j * TILE_SIZE + e];
            lambda[e] = sum;
        }
        block.sync();
        for (int s = block.thread; s < samples; s += block.threads) {
            double error = method.weighs ? 0.0 : square_sum<F, T>(g, s);
            for (int n = 0; method.weighs && n < N; ++n) {
                double sum = 0.0;
                for (int j = 0; j < counted; ++j)
                    if (used >> j & 1) sum += method.signs[j] * (double)g[j * TILE_SIZE + n * T + s];
                error += sum * sum;
            }
            lanes.error[s] = error;
            lanes.log1[s] = square_sum<F, T>(lambda, s);
        }
        leave(back);
    }
    for (int e = block.thread; e < TILE_SIZE; e += block.threads) {
        const int n = e / T, s = e % T;
        if (s < samples) y0_bar[(first + s) * N + n] = lambda[e];
    }
    block.sync();
}

// What the norms of a walk back say of its gradient; `Quick` of the host.
struct Doubt {
    // The error, as far as these tell.
    double error;
    // Whether steps that grew tenfold led to one that is a large part of the span.
    int grew;
};

// Adds the columns of a row up in its first one: tiles that share a step size are one walk.
NEURALODE_DEVICE void join(StepNorms* row, int columns) {
    for (int column = 1; column < columns; ++column) {
        row->lambda += row[column].lambda;
        row->error += row[column].error;
        row->first += row[column].first;
    }
}

// Of the walk in a column.
NEURALODE_DEVICE Doubt doubt(
    const Method& method, const Options& options, const StepNorms* norms, int rows, int columns, int column) {
    const double span = magnitude(options.t1 - options.t0);
    double relative = 0.0, weighted = 0.0, weight = 0.0, given = 0.0, lambda = 0.0, last = 0.0, next = 0.0;
    Doubt doubt = {0.0, 0};
    for (int row = 0; row < rows; ++row) {
        const StepNorms& at = norms[(long long)row * columns + column];
        const double h = magnitude(at.h);
        if (row > 0 && h == 0.0) break;
        const double before = lambda;
        lambda = sqrt(at.lambda);
        if (row == 0) {
            given = lambda;
            continue;
        }
        const double size = larger(lambda, before);
        if (size > 0.0) {
            double error = 0.0;
            if (method.weighs) {
                error = sqrt(at.error) / size;
            } else if (at.first > 0.0) {
                const double z = h * sqrt(at.error / at.first);
                for (int k = method.stages - 1; k >= 0; --k) error = z * (method.linear[k] + error);
            }
            relative += error;
            weighted += relative * size * h;
            weight += size * h;
        }
        if (last >= 0.3 * span && last > 2.0 * next && next >= 9.999 * h) doubt.grew = 1;
        last = next;
        next = h;
    }
    const double scale = lambda > given ? lambda : given;
    const double y = scale > 0.0 ? relative * (lambda / scale) : 0.0, theta = weight > 0.0 ? weighted / weight : 0.0;
    doubt.error = !(finite(y) && finite(theta)) ? HUGE_SIZE : y > theta ? y : theta;
    return doubt;
}

}  // namespace neuralode
