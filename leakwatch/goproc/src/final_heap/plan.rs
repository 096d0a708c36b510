//! What there will be to read of a process when it is killed.

use crate::attach::GoProcess;
use crate::goroutines::GoroutineBounds;
use crate::goroutines::ListAddress;
use crate::heap::CycleSource;
use crate::layout::GoroutineLayout;
use crate::layout::RecordFormat;
use crate::memory::ReadMemory;

/// What is to be read when a process dies. Addresses are those of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalkPlan {
    /// The list of buckets; `None` where there is no heap profile.
    pub heap: Option<HeapPlan>,
    /// The list of goroutines; `None` where it is not known.
    pub goroutines: Option<GoroutinePlan>,
}

/// Where the heap profile is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapPlan {
    /// Address of `runtime.mbuckets`.
    pub buckets: u64,
    /// The newest bucket that is known, and with it all older ones; zero for none.
    pub newest_known: u64,
    /// The counter of profile cycles, 32 bits.
    pub cycle: CycleSource,
    /// Address of `runtime.MemProfileRate`.
    pub rate: u64,
    /// Layout of the counters.
    pub format: RecordFormat,
}

/// Where the goroutines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoroutinePlan {
    /// The list.
    pub list: ListAddress,
    /// Their fields.
    pub layout: GoroutineLayout,
}

impl<M: ReadMemory> GoProcess<M> {
    /// What is to be read when it dies, by what is known of it now. The heap is known once it has been read.
    pub fn walk_plan(&mut self) -> WalkPlan {
        let goroutines = self.goroutines(GoroutineBounds::default()).ok().map(|goroutines| {
            let source = goroutines.source();
            GoroutinePlan {
                list: source.list,
                layout: source.layout,
            }
        });
        let heap = self.heap_reader().and_then(|reader| {
            let source = reader.source();
            let newest = reader.index().ids().last();
            Some(HeapPlan {
                buckets: source.buckets,
                newest_known: newest.and_then(|id| reader.index().address(id)).unwrap_or(0),
                cycle: source.cycle,
                rate: source.rate,
                format: reader.format().or(source.format)?,
            })
        });
        WalkPlan { heap, goroutines }
    }
}
