//! What a Go program is about to need: its heap up to the next collection, and the stacks of its goroutines. It grows evenly where resident
//! memory stands still, because freed memory is filled again, and then leaps. Source: `history::RuntimeSeries`; runtime/mgcpacer.go, by
//! which the goal counts stacks as well as the live heap.

use crate::history::TargetHistory;
use crate::units::Timestamp;

/// The need at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DemandPoint {
    /// Seconds since the window's start.
    pub at: f64,
    /// Heap goal and stacks in bytes.
    pub needed: f64,
    /// The stacks in it.
    pub stacks: f64,
    /// What the runtime had mapped then.
    pub mapped: f64,
    /// Collections so far: only they change the goal.
    pub collections: u32,
}

/// Of the current window up to `now`. Empty where GOGC does not set the goal, or GOMEMLIMIT holds it down.
pub fn of(history: &TargetHistory, now: Timestamp) -> Vec<DemandPoint> {
    let readings = history.go_runtimes.as_slice().iter();
    let window = readings.filter(|point| (history.window_start..=now).contains(&point.at));
    let points = window.map(|point| {
        let numbers = &point.numbers;
        let needed = numbers.heap_goal?.as_f64() + numbers.stacks.as_f64();
        let free = numbers.memory_limit.is_none_or(|limit| needed < limit.as_f64());
        free.then(|| DemandPoint {
            at: point.at.seconds_from(history.window_start),
            needed,
            stacks: numbers.stacks.as_f64(),
            mapped: numbers.mapped_ready.as_f64(),
            collections: numbers.collections,
        })
    });
    points.collect::<Option<Vec<_>>>().unwrap_or_default()
}
