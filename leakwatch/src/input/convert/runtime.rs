//! What runtimes count.

use crate::input::convert::error::Converted;
use crate::input::convert::error::unknown;
use crate::input::convert::field::key_to;
use crate::input::convert::field::missing_from;
use crate::input::convert::field::missing_to;
use crate::input::convert::format1;
use crate::input::messages;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::runtime::GoRuntimeStats;
use leakwatch_analysis::model::runtime::RuntimeStats;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Bytes;

pub(super) fn runtime_to(target: &TargetId, process: ProcessKey, stats: &Reading<RuntimeStats>) -> messages::Runtime {
    let go = stats.as_ref().ok().map(|stats| match stats {
        RuntimeStats::Go(stats) => go_to(stats),
    });
    messages::Runtime {
        target: target.as_str().to_owned(),
        process: Some(key_to(process)),
        missing: stats.as_ref().err().map(missing_to),
        go,
    }
}

pub(super) fn runtime_from(
    missing: Option<messages::Missing>,
    go: Option<messages::GoRuntimeStats>,
) -> Converted<Reading<RuntimeStats>> {
    match (missing, go) {
        (Some(missing), _) => Ok(Err(missing_from(missing))),
        (None, Some(stats)) => Ok(Ok(RuntimeStats::Go(go_from(&stats)))),
        (None, None) => Err(unknown("runtime", "another than Go")),
    }
}

fn go_to(stats: &GoRuntimeStats) -> messages::GoRuntimeStats {
    messages::GoRuntimeStats {
        heap_marked: stats.heap_marked.0,
        heap_live: stats.heap_live.0,
        heap_goal: stats.heap_goal.map(|bytes| bytes.0),
        heap_in_use: stats.heap_in_use.0,
        heap_idle: stats.heap_idle.0,
        heap_released: stats.heap_released.0,
        mapped_ready: stats.mapped_ready.0,
        stacks: stats.stacks.0,
        metadata: stats.metadata.0,
        collections: stats.collections,
        gc_percent: stats.gc_percent,
        memory_limit: stats.memory_limit.map(|bytes| bytes.0),
    }
}

fn go_from(stats: &messages::GoRuntimeStats) -> GoRuntimeStats {
    GoRuntimeStats {
        heap_marked: Bytes(stats.heap_marked),
        heap_live: Bytes(stats.heap_live),
        heap_goal: stats.heap_goal.map(Bytes),
        heap_in_use: Bytes(stats.heap_in_use),
        heap_idle: Bytes(stats.heap_idle),
        heap_released: Bytes(stats.heap_released),
        mapped_ready: Bytes(stats.mapped_ready),
        stacks: Bytes(stats.stacks),
        metadata: Bytes(stats.metadata),
        collections: stats.collections,
        gc_percent: stats.gc_percent,
        memory_limit: stats.memory_limit.map(Bytes),
    }
}

/// Format 1 had the sizes as an array.
pub(super) fn go_runtime_from(message: messages::GoRuntime) -> Converted<Reading<RuntimeStats>> {
    if message.missing.is_some() {
        return runtime_from(message.missing, None);
    }
    let [
        heap_marked,
        heap_live,
        heap_in_use,
        heap_idle,
        heap_released,
        mapped_ready,
        stacks,
        metadata,
    ] = format1::numbers(&message.bytes)?;
    let stats = messages::GoRuntimeStats {
        heap_marked,
        heap_live,
        heap_goal: message.heap_goal,
        heap_in_use,
        heap_idle,
        heap_released,
        mapped_ready,
        stacks,
        metadata,
        collections: message.collections,
        gc_percent: message.gc_percent,
        memory_limit: message.memory_limit,
    };
    runtime_from(None, Some(stats))
}
