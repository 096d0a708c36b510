//! Which part of the charge grows: `memory.stat` splits it into anonymous memory, page cache, shared memory and kernel memory.

use crate::history::TargetHistory;
use crate::history::window;
use crate::ledger::Total;
use crate::measure::motion::MATERIAL_BYTES;
use crate::stats::trend;

/// Of the growth of all parts that grow, what one must have to be called its cause.
const NEARLY_ALL: f64 = 0.7;

/// How one part moved over the window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Its name in `memory.stat`.
    pub name: &'static str,
    /// Bytes by which it changed.
    pub change: f64,
    /// Bytes at the end.
    pub level: f64,
}

/// The changes of all parts that are known.
pub fn changes(history: &TargetHistory) -> Vec<Change> {
    let change = |total: Total| {
        let (change, level) = trend::change(&window::series(history, |point| total.at(point)))?;
        Some(Change {
            name: total.kernel_name,
            change,
            level,
        })
    };
    Total::ALL.into_iter().filter_map(change).collect()
}

/// The part that nearly all growth is in when that is neither a heap nor given back by itself: shared memory or kernel memory.
pub fn growing_outside_of_heaps(history: &TargetHistory) -> Option<Change> {
    let changes = changes(history);
    let growth: f64 = changes
        .iter()
        .filter(|part| part.name != "file")
        .map(|part| part.change.max(0.0))
        .sum();
    changes
        .into_iter()
        .filter(|part| matches!(part.name, "shmem" | "kernel"))
        .find(|part| part.change >= MATERIAL_BYTES && part.change >= growth * NEARLY_ALL)
}
