//! `sched:sched_process_exec`: a process executes another program.

use crate::probes::decode;
use crate::probes::decode::DecodeError;
use crate::probes::event::ProbeEvent;
use crate::probes::event::ProcessExec;
use crate::probes::hook::Hook;
use crate::probes::hook::Programs;
use crate::probes::hook::Ring;
use crate::probes::hooks::requirement;
use crate::probes::ring;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_common::event;
use leakwatch_common::event::present;

/// Its row.
pub static HOOK: Hook = Hook {
    name: "sched:sched_process_exec",
    without: "a new program is noticed by the next round of samples",
    fix: requirement::NEEDS_BTF,
    programs: |facts, offsets| {
        requirement::identifies_processes(facts, offsets)?;
        Ok(Programs::RawTracepoint {
            program: "process_exec",
            tracepoint: "sched_process_exec",
        })
    },
    // 3200 programs of 40 bytes each.
    ring: Ring {
        map: "EXEC_EVENTS",
        bytes: 128 * 1024,
    },
    drain: |source, ring| {
        ring::drain(source, ring, requirement::BATCH, |record| {
            decode(record).map(|exec| Some(ProbeEvent::ProcessExec(exec)))
        })
    },
};

fn decode(bytes: &[u8]) -> Result<ProcessExec, DecodeError> {
    let record: event::ProcessExec = decode::read(bytes)?;
    if record.present & present::START == 0 || record.present & present::CGROUP == 0 {
        return Err(DecodeError::Incomplete("the start time or the cgroup of the process"));
    }
    Ok(ProcessExec {
        key: ProcessKey {
            pid: record.pid,
            start_ticks: decode::ticks(record.start_boot_nanos),
        },
        cgroup_inode: record.cgroup_id,
    })
}
