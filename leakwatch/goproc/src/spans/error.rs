//! Why the heap could not be divided.

use crate::memory::MemoryError;

/// Why the heap could not be divided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpansError {
    /// The memory could not be read.
    #[error("read the spans of the heap")]
    Memory(#[from] MemoryError),
    /// What should be the list of spans is none.
    #[error("there is no list of {length} spans at {array:#x}")]
    NotAList {
        /// Where it should be.
        array: u64,
        /// How long it should be.
        length: u64,
    },
    /// More than is read.
    #[error("the heap has {spans} spans in {pages} pages, more than are read")]
    TooLarge {
        /// Its spans.
        spans: u64,
        /// From the first page to the last.
        pages: u64,
    },
}
