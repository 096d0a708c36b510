//! A capture: what was asked for, and how far it is.

use crate::capture::lane::CaptureRequest;
use crate::probes::allocator::AttachMode;
use crate::probes::allocator::HitCounts;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_nativeproc::allocator::ProbePoint;
use std::sync::Arc;
use std::time::Duration;

/// How far a capture is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaptureState {
    /// Looks for the allocator and attaches.
    Starting,
    /// Attached.
    Running,
    /// Ended as planned.
    Done,
    /// Ended by a person or with the daemon.
    Stopped,
    /// Ended early: a burst of calls was over budget.
    OverBudget,
    /// Could not be done, or not to its end.
    Failed(Missing),
}

/// One capture.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Its id.
    pub id: String,
    /// What was asked for.
    pub request: CaptureRequest,
    /// How far it is.
    pub state: CaptureState,
    /// When it was asked for.
    pub started_at: Timestamp,
    /// Time since it was attached first.
    pub running: Duration,
    /// Part of that time that the probes were attached.
    pub duty: f64,
    /// Whether they are attached now.
    pub attached: bool,
    /// Times that they were attached.
    pub windows: u64,
    /// How they are attached.
    pub attach_mode: Option<AttachMode>,
    /// Hits and samples.
    pub counts: HitCounts,
    /// Processor time it has cost the process, by the cost of a hit.
    pub overhead: Duration,
    /// The most that it may have cost by now.
    pub allowance: Duration,
    /// Processor time that the process has used since it was attached first.
    pub used: Duration,
    /// Share of a processor that the process used before.
    pub share: f64,
    /// The functions that are probed.
    pub functions: Arc<[ProbePoint]>,
    /// Distinct stacks.
    pub stacks: usize,
    /// Losses by reason.
    pub losses: Vec<(&'static str, u64)>,
    /// Addresses of code without a name, by reason.
    pub unnamed: Vec<(&'static str, u64)>,
    pub(super) stop: bool,
}

impl Capture {
    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.state.is_end()
    }
}

impl CaptureState {
    /// Whether a capture that is so far has ended.
    pub(crate) const fn is_end(&self) -> bool {
        !matches!(self, Self::Starting | Self::Running)
    }
}
