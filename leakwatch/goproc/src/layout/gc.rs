//! Where the numbers of the garbage collector lie.

/// Offsets in `runtime.gcControllerState` (runtime/mgcpacer.go). `gcPercent` is at 0, `memoryLimit` at 8 and `heapMinimum`
/// at 16 in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcControllerLayout {
    /// `gcPercentHeapGoal`.
    pub heap_goal: usize,
    /// `heapLive`.
    pub heap_live: usize,
    /// `heapMarked`.
    pub heap_marked: usize,
    /// `heapInUse`.
    pub heap_in_use: usize,
    /// `heapReleased`.
    pub heap_released: usize,
    /// `heapFree`.
    pub heap_free: usize,
    /// `totalAlloc`.
    pub total_alloc: usize,
    /// `totalFree`.
    pub total_free: usize,
    /// `mappedReady`.
    pub mapped_ready: usize,
}

impl GcControllerLayout {
    /// Bytes from the start that hold all fields.
    pub fn size(&self) -> usize {
        self.mapped_ready + 8
    }
}

/// Offsets in `runtime.mstats` (runtime/mstats.go). `heapStats` is at 0 in all of them, and begins with three parts of
/// `heap_stats_stride` bytes that start with `committed`, `released`, `inHeap`, `inStacks` and `inWorkBufs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemstatsLayout {
    /// Size of `heapStatsDelta`.
    pub heap_stats_stride: usize,
    /// `stacks_sys`.
    pub stacks_sys: usize,
    /// `mspan_sys`.
    pub mspan_sys: usize,
    /// `mcache_sys`.
    pub mcache_sys: usize,
    /// `buckhash_sys`.
    pub buckhash_sys: usize,
    /// `gcMiscSys`.
    pub gc_misc_sys: usize,
    /// `other_sys`.
    pub other_sys: usize,
    /// `last_gc_unix`.
    pub last_gc_unix: usize,
    /// `pause_total_ns`.
    pub pause_total_ns: usize,
    /// `pause_end`: 256 times of ends of collections.
    pub pause_end: usize,
    /// `numgc`.
    pub numgc: usize,
    /// `numforcedgc`.
    pub numforcedgc: usize,
}

impl MemstatsLayout {
    /// Bytes from the start that hold all fields.
    pub fn size(&self) -> usize {
        self.numforcedgc + 4
    }
}
