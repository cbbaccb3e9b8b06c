#!/bin/sh
# How long `cargo check` takes for a crate with 0, 1, 10 and 100 models, dependencies apart: the least of three runs.
set -eu
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

for count in 0 1 10 100; do
    models "$count" > "$crate/src/lib.rs"
    cargo check --quiet --offline --manifest-path "$crate/Cargo.toml"
    best=
    for _ in 1 2 3; do
        touch "$crate/src/lib.rs"
        start=$(date +%s%N)
        cargo check --quiet --offline --manifest-path "$crate/Cargo.toml"
        took=$((($(date +%s%N) - start) / 1000000))
        if [ -z "$best" ] || [ "$took" -lt "$best" ]; then best=$took; fi
    done
    printf '%4d models: %d ms\n' "$count" "$best"
done
