//! Which allocator call a thread is in, and whether it is sampled. Only the outermost call counts: `operator new` calls `malloc`,
//! `calloc` may, and the program has made one allocation.

use crate::live;
use crate::maps;
use crate::maps::config;
use crate::registers::RETURN_POPS;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::bpf_get_prandom_u32;
use leakwatch_common::exponential;
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

/// Enters an allocating function.
#[inline(always)]
pub(crate) fn enter(stack_pointer: u64, request: &Request) {
    maps::count(NativeCount::EntryHits);
    let Some(state) = current_or_new() else {
        return maps::count(NativeCount::ThreadLost);
    };
    // SAFETY: a live value of the map; only this thread uses it.
    let state = unsafe { &mut *state };
    let outer = state.entry_stack_pointer;
    if outer != 0 {
        // Equal when one function ends by jumping to another.
        if stack_pointer <= outer && state.inner < MAX_INNER {
            state.inner += 1;
            return;
        }
        abandon(state);
    }
    state.flags &= thread_flags::DRAWN;
    if is_sample(state, request.size) {
        state.flags |= thread_flags::SAMPLED;
    }
    state.size = request.size;
    state.result_at = request.result_at;
    state.old_address = request.old_address;
    state.inner = 0;
    if request.old_address != 0
        && let Some(old) = live::take(request.old_address)
    {
        state.old = old;
        state.flags |= thread_flags::OLD_TAKEN;
    }
    state.entry_stack_pointer = stack_pointer;
}

/// Leaves an allocating function. `None` for an inner one.
#[inline(always)]
pub(crate) fn leave(stack_pointer: u64) -> Option<&'static mut ThreadState> {
    maps::count(NativeCount::ReturnHits);
    // SAFETY: a live value of the map; only this thread uses it.
    let state = unsafe { &mut *current()? };
    if state.entry_stack_pointer == 0 || state.entry_stack_pointer + RETURN_POPS != stack_pointer {
        return None;
    }
    state.entry_stack_pointer = 0;
    Some(state)
}

/// The call before did not return. What it took out of the live set is as unknown as its outcome.
#[inline(always)]
fn abandon(state: &mut ThreadState) {
    maps::count(NativeCount::Abandoned);
    if state.flags & thread_flags::OLD_TAKEN != 0 {
        live::put_back(state.old_address, &state.old);
    }
    state.old = LiveObject::default();
    state.entry_stack_pointer = 0;
}

/// Decides by bytes: each byte has the same chance, whatever object it belongs to.
#[inline(always)]
fn is_sample(state: &mut ThreadState, size: u64) -> bool {
    let mean = config!(mean_bytes);
    if mean <= 1 {
        return true;
    }
    if state.flags & thread_flags::DRAWN == 0 {
        state.flags |= thread_flags::DRAWN;
        state.until_sample = distance(mean);
    }
    if state.until_sample > size {
        state.until_sample -= size;
        return false;
    }
    // The distribution has no memory: what of the size is left over makes no difference.
    state.until_sample = distance(mean);
    true
}

#[inline(always)]
fn distance(mean: u64) -> u64 {
    // SAFETY: a helper without arguments.
    let random = unsafe { bpf_get_prandom_u32() };
    exponential::distance(random, mean)
}
