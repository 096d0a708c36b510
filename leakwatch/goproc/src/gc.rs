//! The numbers of the garbage collector: how much is live, how much is wanted, what the runtime holds.
//!
//! From `gcController` and `memstats`, whose layout no patch release has moved; the fields of `runtime.work` did move
//! inside minor releases and are not used. Each reading is checked against what the fields mean.

use crate::layout::GcControllerLayout;
use crate::layout::Layout;
use crate::layout::MemstatsLayout;
use crate::memory::MemoryError;
use crate::memory::ReadMemory;
use crate::memory::u32_at;
use crate::memory::u64_at;

/// `heapMinimum` at GOGC=100 (`defaultHeapMinimum`).
const HEAP_MINIMUM: u64 = 4 << 20;

/// No process has more: the user half of a 48-bit address space.
const MAX_BYTES: u64 = 1 << 47;

/// By how much counters may differ which are changed one after the other.
const SLACK: u64 = 4 << 20;

/// Nanoseconds since 1970 of the years 2001 and 2096: a time outside is none.
const TIMES: std::ops::Range<u64> = 1_000_000_000_000_000_000..4_000_000_000_000_000_000;

/// What the garbage collector knows. All sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcNumbers {
    /// Live heap found by the last collection (`heapMarked`); zero before the first.
    pub heap_marked: u64,
    /// Live heap and what was allocated since (`heapLive`): a slight over-estimate, as it counts whole spans.
    pub heap_live: u64,
    /// Size at which the next collection is to end, by GOGC (`gcPercentHeapGoal`, `MemStats.NextGC`). With a memory limit
    /// in force the collector may aim lower. `None` with GOGC=off.
    pub heap_goal: Option<u64>,
    /// Spans in use (`MemStats.HeapInuse`).
    pub heap_in_use: u64,
    /// Free spans that the runtime keeps (`heapFree`).
    pub heap_free: u64,
    /// Free spans whose memory was returned to the system (`MemStats.HeapReleased`).
    pub heap_released: u64,
    /// Allocated and not yet swept, without what the processors have cached (`MemStats.HeapAlloc`, lagging).
    pub heap_alloc: u64,
    /// Everything that the runtime has mapped and not returned (`mappedReady`): what GOMEMLIMIT counts.
    pub mapped_ready: u64,
    /// Stacks of goroutines (`MemStats.StackInuse`).
    pub stacks_in_use: u64,
    /// What the runtime needs for itself: spans, caches, profile buckets, collector and other.
    pub runtime_metadata: u64,
    /// Collections so far.
    pub collections: u32,
    /// Those of them that the program has asked for.
    pub forced_collections: u32,
    /// End of the last collection, nanoseconds since 1970; `None` before the first.
    pub last_collection: Option<u64>,
    /// Pauses of all collections, in nanoseconds.
    pub pauses: u64,
    /// GOGC in force; `None` when off.
    pub gc_percent: Option<u32>,
    /// GOMEMLIMIT in force; `None` without.
    pub memory_limit: Option<u64>,
}

/// Why there are no numbers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GcError {
    /// The process has ended, or runs another program now.
    #[error("the process has ended or runs another program")]
    Gone,
    /// A variable could not be read.
    #[error("read {what}")]
    Variable {
        /// Which.
        what: &'static str,
        /// Why.
        #[source]
        source: MemoryError,
    },
    /// The fields do not hold what they mean: the layout is not the one of this release.
    #[error("{what} does not hold what it does in Go 1.{minor}")]
    Contradiction {
        /// Which variable.
        what: &'static str,
        /// Whose layout was used.
        minor: u32,
    },
}

/// `gcControllerState`, in a program that allocates.
pub(crate) fn is_controller(bytes: &[u8], layout: &GcControllerLayout) -> bool {
    let size = |offset| u64_at(bytes, offset).filter(|size| *size <= MAX_BYTES);
    let holds = || -> Option<bool> {
        let percent = u32_at(bytes, 0)?.cast_signed();
        let padding = u32_at(bytes, 4)?;
        let limit = u64_at(bytes, 8)?;
        let limited = limit == i64::MAX.cast_unsigned() || (1..=MAX_BYTES).contains(&limit);
        let in_use = size(layout.heap_in_use)?;
        let allocated = u64_at(bytes, layout.total_alloc)?.checked_sub(u64_at(bytes, layout.total_free)?)?;
        // As the runtime computes it, wrapping for -1 (off).
        let minimum = HEAP_MINIMUM.wrapping_mul(i64::from(percent).cast_unsigned()) / 100;
        Some(
            percent >= -1
                && padding == 0
                && limited
                && u64_at(bytes, 16)? == minimum
                && size(layout.heap_live)? > 0
                && size(layout.heap_marked).is_some()
                && size(layout.heap_released).is_some()
                && size(layout.heap_free).is_some()
                // The counters are not changed at the same instant.
                && in_use > 0
                && allocated <= in_use + SLACK
                && in_use <= size(layout.mapped_ready)? + SLACK,
        )
    };
    holds() == Some(true)
}

/// `mstats`, after at least one collection.
pub(crate) fn is_memstats(bytes: &[u8], layout: &MemstatsLayout) -> bool {
    let holds = || -> Option<bool> {
        let last = u64_at(bytes, layout.last_gc_unix).filter(|last| TIMES.contains(last))?;
        let collections = u32_at(bytes, layout.numgc)?;
        let slot = usize::try_from(collections.wrapping_sub(1) % 256).ok()?;
        Some(
            collections > 0
                && u32_at(bytes, layout.numforcedgc)? <= collections
                && u64_at(bytes, layout.pause_end + slot * 8)? == last,
        )
    };
    holds() == Some(true)
}

/// `mstats`, before the first collection: like much else, so that it is no use for finding it.
fn is_fresh(bytes: &[u8], layout: &MemstatsLayout) -> bool {
    let words = [
        layout.last_gc_unix,
        layout.pause_total_ns,
        layout.pause_end,
        layout.numgc,
    ];
    // The last one holds `numgc` and `numforcedgc`.
    words.iter().all(|offset| u64_at(bytes, *offset) == Some(0))
}

/// Reads all numbers at once.
pub(crate) fn read<M: ReadMemory + ?Sized>(
    memory: &M,
    controller: u64,
    memstats: u64,
    layout: &Layout,
) -> Result<GcNumbers, GcError> {
    /// A collection that ends while we read is over soon.
    const ATTEMPTS: usize = 3;
    let variable = |what| {
        move |source| match source {
            MemoryError::Gone => GcError::Gone,
            source => GcError::Variable { what, source },
        }
    };
    let mut contradiction = "runtime.gcController";
    for _ in 0..ATTEMPTS {
        let controller = memory
            .read_vec(controller, layout.gc_controller.size())
            .map_err(variable("runtime.gcController"))?;
        let memstats = memory
            .read_vec(memstats, layout.memstats.size())
            .map_err(variable("runtime.memstats"))?;
        if !is_controller(&controller, &layout.gc_controller) {
            contradiction = "runtime.gcController";
            continue;
        }
        contradiction = "runtime.memstats";
        if !is_memstats(&memstats, &layout.memstats) && !is_fresh(&memstats, &layout.memstats) {
            continue;
        }
        if let Some(numbers) = decode(&controller, &memstats, layout) {
            return Ok(numbers);
        }
    }
    Err(GcError::Contradiction {
        what: contradiction,
        minor: layout.minor,
    })
}

/// `heapStatsDelta.inHeap`.
const IN_HEAP: usize = 16;
/// `heapStatsDelta.inStacks`.
const IN_STACKS: usize = 24;

/// `None` where the fields contradict each other.
fn decode(controller: &[u8], memstats: &[u8], layout: &Layout) -> Option<GcNumbers> {
    let (fields, stats) = (&layout.gc_controller, &layout.memstats);
    let field = |offset| u64_at(controller, offset);
    let stat = |offset| u64_at(memstats, offset);
    // Three parts which only make sense together: one may be negative.
    let summed = |offset: usize| {
        let parts = [0, 1, 2].map(|part| stat(part * stats.heap_stats_stride + offset));
        let [first, second, third] = parts;
        let sum = first?.wrapping_add(second?).wrapping_add(third?);
        (sum <= MAX_BYTES).then_some(sum)
    };
    let heap_in_use = field(fields.heap_in_use)?;
    // Both count the spans in use; they are not changed at the same instant.
    if summed(IN_HEAP)?.abs_diff(heap_in_use) > heap_in_use / 4 + SLACK {
        return None;
    }
    let gc_percent = u32_at(controller, 0)?;
    let memory_limit = field(8)?;
    let metadata = [
        stats.mspan_sys,
        stats.mcache_sys,
        stats.buckhash_sys,
        stats.gc_misc_sys,
        stats.other_sys,
    ];
    let mut runtime_metadata = 0_u64;
    for offset in metadata {
        runtime_metadata = runtime_metadata.checked_add(stat(offset)?)?;
    }
    if runtime_metadata > MAX_BYTES {
        return None;
    }
    let gc_percent = u32::try_from(gc_percent.cast_signed()).ok();
    Some(GcNumbers {
        heap_marked: field(fields.heap_marked)?,
        heap_live: field(fields.heap_live)?,
        heap_goal: field(fields.heap_goal)?
            .le(&MAX_BYTES)
            .then_some(field(fields.heap_goal)?),
        heap_in_use,
        heap_free: field(fields.heap_free)?,
        heap_released: field(fields.heap_released)?,
        heap_alloc: field(fields.total_alloc)?.checked_sub(field(fields.total_free)?)?,
        mapped_ready: field(fields.mapped_ready)?,
        stacks_in_use: summed(IN_STACKS)?,
        runtime_metadata,
        collections: u32_at(memstats, stats.numgc)?,
        forced_collections: u32_at(memstats, stats.numforcedgc)?,
        last_collection: Some(stat(stats.last_gc_unix)?).filter(|time| *time != 0),
        pauses: stat(stats.pause_total_ns)?,
        gc_percent,
        memory_limit: (memory_limit != i64::MAX.cast_unsigned()).then_some(memory_limit),
    })
}
