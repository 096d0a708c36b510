//! The programs for Linux 6.13 and later (`BPF_TRACE_UPROBE_SESSION`): one for entry and return of a function, where the entry says
//! whether the return is wanted, and leaves eight bytes for it. Calls that are no sample cost half as much.
//!
//! Written without aya's attribute, which answers zero whatever the function answers.

use crate::calls;
use crate::live;
use crate::maps;
use crate::registers::Place;
use crate::sampling;
use crate::thread;
use aya_ebpf::EbpfContext as _;
use aya_ebpf::programs::ProbeContext;
use core::ffi::c_void;
use leakwatch_common::native::KERNEL_FUNCTIONS;

/// What the kernel takes for "call me at the return" and "do not".
const RETURN_WANTED: u32 = 0;
const RETURN_UNWANTED: u32 = 1;

/// `bpf_session_is_return` of the kernel. It has an argument since 7.0 and ignores it before.
#[inline(always)]
fn is_return(ctx: &ProbeContext) -> bool {
    // SAFETY: the loader makes it a call of the kernel's function, which has this type.
    let function = unsafe { core::mem::transmute::<usize, extern "C" fn(*mut c_void) -> u64>(number(0)) };
    // A C `bool`: the other bits may be anything.
    function(ctx.as_ptr()) & 0xff != 0
}

/// `bpf_session_cookie` of the kernel: eight bytes of this call of the probed function.
#[inline(always)]
fn cookie(ctx: &ProbeContext) -> *mut u64 {
    // SAFETY: likewise.
    let function = unsafe { core::mem::transmute::<usize, extern "C" fn(*mut c_void) -> *mut u64>(number(1)) };
    function(ctx.as_ptr())
}

const fn number(index: usize) -> usize {
    KERNEL_FUNCTIONS as usize + index
}

/// Functions that call no other one that is probed.
macro_rules! innermost {
    ($($program:ident: $request:path;)+) => {
        $(
            #[unsafe(no_mangle)]
            #[unsafe(link_section = "uprobe")]
            extern "C" fn $program(ctx: *mut c_void) -> u32 {
                let ctx = ProbeContext::new(ctx);
                let place = Place::of(ctx.regs);
                let Some(cpu) = maps::cpu() else { return RETURN_UNWANTED };
                if is_return(&ctx) {
                    cpu.returns += 1;
                    let address = calls::returned(&ctx);
                    if address != 0 {
                        // SAFETY: eight bytes that the entry has written.
                        let size = unsafe { cookie(&ctx).read() };
                        live::allocated::<true>(place, address, size);
                    }
                    return RETURN_WANTED;
                }
                cpu.entries += 1;
                let size = $request(&ctx).size;
                if thread::is_inside::<true>(place.stack_pointer) || !sampling::is_sample(cpu, size) {
                    return RETURN_UNWANTED;
                }
                // SAFETY: eight bytes that are this call's own.
                unsafe { cookie(&ctx).write(size) };
                RETURN_WANTED
            }
        )+
    };
}

innermost! {
    session_innermost: calls::size;
    session_innermost_second: calls::second;
}

/// All other functions that allocate. One program, as verifying it takes a tenth of a second.
#[unsafe(no_mangle)]
#[unsafe(link_section = "uprobe")]
extern "C" fn session_outer(ctx: *mut c_void) -> u32 {
    let ctx = ProbeContext::new(ctx);
    if is_return(&ctx) {
        if let Some(cpu) = maps::cpu() {
            cpu.returns += 1;
        }
        calls::leave::<true>(&ctx);
        return RETURN_WANTED;
    }
    let request = calls::by_cookie(&ctx);
    if thread::enter::<true>(Place::of(ctx.regs).stack_pointer, &request) {
        RETURN_WANTED
    } else {
        RETURN_UNWANTED
    }
}

/// Functions that free have no return that matters.
macro_rules! releases {
    ($($program:ident: $argument:literal;)+) => {
        $(
            #[unsafe(no_mangle)]
            #[unsafe(link_section = "uprobe")]
            extern "C" fn $program(ctx: *mut c_void) -> u32 {
                calls::release::<true>(ProbeContext::new(ctx).arg($argument).unwrap_or(0));
                0
            }
        )+
    };
}

releases! {
    session_release: 0;
    session_release_second: 1;
}

/// How often functions are called, for a first look: nothing else, so that it is verified in no time.
#[unsafe(no_mangle)]
#[unsafe(link_section = "uprobe")]
extern "C" fn count_allocation(_ctx: *mut c_void) -> u32 {
    if let Some(cpu) = maps::cpu() {
        cpu.entries += 1;
    }
    0
}

/// The same of functions that free.
#[unsafe(no_mangle)]
#[unsafe(link_section = "uprobe")]
extern "C" fn count_release(_ctx: *mut c_void) -> u32 {
    if let Some(cpu) = maps::cpu() {
        cpu.frees += 1;
    }
    0
}

/// Nothing, at entry and return: what a hit costs at least.
#[unsafe(no_mangle)]
#[unsafe(link_section = "uprobe")]
extern "C" fn empty_session(_ctx: *mut c_void) -> u32 {
    RETURN_WANTED
}

/// Nothing, at an entry.
#[unsafe(no_mangle)]
#[unsafe(link_section = "uprobe")]
extern "C" fn empty_entry(_ctx: *mut c_void) -> u32 {
    0
}
