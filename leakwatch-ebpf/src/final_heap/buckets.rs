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
use leakwatch_common::final_heap::ENTRY_WORDS;
use leakwatch_common::final_heap::MAX_DEPTH;
use leakwatch_common::final_heap::RESERVED_FOR_ENDS;
use leakwatch_common::final_heap::WalkChunk;
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
    if at == scratch.watch.newest_known {
        scratch.known = 1;
    }
    if scratch.chunk.head.words >= CHUNK_WORDS as u32 {
        flush(scratch);
        if is_late(scratch) {
            return stop(scratch, truncation::TIME);
        }
    }
    scratch.end.buckets += 1;
    scratch.at = next;
    append(scratch, at, size, depth, &mut bucket);
    true
}

/// Puts a bucket into the chunk.
#[inline(always)]
fn append(scratch: &mut Scratch, at: u64, size: u64, depth: u64, bucket: &mut Bucket) {
    let used = scratch.chunk.head.words as usize & (CHUNK_WORDS - 1);
    let words = scratch.chunk.words.as_mut_ptr();
    // SAFETY: behind the first CHUNK_WORDS there is room for an entry and its stack.
    let entry = unsafe { words.add(used) };
    let cycle = u64::from(scratch.watch.record_bytes / 32).min(MAX_CYCLE);
    let Some(counters) = bucket.reach(at, HEADER + depth, 4 * cycle) else {
        scratch.end.buckets_unreadable += 1;
        return;
    };
    for index in 0..4 {
        let from = counters + index * cycle;
        // Objects allocated and freed; the bytes are objects times size.
        for word in 0..2 {
            // SAFETY: the third to the tenth word of the entry.
            let to = unsafe { entry.add((2 + 2 * index + word) as usize) };
            // SAFETY: likewise.
            unsafe { to.write(bucket.word(from + word)) };
        }
    }
    let depth_ptr = &raw mut scratch.depth;
    // SAFETY: a field of our own. By way of memory, so that the verifier sees the bound where it is needed: the compiler, which knows
    // it already, would leave it out.
    let depth = unsafe {
        depth_ptr.write_volatile(depth);
        depth_ptr.read_volatile()
    };
    let mut sent = 0;
    // One comparison: of a range that begins above zero the compiler makes a difference, of which the verifier learns nothing.
    if scratch.known == 0 && depth <= MAX_DEPTH as u64 {
        // SAFETY: behind the entry there is room for the deepest stack.
        let to = unsafe { entry.add(ENTRY_WORDS) };
        // SAFETY: likewise.
        if unsafe { read_user_bytes(to, (depth * 8) as u32, at.wrapping_add(HEADER * 8)) } {
            sent = depth;
        } else {
            scratch.end.stacks_unreadable += 1;
        }
    }
    // SAFETY: the first two words of the entry.
    unsafe {
        entry.write(at);
        entry.add(1).write(size << DEPTH_BITS | sent);
    }
    scratch.chunk.head.words = (used + ENTRY_WORDS) as u32 + sent as u32;
    scratch.chunk.head.entries += 1;
}

/// Words of a chunk at most.
const MOST: u64 = (CHUNK_WORDS + ENTRY_WORDS + MAX_DEPTH) as u64;

/// Sends the chunk.
#[inline(always)]
pub(super) fn flush(scratch: &mut Scratch) {
    let (words, entries) = (scratch.chunk.head.words, scratch.chunk.head.entries);
    if words == 0 {
        return;
    }
    let used = maps::FINAL_HEAP_EVENTS.query(u64::from(BPF_RB_AVAIL_DATA));
    let size = maps::FINAL_HEAP_EVENTS.query(u64::from(BPF_RB_RING_SIZE));
    let bytes = size_of::<WalkChunk>() as u64 + u64::from(words).min(MOST) * 8;
    let fits = used + bytes + RESERVED_FOR_ENDS <= size;
    // SAFETY: the chunk has as many bytes, all of them initialised.
    if fits && unsafe { output(&raw mut scratch.chunk, bytes) } {
        scratch.end.chunks += 1;
    } else {
        scratch.end.buckets_lost += entries;
        maps::lose_many(LossReason::FinalHeapRingFull, u64::from(entries));
    }
    scratch.chunk.head.words = 0;
    scratch.chunk.head.entries = 0;
}

#[inline(always)]
unsafe fn output(chunk: *mut crate::scratch::Chunk, bytes: u64) -> bool {
    let ring = (&raw const maps::FINAL_HEAP_EVENTS).cast_mut().cast::<c_void>();
    // SAFETY: the caller vouches for the chunk; the ring is a map.
    unsafe { bpf_ringbuf_output(ring, chunk.cast::<c_void>(), bytes, 0) == 0 }
}
