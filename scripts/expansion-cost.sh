#!/usr/bin/env bash
# What `cargo check` of a crate with 0, 1, 10 and 100 models costs, dependencies apart: the least of five runs, in seconds
# by the clock and of the processor. The latter hardly depends on what else the machine does.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$(pwd)
crate=$root/target/expansion-cost
mkdir -p "$crate/src"
cat > "$crate/Cargo.toml" <<TOML
[package]
name = "expansion-cost"
version = "0.0.0"
edition = "2021"
publish = false

[dependencies]
neuralode = { path = "$root" }

[workspace]
TOML
cp Cargo.lock "$crate/Cargo.lock"

# The tutorial's model, with widths that differ from model to model.
models() {
    echo '#![allow(dead_code)]'
    i=0
    while [ "$i" -lt "$1" ]; do
        width=$((i % 50 + 2))
        cat <<RUST
mod model_$i {
    use neuralode::prelude::*;

    neural_ode! {
        pub struct Model {
            input: [28, 28],
            encoder: [Flatten, Dense(784 => $width, tanh)],
            ode: Ode {
                field(t, y): [Dense($width => 10, tanh), Dense(10 => 10, tanh), Dense(10 => $width, tanh)],
                span: 0.0..1.0,
                solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
            },
            head: Dense($width => 10),
        }
    }
}
RUST
        i=$((i + 1))
    done
}

check() { cargo check --quiet --offline --manifest-path "$crate/Cargo.toml"; }

exec 3>&2
TIMEFORMAT='%R %U %S'
base=
echo '| models | seconds | processor seconds | per further model |'
echo '|---|---|---|---|'
for count in 0 1 10 100; do
    models "$count" > "$crate/src/lib.rs"
    check
    for _ in 1 2 3 4 5; do
        touch "$crate/src/lib.rs"
        { time check >&3 2>&3; } 2>&1
    done | awk -v count="$count" -v base="$base" '
        NR == 1 || $1 < clock { clock = $1 }
        NR == 1 || $2 + $3 < cpu { cpu = $2 + $3 }
        END {
            each = count > 0 ? sprintf("%.3f", (cpu - base) / count) : ""
            printf "| %d | %.2f | %.2f | %s |\n", count, clock, cpu, each
            if (count == 0) print cpu > "'"$crate/base"'"
        }'
    base=$(cat "$crate/base")
done
