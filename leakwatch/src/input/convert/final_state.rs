//! What was read of processes that were killed.

use crate::input::convert::error::Converted;
use crate::input::convert::error::required;
use crate::input::convert::field::entry;
use crate::input::convert::field::key_from;
use crate::input::convert::field::key_to;
use crate::input::convert::field::missing_from;
use crate::input::convert::field::missing_to;
use crate::input::convert::field::position;
use crate::input::convert::profile::content_to;
use crate::input::convert::profile::recorded;
use crate::input::messages;
use leakwatch_analysis::model::final_heap::FinalGoroutines;
use leakwatch_analysis::model::final_heap::FinalHeap;
use leakwatch_analysis::model::final_heap::FinalState;
use leakwatch_analysis::model::final_heap::GoroutineGroup;
use leakwatch_analysis::model::final_heap::TruncationReason;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use std::time::Duration;

pub(super) fn final_state_to(state: &FinalState) -> messages::FinalState {
    let none = FinalGoroutines::default();
    let goroutines = state.goroutines.as_ref().unwrap_or(&none);
    messages::FinalState {
        target: state.target.as_str().to_owned(),
        process: Some(key_to(state.process)),
        heap: state.heap.as_ref().ok().map(|heap| messages::FinalHeap {
            allocated: Vec::new(),
            retained: Vec::new(),
            allocated_content: heap.allocated.as_ref().map(|content| content_to(content)),
            retained_content: heap.retained.as_ref().map(|content| content_to(content)),
            buckets: heap.buckets,
            lost: heap.lost,
            unreadable: heap.unreadable,
            unknown: heap.unknown,
            unknown_bytes: heap.unknown_bytes.0,
            cut: heap.truncation.map(|reason| position(&TruncationReason::ALL, &reason)),
            held_up_nanos: nanos(heap.held_up),
            not_reached: heap.not_reached,
            left_out: heap.left_out,
            left_out_bytes: heap.left_out_bytes.0,
        }),
        heap_missing: state.heap.as_ref().err().map(missing_to),
        groups: goroutines
            .groups
            .iter()
            .map(|group| messages::GoroutineGroup {
                count: group.count,
                function: group.function.clone(),
                created_by: group.created_by.clone(),
                file: group.file.clone(),
                line: group.line,
                state: group.state.clone(),
            })
            .collect(),
        goroutines_missing: goroutines.missing,
        goroutines_held_up_nanos: nanos(goroutines.held_up),
        no_goroutines: state.goroutines.as_ref().err().map(missing_to),
        goroutines_cut: goroutines
            .truncation
            .map(|reason| position(&TruncationReason::ALL, &reason)),
    }
}

pub(super) fn final_state_from(at: Timestamp, state: messages::FinalState) -> Converted<FinalState> {
    let heap = if let Some(missing) = state.heap_missing {
        Err(missing_from(missing))
    } else {
        let heap = required(state.heap, "heap")?;
        Ok(FinalHeap {
            allocated: recorded(heap.allocated_content.as_ref(), &heap.allocated, ProfileType::Heap).ok(),
            retained: recorded(heap.retained_content.as_ref(), &heap.retained, ProfileType::Heap).ok(),
            buckets: heap.buckets,
            lost: heap.lost,
            unreadable: heap.unreadable,
            unknown: heap.unknown,
            unknown_bytes: Bytes(heap.unknown_bytes),
            truncation: heap
                .cut
                .map(|cut| entry(&TruncationReason::ALL, cut, "cut"))
                .transpose()?,
            held_up: Duration::from_nanos(heap.held_up_nanos),
            not_reached: heap.not_reached,
            left_out: heap.left_out,
            left_out_bytes: Bytes(heap.left_out_bytes),
        })
    };
    let groups = state.groups.into_iter().map(|group| GoroutineGroup {
        count: group.count,
        function: group.function,
        created_by: group.created_by,
        file: group.file,
        line: group.line,
        state: group.state,
    });
    let goroutines = match state.no_goroutines {
        Some(missing) => Err(missing_from(missing)),
        None => Ok(FinalGoroutines {
            groups: groups.collect(),
            missing: state.goroutines_missing,
            truncation: state
                .goroutines_cut
                .map(|cut| entry(&TruncationReason::ALL, cut, "goroutines_cut"))
                .transpose()?,
            held_up: Duration::from_nanos(state.goroutines_held_up_nanos),
        }),
    };
    Ok(FinalState {
        at,
        target: TargetId::from_text(&state.target),
        process: key_from(state.process)?,
        heap,
        goroutines,
    })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
