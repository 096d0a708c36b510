//! `sched:sched_process_exit`: a thread ends. Reported when it is the last one of its process; fires in the exiting thread,
//! before it leaves its cgroup.

use crate::kernel::Object;
use crate::kernel::offset;
use crate::maps;
use crate::memcg;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use leakwatch_common::event::COMM_LEN;
use leakwatch_common::event::ProcessExit;
use leakwatch_common::event::present;
use leakwatch_common::loss::LossReason;

/// `SIGNAL_GROUP_EXIT` of `include/linux/sched/signal.h`: the process has one exit code for all its threads.
const SIGNAL_GROUP_EXIT: u32 = 4;
/// Of a wait status, the signal that ended the process.
const SIGNAL_MASK: u32 = 0x7f;
const SIGKILL: u32 = 9;

/// Fires for every thread; the last one reports.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
fn process_exit(_ctx: RawTracePointContext) -> i32 {
    let Some(task) = Object::current_task() else {
        return 0;
    };
    let Some(signal) = task.follow(offset!(task_signal)) else {
        return 0;
    };
    // Without `live` there is no telling the last thread: report the leader, which nearly always is.
    let pid_tgid = bpf_get_current_pid_tgid();
    let last = match signal.read::<i32>(offset!(signal_live)) {
        Some(live) => live == 0,
        None => pid_tgid >> 32 == pid_tgid & 0xffff_ffff,
    };
    if last {
        let pid = (pid_tgid >> 32) as u32;
        // What is known of its memory is of no use any more. Not watched, most likely.
        let _removed = maps::WATCHED.remove(pid).is_ok();
        emit(pid, task.follow(offset!(task_group_leader)).unwrap_or(task), signal);
    }
    0
}

#[inline(always)]
fn emit(pid: u32, leader: Object, signal: Object) {
    let Some(mut entry) = maps::EXIT_EVENTS.reserve::<ProcessExit>(0) else {
        maps::lose(LossReason::ExitRingFull);
        return;
    };
    let start = leader.read(offset!(task_start_boottime));
    let exit_code = exit_code(leader, signal);
    let cgroup_id = memcg::of_task(leader).and_then(memcg::cgroup_id);
    let comm: Option<[u8; COMM_LEN]> = leader.read(offset!(task_comm));
    let bit = |known: bool, bit| if known { bit } else { 0 };
    entry.write(ProcessExit {
        // SAFETY: a helper without arguments.
        boot_nanos: unsafe { bpf_ktime_get_boot_ns() },
        start_boot_nanos: start.unwrap_or_default(),
        cgroup_id: cgroup_id.unwrap_or_default(),
        present: present::PID
            | bit(start.is_some(), present::START)
            | bit(exit_code.is_some(), present::EXIT_CODE)
            | bit(cgroup_id.is_some(), present::CGROUP)
            | bit(comm.is_some(), present::COMM),
        pid,
        exit_code: exit_code.unwrap_or_default(),
        killer_pid: 0,
        comm: comm.unwrap_or_default(),
        killer_comm: [0; COMM_LEN],
    });
    // SAFETY: it was written just now.
    tell_killer(unsafe { &mut *entry.as_mut_ptr() });
    entry.submit(0);
}

/// Adds who sent the signal that ended the process. Into the record and not by way of variables, which older verifiers take for uninitialised where
/// nobody did.
#[inline(always)]
fn tell_killer(record: &mut ProcessExit) {
    if record.exit_code & SIGNAL_MASK != SIGKILL {
        return;
    }
    // SAFETY: a note is written once, before the signal is taken.
    let Some(killer) = (unsafe { maps::KILLERS.get(record.pid) }) else {
        return;
    };
    // A process that had the pid before may have left a note behind.
    if killer.start_boot_nanos == record.start_boot_nanos {
        record.killer_pid = killer.pid;
        record.killer_comm = killer.comm;
        record.present |= present::KILLER;
        if killer.from_kernel != 0 {
            record.present |= present::KILLER_IS_KERNEL;
        }
    }
}

/// The wait status as `wait4` gives it.
#[inline(always)]
fn exit_code(leader: Object, signal: Object) -> Option<u32> {
    let flags: u32 = signal.read(offset!(signal_flags))?;
    if flags & SIGNAL_GROUP_EXIT == 0 {
        leader.read(offset!(task_exit_code))
    } else {
        signal.read(offset!(signal_group_exit_code))
    }
}
