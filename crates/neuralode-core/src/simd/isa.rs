//! The instruction sets under which kernels run.

use pulp::{Arch, Simd, WithSimd};

/// Whether this processor has vector instructions with fused multiply-adds, for which generated kernels are
/// compiled. Without them a generated field runs through the portable operations.
pub fn has_vectors() -> bool {
    match Arch::new() {
        #[cfg(target_arch = "x86_64")]
        Arch::V4(_) | Arch::V3(_) => true,
        #[cfg(target_arch = "aarch64")]
        Arch::Neon(_) => true,
        _ => false,
    }
}

/// The instruction sets of this processor for which generated kernels are compiled, the widest first: for tests
/// and benchmarks, with [`HostEngine::under`](crate::engine::tiles::HostEngine::under).
pub fn instruction_sets() -> Vec<Arch> {
    let mut sets = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        sets.extend(pulp::x86::V4::try_new().map(Arch::V4));
        sets.extend(pulp::x86::V3::try_new().map(Arch::V3));
    }
    #[cfg(target_arch = "aarch64")]
    sets.extend(pulp::aarch64::Neon::try_new().map(Arch::Neon));
    sets
}

/// A field of kernels, by the processors that it is compiled for.
pub trait Compiled {
    /// Whether that includes those without vector instructions. Others never get there (`has_vectors` keeps
    /// them away), and are not compiled once more for it.
    const BASELINE: bool;
}

/// Runs `op`, which belongs to the field `G`, under the widest instructions of `arch`; `None` where it was not
/// compiled for them.
#[inline]
pub(crate) fn dispatch<G: Compiled, O: WithSimd>(arch: Arch, op: O) -> Option<O::Output> {
    match arch {
        #[cfg(target_arch = "x86_64")]
        Arch::V4(simd) => Some(Simd::vectorize(simd, op)),
        #[cfg(target_arch = "x86_64")]
        Arch::V3(simd) => Some(Simd::vectorize(simd, op)),
        #[cfg(target_arch = "aarch64")]
        Arch::Neon(simd) => Some(Simd::vectorize(simd, op)),
        _ => {
            if const { G::BASELINE } {
                Some(Simd::vectorize(pulp::Scalar, op))
            } else {
                None
            }
        }
    }
}
