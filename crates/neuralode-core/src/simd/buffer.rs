//! Memory that a training step takes and gives back, so that the next one finds it without page faults.

use core::{any::Any, fmt};

use crate::simd::pool;

/// Buffers of one type that a thread keeps; the oldest makes room.
const KEPT: usize = 32;

/// Runs `use_store` on the thread's free buffers, unless the thread is ending.
fn with_store<E: 'static, T>(use_store: impl FnOnce(&mut Vec<Vec<E>>) -> T) -> Option<T> {
    pool::with_list::<pool::Numbers, E, T>(use_store)
}

/// Bytes of the widest register, and of a cache line. Vectors that start elsewhere cost two accesses each, which
/// makes products of long rows up to 1.5 times slower.
const ALIGNMENT: usize = 64;

/// Numbers before the first cache line at most.
const fn padding<E>() -> usize {
    ALIGNMENT / size_of::<E>()
}

/// Where the first cache line of a memory starts that has [`padding`] to spare.
fn line_start<E>(numbers: &[E]) -> usize {
    numbers.as_ptr().align_offset(ALIGNMENT).min(padding::<E>())
}

/// Memory for `len` numbers that start on a cache line, and where they do; it stays there while it is not made longer.
/// `None` where there is not as much.
pub fn aligned<E: Copy + Default>(len: usize) -> Option<(Vec<E>, usize)> {
    let room = len.checked_add(padding::<E>())?;
    // Memory that the system has set to zero costs less than memory that is filled, but only the latter can be asked
    // for.
    Vec::<E>::new().try_reserve_exact(room).ok()?;
    let memory = vec![E::default(); room];
    let start = line_start(&memory);
    Some((memory, start))
}

/// `len` numbers in memory that goes back to the thread's store at the end; they start on a cache line.
pub struct Buffer<E: 'static> {
    /// At least `start + len` numbers: shortening would cost a fill when it grows again.
    numbers: Vec<E>,
    start: usize,
    len: usize,
}

impl<E: 'static> fmt::Debug for Buffer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl<E: 'static + Copy + Default> Buffer<E> {
    /// Numbers before the first cache line at most.
    const PADDING: usize = padding::<E>();

    /// Numbers of any value.
    pub fn new(len: usize) -> Self {
        let room = len + Self::PADDING;
        let stored = with_store(|store| {
            let fitting = store.iter().enumerate().filter(|(_, b)| b.len() >= room);
            let best = fitting.min_by_key(|(_, b)| b.len()).map(|(at, _)| at);
            best.map(|at| store.swap_remove(at))
        });
        let numbers = stored.flatten().unwrap_or_else(|| vec![E::default(); room]);
        let start = line_start(&numbers);
        Self {
            numbers,
            start,
            len,
        }
    }

    /// A copy of `numbers`.
    pub fn copy_of(numbers: &[E]) -> Self {
        let mut copy = Self::new(numbers.len());
        copy.as_mut_slice().copy_from_slice(numbers);
        copy
    }

    /// The numbers.
    pub fn as_slice(&self) -> &[E] {
        &self.numbers[self.start..][..self.len]
    }

    /// The numbers.
    pub fn as_mut_slice(&mut self) -> &mut [E] {
        &mut self.numbers[self.start..][..self.len]
    }

    /// The numbers under another name of their type, if it is one.
    pub fn as_mut_slice_of<Other: 'static>(&mut self) -> Option<&mut [Other]> {
        let numbers: &mut dyn Any = &mut self.numbers;
        numbers
            .downcast_mut::<Vec<Other>>()
            .and_then(|numbers| numbers.get_mut(self.start..)?.get_mut(..self.len))
    }
}

impl<E: 'static> Drop for Buffer<E> {
    fn drop(&mut self) {
        let numbers = core::mem::take(&mut self.numbers);
        with_store(|store| {
            if store.len() >= KEPT {
                store.remove(0);
            }
            store.push(numbers);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{with_store, Buffer, KEPT};
    use crate::simd::pool::release_buffers;

    #[test]
    fn numbers_start_on_a_cache_line() {
        fn check<E: 'static + Copy + Default>() {
            // Held at once: each has memory of its own.
            let held: Vec<_> = (0..20).map(|i| Buffer::<E>::new(1 + 37 * i)).collect();
            for buffer in &held {
                assert_eq!(buffer.as_slice().as_ptr().addr() % 64, 0);
            }
        }
        check::<f32>();
        check::<f64>();
    }

    #[test]
    fn a_buffer_is_used_again_and_the_store_stays_small() {
        let first = Buffer::<f64>::new(1000);
        let at = first.as_slice().as_ptr();
        drop(first);
        let again = Buffer::<f64>::new(900);
        assert_eq!(
            (again.as_slice().as_ptr(), again.as_slice().len()),
            (at, 900)
        );
        drop((0..3 * KEPT).map(Buffer::<f64>::new).collect::<Vec<_>>());
        assert_eq!(
            with_store(|store: &mut Vec<Vec<f64>>| store.len()),
            Some(KEPT)
        );
        release_buffers();
        assert_eq!(with_store(|store: &mut Vec<Vec<f64>>| store.len()), Some(0));
    }
}
