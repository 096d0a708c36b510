//! What the calls of each family of functions ask for, and what is done when they return. The programs differ in how the kernel runs
//! them, not in this.

use crate::live;
use crate::maps;
use crate::registers::Place;
use crate::thread;
use crate::thread::Request;
use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::bpf_probe_read_user;
use aya_ebpf::helpers::generated::bpf_get_attach_cookie;
use aya_ebpf::programs::ProbeContext;
use aya_ebpf::programs::RetProbeContext;
use leakwatch_common::native::NativeCount;
use leakwatch_common::native::request;
use leakwatch_common::native::thread_flags;

/// `malloc(size)`, `valloc`, `operator new`.
#[inline(always)]
pub(crate) fn size(ctx: &ProbeContext) -> Request {
    Request::of(argument(ctx, 0))
}

/// `calloc(count, size)`.
#[inline(always)]
pub(crate) fn product(ctx: &ProbeContext) -> Request {
    Request::of(argument(ctx, 0).wrapping_mul(argument(ctx, 1)))
}

/// `aligned_alloc(alignment, size)`, `memalign`; `malloc` where the size has been moved to that register.
#[inline(always)]
pub(crate) fn second(ctx: &ProbeContext) -> Request {
    Request::of(argument(ctx, 1))
}

/// `posix_memalign(result, alignment, size)`.
#[inline(always)]
pub(crate) fn result(ctx: &ProbeContext) -> Request {
    Request {
        result_at: argument(ctx, 0),
        ..Request::of(argument(ctx, 2))
    }
}

/// `realloc(old, size)`.
#[inline(always)]
pub(crate) fn old_size(ctx: &ProbeContext) -> Request {
    Request {
        old_address: argument(ctx, 0),
        ..Request::of(argument(ctx, 1))
    }
}

/// `reallocarray(old, count, size)`.
#[inline(always)]
pub(crate) fn old_product(ctx: &ProbeContext) -> Request {
    Request {
        old_address: argument(ctx, 0),
        ..Request::of(argument(ctx, 1).wrapping_mul(argument(ctx, 2)))
    }
}

/// Any of them, as the cookie of the probe says.
#[inline(always)]
pub(crate) fn by_cookie(ctx: &ProbeContext) -> Request {
    // SAFETY: the helper is given the context that the program was started with.
    match unsafe { bpf_get_attach_cookie(ctx.as_ptr()) } {
        request::PRODUCT => product(ctx),
        request::SECOND => second(ctx),
        request::RESULT => result(ctx),
        request::OLD_SIZE => old_size(ctx),
        request::OLD_PRODUCT => old_product(ctx),
        _ => size(ctx),
    }
}

#[inline(always)]
fn argument(ctx: &ProbeContext, index: usize) -> u64 {
    ctx.arg(index).unwrap_or(0)
}

/// What a function has returned.
#[inline(always)]
pub(crate) fn returned(ctx: &ProbeContext) -> u64 {
    RetProbeContext::new(ctx.as_ptr()).ret()
}

/// The return of an outermost call that `thread` knows.
#[inline(always)]
pub(crate) fn leave<const TABLE: bool>(ctx: &ProbeContext) {
    let place = Place::of(ctx.regs);
    let Some(state) = thread::leave(place.stack_pointer) else {
        return;
    };
    let returned = returned(ctx);
    let address = if state.result_at == 0 {
        returned
    } else if returned == 0 {
        // SAFETY: the helper checks the address.
        let left = unsafe { bpf_probe_read_user(state.result_at as *const u64) };
        if left.is_err() {
            maps::lose(NativeCount::UserReadFault);
        }
        left.unwrap_or(0)
    } else {
        0
    };
    if address != 0 && state.flags & thread_flags::SAMPLED != 0 {
        live::allocated::<TABLE>(place, address, state.size);
    }
    if state.flags & thread_flags::OLD_TAKEN != 0 {
        // A realloc that fails leaves the object alone; one to size zero may free it and return nothing.
        if address == 0 && state.size != 0 {
            live::put_back::<TABLE>(state.old_address, &state.old);
        } else {
            live::freed(&state.old);
        }
    }
}

/// `free(address)`, `operator delete`.
#[inline(always)]
pub(crate) fn release<const TABLE: bool>(address: u64) {
    if let Some(cpu) = maps::cpu() {
        cpu.frees += 1;
    }
    if address != 0
        && let Some(object) = live::take::<TABLE>(address)
    {
        live::freed(&object);
    }
}
