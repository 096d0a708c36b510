//! `vmscan:mm_vmscan_memcg_reclaim_begin`: a memory cgroup is at a limit and the kernel looks for pages to take back. Fires in
//! the thread that asked for memory, thousands of times per second while a cgroup thrashes: reported once per second and cgroup.

use crate::kernel::Object;
use crate::maps;
use crate::memcg;
use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use leakwatch_common::event::MemcgReclaim;
use leakwatch_common::loss::LossReason;

/// Time between two reports of a cgroup.
const INTERVAL_NANOS: u64 = 1_000_000_000;

/// The limit may be an ancestor's: what is reported is the cgroup of the thread, which cannot go on.
#[raw_tracepoint(tracepoint = "mm_vmscan_memcg_reclaim_begin")]
fn memcg_reclaim(_ctx: RawTracePointContext) -> i32 {
    let Some(cgroup_id) = Object::current_task()
        .and_then(memcg::of_task)
        .and_then(memcg::cgroup_id)
    else {
        return 0;
    };
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    // SAFETY: a torn or stale instant reports once more or once less.
    let last = unsafe { maps::RECLAIMED.get(cgroup_id) }.copied();
    if last.is_some_and(|last| now.wrapping_sub(last) < INTERVAL_NANOS) {
        return 0;
    }
    // Full of cgroups that were seen lately: reported more often, then.
    let _inserted = maps::RECLAIMED.insert(cgroup_id, now, 0).is_ok();
    let Some(mut entry) = maps::RECLAIM_EVENTS.reserve::<MemcgReclaim>(0) else {
        maps::lose(LossReason::ReclaimRingFull);
        return 0;
    };
    entry.write(MemcgReclaim {
        boot_nanos: now,
        cgroup_id,
    });
    entry.submit(0);
    0
}
