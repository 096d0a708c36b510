//! What makes memory resident: every so many page faults, and all system calls that change the address space, of one process.
//!
//! The kernel side decides nothing: what is still there is worked out by the daemon from the order of the records.
#![expect(clippy::needless_pass_by_value, reason = "what the macros call them with")]

use crate::maps;
use crate::registers::Place;
use crate::stack;
use aya_ebpf::bindings::bpf_perf_event_data;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::fentry;
use aya_ebpf::macros::fexit;
use aya_ebpf::macros::map;
use aya_ebpf::macros::perf_event;
use aya_ebpf::macros::tracepoint;
use aya_ebpf::maps::RingBuf;
use aya_ebpf::programs::FEntryContext;
use aya_ebpf::programs::FExitContext;
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

/// In the records of `syscalls:sys_exit_*` the result is here.
const RESULT: usize = 16;
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

/// Sends a record. Programs that lose nothing else are shorter without a log of it (`LOGS`).
#[inline(always)]
fn tell<const LOGS: bool>(record: GrowthRecord) {
    if GROWTH_EVENTS.output::<GrowthRecord>(record, 0).is_err() {
        if LOGS {
            maps::lose(NativeCount::GrowthRingFull);
        } else {
            maps::count(NativeCount::GrowthRingFull);
        }
    }
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
    tell::<true>(GrowthRecord {
        kind: growth_kind::PAGE,
        // One further than the instruction: stacks are given by where their calls return to.
        fingerprint: stack::identify(Place {
            instruction: place.instruction + 1,
            ..place
        }),
        address,
        ..GrowthRecord::default()
    });
    0
}

/// The programs of a system call: at its function in the kernel, and where that is not possible at its tracepoint, for which the kernel
/// takes a longer way through every system call of every process.
macro_rules! at_entry {
    ($function:ident, $tracepoint:ident, $what:path) => {
        #[fentry]
        fn $function(_ctx: FEntryContext) -> i32 {
            $what();
            0
        }

        #[tracepoint]
        fn $tracepoint(_ctx: TracePointContext) -> u32 {
            $what();
            0
        }
    };
}

/// Likewise, with what it returns.
macro_rules! at_exit {
    ($function:ident, $tracepoint:ident, $what:path) => {
        #[fexit]
        fn $function(ctx: FExitContext) -> i32 {
            // The functions of system calls have one argument; the result comes after it.
            $what(ctx.arg(1));
            0
        }

        #[tracepoint]
        fn $tracepoint(ctx: TracePointContext) -> u32 {
            // SAFETY: the record of `sys_exit_*` has the result there; the helper checks the address.
            if let Ok(result) = unsafe { ctx.read_at(RESULT) } {
                $what(result);
            }
            0
        }
    };
}

at_entry!(unmapping_function, unmapping, unmapping_begins);
at_entry!(advised_function, advised, advice_begins);
at_exit!(moved_function, moved, mremap_has_returned);
at_exit!(heap_ends_function, heap_ends, brk_has_returned);
at_exit!(mapped_function, mapped, mmap_has_returned);

/// `mmap(address, length, protection, flags, ...)`.
#[inline(always)]
fn mmap_has_returned(address: u64) {
    if !is_ours() {
        return;
    }
    maps::count(NativeCount::MappingCalls);
    if address >= FIRST_ERROR {
        return;
    }
    let (place, arguments) = Place::of_system_call();
    let is_anonymous = arguments[3] & MAP_ANONYMOUS != 0;
    tell::<true>(GrowthRecord {
        kind: if is_anonymous {
            growth_kind::MAP
        } else {
            growth_kind::REPLACE
        },
        fingerprint: if is_anonymous { stack::identify(place) } else { 0 },
        address,
        length: arguments[1],
        ..GrowthRecord::default()
    });
}

/// `munmap(address, length)`.
#[inline(always)]
fn unmapping_begins() {
    if !is_ours() {
        return;
    }
    maps::count(NativeCount::MappingCalls);
    let (_, [address, length, ..]) = Place::of_system_call();
    tell::<false>(GrowthRecord {
        kind: growth_kind::UNMAP,
        address,
        length,
        ..GrowthRecord::default()
    });
}

/// `mremap(old, old_length, length, ...)`.
#[inline(always)]
fn mremap_has_returned(address: u64) {
    if !is_ours() {
        return;
    }
    maps::count(NativeCount::MappingCalls);
    if address >= FIRST_ERROR {
        return;
    }
    let (_, arguments) = Place::of_system_call();
    tell::<false>(GrowthRecord {
        kind: growth_kind::MOVE,
        address,
        length: arguments[2],
        old_address: arguments[0],
        old_length: arguments[1],
        ..GrowthRecord::default()
    });
}

/// `brk`: the end of the heap.
#[inline(always)]
fn brk_has_returned(address: u64) {
    if !is_ours() {
        return;
    }
    maps::count(NativeCount::MappingCalls);
    tell::<false>(GrowthRecord {
        kind: growth_kind::BREAK,
        address,
        ..GrowthRecord::default()
    });
}

/// `madvise(address, length, advice)`.
#[inline(always)]
fn advice_begins() {
    if !is_ours() {
        return;
    }
    let (_, [address, length, advice, _]) = Place::of_system_call();
    if !DROPPING.contains(&advice) {
        return;
    }
    maps::count(NativeCount::MappingCalls);
    tell::<false>(GrowthRecord {
        kind: growth_kind::DROP,
        address,
        length,
        ..GrowthRecord::default()
    });
}
