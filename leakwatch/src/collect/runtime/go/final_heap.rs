//! What the kernel read of a dying process, in words: joined with the stacks that were known, and named.

use crate::collect::runtime::go::build_stacks::BuildStacks;
use crate::collect::runtime::go::missing;
use crate::collect::runtime::go::profile;
use leakwatch_analysis::model::final_heap::FinalGoroutines;
use leakwatch_analysis::model::final_heap::FinalHeap;
use leakwatch_analysis::model::final_heap::GoroutineGroup;
use leakwatch_analysis::model::final_heap::TruncationReason;
use leakwatch_analysis::model::profile::ProfileLoss;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_goproc::attach::GoProcess;
use leakwatch_goproc::final_heap::HeapWalk;
use leakwatch_goproc::final_heap::Truncation;
use leakwatch_goproc::goroutines::CensusGroup;
use leakwatch_goproc::goroutines::GoroutineBounds;
use leakwatch_goproc::goroutines::Status;

/// Groups of goroutines told; the rest is counted as missing.
const MAX_GROUPS: usize = 256;

/// The heap of a walk.
pub(super) fn heap(process: &GoProcess, walk: &HeapWalk, build: &mut BuildStacks) -> Reading<FinalHeap> {
    let reader = process.heap_reader().filter(|_| walk.has_heap).ok_or_else(|| {
        Missing::new(
            MissingReason::Unsupported,
            "the heap profile of the process had not been found before it was killed, or it has none",
        )
    })?;
    let heap = reader.final_heap(walk);
    let unknown = heap.buckets.iter().filter(|bucket| !heap.has_stack(bucket));
    let (mut count, mut bytes) = (0, Bytes(0));
    for bucket in unknown {
        count += 1;
        bytes = Bytes(bytes.0.saturating_add(profile::in_use(&heap, bucket).0));
    }
    let [allocated, retained] = profile::final_heap(process, &heap, build);
    let is_folded = |loss: &&ProfileLoss| loss.reason == ProfileLoss::FOLDED;
    let folded = allocated.summary.losses.iter().find(is_folded);
    let left_out = folded.map_or(0, |folded| folded.samples);
    let left_out_bytes = folded.map_or(0, |folded| u64::try_from(folded.value.inuse_space).unwrap_or(0));
    let lost = [
        (heap.lost > 0, TruncationReason::Room),
        (walk.unreadable > 0, TruncationReason::Unreadable),
        (count > 0, TruncationReason::Stacks),
        (left_out > 0, TruncationReason::Profile),
    ];
    let truncation = heap.truncation.map(reason);
    Ok(FinalHeap {
        allocated: Some(allocated),
        retained: Some(retained),
        buckets: u64::try_from(heap.buckets.len()).unwrap_or(u64::MAX),
        lost: heap.lost,
        unreadable: walk.unreadable,
        unknown: count,
        unknown_bytes: bytes,
        not_reached: heap.not_reached,
        left_out,
        left_out_bytes: Bytes(left_out_bytes),
        truncation: truncation.or_else(|| lost.into_iter().find_map(|(is_so, why)| is_so.then_some(why))),
        held_up: walk.heap_time,
    })
}

fn reason(truncation: Truncation) -> TruncationReason {
    match truncation {
        Truncation::Time => TruncationReason::Time,
        Truncation::Bound => TruncationReason::Bound,
        Truncation::Room => TruncationReason::Room,
        Truncation::Unreadable => TruncationReason::Unreadable,
        Truncation::Damaged => TruncationReason::Damaged,
    }
}

/// The goroutines of a walk. `before` is why they were not known before.
pub(super) fn goroutines(
    process: &mut GoProcess,
    walk: &HeapWalk,
    before: Option<Missing>,
) -> Reading<FinalGoroutines> {
    if !walk.has_goroutines {
        return Err(match (walk.goroutine_truncation, before) {
            (None, Some(before)) => Missing {
                detail: format!("before the process was killed: {}", before.detail),
                ..before
            },
            (None, None) => Missing::new(
                MissingReason::NotYet,
                "the list of goroutines of the process had not been found before it was killed",
            ),
            (Some(_), _) => Missing::new(
                MissingReason::Failed,
                "the list of goroutines was not in memory when the process was killed",
            ),
        });
    }
    let census = process
        .final_goroutines(walk)
        .map_err(|error| missing::no_goroutines(&error))?;
    if census.iter().all(|group| group.count == 0) {
        return Err(none_counted(walk));
    }
    let named = census.iter().take(MAX_GROUPS);
    let groups = named.map(|group| name(process, group)).collect();
    let beyond: u64 = census.iter().skip(MAX_GROUPS).map(|group| group.count).sum();
    let bound = (beyond > 0).then_some(TruncationReason::Bound);
    Ok(FinalGoroutines {
        groups,
        missing: walk.goroutines_missing.saturating_add(beyond),
        truncation: walk.goroutine_truncation.map(reason).or(bound),
        held_up: walk.goroutine_time,
    })
}

/// Why there is none. As long as a program runs it has a goroutine of its own: none is no number.
fn none_counted(walk: &HeapWalk) -> Missing {
    if walk.goroutines_missing > 0 {
        let why = walk.goroutine_truncation.map(reason);
        let why = why.map_or_else(String::new, |why| format!(": {}", why.name()));
        return Missing::new(
            MissingReason::Timeout,
            format!(
                "none of {} goroutines could be counted while the process was killed{why}",
                walk.goroutines_missing
            ),
        );
    }
    let counted: u64 = walk.groups.iter().map(|group| group.count).sum();
    Missing::new(
        MissingReason::Malformed,
        format!("none of the {counted} goroutines that were counted while the process was killed is the program's own"),
    )
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

#[cfg(test)]
mod tests {
    use super::*;
    use leakwatch_goproc::final_heap::WalkedGroup;

    #[test]
    fn no_goroutine_is_never_a_number() {
        let group = WalkedGroup {
            start: 1,
            created_at: 2,
            status: 4,
            wait_reason: 3,
            count: 6,
        };
        for (missing, truncation, groups, reason, said) in [
            (
                6,
                Some(Truncation::Time),
                vec![],
                MissingReason::Timeout,
                "none of 6 goroutines",
            ),
            (6, None, vec![], MissingReason::Timeout, "none of 6 goroutines"),
            (0, None, vec![], MissingReason::Malformed, "none of the 0 goroutines"),
            (
                0,
                None,
                vec![group],
                MissingReason::Malformed,
                "none of the 6 goroutines",
            ),
        ] {
            let walk = HeapWalk {
                has_goroutines: true,
                goroutines_missing: missing,
                goroutine_truncation: truncation,
                groups,
                ..HeapWalk::default()
            };
            let told = none_counted(&walk);
            assert_eq!(told.reason, reason, "{told:?}");
            assert!(told.detail.starts_with(said), "{told:?}");
        }
    }
}
