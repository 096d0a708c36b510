//! What happens to the address space of a process, as the kernel tells it.

/// Address and length in bytes.
pub type Extent = (u64, u64);

/// One change, in the order of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The page at the address was touched first, by the stack: one of as many as the sampling period says.
    Page {
        /// Some address in it.
        address: u64,
        /// Who touched it.
        fingerprint: u64,
    },
    /// Anonymous memory was mapped by the stack, in place of what was there.
    Map {
        /// Where.
        range: Extent,
        /// Who mapped it.
        fingerprint: u64,
    },
    /// The mapping ends, or becomes another that does not matter.
    Unmap {
        /// Where.
        range: Extent,
    },
    /// The mapping goes on elsewhere or with another length.
    Move {
        /// Where it was.
        from: Extent,
        /// Where it is.
        to: Extent,
    },
    /// The heap ends here.
    Break {
        /// First address behind it.
        end: u64,
    },
    /// The pages are given back, the mapping stays.
    Drop {
        /// Where.
        range: Extent,
    },
}
