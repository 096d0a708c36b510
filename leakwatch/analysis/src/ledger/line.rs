//! A line of the ledger: which it is, its size, what it is counted in and where the size comes from.

use crate::model::reading::Missing;
use crate::model::target::ProcessKey;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;

/// A line with its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerLine {
    /// Which line.
    pub kind: LineKind,
    /// What it is counted in.
    pub part_of: PartOf,
    /// Its size.
    pub bytes: Result<Bytes, Absent>,
    /// Where that comes from.
    pub source: LineSource,
}

/// A line of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LineKind {
    /// Anonymous memory of processes.
    Anonymous,
    /// Page cache that can be reclaimed.
    File,
    /// Shared memory and tmpfs.
    Shmem,
    /// Memory of the kernel.
    Kernel,
    /// Buffers of sockets.
    Sockets,
    /// Memory of hugetlbfs.
    Hugetlb,
    /// Go: live heap.
    GoLiveHeap,
    /// Go: garbage, and what was allocated since the last collection.
    GoGarbage,
    /// Go: heap that is free and not returned to the system.
    GoIdleHeap,
    /// Go: stacks of goroutines.
    GoStacks,
    /// Go: what the runtime needs for itself.
    GoMetadata,
    /// Live in a native allocator.
    NativeLive,
    /// Free in a native allocator.
    NativeFree,
    /// Stacks of threads.
    ThreadStacks,
    /// Kernel objects.
    Slab,
    /// Page tables.
    PageTables,
    /// Stacks of threads in the kernel.
    KernelStacks,
    /// Other memory of the kernel.
    KernelOther,
}

impl LineKind {
    /// Its name, stable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::File => "file",
            Self::Shmem => "shmem",
            Self::Kernel => "kernel",
            Self::Sockets => "sockets",
            Self::Hugetlb => "hugetlb",
            Self::GoLiveHeap => "go_live_heap",
            Self::GoGarbage => "go_garbage",
            Self::GoIdleHeap => "go_idle_heap",
            Self::GoStacks => "go_stacks",
            Self::GoMetadata => "go_metadata",
            Self::NativeLive => "native_live",
            Self::NativeFree => "native_free",
            Self::ThreadStacks => "thread_stacks",
            Self::Slab => "slab",
            Self::PageTables => "page_tables",
            Self::KernelStacks => "kernel_stacks",
            Self::KernelOther => "kernel_other",
        }
    }
}

/// What a line is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartOf {
    /// The charge: such lines and the residual add up to it.
    Charge,
    /// Another line.
    Line(LineKind),
    /// The residual: the line belongs to the charge, but its size is not known.
    Residual,
}

/// Why a line has no size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absent {
    /// It could not be read.
    Missing(Missing),
    /// There is no such memory here, and why.
    NotApplicable(&'static str),
}

/// Where a size comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineSource {
    /// A file of the kernel, or what it would take to tell.
    Named(&'static str),
    /// The runtime of a process.
    Runtime {
        /// Which process.
        process: ProcessKey,
        /// When it was read.
        at: Timestamp,
        /// Which of its fields.
        field: &'static str,
    },
    /// A heap profile.
    HeapProfile {
        /// When it was taken.
        at: Timestamp,
    },
}
