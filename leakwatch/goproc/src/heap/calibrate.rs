//! Which of the two layouts the counters have, told by the counters themselves.
//!
//! Where each cycle has bytes, they are objects times size, in every cycle of every bucket. Read so, the other layout
//! shows allocations of one cycle as bytes of another, and practically never holds.

use super::bucket::words;
use crate::layout::RecordFormat;

/// Buckets looked at.
pub(super) const SAMPLE: usize = 1024;

/// What a look at some buckets says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    /// Cycles with allocations in which bytes are objects times size.
    holds: u64,
    /// Cycles in which they are not.
    fails: u64,
}

impl Evidence {
    /// Counts one bucket whose counters are read as [`RecordFormat::ObjectsAndBytes`].
    pub(super) fn look(&mut self, size: u64, record: &[u8]) {
        for cycle in record.chunks_exact(RecordFormat::ObjectsAndBytes.cycle_size()) {
            let mut words = words(cycle);
            let (Some(allocs), Some(frees), Some(alloc_bytes), Some(free_bytes)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                continue;
            };
            if allocs.checked_mul(size) != Some(alloc_bytes) || frees.checked_mul(size) != Some(free_bytes) {
                self.fails += 1;
            } else if allocs != 0 || frees != 0 {
                self.holds += 1;
            }
        }
    }

    /// The layout, when the evidence is clear. A counter that moves while it is read may fail once.
    pub(super) fn format(&self) -> Verdict {
        match (self.holds, self.fails) {
            (0, 0) => Verdict::Nothing,
            (holds, fails) if holds > 20 * fails => Verdict::Clear(RecordFormat::ObjectsAndBytes),
            (holds, fails) if fails > 20 * holds => Verdict::Clear(RecordFormat::Objects),
            (holds, fails) => Verdict::Contradiction { holds, fails },
        }
    }
}

/// What the counters say about their own layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All counters are zero.
    Nothing,
    /// It is this one.
    Clear(RecordFormat),
    /// Some buckets speak for one, some for the other.
    Contradiction { holds: u64, fails: u64 },
}
