//! Random numbers that are a function of their place: no generator to share, no order to keep.

/// Four random words for each `counter` under each `key`: the generator Philox 4x32 with ten rounds.
///
/// J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011,
/// DOI 10.1145/2063384.2063405.
pub(super) fn philox([mut a, mut b, mut c, mut d]: [u32; 4], key: u64) -> [u32; 4] {
    let [mut k, mut l] = halves(key);
    for _ in 0..10 {
        let [low_a, high_a] = halves(u64::from(a) * 0xd251_1f53);
        let [low_c, high_c] = halves(u64::from(c) * 0xcd9e_8d57);
        (a, b, c, d) = (high_c ^ b ^ k, low_c, high_a ^ d ^ l, low_a);
        k = k.wrapping_add(0x9e37_79b9);
        l = l.wrapping_add(0xbb67_ae85);
    }
    [a, b, c, d]
}

/// The low and the high half of a number.
pub(super) const fn halves(number: u64) -> [u32; 2] {
    #[allow(clippy::cast_possible_truncation, reason = "each half is what is left")]
    [number as u32, (number >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::philox;

    /// The known answers that come with the authors' library Random123 (`kat_vectors`).
    #[test]
    fn the_generator_gives_its_published_numbers() {
        assert_eq!(
            philox([0; 4], 0),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox([u32::MAX; 4], u64::MAX),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        let counter = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(
            philox(counter, 0x299f_31d0_a409_3822),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }
}
