//! `sched:sched_process_exec`: a process executes another program. Fires in it, when its memory is already that of the new one.

use crate::kernel::Object;
use crate::kernel::offset;
use crate::maps;
use crate::memcg;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use leakwatch_common::event::ProcessExec;
use leakwatch_common::event::present;
use leakwatch_common::loss::LossReason;

/// What was known of the memory of the program before is no longer true.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
fn process_exec(_ctx: RawTracePointContext) -> i32 {
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    // Not watched, most likely.
    let _removed = maps::WATCHED.remove(pid).is_ok();
    let Some(task) = Object::current_task() else {
        return 0;
    };
    let leader = task.follow(offset!(task_group_leader)).unwrap_or(task);
    let Some(start_boot_nanos) = leader.read(offset!(task_start_boottime)) else {
        return 0;
    };
    let Some(cgroup_id) = memcg::of_task(task).and_then(memcg::cgroup_id) else {
        return 0;
    };
    let Some(mut entry) = maps::EXEC_EVENTS.reserve::<ProcessExec>(0) else {
        maps::lose(LossReason::ExecRingFull);
        return 0;
    };
    entry.write(ProcessExec {
        start_boot_nanos,
        cgroup_id,
        pid,
        present: present::PID | present::START | present::CGROUP,
    });
    entry.submit(0);
    0
}
