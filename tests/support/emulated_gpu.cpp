// A GPU for tests on machines that have none: as much of CUDA's driver, NVRTC and cuBLAS as blocks on dfdx's `Cuda`
// device need. scripts/emulated-gpu.sh builds it as libraries and runs tests with them.
//
// NVRTC compiles kernels with the C++ compiler of this machine. A launch forks a process for each block, so that static
// variables are its shared memory and device memory is what they all see; the threads of a block take turns from barrier
// to barrier. Every buffer ends at a page that nobody may touch: a kernel that goes past one fails, and so does one
// whose threads do not meet at their barriers. Where EMULATED_GPU_FAILS names a file with a number, the call of that number
// from then on fails, of those that allocate, fill, launch, or copy to the device: what fails while a GPU goes on working.

#include <dlfcn.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace {

constexpr int OK = 0, INVALID = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500, FAILED = 719;
constexpr int MULTIPROCESSORS = 5;
constexpr size_t PAGE = 4096, STACK = 64 * 1024;

std::mutex lock;
std::map<uintptr_t, std::pair<void*, size_t>> buffers;  // where each starts: what was mapped

// Whether this call is the one that shall fail; counts down in the file.
bool fails() {
    static const char* const path = std::getenv("EMULATED_GPU_FAILS");
    if (!path) return false;
    const std::lock_guard<std::mutex> guard(lock);
    long left = 0;
    std::ifstream(path) >> left;
    if (left <= 0) return false;
    std::ofstream(path) << left - 1;
    return left == 1;
}

// ---- Kernels of dfdx, by name. Their arguments are those of its sources.

template <class X> X argument(void** arguments, int index) { return *(X*)arguments[index]; }

size_t place(size_t i, size_t axes, const size_t* dims, const size_t* strides) {
    size_t at = 0;
    for (size_t d = axes; d-- > 0; i /= dims[d]) at += i % dims[d] * strides[d];
    return at;
}

template <class R, R (*OPERATION)(R, R)> void combine(void** a) {
    const auto count = argument<size_t>(a, 1), axes = argument<size_t>(a, 2);
    const auto* info = argument<const size_t*>(a, 3);
    const auto *x = argument<const R*>(a, 4), *y = argument<const R*>(a, 5);
    auto* out = argument<R*>(a, 6);
    for (size_t i = 0; i < count; ++i) {
        const R left = x ? x[place(i, axes, info, info + axes)] : out[i];
        out[i] = OPERATION(left, y ? y[place(i, axes, info, info + 2 * axes)] : out[i]);
    }
}
template <class R> R product(R x, R y) { return x * y; }
template <class R> R total(R x, R y) { return x + y; }

// The gradient of one factor from the other one.
template <class R> void multiply_back(size_t count, size_t axes, const size_t* info, const R* other, R* bar, size_t chunk, const R* c) {
    for (size_t i = 0; i < count; ++i)
        bar[i / chunk] += other[place(i, axes, info, info + 2 * axes)] * c[place(i, axes, info, info + axes)];
}
template <class R> void multiply_back_left(void** a) {
    const auto axes = argument<size_t>(a, 2);
    multiply_back(argument<size_t>(a, 1), axes, argument<const size_t*>(a, 3), argument<const R*>(a, 7), argument<R*>(a, 5),
        argument<size_t>(a, 6), argument<const R*>(a, 8));
}
template <class R> void multiply_back_right(void** a) {
    const auto axes = argument<size_t>(a, 2);
    multiply_back(argument<size_t>(a, 1), axes, argument<const size_t*>(a, 3) + 3 * axes, argument<const R*>(a, 4),
        argument<R*>(a, 6), argument<size_t>(a, 7), argument<const R*>(a, 8));
}

template <class R> void sum(void** a) {
    const auto count = argument<size_t>(a, 0), axes = argument<size_t>(a, 1), chunk = argument<size_t>(a, 3);
    const auto* info = argument<const size_t*>(a, 4);
    for (size_t i = 0; i < count; ++i)
        argument<R*>(a, 6)[i / chunk] += argument<const R*>(a, 5)[place(i, axes, info, info + axes)] * argument<R>(a, 2);
}
template <class R> void sum_back(void** a) {
    const auto count = argument<size_t>(a, 0), axes = argument<size_t>(a, 1);
    const auto* info = argument<const size_t*>(a, 3);
    for (size_t i = 0; i < count; ++i) {
        size_t rest = i, from = 0, to = 0;
        for (size_t d = axes; d-- > 0; rest /= info[d]) {
            from += rest % info[d] * info[axes + d];
            to += rest % info[d] * info[2 * axes + d];
        }
        argument<R*>(a, 4)[from] += argument<const R*>(a, 5)[to] * argument<R>(a, 2);
    }
}

using Builtin = void (*)(void**);
const std::map<std::string, Builtin> BUILTINS = {
    {"badd_fwd_f32", combine<float, total>}, {"badd_fwd_f64", combine<double, total>},
    {"bmul_fwd_f32", combine<float, product>}, {"bmul_fwd_f64", combine<double, product>},
    {"bmul_bwd_lhs_f32", multiply_back_left<float>}, {"bmul_bwd_lhs_f64", multiply_back_left<double>},
    {"bmul_bwd_rhs_f32", multiply_back_right<float>}, {"bmul_bwd_rhs_f64", multiply_back_right<double>},
    {"sum_to_fwd_f32", sum<float>}, {"sum_to_fwd_f64", sum<double>},
    {"sum_to_bwd_f32", sum_back<float>}, {"sum_to_bwd_f64", sum_back<double>},
};

// ---- Kernels that NVRTC compiled.

// What comes before a program: CUDA's words in terms of C++.
const char* const PRELUDE = R"(
#include <cmath>
#include <sched.h>
#include <utility>
#define __device__
#define __forceinline__ inline
#define __global__
#define __shared__ static
using std::pow; using std::sqrt;
struct Dim { unsigned x, y, z; };
extern "C" { Dim threadIdx, blockIdx, blockDim, gridDim; void (*emulated_barrier)(); }
static void __syncthreads() { emulated_barrier(); }
static void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
template <class X> static X atomicAdd(X* to, X x) { if (!x) sched_yield(); return __atomic_fetch_add(to, x, __ATOMIC_SEQ_CST); }
static int atomicMin(int* to, int x) {
    int old = __atomic_load_n(to, __ATOMIC_SEQ_CST);
    while (x < old && !__atomic_compare_exchange_n(to, &old, x, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {}
    return old;
}
template <class... A, size_t... I> static void emulated_call(void (*kernel)(A...), void** a, std::index_sequence<I...>) {
    kernel(*(std::remove_cv_t<A>*)a[I]...);
}
template <class... A> static void emulated_call(void (*kernel)(A...), void** a) {
    emulated_call(kernel, a, std::index_sequence_for<A...>());
}
#line 1 "program"
)";

struct Program {
    std::string source, library, log;
};

struct Function {
    Builtin builtin = nullptr;
    void* library = nullptr;
    Builtin kernel = nullptr;
};

struct Dim {
    unsigned x, y, z;
};

struct Place {
    jmp_buf buffer;
};

// The threads of a block, in the process of that block.
struct Threads {
    // A thread starts by its context; from then on it is left and entered by jumps, which make no system calls.
    ucontext_t start, first;
    jmp_buf scheduler;
    std::vector<Place> places;
    std::vector<std::unique_ptr<char[]>> stacks;
    std::vector<char> waits, done;
    Dim* index;
    unsigned running = 0;
    Builtin kernel;
    void** arguments;
};
Threads* block = nullptr;

void barrier() {
    block->waits[block->running] = 1;
    if (_setjmp(block->places[block->running].buffer) == 0) _longjmp(block->scheduler, 1);
}

void run_thread() {
    block->kernel(block->arguments);
    block->done[block->running] = 1;
    _longjmp(block->scheduler, 1);
}

void enter(bool first) {
    if (_setjmp(block->scheduler) != 0) return;
    if (!first) _longjmp(block->places[block->running].buffer, 1);
    block->stacks.push_back(std::make_unique_for_overwrite<char[]>(STACK));
    getcontext(&block->first);
    block->first.uc_stack.ss_sp = block->stacks.back().get();
    block->first.uc_stack.ss_size = STACK;
    makecontext(&block->first, run_thread, 0);
    swapcontext(&block->start, &block->first);
}

// Runs a block to its end; false if some of its threads waited for others that had ended.
bool run_block(const Function& function, Dim at, Dim blocks, unsigned threads, void** arguments) {
    const auto symbol = [&](const char* name) { return dlsym(function.library, name); };
    *(Dim*)symbol("blockIdx") = at;
    *(Dim*)symbol("gridDim") = blocks;
    *(Dim*)symbol("blockDim") = {threads, 1, 1};
    *(void (**)())symbol("emulated_barrier") = barrier;
    Threads all;
    block = &all;
    all.index = (Dim*)symbol("threadIdx");
    all.kernel = function.kernel;
    all.arguments = arguments;
    all.places.resize(threads);
    all.waits.resize(threads);
    all.done.resize(threads);
    for (bool first = true;; first = false) {
        unsigned waiting = 0, ended = 0;
        for (unsigned t = 0; t < threads; ++t) {
            if (all.done[t]) continue;
            all.waits[t] = 0;
            all.running = t;
            *all.index = {t, 0, 0};
            enter(first);
            (all.waits[t] ? waiting : ended) += 1;
        }
        if (waiting == 0) return true;
        if (ended != 0) return false;
    }
}

int launch(const Function& function, Dim blocks, unsigned threads, void** arguments) {
    if (function.builtin) return function.builtin(arguments), OK;
    if (!function.kernel) return NOT_FOUND;
    // A group of processes: where one fails, the others may wait for it.
    pid_t group = 0;
    for (unsigned b = 0; b < blocks.x; ++b) {
        const pid_t child = fork();
        if (child == 0) _exit(run_block(function, {b, 0, 0}, blocks, threads, arguments) ? 0 : 1);
        if (child < 0 || setpgid(child, group) != 0) {
            if (child > 0) kill(child, SIGKILL);
            if (group != 0) kill(-group, SIGKILL);
            return FAILED;
        }
        if (group == 0) group = child;
    }
    bool passed = true;
    for (unsigned b = 0; b < blocks.x; ++b) {
        int status = 1;
        if (waitpid(-group, &status, 0) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
        if (passed) std::fprintf(stderr, "emulated GPU: a block failed with status %d\n", status);
        kill(-group, SIGKILL);
        passed = false;
    }
    return passed ? OK : FAILED;
}

int copy(void* to, const void* from, size_t bytes) { return fails() ? FAILED : (std::memcpy(to, from, bytes), OK); }

}  // namespace

extern "C" {

// ---- The driver.

int cuInit(unsigned) { return OK; }
int cuDeviceGetCount(int* count) { return *count = 1, OK; }
int cuDeviceGet(int* device, int ordinal) { return *device = ordinal, ordinal == 0 ? OK : INVALID; }
int cuDeviceGetAttribute(int* value, int attribute, int) {
    // Multiprocessors; whether there are pools of memory, which give nothing where nothing is asked for.
    return *value = attribute == 16 ? MULTIPROCESSORS : attribute == 115, OK;
}
int cuDevicePrimaryCtxRetain(void** context, int) { return *context = (void*)1, OK; }
int cuDevicePrimaryCtxRelease_v2(int) { return OK; }
int cuCtxSetCurrent(void*) { return OK; }
int cuEventCreate(void** event, unsigned) { return *event = (void*)1, OK; }
int cuEventDestroy_v2(void*) { return OK; }
int cuEventRecord(void*, void*) { return OK; }
int cuStreamCreate(void** stream, unsigned) { return *stream = (void*)1, OK; }
int cuStreamDestroy_v2(void*) { return OK; }
int cuStreamSynchronize(void*) { return OK; }
int cuStreamWaitEvent(void*, void*, unsigned) { return OK; }
int cuGetErrorString(int error, const char** text) {
    *text = error == FAILED ? "a call failed" : error == OUT_OF_MEMORY ? "out of memory" : error == NOT_FOUND ? "the emulated GPU has no such kernel" : "invalid value";
    return OK;
}

int cuMemAlloc_v2(uintptr_t* at, size_t bytes) {
    if (bytes == 0) return *at = 0, OK;
    if (fails()) return OUT_OF_MEMORY;
    const size_t pages = (bytes + PAGE - 1) / PAGE * PAGE;
    char* mapped = (char*)mmap(nullptr, pages + PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED || mprotect(mapped + pages, PAGE, PROT_NONE) != 0) return INVALID;
    *at = (uintptr_t)(mapped + pages - bytes);
    const std::lock_guard<std::mutex> guard(lock);
    buffers[*at] = {mapped, pages + PAGE};
    return OK;
}
int cuMemFree_v2(uintptr_t at) {
    const std::lock_guard<std::mutex> guard(lock);
    const auto buffer = buffers.find(at);
    if (buffer == buffers.end()) return at == 0 ? OK : INVALID;
    munmap(buffer->second.first, buffer->second.second);
    buffers.erase(buffer);
    return OK;
}
int cuMemAllocAsync(uintptr_t* at, size_t bytes, void*) { return cuMemAlloc_v2(at, bytes); }
int cuMemFreeAsync(uintptr_t at, void*) { return cuMemFree_v2(at); }
int cuMemsetD8_v2(uintptr_t at, unsigned char value, size_t bytes) {
    return fails() ? FAILED : (std::memset((void*)at, value, bytes), OK);
}
int cuMemsetD8Async(uintptr_t at, unsigned char value, size_t bytes, void*) { return cuMemsetD8_v2(at, value, bytes); }
int cuMemcpyHtoD_v2(uintptr_t to, const void* from, size_t bytes) { return copy((void*)to, from, bytes); }
int cuMemcpyHtoDAsync_v2(uintptr_t to, const void* from, size_t bytes, void*) { return cuMemcpyHtoD_v2(to, from, bytes); }
int cuMemcpyDtoH_v2(void* to, uintptr_t from, size_t bytes) { return std::memcpy(to, (const void*)from, bytes), OK; }
int cuMemcpyDtoHAsync_v2(void* to, uintptr_t from, size_t bytes, void*) { return cuMemcpyDtoH_v2(to, from, bytes); }
int cuMemcpyDtoD_v2(uintptr_t to, uintptr_t from, size_t bytes) { return copy((void*)to, (const void*)from, bytes); }
int cuMemcpyDtoDAsync_v2(uintptr_t to, uintptr_t from, size_t bytes, void*) { return cuMemcpyDtoD_v2(to, from, bytes); }

// A module is the library that NVRTC made, or a file of dfdx, whose kernels are known by their names.
int cuModuleLoadData(void** module, const void* image) {
    const std::filesystem::path path = (const char*)image;
    if (!path.is_absolute()) return *module = (void*)1, OK;
    *module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    std::filesystem::remove_all(path.parent_path());
    return *module ? OK : INVALID;
}
int cuModuleLoad(void**, const char*) { return NOT_FOUND; }
int cuModuleUnload(void*) { return OK; }
int cuModuleGetFunction(void** function, void* module, const char* name) {
    auto* found = new Function;
    if (module != (void*)1) {
        found->library = module;
        found->kernel = (Builtin)dlsym(module, (std::string("emulated_") + name).c_str());
        if (!found->kernel) return NOT_FOUND;
    } else if (const auto builtin = BUILTINS.find(name); builtin != BUILTINS.end()) {
        found->builtin = builtin->second;
    }
    *function = found;
    return OK;
}
int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
    void*, void** arguments, void**) {
    (void)shared;
    if (gx == 0 || gy != 1 || gz != 1 || bx == 0 || bx > 1024 || by != 1 || bz != 1) return INVALID;
    return fails() ? FAILED : launch(*(Function*)function, {gx, gy, gz}, bx, arguments);
}
int cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, void*, int, size_t, unsigned) { return *blocks = 2, OK; }

// ---- NVRTC.

int nvrtcCreateProgram(void** program, const char* source, const char*, int, const char* const*, const char* const*) {
    *program = new Program{source, "", ""};
    return OK;
}
int nvrtcCompileProgram(void* handle, int, const char* const*) {
    auto& program = *(Program*)handle;
    std::string folder = std::filesystem::temp_directory_path() / "emulated-gpu-XXXXXX";
    if (!mkdtemp(folder.data())) return INVALID;
    const std::string stem = folder + "/program";
    std::ofstream text(stem + ".cpp");
    text << PRELUDE << program.source;
    const std::string mark = "__global__ void ";
    for (size_t at = 0; (at = program.source.find(mark, at)) != std::string::npos;) {
        at += mark.size();
        const std::string name = program.source.substr(at, program.source.find('(', at) - at);
        text << "extern \"C\" void emulated_" << name << "(void** a) { emulated_call(" << name << ", a); }\n";
    }
    text.close();
    program.library = stem + ".so";
    const char* compiler = std::getenv("CXX");
    const std::string command = std::string(compiler ? compiler : "c++") + " -std=c++20 -O1 -w -shared -fPIC -o " +
        program.library + " " + stem + ".cpp 2> " + stem + ".log";
    const bool compiled = std::system(command.c_str()) == 0;
    std::ifstream log(stem + ".log");
    program.log.assign(std::istreambuf_iterator<char>(log), {});
    return compiled ? OK : 6;
}
int nvrtcGetProgramLogSize(void* program, size_t* bytes) { return *bytes = ((Program*)program)->log.size() + 1, OK; }
int nvrtcGetProgramLog(void* program, char* log) { return std::strcpy(log, ((Program*)program)->log.c_str()), OK; }
int nvrtcGetPTXSize(void* program, size_t* bytes) { return *bytes = ((Program*)program)->library.size() + 1, OK; }
int nvrtcGetPTX(void* program, char* ptx) { return std::strcpy(ptx, ((Program*)program)->library.c_str()), OK; }
int nvrtcDestroyProgram(void** program) { return delete (Program*)*program, OK; }

// ---- cuBLAS, which opens and can do nothing.

int cublasCreate_v2(void** handle) { return *handle = (void*)1, OK; }
int cublasDestroy_v2(void*) { return OK; }
int cublasSetStream_v2(void*, void*) { return OK; }
int cublasSgemm_v2(void) { return 15; }
int cublasDgemm_v2(void) { return 15; }

}  // extern "C"
