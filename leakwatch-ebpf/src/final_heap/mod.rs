//! `signal:signal_deliver`: a process takes a signal. Where that is the SIGKILL that ends a watched Go process, its memory is
//! still there, and nothing of the program runs any more in this thread: its heap profile and its goroutines are read now.
//!
//! Fires for every signal that any process handles: one comparison and it is over. The thread that takes the process out of
//! the map of watched ones does the reading, the others go on to die. Nothing is written to the process; it is held up for
//! as long as the reading takes, which is bounded and measured.
//!
//! Two sets of programs, of which the loader attaches one: with `bpf_loop` (Linux 5.17), or in parts that call one another.

mod walk;
mod window;
mod buckets;
mod goroutines;
mod parts;
mod repeat;

use crate::kernel::Object;
use crate::kernel::offset;
use crate::maps;
use crate::scratch::Scratch;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use aya_ebpf::programs::RawTracePointContext;
use leakwatch_common::config::ABSENT;
use leakwatch_common::final_heap::KIND_END;
use leakwatch_common::final_heap::KIND_NEW;
use leakwatch_common::final_heap::truncation;
use walk::elapsed;
use walk::now;
use walk::truncated_by;

const SIGKILL: i32 = 9;
/// The part of a walk's time that goroutines have at least, beside that of the heap: an eighth.
const GOROUTINES_SHARE: u64 = 8;

/// Whether the memory of a process is read when it is killed, or was just read: the kernel sends the signal before it calls
/// the process a victim. A thread of it may be taking the entry out on another processor meanwhile: it is in `READ` before it leaves `WATCHED`, so
/// that it is found when it is looked for in the other order.
#[inline(always)]
pub(crate) fn is_due(pid: u32, start: u64) -> bool {
    let is_watched = maps::WATCHED.get_ptr(pid).is_some_and(|watch| {
        // SAFETY: the entry is there; user space replaces entries and never writes into one.
        let watch = unsafe { watch.read() };
        start.checked_div(watch.nanos_per_tick) == Some(watch.start_ticks)
    });
    is_watched || was_read(pid, start)
}

#[inline(always)]
fn was_read(pid: u32, start: u64) -> bool {
    // SAFETY: the entry is there.
    maps::READ
        .get_ptr(pid)
        .is_some_and(|read| unsafe { read.read() } == start)
}

/// The walk that this thread is to do, set up; `None` for nearly every signal.
#[inline(always)]
fn begin(ctx: &RawTracePointContext) -> Option<&'static mut Scratch> {
    if ctx.arg::<i32>(0) != SIGKILL {
        return None;
    }
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let watch = maps::WATCHED.get_ptr(pid)?;
    let task = Object::current_task()?;
    // The other threads of a process that ends by itself are sent the same signal.
    let signal = task.follow(offset!(task_signal))?;
    if offset!(signal_group_exit_code) != ABSENT
        && signal.read::<i32>(offset!(signal_group_exit_code))? & 0x7f != SIGKILL
    {
        return None;
    }
    let leader = task.follow(offset!(task_group_leader))?;
    let start: u64 = leader.read(offset!(task_start_boottime))?;
    let scratch = maps::scratch()?;
    // SAFETY: the entry is there; user space replaces entries and never writes into one.
    scratch.watch = unsafe { watch.read() };
    let ticks = start.checked_div(scratch.watch.nanos_per_tick)?;
    if ticks != scratch.watch.start_ticks || was_read(pid, start) {
        return None;
    }
    maps::READ.insert(pid, start, 0).ok()?;
    // Of all threads that got here, one succeeds.
    maps::WATCHED.remove(pid).ok()?;
    let end = &mut scratch.end;
    end.kind = KIND_END;
    end.pid = pid;
    end.start_boot_nanos = start;
    // SAFETY: a helper without arguments.
    end.boot_nanos = unsafe { bpf_ktime_get_boot_ns() };
    end.rate = 0;
    end.heap_nanos = 0;
    end.goroutine_nanos = 0;
    end.goroutines_listed = 0;
    end.cycle = 0;
    end.buckets = 0;
    end.buckets_known = 0;
    end.newest_known = scratch.watch.newest_known;
    end.buckets_lost = 0;
    end.buckets_unreadable = 0;
    end.stacks_missing = 0;
    end.chunks = 0;
    end.goroutines = 0;
    end.goroutines_ended = 0;
    end.goroutines_unreadable = 0;
    end.goroutines_ungrouped = 0;
    end.truncation = 0;
    scratch.chunk.head.kind = KIND_NEW;
    scratch.chunk.head.pid = pid;
    scratch.chunk.head.start_boot_nanos = start;
    scratch.chunk.head.words = 0;
    scratch.chunk.head.entries = 0;
    scratch.chunk.head.first = 0;
    scratch.chunk.head.reserved = 0;
    scratch.began = now();
    scratch.deadline = scratch.began.saturating_add(scratch.watch.max_nanos);
    scratch.calls = 0;
    buckets::begin(scratch);
    Some(scratch)
}

/// The heap is done, complete or not: what is left in the chunk is sent.
#[inline(always)]
fn finish_heap(scratch: &mut Scratch) {
    buckets::flush(scratch);
    if scratch.known != 0 {
        scratch.end.buckets_known = scratch.chunk.head.first;
    }
    scratch.end.heap_nanos = elapsed(scratch);
    // However long the heap took, there is some time left for goroutines: they are few, as a rule.
    let least = scratch.watch.max_nanos / GOROUTINES_SHARE;
    scratch.deadline = scratch.deadline.max(now().saturating_add(least));
    goroutines::begin(scratch);
}

/// The list of buckets is longer than we may go.
#[inline(always)]
fn out_of_steps(scratch: &mut Scratch) {
    if scratch.at != 0 {
        truncated_by(scratch, truncation::BUCKETS);
        scratch.at = 0;
    }
}
