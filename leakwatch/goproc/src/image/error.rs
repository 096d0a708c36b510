//! Why a file cannot be used.

use crate::memory::MemoryError;

/// Why a file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Not an executable ELF file.
    #[error("not an ELF executable: {0}")]
    NotElf(&'static str),
    /// Another processor: its layouts and calling convention are not known here.
    #[error("an executable for ELF machine {machine}; only amd64 (62) can be read")]
    Architecture {
        /// `e_machine`.
        machine: u16,
    },
    /// A table that is larger than any real file needs.
    #[error("the {what} of the executable is {size} bytes long, more than {bound}")]
    TooLarge {
        /// Which table.
        what: &'static str,
        /// What the file says.
        size: u64,
        /// What is read at most.
        bound: u64,
    },
    /// The file ends before what it promises.
    #[error("read the {what} of the executable")]
    Read {
        /// Which part.
        what: &'static str,
        /// Why.
        #[source]
        source: MemoryError,
    },
}
