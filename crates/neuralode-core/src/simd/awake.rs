//! A second thread that stays awake between small pieces of work.
//!
//! A training step of a small model is a chain of pieces of 10 to 50 microseconds. Rayon's threads fall asleep in the
//! gaps between them, and to wake one takes as long as a piece. While one thread of a pool hands on such pieces without
//! a pause, another one watches for them: a task that does nothing but look for work, of any kind, and that ends soon
//! after the chain.
//!
//! Cores that share no cache pass each other the numbers of a small piece more slowly than one of them computes with
//! them, and operating systems and virtual machines move threads from core to core. So the two threads measure, time
//! and again, how far they are apart.

use core::{
    hint,
    sync::atomic::{AtomicU64, AtomicU8, AtomicUsize, Ordering::Relaxed},
};
use std::{sync::OnceLock, time::Instant};

/// Nanoseconds without a piece of work that end a chain.
const PAUSE: u64 = 200_000;
/// Nanoseconds after which a watch ends and the next one begins. A thread that began it while it waited for something
/// else goes on with that in between.
const WATCH: u64 = 1_000_000;
/// Nanoseconds without a watch once the two threads were found to be far apart.
const APART: u64 = 4_000_000;
/// Nanoseconds that a number takes to another core and back, at most, where they share a cache, with a look at the
/// clock. Measured were 80 to 130 on cores that do; without the clock 50 to 70, and 340 to 380 on cores that do not.
const NEAR: u64 = 200;
/// Times that it goes there and back; the fastest counts.
const ROUNDS: usize = 8;
/// Looks at it before the other thread is taken to be busy, a microsecond or two.
const LOOKS: usize = 2000;

/// The thread whose pieces form the chain. Others get no help meanwhile: where many threads have work, none is idle.
static OWNER: AtomicUsize = AtomicUsize::new(0);
/// When it had the last piece.
static LAST_PIECE: AtomicU64 = AtomicU64::new(0);
/// Until when it works alone.
static APART_UNTIL: AtomicU64 = AtomicU64::new(0);
/// What the watching thread does: one of the next four.
static WATCH_STATE: AtomicU8 = AtomicU8::new(ABSENT);
const ABSENT: u8 = 0;
/// It is about to begin.
const CALLED: u8 = 1;
/// It watches; nobody knows from where.
const LISTENING: u8 = 2;
/// It watches from a core nearby.
const NEARBY: u8 = 3;
/// The number that goes to the watching thread and back.
static BALL: AtomicUsize = AtomicUsize::new(0);

/// Whether this thread can hand on a part of the piece of work that it has in hand: another thread of its pool is awake
/// and near.
///
/// Never outside of rayon's threads, from where handing on means to fall asleep.
pub(crate) fn is_second_thread_awake() -> bool {
    if rayon::current_thread_index().is_none() || rayon::current_num_threads() < 2 {
        return false;
    }
    let (now, this) = (nanoseconds(), this_thread());
    let pause = now.saturating_sub(LAST_PIECE.load(Relaxed));
    if OWNER.load(Relaxed) != this {
        if pause < PAUSE {
            return false;
        }
        OWNER.store(this, Relaxed);
    }
    LAST_PIECE.store(now, Relaxed);
    if pause >= PAUSE || now < APART_UNTIL.load(Relaxed) {
        return false;
    }
    match WATCH_STATE.load(Relaxed) {
        NEARBY => true,
        LISTENING => {
            let time = round_trip(&BALL);
            if time.is_some_and(|time| time <= NEAR) {
                return enter(LISTENING, NEARBY);
            }
            // A thread that is busy, or was interrupted, may be found nearby soon.
            let alone = if time.is_some() { APART } else { PAUSE };
            APART_UNTIL.store(now + alone, Relaxed);
            false
        }
        _ => {
            if enter(ABSENT, CALLED) {
                rayon::spawn(move || watch(this));
            }
            false
        }
    }
}

/// Looks for work as long as the chain of the thread `owner` lasts.
fn watch(owner: usize) {
    let start = nanoseconds();
    WATCH_STATE.store(LISTENING, Relaxed);
    // The owner looks for tasks, too, while it waits for a part that it has handed on.
    let mut goes_on = this_thread() != owner;
    while goes_on {
        return_ball(&BALL);
        rayon::yield_now();
        hint::spin_loop();
        let now = nanoseconds();
        goes_on = OWNER.load(Relaxed) == owner
            && now.saturating_sub(LAST_PIECE.load(Relaxed)) < PAUSE
            && now >= APART_UNTIL.load(Relaxed);
        if goes_on && now.saturating_sub(start) >= WATCH {
            WATCH_STATE.store(CALLED, Relaxed);
            rayon::spawn(move || watch(owner));
            return;
        }
    }
    WATCH_STATE.store(ABSENT, Relaxed);
}

fn enter(from: u8, to: u8) -> bool {
    let entered = WATCH_STATE.compare_exchange(from, to, Relaxed, Relaxed);
    entered.is_ok()
}

/// The fastest of several round trips to a thread that calls [`return_ball`], in nanoseconds; `None` if it is busy.
fn round_trip(ball: &AtomicUsize) -> Option<u64> {
    let mut fastest = None;
    for round in 0..ROUNDS {
        let start = nanoseconds();
        ball.store(2 * round + 1, Relaxed);
        if !comes(ball, 2 * round + 2) {
            return None;
        }
        let time = nanoseconds().saturating_sub(start);
        fastest = Some(fastest.map_or(time, |fastest: u64| fastest.min(time)));
    }
    fastest
}

/// The other side of [`round_trip`], if it has begun.
fn return_ball(ball: &AtomicUsize) {
    if ball.load(Relaxed) != 1 {
        return;
    }
    for round in 0..ROUNDS {
        if !comes(ball, 2 * round + 1) {
            return;
        }
        ball.store(2 * round + 2, Relaxed);
    }
}

fn comes(ball: &AtomicUsize, number: usize) -> bool {
    (0..LOOKS).any(|_| ball.load(Relaxed) == number)
}

/// Since the first call.
fn nanoseconds() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let since = START.get_or_init(Instant::now).elapsed();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// A number that no other living thread has.
fn this_thread() -> usize {
    thread_local!(static PLACE: u8 = const { 0 });
    PLACE.with(|place| core::ptr::from_ref(place).addr())
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicBool;
    use std::{
        thread,
        time::{Duration, Instant},
    };

    use super::*;

    /// What must become true in the end, however busy the machine is.
    fn becomes_true(what: impl Fn() -> bool) -> bool {
        let start = Instant::now();
        while !what() {
            if start.elapsed() > Duration::from_mins(1) {
                return false;
            }
            thread::sleep(Duration::from_micros(100));
        }
        true
    }

    fn in_a_pool_of<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(run)
    }

    #[test]
    fn a_thread_without_others_in_its_pool_hands_nothing_on() {
        let hands_on = || (0..1000).any(|_| is_second_thread_awake());
        assert!(!hands_on());
        assert!(!in_a_pool_of(1, hands_on));
    }

    #[test]
    fn a_watch_begins_with_a_chain_of_pieces_and_ends_after_it() {
        in_a_pool_of(2, || {
            let begins = || {
                // Another test may have a chain at this moment, or the machine may pause this one.
                is_second_thread_awake();
                is_second_thread_awake();
                WATCH_STATE.load(Relaxed) != ABSENT
            };
            assert!(becomes_true(begins));
        });
        assert!(becomes_true(|| WATCH_STATE.load(Relaxed) == ABSENT));
    }

    #[test]
    fn a_round_trip_needs_somebody_who_answers() {
        let ball = AtomicUsize::new(0);
        assert_eq!(round_trip(&ball), None);
        if thread::available_parallelism().is_ok_and(|count| count.get() < 2) {
            return;
        }
        let found = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !found.load(Relaxed) {
                    return_ball(&ball);
                }
            });
            let measured = becomes_true(|| round_trip(&ball).is_some());
            found.store(true, Relaxed);
            assert!(measured);
        });
    }
}
