//! What the kernel read of one victim: its buckets and its goroutines.

use crate::heap::Record;
use std::ops::Range;
use std::time::Duration;

/// A bucket as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkedBucket {
    /// Its address.
    pub address: u64,
    /// Size of its objects in bytes.
    pub size: u64,
    /// Its counters.
    pub record: Record,
    /// Where its stack is in [`HeapWalk::stacks`]; empty when it was not read.
    pub stack: Range<usize>,
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

/// Why a walk did not get to the end of the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truncation {
    /// It took too long.
    Time,
    /// There were too many buckets.
    Bound,
    /// There was no room for what was read.
    Room,
    /// The list leads to where nothing can be read.
    Unreadable,
    /// The list leads to something that is no bucket, or to itself.
    Damaged,
}

impl Truncation {
    /// In the words of the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Bound => "bound",
            Self::Room => "room",
            Self::Unreadable => "unreadable",
            Self::Damaged => "damaged",
        }
    }
}

/// What was read of one victim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeapWalk {
    /// The buckets, newest first as far as they came.
    pub buckets: Vec<WalkedBucket>,
    /// Stacks of the new ones.
    pub stacks: Vec<u64>,
    /// Whether there was a heap to read.
    pub has_heap: bool,
    /// The counter of profile cycles as it was in memory.
    pub cycle: u32,
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
    /// Its goroutines, those of the runtime included.
    pub groups: Vec<WalkedGroup>,
    /// Goroutines that are in no group: unreadable, beyond a bound, or lost.
    pub goroutines_missing: u64,
    /// How long it was held up for its goroutines.
    pub goroutine_time: Duration,
}
