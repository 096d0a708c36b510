//! Things that happened at one instant, as opposed to samples.

use crate::model::killer::Killer;
use crate::model::reading::Reading;
use crate::model::target::CgroupKey;
use crate::model::target::ProcessKey;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;
use std::borrow::Cow;
use std::fmt;

/// Which memory ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OomScope {
    /// A memory cgroup's limit.
    Memcg,
    /// The machine (or a cpuset or memory policy of it).
    Global,
}

/// Memory of an OOM victim when it was chosen: the fields of `oom:mark_victim` that this kernel has (Linux 6.9+ has all).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OomVictim {
    /// Process id (thread group) of the victim.
    pub pid: u32,
    /// Start time, when the kernel record or an earlier sample gave it.
    pub start_ticks: Option<u64>,
    /// Command name.
    pub comm: String,
    /// Anonymous resident memory.
    pub rss_anon: Reading<Bytes>,
    /// File-backed resident memory.
    pub rss_file: Reading<Bytes>,
    /// Resident shared memory.
    pub rss_shmem: Reading<Bytes>,
    /// Page tables.
    pub page_tables: Reading<Bytes>,
    /// `oom_score_adj` in force.
    pub oom_score_adj: Reading<i16>,
    /// The kernel reads its memory while it dies: what it read follows.
    pub read_at_death: bool,
}

/// The task whose allocation found no memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OomTrigger {
    /// Process id (thread group).
    pub pid: u32,
    /// Command name of the thread.
    pub comm: String,
}

/// The memory cgroup whose limit was hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OomMemcg {
    /// The cgroup: the victim's own or an ancestor of it.
    pub cgroup: CgroupKey,
    /// Its limit.
    pub limit: Bytes,
    /// Its charge at the kill.
    pub charge: Bytes,
}

/// One process chosen by the OOM killer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OomKill {
    /// When the victim was marked.
    pub at: Timestamp,
    /// Which memory ran out.
    pub scope: Reading<OomScope>,
    /// Memory cgroup of the victim.
    pub cgroup: Reading<CgroupKey>,
    /// The cgroup whose limit was hit; missing for a global kill.
    pub memcg: Reading<OomMemcg>,
    /// The victim.
    pub victim: OomVictim,
    /// The task that asked for memory.
    pub trigger: OomTrigger,
}

/// A process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessExit {
    /// When.
    pub at: Timestamp,
    /// Which process; the start time is the kernel's own.
    pub key: ProcessKey,
    /// Command name.
    pub comm: String,
    /// Wait status as of `task_struct.exit_code`: low 7 bits signal, 0x80 core dumped, bits 8-15 exit code.
    pub exit_code: Reading<u32>,
    /// Memory cgroup of the process.
    pub cgroup_inode: Option<u64>,
    /// Who sent the SIGKILL that ended it; none if another signal or none did, or if that is not known.
    pub killer: Option<Killer>,
}

impl ProcessExit {
    const SIGKILL: u32 = 9;

    /// Whether a SIGKILL ended it.
    pub fn was_killed(&self) -> bool {
        self.exit_code.as_ref().is_ok_and(|code| code & 0x7f == Self::SIGKILL)
    }
}

/// What loading the configuration again changed, by names of settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigChanges {
    /// With a new value that is in force.
    pub applied: Vec<Cow<'static, str>>,
    /// With a new value that the daemon takes up when it is started again.
    pub need_restart: Vec<Cow<'static, str>>,
}

/// The daemon loaded its configuration again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigReload {
    /// When.
    pub at: Timestamp,
    /// What it changed, or why the configuration before is still in force.
    pub outcome: Result<ConfigChanges, String>,
}

impl ConfigReload {
    /// Whether something of the new configuration is not in force.
    pub fn is_incomplete(&self) -> bool {
        !matches!(&self.outcome, Ok(changes) if changes.need_restart.is_empty())
    }
}

impl fmt::Display for ConfigReload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes = match &self.outcome {
            Err(error) => {
                return write!(
                    f,
                    "the configuration was not loaded, the one before stays in force: {error}"
                );
            }
            Ok(changes) => changes,
        };
        f.write_str("the configuration was loaded")?;
        match changes.applied.join(", ") {
            none if none.is_empty() => f.write_str(", nothing of what is in force has changed")?,
            applied => write!(f, ", changed: {applied}")?,
        }
        match changes.need_restart.join(", ") {
            none if none.is_empty() => Ok(()),
            waiting => write!(f, "; needs a restart: {waiting}"),
        }
    }
}

/// Anything dropped, truncated or stale, counted under one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// When it was noticed.
    pub at: Timestamp,
    /// The reason, in `snake_case`, as the API and the metrics show it.
    pub reason: Cow<'static, str>,
    /// How many.
    pub count: u64,
}
