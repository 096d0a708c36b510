//! The heap profile of a walk: counters joined with stacks.

use super::walk::HeapWalk;
use super::walk::Truncation;
use super::walk::WalkedCounts;
use crate::heap::BucketId;
use crate::heap::BucketIndex;
use crate::heap::Counts;
use crate::heap::HeapReader;
use crate::heap::View;

/// A bucket with its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalBucket<'w> {
    /// Size of its objects in bytes.
    pub size: u64,
    /// Return addresses, innermost first; `None` when nobody knows the stack.
    pub stack: Option<&'w [u64]>,
    counts: WalkedCounts,
}

/// All buckets of a walk.
#[derive(Debug)]
pub struct FinalHeap<'w> {
    /// Sampling rate in bytes.
    pub rate: u64,
    /// In the order of the walk.
    pub buckets: Vec<FinalBucket<'w>>,
    /// Buckets that were read and are not here: they got lost on the way, or nobody knows any more which they were.
    pub lost: u64,
    /// Known buckets to which the walk did not get. There may be new ones beside them.
    pub not_reached: u64,
    /// Why it did not get to all of them.
    pub truncation: Option<Truncation>,
}

impl FinalHeap<'_> {
    /// Sampled objects of a bucket. What the program's own endpoint would show is not told apart from the live heap of the last collection.
    pub fn counts(&self, view: View, bucket: &FinalBucket<'_>) -> Counts {
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
}

impl HeapReader {
    /// Joins a walk through the process with what was known of it before. Nothing is read: it is dead.
    pub fn final_heap<'w>(&'w self, walk: &'w HeapWalk) -> FinalHeap<'w> {
        let index = self.index();
        let mut buckets: Vec<FinalBucket<'w>> = Vec::with_capacity(walk.buckets.len() + walk.known.len());
        buckets.extend(walk.buckets.iter().map(|bucket| {
            let brought = bucket.stack.clone().and_then(|stack| walk.stacks.get(stack));
            // It may have been read since the kernel was told what is known.
            let known = || Some(index.stack(index.id_at(bucket.address)?));
            FinalBucket {
                size: bucket.size,
                stack: brought.or_else(known),
                counts: bucket.counts,
            }
        }));
        let newest = index.id_at(walk.newest_known);
        let known = newest.map_or(0, |newest| newest.index() as u64 + 1);
        let new = buckets.len();
        let places = known_ones(index, newest).zip(&walk.known);
        buckets.extend(places.filter_map(|((size, stack), counts)| {
            Some(FinalBucket {
                size,
                stack: Some(stack),
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
        }
    }
}

/// Sizes and stacks of known buckets, newest first.
fn known_ones(index: &BucketIndex, newest: Option<BucketId>) -> impl Iterator<Item = (u64, &[u64])> {
    let count = newest.map_or(0, |newest| newest.index() + 1);
    let ids = (0..count).rev().filter_map(BucketId::new);
    ids.filter_map(|id| Some((index.size(id)?, index.stack(id))))
}
