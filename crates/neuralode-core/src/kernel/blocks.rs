//! Blocks of accumulators: as many rows at once as keep the multiply-add pipeline full.

/// Registers per row that a block of accumulators spans.
pub(crate) const SPAN: usize = 2;

/// Fails to compile unless tiles of `L` samples are whole blocks of [`SPAN`] of the widest registers: loops over such
/// blocks would leave out what is left.
pub(crate) const fn assert_whole_blocks<E, const L: usize>() {
    /// Bytes of the widest register.
    const WIDEST: usize = 64;
    assert!(
        L > 0 && (L * size_of::<E>()).is_multiple_of(SPAN * WIDEST),
        "tiles have a multiple of 32 samples in f32, and of 16 in f64"
    );
}

/// The registers of a row from `at` on. An array: a copy of a slice is a call of a function.
#[inline(always)]
pub(crate) fn span<R>(row: &[R], at: usize) -> &[R; SPAN] {
    &row[at..at + SPAN].as_chunks().0[0]
}

/// The same, to be written.
#[inline(always)]
pub(crate) fn span_mut<R>(row: &mut [R], at: usize) -> &mut [R; SPAN] {
    &mut row[at..at + SPAN].as_chunks_mut().0[0]
}

/// Rows of accumulators in a block over `n` rows: 4 to 6 chains of multiply-adds for each of [`SPAN`]
/// registers fill the pipeline, and fit 16 registers.
pub(crate) const fn block(n: usize) -> usize {
    match n {
        0..=6 => n,
        _ if n.is_multiple_of(6) => 6,
        _ if n.is_multiple_of(5) => 5,
        _ if n.is_multiple_of(4) => 4,
        // The remainder is the longest.
        _ if n % 6 >= n % 5 && n % 6 >= n % 4 => 6,
        _ if n % 5 >= n % 4 => 5,
        _ => 4,
    }
}

/// Runs `$body` for all rows `0..$n` in blocks of a constant number of rows `$k` from row `$at` on.
macro_rules! in_blocks {
    ($n:expr, |$at:ident, $k:ident| $body:expr) => {
        let mut $at = 0;
        macro_rules! blocks_of {
            ($size:literal) => {{
                const $k: usize = $size;
                while $n - $at >= $size {
                    $body;
                    $at += $size;
                }
            }};
        }
        match const { $crate::kernel::blocks::block($n) } {
            6 => blocks_of!(6),
            5 => blocks_of!(5),
            4 => blocks_of!(4),
            3 => blocks_of!(3),
            2 => blocks_of!(2),
            1 => blocks_of!(1),
            _ => {}
        }
        match const {
            if $n == 0 {
                0
            } else {
                $n % $crate::kernel::blocks::block($n)
            }
        } {
            5 => blocks_of!(5),
            4 => blocks_of!(4),
            3 => blocks_of!(3),
            2 => blocks_of!(2),
            1 => blocks_of!(1),
            _ => {}
        }
    };
}

pub(crate) use in_blocks;
