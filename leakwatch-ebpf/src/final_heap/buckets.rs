//! The list of memory buckets (`runtime.mbuckets`, runtime/mprof.go), one bucket at a step.

use super::walk::is_late;
use super::walk::read_user;
use super::walk::read_user_bytes;
use super::walk::truncated_by;
use super::window;
use super::window::Bucket;
use super::window::HEADER;
use crate::maps;
use crate::scratch::Scratch;
use aya_ebpf::bindings::BPF_RB_AVAIL_DATA;
use aya_ebpf::bindings::BPF_RB_RING_SIZE;
use aya_ebpf::helpers::generated::bpf_ringbuf_output;
use core::ffi::c_void;
use leakwatch_common::final_heap::CHUNK_WORDS;
use leakwatch_common::final_heap::DEPTH_BITS;
use leakwatch_common::final_heap::KIND_KNOWN;
use leakwatch_common::final_heap::MAX_DEPTH;
use leakwatch_common::final_heap::NEW_WORDS;
use leakwatch_common::final_heap::NO_STACK;
use leakwatch_common::final_heap::RESERVED_FOR_ENDS;
use leakwatch_common::final_heap::WalkChunk;
use leakwatch_common::final_heap::packed;
use leakwatch_common::final_heap::truncation;
use leakwatch_common::loss::LossReason;

/// `bucketType` of memory buckets.
const MEMORY: u64 = 1;
/// Words of one cycle at most.
const MAX_CYCLE: u64 = 4;

/// Finds the head of the list.
#[inline(always)]
pub(super) fn begin(scratch: &mut Scratch) {
    scratch.at = 0;
    scratch.mark = 0;
    scratch.steps = 0;
    scratch.steps_to_next_mark = 1;
    scratch.known = 0;
    scratch.is_roomy = 1;
    scratch.young = 1;
    window::clear();
    let watch = &scratch.watch;
    if watch.buckets == 0 {
        return;
    }
    let (head, cycle, rate) = (read_user(watch.buckets), read_user(watch.cycle), read_user(watch.rate));
    match (head, cycle, rate) {
        (Some(head), Some(cycle), Some(rate)) => {
            scratch.at = head;
            scratch.end.cycle = cycle;
            // What is allocated now counts from the second collection after this one on.
            scratch.young = 1 + ((cycle >> (watch.cycle_shift & 31)) + 2) % 3;
            scratch.end.rate = rate;
        }
        _ => truncated_by(scratch, truncation::VARIABLE),
    }
}

/// Reads one bucket; false when there is none to follow.
#[inline(always)]
pub(super) fn step(scratch: &mut Scratch) -> bool {
    let at = scratch.at;
    if at == 0 {
        return false;
    }
    let stop = |scratch: &mut Scratch, reason| {
        truncated_by(scratch, reason);
        scratch.at = 0;
        false
    };
    if scratch.end.buckets >= scratch.watch.max_buckets {
        return stop(scratch, truncation::BUCKETS);
    }
    if at == scratch.mark {
        return stop(scratch, truncation::LOOP);
    }
    scratch.steps += 1;
    if scratch.steps == scratch.steps_to_next_mark {
        scratch.mark = at;
        scratch.steps = 0;
        scratch.steps_to_next_mark = scratch.steps_to_next_mark.wrapping_mul(2);
    }
    let Some(mut bucket) = window::bucket(at) else {
        return stop(scratch, truncation::UNREADABLE);
    };
    let [next, kind, size, depth] = [1, 2, 4, 5].map(|number| bucket.word(number));
    if kind != MEMORY || depth > MAX_DEPTH as u64 {
        return stop(scratch, truncation::DAMAGED);
    }
    let is_newest_known = scratch.known == 0 && at == scratch.watch.newest_known;
    let is_full = scratch.chunk.head.words >= CHUNK_WORDS as u32;
    if is_newest_known || is_full {
        flush(scratch);
        if is_full && is_late(scratch) {
            return stop(scratch, truncation::TIME);
        }
    }
    if is_newest_known {
        scratch.known = 1;
        scratch.chunk.head.kind = KIND_KNOWN;
        scratch.chunk.head.first = 0;
    }
    scratch.end.buckets += 1;
    scratch.at = next;
    let counters = Counters::read(scratch, at, depth, &mut bucket);
    if scratch.known != 0 {
        append_known(scratch, counters);
    } else if let Some(counters) = counters {
        append_new(scratch, at, size, depth, counters);
    } else {
        scratch.end.buckets_unreadable += 1;
    }
    true
}

/// Objects of a bucket; their bytes are objects times size.
#[derive(Clone, Copy)]
struct Counters {
    allocs: u64,
    frees: u64,
    /// Of these, those of the cycle that is being counted.
    young_allocs: u64,
    young_frees: u64,
}

impl Counters {
    /// `None` when they are not in memory.
    #[inline(always)]
    fn read(scratch: &Scratch, at: u64, depth: u64, bucket: &mut Bucket) -> Option<Self> {
        let cycle = u64::from(scratch.watch.record_bytes / 32).min(MAX_CYCLE);
        let first = bucket.reach(at, HEADER + depth, 4 * cycle)?;
        let (mut allocs, mut frees) = (0_u64, 0_u64);
        for index in 0..4 {
            allocs = allocs.wrapping_add(bucket.word(first + index * cycle));
            frees = frees.wrapping_add(bucket.word(first + index * cycle + 1));
        }
        let young = first + u64::from(scratch.young) * cycle;
        Some(Self {
            allocs,
            frees,
            young_allocs: bucket.word(young),
            young_frees: bucket.word(young + 1),
        })
    }
}

/// Puts the counters of a bucket that user space knows into the chunk.
#[inline(always)]
fn append_known(scratch: &mut Scratch, counters: Option<Counters>) {
    let used = scratch.chunk.head.words as usize & (CHUNK_WORDS - 1);
    let words = scratch.chunk.words.as_mut_ptr().cast::<u32>();
    // SAFETY: behind the first CHUNK_WORDS there is room for more than the longest entry.
    let entry = unsafe { words.add(used) };
    let write = |index: usize, word: u32| {
        // SAFETY: one of the nine words of the longest entry.
        let to = unsafe { entry.add(index) };
        // SAFETY: likewise.
        unsafe { to.write(word) };
    };
    scratch.chunk.head.entries += 1;
    let Some(counters) = counters else {
        scratch.end.buckets_unreadable += 1;
        write(0, packed::UNREADABLE);
        scratch.chunk.head.words = used as u32 + 1;
        return;
    };
    let Counters {
        allocs,
        frees,
        young_allocs,
        young_frees,
    } = counters;
    let is_idle = (young_allocs | young_frees) == 0;
    if is_idle && allocs < packed::SHORT_ALLOCS && frees < packed::SHORT_FREES {
        write(0, (allocs << 16 | frees) as u32);
        scratch.chunk.head.words = used as u32 + 1;
    } else if allocs < packed::MEDIUM_ALLOCS && (frees | young_allocs | young_frees) < packed::MEDIUM_OTHERS {
        write(0, packed::MEDIUM | allocs as u32);
        write(1, frees as u32);
        write(2, young_allocs as u32);
        write(3, young_frees as u32);
        scratch.chunk.head.words = used as u32 + 4;
    } else {
        write(0, packed::LONG);
        write(1, allocs as u32);
        write(2, (allocs >> 32) as u32);
        write(3, frees as u32);
        write(4, (frees >> 32) as u32);
        write(5, young_allocs as u32);
        write(6, (young_allocs >> 32) as u32);
        write(7, young_frees as u32);
        write(8, (young_frees >> 32) as u32);
        scratch.chunk.head.words = used as u32 + 9;
    }
}

/// Puts a bucket that user space does not know into the chunk.
#[inline(always)]
fn append_new(scratch: &mut Scratch, at: u64, size: u64, depth: u64, counters: Counters) {
    let used = scratch.chunk.head.words as usize & (CHUNK_WORDS - 2);
    let words = scratch.chunk.words.as_mut_ptr();
    // SAFETY: behind the first CHUNK_WORDS there is room for an entry and its stack.
    let entry = unsafe { words.add(used / 2) };
    let depth_ptr = &raw mut scratch.depth;
    // SAFETY: a field of our own. By way of memory, so that the verifier sees the bound where it is needed: the compiler, which knows
    // it already, would leave it out.
    let depth = unsafe {
        depth_ptr.write_volatile(depth);
        depth_ptr.read_volatile()
    };
    let mut sent = 0;
    let mut told = NO_STACK;
    // One comparison: of a range that begins above zero the compiler makes a difference, of which the verifier learns nothing.
    if scratch.is_roomy != 0 && depth <= MAX_DEPTH as u64 {
        // SAFETY: behind the entry there is room for the deepest stack.
        let to = unsafe { entry.add(NEW_WORDS / 2) };
        // SAFETY: likewise.
        if unsafe { read_user_bytes(to, (depth * 8) as u32, at.wrapping_add(HEADER * 8)) } {
            sent = depth;
            told = depth;
        }
    }
    if told == NO_STACK {
        scratch.end.stacks_missing += 1;
    }
    let pairs = [
        at,
        size << DEPTH_BITS | told,
        counters.allocs,
        counters.frees,
        counters.young_allocs,
        counters.young_frees,
    ];
    for (index, pair) in pairs.into_iter().enumerate() {
        // SAFETY: one of the six pairs of the entry.
        let to = unsafe { entry.add(index) };
        // SAFETY: likewise.
        unsafe { to.write(pair) };
    }
    scratch.chunk.head.words = (used + NEW_WORDS) as u32 + 2 * sent as u32;
    scratch.chunk.head.entries += 1;
}

/// Words of a chunk at most.
const MOST: u64 = (CHUNK_WORDS + NEW_WORDS + 2 * MAX_DEPTH) as u64;

/// Sends the chunk.
#[inline(always)]
pub(super) fn flush(scratch: &mut Scratch) {
    let (words, entries) = (scratch.chunk.head.words, scratch.chunk.head.entries);
    if words == 0 {
        return;
    }
    let used = maps::FINAL_HEAP_EVENTS.query(u64::from(BPF_RB_AVAIL_DATA));
    let size = maps::FINAL_HEAP_EVENTS.query(u64::from(BPF_RB_RING_SIZE));
    let bytes = size_of::<WalkChunk>() as u64 + u64::from(words).min(MOST) * 4;
    // Half of the ring is for counters: a stack without them is worth nothing.
    scratch.is_roomy = u32::from(2 * used <= size);
    let fits = used + bytes + RESERVED_FOR_ENDS <= size;
    // SAFETY: the chunk has as many bytes, all of them initialised.
    if fits && unsafe { output(&raw mut scratch.chunk, bytes) } {
        scratch.end.chunks += 1;
    } else {
        scratch.end.buckets_lost += entries;
        maps::lose_many(LossReason::FinalHeapRingFull, u64::from(entries));
    }
    scratch.chunk.head.first += entries;
    scratch.chunk.head.words = 0;
    scratch.chunk.head.entries = 0;
}

#[inline(always)]
unsafe fn output(chunk: *mut crate::scratch::Chunk, bytes: u64) -> bool {
    let ring = (&raw const maps::FINAL_HEAP_EVENTS).cast_mut().cast::<c_void>();
    // SAFETY: the caller vouches for the chunk; the ring is a map.
    unsafe { bpf_ringbuf_output(ring, chunk.cast::<c_void>(), bytes, 0) == 0 }
}
