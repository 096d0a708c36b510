//! What to add up: three answers to "what is on the heap".

use super::bucket::Counts;
use super::bucket::Record;

/// Which allocations count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum View {
    /// As `/debug/pprof/heap` shows it: the live heap of the garbage collection before the last.
    Pprof,
    /// The live heap of the last garbage collection: what is retained. For finding leaks.
    LastGc,
    /// Allocated and not freed so far, garbage included. For explaining what filled the memory.
    Now,
}

impl View {
    /// The counts of one bucket. `cycle` is the profile cycle; `unpublished` says that no bucket has published counts yet,
    /// which `runtime.MemProfile` answers with all there is.
    pub fn counts(self, record: &Record, cycle: u32, unpublished: bool) -> Counts {
        let [first, second, third] = record.future;
        let future = |ahead: u32| match cycle.wrapping_add(ahead) % 3 {
            0 => first,
            1 => second,
            _ => third,
        };
        let all = || record.active.plus(first).plus(second).plus(third);
        match self {
            Self::Now => all(),
            Self::Pprof if unpublished => all(),
            Self::Pprof => record.active.plus(future(0)),
            Self::LastGc => record.active.plus(future(0)).plus(future(1)),
        }
    }
}
