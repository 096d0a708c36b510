//! What every part of a walk needs: reading the memory of the process, the time that is left, and the end.

use crate::maps;
use crate::scratch::Scratch;
use aya_ebpf::helpers::bpf_probe_read_user;
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::bpf_probe_read_user as read_user_into;
use core::ffi::c_void;
use leakwatch_common::final_heap::WalkEnd;
use leakwatch_common::loss::LossReason;

/// Sends the end of the walk.
#[inline(always)]
pub(super) fn finish(scratch: &mut Scratch) {
    if maps::FINAL_HEAP_EVENTS.output::<WalkEnd>(&scratch.end, 0).is_err() {
        maps::lose(LossReason::FinalHeapRingFull);
    }
}

#[inline(always)]
pub(super) fn now() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_ktime_get_ns() }
}

/// One value of the process, unless it is not in memory.
#[inline(always)]
pub(super) fn read_user<T>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address and fails where nothing is mapped.
    unsafe { bpf_probe_read_user(address as *const T) }.ok()
}

/// Reads into memory of our own, of which there are at least `bytes` at `to`.
#[inline(always)]
pub(super) unsafe fn read_user_bytes(to: *mut u64, bytes: u32, address: u64) -> bool {
    // SAFETY: the helper checks the address in the process; the caller vouches for the other one, and the verifier for both.
    unsafe { read_user_into(to.cast::<c_void>(), bytes, address as *const c_void) == 0 }
}

#[inline(always)]
pub(super) fn truncated_by(scratch: &mut Scratch, reason: u32) {
    scratch.end.truncation |= reason;
}

/// Whether the time is over.
#[inline(always)]
pub(super) fn is_late(scratch: &Scratch) -> bool {
    now() > scratch.deadline
}

/// Nanoseconds since the walk began.
#[inline(always)]
pub(super) fn elapsed(scratch: &Scratch) -> u64 {
    now().saturating_sub(scratch.began)
}
