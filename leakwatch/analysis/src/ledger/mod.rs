//! The charge of a cgroup split into lines that add up, each with its source, and the residual: what the lines do not explain.
//!
//! Made of readings only: a line that is not known says why, and is never zero for it.

mod go;
mod line;

pub use line::Absent;
pub use line::LedgerLine;
pub use line::LineKind;
pub use line::LineSource;
pub use line::PartOf;

use crate::history::MemoryPoint;
use crate::history::TargetHistory;
use crate::model::counter::Counter;
use crate::model::reading::Missing;
use crate::model::reading::MissingReason;
use crate::model::reading::Reading;
use crate::model::sample::CgroupMemory;
use crate::model::units::Bytes;

/// The ledger of a cgroup at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// What the kernel charges to the cgroup.
    pub charge: Reading<Bytes>,
    /// The lines.
    pub lines: Vec<LedgerLine>,
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

    fn line(self, bytes: Reading<Bytes>) -> LedgerLine {
        LedgerLine {
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
            charge: point
                .charge
                .bytes()
                .ok_or_else(|| Missing::new(MissingReason::NotYet, "the charge was not read in this sample")),
            lines,
            swap: newest.and_then(|memory| memory.swap()),
        }
    }

    /// The ledger of one sample: what the kernel tells, without the runtimes of its processes.
    pub fn of_sample(memory: &Reading<CgroupMemory>) -> Self {
        let read = |part: fn(&CgroupMemory) -> Reading<Bytes>| memory.as_ref().map_err(Clone::clone).and_then(part);
        let mut lines: Vec<LedgerLine> = Total::ALL
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

fn optional(memory: &Reading<CgroupMemory>) -> impl Iterator<Item = LedgerLine> {
    OPTIONAL.into_iter().map(|(kind, counter, source)| {
        let bytes = counted(memory, counter);
        LedgerLine {
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

fn of_kernel(memory: &Reading<CgroupMemory>) -> Vec<LedgerLine> {
    let mut lines: Vec<LedgerLine> = OF_KERNEL
        .into_iter()
        .map(|(kind, counter, source)| LedgerLine {
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
    lines.push(LedgerLine {
        kind: LineKind::KernelOther,
        part_of: PartOf::Line(LineKind::Kernel),
        bytes: kernel.and_then(|kernel| Ok(kernel.saturating_sub(parts?))),
        source: LineSource::Named("memory.stat: kernel less slab, pagetables and kernel_stack"),
    });
    lines
}

fn unknown() -> impl Iterator<Item = LedgerLine> {
    UNKNOWN.into_iter().map(|(kind, whole, source, why)| LedgerLine {
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

#[cfg(test)]
mod tests;
