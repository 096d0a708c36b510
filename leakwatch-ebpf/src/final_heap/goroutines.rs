//! The goroutines (`runtime.allgs`, runtime/proc.go) counted by where they started, who created them and what they wait for,
//! one at a step. Their stacks are not read.

use super::walk::elapsed;
use super::walk::finish;
use super::walk::is_late;
use super::walk::read_user;
use super::walk::read_user_bytes;
use super::walk::truncated_by;
use crate::maps;
use crate::scratch::FIELDS;
use crate::scratch::POINTERS;
use crate::scratch::Scratch;
use aya_ebpf::bindings::BPF_ANY;
use leakwatch_common::final_heap::GoroutineGroup;
use leakwatch_common::final_heap::truncation;
use leakwatch_common::loss::LossReason;

/// Set in the status while the garbage collector scans the stack (`_Gscan`).
const SCANNED: u32 = 0x1000;

/// Finds the list.
#[inline(always)]
pub(super) fn begin(scratch: &mut Scratch) {
    scratch.index = 0;
    let watch = &scratch.watch;
    if watch.goroutine_array == 0 {
        return;
    }
    match (
        read_user::<u64>(watch.goroutine_length),
        read_user::<u64>(watch.goroutine_array),
    ) {
        (Some(length), Some(array)) => {
            scratch.end.goroutines_listed = length;
            scratch.array = array;
        }
        _ => truncated_by(scratch, truncation::GOROUTINE_LIST),
    }
}

/// Counts one goroutine; false when there is none to follow.
#[inline(always)]
pub(super) fn step(scratch: &mut Scratch) -> bool {
    let (index, length) = (scratch.index, scratch.end.goroutines_listed);
    if index >= length {
        return false;
    }
    let stop = |scratch: &mut Scratch, reason| {
        truncated_by(scratch, reason);
        scratch.index = length;
        false
    };
    if index >= u64::from(scratch.watch.max_goroutines) {
        return stop(scratch, truncation::GOROUTINES);
    }
    let slot = index as usize & (POINTERS - 1);
    if slot == 0 {
        if is_late(scratch) {
            return stop(scratch, truncation::GOROUTINE_TIME);
        }
        let count = (length - index).min(POINTERS as u64) as u32;
        let from = scratch.array.wrapping_add(index * 8);
        // SAFETY: there is room for so many pointers.
        if !unsafe { read_user_bytes(scratch.pointers.as_mut_ptr(), count * 8, from) } {
            return stop(scratch, truncation::GOROUTINE_LIST);
        }
    }
    scratch.index = index + 1;
    count_one(scratch, scratch.pointers[slot]);
    true
}

#[inline(always)]
fn count_one(scratch: &mut Scratch, goroutine: u64) {
    const MASK: usize = FIELDS - 1;
    let watch = &scratch.watch;
    let (wait_reason, created_at, start) = (
        watch.wait_reason as usize & MASK,
        watch.created_at as usize & (MASK - 7),
        watch.start as usize & (MASK - 7),
    );
    let from = goroutine.wrapping_add(u64::from(watch.status));
    let bytes = (start + 8) as u32;
    let fields = scratch.fields.as_mut_ptr();
    // SAFETY: `start` is at least eight below the end.
    if !unsafe { read_user_bytes(fields.cast::<u64>(), bytes, from) } {
        scratch.end.goroutines_unreadable += 1;
        return;
    }
    // SAFETY: all offsets are within the fields, words at least eight below their end; the array is aligned to eight.
    let (status, group) = unsafe {
        let status = fields.cast::<u32>().read() & !SCANNED;
        let group = GoroutineGroup {
            pid: scratch.end.pid,
            status: status as u16,
            wait_reason: u16::from(fields.add(wait_reason).read()),
            start: fields.add(start).cast::<u64>().read(),
            created_at: fields.add(created_at).cast::<u64>().read(),
        };
        (status, group)
    };
    // Not begun, ended, ended after C called it.
    if status == 0 || status == 6 || status == 11 {
        scratch.end.goroutines_ended += 1;
        return;
    }
    if let Some(count) = maps::GOROUTINES.get_ptr_mut(group) {
        // SAFETY: the entry is there, and only this walk counts goroutines of this process.
        unsafe { *count += 1 };
    } else {
        let one = 1_u64;
        if maps::GOROUTINES.insert(group, one, u64::from(BPF_ANY)).is_err() {
            maps::lose(LossReason::GoroutineGroupsFull);
            scratch.end.goroutines_ungrouped += 1;
            return;
        }
    }
    scratch.end.goroutines += 1;
}

/// The last part is done.
#[inline(always)]
pub(super) fn end(scratch: &mut Scratch) {
    if scratch.index < scratch.end.goroutines_listed {
        truncated_by(scratch, truncation::GOROUTINES);
    }
    scratch.end.goroutine_nanos = elapsed(scratch).saturating_sub(scratch.end.heap_nanos);
    finish(scratch);
}
