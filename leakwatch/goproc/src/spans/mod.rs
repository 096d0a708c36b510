//! The garbage-collected heap as the runtime divides it (`runtime.mheap`, `runtime.mspan`; runtime/mheap.go): which object an address
//! lies in, which slots hold one, and what the runtime itself keeps about some.
//!
//! Go 1.22 and later. Nothing of what objects hold leaves this module; it reads records of the runtime, and the program changes them
//! meanwhile. Must not know goroutines.

mod allocated;
mod error;
mod list;
mod specials;
#[cfg(test)]
mod tests;

pub use allocated::Allocation;
pub use error::SpansError;
pub use list::Span;
pub use list::Spans;
pub use specials::Specials;

/// The first minor release whose records are known.
pub const FIRST_RELEASE: u32 = 22;

/// `mheap.sweepgen`; the slice `allspans` follows.
pub const SWEEP_GENERATION: u64 = 65_856;

/// Bytes of a page of the heap.
pub(crate) const PAGE: u64 = 8 << 10;
/// Objects up to this size have no header.
pub(crate) const HEADERLESS: u64 = 512;

/// Bytes of a record that hold all fields.
const RECORD: usize = 160;
/// Offsets in it: the same from Go 1.22 to 1.27, as `cargo xtask goproc-layouts` checks.
const START: usize = 24;
const PAGES: usize = 32;
const FREE_INDEX: usize = 48;
const ELEMENTS: usize = 50;
const ALLOCATED: usize = 64;
const SWEPT: usize = 88;
const CLASS: usize = 98;
const STATE: usize = 99;
const SIZE: usize = 104;
const SPECIALS: usize = 128;
const LARGE_TYPE: usize = 152;

/// `mSpanInUse`: the collector's.
const IN_USE: u8 = 1;
