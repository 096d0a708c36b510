//! Which stack an allocation is made on: a fingerprint of the code addresses that lie on it, and a copy of it for the daemon the
//! first time.
//!
//! Two different fingerprints may belong to one stack, when a frame has left a code address of no meaning in its variables: the
//! daemon adds up what unwinds to the same frames.

use crate::maps;
use crate::maps::config;
use crate::registers::Place;
use crate::registers::RETURN_POPS;
use aya_ebpf::helpers::bpf_probe_read_user;
use aya_ebpf::helpers::bpf_probe_read_user_buf;
use leakwatch_common::native::COPY_STEP;
use leakwatch_common::native::FINGERPRINT_PART;
use leakwatch_common::native::FINGERPRINT_STEP;
use leakwatch_common::native::FINGERPRINT_STEPS;
use leakwatch_common::native::FINGERPRINT_WORDS;
use leakwatch_common::native::GOROUTINE_BYTES;
use leakwatch_common::native::GOROUTINE_STEPS;
use leakwatch_common::native::NativeCount;
use leakwatch_common::native::NativeStack;
use leakwatch_common::native::STACK_BYTES;

/// An odd number with its bits well mixed: 2^64 divided by the golden ratio.
pub(crate) const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Fingerprint of the stack of a place; tells the daemon about one it has not seen.
#[inline(always)]
pub(crate) fn identify(place: Place) -> u64 {
    let (fingerprint, goroutine) = fingerprint(place);
    tell(place, goroutine, fingerprint);
    fingerprint
}

/// The fingerprint, and where the stack goes on when a goroutine has called C on the stack of a thread; zero if none.
#[inline(always)]
pub(crate) fn fingerprint(place: Place) -> (u64, u64) {
    let switch = config!(stack_switch);
    let mut hash = place.instruction.wrapping_mul(MULTIPLIER);
    // Another thread that gets the processor in here makes this a fingerprint of its own: nothing is counted wrongly.
    let Some(scratch) = maps::stack_words() else {
        return (hash, 0);
    };
    let steps = config!(fingerprint_steps);
    let words = &mut scratch.words;
    // In the map: the verifier would follow what each word may make of a variable.
    scratch.switched_at = 0;
    for step in 0..FINGERPRINT_STEPS {
        if u64::from(step) >= steps {
            break;
        }
        let from = (place.stack_pointer & !0xf) + u64::from(step) * FINGERPRINT_STEP as u64;
        if !read(from, words) {
            break;
        }
        // The stack pointer is a multiple of sixteen where a function is called (x86-64 and arm64), so that the return address, or the link
        // register beside the frame pointer, lies in the second word of two.
        hash = mix(hash, words.as_chunks::<2>().0.iter().map(|pair| pair[1]));
        if switch.length != 0 {
            for (index, &word) in words.iter().enumerate() {
                if word.wrapping_sub(switch.start) < switch.length && scratch.switched_at == 0 {
                    scratch.switched_at = from + index as u64 * 8;
                }
            }
        }
    }
    let goroutine = if switch.length == 0 || scratch.switched_at == 0 {
        0
    } else {
        goroutine_stack(scratch.switched_at).unwrap_or(0)
    };
    if goroutine != 0 {
        for step in 0..GOROUTINE_STEPS {
            if !read(goroutine + u64::from(step) * FINGERPRINT_STEP as u64, words) {
                break;
            }
            hash = mix(hash, words.iter().copied());
        }
    }
    (hash, goroutine)
}

/// Takes the addresses of code among some words into a hash.
#[inline(always)]
fn mix(mut hash: u64, words: impl Iterator<Item = u64>) -> u64 {
    let (all, first, second) = (config!(all_code), config!(code[0]), config!(code[1]));
    for word in words {
        // Most words are small numbers or addresses on the stack.
        if word.wrapping_sub(all.start) >= all.length {
            continue;
        }
        if word.wrapping_sub(first.start) < first.length || word.wrapping_sub(second.start) < second.length {
            // SAFETY: nothing at all, but the compiler would otherwise do the multiplication for every word and throw most away.
            unsafe { core::arch::asm!("") };
            hash = (hash ^ word).wrapping_mul(MULTIPLIER);
            hash ^= hash >> 29;
        }
    }
    hash
}

/// The stack pointer of the goroutine that has called C. `asmcgocall` keeps how far that is from the stack's start, and the goroutine, whose
/// structure begins with the stack's bounds (Go, `src/runtime/asm_amd64.s` and `runtime2.go`). There is no goroutine when the thread was on its
/// own stack already.
#[inline(always)]
fn goroutine_stack(switched_at: u64) -> Option<u64> {
    let stack_pointer = switched_at + RETURN_POPS;
    let depth = word_at(stack_pointer.wrapping_add(config!(depth_offset)))?;
    let goroutine = word_at(stack_pointer.wrapping_add(config!(goroutine_offset)))?;
    if goroutine == 0 {
        return None;
    }
    Some(word_at(goroutine + 8)?.wrapping_sub(depth))
}

#[inline(always)]
fn word_at(address: u64) -> Option<u64> {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_user(address as *const u64) }.ok()
}

/// As many words as there are; zeros beyond the end of the stack.
#[inline(always)]
fn read(from: u64, words: &mut [u64; FINGERPRINT_WORDS]) -> bool {
    // SAFETY: the bytes of an array of integers, all of which are valid values.
    let bytes = unsafe { &mut *words.as_mut_ptr().cast::<[u8; FINGERPRINT_STEP]>() };
    // SAFETY: the helper checks the address.
    if unsafe { bpf_probe_read_user_buf(from as *const u8, bytes) }.is_ok() {
        return true;
    }
    // The helper has left zeros.
    let mut any = false;
    for part in bytes.as_chunks_mut::<FINGERPRINT_PART>().0.iter_mut().enumerate() {
        let (index, part) = part;
        let from = from + (index * FINGERPRINT_PART) as u64;
        // SAFETY: the helper checks the address.
        if unsafe { bpf_probe_read_user_buf(from as *const u8, part) }.is_err() {
            break;
        }
        any = true;
    }
    any
}

/// Tells the daemon about a stack it has not seen. False when there is no room for it now.
#[inline(always)]
#[expect(clippy::multiple_unsafe_ops_per_block, reason = "all of them write to one record")]
pub(crate) fn tell(place: Place, goroutine: u64, fingerprint: u64) -> bool {
    if maps::NATIVE_KNOWN.get_ptr(fingerprint).is_some() {
        return true;
    }
    let Some(mut entry) = maps::NATIVE_STACKS.reserve::<NativeStack>(0) else {
        maps::lose(NativeCount::StackRingFull);
        return false;
    };
    if maps::NATIVE_KNOWN.insert(fingerprint, 0, 0).is_err() {
        maps::lose(NativeCount::StacksFull);
        entry.discard(0);
        return false;
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
        (*record).goroutine_stack_pointer = goroutine;
        length = 0;
        let stack = (&raw mut (*record).goroutine_stack).cast::<u8>();
        for step in 0..GOROUTINE_BYTES / COPY_STEP {
            let offset = step * COPY_STEP;
            let from = (goroutine + offset as u64) as *const u8;
            let to = &mut *stack.add(offset).cast::<[u8; COPY_STEP]>();
            if goroutine == 0 || bpf_probe_read_user_buf(from, to).is_err() {
                break;
            }
            length = offset as u64 + COPY_STEP as u64;
        }
        (*record).goroutine_length = length;
    }
    entry.submit(0);
    true
}
