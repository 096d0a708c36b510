//! Raw numbers of one target at one instant.

use crate::model::reading::Reading;
use crate::model::target::Process;
use crate::model::target::ProcessKey;
use crate::model::target::TargetId;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;

/// A limit: a number or none. Never a sentinel number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `max` (v2), or a number at or above the machine's memory (v1's way to say so).
    Max,
    /// The tightest limit of the cgroup and its ancestors.
    Bytes(Bytes),
}

impl Limit {
    /// The number, if there is one.
    pub const fn bytes(self) -> Option<Bytes> {
        match self {
            Self::Max => None,
            Self::Bytes(bytes) => Some(bytes),
        }
    }
}

/// Counters of `memory.stat`, in bytes. Hierarchical values (`total_*` on cgroup v1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStat {
    /// v2 `anon`, v1 `total_rss`: anonymous memory, swap cache included on v2.
    pub anon: Bytes,
    /// v2 `file`, v1 `total_cache`: page cache, shmem and tmpfs included.
    pub file: Bytes,
    /// v2 `shmem`, v1 `total_shmem`.
    pub shmem: Bytes,
    /// v2 `active_file`, v1 `total_active_file`. Reclaimable; shmem is not in it.
    pub active_file: Bytes,
    /// v2 `inactive_file`, v1 `total_inactive_file`. Reclaimable; shmem is not in it.
    pub inactive_file: Bytes,
    /// v2 `kernel` (5.18+) or the sum of its parts; v1 `memory.kmem.usage_in_bytes`. Zero where the kernel does not count it.
    pub kernel: Bytes,
    /// v2 `slab_reclaimable`; v1 does not tell.
    pub slab_reclaimable: Bytes,
}

/// Counters of `memory.events` (v2) or `memory.oom_control` and `memory.failcnt` (v1). Monotone for the life of the cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryEvents {
    /// `oom_kill`: processes of this cgroup killed by any OOM killer.
    pub oom_kill: u64,
    /// v2 `max` plus `high`, v1 `memory.failcnt` plus `memory.memsw.failcnt`: times the charge hit a limit.
    pub max: u64,
}

/// The cgroup's side of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupMemory {
    /// v2 `memory.current`, v1 `memory.usage_in_bytes`.
    pub charge: Bytes,
    /// The tightest limit on the way to the root.
    pub limit: Limit,
    /// Swap in use: v2 `memory.swap.current`, v1 `total_swap` of `memory.stat`. As old as `stat`.
    pub swap: Reading<Bytes>,
    /// `memory.stat`. May be older than the rest by a few intervals when the charge did not move.
    pub stat: Reading<MemoryStat>,
    /// OOM and limit events.
    pub events: Reading<MemoryEvents>,
}

impl CgroupMemory {
    /// Charge minus inactive file pages: what Kubernetes and cAdvisor call the working set.
    pub fn working_set(&self) -> Reading<Bytes> {
        self.stat
            .as_ref()
            .map(|stat| self.charge.saturating_sub(stat.inactive_file))
            .map_err(Clone::clone)
    }

    /// Charge minus all page cache that reclaim can drop: what has to fit below the limit for the cgroup to live.
    pub fn unreclaimable(&self) -> Reading<Bytes> {
        self.stat
            .as_ref()
            .map(|stat| {
                self.charge
                    .saturating_sub(stat.inactive_file)
                    .saturating_sub(stat.active_file)
                    .saturating_sub(stat.slab_reclaimable)
            })
            .map_err(Clone::clone)
    }
}

/// Resident memory of one process, from `/proc/PID/statm` and `/proc/PID/status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessMemory {
    /// `VmRSS`: all resident pages.
    pub rss: Bytes,
    /// `RssAnon`.
    pub anon: Bytes,
    /// `RssFile`.
    pub file: Bytes,
    /// `RssShmem`.
    pub shmem: Bytes,
    /// `VmSwap`.
    pub swap: Bytes,
}

/// One process at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessSample {
    /// Which process. Its static facts were announced before as a [`Process`].
    pub key: ProcessKey,
    /// Its memory.
    pub memory: Reading<ProcessMemory>,
}

/// One target at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Which target.
    pub target: TargetId,
    /// When it was read.
    pub at: Timestamp,
    /// The cgroup's numbers.
    pub cgroup: Reading<CgroupMemory>,
    /// Processes seen for the first time in this sample, and those whose facts changed: the program became known, or `exec`
    /// replaced it.
    pub new_processes: Vec<Process>,
    /// All processes in the cgroup now; one that is no longer listed has left or exited.
    pub processes: Vec<ProcessSample>,
}
