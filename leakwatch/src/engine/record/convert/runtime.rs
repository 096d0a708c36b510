//! Numbers of a Go runtime to a message and back.

use super::Converted;
use super::key_to;
use super::missing_to;
use super::sample::reading_from;
use crate::engine::record::wire;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::runtime::GoRuntime;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Bytes;

pub(super) fn runtime_to(target: &TargetId, process: ProcessKey, numbers: &Reading<GoRuntime>) -> wire::GoRuntime {
    let message = wire::GoRuntime {
        target: target.as_str().to_owned(),
        process: Some(key_to(process)),
        ..wire::GoRuntime::default()
    };
    match numbers {
        Ok(numbers) => wire::GoRuntime {
            bytes: [
                numbers.heap_marked,
                numbers.heap_live,
                numbers.heap_in_use,
                numbers.heap_idle,
                numbers.heap_released,
                numbers.mapped_ready,
                numbers.stacks,
                numbers.metadata,
            ]
            .map(|bytes| bytes.0)
            .to_vec(),
            heap_goal: numbers.heap_goal.map(|bytes| bytes.0),
            collections: numbers.collections,
            gc_percent: numbers.gc_percent,
            memory_limit: numbers.memory_limit.map(|bytes| bytes.0),
            ..message
        },
        Err(missing) => wire::GoRuntime {
            missing: Some(missing_to(missing)),
            ..message
        },
    }
}

pub(super) fn runtime_from(message: wire::GoRuntime) -> Converted<Reading<GoRuntime>> {
    reading_from(&message.bytes, message.missing, |numbers: &[u64; 8]| {
        let [
            heap_marked,
            heap_live,
            heap_in_use,
            heap_idle,
            heap_released,
            mapped_ready,
            stacks,
            metadata,
        ] = numbers.map(Bytes);
        GoRuntime {
            heap_marked,
            heap_live,
            heap_goal: message.heap_goal.map(Bytes),
            heap_in_use,
            heap_idle,
            heap_released,
            mapped_ready,
            stacks,
            metadata,
            collections: message.collections,
            gc_percent: message.gc_percent,
            memory_limit: message.memory_limit.map(Bytes),
        }
    })
}
