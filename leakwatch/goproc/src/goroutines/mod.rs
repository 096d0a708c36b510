//! The goroutines of a process: a cheap census of what they wait for, and their stacks, grouped.
//!
//! Reads the list, the headers and the stacks of a program that goes on running (runtime/runtime2.go, runtime/traceback.go);
//! what has changed while it was read is read again once, and counted when it changes again. Must not keep anything of a
//! stack but return addresses.

mod blocked;
mod calibrate;
mod census;
mod error;
mod header;
pub(crate) mod list;
mod snapshot;
mod source;
mod system;
mod unwind;
mod wait_reason;
#[cfg(test)]
mod tests;

pub use calibrate::Calibration;
pub use calibrate::CalibrationError;
pub use census::Census;
pub use census::CensusGroup;
pub use census::Newcomers;
pub use error::GoroutinesError;
pub use header::Header;
pub use header::Status;
pub use list::ListAddress;
pub use snapshot::Group;
pub use snapshot::Snapshot;
pub use snapshot::StackState;
pub use source::GoroutineSource;
pub use source::LayoutOrigin;
pub use wait_reason::WaitReasons;

use crate::memory::ReadMemory;
use crate::pclntab::Pclntab;
use crate::pclntab::TableBytes;

/// How much is read at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoroutineBounds {
    /// Of more goroutines than these, only every second, third, ... is read.
    pub goroutines: u64,
    /// Return addresses kept, over all distinct stacks.
    pub frames: usize,
}

impl Default for GoroutineBounds {
    fn default() -> Self {
        Self {
            goroutines: 200_000,
            frames: 1 << 20,
        }
    }
}

/// The goroutines of one process, ready to be read any number of times.
#[derive(Debug)]
pub struct Goroutines<'p, M: ?Sized, B> {
    memory: &'p M,
    table: &'p Pclntab<B>,
    bias: u64,
    source: &'p GoroutineSource,
    bounds: GoroutineBounds,
}

impl<'p, M: ReadMemory + ?Sized, B: TableBytes> Goroutines<'p, M, B> {
    /// `bias` is what an address of the process has more than the same address in the file of `table`.
    pub fn new(
        memory: &'p M,
        table: &'p Pclntab<B>,
        bias: u64,
        source: &'p GoroutineSource,
        bounds: GoroutineBounds,
    ) -> Self {
        Self {
            memory,
            table,
            bias,
            source,
            bounds,
        }
    }

    /// Where they are, and how that is known.
    pub fn source(&self) -> &'p GoroutineSource {
        self.source
    }

    /// The text for a wait reason, in Go's own words.
    pub fn reason(&self, reason: u8) -> Option<&'p str> {
        self.source.reasons.text(reason)
    }
}
