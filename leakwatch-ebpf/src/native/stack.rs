//! Which stack an allocation is made on: a fingerprint of the code addresses that lie on it, and a copy of it for the daemon the
//! first time.
//!
//! Two different fingerprints may belong to one stack, when a frame has left a code address of no meaning in its variables: the
//! daemon adds up what unwinds to the same frames.

use crate::maps;
use crate::maps::config;
use crate::registers::Place;
use aya_ebpf::helpers::bpf_probe_read_user_buf;
use leakwatch_common::native::COPY_STEP;
use leakwatch_common::native::FINGERPRINT_STEP;
use leakwatch_common::native::FINGERPRINT_STEPS;
use leakwatch_common::native::NativeCount;
use leakwatch_common::native::NativeStack;
use leakwatch_common::native::STACK_BYTES;

const WORDS: usize = FINGERPRINT_STEP / 8;
/// An odd number with its bits well mixed: 2^64 divided by the golden ratio.
pub(crate) const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Fingerprint of the stack of a place; tells the daemon about one it has not seen.
#[inline(always)]
pub(crate) fn identify(place: Place) -> u64 {
    let fingerprint = fingerprint(place);
    if maps::NATIVE_KNOWN.get_ptr(fingerprint).is_none() {
        tell(place, fingerprint);
    }
    fingerprint
}

#[inline(always)]
fn fingerprint(place: Place) -> u64 {
    let (first, second) = (config!(code[0]), config!(code[1]));
    let steps = config!(fingerprint_steps);
    let mut hash = place.instruction.wrapping_mul(MULTIPLIER);
    let mut words = [0_u64; WORDS];
    for step in 0..FINGERPRINT_STEPS {
        if u64::from(step) >= steps {
            break;
        }
        let from = place.stack_pointer + u64::from(step) * FINGERPRINT_STEP as u64;
        if !read(from, &mut words) {
            break;
        }
        for &word in &words {
            let is_code =
                word.wrapping_sub(first.start) < first.length || word.wrapping_sub(second.start) < second.length;
            if is_code {
                hash = (hash ^ word).wrapping_mul(MULTIPLIER);
                hash ^= hash >> 29;
            }
        }
    }
    hash
}

#[inline(always)]
fn read(from: u64, words: &mut [u64; WORDS]) -> bool {
    // SAFETY: the bytes of an array of integers, all of which are valid values.
    let bytes = unsafe { &mut *words.as_mut_ptr().cast::<[u8; FINGERPRINT_STEP]>() };
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_user_buf(from as *const u8, bytes) }.is_ok()
}

#[inline(always)]
#[expect(clippy::multiple_unsafe_ops_per_block, reason = "all of them write to one record")]
fn tell(place: Place, fingerprint: u64) {
    let Some(mut entry) = maps::NATIVE_STACKS.reserve::<NativeStack>(0) else {
        maps::count(NativeCount::StackRingFull);
        return;
    };
    if maps::NATIVE_KNOWN.insert(fingerprint, 0, 0).is_err() {
        maps::count(NativeCount::StacksFull);
        entry.discard(0);
        return;
    }
    let record = entry.as_mut_ptr();
    let mut length = 0;
    // SAFETY: `record` points to memory of its size until it is submitted; fields are written through the pointer, as a value of
    // its size does not fit on the stack.
    unsafe {
        (*record).fingerprint = fingerprint;
        (*record).instruction = place.instruction;
        (*record).stack_pointer = place.stack_pointer;
        (*record).frame_pointer = place.frame_pointer;
        let stack = (&raw mut (*record).stack).cast::<u8>();
        for step in 0..STACK_BYTES / COPY_STEP {
            let offset = step * COPY_STEP;
            let from = (place.stack_pointer + offset as u64) as *const u8;
            let to = &mut *stack.add(offset).cast::<[u8; COPY_STEP]>();
            if bpf_probe_read_user_buf(from, to).is_err() {
                break;
            }
            length = offset as u64 + COPY_STEP as u64;
        }
        (*record).length = length;
    }
    entry.submit(0);
}
