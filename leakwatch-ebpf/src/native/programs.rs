//! The programs, by where a family of functions has its arguments.
#![expect(clippy::needless_pass_by_value, reason = "what the macros call them with")]

use crate::live;
use crate::maps;
use crate::registers::Place;
use crate::stack;
use crate::thread;
use crate::thread::Request;
use aya_ebpf::helpers::bpf_probe_read_user;
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::macros::uprobe;
use aya_ebpf::macros::uretprobe;
use aya_ebpf::programs::ProbeContext;
use aya_ebpf::programs::RetProbeContext;
use leakwatch_common::native::LiveObject;
use leakwatch_common::native::NativeCount;
use leakwatch_common::native::thread_flags;

/// `malloc(size)`, `valloc`, `operator new`.
#[uprobe]
fn enter_size(ctx: ProbeContext) -> u32 {
    let size = ctx.arg(0).unwrap_or(0);
    enter(&ctx, size, 0, 0)
}

/// `calloc(count, size)`.
#[uprobe]
fn enter_product(ctx: ProbeContext) -> u32 {
    let (count, size): (u64, u64) = (ctx.arg(0).unwrap_or(0), ctx.arg(1).unwrap_or(0));
    enter(&ctx, count.wrapping_mul(size), 0, 0)
}

/// `aligned_alloc(alignment, size)`, `memalign`; `malloc` where the size has been moved to that register.
#[uprobe]
fn enter_second(ctx: ProbeContext) -> u32 {
    let size = ctx.arg(1).unwrap_or(0);
    enter(&ctx, size, 0, 0)
}

/// `posix_memalign(result, alignment, size)`.
#[uprobe]
fn enter_result(ctx: ProbeContext) -> u32 {
    let (result_at, size) = (ctx.arg(0).unwrap_or(0), ctx.arg(2).unwrap_or(0));
    enter(&ctx, size, result_at, 0)
}

/// `realloc(old, size)`.
#[uprobe]
fn enter_old_size(ctx: ProbeContext) -> u32 {
    let (old, size) = (ctx.arg(0).unwrap_or(0), ctx.arg(1).unwrap_or(0));
    enter(&ctx, size, 0, old)
}

/// `reallocarray(old, count, size)`.
#[uprobe]
fn enter_old_product(ctx: ProbeContext) -> u32 {
    let old = ctx.arg(0).unwrap_or(0);
    let (count, size): (u64, u64) = (ctx.arg(1).unwrap_or(0), ctx.arg(2).unwrap_or(0));
    enter(&ctx, count.wrapping_mul(size), 0, old)
}

#[inline(always)]
fn enter(ctx: &ProbeContext, size: u64, result_at: u64, old_address: u64) -> u32 {
    let request = Request {
        size,
        result_at,
        old_address,
    };
    thread::enter(Place::of(ctx.regs).stack_pointer, &request);
    0
}

/// The return of all of them.
#[uretprobe]
fn leave(ctx: RetProbeContext) -> u32 {
    let place = Place::of(ctx.regs);
    let Some(state) = thread::leave(place.stack_pointer) else {
        return 0;
    };
    let returned: u64 = ctx.ret();
    let address = if state.result_at == 0 {
        returned
    } else if returned == 0 {
        // SAFETY: the helper checks the address.
        let left = unsafe { bpf_probe_read_user(state.result_at as *const u64) };
        if left.is_err() {
            maps::count(NativeCount::UserReadFault);
        }
        left.unwrap_or(0)
    } else {
        0
    };
    if state.flags & thread_flags::OLD_TAKEN != 0 {
        // A realloc that fails leaves the object alone; one to size zero may free it and return nothing.
        if address == 0 && state.size != 0 {
            live::put_back(state.old_address, &state.old);
        } else {
            live::freed(&state.old);
        }
    }
    if address != 0 && state.flags & thread_flags::SAMPLED != 0 {
        let object = LiveObject {
            fingerprint: stack::identify(place),
            size: state.size,
            // SAFETY: a helper without arguments.
            monotonic_nanos: unsafe { bpf_ktime_get_ns() },
        };
        live::allocated(address, &object);
    }
    0
}

/// `free(address)`, `operator delete`.
#[uprobe]
fn release(ctx: ProbeContext) -> u32 {
    let address = ctx.arg(0).unwrap_or(0);
    leave_live(address)
}

/// The same where the address has been moved to the register of the second argument.
#[uprobe]
fn release_second(ctx: ProbeContext) -> u32 {
    let address = ctx.arg(1).unwrap_or(0);
    leave_live(address)
}

#[inline(always)]
fn leave_live(address: u64) -> u32 {
    maps::count(NativeCount::FreeHits);
    if address != 0
        && let Some(object) = live::take(address)
    {
        live::freed(&object);
    }
    0
}
