//! Where the fields of the runtime's structures are, by minor release of Go: what moved between them.
//!
//! The table comes from the debug information of each release (`cargo xtask goproc-layouts`). It is an expectation, not
//! the truth: memory must confirm it at every attach, and what memory contradicts is refused.

mod table;

use crate::goroutines::GoroutineLayout;
use crate::heap::RecordFormat;

/// The layout of one minor release on amd64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `27` for Go 1.27.
    pub minor: u32,
    /// `runtime.g`.
    pub goroutine: GoroutineLayout,
    /// `runtime.memRecord`.
    pub record: RecordFormat,
    /// `runtime.moduledata.gofunc`: start of the inline trees.
    pub gofunc: usize,
    /// `runtime.gcControllerState`.
    pub gc_controller: GcControllerLayout,
    /// `runtime.mstats`.
    pub memstats: MemstatsLayout,
}

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

impl Layout {
    /// The layout of a minor release; `None` for one that the table does not have.
    pub fn of(minor: u32) -> Option<&'static Self> {
        table::TABLE.iter().find(|layout| layout.minor == minor)
    }

    /// All known layouts, oldest first.
    pub fn all() -> &'static [Self] {
        table::TABLE
    }
}

/// The minor release in a version as the linker records it: `go1.27.3`, `go1.27rc1`, `go1.24.11 X:nocoverageredesign`,
/// `devel go1.28-0123abcd Thu ...`, or with the suffix of a distribution. `None` where it does not say.
pub fn minor_release(version: &str) -> Option<u32> {
    let version = version.strip_prefix("devel ").unwrap_or(version);
    let rest = version.strip_prefix("go1.")?;
    let digits = rest.split(|character: char| !character.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_tell_their_minor_release() {
        let cases = [
            ("go1.27.3", Some(27)),
            ("go1.27", Some(27)),
            ("go1.27rc1", Some(27)),
            ("go1.24.11 X:nocoverageredesign", Some(24)),
            ("devel go1.28-0123abcd Thu Nov 12 10:00:00 2026 +0000", Some(28)),
            ("go1.19.8-debian", Some(19)),
            ("devel +0123abcd", None),
            ("go2.1", None),
            ("go1.", None),
            ("go1.99999999999", None),
            ("", None),
        ];
        for (version, minor) in cases {
            assert_eq!(minor_release(version), minor, "{version}");
        }
    }

    #[test]
    fn the_table_is_in_order_and_without_gaps() {
        let minors: Vec<_> = Layout::all().iter().map(|layout| layout.minor).collect();
        assert_eq!(minors, (19..=27).collect::<Vec<_>>());
        assert_eq!(Layout::of(18), None);
        assert_eq!(Layout::of(28), None);
    }
}
