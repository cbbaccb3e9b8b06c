#!/usr/bin/env bash
# Builds what runs on a GPU, on a machine that need not have one, and packs it for a machine that has a driver and
# CUDA 13's libraries (libcublas.so.13, libcublasLt.so.13, libnvrtc.so.13), but no Rust.
#
#   scripts/gpu.sh [PACK.tar.gz]                        here (default: target/gpu/pack.tar.gz)
#   tar xzf PACK.tar.gz && pack/gpu-run.sh RESULTS.json   there
#
# Needs python3, nvcc on the PATH and, for dfdx's build, CUDA's folder in CUDA_PATH and its libraries in LIBRARY_PATH; docs/cuda.md
# says where they come from without root. CUDA_COMPUTE_CAP names another compute capability than 90.
set -euo pipefail
# Of the folder in which it was called.
out=${1:+$(realpath -m "$1")}
cd "$(dirname "$0")/.."

if ! command -v nvcc >/dev/null 2>&1; then
    echo "gpu.sh: there is no nvcc on the PATH; docs/cuda.md says how to get one without root" >&2
    exit 1
fi
# Beside the builds without CUDA, which stay.
target=$PWD/target/gpu
out=${out:-$target/pack.tar.gz}
pack=$target/pack
rm -rf "$pack"
mkdir -p "$pack/kernels" "$(dirname "$out")"

# Programs on dfdx's `Cuda` device.
executable() { # the path of the program among cargo's messages
    python3 -c 'import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable"): print(message["executable"])' | tail -1
}
test=$(cargo test --target-dir "$target" --features cuda --test cuda_device --no-run --message-format=json-render-diagnostics | executable)
cp "$test" "$pack/cuda_device"
cargo build --target-dir "$target" --release --features cuda --example mnist_ode
cp "$target/release/examples/mnist_ode" "$pack/mnist_ode"

# Whole solves as kernels, with problems and what the processor makes of them; a program with the feature would not start
# here.
NEURALODE_GPU_PACK=$pack/kernels cargo test --test cuda_source gpu

strip "$pack/cuda_device" "$pack/mnist_ode" "$pack"/kernels/*/*Kernel
cp scripts/gpu-run.sh "$pack/"
git rev-parse HEAD > "$pack/commit"
tar -C "$target" -czf "$out" pack
echo "$out: $(du -h "$out" | cut -f1)"
