//! The row of a target at the end of a round, from its history.

use crate::store::disk::codec::row::Row;
use crate::store::disk::column::Column;
use leakwatch_analysis::history::SnapshotSeries;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::counter::Counter;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;

/// What of a target's slower series is in rows already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) sample: Timestamp,
    runtime: Timestamp,
    heap: Timestamp,
    goroutines: Timestamp,
    leaked: Timestamp,
}

/// The newest numbers; none if there are no newer ones.
pub(super) fn row(history: &TargetHistory, told: &mut Told) -> Option<Row> {
    if history.newest_at <= told.sample {
        return None;
    }
    told.sample = history.newest_at;
    let mut row = Row::new(history.newest_at.unix_millis());
    if let Ok(memory) = &history.newest {
        let bytes = |reading: Reading<Bytes>| reading.ok().map(|bytes| bytes.0);
        row.set(Column::Charge, Some(memory.charge.0));
        row.set(Column::Limit, memory.limit.bytes().map(|limit| limit.0));
        row.set(Column::Unreclaimable, bytes(memory.unreclaimable()));
        row.set(Column::Anon, bytes(memory.anon()));
        row.set(Column::File, bytes(memory.reclaimable_file()));
        row.set(Column::Shmem, bytes(memory.shmem()));
        row.set(Column::Kernel, bytes(memory.kernel()));
        row.set(Column::Swap, bytes(memory.swap()));
        row.set(Column::LimitHits, memory.limit_hits().ok());
        for (column, counter) in [
            (Column::Slab, Counter::Slab),
            (Column::Sock, Counter::Sock),
            (Column::PageTables, Counter::PageTables),
            (Column::KernelStack, Counter::KernelStack),
        ] {
            row.set(column, memory.counters.get(counter));
        }
    }
    let point = history.points.all().last();
    let rss = point
        .filter(|point| point.at == history.newest_at)
        .and_then(|point| point.rss.bytes());
    row.set(Column::Rss, rss.map(|rss| rss.0));
    row.set(Column::Processes, Some(history.living().count() as u64));
    runtime(history, told, &mut row);
    profiles(history, told, &mut row);
    Some(row)
}

fn runtime(history: &TargetHistory, told: &mut Told, row: &mut Row) {
    let Some((at, stats)) = history.runtimes.go().last().filter(|(at, _)| *at > told.runtime) else {
        return;
    };
    told.runtime = at;
    for (column, value) in [
        (Column::HeapMarked, Some(stats.heap_marked.0)),
        (Column::HeapLive, Some(stats.heap_live.0)),
        (Column::HeapGoal, stats.heap_goal.map(|goal| goal.0)),
        (Column::HeapInUse, Some(stats.heap_in_use.0)),
        (Column::IdleHeap, Some(stats.heap_idle.0)),
        (Column::HeapReleased, Some(stats.heap_released.0)),
        (Column::GoMapped, Some(stats.mapped_ready.0)),
        (Column::GoStacks, Some(stats.stacks.0)),
        (Column::GoMetadata, Some(stats.metadata.0)),
        (Column::Collections, Some(stats.collections.into())),
        (Column::GcPercent, stats.gc_percent.map(u64::from)),
        (Column::GoMemoryLimit, stats.memory_limit.map(|limit| limit.0)),
    ] {
        row.set(column, value);
    }
}

fn profiles(history: &TargetHistory, told: &mut Told, row: &mut Row) {
    let newest = |profile_type: ProfileType, told: &mut Timestamp| {
        let series = history.snapshots.get(&profile_type);
        let newest = series
            .and_then(SnapshotSeries::newest)
            .filter(|newest| newest.at > *told)?;
        *told = newest.at;
        Some(newest.total)
    };
    let number = |value: i64| u64::try_from(value).ok();
    if let Some(total) = newest(ProfileType::Heap, &mut told.heap) {
        row.set(Column::LiveHeap, number(total.inuse_space));
        row.set(Column::Allocated, number(total.alloc_space));
    }
    if let Some(total) = newest(ProfileType::Goroutine, &mut told.goroutines) {
        row.set(Column::Goroutines, number(total.inuse_objects));
    }
    if let Some(total) = newest(ProfileType::GoroutineLeak, &mut told.leaked) {
        row.set(Column::LeakedGoroutines, number(total.inuse_objects));
    }
}
