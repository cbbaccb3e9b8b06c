//! Buffers that outlive their owners, so that a training loop stops allocating after its first steps.

use std::{
    any::{Any, TypeId},
    cell::RefCell,
};

/// Buffers of one type that a thread keeps at most.
const KEPT: usize = 4096;

/// Buffers of states, all of one size in a solve.
pub(crate) struct States;
/// Records of products backwards.
pub(crate) struct Records;
/// All other buffers of solves.
pub(crate) struct Scratch;
/// What layers, losses and optimizers hand on from one training step to the next, of many sizes.
pub(crate) struct Numbers;

thread_local! {
    /// One list of free buffers per use and element type.
    static FREE: RefCell<Vec<(TypeId, Box<dyn Any>)>> = const { RefCell::new(Vec::new()) };
}

/// Runs `use_list` on the free buffers of `T` for the use `U`, which are no good for another, of other sizes; `None`
/// while the thread is being torn down.
pub(crate) fn with_list<U: 'static, T: 'static, R>(
    use_list: impl FnOnce(&mut Vec<Vec<T>>) -> R,
) -> Option<R> {
    FREE.try_with(|free| {
        let mut free = free.try_borrow_mut().ok()?;
        let key = TypeId::of::<(U, T)>();
        let known = free.iter().position(|(found, _)| *found == key);
        let index = known.unwrap_or_else(|| {
            free.push((key, Box::new(Vec::<Vec<T>>::new())));
            free.len() - 1
        });
        free.get_mut(index)?.1.downcast_mut().map(use_list)
    })
    .ok()
    .flatten()
}

/// A buffer that an owner gave back, with what it left in it, or an empty one.
pub(crate) fn take<U: 'static, T: 'static>() -> Vec<T> {
    with_list::<U, _, _>(Vec::pop).flatten().unwrap_or_default()
}

/// All buffers that owners gave back on this thread.
pub(crate) fn take_all<U: 'static, T: 'static>() -> Vec<Vec<T>> {
    with_list::<U, _, _>(core::mem::take).unwrap_or_default()
}

/// A buffer with room for so many, and no more if it is new: a small `Vec` that grows takes four at least.
pub(crate) fn with_room<U: 'static, T: 'static>(length: usize) -> Vec<T> {
    let mut buffer: Vec<T> = take::<U, _>();
    buffer.reserve_exact(length.saturating_sub(buffer.len()));
    buffer
}

/// Gives a buffer back.
pub(crate) fn give<U: 'static, T: 'static>(buffer: Vec<T>) {
    with_list::<U, _, _>(|list| {
        if list.len() < KEPT && buffer.capacity() > 0 {
            list.push(buffer);
        }
    });
}

/// A buffer of `length` copies of `value`.
pub(crate) fn filled<U: 'static, T: Copy + 'static>(length: usize, value: T) -> Vec<T> {
    let mut buffer = with_room::<U, _>(length);
    buffer.clear();
    buffer.resize(length, value);
    buffer
}

/// Frees the memory that this library keeps on this thread for later solves and training steps.
///
/// States, stages and scratch space of a solve, and the numbers that layers and losses hand on, go back to a list per
/// thread and type, like dfdx's own cache of tensors. A program that solved something large once, and will not again,
/// may want it back.
pub fn release_buffers() {
    // Neither a borrow under way nor a thread that ends is an error here.
    let _ = FREE.try_with(|free| free.try_borrow_mut().map(|mut free| free.clear()));
}
