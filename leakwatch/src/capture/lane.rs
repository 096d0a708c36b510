//! What a lane is, what is asked of it, and the probes that it puts on a process. A request names its lane and the lane reads the request, so
//! that they are in one file.

use crate::capture::budget::cost::ProbeCost;
use crate::capture::budget::measure::HostCost;
use crate::capture::symbolize::profile::StackRow;
use crate::config::CpuBudget;
use crate::probes::allocator::AttachMode;
use crate::probes::allocator::HitCounts;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_nativeproc::allocator::ProbePoint;
use std::time::Duration;

/// Mean bytes between samples at low duty.
const LOW_DUTY_SAMPLE_BYTES: u64 = 1024;
/// How long an automatic capture at low duty is: thirty sampling windows.
const LOW_DUTY_DURATION: Duration = Duration::from_mins(5);

/// One lane.
#[derive(Clone, Copy)]
pub struct Lane {
    /// Name on the wire.
    pub name: &'static str,
    /// The profile that is shown of it.
    pub profile_type: ProfileType,
    /// What its hits are called: those that have the cost of an allocation, and those that have the cost of a release.
    pub hits: [&'static str; 2],
    /// Whether the cost of its hits is measured on the host, which takes a while the first time.
    pub(super) cost_is_measured: bool,
    /// Puts its probes on a process.
    pub(super) attach: fn(&Attachment<'_>) -> Reading<Box<dyn Observer>>,
}

impl PartialEq for Lane {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Lane {}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// What to capture.
#[derive(Clone, Debug, PartialEq)]
pub struct CaptureRequest {
    /// The lane.
    pub lane: &'static Lane,
    /// The target.
    pub target: TargetId,
    /// Its process.
    pub process: ProcessKey,
    /// The process's executable, for the profile.
    pub exe: String,
    /// For how long.
    pub duration: Duration,
    /// Mean bytes between samples; 1 takes every call. For calls of the allocator.
    pub sample_bytes: u64,
    /// Processor time it may cost.
    pub cpu_budget: CpuBudget,
    /// Started by the daemon itself, not by a person.
    pub automatic: bool,
    /// Samples in short windows only, so rarely that the process does not notice, however much its calls cost.
    pub low_duty: bool,
}

impl CaptureRequest {
    /// The same at low duty: in thirty sampling windows, with finer samples in them.
    #[must_use]
    pub fn at_low_duty(self) -> Self {
        Self {
            duration: LOW_DUTY_DURATION,
            sample_bytes: LOW_DUTY_SAMPLE_BYTES,
            low_duty: true,
            ..self
        }
    }

    /// Why an automatic capture ends that would slow the process by such a part.
    pub(super) fn too_slow(&self, slowdown: f64) -> Missing {
        let detail = format!(
            "the process calls its allocator so often that probing each call would slow it by {:.0} %, more than an automatic capture may: it is \
             sampled at low duty instead",
            100.0 * slowdown
        );
        let fix = format!(
            "capture for a while at an overhead of {} % of its processor time: leakwatch capture {}",
            self.cpu_budget.percent, self.target
        );
        Missing::new(MissingReason::TooLarge, detail).with_fix(fix)
    }
}

/// What a lane is told when it is to put its probes on a process.
pub(super) struct Attachment<'a> {
    /// What was asked for.
    pub(super) request: &'a CaptureRequest,
    /// What a hit costs on this host.
    pub(super) host: &'a HostCost,
    /// What the process did before.
    pub(super) activity: Activity,
    /// Waits; true when the capture was told to end meanwhile.
    pub(super) wait: &'a dyn Fn(Duration) -> bool,
}

/// What a process does without probes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Activity {
    /// Share of a processor that it uses.
    pub(super) share: f64,
    /// The part of that which is spent in the kernel, as a share of a processor.
    pub(super) in_kernel: f64,
    /// Minor page faults in a second.
    pub(super) faults_per_second: f64,
}

/// What was counted so far, for a profile of its type; without names yet.
#[derive(Debug)]
pub struct Counted {
    /// The type.
    pub profile_type: ProfileType,
    /// Mean bytes between samples.
    pub period: u64,
    /// The stacks, largest first.
    pub rows: Vec<StackRow>,
    /// Whether there is enough to be worth reading debugging information for, before the end of an automatic capture.
    pub worth_naming: bool,
}

/// Probes on a process while a capture runs.
pub trait Observer {
    /// The functions that are probed, where the lane probes functions.
    fn functions(&self) -> &[ProbePoint] {
        &[]
    }

    /// What a hit costs.
    fn cost(&self, host: &HostCost) -> ProbeCost;

    /// The same probes, where they can be detached for a while.
    fn duty_cycle(&mut self) -> Option<&mut dyn DutyCycle> {
        None
    }

    /// Takes in what is new. To be called several times a second.
    fn poll(&mut self);

    /// Hits and samples so far: `entries` cost as much as an allocation, `frees` as much as a release.
    fn counts(&self) -> HitCounts;

    /// Losses so far, by reason.
    fn losses(&self) -> Vec<(&'static str, u64)>;

    /// Detaches; what was seen can still be read.
    fn detach(&mut self);

    /// What was counted so far.
    fn counted(&mut self) -> Vec<Counted>;
}

/// Probes that can be detached for a while, and whose counts are weighted by the chance of the sampling windows in which they were attached.
pub trait DutyCycle {
    /// How the probes are attached.
    fn attach_mode(&self) -> AttachMode;

    /// Whether they are attached.
    fn is_attached(&self) -> bool;

    /// Part of the time that they were.
    fn duty(&self) -> f64;

    /// How fast the program works while they are, as a part of its speed without them.
    fn set_slowdown_factor(&mut self, factor: f64);

    /// Detaches; what was sampled stands also for the time that now passes.
    fn pause(&mut self);

    /// Attaches again; nothing is counted yet.
    fn resume(&mut self) -> Reading<()>;

    /// A sampling window begins in which what is attached counts, and which had this chance to be one.
    fn open_window(&mut self, chance: f64) -> Reading<()>;

    /// No new objects for the rest of the window: what becomes of those that there are is seen.
    fn follow(&mut self) -> Reading<()>;
}
