//! What is kept of a target at each instant. A number on disk keeps its meaning for ever: append only.

use leakwatch_analysis::model::metric::Metric;

/// A column of a block of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Column {
    /// Charge of the cgroup.
    Charge = 0,
    /// Charge minus reclaimable page cache.
    Unreclaimable = 1,
    /// Anonymous memory.
    Anon = 2,
    /// Reclaimable page cache.
    File = 3,
    /// Shared memory and tmpfs.
    Shmem = 4,
    /// Kernel memory.
    Kernel = 5,
    /// Resident memory of all processes.
    Rss = 6,
    /// The limit; missing where there is none.
    Limit = 7,
    /// Live heap by the heap profiles.
    LiveHeap = 8,
    /// Goroutines by the goroutine profiles.
    Goroutines = 9,
    /// Goroutines that are proved leaked.
    LeakedGoroutines = 10,
    /// Live heap of the last garbage collection.
    HeapMarked = 11,
    /// Where the next collection is to end.
    HeapGoal = 12,
    /// Free heap that the runtime keeps.
    IdleHeap = 13,
    /// Stacks of goroutines.
    GoStacks = 14,
    /// All that the runtime has mapped.
    GoMapped = 15,
    /// Garbage collections so far.
    Collections = 16,
    /// Swap in use.
    Swap = 17,
    /// Slab of the kernel.
    Slab = 18,
    /// Socket buffers.
    Sock = 19,
    /// Page tables.
    PageTables = 20,
    /// Kernel stacks.
    KernelStack = 21,
    /// Live heap and what was allocated since.
    HeapLive = 22,
    /// Spans in use.
    HeapInUse = 23,
    /// Free spans returned to the system.
    HeapReleased = 24,
    /// What the runtime needs for itself.
    GoMetadata = 25,
    /// GOGC in force; missing when off.
    GcPercent = 26,
    /// GOMEMLIMIT in force.
    GoMemoryLimit = 27,
    /// Bytes ever allocated, by the heap profiles: the work done.
    Allocated = 28,
    /// Processes in the cgroup.
    Processes = 29,
    /// Times that the charge hit a limit.
    LimitHits = 30,
}

impl Column {
    /// How many there are.
    pub const COUNT: usize = 31;

    /// Number on disk, and place in a row.
    pub const fn number(self) -> usize {
        self as usize
    }

    /// The column that a metric of the API is kept in.
    pub const fn of(metric: Metric) -> Self {
        match metric {
            Metric::Charge => Self::Charge,
            Metric::Unreclaimable => Self::Unreclaimable,
            Metric::Anon => Self::Anon,
            Metric::File => Self::File,
            Metric::Shmem => Self::Shmem,
            Metric::Kernel => Self::Kernel,
            Metric::Rss => Self::Rss,
            Metric::Limit => Self::Limit,
            Metric::LiveHeap => Self::LiveHeap,
            Metric::Goroutines => Self::Goroutines,
            Metric::LeakedGoroutines => Self::LeakedGoroutines,
            Metric::HeapMarked => Self::HeapMarked,
            Metric::HeapGoal => Self::HeapGoal,
            Metric::IdleHeap => Self::IdleHeap,
            Metric::GoStacks => Self::GoStacks,
            Metric::GoMapped => Self::GoMapped,
            Metric::Collections => Self::Collections,
        }
    }
}
