//! The heap profile of a walk: counters joined with stacks.

use super::walk::HeapWalk;
use super::walk::Truncation;
use super::walk::WalkedCounts;
use crate::heap::BucketId;
use crate::heap::BucketIndex;
use crate::heap::Counts;
use crate::heap::HeapReader;
use crate::heap::Kept;
use crate::heap::View;
use std::ops::Range;

/// A bucket, and where its stack is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalBucket {
    /// Size of its objects in bytes.
    pub size: u64,
    /// Which it is, if it was known before the kill.
    pub known: Option<BucketId>,
    /// Its stack within those that the walk has brought.
    brought: Option<Range<usize>>,
    counts: WalkedCounts,
}

/// All buckets of a walk.
#[derive(Debug)]
pub struct FinalHeap<'w> {
    /// Sampling rate in bytes.
    pub rate: u64,
    /// In the order of the walk.
    pub buckets: Vec<FinalBucket>,
    /// Buckets that were read and are not here: they got lost on the way, or nobody knows any more which they were.
    pub lost: u64,
    /// Known buckets to which the walk did not get. There may be new ones beside them.
    pub not_reached: u64,
    /// Why it did not get to all of them.
    pub truncation: Option<Truncation>,
    walk: &'w HeapWalk,
    index: &'w BucketIndex,
}

impl FinalHeap<'_> {
    /// Sampled objects of a bucket. What the program's own endpoint would show is not told apart from the live heap of the last collection.
    pub fn counts(&self, view: View, bucket: &FinalBucket) -> Counts {
        let WalkedCounts { all, young } = bucket.counts;
        match view {
            View::Now => all,
            // Sums of counters of the process: what overflows was no counter.
            View::LastGc | View::Pprof => Counts {
                allocs: all.allocs.wrapping_sub(young.allocs),
                frees: all.frees.wrapping_sub(young.frees),
            },
        }
    }

    /// The stack of a bucket that the walk has brought: return addresses, innermost first.
    pub fn brought(&self, bucket: &FinalBucket) -> Option<&[u64]> {
        self.walk.stacks.get(bucket.brought.clone()?)
    }

    /// Where the stack of a bucket is kept that was known before.
    pub fn kept(&self, bucket: &FinalBucket) -> Option<Kept> {
        self.index.stack(bucket.known?)
    }

    /// Whether anybody knows its stack.
    pub fn has_stack(&self, bucket: &FinalBucket) -> bool {
        bucket.known.is_some() || bucket.brought.is_some()
    }
}

impl HeapReader {
    /// Joins a walk through the process with what was known of it before. Nothing is read: it is dead.
    pub fn final_heap<'w>(&'w self, walk: &'w HeapWalk) -> FinalHeap<'w> {
        let index = self.index();
        let mut buckets: Vec<FinalBucket> = Vec::with_capacity(walk.buckets.len() + walk.known.len());
        buckets.extend(walk.buckets.iter().map(|bucket| {
            let range = bucket.stack.clone();
            let brought = range.filter(|range| walk.stacks.get(range.clone()).is_some());
            FinalBucket {
                size: bucket.size,
                // It may have been read since the kernel was told what is known.
                known: index.find(bucket.address).filter(|_| brought.is_none()),
                brought,
                counts: bucket.counts,
            }
        }));
        let newest = index.find(walk.newest_known);
        let known = newest.map_or(0, |newest| newest.index() as u64 + 1);
        let new = buckets.len();
        let places = known_ones(newest).zip(&walk.known);
        buckets.extend(places.filter_map(|(id, counts)| {
            Some(FinalBucket {
                size: index.size(id)?,
                known: Some(id),
                brought: None,
                counts: (*counts)?,
            })
        }));
        let came = walk.known.iter().flatten().count();
        let unplaced = came.saturating_sub(buckets.len() - new) as u64;
        let not_reached = known.saturating_sub(walk.known_passed);
        // The list of a process never changes but at its head.
        let other_list = (walk.truncation.is_none() && not_reached > 0) || unplaced > 0;
        FinalHeap {
            rate: walk.rate,
            buckets,
            lost: walk.lost.saturating_add(unplaced),
            not_reached,
            truncation: walk.truncation.or(other_list.then_some(Truncation::Damaged)),
            walk,
            index,
        }
    }
}

/// Known buckets, newest first.
fn known_ones(newest: Option<BucketId>) -> impl Iterator<Item = BucketId> {
    let count = newest.map_or(0, |newest| newest.index() + 1);
    (0..count).rev().filter_map(BucketId::new)
}
