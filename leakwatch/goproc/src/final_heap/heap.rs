//! The heap profile of a walk: counters joined with stacks.

use super::walk::HeapWalk;
use crate::heap::Counts;
use crate::heap::HeapReader;
use crate::heap::Record;
use crate::heap::View;
use std::collections::HashMap;

/// A bucket with its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalBucket<'w> {
    /// Size of its objects in bytes.
    pub size: u64,
    /// Return addresses, innermost first; `None` when nobody knows the stack.
    pub stack: Option<&'w [u64]>,
    record: Record,
}

/// All buckets of a walk.
#[derive(Debug)]
pub struct FinalHeap<'w> {
    /// Sampling rate in bytes.
    pub rate: u64,
    /// In the order of the walk.
    pub buckets: Vec<FinalBucket<'w>>,
    cycle: u32,
}

impl FinalHeap<'_> {
    /// Sampled objects of a bucket.
    pub fn counts(&self, view: View, bucket: &FinalBucket<'_>) -> Counts {
        // Only what the runtime itself would show depends on whether anything was published.
        view.counts(&bucket.record, self.cycle, false)
    }
}

impl HeapReader {
    /// Joins a walk through the process with what was known of it before. Nothing is read: it is dead.
    pub fn final_heap<'w>(&'w self, walk: &'w HeapWalk) -> FinalHeap<'w> {
        let index = self.index();
        let known: HashMap<u64, &[u64]> = index
            .ids()
            .filter_map(|id| Some((index.address(id)?, index.stack(id))))
            .collect();
        let buckets = walk.buckets.iter().map(|bucket| {
            let brought = walk.stacks.get(bucket.stack.clone()).filter(|stack| !stack.is_empty());
            FinalBucket {
                size: bucket.size,
                stack: brought.or_else(|| known.get(&bucket.address).copied()),
                record: bucket.record,
            }
        });
        FinalHeap {
            rate: walk.rate,
            buckets: buckets.collect(),
            cycle: self.source().cycle.of_word(walk.cycle),
        }
    }
}
