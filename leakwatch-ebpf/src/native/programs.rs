//! The programs that every kernel takes: one for the entry of each family of functions, one for the return of all of them, and
//! those for the functions that free.
#![expect(clippy::needless_pass_by_value, reason = "what the macros call them with")]

use crate::calls;
use crate::maps;
use crate::registers::Place;
use crate::thread;
use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::uprobe;
use aya_ebpf::macros::uretprobe;
use aya_ebpf::programs::ProbeContext;
use aya_ebpf::programs::RetProbeContext;

macro_rules! entries {
    ($($program:ident: $request:path;)+) => {
        $(
            #[uprobe]
            fn $program(ctx: ProbeContext) -> u32 {
                let request = $request(&ctx);
                thread::enter::<false>(Place::of(ctx.regs).stack_pointer, &request);
                0
            }
        )+
    };
}

entries! {
    enter_size: calls::size;
    enter_product: calls::product;
    enter_second: calls::second;
    enter_result: calls::result;
    enter_old_size: calls::old_size;
    enter_old_product: calls::old_product;
}

/// The return of all of them.
#[uretprobe]
fn leave(ctx: RetProbeContext) -> u32 {
    if let Some(cpu) = maps::cpu() {
        cpu.returns += 1;
    }
    calls::leave::<false>(&ProbeContext::new(ctx.as_ptr()));
    0
}

#[uprobe]
fn release(ctx: ProbeContext) -> u32 {
    calls::release::<false>(ctx.arg(0).unwrap_or(0));
    0
}

/// The same where the address has been moved to the register of the second argument.
#[uprobe]
fn release_second(ctx: ProbeContext) -> u32 {
    calls::release::<false>(ctx.arg(1).unwrap_or(0));
    0
}
