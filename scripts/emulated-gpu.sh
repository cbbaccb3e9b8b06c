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
# dfdx's `ci-check` compiles without CUDA and leaves its functions open, which the library has. A linker that adds it,
# instead of an argument for rustc, and the whole workspace let cargo use again what the tests have built.
linker=$folder/bin/cc
mkdir -p "$folder/bin"
printf '#!/bin/sh\nexec "%s" "$@" "%s"\n' "$(command -v cc)" "$library" > "$linker"
chmod +x "$linker"
test=$(PATH=$folder/bin:$PATH cargo test --workspace --test cuda_device --features cuda,dfdx/ci-check --no-run \
    --message-format=json-render-diagnostics | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -1)
"$test" a_block
EMULATED_GPU_FAILS=$folder/fails "$test" --exact a_failing_gpu_leaves_no_gradient_that_looks_right
