//! The heap profile of a walk: counters joined with stacks.

use super::Walk;
use crate::heap::Counts;
use crate::heap::HeapReader;
use crate::heap::Record;
use crate::heap::View;
use std::collections::HashMap;
use std::ops::Range;

/// A bucket as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkedBucket {
    /// Its address.
    pub address: u64,
    /// Size of its objects in bytes.
    pub size: u64,
    /// Its counters.
    pub record: Record,
    /// Where its stack is in [`Walk::stacks`]; empty when it was not read.
    pub stack: Range<usize>,
}

/// A bucket with its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketAtDeath<'w> {
    /// Size of its objects in bytes.
    pub size: u64,
    /// Return addresses, innermost first; `None` when nobody knows the stack.
    pub stack: Option<&'w [u64]>,
    record: Record,
}

/// All buckets of a walk.
#[derive(Debug)]
pub struct HeapAtDeath<'w> {
    /// Sampling rate in bytes.
    pub rate: u64,
    /// In the order of the walk.
    pub buckets: Vec<BucketAtDeath<'w>>,
    cycle: u32,
}

impl HeapAtDeath<'_> {
    /// Sampled objects of a bucket.
    pub fn counts(&self, view: View, bucket: &BucketAtDeath<'_>) -> Counts {
        // Only what the runtime itself would show depends on whether anything was published.
        view.counts(&bucket.record, self.cycle, false)
    }
}

impl HeapReader {
    /// Joins a walk through the process with what was known of it before. Nothing is read: it is dead.
    pub fn at_death<'w>(&'w self, walk: &'w Walk) -> HeapAtDeath<'w> {
        let index = self.index();
        let known: HashMap<u64, &[u64]> = index
            .ids()
            .filter_map(|id| Some((index.address(id)?, index.stack(id))))
            .collect();
        let buckets = walk.buckets.iter().map(|bucket| {
            let brought = walk.stacks.get(bucket.stack.clone()).filter(|stack| !stack.is_empty());
            BucketAtDeath {
                size: bucket.size,
                stack: brought.or_else(|| known.get(&bucket.address).copied()),
                record: bucket.record,
            }
        });
        HeapAtDeath {
            rate: walk.rate,
            buckets: buckets.collect(),
            cycle: self.source().cycle.of_word(walk.cycle),
        }
    }
}
