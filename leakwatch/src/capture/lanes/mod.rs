//! The lanes that captures have: ways of seeing allocations from outside. Each is one row of [`LANES`] and one file here; what runs a capture
//! knows no lane by name.

pub mod native;
pub mod growth;
pub mod usdt;

use crate::capture::CaptureRequest;
use crate::capture::budget::cost::ProbeCost;
use crate::capture::budget::measure::HostCost;
use crate::capture::symbolize::profile::StackRow;
use crate::probes::allocator::AttachMode;
use crate::probes::allocator::HitCounts;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_nativeproc::allocator::ProbePoint;
use std::time::Duration;

/// All of them.
pub static LANES: [&Lane; 3] = [&native::LANE, &growth::LANE, &usdt::LANE];

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

impl Lane {
    /// The lane with this name on the wire.
    pub fn from_name(name: &str) -> Option<&'static Self> {
        LANES.into_iter().find(|lane| lane.name == name)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_is_documented_and_found_by_its_name() {
        let documented = include_str!("../../../../docs/native.md");
        for lane in LANES {
            assert_eq!(Lane::from_name(lane.name), Some(lane));
            assert!(documented.contains(&format!("`{}`", lane.name)), "{lane:?}");
        }
        assert_eq!(Lane::from_name("heap"), None);
    }
}
