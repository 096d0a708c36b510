//! What the kernel read of a dying process, in words: joined with the stacks that were known, and named.

use crate::collect::runtime::go::profile;
use crate::collect::runtime::go::profile::BucketStacks;
use crate::collect::runtime::go::profile::BuildStacks;
use leakwatch_analysis::model::final_heap::FinalGoroutines;
use leakwatch_analysis::model::final_heap::FinalHeap;
use leakwatch_analysis::model::final_heap::GoroutineGroup;
use leakwatch_analysis::model::final_heap::TruncationReason;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_goproc::attach::GoProcess;
use leakwatch_goproc::final_heap::FinalStack;
use leakwatch_goproc::final_heap::HeapWalk;
use leakwatch_goproc::final_heap::Truncation;
use leakwatch_goproc::goroutines::CensusGroup;
use leakwatch_goproc::goroutines::GoroutineBounds;
use leakwatch_goproc::goroutines::Status;
use leakwatch_goproc::heap;
use leakwatch_goproc::heap::View;

/// Groups of goroutines told; the rest is counted as missing.
const MAX_GROUPS: usize = 256;

/// The heap of a walk.
pub(super) fn heap(
    process: &GoProcess,
    walk: &HeapWalk,
    build: &mut BuildStacks,
    known: &mut BucketStacks,
) -> Reading<FinalHeap> {
    let reader = process.heap_reader().filter(|_| walk.has_heap).ok_or_else(|| {
        Missing::new(
            MissingReason::Unsupported,
            "the heap profile of the process had not been found before it was killed, or it has none",
        )
    })?;
    let heap = reader.final_heap(walk);
    let unknown = heap
        .buckets
        .iter()
        .filter(|bucket| heap.stack(bucket) == FinalStack::Unknown);
    let (mut count, mut bytes) = (0, 0_u64);
    for bucket in unknown {
        let counts = heap.counts(View::Now, bucket);
        let in_use = i64::try_from(counts.in_use().unwrap_or(0)).unwrap_or(i64::MAX);
        let in_use = heap::scale(in_use, bucket.size, heap.rate).bytes;
        count += 1;
        bytes = bytes.saturating_add(u64::try_from(in_use).unwrap_or(0));
    }
    let [allocated, retained] = profile::final_heap(process, &heap, build, known);
    Ok(FinalHeap {
        allocated: Some(allocated),
        retained: Some(retained),
        buckets: u64::try_from(heap.buckets.len()).unwrap_or(u64::MAX),
        lost: walk.lost,
        unreadable: walk.unreadable,
        unknown: count,
        unknown_bytes: Bytes(bytes),
        truncation: walk.truncation.map(|reason| match reason {
            Truncation::Time => TruncationReason::Time,
            Truncation::Bound => TruncationReason::Bound,
            Truncation::Room => TruncationReason::Room,
            Truncation::Unreadable => TruncationReason::Unreadable,
            Truncation::Damaged => TruncationReason::Damaged,
        }),
        held_up: walk.heap_time,
    })
}

/// The goroutines of a walk.
pub(super) fn goroutines(process: &mut GoProcess, walk: &HeapWalk) -> FinalGoroutines {
    let census = process.final_goroutines(walk);
    let named = census.iter().take(MAX_GROUPS);
    let groups = named.map(|group| name(process, group)).collect();
    let beyond: u64 = census.iter().skip(MAX_GROUPS).map(|group| group.count).sum();
    FinalGoroutines {
        groups,
        missing: walk.goroutines_missing.saturating_add(beyond),
        held_up: walk.goroutine_time,
    }
}

fn name(process: &mut GoProcess, group: &CensusGroup) -> GoroutineGroup {
    let table = process.binary().pclntab();
    let at = |address: u64| {
        let function = table.function_at(address)?;
        let call = table.innermost(&function, address);
        Some(table.frame(&function, &call))
    };
    let function = at(group.start).map(|frame| frame.function).unwrap_or_default();
    // The return address of the `go` statement is behind it.
    let creator = group.created_at.checked_sub(1).and_then(at);
    let state = state(process, group);
    let creator = creator.as_ref();
    GoroutineGroup {
        count: group.count,
        function,
        created_by: creator.map(|frame| frame.function.clone()).unwrap_or_default(),
        file: creator.map(|frame| frame.file.clone()).unwrap_or_default(),
        line: creator.map_or(0, |frame| frame.line),
        state,
    }
}

fn state(process: &mut GoProcess, group: &CensusGroup) -> String {
    let reason = group.wait_reason.and_then(|reason| {
        let goroutines = process.goroutines(GoroutineBounds::default()).ok()?;
        goroutines.reason(reason).map(str::to_owned)
    });
    reason.unwrap_or_else(|| {
        match group.status {
            Status::Runnable => "runnable",
            Status::Running => "running",
            Status::Syscall => "syscall",
            Status::Waiting => "waiting",
            Status::Preempted => "preempted",
            Status::Leaked => "leaked",
            Status::Other(_) => "other",
        }
        .to_owned()
    })
}
