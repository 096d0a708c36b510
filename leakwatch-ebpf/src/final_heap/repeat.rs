//! The walk with `bpf_loop`: one program.

use super::begin;
use super::buckets;
use super::finish_heap;
use super::goroutines;
use super::out_of_steps;
use crate::maps;
use aya_ebpf::helpers::generated::bpf_loop;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use core::ffi::c_void;
use core::ptr;

/// Go on, for `bpf_loop`.
const NEXT: u64 = 0;
/// Stop, for `bpf_loop`.
const STOP: u64 = 1;

/// Steps at most: `bpf_loop` allows no more.
const MOST: u32 = 1 << 23;

#[expect(clippy::needless_pass_by_value, reason = "what the macro calls it with")]
#[raw_tracepoint(tracepoint = "signal_deliver")]
fn final_heap(ctx: RawTracePointContext) -> i32 {
    let Some(scratch) = begin(&ctx) else { return 0 };
    // SAFETY: the function is one that the helper calls with a step and a pointer, here null.
    unsafe { bpf_loop(MOST, next_bucket as *mut c_void, ptr::null_mut(), 0) };
    out_of_steps(scratch);
    finish_heap(scratch);
    // SAFETY: likewise.
    unsafe { bpf_loop(MOST, next_goroutine as *mut c_void, ptr::null_mut(), 0) };
    goroutines::end(scratch);
    0
}

extern "C" fn next_bucket(_step: u64, _context: *mut c_void) -> u64 {
    let Some(scratch) = maps::scratch() else { return STOP };
    if buckets::step(scratch) { NEXT } else { STOP }
}

extern "C" fn next_goroutine(_step: u64, _context: *mut c_void) -> u64 {
    let Some(scratch) = maps::scratch() else { return STOP };
    if goroutines::step(scratch) { NEXT } else { STOP }
}
