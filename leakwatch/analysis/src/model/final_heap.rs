//! What was read of a process while a SIGKILL ended it: read by the kernel in the process's own context, and joined with what
//! was known of it before.

use crate::model::decoded::ProfileContent;
use crate::model::profile::ProfileLoss;
use crate::model::profile::StackValue;
use crate::model::reading::Reading;
use crate::model::target::ProcessKey;
use crate::model::target::TargetId;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// The last of a process.
#[derive(Clone, Debug, PartialEq)]
pub struct FinalState {
    /// When the first of its threads took the signal.
    pub at: Timestamp,
    /// Of which target.
    pub target: TargetId,
    /// Which process.
    pub process: ProcessKey,
    /// Its heap.
    pub heap: Reading<FinalHeap>,
    /// Its goroutines.
    pub goroutines: Reading<FinalGoroutines>,
}

/// The heap profile at the end.
#[derive(Clone, Debug, PartialEq)]
pub struct FinalHeap {
    /// All that was allocated and not freed, garbage included: what filled the memory. None once it is kept elsewhere.
    pub allocated: Option<Arc<ProfileContent>>,
    /// The live heap of the last garbage collection: comparable with snapshots. None once it is kept elsewhere.
    pub retained: Option<Arc<ProfileContent>>,
    /// Buckets (allocations of one size by one stack) that were read and arrived.
    pub buckets: u64,
    /// Buckets that were read and lost on the way.
    pub lost: u64,
    /// Buckets whose counters were not in memory.
    pub unreadable: u64,
    /// Buckets with counters whose stack nobody knows; they are in the profiles, without one.
    pub unknown: u64,
    /// What is in use of those, in `allocated`.
    pub unknown_bytes: Bytes,
    /// Buckets that were known before and that reading did not get to; new ones may be missing beside them.
    pub not_reached: u64,
    /// Buckets that arrived and are in `allocated` at their innermost frame only: there was no room for their stacks in it.
    pub left_out: u64,
    /// What is in use of those.
    pub left_out_bytes: Bytes,
    /// Why something is missing. Never absent when something is.
    pub truncation: Option<TruncationReason>,
    /// How long the process was held up for it.
    pub held_up: Duration,
}

impl FinalHeap {
    /// Whether every bucket is there, with its stack.
    pub const fn is_complete(&self) -> bool {
        self.lost == 0
            && self.unreadable == 0
            && self.unknown == 0
            && self.not_reached == 0
            && self.left_out == 0
            && self.truncation.is_none()
    }

    /// What is missing in it, as its profiles tell it.
    pub fn losses(&self) -> Vec<ProfileLoss> {
        let of_unknown = StackValue {
            inuse_space: i64::try_from(self.unknown_bytes.0).unwrap_or(i64::MAX),
            ..StackValue::default()
        };
        let unknown = ProfileLoss::of(ProfileLoss::WITHOUT_STACK, self.unknown).map(|loss| ProfileLoss {
            value: of_unknown,
            ..loss
        });
        // How many are beyond the cut is not known: one at least.
        let cut = self.truncation.and_then(|_| ProfileLoss::of(ProfileLoss::NOT_READ, 1));
        let lost = ProfileLoss::of(ProfileLoss::LOST, self.lost);
        let unreadable = ProfileLoss::of(ProfileLoss::UNREADABLE, self.unreadable);
        [cut, lost, unreadable, unknown].into_iter().flatten().collect()
    }
}

/// Why something is missing of what a process left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TruncationReason {
    /// It took too long.
    Time,
    /// There were too many buckets.
    Bound,
    /// There was no room for what was read.
    Room,
    /// Something was not in memory.
    Unreadable,
    /// The list of buckets led to something that is no bucket, or to itself.
    Damaged,
    /// The stacks of some buckets are not known.
    Stacks,
    /// There are more stacks than a profile has room for.
    Profile,
}

impl TruncationReason {
    /// All of them. Recordings count on the order: append only.
    pub const ALL: [Self; 7] = [
        Self::Time,
        Self::Bound,
        Self::Room,
        Self::Unreadable,
        Self::Damaged,
        Self::Stacks,
        Self::Profile,
    ];

    /// Name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Bound => "bound",
            Self::Room => "room",
            Self::Unreadable => "unreadable",
            Self::Damaged => "damaged",
            Self::Stacks => "stacks",
            Self::Profile => "profile",
        }
    }
}

/// The goroutines at the end, counted without their stacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinalGoroutines {
    /// The program's own, largest group first.
    pub groups: Vec<GoroutineGroup>,
    /// Goroutines in no group, the runtime's own aside: unreadable, beyond a bound, or lost.
    pub missing: u64,
    /// Why those are.
    pub truncation: Option<TruncationReason>,
    /// How long the process was held up for it.
    pub held_up: Duration,
}

/// Goroutines with the same beginning that do the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoroutineGroup {
    /// How many.
    pub count: u64,
    /// The function they were started with.
    pub function: String,
    /// The function that started them; empty for the first goroutine.
    pub created_by: String,
    /// File of the `go` statement; empty where it is not known.
    pub file: String,
    /// Its line; zero likewise.
    pub line: u32,
    /// What they wait for in Go's words, or `running`, `runnable`, `syscall`.
    pub state: String,
}
