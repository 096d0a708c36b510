//! `sched:sched_process_exit`: the last thread of a process ends. With `signal:signal_generate`, which tells who sent the SIGKILL that ended it.

use crate::clock::Clock;
use crate::probes::decode;
use crate::probes::decode::DecodeError;
use crate::probes::decode::Recent;
use crate::probes::event::ProbeEvent;
use crate::probes::hook::Hook;
use crate::probes::hook::Programs;
use crate::probes::hook::Ring;
use crate::probes::hooks::requirement;
use crate::probes::ring;
use leakwatch_analysis::model::event::ProcessExit;
use leakwatch_analysis::model::killer::Killer;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_common::event;
use leakwatch_common::event::present;

/// Its row.
pub static HOOK: Hook = Hook {
    name: "sched:sched_process_exit",
    without: "the end of a process is noticed by the next round of samples, and its exit code is not known",
    fix: requirement::NEEDS_BTF,
    programs: |facts, offsets| {
        requirement::identifies_processes(facts, offsets)?;
        // Who kills is noted before anybody dies of it.
        Ok(Programs::RawTracepoints(&[
            ("signal_generate", "signal_generate"),
            ("process_exit", "sched_process_exit"),
        ]))
    },
    // 3200 exits of 80 bytes each.
    ring: Ring {
        map: "EXIT_EVENTS",
        bytes: 256 * 1024,
    },
    drain: |source, ring| {
        let (clock, mut recent) = (source.clock, Recent::default());
        ring::drain(source, ring, requirement::BATCH, move |record| {
            decode(record, clock, &mut recent).map(|exit| exit.map(ProbeEvent::ProcessExit))
        })
    },
};

/// `None` if the process was reported already: its last two threads may both be last.
fn decode(bytes: &[u8], clock: Clock, recent: &mut Recent) -> Result<Option<ProcessExit>, DecodeError> {
    let record: event::ProcessExit = decode::read(bytes)?;
    let has = |bit: u32| record.present & bit != 0;
    if !has(present::START) {
        return Err(DecodeError::Incomplete("the start time of the process"));
    }
    let key = ProcessKey {
        pid: record.pid,
        start_ticks: decode::ticks(record.start_boot_nanos),
    };
    if recent.has_seen(key) {
        return Ok(None);
    }
    Ok(Some(ProcessExit {
        at: clock.from_boot_nanos(record.boot_nanos),
        key,
        comm: decode::text(&record.comm),
        exit_code: if has(present::EXIT_CODE) {
            Ok(record.exit_code)
        } else {
            Err(decode::unsupported(
                "this kernel's type information does not tell the exit code",
            ))
        },
        cgroup_inode: has(present::CGROUP).then_some(record.cgroup_id),
        killer: has(present::KILLER).then(|| {
            let (pid, comm) = (record.killer_pid, decode::text(&record.killer_comm));
            if has(present::KILLER_IS_KERNEL) {
                Killer::Kernel { pid, comm }
            } else {
                Killer::Process { pid, comm }
            }
        }),
    }))
}
