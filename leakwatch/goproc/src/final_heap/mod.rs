//! The final heap of a process and its last goroutines, as the kernel reads them in the context of the victim, when no other
//! can any more.
//!
//! A [`WalkPlan`] says beforehand what there is to read; a [`HeapWalk`] is what was read. Buckets that were known before are told by their place in
//! the list: size and stack are those of the [`crate::heap::BucketIndex`]. Of the others they came with the walk.

mod walk;
mod plan;
mod heap;
mod goroutines;

pub use heap::FinalBucket;
pub use heap::FinalHeap;
pub use plan::GoroutinePlan;
pub use plan::HeapPlan;
pub use plan::WalkPlan;
pub use walk::HeapWalk;
pub use walk::Truncation;
pub use walk::WalkedBucket;
pub use walk::WalkedCounts;
pub use walk::WalkedGroup;

#[cfg(test)]
mod tests;
