//! Why a look came to no end.

use crate::goroutines::GoroutinesError;
use crate::memory::MemoryError;
use crate::spans::SpansError;

/// Why a look came to no end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WakersError {
    /// The memory could not be read.
    #[error("read the memory of the program")]
    Memory(#[from] MemoryError),
    /// The heap could not be divided.
    #[error(transparent)]
    Spans(#[from] SpansError),
    /// The goroutines could not be read.
    #[error(transparent)]
    Goroutines(#[from] GoroutinesError),
    /// There is more of it than is read.
    #[error("{what}: {found} are more than the {most} that are read")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much there is, at least.
        found: u64,
        /// The bound.
        most: u64,
    },
}
