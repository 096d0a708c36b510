//! What is kept of an OOM kill: the kernel's record, joined with the last that was known of the target.

use leakwatch_analysis::model::event::OomKill;
use leakwatch_analysis::model::final_heap::FinalState;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::sample::CgroupMemory;
use leakwatch_analysis::model::sample::ProcessMemory;
use leakwatch_analysis::model::stack::StackTable;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::verdict::Verdict;
use std::sync::Arc;
use std::time::Duration;

/// A process that shared the cgroup with the victim.
#[derive(Clone, Debug)]
pub struct OtherProcess {
    /// Identity.
    pub key: ProcessKey,
    /// Command name.
    pub comm: String,
    /// Memory in the last sample before the kill.
    pub memory: Reading<ProcessMemory>,
}

/// The post-mortem of one OOM kill. Complete in itself: it survives the target's own history.
#[derive(Clone, Debug)]
pub struct PostMortem {
    /// Opaque id.
    pub id: String,
    /// The kernel's record.
    pub kill: OomKill,
    /// The target, when its cgroup was known.
    pub target: Option<TargetId>,
    /// Time between the last sample and the kill.
    pub last_sample_age: Option<Duration>,
    /// The cgroup's numbers in that sample.
    pub last_memory: Reading<CgroupMemory>,
    /// Who else was in the cgroup.
    pub other_processes: Vec<OtherProcess>,
    /// The newest profile of the victim of each type, at most one each.
    pub profiles: Vec<Snapshot>,
    /// Their stacks, shared with all targets.
    pub stacks: Arc<StackTable>,
    /// The verdict on what was known when it died.
    pub verdict: Option<Verdict>,
    /// What the kernel read of the victim while it died; its profiles are among `profiles`.
    pub final_state: Option<FinalState>,
    /// The kernel read the victim, and that has not arrived yet: profiles and verdict are not the last word.
    pub awaits_final_state: bool,
    /// A person wants it kept beyond the bounds of age and size.
    pub pinned: bool,
}

impl PostMortem {
    /// Pinned ones at most: what they take counts towards the bounds of the store.
    pub const MOST_PINNED: usize = 32;
}
