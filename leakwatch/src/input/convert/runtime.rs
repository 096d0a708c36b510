//! Numbers of a Go runtime to a message and back.

use super::Converted;
use super::key_to;
use super::missing_to;
use super::sample::reading_from;
use crate::input::messages;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::runtime::GoRuntimeStats;
use leakwatch_analysis::model::runtime::RuntimeStats;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Bytes;

pub(super) fn runtime_to(target: &TargetId, process: ProcessKey, stats: &Reading<RuntimeStats>) -> messages::GoRuntime {
    let message = messages::GoRuntime {
        target: target.as_str().to_owned(),
        process: Some(key_to(process)),
        ..messages::GoRuntime::default()
    };
    match stats {
        Ok(RuntimeStats::Go(stats)) => messages::GoRuntime {
            bytes: [
                stats.heap_marked,
                stats.heap_live,
                stats.heap_in_use,
                stats.heap_idle,
                stats.heap_released,
                stats.mapped_ready,
                stats.stacks,
                stats.metadata,
            ]
            .map(|bytes| bytes.0)
            .to_vec(),
            heap_goal: stats.heap_goal.map(|bytes| bytes.0),
            collections: stats.collections,
            gc_percent: stats.gc_percent,
            memory_limit: stats.memory_limit.map(|bytes| bytes.0),
            ..message
        },
        Err(missing) => messages::GoRuntime {
            missing: Some(missing_to(missing)),
            ..message
        },
    }
}

pub(super) fn runtime_from(message: messages::GoRuntime) -> Converted<Reading<RuntimeStats>> {
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
        RuntimeStats::Go(GoRuntimeStats {
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
        })
    })
}
