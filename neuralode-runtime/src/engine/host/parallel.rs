//! How many threads share a piece of work.

/// Multiplications that are worth a thread: about 100 microseconds of arithmetic, against some ten that it
/// takes to wake one up.
const PER_THREAD: usize = 4_000_000;

/// Threads for work of so many multiplications in so many parts.
pub(super) fn threads(products: usize, parts: usize) -> usize {
    if products < 2 * PER_THREAD {
        return 1;
    }
    rayon::current_num_threads()
        .min(products / PER_THREAD)
        .clamp(1, parts.max(1))
}

/// Cuts `parts` parts for so many threads: the number of parts that the first half of the threads takes.
pub(super) fn first_half(parts: usize, threads: usize) -> usize {
    parts * (threads / 2) / threads.max(1)
}
