//! Names of the series that evidence, the API and the metrics page refer to: one vocabulary for all three.

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
