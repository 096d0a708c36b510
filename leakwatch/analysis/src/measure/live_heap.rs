//! Growth of the live heap of a Go program by its own count: what each garbage collection left. Source: the runtime's numbers in the
//! history, which are there without any profile; must not judge.

use crate::history::TargetHistory;
use crate::history::window;
use crate::measure::motion::MATERIAL_BYTES;
use crate::model::runtime::GoRuntimeStats;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;
use crate::stats::trend;

/// Fewer collections do not show growth that goes on.
const LEAST_COLLECTIONS: usize = 4;
/// Of what memory grew by, the live heap must have this part to be what grows: with GOGC=100 garbage may be as much again.
const LEAST_SHARE: f64 = 0.4;

/// How the live heap grew.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LiveHeapGrowth {
    /// Bytes that the first collection left.
    pub before: f64,
    /// Bytes that the newest one left.
    pub now: f64,
    /// Collections that were seen.
    pub collections: usize,
    /// Seconds between them.
    pub seconds: f64,
    /// Heap at which the next collection is to end; none with GOGC off.
    pub goal: Option<Bytes>,
}

impl LiveHeapGrowth {
    /// In this window, up to `now`; none where it does not keep growing, or is too little of what grows.
    pub fn of(history: &TargetHistory, now: Timestamp) -> Option<Self> {
        let in_window = |at: Timestamp| (history.window_start..=now).contains(&at);
        let counted = history
            .runtimes
            .go()
            .filter(|(at, stats)| in_window(*at) && stats.collections > 0);
        let mut left: Vec<(Timestamp, &GoRuntimeStats)> = counted.collect();
        left.dedup_by_key(|(_, stats)| stats.collections);
        let (&(first_at, first), &(last_at, last)) = (left.first()?, left.last()?);
        if left.len() < LEAST_COLLECTIONS {
            return None;
        }
        let series: Vec<(f64, f64)> = left
            .iter()
            .map(|(at, stats)| (at.seconds_from(history.window_start), stats.heap_marked.as_f64()))
            .collect();
        let whole = trend::fit(&series)?;
        let memory: Vec<(f64, f64)> = window::memory(history, now);
        let grew = trend::change(&memory)?.0;
        (whole.grows() && whole.growth() >= MATERIAL_BYTES.max(grew * LEAST_SHARE)).then(|| Self {
            before: first.heap_marked.as_f64(),
            now: last.heap_marked.as_f64(),
            collections: left.len(),
            seconds: last_at.seconds_from(first_at),
            goal: last.heap_goal,
        })
    }
}
