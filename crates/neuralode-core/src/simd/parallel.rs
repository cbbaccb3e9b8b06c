//! How many threads share a piece of work.

use crate::simd::awake::is_second_thread_awake;

/// Multiplications that are worth a thread: about 100 microseconds of arithmetic, against some ten that it
/// takes to wake one up.
const PER_THREAD: usize = 4_000_000;

/// Multiplications that are worth a thread that is awake: about four microseconds of arithmetic.
const PER_AWAKE_THREAD: usize = 150_000;

/// The same in a pool of more than two threads: for every piece that is handed on, rayon wakes one of those that sleep.
const PER_AWAKE_THREAD_OF_MANY: usize = 600_000;

/// Numbers read and written that are worth a thread where a pass through memory does little else.
const NUMBERS_PER_THREAD: usize = 1 << 16;

/// Threads for work of so many multiplications in so many parts.
pub(crate) fn threads(products: usize, parts: usize) -> usize {
    let threads = share(products, PER_THREAD, parts);
    let per_awake = if rayon::current_num_threads() > 2 {
        PER_AWAKE_THREAD_OF_MANY
    } else {
        PER_AWAKE_THREAD
    };
    if threads == 1 && share(products, per_awake, parts) > 1 && is_second_thread_awake() {
        return 2;
    }
    threads
}

/// Threads for a pass through memory over so many numbers in so many parts.
pub(crate) fn threads_of_pass(numbers: usize, parts: usize) -> usize {
    share(numbers, NUMBERS_PER_THREAD, parts)
}

fn share(work: usize, per_thread: usize, parts: usize) -> usize {
    if work < 2 * per_thread {
        return 1;
    }
    rayon::current_num_threads()
        .min(work / per_thread)
        .clamp(1, parts.max(1))
}

/// Cuts `parts` parts for so many threads: the number of parts that the first half of the threads takes.
pub(crate) fn first_half(parts: usize, threads: usize) -> usize {
    parts * (threads / 2) / threads.max(1)
}

/// Most groups of tiles.
const GROUPS: usize = 16;
/// Fewest tiles of a group, but for the last.
const PER_GROUP: usize = 2;

/// Tiles per group, given all of them.
pub(crate) fn tiles_of_group(tiles: usize) -> usize {
    tiles.div_ceil(GROUPS).max(PER_GROUP)
}
