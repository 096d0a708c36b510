//! `vmscan:mm_vmscan_memcg_reclaim_begin`: a memory cgroup is at a limit and the kernel looks for pages to take back.

use crate::clock::Clock;
use crate::probes::decode;
use crate::probes::decode::DecodeError;
use crate::probes::event::MemcgReclaim;
use crate::probes::event::ProbeEvent;
use crate::probes::hook::Hook;
use crate::probes::hook::Programs;
use crate::probes::hook::Ring;
use crate::probes::hooks::requirement;
use crate::probes::ring;
use leakwatch_common::event;
use std::time::Duration;

/// Its row.
pub static HOOK: Hook = Hook {
    name: "vmscan:mm_vmscan_memcg_reclaim_begin",
    without: "a cgroup under pressure is noticed by the next round of samples",
    fix: requirement::NEEDS_BTF,
    programs: |facts, offsets| {
        requirement::needs(
            facts,
            &[
                ("task_struct.cgroups", offsets.task_cgroups),
                ("css_set.subsys", offsets.css_set_memory),
                ("cgroup_subsys_state.cgroup", offsets.css_cgroup),
                ("cgroup.kn", offsets.cgroup_kn),
                ("kernfs_node.id", offsets.kernfs_node_id),
            ],
        )?;
        Ok(Programs::RawTracepoint {
            program: "memcg_reclaim",
            tracepoint: "mm_vmscan_memcg_reclaim_begin",
        })
    },
    // 170 reports of 24 bytes each, one per second and cgroup.
    ring: Ring {
        map: "RECLAIM_EVENTS",
        bytes: 4096,
    },
    drain: |source, ring| {
        let clock = source.clock;
        ring::drain(source, ring, Duration::ZERO, move |record| {
            decode(record, clock).map(|reclaim| Some(ProbeEvent::MemcgReclaim(reclaim)))
        })
    },
};

fn decode(bytes: &[u8], clock: Clock) -> Result<MemcgReclaim, DecodeError> {
    let record: event::MemcgReclaim = decode::read(bytes)?;
    Ok(MemcgReclaim {
        at: clock.from_boot_nanos(record.boot_nanos),
        cgroup_inode: record.cgroup_id,
    })
}
