//! Which allocator call a thread is in, and whether it is sampled. Only the outermost call counts: `operator new` calls `malloc`,
//! `calloc` may, and the program has made one allocation.

use crate::live;
use crate::maps;
use crate::registers::RETURN_POPS;
use crate::sampling;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use leakwatch_common::native::LiveObject;
use leakwatch_common::native::NativeCount;
use leakwatch_common::native::ThreadState;
use leakwatch_common::native::thread_flags;

/// Inner entries after which the outermost call is taken for abandoned: a thread that left it by an exception or ended in it.
const MAX_INNER: u32 = 32;

/// What the entry of an allocating function tells.
pub(crate) struct Request {
    /// Bytes asked for.
    pub(crate) size: u64,
    /// Where the address will be left; zero if it is returned.
    pub(crate) result_at: u64,
    /// The object that may move; zero if none.
    pub(crate) old_address: u64,
}

impl Request {
    /// For so many bytes, whose address is returned.
    #[inline(always)]
    pub(crate) const fn of(size: u64) -> Self {
        Self {
            size,
            result_at: 0,
            old_address: 0,
        }
    }
}

/// The state of the current thread.
#[inline(always)]
fn current() -> Option<*mut ThreadState> {
    maps::NATIVE_THREADS.get_ptr_mut(thread_id())
}

#[inline(always)]
fn current_or_new() -> Option<*mut ThreadState> {
    current().or_else(|| {
        maps::NATIVE_THREADS
            .insert(thread_id(), ThreadState::default(), 0)
            .ok()?;
        current()
    })
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the lower half is the thread's id")]
fn thread_id() -> u32 {
    bpf_get_current_pid_tgid() as u32
}

/// Enters an allocating function. False for an inner one, whose return is of no interest.
#[inline(always)]
pub(crate) fn enter<const TABLE: bool>(stack_pointer: u64, request: &Request) -> bool {
    let Some(cpu) = maps::cpu() else { return false };
    cpu.entries += 1;
    let Some(state) = current_or_new() else {
        maps::lose(NativeCount::ThreadLost);
        return false;
    };
    // SAFETY: a live value of the map; only this thread uses it.
    let state = unsafe { &mut *state };
    if is_inner::<TABLE>(state, stack_pointer) {
        return false;
    }
    state.flags = 0;
    if sampling::is_sample(cpu, request.size) {
        state.flags |= thread_flags::SAMPLED;
    }
    state.size = request.size;
    state.result_at = request.result_at;
    state.old_address = request.old_address;
    state.inner = 0;
    if request.old_address != 0
        && let Some(old) = live::take::<TABLE>(request.old_address)
    {
        state.old = old;
        state.flags |= thread_flags::OLD_TAKEN;
    }
    state.entry_stack_pointer = stack_pointer;
    inside(1);
    true
}

/// Whether the thread is in a function that has called the one it now enters. For functions that call no others themselves:
/// they leave no state behind.
#[inline(always)]
pub(crate) fn is_inside<const TABLE: bool>(stack_pointer: u64) -> bool {
    let threads = maps::NATIVE_INSIDE.get_ptr(0);
    // SAFETY: a live value of the map.
    if threads.is_none_or(|threads| unsafe { threads.read_volatile() } == 0) {
        return false;
    }
    // SAFETY: a live value of the map; only this thread uses it.
    current().is_some_and(|state| is_inner::<TABLE>(unsafe { &mut *state }, stack_pointer))
}

/// Whether a call is an inner one.
#[inline(always)]
fn is_inner<const TABLE: bool>(state: &mut ThreadState, stack_pointer: u64) -> bool {
    let outer = state.entry_stack_pointer;
    if outer == 0 {
        return false;
    }
    // Equal when one function ends by jumping to another.
    if stack_pointer <= outer && state.inner < MAX_INNER {
        state.inner += 1;
        return true;
    }
    abandon::<TABLE>(state);
    false
}

/// Counts the threads that are in a call. One that ends in a call stays counted: the others are then looked up where they need not be.
#[inline(always)]
fn inside(difference: i64) {
    if let Some(threads) = maps::NATIVE_INSIDE.get_ptr_mut(0) {
        maps::add(threads, difference.cast_unsigned());
    }
}

/// Leaves an allocating function. `None` for an inner one.
#[inline(always)]
pub(crate) fn leave(stack_pointer: u64) -> Option<&'static mut ThreadState> {
    // SAFETY: a live value of the map; only this thread uses it.
    let state = unsafe { &mut *current()? };
    if state.entry_stack_pointer == 0 || state.entry_stack_pointer + RETURN_POPS != stack_pointer {
        return None;
    }
    state.entry_stack_pointer = 0;
    inside(-1);
    Some(state)
}

/// The call before did not return. What it took out of the live set is as unknown as its outcome.
#[inline(always)]
fn abandon<const TABLE: bool>(state: &mut ThreadState) {
    maps::lose(NativeCount::Abandoned);
    if state.flags & thread_flags::OLD_TAKEN != 0 {
        live::put_back::<TABLE>(state.old_address, &state.old);
    }
    state.old = LiveObject::default();
    state.entry_stack_pointer = 0;
    inside(-1);
}
