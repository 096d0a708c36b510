//! What the runtime of a Go process counts, in the words of the analysis.

use crate::collect::runtime::go::missing;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::runtime::GoRuntimeStats;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_goproc::attach::GoProcess;

/// The numbers of its garbage collector and its memory.
pub(super) fn read(process: &mut GoProcess) -> Reading<GoRuntimeStats> {
    let numbers = process.gc().map_err(|error| missing::gc(&error))?;
    Ok(GoRuntimeStats {
        heap_marked: Bytes(numbers.heap_marked),
        heap_live: Bytes(numbers.heap_live),
        heap_goal: numbers.heap_goal.map(Bytes),
        heap_in_use: Bytes(numbers.heap_in_use),
        heap_idle: Bytes(numbers.heap_free),
        heap_released: Bytes(numbers.heap_released),
        mapped_ready: Bytes(numbers.mapped_ready),
        stacks: Bytes(numbers.stacks_in_use),
        metadata: Bytes(numbers.runtime_metadata),
        collections: numbers.collections,
        gc_percent: numbers.gc_percent,
        memory_limit: numbers.memory_limit.map(Bytes),
    })
}
