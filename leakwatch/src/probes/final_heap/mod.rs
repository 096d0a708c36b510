//! The heap of a process at its end: which processes are watched ([`watch`]), and what the walk in the kernel read of one when it was killed
//! ([`walk`]), by way of a ring of its own.

pub mod watch;
mod entry;
pub mod walk;
mod ring;

pub(super) use ring::drain;
pub use walk::FinalHeap;
pub use watch::HeapWatch;
pub use watch::WalkBounds;
