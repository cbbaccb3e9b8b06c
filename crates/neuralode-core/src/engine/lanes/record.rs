//! What a solve with a step size per sample leaves for its derivative: every attempt of its lanes, and who was in them.

use std::sync::{Mutex, PoisonError};

use crate::{
    kernel::tile::{Row, Tile},
    simd::{pool, real::Real},
};

/// Buffers that several threads take from, so that all come from the list of the thread that owns the solve, and go
/// back there.
pub(crate) struct Stock<T: 'static>(Mutex<Vec<Vec<T>>>);

impl<T: 'static> Stock<T> {
    /// All free buffers of this thread.
    pub(crate) fn of_thread() -> Self {
        Self(Mutex::new(pool::take_all::<pool::States, _>()))
    }

    /// An empty buffer with room for so many.
    fn with_room(&self, length: usize) -> Vec<T> {
        // A list of buffers is whole at any time.
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = free.pop().unwrap_or_default();
        drop(free);
        buffer.clear();
        buffer.reserve_exact(length);
        buffer
    }
}

impl<T: 'static> Drop for Stock<T> {
    fn drop(&mut self) {
        let free = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for buffer in free.drain(..) {
            pool::give::<pool::States, _>(buffer);
        }
    }
}

/// What happened to a lane between two attempts, or in one of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    /// Attempts made before.
    pub(crate) after: usize,
    pub(crate) lane: usize,
    /// A sample, by its number within the group.
    pub(crate) sample: usize,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// The sample entered the lane.
    Start,
    /// The next attempt was accepted, and the value at this time is inside of it.
    Saved {
        /// Index of the time.
        time: usize,
        /// Where it lies in the step: 0 at its start, below 1.
        theta: f64,
    },
    /// The sample reached the end; the values from this time on are those of the end.
    End {
        /// Index of the time.
        time: usize,
    },
}

/// The attempted steps of a group of samples, one sample per lane. Where a lane's attempt was rejected, or the lane was
/// idle, its step and its stages are zero: then a backward pass brings nothing through it.
pub(crate) struct Record<E: Real, const N: usize, const L: usize> {
    /// `y` and the stages of several attempts each.
    chunks: Vec<Vec<Tile<E, N, L>>>,
    /// Tiles per attempt.
    tiles: usize,
    /// Attempts per chunk.
    per_chunk: usize,
    /// Time and size of each attempt, lane by lane.
    pub(crate) steps: Vec<[[f64; L]; 2]>,
    pub(crate) events: Vec<Event>,
}

impl<E: Real, const N: usize, const L: usize> Record<E, N, L> {
    /// An empty record of attempts with so many stages.
    pub(crate) fn new(stages: usize) -> Self {
        const BYTES: usize = 256 * 1024;
        let tiles = stages + 1;
        let (mut steps, mut events): (Vec<_>, Vec<_>) = (
            pool::take::<pool::Scratch, _>(),
            pool::take::<pool::Scratch, _>(),
        );
        steps.clear();
        events.clear();
        Self {
            chunks: Vec::new(),
            tiles,
            per_chunk: (BYTES / (tiles * size_of::<Tile<E, N, L>>()).max(1)).max(1),
            steps,
            events,
        }
    }

    /// Adds an attempt: `tiles` are `y` and the stages, `keep` is not zero where it was accepted.
    #[inline(always)]
    pub(crate) fn push(
        &mut self,
        stock: &Stock<Tile<E, N, L>>,
        tiles: &[Tile<E, N, L>],
        keep: &Row<E, L>,
        (t, h): (&[f64; L], &[f64; L]),
    ) {
        let place = self.steps.len() % self.per_chunk;
        if place == 0 {
            self.chunks
                .push(stock.with_room(self.per_chunk * self.tiles));
        }
        let mut kept = *h;
        for l in 0..L {
            if keep[l] == E::default() {
                kept[l] = 0.0;
            }
        }
        self.steps.push([*t, kept]);
        let Some((chunk, (y, stages))) = self.chunks.last_mut().zip(tiles.split_first()) else {
            return;
        };
        chunk.push(*y);
        for stage in stages {
            let mut stage = *stage;
            for row in &mut stage {
                for l in 0..L {
                    row[l] = if keep[l] == E::default() {
                        E::default()
                    } else {
                        row[l]
                    };
                }
            }
            chunk.push(stage);
        }
    }

    /// `y` and the stages of an attempt.
    pub(crate) fn attempt(&self, index: usize) -> &[Tile<E, N, L>] {
        let chunk = &self.chunks[index / self.per_chunk];
        &chunk[index % self.per_chunk * self.tiles..][..self.tiles]
    }

    /// The attempts of a sample, with the lane that it was in: those that were accepted have a size that is not zero.
    pub(crate) fn attempts_of(&self, sample: usize) -> Option<(usize, core::ops::Range<usize>)> {
        let mut of_sample = self.events.iter().filter(|event| event.sample == sample);
        let start = of_sample.find(|event| matches!(event.what, What::Start))?;
        let end = of_sample.find(|event| matches!(event.what, What::End { .. }))?;
        Some((start.lane, start.after..end.after))
    }

    /// Notes what happened now.
    pub(crate) fn note(&mut self, lane: usize, sample: usize, what: What) {
        self.events.push(Event {
            after: self.steps.len(),
            lane,
            sample,
            what,
        });
    }
}

impl<E: Real, const N: usize, const L: usize> Drop for Record<E, N, L> {
    fn drop(&mut self) {
        for chunk in self.chunks.drain(..) {
            pool::give::<pool::States, _>(chunk);
        }
        pool::give::<pool::Scratch, _>(core::mem::take(&mut self.steps));
        pool::give::<pool::Scratch, _>(core::mem::take(&mut self.events));
    }
}
