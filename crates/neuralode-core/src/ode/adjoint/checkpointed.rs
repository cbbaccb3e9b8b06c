//! The discrete adjoint within a budget of memory: some states are kept, and the steps between them done again.
//!
//! The forward solve keeps the state at the start of every `k`-th accepted step, and the time and size of each step.
//! When the states would take more than half of the budget, every second one goes and `k` doubles: no number of steps
//! has to be known. Backwards, the steps between two kept states are done again **with their recorded sizes**, which
//! gives the same bits, and pulled back by [`Differentiable::pull_back_part`]. Where they are too many for what is
//! left of the budget, states between them are kept on the way, and so on. The result is that of the
//! [discrete adjoint](crate::ode::adjoint::discrete), bit for bit.
//!
//! # Memory
//! The budget bounds what is kept between steps: states, stages of the steps done again, and 16 bytes per accepted
//! step for its time and size, which may take half of it. The working space of one step and of one walk back, `2 s + 8`
//! states, comes on top, as with every adjoint. An estimate of the error in full
//! ([`crate::ode::adjoint::gradient_error`]) takes 48 bytes per step and `2 sqrt(2 n)` states for `n` steps more.
//!
//! # Cost
//! The products of the discrete adjoint, and the forward solve's accepted steps once more: `s - 1` calls of the field
//! per step, and one per window of them, for methods that reuse their last stage. That holds while the budget, in
//! states, is at least `b` with `b^2 / (16 (s + 1))` at least the number of steps; below it, steps are done again
//! several times. It is done even where all steps would fit: then the discrete adjoint costs less.
//!
//! # Sources
//! A. Griewank, A. Walther, "Algorithm 799: revolve", ACM Trans. Math. Softw. 26 (2000) 19-45,
//! doi:10.1145/347837.347846; P. Stumm, A. Walther, "New algorithms for optimal online checkpointing", SIAM J. Sci.
//! Comput. 32 (2010) 836-854, doi:10.1137/080742439, for numbers of steps that are not known in advance.

use crate::ode::{
    adjoint::discrete::{Steps, Window},
    error::SolveError,
    field::{
        back::{Cotangent, Part},
        Differentiable,
    },
    method::ButcherTableau,
    options::{SolveOptions, Tolerances},
    state::State,
    step::Step,
    stepper::ExplicitRk,
    trajectory::{Recorder, Trajectory},
};

/// Time and size of a step.
type Place = (f64, f64);

/// Places per chunk of their list.
const CHUNK: usize = 256;

/// A list that grows without moving what it holds, so that it never takes twice its memory.
#[derive(Clone, Debug, Default)]
struct Places {
    chunks: Vec<Vec<Place>>,
    len: usize,
}

impl Places {
    fn push(&mut self, place: Place) {
        if self.len.is_multiple_of(CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(place);
            self.len += 1;
        }
    }

    fn get(&self, index: usize) -> Option<Place> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK).copied()
    }

    fn bytes(&self) -> usize {
        // The list of chunks doubles: its old and its new memory exist together.
        let chunk = CHUNK * size_of::<Place>() + 3 * size_of::<Vec<Place>>();
        self.chunks.len() * chunk
    }
}

/// States at the starts of some accepted steps, and the sizes of all.
#[derive(Clone, Debug)]
pub struct Checkpoints<Y: 'static, const S: usize> {
    tableau: &'static ButcherTableau<S>,
    budget: usize,
    places: Places,
    /// A state is kept at every step whose index is a multiple of this.
    every: usize,
    states: Vec<Y>,
    /// Bytes of a kept state on the heap.
    heap: usize,
}

impl<Y: State, const S: usize> Checkpoints<Y, S> {
    /// Without steps yet, for solves with this tableau; `budget` is in bytes.
    pub fn new(tableau: &'static ButcherTableau<S>, budget: usize) -> Self {
        Self {
            tableau,
            budget,
            places: Places::default(),
            every: 1,
            states: Vec::new(),
            heap: 0,
        }
    }

    /// Accepted steps.
    pub fn steps(&self) -> usize {
        self.places.len
    }

    /// Kept states.
    pub fn kept(&self) -> usize {
        self.states.len()
    }

    /// What is kept, in bytes.
    pub fn bytes(&self) -> usize {
        self.places.bytes()
            + Self::states_bytes(self.states.capacity(), self.states.len(), self.heap)
    }

    fn states_bytes(capacity: usize, len: usize, heap: usize) -> usize {
        capacity * size_of::<Y>() + len * heap
    }

    /// Bytes of a step with all its stages in a list of known length.
    fn step_bytes(&self) -> usize {
        size_of::<Step<Y, [Y; S]>>() + (S + 1) * self.heap
    }

    fn state_bytes(&self) -> usize {
        size_of::<Y>() + self.heap
    }

    /// Bytes for states and stages.
    fn room(&self) -> usize {
        self.budget.saturating_sub(self.places.bytes())
    }

    /// Bytes for states alone: half of them, but for the room of one step.
    fn room_for_states(&self) -> usize {
        let room = self.room();
        (room / 2)
            .max(self.state_bytes())
            .min(room.saturating_sub(self.step_bytes()))
    }

    /// Whether one more state may be kept, growing the list if there is memory for it while it moves.
    fn make_room(&mut self) -> bool {
        let (len, capacity) = (self.states.len(), self.states.capacity());
        let fits =
            |capacity| Self::states_bytes(capacity, len + 1, self.heap) <= self.room_for_states();
        if len < capacity {
            return fits(capacity);
        }
        let grown = (2 * capacity).max(1);
        if !fits(capacity + grown) {
            return false;
        }
        self.states.reserve_exact(grown - len);
        true
    }

    /// Every second state goes.
    fn thin(&mut self) {
        let mut index = 0;
        self.states.retain(|_| {
            index += 1;
            index % 2 == 1
        });
        self.every *= 2;
    }
}

impl<Y: State, const S: usize> Recorder<Y, S> for Checkpoints<Y, S> {
    fn record(&mut self, step: Step<&mut Y, &mut [Y; S]>) -> Result<(), SolveError> {
        let index = self.places.len;
        self.heap = step.y.bytes().saturating_sub(size_of::<Y>());
        self.places.push((step.t, step.h));
        // An engine may hold on to the buffers of states that go, half of the budget at most: the list of places
        // cannot grow into them.
        let places = self.places.bytes();
        let needed = (places + self.state_bytes() + self.step_bytes()).max(2 * places);
        if self.budget < needed {
            return Err(SolveError::CheckpointBudget {
                bytes: self.budget,
                needed,
                steps: self.places.len,
            });
        }
        // The list of places grows at the cost of the states.
        while self.states.len() > 1
            && Self::states_bytes(self.states.capacity(), self.states.len(), self.heap)
                > self.room_for_states()
        {
            self.thin();
            self.states.shrink_to(self.states.len());
        }
        while index.is_multiple_of(self.every) {
            if self.make_room() || self.states.is_empty() {
                self.states.push(step.y.take());
                break;
            }
            self.thin();
        }
        Ok(())
    }
}

/// Steps done again, one window of them at a time.
struct Replay<'a, Y: 'static, const S: usize> {
    kept: &'a Checkpoints<Y, S>,
    tolerances: Tolerances,
    /// Where the forward solve evaluated the field anew between two steps, in ascending order.
    jump_at: &'a [f64],
    window: Trajectory<Y, S>,
    field_calls: usize,
}

impl<Y: State, const S: usize> Replay<'_, Y, S> {
    /// Does the steps `from..to` again, starting at `y`, and shows each to `record`.
    fn steps<F: Differentiable<State = Y>>(
        &mut self,
        field: &mut F,
        (from, to): (usize, usize),
        y: &Y,
        mut record: impl FnMut(&mut Self, usize, Step<&mut Y, &mut [Y; S]>) -> Result<(), SolveError>,
    ) -> Result<(), SolveError> {
        let places = &self.kept.places;
        let Some((t, _)) = places.get(from) else {
            return Ok(());
        };
        let mut stepper = ExplicitRk::new(field, self.kept.tableau, t, y.clone())?;
        for index in from..to {
            let Some((t, h)) = places.get(index) else {
                break;
            };
            // The size is what was recorded: the error decides nothing here.
            stepper.attempt(h, &self.tolerances)?;
            let (_, step, _) = stepper.accepted();
            record(self, index, step)?;
            let next = places.get(index + 1).map_or(t + h, |(t, _)| t);
            stepper.accept(next);
            if index + 1 < to && jumps_between(self.jump_at, t, next) {
                stepper.restart(next)?;
            }
        }
        self.field_calls += stepper.field_calls();
        Ok(())
    }
}

/// Whether the field jumps between two times.
fn jumps_between(jump_at: &[f64], a: f64, b: f64) -> bool {
    let (low, high) = (a.min(b), a.max(b));
    jump_at.partition_point(|jump| *jump <= low) < jump_at.partition_point(|jump| *jump < high)
}

impl<F: Differentiable, const S: usize> Steps<F, S> for Checkpoints<F::State, S> {
    fn tableau(&self) -> &'static ButcherTableau<S> {
        self.tableau
    }

    fn places(&self) -> Vec<(f64, f64)> {
        self.places.chunks.concat()
    }

    fn start(&self) -> Option<&F::State> {
        self.states.first()
    }

    fn each_window(
        &self,
        field: &mut F,
        mut inside: &[Cotangent<F::State>],
        options: &SolveOptions,
        walk: &mut dyn FnMut(&mut F, Window<'_, F::State, S>) -> Result<(), SolveError>,
    ) -> Result<usize, SolveError> {
        let mut replay = Replay {
            kept: self,
            tolerances: options.tolerances(),
            jump_at: &options.jump_at,
            window: Trajectory::new(self.tableau),
            field_calls: 0,
        };
        let steps = self.places.len;
        let mut end = steps;
        // States between two kept ones, each with the index of its step.
        let mut between: Vec<(usize, F::State)> = Vec::new();
        // What is left of the budget goes half to a window of steps and half to states between kept ones, whose list
        // may move while it grows.
        let free = self.budget.saturating_sub(self.bytes());
        let most = (free / 2 / self.step_bytes()).clamp(1, steps.max(1));
        let free = free.saturating_sub(most * self.step_bytes());
        let bytes = 2 * size_of::<(usize, F::State)>() + self.heap;
        replay.window.reserve(most);
        while end > 0 {
            // From the last state between kept ones, else from the earliest kept one that is near enough.
            let last = (end - 1) / self.every;
            let near = end.saturating_sub(most).div_ceil(self.every).min(last);
            let (from, y) = match (between.last(), self.states.get(near)) {
                (Some((from, y)), _) => (*from, y),
                (None, Some(y)) => (near * self.every, y),
                (None, None) => break,
            };
            let y = y.clone();
            let length = end - from;
            let left = (free / bytes).saturating_sub(between.len());
            // The other half is for the states between these.
            let more = left.div_ceil(2);
            if length > most && more > 0 {
                let spacing = length.div_ceil(more + 1);
                let last = from + (length - 1) / spacing * spacing;
                between.reserve_exact((length - 1) / spacing + 1);
                // The state after the last step shown is that of the next one: one step further is shown.
                replay.steps(field, (from, last + 1), &y, |_, index, step| {
                    if index > from && (index - from).is_multiple_of(spacing) {
                        between.push((index, step.y.take()));
                    }
                    Ok(())
                })?;
                continue;
            }
            // With no room for more states, the first steps are done again for the sake of the last ones.
            let window_start = end - length.min(most);
            replay.window.clear();
            replay.steps(field, (from, end), &y, |replay, index, step| {
                if index >= window_start {
                    replay.window.record(step)?;
                }
                Ok(())
            })?;
            let before = window_start
                .checked_sub(1)
                .and_then(|index| self.places.get(index));
            let earlier = before.map_or(0, |(t, h)| {
                inside.partition_point(|cotangent| (cotangent.t - t) / h <= 1.0)
            });
            let (rest, these) = inside.split_at(earlier);
            let window = Window {
                steps: replay.window.steps(),
                cotangents: these,
                part: Part {
                    begins: end == steps,
                    ends: window_start == 0,
                },
            };
            walk(field, window)?;
            inside = rest;
            end = window_start;
            if window_start == from {
                between.pop();
            }
        }
        Ok(replay.field_calls)
    }
}
