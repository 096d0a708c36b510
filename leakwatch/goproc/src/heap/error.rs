//! Why there is no heap profile.

use super::bucket::BucketError;
use crate::layout::RecordFormat;
use crate::memory::MemoryError;

/// Why there is no heap profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeapError {
    /// The process has ended, or runs another program now.
    #[error("the process has ended or runs another program")]
    Gone,
    /// A bucket that cannot be one.
    #[error("the list of buckets is damaged")]
    Bucket(#[from] BucketError),
    /// The list comes back to itself.
    #[error("the list of buckets runs in a circle at {address:#x}")]
    Loop {
        /// Where it was noticed.
        address: u64,
    },
    /// Buckets are never removed, but the known ones are not in the list any more.
    #[error("the list of buckets no longer leads to {address:#x}")]
    HeadLost {
        /// The newest bucket that was known.
        address: u64,
    },
    /// The time for one reading is over; the next one goes on.
    #[error("one reading is too short for the list of buckets: {buckets} so far, the next reading goes on")]
    Unfinished {
        /// Buckets found so far.
        buckets: usize,
    },
    /// Some counters have the layout of one version, some that of another.
    #[error("the counters contradict themselves: bytes are objects times size in {holds} cycles, not in {fails}")]
    Contradiction {
        /// Cycles in which they are.
        holds: u64,
        /// Cycles in which they are not.
        fails: u64,
    },
    /// The counters have another layout than this version of Go should have.
    #[error("the counters are laid out as {found:?}, but {version} lays them out as {expected:?}")]
    Layout {
        /// Version of Go.
        version: String,
        /// What the version has.
        expected: RecordFormat,
        /// What the memory has.
        found: RecordFormat,
    },
    /// A version that is not known, and no counter that could tell.
    #[error("the layout of {version} is not known and no bucket tells it yet")]
    UnknownLayout {
        /// Version of Go.
        version: String,
    },
    /// A variable could not be read.
    #[error("read {what}")]
    Variable {
        /// Which.
        what: &'static str,
        /// Why.
        #[source]
        source: MemoryError,
    },
}
