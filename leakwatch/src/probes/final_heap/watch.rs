//! Which processes are read by the kernel when they are killed: the map `WATCHED`, filled from here and emptied by the
//! programs when a process is killed, ends or executes another program.

use crate::probes::decode;
use aya::maps::HashMap;
use aya::maps::MapData;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_common::final_heap::Watch;
use leakwatch_goproc::final_heap::WalkPlan;
use leakwatch_goproc::heap::CycleSource;
use leakwatch_goproc::heap::MAX_BUCKETS;
use std::time::Duration;
use zerocopy::transmute;

/// An entry as bytes, which is what the map takes.
pub(in crate::probes) type WatchBytes = [u8; size_of::<Watch>()];

/// How much a dying process is held up at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkBounds {
    /// Time for heap and goroutines together. Some 400,000 buckets take as long; the processor does nothing else meanwhile.
    pub time: Duration,
    /// Buckets.
    pub buckets: u32,
    /// Goroutines.
    pub goroutines: u32,
}

impl Default for WalkBounds {
    fn default() -> Self {
        Self {
            time: Duration::from_millis(50),
            buckets: u32::try_from(MAX_BUCKETS).unwrap_or(u32::MAX),
            goroutines: 1 << 20,
        }
    }
}

/// Says which processes are watched.
#[derive(Debug)]
pub struct HeapWatch {
    watched: HashMap<MapData, u32, WatchBytes>,
    nanos_per_tick: u64,
    bounds: WalkBounds,
}

impl HeapWatch {
    pub(in crate::probes) fn new(watched: HashMap<MapData, u32, WatchBytes>, bounds: WalkBounds) -> Self {
        Self {
            watched,
            nanos_per_tick: decode::nanos_per_tick(),
            bounds,
        }
    }

    /// Watches a process, or takes in what is known of it now. It may have ended meanwhile: its entry then says when it was
    /// started, and no other process with its pid is taken for it.
    pub fn watch(&mut self, process: ProcessKey, plan: &WalkPlan) -> Reading<()> {
        let entry: WatchBytes = transmute!(self.entry(process, plan));
        self.watched.insert(process.pid, entry, 0).map_err(|error| {
            Missing::new(
                MissingReason::Failed,
                format!("the kernel does not take process {process} for watched: {error}"),
            )
        })
    }

    /// Leaves a process alone.
    pub fn forget(&mut self, process: ProcessKey) {
        // The programs may have been faster.
        drop(self.watched.remove(&process.pid));
    }

    fn entry(&self, process: ProcessKey, plan: &WalkPlan) -> Watch {
        let heap = plan.heap;
        let goroutines = plan.goroutines;
        let layout = goroutines.map(|goroutines| goroutines.layout);
        let status = layout.map_or(0, |layout| layout.status);
        let after_status = |offset: Option<usize>| narrow(offset.and_then(|offset| offset.checked_sub(status)));
        Watch {
            start_ticks: process.start_ticks,
            nanos_per_tick: self.nanos_per_tick,
            buckets: heap.map_or(0, |heap| heap.buckets),
            newest_known: heap.map_or(0, |heap| heap.newest_known),
            cycle: heap.map_or(0, |heap| match heap.cycle {
                CycleSource::Profile(address) | CycleSource::Collections(address) => address,
            }),
            rate: heap.map_or(0, |heap| heap.rate),
            goroutine_array: goroutines.map_or(0, |goroutines| goroutines.list.array),
            goroutine_length: goroutines.map_or(0, |goroutines| goroutines.list.length),
            max_nanos: u64::try_from(self.bounds.time.as_nanos()).unwrap_or(u64::MAX),
            max_buckets: self.bounds.buckets,
            max_goroutines: self.bounds.goroutines,
            record_bytes: narrow(heap.map(|heap| heap.format.record_size())),
            status: narrow(Some(status)),
            wait_reason: after_status(layout.map(|layout| layout.wait_reason)),
            created_at: after_status(layout.map(|layout| layout.created_at)),
            start: after_status(layout.map(|layout| layout.start)),
            cycle_shift: u32::from(heap.is_some_and(|heap| matches!(heap.cycle, CycleSource::Profile(_)))),
        }
    }
}

/// Offsets in structures of a few hundred bytes.
fn narrow(offset: Option<usize>) -> u32 {
    offset.and_then(|offset| u32::try_from(offset).ok()).unwrap_or(0)
}
