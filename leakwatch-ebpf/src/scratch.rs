//! What a walk through a dying process works with: too large for the stack of a program, so there is one for each processor.
//! A program is not preempted by another walk on the same one.

use leakwatch_common::final_heap::CHUNK_WORDS;
use leakwatch_common::final_heap::MAX_DEPTH;
use leakwatch_common::final_heap::NEW_WORDS;
use leakwatch_common::final_heap::WalkChunk;
use leakwatch_common::final_heap::WalkEnd;
use leakwatch_common::final_heap::Watch;

/// Pointers to goroutines that are read at a time.
pub(crate) const POINTERS: usize = 64;
/// Bytes from `atomicstatus` to the end of `startpc`, and more.
pub(crate) const FIELDS: usize = 256;

/// A record on its way to the ring.
#[repr(C)]
pub(crate) struct Chunk {
    pub(crate) head: WalkChunk,
    /// Pairs of words.
    pub(crate) words: [u64; usize::midpoint(CHUNK_WORDS, NEW_WORDS) + MAX_DEPTH],
}

/// The state of one walk.
#[repr(C)]
pub(crate) struct Scratch {
    pub(crate) watch: Watch,
    pub(crate) end: WalkEnd,
    /// `bpf_ktime_get_ns` when it began.
    pub(crate) began: u64,
    /// And when it has to be over.
    pub(crate) deadline: u64,
    /// The bucket to be read next.
    pub(crate) at: u64,
    /// Brent: a bucket that comes again is a loop.
    pub(crate) mark: u64,
    pub(crate) steps: u32,
    pub(crate) steps_to_next_mark: u32,
    /// One once the newest bucket that user space knows has been met.
    pub(crate) known: u32,
    /// Calls from one program into the next.
    pub(crate) calls: u32,
    /// One while there is room for stacks in the ring.
    pub(crate) is_roomy: u32,
    /// Which of the counters of a bucket are those of the cycle that is being counted, 1 to 3.
    pub(crate) young: u32,
    /// Addresses in the stack of the bucket that was read.
    pub(crate) depth: u64,
    /// Address of the array of goroutines.
    pub(crate) array: u64,
    /// The goroutine to be read next.
    pub(crate) index: u64,
    pub(crate) pointers: [u64; POINTERS],
    pub(crate) fields: [u8; FIELDS],
    pub(crate) chunk: Chunk,
}

/// Words of a window: 4 KiB, some twelve buckets.
pub(crate) const WINDOW_WORDS: u64 = 512;
/// Windows at a time, by chunk.
pub(crate) const WINDOWS: u32 = 4;

/// A piece of the memory of a process.
#[repr(C)]
pub(crate) struct Window {
    /// Its address.
    pub(crate) from: u64,
    /// Words that were read.
    pub(crate) count: u64,
    /// The bucket that was looked for last.
    pub(crate) last: u64,
    #[expect(clippy::cast_possible_truncation, reason = "a BPF register holds it whole")]
    pub(crate) words: [u64; WINDOW_WORDS as usize],
}
