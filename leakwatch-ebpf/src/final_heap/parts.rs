//! The walk without `bpf_loop`, for kernels before 5.17: programs that do a bounded number of steps and call one another. The
//! kernel allows 33 calls (`MAX_TAIL_CALL_CNT`), which bounds the walk.

use super::begin;
use super::buckets;
use super::finish_heap;
use super::goroutines;
use super::out_of_steps;
use crate::maps;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

/// Index of [`heap_part`] in the map of parts.
const HEAP: u32 = 0;
/// Index of [`goroutine_part`].
const GOROUTINES: u32 = 1;

/// Steps of one part: the verifier follows each one, and allows some eight thousand.
const STEPS: u32 = 4096;
/// Buckets of one step.
const BUCKETS: u32 = 4;
/// Calls after which the heap has to be done: 440,000 buckets.
const HEAP_CALLS: u32 = 27;
/// Calls after which everything has to be done: at least 20,000 goroutines.
const ALL_CALLS: u32 = 32;

/// [`buckets::step`] as a function of its own, which the verifier looks at once instead of at every step: that takes a global
/// one without pointers. One when there is another bucket.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn next_bucket_of_part() -> u64 {
    let Some(scratch) = maps::scratch() else { return 0 };
    u64::from(buckets::step(scratch))
}

/// Several buckets, likewise: the verifier does not look into the function that this one calls.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn next_buckets_of_part() -> u64 {
    for _ in 0..BUCKETS {
        if next_bucket_of_part() == 0 {
            return 0;
        }
    }
    1
}

/// [`goroutines::step`] likewise.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn next_goroutine_of_part() -> u64 {
    let Some(scratch) = maps::scratch() else { return 0 };
    u64::from(goroutines::step(scratch))
}

#[expect(clippy::needless_pass_by_value, reason = "what the macro calls it with")]
#[raw_tracepoint(tracepoint = "signal_deliver")]
fn final_heap_in_parts(ctx: RawTracePointContext) -> i32 {
    if begin(&ctx).is_some() {
        call(&ctx, HEAP);
    }
    0
}

#[expect(clippy::needless_pass_by_value, reason = "what the macro calls it with")]
#[raw_tracepoint(tracepoint = "signal_deliver")]
fn heap_part(ctx: RawTracePointContext) -> i32 {
    for _ in 0..STEPS {
        if next_buckets_of_part() == 0 {
            break;
        }
    }
    let Some(scratch) = maps::scratch() else { return 0 };
    scratch.calls += 1;
    if scratch.at != 0 && scratch.calls < HEAP_CALLS {
        call(&ctx, HEAP);
    }
    out_of_steps(scratch);
    finish_heap(scratch);
    call(&ctx, GOROUTINES);
    0
}

#[expect(clippy::needless_pass_by_value, reason = "what the macro calls it with")]
#[raw_tracepoint(tracepoint = "signal_deliver")]
fn goroutine_part(ctx: RawTracePointContext) -> i32 {
    for _ in 0..STEPS {
        if next_goroutine_of_part() == 0 {
            break;
        }
    }
    let Some(scratch) = maps::scratch() else { return 0 };
    scratch.calls += 1;
    if scratch.index < scratch.end.goroutines_listed && scratch.calls < ALL_CALLS {
        call(&ctx, GOROUTINES);
    }
    goroutines::end(scratch);
    0
}

/// Goes on in another program; returns only if that is not possible.
#[inline(always)]
fn call(ctx: &RawTracePointContext, part: u32) {
    // SAFETY: the map holds programs of the same kind, or nothing.
    unsafe { maps::WALK_PARTS.tail_call(ctx, part) };
}
