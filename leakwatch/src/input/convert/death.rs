//! What was read of processes that were killed.

use crate::input::convert::Converted;
use crate::input::convert::entry;
use crate::input::convert::key_from;
use crate::input::convert::key_to;
use crate::input::convert::missing_from;
use crate::input::convert::missing_to;
use crate::input::convert::position;
use crate::input::convert::required;
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
use leakwatch_analysis::pprof;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn death_to(death: &FinalState) -> messages::Death {
    messages::Death {
        target: death.target.as_str().to_owned(),
        process: Some(key_to(death.process)),
        heap: death.heap.as_ref().ok().map(|heap| messages::FinalHeap {
            allocated: heap.allocated.to_vec(),
            retained: heap.retained.pprof.to_vec(),
            buckets: heap.buckets,
            lost: heap.lost,
            unreadable: heap.unreadable,
            unknown: heap.unknown,
            unknown_bytes: heap.unknown_bytes.0,
            cut: heap.truncation.map(|reason| position(&TruncationReason::ALL, &reason)),
            held_up_nanos: nanos(heap.held_up),
        }),
        heap_missing: death.heap.as_ref().err().map(missing_to),
        groups: death
            .goroutines
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
        goroutines_missing: death.goroutines.missing,
        goroutines_held_up_nanos: nanos(death.goroutines.held_up),
    }
}

pub(super) fn death_from(at: Timestamp, death: messages::Death) -> Converted<FinalState> {
    let heap = if let Some(missing) = death.heap_missing {
        Err(missing_from(missing))
    } else {
        let heap = required(death.heap, "heap")?;
        Ok(FinalHeap {
            allocated: Arc::from(heap.allocated),
            retained: pprof::recorded(Arc::from(heap.retained), ProfileType::Heap),
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
        })
    };
    let groups = death.groups.into_iter().map(|group| GoroutineGroup {
        count: group.count,
        function: group.function,
        created_by: group.created_by,
        file: group.file,
        line: group.line,
        state: group.state,
    });
    Ok(FinalState {
        at,
        target: TargetId::from_text(&death.target),
        process: key_from(death.process)?,
        heap,
        goroutines: FinalGoroutines {
            groups: groups.collect(),
            missing: death.goroutines_missing,
            held_up: Duration::from_nanos(death.goroutines_held_up_nanos),
        },
    })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
