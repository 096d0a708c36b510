//! The charge of a cgroup split into lines that add up, each with its source, and the residual: what the lines do not explain.
//!
//! Made of readings only: a line that is not known says why, and is never zero for it.

mod go;

use crate::history::MemoryPoint;
use crate::history::TargetHistory;
use crate::model::counter::Counter;
use crate::model::reading::Missing;
use crate::model::reading::MissingReason;
use crate::model::reading::Reading;
use crate::model::sample::CgroupMemory;
use crate::model::target::ProcessKey;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;

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

/// A line with its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which line.
    pub kind: LineKind,
    /// What it is counted in.
    pub part_of: PartOf,
    /// Its size.
    pub bytes: Result<Bytes, Absent>,
    /// Where that comes from.
    pub source: LineSource,
}

/// The ledger of a cgroup at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// What the kernel charges to the cgroup.
    pub charge: Reading<Bytes>,
    /// The lines.
    pub lines: Vec<Line>,
    /// Swap in use; not part of the charge.
    pub swap: Reading<Bytes>,
}

/// A line of the charge that is kept over time.
#[derive(Clone, Copy, Debug)]
pub struct Total {
    /// Which line.
    pub kind: LineKind,
    /// What the kernel calls it.
    pub kernel_name: &'static str,
    source: &'static str,
    at_point: fn(&MemoryPoint) -> Option<Bytes>,
    in_sample: fn(&CgroupMemory) -> Reading<Bytes>,
}

impl Total {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self {
            kind: LineKind::Anonymous,
            kernel_name: "anon",
            source: "memory.stat: anon (v2) or total_rss (v1)",
            at_point: |point| point.anon.bytes(),
            in_sample: CgroupMemory::anon,
        },
        Self {
            kind: LineKind::File,
            kernel_name: "file",
            source: "memory.stat: active_file + inactive_file",
            at_point: |point| point.file.bytes(),
            in_sample: CgroupMemory::reclaimable_file,
        },
        Self {
            kind: LineKind::Shmem,
            kernel_name: "shmem",
            source: "memory.stat: shmem",
            at_point: |point| point.shmem.bytes(),
            in_sample: CgroupMemory::shmem,
        },
        Self {
            kind: LineKind::Kernel,
            kernel_name: "kernel",
            source: "memory.stat: kernel (v2) or memory.kmem.usage_in_bytes (v1)",
            at_point: |point| point.kernel.bytes(),
            in_sample: CgroupMemory::kernel,
        },
    ];

    /// Its size at a kept point.
    pub fn at(self, point: &MemoryPoint) -> Option<Bytes> {
        (self.at_point)(point)
    }

    fn line(self, bytes: Reading<Bytes>) -> Line {
        Line {
            kind: self.kind,
            part_of: PartOf::Charge,
            bytes: bytes.map_err(Absent::Missing),
            source: LineSource::Named(self.source),
        }
    }
}

/// Further parts of the charge that only some kernels count: what is not counted is in the residual.
const OPTIONAL: [(LineKind, Counter, &str); 2] = [
    (LineKind::Sockets, Counter::Sock, "memory.stat: sock"),
    (LineKind::Hugetlb, Counter::Hugetlb, "memory.stat: hugetlb"),
];

/// Parts of the kernel's memory.
const OF_KERNEL: [(LineKind, Counter, &str); 3] = [
    (LineKind::Slab, Counter::Slab, "memory.stat: slab"),
    (LineKind::PageTables, Counter::PageTables, "memory.stat: pagetables"),
    (
        LineKind::KernelStacks,
        Counter::KernelStack,
        "memory.stat: kernel_stack",
    ),
];

/// Parts that nothing tells apart yet: what would.
const UNKNOWN: [(LineKind, LineKind, &str, &str); 3] = [
    (
        LineKind::NativeLive,
        LineKind::Anonymous,
        "allocator probes",
        "this version does not read allocator probes; it is counted in anonymous",
    ),
    (
        LineKind::NativeFree,
        LineKind::Anonymous,
        "allocator probes",
        "this version does not read allocator probes; it is counted in anonymous",
    ),
    (
        LineKind::ThreadStacks,
        LineKind::Anonymous,
        "/proc/PID/smaps",
        "this version does not read /proc/PID/smaps; it is counted in anonymous",
    ),
];

impl Ledger {
    /// The ledger at a kept point. Parts that only the newest sample has are missing in older ones.
    pub fn at_point(history: &TargetHistory, point: &MemoryPoint) -> Self {
        let newest = if point.at == history.newest_at {
            history.newest.clone()
        } else {
            Err(Missing::new(
                MissingReason::Unsupported,
                "it is kept of the newest sample only",
            ))
        };
        let totals = Total::ALL.map(|total| {
            total.line(total.at(point).ok_or_else(|| {
                let now = history.newest.as_ref().map_err(Clone::clone);
                now.and_then(total.in_sample)
                    .err()
                    .unwrap_or_else(|| Missing::new(MissingReason::NotYet, "memory.stat was not read in this sample"))
            }))
        });
        let mut lines = Vec::from(totals);
        lines.extend(optional(&newest));
        lines.extend(go::lines(history, point.at));
        lines.extend(unknown());
        lines.extend(of_kernel(&newest));
        Self {
            charge: Ok(point.charge),
            lines,
            swap: newest.and_then(|memory| memory.swap()),
        }
    }

    /// The ledger of one sample: what the kernel tells, without the runtimes of its processes.
    pub fn of_sample(memory: &Reading<CgroupMemory>) -> Self {
        let read = |part: fn(&CgroupMemory) -> Reading<Bytes>| memory.as_ref().map_err(Clone::clone).and_then(part);
        let mut lines: Vec<Line> = Total::ALL
            .into_iter()
            .map(|total| total.line(read(total.in_sample)))
            .collect();
        lines.extend(optional(memory));
        lines.extend(of_kernel(memory));
        Self {
            charge: read(|memory| Ok(memory.charge)),
            lines,
            swap: read(CgroupMemory::swap),
        }
    }

    /// Charge minus the lines that add up to it; negative when the kernel counts pages twice or the numbers are of different
    /// instants. None when one of them is not known.
    pub fn residual(&self) -> Option<i64> {
        let charge = self.charge.as_ref().ok()?;
        let charged = self.lines.iter().filter(|line| line.part_of == PartOf::Charge);
        let sum = charged
            .map(|line| line.bytes.as_ref().ok())
            .try_fold(Bytes(0), |sum, bytes| bytes.map(|bytes| sum.saturating_add(*bytes)))?;
        let difference = i128::from(charge.0) - i128::from(sum.0);
        Some(i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX }))
    }
}

fn optional(memory: &Reading<CgroupMemory>) -> impl Iterator<Item = Line> {
    OPTIONAL.into_iter().map(|(kind, counter, source)| {
        let bytes = counted(memory, counter);
        Line {
            kind,
            part_of: if bytes.is_ok() {
                PartOf::Charge
            } else {
                PartOf::Residual
            },
            bytes,
            source: LineSource::Named(source),
        }
    })
}

fn of_kernel(memory: &Reading<CgroupMemory>) -> Vec<Line> {
    let mut lines: Vec<Line> = OF_KERNEL
        .into_iter()
        .map(|(kind, counter, source)| Line {
            kind,
            part_of: PartOf::Line(LineKind::Kernel),
            bytes: counted(memory, counter),
            source: LineSource::Named(source),
        })
        .collect();
    let parts: Result<Bytes, Absent> = lines.iter().try_fold(Bytes(0), |sum, line| {
        line.bytes.clone().map(|bytes| sum.saturating_add(bytes))
    });
    let kernel = memory
        .as_ref()
        .map_err(Clone::clone)
        .and_then(CgroupMemory::kernel)
        .map_err(Absent::Missing);
    lines.push(Line {
        kind: LineKind::KernelOther,
        part_of: PartOf::Line(LineKind::Kernel),
        bytes: kernel.and_then(|kernel| Ok(kernel.saturating_sub(parts?))),
        source: LineSource::Named("memory.stat: kernel less slab, pagetables and kernel_stack"),
    });
    lines
}

fn unknown() -> impl Iterator<Item = Line> {
    UNKNOWN.into_iter().map(|(kind, whole, source, why)| Line {
        kind,
        part_of: PartOf::Line(whole),
        bytes: Err(Absent::Missing(Missing::new(MissingReason::Unsupported, why))),
        source: LineSource::Named(source),
    })
}

fn counted(memory: &Reading<CgroupMemory>, counter: Counter) -> Result<Bytes, Absent> {
    memory
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|memory| memory.counters.bytes(counter))
        .map_err(Absent::Missing)
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

#[cfg(test)]
mod tests;
