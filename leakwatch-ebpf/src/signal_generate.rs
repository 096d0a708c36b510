//! `signal:signal_generate`: somebody sends a signal. Of a SIGKILL it is noted who sent it, for the record of the exit that it leads to; fires in the sender.

use crate::kernel::Object;
use crate::kernel::offset;
use crate::maps;
use aya_ebpf::helpers::bpf_get_current_comm;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use leakwatch_common::event::Killer;

const SIGKILL: u64 = 9;
/// `SEND_SIG_PRIV` of `include/linux/sched/signal.h`, where a pointer to what is known of the sender would be: the kernel itself.
const SEND_SIG_PRIV: u64 = 1;
/// `TRACE_SIGNAL_DELIVERED` of `include/trace/events/signal.h`: not ignored by a process that dies already.
const DELIVERED: u64 = 0;
/// Arguments are 64 bits wide, an `int` counts by the lower half.
const INT: u64 = 0xffff_ffff;

/// For nearly all signals one comparison.
#[expect(clippy::needless_pass_by_value, reason = "what the macro calls it with")]
#[raw_tracepoint(tracepoint = "signal_generate")]
fn signal_generate(ctx: RawTracePointContext) -> i32 {
    if ctx.arg::<u64>(0) & INT != SIGKILL || ctx.arg::<u64>(4) & INT != DELIVERED {
        return 0;
    }
    if let Some(task) = Object::at(ctx.arg::<u64>(2)) {
        note(task, ctx.arg::<u64>(1) == SEND_SIG_PRIV);
    }
    0
}

#[inline(always)]
fn note(victim: Object, from_kernel: bool) {
    let start = victim
        .follow(offset!(task_group_leader))
        .and_then(|leader| leader.read(offset!(task_start_boottime)));
    let (Some(pid), Some(start_boot_nanos)) = (victim.read::<u32>(offset!(task_tgid)), start) else {
        return;
    };
    let killer = Killer {
        start_boot_nanos,
        pid: (bpf_get_current_pid_tgid() >> 32) as u32,
        from_kernel: u32::from(from_kernel),
        comm: bpf_get_current_comm().unwrap_or_default(),
    };
    // Full of processes that were killed and are not gone: who killed the oldest of them is not known then.
    let _inserted = maps::KILLERS.insert(pid, killer, 0).is_ok();
}
