//! What the kernel reported.

use crate::probes::final_heap::FinalHeap;
use leakwatch_analysis::model::event::Loss;
use leakwatch_analysis::model::event::OomKill;
use leakwatch_analysis::model::event::ProcessExit;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::units::Timestamp;

/// What the kernel reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeEvent {
    /// The OOM killer chose a victim.
    OomKill(Box<OomKill>),
    /// A process ended.
    ProcessExit(ProcessExit),
    /// A process executes another program.
    ProcessExec(ProcessExec),
    /// The kernel reclaims memory of a cgroup.
    MemcgReclaim(MemcgReclaim),
    /// A watched process was killed; this was read of its heap.
    FinalHeap(Box<FinalHeap>),
    /// Records were lost.
    Loss(Loss),
}

/// A process executes another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessExec {
    /// Which process.
    pub key: ProcessKey,
    /// Inode of the directory of its memory cgroup.
    pub cgroup_inode: u64,
}

/// The kernel reclaims memory of a cgroup. Reported once per second and cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemcgReclaim {
    /// When.
    pub at: Timestamp,
    /// Inode of the directory of the cgroup whose thread asked for memory; the limit may be an ancestor's.
    pub cgroup_inode: u64,
}
