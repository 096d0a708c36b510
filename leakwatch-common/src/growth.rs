//! What the page-fault and mapping probes tell the daemon: one record for each sampled page and each change of the address space.

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;

/// Name of the global that holds the [`GrowthConfig`].
pub const GROWTH_CONFIG: &str = "GROWTH_CONFIG";

/// Settings of one capture, fixed before its programs are verified.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct GrowthConfig {
    /// Makes the initial value unlike any other constant of the object.
    pub magic: u64,
    /// Process id in the initial namespace: the kernel's `tgid`.
    pub process: u64,
}

impl GrowthConfig {
    /// The value in the object file.
    pub const UNSET: Self = Self {
        magic: 0x6772_6f77_7468_2131,
        process: 0x6772_6f77_7468_2132,
    };
}

/// One event of the process, in the order in which they happened.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct GrowthRecord {
    /// One of [`growth_kind`].
    pub kind: u64,
    /// Fingerprint of the stack; zero where nobody asks.
    pub fingerprint: u64,
    /// First address.
    pub address: u64,
    /// Bytes from there; zero for a page and for the program break.
    pub length: u64,
    /// Where the memory was before, for a move.
    pub old_address: u64,
    /// Bytes it had there, for a move.
    pub old_length: u64,
}

/// Values of [`GrowthRecord::kind`].
pub mod growth_kind {
    /// A page was touched first: the sampled one of a number of them.
    pub const PAGE: u64 = 1;
    /// `mmap` of anonymous memory.
    pub const MAP: u64 = 2;
    /// `mmap` of something else, which replaces what was there.
    pub const REPLACE: u64 = 3;
    /// `munmap`, at its entry: what takes the place comes later.
    pub const UNMAP: u64 = 4;
    /// `mremap`.
    pub const MOVE: u64 = 5;
    /// `brk`: `address` is the end of the heap from now on.
    pub const BREAK: u64 = 6;
    /// `madvise` that gives the pages back at once (`MADV_DONTNEED`, `MADV_REMOVE`); the mapping stays.
    pub const DROP: u64 = 7;
}
