//! Why goroutines could not be read.

use crate::memory::MemoryError;

/// Why goroutines could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GoroutinesError {
    /// The memory could not be read.
    #[error("read the list of goroutines")]
    Memory(#[from] MemoryError),
    /// More than any process can have.
    #[error("the list of goroutines claims {length} entries")]
    TooMany {
        /// The claim.
        length: u64,
    },
    /// An entry is not the address of a goroutine.
    #[error("there is no list of {length} goroutines at {array:#x}")]
    NotAList {
        /// Where it should be.
        array: u64,
        /// How long it should be.
        length: u64,
    },
    /// It was replaced while it was read, time after time.
    #[error("the list of goroutines moves faster than it can be read")]
    ListMoves,
}
