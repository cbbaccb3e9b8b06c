#!/usr/bin/env bash
# Runs the blocks of tests/cuda_device.rs on a GPU that tests/support/emulated_gpu.cpp pretends to be: launches, their
# arguments and the lengths of all buffers, without a GPU, CUDA or nvcc. Needs a C++ compiler (`CXX`, else `c++`).
set -euo pipefail
cd "$(dirname "$0")/.."

compiler=${CXX:-c++}
if ! command -v "$compiler" >/dev/null 2>&1; then
    echo "emulated-gpu.sh: skipped, there is no C++ compiler $compiler" >&2
    exit 0
fi
folder=$PWD/target/emulated-gpu
mkdir -p "$folder"
library=$folder/libemulated_gpu.so
"$compiler" -std=c++20 -O1 -Wall -Wextra -Werror -shared -fPIC -o "$library" tests/support/emulated_gpu.cpp -ldl
# dfdx's `ci-check` compiles without CUDA and leaves its functions open, which the library has.
test=$(cargo rustc --test cuda_device --features cuda,dfdx/ci-check --message-format=json -- -C "link-arg=$library" |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -1)
"$test" a_block
