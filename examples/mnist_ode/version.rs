//! What this program was built with and runs on: the tutorial's `versioninfo()`.

use std::{env, fs, thread};

use crate::screen::say;

pub(crate) fn print() {
    say!("neuralode  {}", env!("CARGO_PKG_VERSION"));
    say!("toolchain  {}", toolchain());
    say!("tensors    dfdx 0.13");
    say!(
        "features   {}",
        if cfg!(feature = "cuda") {
            "cuda"
        } else {
            "none (CPU only)"
        }
    );
    say!(
        "profile    {}",
        if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        }
    );
    say!("system     {} {}", env::consts::OS, env::consts::ARCH);
    say!("processor  {}", processor());
    say!(
        "threads    {}",
        thread::available_parallelism().map_or(1, usize::from)
    );
    say!("SIMD       {}", simd());
}

/// The pinned toolchain.
fn toolchain() -> &'static str {
    include_str!("../../rust-toolchain.toml")
        .split('"')
        .nth(1)
        .unwrap_or("unknown")
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split(':').nth(1))
        .map_or_else(|| "unknown".to_owned(), |name| name.trim().to_owned())
}

#[cfg(target_arch = "x86_64")]
fn simd() -> String {
    let found = [
        ("AVX-512F", is_x86_feature_detected!("avx512f")),
        ("AVX2", is_x86_feature_detected!("avx2")),
        ("FMA", is_x86_feature_detected!("fma")),
    ];
    let names: Vec<&str> = found
        .into_iter()
        .filter(|(_, found)| *found)
        .map(|(name, _)| name)
        .collect();
    if names.is_empty() {
        "SSE2".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn simd() -> String {
    "the architecture's baseline".to_owned()
}
