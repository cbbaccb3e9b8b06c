#!/usr/bin/env bash
# Runs what scripts/gpu.sh packed, on a machine with a GPU, and writes what came of it as JSON.
#
#   pack/gpu-run.sh [RESULTS.json]
#
# The libraries of CUDA 13 are looked for in LD_LIBRARY_PATH and in the packages of this machine's Python (PyTorch and JAX
# bring them along).
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
results=$(realpath -m "${1:-results.json}")
wheels=$(python3 -c 'import glob, site
print(":".join(d for s in site.getsitepackages() for d in glob.glob(s + "/nvidia/*/lib")))' 2>/dev/null)
export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}:$wheels
text() { tr '"\\\n\t' "'/  " | tail -c 600; } # as the inside of a JSON string

gpu=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>&1 | head -1 | text)
printf '{"gpu": "%s", "commit": "%s", "runs": [' "$gpu" "$(cat "$here/commit")" > "$results"
first=1
failed=0
# name, status, one field of JSON
record() {
    [ $first = 1 ] || printf ',' >> "$results"
    first=0
    [ "$2" = 0 ] || failed=$((failed + 1))
    printf '\n {"name": "%s", "status": %s, %s}' "$1" "$2" "$3" >> "$results"
    printf '%-90s %s\n' "$1" "$([ "$2" = 0 ] && echo passed || echo "FAILED ($2)")"
}

# Its harness says `ok` where a test skips: that counts as a failure here.
said=$("$here/cuda_device" --nocapture 2>&1)
status=$?
case $said in *skipped:*) status=77 ;; esac
record cuda_device $status "\"said\": \"$(printf '%s' "$said" | text)\""

for binary in "$here"/kernels/*/*Kernel; do
    for problem in "$binary".*.in; do
        name=$(basename "$(dirname "$binary")")/$(basename "$problem" .in)
        said=$(timeout 60 "$binary" 200 < "$problem" 2>&1)
        status=$?
        case $said in
            '{'*) record "$name" $status "\"found\": $said" ;;
            *) record "$name" $status "\"said\": \"$(printf '%s' "$said" | text)\"" ;;
        esac
    done
done

for device in cpu cuda; do
    said=$(timeout 300 "$here/mnist_ode" --device $device --epochs 3 2>&1)
    record "mnist_ode --device $device" $? "\"said\": \"$(printf '%s' "$said" | text)\""
done

printf '\n], "failed": %s}\n' $failed >> "$results"
echo "$results: $failed failed"
[ $failed = 0 ]
