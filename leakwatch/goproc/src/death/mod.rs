//! The heap and the goroutines of a process as somebody else read them at its death: the kernel, in the context of the victim,
//! when no other could any more.
//!
//! A [`WalkPlan`] says beforehand what there is to read; a [`Walk`] is what was read. It names buckets by their address. Stacks
//! of buckets that were known before are those of the [`crate::heap::BucketIndex`], the others came with the walk.

mod heap;
mod goroutines;

pub use goroutines::WalkedGroup;
pub use heap::BucketAtDeath;
pub use heap::HeapAtDeath;
pub use heap::WalkedBucket;

use crate::attach::GoProcess;
use crate::goroutines::GoroutineBounds;
use crate::goroutines::GoroutineLayout;
use crate::goroutines::ListAddress;
use crate::heap::CycleSource;
use crate::heap::RecordFormat;
use crate::memory::ReadMemory;
use std::time::Duration;

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
    /// The newest bucket whose stack is known, and with it those of all older ones; zero for none.
    pub newest_known: u64,
    /// Address of the counter of profile cycles, 32 bits.
    pub cycle: u64,
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

/// Why a walk did not get to the end of the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// It took too long.
    Time,
    /// There were too many buckets.
    Bound,
    /// There was no room for what was read.
    Room,
    /// The list leads to where nothing can be read.
    Unreadable,
    /// The list leads to something that is no bucket, or to itself.
    Damaged,
}

impl Cut {
    /// In the words of the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Bound => "bound",
            Self::Room => "room",
            Self::Unreadable => "unreadable",
            Self::Damaged => "damaged",
        }
    }
}

/// What was read of one victim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// The buckets, newest first as far as they came.
    pub buckets: Vec<WalkedBucket>,
    /// Stacks of the new ones.
    pub stacks: Vec<u64>,
    /// Whether there was a heap to read.
    pub has_heap: bool,
    /// The counter of profile cycles as it was in memory.
    pub cycle: u32,
    /// `runtime.MemProfileRate`.
    pub rate: u64,
    /// Why it ended before the last bucket, when it did.
    pub cut: Option<Cut>,
    /// Buckets that were read and got lost on the way.
    pub lost: u64,
    /// Buckets whose counters were not in memory.
    pub unreadable: u64,
    /// How long the victim was held up for its heap.
    pub heap_time: Duration,
    /// Its goroutines, those of the runtime included.
    pub groups: Vec<WalkedGroup>,
    /// Goroutines that are in no group: unreadable, beyond a bound, or lost.
    pub goroutines_missing: u64,
    /// How long it was held up for its goroutines.
    pub goroutine_time: Duration,
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
                cycle: match source.cycle {
                    CycleSource::Profile(address) | CycleSource::Collections(address) => address,
                },
                rate: source.rate,
                format: reader.format().or(source.format)?,
            })
        });
        WalkPlan { heap, goroutines }
    }
}

#[cfg(test)]
mod tests;
