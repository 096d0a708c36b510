//! The profile cycle: which of the counters of a bucket are current.

use crate::memory::MemoryError;
use crate::memory::ReadMemory;

/// `mProfCycle` counts to this and starts again (`mProfCycleWrap`).
pub(crate) const CYCLE_WRAP: u32 = 3 << 25;

/// Where the profile cycle is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CycleSource {
    /// `runtime.mProfCycle`: twice the cycle, plus one once it has been flushed.
    Profile(u64),
    /// `runtime.memstats.numgc`, which is the same number.
    Collections(u64),
}

impl CycleSource {
    pub(super) fn read<M: ReadMemory + ?Sized>(self, memory: &M) -> Result<u32, MemoryError> {
        let (Self::Profile(address) | Self::Collections(address)) = self;
        Ok(self.of_word(memory.read_u32(address)?))
    }

    /// The cycle, from what is in memory.
    pub(crate) const fn of_word(self, word: u32) -> u32 {
        match self {
            Self::Profile(_) => word >> 1,
            // The profile's own counter wraps at a multiple of three: what remains is the same.
            Self::Collections(_) => word % CYCLE_WRAP,
        }
    }
}

/// A collection may have ended between the two reads.
pub(crate) fn same_cycle(cycle: u32, collections: u32) -> bool {
    let distance = (cycle + CYCLE_WRAP - collections % CYCLE_WRAP) % CYCLE_WRAP;
    distance <= 1 || distance == CYCLE_WRAP - 1
}
