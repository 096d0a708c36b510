//! What the kernel read of one victim: its buckets and its goroutines.

use crate::heap::Counts;
use std::ops::Range;
use std::time::Duration;

/// Objects of a bucket as they were counted at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalkedCounts {
    /// All of them.
    pub all: Counts,
    /// Of these, those of the cycle that was being counted: the last garbage collection says nothing of them.
    pub young: Counts,
}

/// A bucket as it was read that was not known before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkedBucket {
    /// Its address.
    pub address: u64,
    /// Size of its objects in bytes.
    pub size: u64,
    /// Its counters.
    pub counts: WalkedCounts,
    /// Where its stack is in [`HeapWalk::stacks`]; `None` when it was not read, or found no room.
    pub stack: Option<Range<usize>>,
}

/// Goroutines that their headers do not tell apart, as they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkedGroup {
    /// `startpc`.
    pub start: u64,
    /// `gopc`.
    pub created_at: u64,
    /// `atomicstatus`.
    pub status: u16,
    /// `waitreason`.
    pub wait_reason: u16,
    /// How many.
    pub count: u64,
}

/// Why a walk did not get to the end of the heap, or of the goroutines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truncation {
    /// It took too long.
    Time,
    /// There were too many.
    Bound,
    /// There was no room for what was read.
    Room,
    /// The list leads to where nothing can be read.
    Unreadable,
    /// The list leads to something that is none of it, or to itself.
    Damaged,
}

/// What was read of one victim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeapWalk {
    /// The buckets that were not known before, newest first as far as they came.
    pub buckets: Vec<WalkedBucket>,
    /// Stacks of these.
    pub stacks: Vec<u64>,
    /// The bucket with which the known ones begin; zero where none was known.
    pub newest_known: u64,
    /// Known buckets that the walk has passed, lost and unreadable ones included.
    pub known_passed: u64,
    /// Their counters, newest first and with a place for each; `None` where they were not readable or got lost on the way.
    pub known: Vec<Option<WalkedCounts>>,
    /// Whether there was a heap to read.
    pub has_heap: bool,
    /// `runtime.MemProfileRate`.
    pub rate: u64,
    /// Why it ended before the last bucket, when it did.
    pub truncation: Option<Truncation>,
    /// Buckets that were read and got lost on the way.
    pub lost: u64,
    /// Buckets whose counters were not in memory.
    pub unreadable: u64,
    /// How long the victim was held up for its heap.
    pub heap_time: Duration,
    /// Whether its goroutines could be listed.
    pub has_goroutines: bool,
    /// Its goroutines, those of the runtime included.
    pub groups: Vec<WalkedGroup>,
    /// Goroutines that are in no group: unreadable, beyond a bound, or lost.
    pub goroutines_missing: u64,
    /// Why those are, or why the list could not be read.
    pub goroutine_truncation: Option<Truncation>,
    /// How long it was held up for its goroutines.
    pub goroutine_time: Duration,
}
