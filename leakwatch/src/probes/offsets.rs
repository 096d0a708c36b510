//! Where this kernel keeps what the eBPF programs read: BTF and the tracepoint's format in, [`ProbeConfig`] out.

use super::btf::Btf;
use super::format;
use super::format::Field;
use leakwatch_common::config::ABSENT;
use leakwatch_common::config::ProbeConfig;

/// Every offset that the two sources tell; the rest stays absent and so do the facts behind it.
pub fn resolve(btf: Option<&Btf>, mark_victim: &[Field]) -> ProbeConfig {
    let mut config = ProbeConfig::UNKNOWN;
    if let Some(btf) = btf {
        from_btf(&mut config, btf);
    }
    // `unsigned long` and `short` in include/trace/events/oom.h.
    let field = |name, size| format::offset(mark_victim, name, size).unwrap_or(ABSENT);
    config.format_pid = field("pid", 4);
    config.format_anon_rss = field("anon_rss", 8);
    config.format_file_rss = field("file_rss", 8);
    config.format_shmem_rss = field("shmem_rss", 8);
    config.format_pgtables = field("pgtables", 8);
    config.format_oom_score_adj = field("oom_score_adj", 2);
    config
}

/// True if the raw `mark_victim` tracepoint hands over the victim's task.
pub fn mark_victim_has_task(btf: &Btf) -> bool {
    btf.tracepoint_argument("mark_victim", 0).as_deref() == Some("task_struct")
}

fn from_btf(config: &mut ProbeConfig, btf: &Btf) {
    let task = |member| btf.offset("task_struct", &[member]).unwrap_or(ABSENT);
    config.task_pid = task("pid");
    config.task_tgid = task("tgid");
    config.task_comm = task("comm");
    config.task_start_boottime = match task("start_boottime") {
        // Its name before Linux 5.5.
        ABSENT => task("real_start_time"),
        offset => offset,
    };
    config.task_group_leader = task("group_leader");
    config.task_exit_code = task("exit_code");
    config.task_signal = task("signal");
    config.task_mm = task("mm");
    config.task_cgroups = task("cgroups");

    let signal = |member| btf.offset("signal_struct", &[member]).unwrap_or(ABSENT);
    config.signal_live = signal("live");
    config.signal_flags = signal("flags");
    config.signal_group_exit_code = signal("group_exit_code");
    config.signal_oom_score_adj = signal("oom_score_adj");

    config.mm_rss_file = rss(btf, "MM_FILEPAGES");
    config.mm_rss_anon = rss(btf, "MM_ANONPAGES");
    config.mm_rss_shmem = rss(btf, "MM_SHMEMPAGES");
    config.mm_pgtables_bytes = btf.offset("mm_struct", &["pgtables_bytes"]).unwrap_or(ABSENT);

    config.css_set_memory = btf
        .enumerator("memory_cgrp_id")
        .and_then(|index| btf.element_offset("css_set", &["subsys"], index, &[]))
        .unwrap_or(ABSENT);
    config.css_cgroup = btf.offset("cgroup_subsys_state", &["cgroup"]).unwrap_or(ABSENT);
    config.css_parent = btf.offset("cgroup_subsys_state", &["parent"]).unwrap_or(ABSENT);
    config.cgroup_kn = btf.offset("cgroup", &["kn"]).unwrap_or(ABSENT);
    config.kernfs_node_id = btf.offset("kernfs_node", &["id"]).unwrap_or(ABSENT);
    config.kernfs_node_name = btf.offset("kernfs_node", &["name"]).unwrap_or(ABSENT);
    config.memcg_usage = from_css(btf, "usage");
    config.memcg_max = from_css(btf, "max");
}

/// A counter of `mm_struct.rss_stat`: an array of `percpu_counter` since Linux 6.2, a structure around an array before.
fn rss(btf: &Btf, counter: &str) -> u32 {
    let offset = btf.enumerator(counter).and_then(|index| {
        btf.element_offset("mm_struct", &["rss_stat"], index, &["count"])
            .or_else(|| btf.element_offset("mm_struct", &["rss_stat", "count"], index, &[]))
    });
    offset.unwrap_or(ABSENT)
}

/// A member of the page counter `mem_cgroup.memory`, counted from `mem_cgroup.css`, which is what a task points to.
fn from_css(btf: &Btf, member: &str) -> u32 {
    let offset = btf
        .offset("mem_cgroup", &["memory", member])
        .zip(btf.offset("mem_cgroup", &["css"]))
        .and_then(|(counter, css)| counter.checked_sub(css));
    offset.unwrap_or(ABSENT)
}
