//! The heap profile of a walk: counters joined with stacks.

use super::walk::HeapWalk;
use super::walk::WalkedBucket;
use crate::heap::BucketId;
use crate::heap::BucketIndex;
use crate::heap::Counts;
use crate::heap::HeapReader;
use crate::heap::View;

/// All buckets of a walk.
#[derive(Debug)]
pub struct FinalHeap<'w> {
    /// Sampling rate in bytes.
    pub rate: u64,
    /// In the order of the walk.
    pub buckets: &'w [WalkedBucket],
    walk: &'w HeapWalk,
    index: &'w BucketIndex,
    cycle: u32,
}

/// Where the stack of a bucket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinalStack {
    /// The bucket was known before the kill.
    Known(BucketId),
    /// The walk has brought it: return addresses, innermost first.
    Brought(Vec<u64>),
    /// Nobody knows it.
    Unknown,
}

impl FinalHeap<'_> {
    /// Sampled objects of a bucket.
    pub fn counts(&self, view: View, bucket: &WalkedBucket) -> Counts {
        // Only what the runtime itself would show depends on whether anything was published.
        view.counts(&bucket.record, self.cycle, false)
    }

    /// The stack of a bucket.
    pub fn stack(&self, bucket: &WalkedBucket) -> FinalStack {
        let brought = self.walk.stacks.get(bucket.stack.clone());
        match brought.filter(|stack| !stack.is_empty()) {
            Some(brought) => FinalStack::Brought(brought.to_vec()),
            None => self
                .index
                .find(bucket.address)
                .map_or(FinalStack::Unknown, FinalStack::Known),
        }
    }
}

impl HeapReader {
    /// Joins a walk through the process with what was known of it before. Nothing is read: it is dead.
    pub fn final_heap<'w>(&'w self, walk: &'w HeapWalk) -> FinalHeap<'w> {
        FinalHeap {
            rate: walk.rate,
            buckets: &walk.buckets,
            walk,
            index: self.index(),
            cycle: self.source().cycle.of_word(walk.cycle),
        }
    }
}
