//! Raw numbers of one target at one instant.

use crate::model::counter::Counter;
use crate::model::counter::Counters;
use crate::model::reading::Reading;
use crate::model::target::Process;
use crate::model::target::ProcessKey;
use crate::model::target::TargetId;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;
use std::sync::Arc;

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

/// The cgroup's side of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupMemory {
    /// v2 `memory.current`, v1 `memory.usage_in_bytes`.
    pub charge: Bytes,
    /// The tightest limit on the way to the root.
    pub limit: Limit,
    /// Everything else that the kernel counts. As old as the last sample in which the charge moved, 30 s at most; what is in
    /// `memory.pressure`, `memory.numa_stat` and the like, 5 minutes at most.
    pub counters: Counters,
}

/// Who sets what the memory of a cgroup runs into first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitSource {
    /// The cgroup itself has the limit.
    Own,
    /// A cgroup so many levels above it has the limit: all below share it.
    Ancestor(u64),
    /// No limit is set, so there is the memory of the machine.
    Node,
}

impl LimitSource {
    /// Name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Ancestor(_) => "ancestor",
            Self::Node => "node",
        }
    }

    /// In a sentence.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Own => "the limit",
            Self::Ancestor(_) => "the limit that it shares with others",
            Self::Node => "the end of the machine's memory",
        }
    }
}

/// What [`Counter::Kernel`] is the sum of, where the kernel counts only parts (v2 before Linux 5.18).
const KERNEL_PARTS: [Counter; 6] = [
    Counter::KernelStack,
    Counter::PageTables,
    Counter::SecPageTables,
    Counter::PerCpu,
    Counter::Vmalloc,
    Counter::Slab,
];

impl CgroupMemory {
    /// Anonymous memory.
    pub fn anon(&self) -> Reading<Bytes> {
        self.counters.bytes(Counter::Anon)
    }

    /// Page cache that reclaim can drop.
    pub fn reclaimable_file(&self) -> Reading<Bytes> {
        let active = self.counters.bytes(Counter::ActiveFile)?;
        Ok(active.saturating_add(self.counters.bytes(Counter::InactiveFile)?))
    }

    /// Who sets what its memory runs into first; none where that was not found out.
    pub fn limit_source(&self) -> Option<LimitSource> {
        match (self.limit, self.counters.get(Counter::LimitLevels)) {
            (Limit::Bytes(_), Some(0)) => Some(LimitSource::Own),
            (Limit::Bytes(_), Some(levels)) => Some(LimitSource::Ancestor(levels)),
            (Limit::Bytes(_), None) => None,
            (Limit::Max, _) => self.counters.get(Counter::NodeAvailable).map(|_| LimitSource::Node),
        }
    }

    /// How far the memory of the cgroup that cannot be reclaimed may grow: to the limit, less what others below the same limit hold; without a limit by
    /// what the machine has left.
    pub fn ceiling(&self) -> Option<Bytes> {
        let Some(limit) = self.limit.bytes() else {
            let available = self.counters.get(Counter::NodeAvailable).map(Bytes)?;
            return Some(self.unreclaimable().ok()?.saturating_add(available));
        };
        let others = self.counters.get(Counter::LimitOthers).unwrap_or(0);
        Some(limit.saturating_sub(Bytes(others)))
    }

    /// Shared memory and tmpfs.
    pub fn shmem(&self) -> Reading<Bytes> {
        self.counters.bytes(Counter::Shmem)
    }

    /// Memory of the kernel, or the sum of those parts of it that this kernel counts.
    pub fn kernel(&self) -> Reading<Bytes> {
        self.counters.bytes(Counter::Kernel).or_else(|missing| {
            let parts = KERNEL_PARTS.into_iter().filter_map(|part| self.counters.get(part));
            let sum = parts.reduce(u64::saturating_add);
            sum.map(Bytes).ok_or(missing)
        })
    }

    /// Swap in use.
    pub fn swap(&self) -> Reading<Bytes> {
        self.counters.bytes(Counter::Swap)
    }

    /// Processes of this cgroup killed by any OOM killer; those of its descendants too where the kernel does not tell them
    /// apart (v2 before Linux 5.2).
    pub fn oom_kills(&self) -> Reading<u64> {
        self.of_itself(Counter::LocalOomKill, Counter::EventsOomKill)
    }

    /// Times the charge hit a limit, throttling included.
    pub fn limit_hits(&self) -> Reading<u64> {
        let max = self.of_itself(Counter::LocalMax, Counter::EventsMax)?;
        // Why it is missing, as on v1, is nothing to be put in words with every sample.
        let mut high = [Counter::LocalHigh, Counter::EventsHigh].into_iter();
        let high = high.find_map(|counter| self.counters.get(counter));
        // On v1, where both limits are the same, the one on memory and swap is hit first and the other never.
        let memsw = self.counters.get(Counter::MemswMax);
        Ok(max.saturating_add(high.unwrap_or(0)).saturating_add(memsw.unwrap_or(0)))
    }

    fn of_itself(&self, local: Counter, with_descendants: Counter) -> Reading<u64> {
        let local = self.counters.reading(local);
        local.or_else(|missing| self.counters.get(with_descendants).ok_or(missing))
    }

    /// Charge minus inactive file pages: what Kubernetes and cAdvisor call the working set.
    pub fn working_set(&self) -> Reading<Bytes> {
        let inactive = self.counters.bytes(Counter::InactiveFile)?;
        Ok(self.charge.saturating_sub(inactive))
    }

    /// Charge minus all page cache that reclaim can drop: what has to fit below the limit for the cgroup to live.
    pub fn unreclaimable(&self) -> Reading<Bytes> {
        // v1 does not tell how much of the kernel's memory could be given up: then none is taken off.
        let slab = self.counters.get(Counter::SlabReclaimable).unwrap_or(0);
        Ok(self
            .charge
            .saturating_sub(self.reclaimable_file()?)
            .saturating_sub(Bytes(slab)))
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
    pub new_processes: Vec<Arc<Process>>,
    /// All processes in the cgroup now; one that is no longer listed has left or exited.
    pub processes: Vec<ProcessSample>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::counter::CgroupVersion;

    const MIB: u64 = 1 << 20;

    #[test]
    fn memory_grows_to_the_limit_less_what_others_hold_or_to_the_end_of_the_machine() {
        let known = |more: &[(Counter, u64)]| {
            let files = [(Counter::ActiveFile, 10 * MIB), (Counter::InactiveFile, 20 * MIB)];
            Counters::new(Some(CgroupVersion::V2), files.into_iter().chain(more.iter().copied()))
        };
        let memory = |limit: Option<u64>, more: &[(Counter, u64)]| CgroupMemory {
            charge: Bytes::from_mib(100),
            limit: limit.map_or(Limit::Max, |mib| Limit::Bytes(Bytes::from_mib(mib))),
            counters: known(more),
        };
        for (memory, source, ceiling) in [
            (
                memory(Some(512), &[(Counter::LimitLevels, 0)]),
                Some(LimitSource::Own),
                Some(512),
            ),
            (
                memory(
                    Some(512),
                    &[(Counter::LimitLevels, 2), (Counter::LimitOthers, 200 * MIB)],
                ),
                Some(LimitSource::Ancestor(2)),
                Some(312),
            ),
            // A recording of before.
            (memory(Some(512), &[]), None, Some(512)),
            (
                memory(None, &[(Counter::NodeAvailable, 900 * MIB)]),
                Some(LimitSource::Node),
                Some(970),
            ),
            (memory(None, &[]), None, None),
        ] {
            assert_eq!(memory.limit_source(), source, "{memory:?}");
            assert_eq!(memory.ceiling(), ceiling.map(Bytes::from_mib), "{memory:?}");
        }
    }
}
