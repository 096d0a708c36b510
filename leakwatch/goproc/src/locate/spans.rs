//! The heap: `runtime.mheap_` (runtime/mheap.go).

use super::LocateError;
use super::Located;
use super::Method;
use super::Program;
use super::single;
use super::votes;
use crate::memory::ReadMemory;
use crate::spans::SWEEP_GENERATION;
use crate::spans::Spans;
use std::collections::BTreeSet;

/// Finds it: by its symbol, else by the code that sweeps. What that refers to is the heap itself, its sweep generation or the list of
/// spans behind that, and only one of them has a list of spans where it has to be.
pub(crate) fn find<M: ReadMemory + ?Sized, F: ReadMemory + ?Sized>(
    program: &Program<'_, M, F>,
) -> Result<Located, LocateError> {
    const WHAT: &str = "runtime.mheap_";
    if let Some(located) = program.symbol(WHAT) {
        return Ok(located);
    }
    let references = program.references([
        "runtime.gcSweep",
        "runtime.sweepone",
        "runtime.finishsweep_m",
        "runtime.bgsweep",
        "runtime.mallocinit",
        "runtime.deductSweepCredit",
        "runtime.schedinit",
        "runtime.gcMarkTermination",
        "runtime.(*mcentral).cacheSpan",
        "runtime.(*mcache).refill",
    ]);
    let mut candidates = BTreeSet::new();
    for (target, _) in votes(&references, |_| true) {
        // An immediate of one or four bytes may follow the operand.
        for address in [target, target.wrapping_add(1), target.wrapping_add(4)] {
            let starts = [
                Some(address),
                address.checked_sub(SWEEP_GENERATION),
                address.checked_sub(SWEEP_GENERATION + 8),
            ];
            candidates.extend(starts.into_iter().flatten().filter(|start| {
                start.is_multiple_of(8) && program.module.is_variable(*start) && holds_spans(program.memory, *start)
            }));
        }
    }
    let found: Vec<u64> = candidates.into_iter().collect();
    single(WHAT, Method::Code, &found)
}

fn holds_spans<M: ReadMemory + ?Sized>(memory: &M, heap: u64) -> bool {
    let Some(generation) = heap.checked_add(SWEEP_GENERATION) else {
        return false;
    };
    // Two for each collection.
    let counts = memory
        .read_u32(generation)
        .is_ok_and(|value| value != 0 && value.is_multiple_of(2));
    counts
        && generation
            .checked_add(8)
            .is_some_and(|list| Spans::is_list(memory, list))
}
