//! The functions of the runtime that are looked for by their names: found in one pass over the table, at the first question.

use super::function::Function;

/// All that anyone here asks for.
pub(super) const NAMES: [&str; 34] = [
    // Refer to the variables of the memory profile.
    "runtime.MemProfile",
    "runtime.memProfileInternal",
    "runtime.mProf_FlushLocked",
    "runtime.mProf_Malloc",
    "runtime.mProf_Free",
    "runtime.mProf_PostSweep",
    "runtime.mProf_Flush",
    "runtime.gcMarkTermination",
    "runtime.mallocgc",
    "runtime.profilealloc",
    "runtime.schedinit",
    "runtime.parsedebugvars",
    "runtime.nextSample",
    "runtime.fastexprand",
    "runtime/pprof.writeHeapInternal",
    "runtime/pprof.writeHeapProto",
    "runtime/pprof.writeHeap",
    // Refer to the heap.
    "runtime.gcSweep",
    "runtime.sweepone",
    "runtime.finishsweep_m",
    "runtime.bgsweep",
    "runtime.mallocinit",
    "runtime.deductSweepCredit",
    "runtime.(*mcentral).cacheSpan",
    "runtime.(*mcache).refill",
    // Refers to the list of goroutines.
    "runtime.allgadd",
    // Are special in stack traces.
    "runtime.systemstack_switch",
    "runtime.gopanic",
    "runtime.sigpanic",
    "runtime.panicwrap",
    "runtime.asyncPreempt",
    "runtime.debugCallV2",
    "runtime.cgocallback",
    "runtime.goexit",
];

/// In the order of [`NAMES`].
pub(super) type RuntimeFunctions = [Option<Function>; NAMES.len()];
