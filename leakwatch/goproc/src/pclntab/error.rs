//! Why bytes are not a usable table.

/// Why bytes are not a usable table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PclntabError {
    /// There is no header.
    #[error("pclntab is cut off after {bytes} bytes")]
    TooShort {
        /// Length.
        bytes: usize,
    },
    /// The first bytes are those of no known format.
    #[error("pclntab has an unknown format (magic {magic:#010x})")]
    Magic {
        /// First four bytes.
        magic: u32,
    },
    /// Not a 64-bit architecture whose stacks are understood.
    #[error("pclntab is for pointers of {pointer} bytes and instructions of {quantum}")]
    Architecture {
        /// `minLC`.
        quantum: u8,
        /// `ptrSize`.
        pointer: u8,
    },
    /// A table lies outside, or over the next one.
    #[error("{table} of pclntab span {start} to {end} of {bytes} bytes")]
    Table {
        /// Which one.
        table: &'static str,
        /// Its offset.
        start: usize,
        /// The offset behind it.
        end: usize,
        /// Length of all.
        bytes: usize,
    },
    /// None, or more than there is room for.
    #[error("pclntab claims {functions} functions")]
    Functions {
        /// The claim.
        functions: usize,
    },
}
