//! Every way a datum can be lost in the kernel. Indices of the per-CPU array `LOSSES`.

/// Why a datum was lost in the kernel.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossReason {
    /// `OOM_EVENTS` had no room: an OOM kill went unreported.
    OomRingFull = 0,
    /// `EXIT_EVENTS` had no room: a process exit went unreported.
    ExitRingFull = 1,
    /// A read of kernel memory faulted: a record has a fact less.
    KernelReadFault = 2,
    /// The victim's cgroup has more ancestors than a record holds.
    MemcgTooDeep = 3,
    /// `EXEC_EVENTS` had no room: a process is found by the next round instead.
    ExecRingFull = 4,
    /// `FINAL_HEAP_EVENTS` had no room: buckets of a victim are missing.
    FinalHeapRingFull = 5,
    /// `GOROUTINES` had no room: goroutines of a victim are in no group.
    GoroutineGroupsFull = 6,
    /// `RECLAIM_EVENTS` had no room: a cgroup under pressure is noticed by the next round instead.
    ReclaimRingFull = 7,
}

impl LossReason {
    /// All reasons, in the order of their indices.
    pub const ALL: [Self; 8] = [
        Self::OomRingFull,
        Self::ExitRingFull,
        Self::KernelReadFault,
        Self::MemcgTooDeep,
        Self::ExecRingFull,
        Self::FinalHeapRingFull,
        Self::GoroutineGroupsFull,
        Self::ReclaimRingFull,
    ];
    /// Number of reasons: the size of the array.
    pub const COUNT: u32 = 8;

    /// Index in the array.
    pub const fn index(self) -> u32 {
        self as u32
    }
}
