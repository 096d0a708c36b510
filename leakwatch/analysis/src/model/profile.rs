//! One profile of one process as analysis sees it: values per interned stack. The lossless form is `pprof`.

pub use crate::model::stack_value::StackValue;

use crate::model::target::ProcessKey;
use crate::model::target::TargetId;
use crate::model::units::Timestamp;
use crate::model::values::Values;
use std::borrow::Cow;
use std::sync::Arc;

/// Profile types of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProfileType {
    /// Go heap: `alloc_objects alloc_space inuse_objects inuse_space`.
    Heap,
    /// Goroutines by stack.
    Goroutine,
    /// Goroutines that the runtime itself proved leaked (Go 1.27+).
    GoroutineLeak,
    /// Calls of the allocator since a capture began: the four sample types of a heap.
    Native,
    /// Memory that became resident since a capture began, by the stack that touched it: `alloc_space space`.
    Growth,
    /// Mappings made since a capture began, by the stack that made them: the four sample types of a heap; the bytes are those that
    /// became resident.
    Mapping,
}

impl ProfileType {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Heap,
        Self::Goroutine,
        Self::GoroutineLeak,
        Self::Native,
        Self::Growth,
        Self::Mapping,
    ];
    /// Those that only a Go program has.
    pub const GO: [Self; 3] = [Self::Heap, Self::Goroutine, Self::GoroutineLeak];

    /// Name on the wire and in `/debug/pprof/NAME`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Heap => "heap",
            Self::Goroutine => "goroutine",
            Self::GoroutineLeak => "goroutineleak",
            Self::Native => "native",
            Self::Growth => "growth",
            Self::Mapping => "mapping",
        }
    }

    /// Whether it counts from the beginning of a capture, and knows nothing of what was before.
    pub const fn is_of_capture(self) -> bool {
        matches!(self, Self::Native | Self::Growth | Self::Mapping)
    }

    /// From the wire name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Where a profile came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProfileSource {
    /// Read in the kernel while the victim died.
    KernelAtDeath,
    /// Read from the process's memory by the daemon.
    Snapshot,
    /// Fetched from the process's own pprof endpoint.
    Endpoint,
    /// Counted by probes while a capture ran.
    Capture,
}

/// What is measured per stack, in pprof's own terms. A query chooses one by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SampleType {
    /// Objects ever allocated.
    AllocObjects,
    /// Bytes ever allocated.
    AllocSpace,
    /// Objects live.
    InuseObjects,
    /// Bytes live.
    InuseSpace,
    /// Bytes resident.
    Space,
    /// Goroutines.
    Goroutine,
}

impl SampleType {
    /// The sample types of a profile type, in the order of Go's profiles.
    pub const fn of(profile_type: ProfileType) -> &'static [Self] {
        match profile_type {
            ProfileType::Heap | ProfileType::Native | ProfileType::Mapping => &[
                Self::AllocObjects,
                Self::AllocSpace,
                Self::InuseObjects,
                Self::InuseSpace,
            ],
            ProfileType::Growth => &[Self::AllocSpace, Self::Space],
            ProfileType::Goroutine | ProfileType::GoroutineLeak => &[Self::Goroutine],
        }
    }

    /// The one shown when none is asked for.
    pub const fn default_of(profile_type: ProfileType) -> Self {
        match profile_type {
            ProfileType::Heap | ProfileType::Native | ProfileType::Mapping => Self::InuseSpace,
            ProfileType::Growth => Self::Space,
            ProfileType::Goroutine | ProfileType::GoroutineLeak => Self::Goroutine,
        }
    }

    /// By name, if the profile type has it.
    pub fn from_name(profile_type: ProfileType, name: &str) -> Option<Self> {
        Self::of(profile_type).iter().copied().find(|kind| kind.name() == name)
    }

    /// Name in pprof and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllocObjects => "alloc_objects",
            Self::AllocSpace => "alloc_space",
            Self::InuseObjects => "inuse_objects",
            Self::InuseSpace => "inuse_space",
            Self::Space => "space",
            Self::Goroutine => "goroutine",
        }
    }

    /// Unit in pprof and in the API.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::AllocSpace | Self::InuseSpace | Self::Space => "bytes",
            Self::AllocObjects | Self::InuseObjects | Self::Goroutine => "count",
        }
    }

    /// This value of a stack.
    pub const fn value(self, values: &StackValue) -> i64 {
        match self {
            Self::AllocObjects => values.alloc_objects,
            Self::AllocSpace => values.alloc_space,
            Self::InuseObjects | Self::Goroutine => values.inuse_objects,
            Self::InuseSpace | Self::Space => values.inuse_space,
        }
    }
}

/// The executable of a profiled process, as pprof names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Its path; empty where it is not known.
    pub file: Arc<str>,
    /// Its build id; likewise.
    pub build_id: Arc<str>,
}

/// Samples of a profile that are not there, or not at their own stack.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileLoss {
    /// Why.
    pub reason: Cow<'static, str>,
    /// How many: buckets of a heap, stacks of a capture, goroutines.
    pub samples: u64,
    /// What they hold, as far as that is known.
    pub value: StackValue,
}

impl ProfileLoss {
    /// There were too many stacks: the values are in the total, at their innermost frame alone.
    pub const FOLDED: &'static str = "stacks_over_bound";
    /// Their memory could not be read.
    pub const UNREADABLE: &'static str = "samples_unreadable";
    /// There are more than are read.
    pub const NOT_READ: &'static str = "samples_over_bound";
    /// One in so many was read and stands for the others.
    pub const SAMPLED: &'static str = "samples_estimated";
    /// Garbage collections ended during each reading: counts may be off by what one of them moved.
    pub const INCONSISTENT: &'static str = "counts_inconsistent";
    /// They were read and lost on the way.
    pub const LOST: &'static str = "samples_lost";
    /// Nobody knows their stacks: they are in the total, without frames.
    pub const WITHOUT_STACK: &'static str = "stacks_unknown";
    /// Small ones were put down to their function, so that the profile can be kept.
    pub const MERGED: &'static str = "small_stacks_merged";

    /// All reasons.
    pub const REASONS: [&'static str; 8] = [
        Self::FOLDED,
        Self::UNREADABLE,
        Self::NOT_READ,
        Self::SAMPLED,
        Self::INCONSISTENT,
        Self::LOST,
        Self::WITHOUT_STACK,
        Self::MERGED,
    ];

    /// `samples` of which is not known what they hold; none if there are none.
    pub fn of(reason: &'static str, samples: u64) -> Option<Self> {
        (samples > 0).then(|| Self {
            reason: reason.into(),
            samples,
            value: StackValue::default(),
        })
    }
}

/// A profile taken at one instant: values by stack, in the stacks of whoever keeps it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Which target.
    pub target: TargetId,
    /// Which process of it.
    pub process: ProcessKey,
    /// What kind of profile.
    pub profile_type: ProfileType,
    /// When it was taken.
    pub at: Timestamp,
    /// Where it came from.
    pub source: ProfileSource,
    /// What each stack holds.
    pub values: Values,
    /// Sum over all stacks.
    pub total: StackValue,
    /// What one sample stands for, as pprof has it.
    pub period: i64,
    /// What was run.
    pub program: Program,
    /// What is missing in it.
    pub losses: Arc<[ProfileLoss]>,
}

impl Snapshot {
    /// Whether nothing is missing.
    pub fn is_complete(&self) -> bool {
        self.losses.is_empty()
    }
}
