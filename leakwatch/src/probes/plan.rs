//! What to attach on this host, decided from its facts before anything is loaded.

use super::host::HostFacts;
use super::offsets;
use super::scope::OomCallers;
use super::watch::WalkBounds;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_common::config::ABSENT;
use leakwatch_common::config::ProbeConfig;

/// Which program listens to `oom:mark_victim`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OomHook {
    /// The one that gets the victim's task.
    Task,
    /// The one that gets the fields of the tracepoint.
    Format,
}

/// Which program reads a process when it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeathHook {
    /// One program, with `bpf_loop` (Linux 5.17).
    Repeat,
    /// Several that call one another.
    Parts,
}

/// Everything that [`super::Probes::start`] needs to know.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Offsets for the programs.
    pub offsets: ProbeConfig,
    /// How OOM kills are seen, or why they are not.
    pub oom: Reading<OomHook>,
    /// Whether exits are seen, or why they are not.
    pub exit: Reading<()>,
    /// Whether new programs are seen, or why they are not.
    pub exec: Reading<()>,
    /// Whether reclaim in a cgroup is seen, or why it is not.
    pub reclaim: Reading<()>,
    /// How processes are read when they are killed, or why they are not.
    pub death: Reading<DeathHook>,
    /// How much is read of one.
    pub walk_bounds: WalkBounds,
    /// For telling the scope of a kill; empty where kernel symbols are hidden.
    pub oom_callers: OomCallers,
    /// Size of the ring for OOM kills: a power of two of whole pages.
    pub oom_ring_bytes: u32,
    /// Size of the ring for exits.
    pub exit_ring_bytes: u32,
    /// Size of the ring for new programs.
    pub exec_ring_bytes: u32,
    /// Size of the ring for cgroups that memory is reclaimed from.
    pub reclaim_ring_bytes: u32,
    /// Size of the ring for what is read of killed processes.
    pub death_ring_bytes: u32,
}

impl Plan {
    /// The best that this host allows.
    pub fn for_host(facts: &HostFacts) -> Self {
        let format = facts.mark_victim_format.as_deref().unwrap_or_default();
        let offsets = offsets::resolve(facts.btf.as_ref().ok(), format);
        Self {
            oom: oom_hook(facts, &offsets),
            exit: process_hook(facts, &offsets),
            exec: process_hook(facts, &offsets),
            reclaim: reclaim_hook(facts, &offsets),
            death: death_hook(facts, &offsets),
            walk_bounds: WalkBounds::default(),
            offsets,
            oom_callers: facts.oom_callers.clone().unwrap_or_default(),
            // A hundred kills of five KiB each.
            oom_ring_bytes: 512 * 1024,
            // 3600 exits of 72 bytes each.
            exit_ring_bytes: 256 * 1024,
            // 3200 programs of 40 bytes each.
            exec_ring_bytes: 128 * 1024,
            // 170 reports of 24 bytes each, one per second and cgroup.
            reclaim_ring_bytes: 4096,
            // A hundred thousand buckets of 80 bytes, in case nobody drains it meanwhile.
            death_ring_bytes: 8 * 1024 * 1024,
        }
    }
}

impl Plan {
    /// Where the memory breakdown of a victim comes from.
    pub fn victim_memory(&self) -> Reading<&'static str> {
        let hook = self.oom.clone()?;
        let (source, offset) = match hook {
            OomHook::Task => ("mm_struct", self.offsets.mm_rss_anon),
            OomHook::Format => ("fields of oom:mark_victim", self.offsets.format_anon_rss),
        };
        told(offset, source, "the resident memory of a victim")
    }

    /// Where the memory cgroup of a victim comes from.
    pub fn victim_cgroup(&self) -> Reading<&'static str> {
        let hook = self.oom.clone()?;
        let offsets = &self.offsets;
        let needed = [
            offsets.task_cgroups,
            offsets.css_set_memory,
            offsets.css_cgroup,
            offsets.cgroup_kn,
            offsets.kernfs_node_id,
            offsets.kernfs_node_name,
            offsets.memcg_usage,
            offsets.memcg_max,
        ];
        let source = match hook {
            OomHook::Task => "task_struct",
            OomHook::Format => "task_struct, where the victim itself asked for the memory",
        };
        // Absent is the largest value.
        told(
            needed.into_iter().max().unwrap_or(ABSENT),
            source,
            "the memory cgroup of a victim",
        )
    }
}

fn told(offset: u32, source: &'static str, what: &str) -> Reading<&'static str> {
    if offset == ABSENT {
        return Err(
            Missing::new(MissingReason::Unsupported, format!("this kernel does not tell {what}"))
                .with_fix("needs a kernel built with CONFIG_DEBUG_INFO_BTF=y"),
        );
    }
    Ok(source)
}

fn oom_hook(facts: &HostFacts, offsets: &ProbeConfig) -> Reading<OomHook> {
    if facts.btf.as_ref().is_ok_and(offsets::mark_victim_has_task) && offsets.task_pid != ABSENT {
        return Ok(OomHook::Task);
    }
    match &facts.mark_victim_format {
        Ok(_) if offsets.format_pid == ABSENT => Err(Missing::new(
            MissingReason::Malformed,
            "the tracepoint oom:mark_victim has no pid",
        )),
        Ok(_) => Ok(OomHook::Format),
        Err(missing) => Err(missing.clone()),
    }
}

fn death_hook(facts: &HostFacts, offsets: &ProbeConfig) -> Reading<DeathHook> {
    process_hook(facts, offsets)?;
    let can_repeat = facts
        .btf
        .as_ref()
        .is_ok_and(|btf| btf.enumerator("BPF_FUNC_loop").is_some());
    Ok(if can_repeat {
        DeathHook::Repeat
    } else {
        DeathHook::Parts
    })
}

fn reclaim_hook(facts: &HostFacts, offsets: &ProbeConfig) -> Reading<()> {
    needing(
        facts,
        &[
            ("task_struct.cgroups", offsets.task_cgroups),
            ("css_set.subsys", offsets.css_set_memory),
            ("cgroup_subsys_state.cgroup", offsets.css_cgroup),
            ("cgroup.kn", offsets.cgroup_kn),
            ("kernfs_node.id", offsets.kernfs_node_id),
        ],
    )
}

fn process_hook(facts: &HostFacts, offsets: &ProbeConfig) -> Reading<()> {
    needing(
        facts,
        &[
            ("task_struct.signal", offsets.task_signal),
            ("task_struct.group_leader", offsets.task_group_leader),
            ("task_struct.start_boottime", offsets.task_start_boottime),
        ],
    )
}

fn needing(facts: &HostFacts, needed: &[(&str, u32)]) -> Reading<()> {
    if let Err(missing) = &facts.btf {
        return Err(missing.clone());
    }
    match needed.iter().find(|(_, offset)| *offset == ABSENT) {
        None => Ok(()),
        Some((member, _)) => Err(Missing::new(
            MissingReason::Unsupported,
            format!("the kernel's type information has no {member}"),
        )),
    }
}
