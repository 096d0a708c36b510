//! The heap of a process at its death: what a walk in the kernel has to know before, and the records it brings.
//!
//! A victim's records begin with its pid and start, so that those of several victims can be told apart in one ring. First come
//! any number of [`WalkChunk`]s, then one [`WalkEnd`] that says how many there were.
//!
//! The list of buckets leads from the newest to the oldest, and never changes but at its head. So of what user space has read before
//! nothing is sent but counters, in the order of the list: where it has its stack, its size and its address is told by its place. That is
//! four bytes for nearly all, see [`packed`].

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;

/// Value of `kind` in a [`WalkChunk`] of buckets that user space does not know.
pub const KIND_NEW: u32 = 1;
/// Value of `kind` in a [`WalkEnd`].
pub const KIND_END: u32 = 2;
/// Value of `kind` in a [`WalkChunk`] of buckets that it knows.
pub const KIND_KNOWN: u32 = 3;

/// Words of a new bucket before its stack, in pairs: address; size and depth; objects allocated and freed; of these, those of the cycle
/// that is being counted.
pub const NEW_WORDS: usize = 12;
/// Addresses in a stack: `debug.profstackdepth` is at most this.
pub const MAX_DEPTH: usize = 1024;
/// A chunk is sent once it has as many words; the last entry may reach beyond.
pub const CHUNK_WORDS: usize = 2048;
/// Low bits of the second pair of a new bucket: depth of the stack that follows; the size of the objects is above them.
pub const DEPTH_BITS: u32 = 16;
/// The depth of a stack that is not sent.
pub const NO_STACK: u64 = (1 << DEPTH_BITS) - 1;
/// Victims' goroutines counted in groups at one time.
pub const MAX_GROUPS: u32 = 4096;
/// Processes watched.
pub const MAX_WATCHED: u32 = 2048;
/// Room that chunks leave in the ring, so that there is always some for ends.
pub const RESERVED_FOR_ENDS: u64 = 64 * 1024;

/// The counters of a bucket that user space knows, in words of 32 bits: one if it is idle and its counters are small, as they are in nearly all.
///
/// - top bit clear: objects allocated (15 bits) and freed (16 bits), none of them in the cycle that is being counted;
/// - [`packed::MEDIUM`]: objects allocated (30 bits), freed, allocated and freed in that cycle, a word each;
/// - [`packed::LONG`] and nothing else, then the same four as pairs of words, the low one first;
/// - [`packed::UNREADABLE`]: its counters are not in memory.
pub mod packed {
    /// Tag of four words.
    pub const MEDIUM: u32 = 0b10 << 30;
    /// Tag of nine words.
    pub const LONG: u32 = 0b11 << 30;
    /// The bits of a tag.
    pub const TAG: u32 = 0b11 << 30;
    /// Counters that could not be read.
    pub const UNREADABLE: u32 = 0x7fff_ffff;
    /// Objects allocated are fewer in one word.
    pub const SHORT_ALLOCS: u64 = 0x7fff;
    /// Objects freed are fewer in one word.
    pub const SHORT_FREES: u64 = 1 << 16;
    /// Objects allocated are fewer in four words.
    pub const MEDIUM_ALLOCS: u64 = 1 << 30;
    /// All others are fewer in four words.
    pub const MEDIUM_OTHERS: u64 = 1 << 32;
}

/// What is known of a process whose heap is to be read at its death. Addresses are those of the process.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Watch {
    /// When it was started, in clock ticks since boot: a pid that is used again is another process.
    pub start_ticks: u64,
    /// Nanoseconds of a clock tick.
    pub nanos_per_tick: u64,
    /// Address of `runtime.mbuckets`; zero when it has no heap profile.
    pub buckets: u64,
    /// The newest bucket that user space knows: of it and those behind it nothing but counters is sent. Zero when there is none.
    pub newest_known: u64,
    /// Address of `runtime.mProfCycle` or of `runtime.memstats.numgc`.
    pub cycle: u64,
    /// Address of `runtime.MemProfileRate`.
    pub rate: u64,
    /// Address of the variable that points to the array of goroutines; zero when it is not known.
    pub goroutine_array: u64,
    /// Address of the variable that holds its length.
    pub goroutine_length: u64,
    /// The walk takes no longer.
    pub max_nanos: u64,
    /// Buckets read at most.
    pub max_buckets: u32,
    /// Goroutines read at most.
    pub max_goroutines: u32,
    /// Bytes of the counters of a bucket: 64 (Go 1.27) or 128 (before).
    pub record_bytes: u32,
    /// Offset of `atomicstatus` in `runtime.g`.
    pub status: u32,
    /// Offset of `waitreason` after `atomicstatus`.
    pub wait_reason: u32,
    /// Offset of `gopc` after `atomicstatus`.
    pub created_at: u32,
    /// Offset of `startpc` after `atomicstatus`.
    pub start: u32,
    /// Low bits of the word at `cycle` that are no part of the cycle.
    pub cycle_shift: u32,
}

/// Goroutines that their headers do not tell apart: the key of the map `GOROUTINES`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct GoroutineGroup {
    /// The victim.
    pub pid: u32,
    /// `atomicstatus` without the bit of the garbage collector.
    pub status: u16,
    /// `waitreason`.
    pub wait_reason: u16,
    /// `startpc`.
    pub start: u64,
    /// `gopc`.
    pub created_at: u64,
}

/// The beginning of a record with buckets; as many words as `words` says follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct WalkChunk {
    /// [`KIND_NEW`] or [`KIND_KNOWN`].
    pub kind: u32,
    /// The victim.
    pub pid: u32,
    /// Its start since boot.
    pub start_boot_nanos: u64,
    /// Words that follow.
    pub words: u32,
    /// Entries in them.
    pub entries: u32,
    /// Buckets of the same kind before the first of them, in the order of the list, lost ones included.
    pub first: u32,
    /// Keeps the size a multiple of eight; zero.
    pub reserved: u32,
}

/// How the walk ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct WalkEnd {
    /// [`KIND_END`].
    pub kind: u32,
    /// The victim.
    pub pid: u32,
    /// Its start since boot.
    pub start_boot_nanos: u64,
    /// `bpf_ktime_get_boot_ns` before the first read.
    pub boot_nanos: u64,
    /// `runtime.MemProfileRate`.
    pub rate: u64,
    /// Nanoseconds that reading buckets took.
    pub heap_nanos: u64,
    /// Nanoseconds that reading goroutines took.
    pub goroutine_nanos: u64,
    /// Entries of the array of goroutines.
    pub goroutines_listed: u64,
    /// The bucket with which those begin that were taken for known.
    pub newest_known: u64,
    /// Value of the profile's cycle, as it is in memory.
    pub cycle: u32,
    /// Buckets read, those that were lost or whose counters could not be read included.
    pub buckets: u32,
    /// Of those, buckets that user space knows.
    pub buckets_known: u32,
    /// Of those, buckets for which the ring had no room.
    pub buckets_lost: u32,
    /// Buckets whose counters could not be read.
    pub buckets_unreadable: u32,
    /// New buckets whose stack could not be read, or found no room; their counters are there.
    pub stacks_missing: u32,
    /// Chunks that were sent.
    pub chunks: u32,
    /// Goroutines in a group.
    pub goroutines: u32,
    /// Goroutines that have ended, in no group.
    pub goroutines_ended: u32,
    /// Goroutines that could not be read.
    pub goroutines_unreadable: u32,
    /// Goroutines for whose group there was no room.
    pub goroutines_ungrouped: u32,
    /// Bits of [`truncation`].
    pub truncation: u32,
}

/// Why a walk is not complete: bits of [`WalkEnd::truncation`].
pub mod truncation {
    /// The list of buckets is longer than the bound.
    pub const BUCKETS: u32 = 1 << 0;
    /// The time was over before the last bucket.
    pub const TIME: u32 = 1 << 1;
    /// The list of buckets leads to where nothing can be read.
    pub const UNREADABLE: u32 = 1 << 2;
    /// The list of buckets leads to something that is no bucket.
    pub const DAMAGED: u32 = 1 << 3;
    /// The list of buckets runs in a circle.
    pub const LOOP: u32 = 1 << 4;
    /// A variable of the heap profile could not be read.
    pub const VARIABLE: u32 = 1 << 5;
    /// There are more goroutines than the bound.
    pub const GOROUTINES: u32 = 1 << 6;
    /// The time was over before the last goroutine.
    pub const GOROUTINE_TIME: u32 = 1 << 7;
    /// The list of goroutines could not be read.
    pub const GOROUTINE_LIST: u32 = 1 << 8;
    /// The bits that concern the heap.
    pub const HEAP: u32 = BUCKETS | TIME | UNREADABLE | DAMAGED | LOOP | VARIABLE;
}
