//! Which goroutines nobody can ever wake: what they wait for can be reached from nothing that still runs.
//!
//! The rule of Go's own leak detection (runtime/mgc.go since Go 1.26), found from outside in a program that goes on running: an object is
//! alive when a variable, the stack of a goroutine that is alive, or an object that is alive refers to it; a goroutine is alive when it
//! is not blocked, or when something that it waits for is alive. The rest is blocked for ever. Searched backwards, from what is waited
//! for to what refers to it, and conservatively: every word that could be an address is one. That costs finds, and accuses nobody.
//!
//! What a running program moves while it is read must not accuse either. Three guards, each of them needed (`docs/go-from-outside.md`):
//! only goroutines are judged that a collection saw blocked more than a second ago; what was found unreachable is looked at again, with
//! stacks, spans and variables read anew, until nothing that refers to it has appeared in two readings of everything or in eight it was not
//! it that anything new referred to, for unreachable memory cannot change; and a find counts when a second look, some time later, finds the same goroutine blocked since the same moment.
//!
//! Of what is read only addresses are kept, and only while a look lasts.

mod areas;
mod confirm;
mod error;
mod graph;
mod look;
mod processor;
mod waits;
#[cfg(test)]
mod tests;

pub use error::WakersError;
pub use look::Look;

use crate::goroutines::GoroutineSource;
use crate::layout::WaitingLayout;
use crate::memory::ReadMemory;
use std::ops::Range;

/// What is read at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookBounds {
    /// Goroutines listed.
    pub goroutines: u64,
    /// Bytes of variables, stacks and objects with addresses in them: read once for each step back, and at least twice more.
    pub bytes: u64,
    /// Objects followed, and the references between them.
    pub objects: usize,
    /// Steps back from what is waited for.
    pub steps: u32,
}

impl Default for LookBounds {
    fn default() -> Self {
        Self {
            goroutines: 200_000,
            bytes: 4 << 30,
            objects: 1 << 20,
            steps: 24,
        }
    }
}

/// Where everything is in the memory of one process.
#[derive(Debug)]
pub(crate) struct Places<'p> {
    /// `runtime.mheap_`.
    pub(crate) heap: u64,
    /// Variables that may hold addresses of objects.
    pub(crate) variables: [Range<u64>; 2],
    /// Where the descriptions of types begin.
    pub(crate) types: u64,
    /// Offsets of this release.
    pub(crate) layout: &'p WaitingLayout,
    /// `27` for Go 1.27.
    pub(crate) minor: u32,
    pub(crate) goroutines: &'p GoroutineSource,
}

/// One process to be looked at.
#[derive(Debug)]
pub(crate) struct Wakers<'p, M: ?Sized> {
    pub(crate) memory: &'p M,
    pub(crate) places: Places<'p>,
    pub(crate) bounds: LookBounds,
}

impl<M: ReadMemory + ?Sized> Wakers<'_, M> {
    /// `mheap.sweepgen`.
    fn generation(&self) -> u64 {
        self.places.heap.saturating_add(crate::spans::SWEEP_GENERATION)
    }

    /// `mheap.allspans`.
    fn list(&self) -> u64 {
        self.generation().saturating_add(8)
    }

    /// The kinds of specials by which the program can still get at an object that nothing refers to: finalizers, and since Go 1.23 weak
    /// pointers. They moved by one in 1.25 (runtime/mheap.go).
    fn keeping(&self) -> Range<u64> {
        match self.places.minor {
            ..23 => 1..2,
            23..25 => 1..3,
            25.. => 2..4,
        }
    }
}
