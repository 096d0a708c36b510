//! Names of the series that evidence, the API and the metrics page refer to: one vocabulary for all three.

use crate::history::MemoryPoint;
use crate::history::TargetHistory;
use crate::profile::ProfileType;
use crate::runtime::GoRuntimeStats;
use crate::sample::Limit;
use crate::units::Timestamp;

/// A series of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Charge of the cgroup.
    Charge,
    /// Charge minus reclaimable page cache.
    Unreclaimable,
    /// Anonymous memory.
    Anon,
    /// Reclaimable page cache.
    File,
    /// Shared memory and tmpfs.
    Shmem,
    /// Kernel memory.
    Kernel,
    /// Resident memory of all processes.
    Rss,
    /// The limit in force.
    Limit,
    /// Live Go heap by the heap profiles.
    LiveHeap,
    /// Goroutines by the goroutine profiles.
    Goroutines,
    /// Goroutines that the runtime itself proved leaked.
    LeakedGoroutines,
    /// Live Go heap found by the last garbage collection, as the runtime counts it.
    HeapMarked,
    /// Size of the Go heap at which the next garbage collection is to end.
    HeapGoal,
    /// Go heap that is free and not returned to the system.
    IdleHeap,
    /// Stacks of goroutines.
    GoStacks,
    /// All memory that the Go runtime has mapped and not returned.
    GoMapped,
    /// Garbage collections since the process started.
    Collections,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Charge,
        Self::Unreclaimable,
        Self::Anon,
        Self::File,
        Self::Shmem,
        Self::Kernel,
        Self::Rss,
        Self::Limit,
        Self::LiveHeap,
        Self::Goroutines,
        Self::LeakedGoroutines,
        Self::HeapMarked,
        Self::HeapGoal,
        Self::IdleHeap,
        Self::GoStacks,
        Self::GoMapped,
        Self::Collections,
    ];

    /// Name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Charge => "charge_bytes",
            Self::Unreclaimable => "unreclaimable_bytes",
            Self::Anon => "anon_bytes",
            Self::File => "file_bytes",
            Self::Shmem => "shmem_bytes",
            Self::Kernel => "kernel_bytes",
            Self::Rss => "rss_bytes",
            Self::Limit => "limit_bytes",
            Self::LiveHeap => "go_heap_live_bytes",
            Self::Goroutines => "goroutines",
            Self::LeakedGoroutines => "leaked_goroutines",
            Self::HeapMarked => "go_heap_marked_bytes",
            Self::HeapGoal => "go_heap_goal_bytes",
            Self::IdleHeap => "go_idle_heap_bytes",
            Self::GoStacks => "go_stacks_bytes",
            Self::GoMapped => "go_mapped_bytes",
            Self::Collections => "go_collections",
        }
    }

    /// From the wire name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// `bytes`, `goroutines` or `collections`.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Goroutines | Self::LeakedGoroutines => "goroutines",
            Self::Collections => "collections",
            _ => "bytes",
        }
    }

    /// The kept values between two instants, oldest first; `None` where a sample was taken but the value could not be read.
    pub fn values(self, history: &TargetHistory, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Option<u64>)> {
        match self {
            Self::LiveHeap => profile_totals(history, ProfileType::Heap, from, to),
            Self::Goroutines => profile_totals(history, ProfileType::Goroutine, from, to),
            Self::LeakedGoroutines => profile_totals(history, ProfileType::GoroutineLeak, from, to),
            Self::HeapMarked
            | Self::HeapGoal
            | Self::IdleHeap
            | Self::GoStacks
            | Self::GoMapped
            | Self::Collections => history
                .runtimes
                .go()
                .filter(|(at, _)| (from..=to).contains(at))
                .map(|(at, stats)| (at, self.of_go_runtime(stats)))
                .collect(),
            _ => history
                .points
                .since(from)
                .iter()
                .take_while(|point| point.at <= to)
                .map(|point| (point.at, self.of_point(history, point)))
                .collect(),
        }
    }

    fn of_go_runtime(self, stats: &GoRuntimeStats) -> Option<u64> {
        let bytes = match self {
            Self::HeapMarked => stats.heap_marked,
            Self::HeapGoal => stats.heap_goal?,
            Self::IdleHeap => stats.heap_idle,
            Self::GoStacks => stats.stacks,
            Self::GoMapped => stats.mapped_ready,
            Self::Collections => return Some(stats.collections.into()),
            _ => return None,
        };
        Some(bytes.0)
    }

    fn of_point(self, history: &TargetHistory, point: &MemoryPoint) -> Option<u64> {
        let bytes = match self {
            Self::Charge => Some(point.charge),
            Self::Unreclaimable => point.unreclaimable.bytes(),
            Self::Anon => point.anon.bytes(),
            Self::File => point.file.bytes(),
            Self::Shmem => point.shmem.bytes(),
            Self::Kernel => point.kernel.bytes(),
            Self::Rss => point.rss.bytes(),
            Self::Limit => limit_at(history, point.at).bytes(),
            _ => None,
        };
        bytes.map(|bytes| bytes.0)
    }
}

/// A changed limit ends a window, so each window has one.
fn limit_at(history: &TargetHistory, at: Timestamp) -> Limit {
    let past = history.past_windows.iter().find(|window| at <= window.to);
    past.map_or_else(|| history.limit(), |window| window.limit)
}

fn profile_totals(
    history: &TargetHistory,
    profile_type: ProfileType,
    from: Timestamp,
    to: Timestamp,
) -> Vec<(Timestamp, Option<u64>)> {
    let Some(series) = history.snapshots.get(&profile_type) else {
        return Vec::new();
    };
    series
        .as_slice()
        .iter()
        .filter(|snapshot| (from..=to).contains(&snapshot.at))
        .map(|snapshot| {
            let total = match profile_type {
                ProfileType::Goroutine | ProfileType::GoroutineLeak => snapshot.total.inuse_objects,
                _ => snapshot.total.inuse_space,
            };
            (snapshot.at, u64::try_from(total).ok())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_its_own_inverse() {
        for metric in Metric::ALL {
            assert_eq!(Metric::from_name(metric.name()), Some(metric));
        }
        assert_eq!(Metric::from_name("charge"), None);
    }
}
