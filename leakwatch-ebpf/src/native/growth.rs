//! What makes memory resident: every so many page faults, and all system calls that change the address space, of one process.
//!
//! The kernel side decides nothing: what is still there is worked out by the daemon from the order of the records.
#![expect(clippy::needless_pass_by_value, reason = "what the macros call them with")]

use crate::maps;
use crate::registers::Place;
use crate::stack;
use aya_ebpf::bindings::bpf_perf_event_data;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::map;
use aya_ebpf::macros::perf_event;
use aya_ebpf::macros::tracepoint;
use aya_ebpf::maps::RingBuf;
use aya_ebpf::programs::PerfEventContext;
use aya_ebpf::programs::TracePointContext;
use leakwatch_common::growth::GrowthConfig;
use leakwatch_common::growth::GrowthRecord;
use leakwatch_common::growth::growth_kind;
use leakwatch_common::native::NativeCount;

/// Overwritten by the loader, frozen before the programs are verified.
#[unsafe(no_mangle)]
static GROWTH_CONFIG: GrowthConfig = GrowthConfig::UNSET;

/// What happened, 48 bytes each.
#[map]
static GROWTH_EVENTS: RingBuf = RingBuf::with_byte_size(4096, 0);

/// In the records of `syscalls:sys_enter_*` the arguments begin here, in those of `sys_exit_*` it is the result.
const FIRST: usize = 16;
/// `MAP_ANONYMOUS` of all architectures that Linux has eBPF for.
const MAP_ANONYMOUS: u64 = 0x20;
/// `MADV_DONTNEED` and `MADV_REMOVE`. What `MADV_FREE` names stays until the kernel wants it, and comes back without a fault.
const DROPPING: [u64; 2] = [4, 9];
/// Results from here on are errors.
const FIRST_ERROR: u64 = 0xffff_ffff_ffff_f001;

#[inline(always)]
fn is_ours() -> bool {
    // SAFETY: a live, aligned field of a static that is never written while programs run.
    let process = unsafe { core::ptr::read_volatile(&raw const GROWTH_CONFIG.process) };
    bpf_get_current_pid_tgid() >> 32 == process
}

#[inline(always)]
fn tell(record: GrowthRecord) -> u32 {
    if GROWTH_EVENTS.output::<GrowthRecord>(record, 0).is_err() {
        maps::count(NativeCount::GrowthRingFull);
    }
    0
}

/// `PERF_COUNT_SW_PAGE_FAULTS_MIN`: the page is there. The fault may have been in the kernel, on behalf of the program.
#[perf_event]
fn page_fault(ctx: PerfEventContext) -> u32 {
    if !is_ours() {
        return 0;
    }
    maps::count(NativeCount::PageSamples);
    // SAFETY: the context of the program, whose fields the verifier translates.
    let address = unsafe { (*ctx.ctx.cast::<bpf_perf_event_data>()).addr };
    let place = Place::of_user();
    tell(GrowthRecord {
        kind: growth_kind::PAGE,
        // One further than the instruction: stacks are given by where their calls return to.
        fingerprint: stack::identify(Place {
            instruction: place.instruction + 1,
            ..place
        }),
        address,
        ..GrowthRecord::default()
    })
}

/// `mmap(address, length, protection, flags, ...)` has returned.
#[tracepoint]
fn mapped(ctx: TracePointContext) -> u32 {
    if !is_ours() {
        return 0;
    }
    maps::count(NativeCount::MappingCalls);
    let address = argument(&ctx, 0);
    if address >= FIRST_ERROR {
        return 0;
    }
    let (place, arguments) = Place::of_system_call();
    let is_anonymous = arguments[3] & MAP_ANONYMOUS != 0;
    tell(GrowthRecord {
        kind: if is_anonymous {
            growth_kind::MAP
        } else {
            growth_kind::REPLACE
        },
        fingerprint: if is_anonymous { stack::identify(place) } else { 0 },
        address,
        length: arguments[1],
        ..GrowthRecord::default()
    })
}

/// `munmap(address, length)` begins.
#[tracepoint]
fn unmapping(ctx: TracePointContext) -> u32 {
    if !is_ours() {
        return 0;
    }
    maps::count(NativeCount::MappingCalls);
    tell(GrowthRecord {
        kind: growth_kind::UNMAP,
        address: argument(&ctx, 0),
        length: argument(&ctx, 1),
        ..GrowthRecord::default()
    })
}

/// `mremap(old, old_length, length, ...)` has returned.
#[tracepoint]
fn moved(ctx: TracePointContext) -> u32 {
    if !is_ours() {
        return 0;
    }
    maps::count(NativeCount::MappingCalls);
    let address = argument(&ctx, 0);
    if address >= FIRST_ERROR {
        return 0;
    }
    let (_, arguments) = Place::of_system_call();
    tell(GrowthRecord {
        kind: growth_kind::MOVE,
        address,
        length: arguments[2],
        old_address: arguments[0],
        old_length: arguments[1],
        ..GrowthRecord::default()
    })
}

/// `brk` has returned: the end of the heap.
#[tracepoint]
fn heap_ends(ctx: TracePointContext) -> u32 {
    if !is_ours() {
        return 0;
    }
    maps::count(NativeCount::MappingCalls);
    tell(GrowthRecord {
        kind: growth_kind::BREAK,
        address: argument(&ctx, 0),
        ..GrowthRecord::default()
    })
}

/// `madvise(address, length, advice)` begins.
#[tracepoint]
fn advised(ctx: TracePointContext) -> u32 {
    if !is_ours() || !DROPPING.contains(&argument(&ctx, 2)) {
        return 0;
    }
    maps::count(NativeCount::MappingCalls);
    tell(GrowthRecord {
        kind: growth_kind::DROP,
        address: argument(&ctx, 0),
        length: argument(&ctx, 1),
        ..GrowthRecord::default()
    })
}

#[inline(always)]
fn argument(ctx: &TracePointContext, index: usize) -> u64 {
    // SAFETY: the record of a system call has six arguments, or its result; the helper checks the address.
    unsafe { ctx.read_at(FIRST + index * 8) }.unwrap_or(0)
}
