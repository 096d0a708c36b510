//! Which part of the charge grows: `memory.stat` splits it into anonymous memory, page cache, shared memory and kernel memory.

use crate::history::TargetHistory;
use crate::history::window;
use crate::ledger::Total;
use crate::measure::motion::MATERIAL_BYTES;
use crate::model::counter::Counter;
use crate::model::sample::CgroupMemory;
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

/// Whether nearly all growth is in memory of the kernel of which it is not told how much could be given up when the limit is reached
/// (cgroup v1): directory entries and inodes can, buffers of sockets cannot.
pub fn may_be_given_up(history: &TargetHistory) -> bool {
    let is_told = |memory: &CgroupMemory| memory.counters.get(Counter::SlabReclaimable).is_some();
    !history.newest.as_ref().is_ok_and(is_told)
        && growing_outside_of_heaps(history).is_some_and(|part| part.name == "kernel")
}
