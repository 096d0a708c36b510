//! What the loader tells the programs before the kernel verifies them: where this kernel keeps what they read.

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;

/// Name of the global that holds the [`ProbeConfig`].
pub const PROBE_CONFIG: &str = "PROBE_CONFIG";

/// An offset of a member that this kernel does not have. Zero would be a legal offset.
pub const ABSENT: u32 = u32::MAX;

/// Offsets in bytes, each [`ABSENT`] when unknown.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ProbeConfig {
    /// Makes the initial value unlike any other constant of the object: LLVM merges equal ones, and the loader overwrites this one.
    pub magic: u64,
    /// `task_struct.pid`.
    pub task_pid: u32,
    /// `task_struct.tgid`.
    pub task_tgid: u32,
    /// `task_struct.comm`.
    pub task_comm: u32,
    /// `task_struct.start_boottime` (`real_start_time` before Linux 5.5).
    pub task_start_boottime: u32,
    /// `task_struct.group_leader`.
    pub task_group_leader: u32,
    /// `task_struct.exit_code`.
    pub task_exit_code: u32,
    /// `task_struct.signal`.
    pub task_signal: u32,
    /// `task_struct.mm`.
    pub task_mm: u32,
    /// `task_struct.cgroups`.
    pub task_cgroups: u32,
    /// `signal_struct.live`.
    pub signal_live: u32,
    /// `signal_struct.flags`.
    pub signal_flags: u32,
    /// `signal_struct.group_exit_code`.
    pub signal_group_exit_code: u32,
    /// `signal_struct.oom_score_adj`.
    pub signal_oom_score_adj: u32,
    /// Counter of file pages (`MM_FILEPAGES`) in `mm_struct`.
    pub mm_rss_file: u32,
    /// Counter of anonymous pages (`MM_ANONPAGES`) in `mm_struct`.
    pub mm_rss_anon: u32,
    /// Counter of shared pages (`MM_SHMEMPAGES`) in `mm_struct`.
    pub mm_rss_shmem: u32,
    /// `mm_struct.pgtables_bytes`.
    pub mm_pgtables_bytes: u32,
    /// `css_set.subsys[memory_cgrp_id]`.
    pub css_set_memory: u32,
    /// `cgroup_subsys_state.cgroup`.
    pub css_cgroup: u32,
    /// `cgroup_subsys_state.parent`.
    pub css_parent: u32,
    /// `cgroup.kn`.
    pub cgroup_kn: u32,
    /// `kernfs_node.id`.
    pub kernfs_node_id: u32,
    /// `kernfs_node.name`.
    pub kernfs_node_name: u32,
    /// `mem_cgroup.memory.usage`, from the `cgroup_subsys_state` that is its first member.
    pub memcg_usage: u32,
    /// `mem_cgroup.memory.max`, likewise.
    pub memcg_max: u32,
    /// `pid` of `oom:mark_victim`.
    pub format_pid: u32,
    /// `anon_rss` of `oom:mark_victim`.
    pub format_anon_rss: u32,
    /// `file_rss` of `oom:mark_victim`.
    pub format_file_rss: u32,
    /// `shmem_rss` of `oom:mark_victim`.
    pub format_shmem_rss: u32,
    /// `pgtables` of `oom:mark_victim`.
    pub format_pgtables: u32,
    /// `oom_score_adj` of `oom:mark_victim`.
    pub format_oom_score_adj: u32,
    /// Keeps the size a multiple of eight; zero.
    pub reserved: u32,
}

impl ProbeConfig {
    /// Nothing known: the value in the object file.
    pub const UNKNOWN: Self = Self {
        magic: 0x6c65_616b_7761_7463,
        task_pid: ABSENT,
        task_tgid: ABSENT,
        task_comm: ABSENT,
        task_start_boottime: ABSENT,
        task_group_leader: ABSENT,
        task_exit_code: ABSENT,
        task_signal: ABSENT,
        task_mm: ABSENT,
        task_cgroups: ABSENT,
        signal_live: ABSENT,
        signal_flags: ABSENT,
        signal_group_exit_code: ABSENT,
        signal_oom_score_adj: ABSENT,
        mm_rss_file: ABSENT,
        mm_rss_anon: ABSENT,
        mm_rss_shmem: ABSENT,
        mm_pgtables_bytes: ABSENT,
        css_set_memory: ABSENT,
        css_cgroup: ABSENT,
        css_parent: ABSENT,
        cgroup_kn: ABSENT,
        kernfs_node_id: ABSENT,
        kernfs_node_name: ABSENT,
        memcg_usage: ABSENT,
        memcg_max: ABSENT,
        format_pid: ABSENT,
        format_anon_rss: ABSENT,
        format_file_rss: ABSENT,
        format_shmem_rss: ABSENT,
        format_pgtables: ABSENT,
        format_oom_score_adj: ABSENT,
        reserved: 0,
    };
}
