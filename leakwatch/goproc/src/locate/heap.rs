//! The variables of the memory profile: `mbuckets`, `mProfCycle` (runtime/mprof.go) and `MemProfileRate`.

use super::LocateError;
use super::Located;
use super::Method;
use super::Program;
use super::code;
use super::single;
use super::votes;
use crate::heap::Bucket;
use crate::heap::CYCLE_WRAP;
use crate::heap::same_cycle;
use crate::memory::ReadMemory;

/// Initial value of `runtime.MemProfileRate`.
const DEFAULT_RATE: u64 = 512 << 10;

/// List elements that must be buckets too.
const CHECKED: usize = 3;

/// Where the memory profile is.
#[derive(Clone, Debug)]
pub struct HeapVariables {
    /// Head of the list of all memory buckets.
    pub buckets: Result<Located, LocateError>,
    /// The profile cycle, counted by the garbage collector. Where it is missing, `memstats.numgc` serves.
    pub cycle: Result<Located, LocateError>,
    /// The sampling rate in bytes.
    pub rate: Result<Located, LocateError>,
    /// Whether a function that reads the profile is linked in: the linker turns profiling off where none is.
    pub profiling_linked: bool,
}

impl HeapVariables {
    /// Finds them. `collections` is the number of garbage collections so far, where it is known.
    pub(crate) fn find<M: ReadMemory + ?Sized, F: ReadMemory + ?Sized>(
        program: &Program<'_, M, F>,
        collections: Option<u32>,
    ) -> Self {
        // runtime.MemProfile until Go 1.22, then what it calls.
        let readers = ["runtime.MemProfile", "runtime.memProfileInternal"];
        Self {
            buckets: buckets(program),
            cycle: cycle(program, collections),
            rate: rate(program),
            profiling_linked: readers
                .iter()
                .any(|name| program.pclntab.runtime_function(name).is_some()),
        }
    }
}

/// Referred to by the function that walks the list; points to a bucket whose neighbours are buckets.
fn buckets<M: ReadMemory + ?Sized, F: ReadMemory + ?Sized>(
    program: &Program<'_, M, F>,
) -> Result<Located, LocateError> {
    const WHAT: &str = "runtime.mbuckets";
    if let Some(located) = program.symbol(WHAT) {
        return Ok(located);
    }
    let [references] = program.references(["runtime.mProf_FlushLocked"]);
    let mut candidates = Vec::new();
    for (address, _) in votes([&references], |_| true) {
        if leads_to_buckets(program, address) {
            candidates.push(address);
        }
    }
    single(WHAT, Method::Code, &candidates)
}

fn leads_to_buckets<M: ReadMemory + ?Sized, F: ReadMemory + ?Sized>(program: &Program<'_, M, F>, head: u64) -> bool {
    let mut next = program.memory.read_u64(head).unwrap_or(0);
    for checked in 0..CHECKED {
        if next == 0 {
            return checked > 0;
        }
        match Bucket::read(program.memory, next, &program.module.text) {
            Ok(bucket) => next = bucket.next,
            Err(_) => return false,
        }
    }
    true
}

/// Loaded by the functions that count allocations; half of it is the number of collections.
fn cycle<M: ReadMemory + ?Sized, F: ReadMemory + ?Sized>(
    program: &Program<'_, M, F>,
    collections: Option<u32>,
) -> Result<Located, LocateError> {
    const WHAT: &str = "runtime.mProfCycle";
    /// Fewer loads than these could be of anything.
    const MIN_VOTES: usize = 3;
    if let Some(located) = program.symbol(WHAT) {
        return Ok(located);
    }
    let references = program.references([
        "runtime.mProf_Malloc",
        "runtime.mProf_Free",
        "runtime.mProf_PostSweep",
        "runtime.mProf_Flush",
        "runtime.memProfileInternal",
        "runtime.gcMarkTermination",
    ]);
    let votes = votes(&references, |reference| reference.opcode == code::LOAD);
    let candidates: Vec<_> = votes
        .iter()
        .filter(|(address, count)| {
            *count >= MIN_VOTES
                && program.memory.read_u32(*address).is_ok_and(|value| {
                    value >> 1 < CYCLE_WRAP && collections.is_none_or(|known| same_cycle(value >> 1, known))
                })
        })
        .collect();
    let most = candidates.first().map_or(0, |(_, count)| *count);
    let best: Vec<_> = candidates
        .iter()
        .filter(|(_, count)| *count == most)
        .map(|(address, _)| *address)
        .collect();
    let method = if collections.is_some() {
        Method::Code
    } else {
        Method::Unverified
    };
    single(WHAT, method, &best)
}

/// Referred to by several functions; 512 KiB in the file, whatever it is now. Go 1.19 and 1.20 set it at the start of the
/// program: there the number of references has to tell.
fn rate<M: ReadMemory + ?Sized, F: ReadMemory + ?Sized>(program: &Program<'_, M, F>) -> Result<Located, LocateError> {
    const WHAT: &str = "runtime.MemProfileRate";
    if let Some(located) = program.symbol(WHAT) {
        return Ok(located);
    }
    let references = program.references([
        "runtime.mallocgc",
        "runtime.profilealloc",
        "runtime.schedinit",
        "runtime.parsedebugvars",
        "runtime/pprof.writeHeapInternal",
        "runtime/pprof.writeHeapProto",
        "runtime/pprof.writeHeap",
        "runtime.nextSample",
        "runtime.fastexprand",
        "runtime.MemProfile",
        "runtime.memProfileInternal",
    ]);
    let votes = votes(&references, |_| true);
    let initial: Vec<_> = votes
        .iter()
        .map(|(address, _)| *address)
        .filter(|address| {
            let linked = address.wrapping_sub(program.bias);
            program.image.initial(program.file, linked, 8).as_deref() == Some(&DEFAULT_RATE.to_le_bytes())
        })
        .collect();
    if !initial.is_empty() {
        return single(WHAT, Method::Code, &initial);
    }
    let most = votes.first().map_or(0, |(_, count)| *count);
    let best: Vec<_> = votes
        .iter()
        .filter(|(_, count)| *count == most && *count > 1)
        .map(|(address, _)| *address)
        .collect();
    single(WHAT, Method::Unverified, &best)
}
