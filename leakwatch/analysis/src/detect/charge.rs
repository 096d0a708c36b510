//! Which part of the charge grows: `memory.stat` splits it into anonymous memory, page cache, shared memory and kernel memory.

use crate::detect::facts::Facts;
use crate::detect::facts::MATERIAL_BYTES;
use crate::history::MemoryPoint;
use crate::history::window;
use crate::model::units::Bytes;
use crate::stats::trend;

/// Of the growth of all parts that grow, what one must have to be called its cause.
const NEARLY_ALL: f64 = 0.7;

/// Reads one part.
type Part = fn(&MemoryPoint) -> Option<Bytes>;

const PARTS: [(&str, Part); 4] = [
    ("anon", |point| point.anon.bytes()),
    ("file", |point| point.file.bytes()),
    ("shmem", |point| point.shmem.bytes()),
    ("kernel", |point| point.kernel.bytes()),
];

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

/// All parts that are known.
pub fn changes(facts: &Facts<'_>) -> Vec<Change> {
    let change = |(name, part): (&'static str, Part)| {
        let (change, level) = trend::change(&window::series(facts.history, part))?;
        Some(Change { name, change, level })
    };
    PARTS.into_iter().filter_map(change).collect()
}

/// What grows when it is neither in a heap nor given back by itself: shared memory or memory of the kernel.
pub fn growing_elsewhere(facts: &Facts<'_>) -> Option<Change> {
    let changes = changes(facts);
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
