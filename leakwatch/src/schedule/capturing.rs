//! When the daemon captures by itself: only a process that analysis suspects of native growth already, and not again for a while. The
//! calls of the allocator come first; what they do not explain, or cannot be seen of, is looked for in the pages that become resident.

use crate::capture::Capture;
use crate::capture::CaptureState;
use crate::capture::lanes::Lane;
use crate::capture::lanes::growth;
use crate::capture::lanes::native;
use crate::store::view::TargetView;
use leakwatch_analysis::detect::not_enough_data;
use leakwatch_analysis::detect::undersized_limit;
use leakwatch_analysis::detect::warm_up;
use leakwatch_analysis::model::investigation::Answer;
use leakwatch_analysis::model::investigation::StepId;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::units::Timestamp;
use std::time::Duration;

/// Long enough for a profile every few seconds, and for what is freed soon to be freed.
const DURATION: Duration = Duration::from_mins(1);
/// After a capture that said nothing, the next one is this much later.
const REST: Duration = Duration::from_mins(10);
/// The same while the verdict waits for more.
const SHORT_REST: Duration = Duration::from_mins(1);

/// A capture that should be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// Of which process.
    pub(crate) process: ProcessKey,
    /// What is captured.
    pub(crate) lane: &'static Lane,
    /// For short windows only.
    pub(crate) low_duty: bool,
    /// For how long.
    pub(crate) duration: Duration,
}

/// The capture of the target's largest process that is due, if it is suspected and was left alone for long enough. `remembered` are the
/// captures so far, oldest first.
pub(crate) fn due(target: &TargetView, remembered: &[Capture], now: Timestamp) -> Option<Due> {
    if !is_suspect(target) {
        return None;
    }
    let process = target.history.main_process()?.process.key;
    let earlier = remembered
        .iter()
        .rev()
        .find(|capture| capture.request.process == process);
    let (lane, low_duty) = next(earlier, now)?;
    Some(Due {
        process,
        lane,
        low_duty,
        duration: DURATION,
    })
}

/// The lane to capture next, if it is time, and whether at low duty: after the calls of the allocator the pages, without rest; a person's own
/// capture is as good.
fn next(earlier: Option<&Capture>, now: Timestamp) -> Option<(&'static Lane, bool)> {
    let Some(earlier) = earlier else {
        return Some((&native::LANE, false));
    };
    let low_duty = earlier.request.low_duty;
    let told_to_end = earlier.state == CaptureState::Stopped;
    if *earlier.request.lane == native::LANE && !told_to_end {
        let next = match &earlier.state {
            CaptureState::Failed(missing) if missing.reason == MissingReason::TooLarge && !low_duty => {
                (&native::LANE, true)
            }
            _ => (&growth::LANE, low_duty),
        };
        return earlier.has_ended().then_some(next);
    }
    let rest = match &earlier.state {
        CaptureState::Failed(_) | CaptureState::Stopped | CaptureState::OverBudget => REST,
        _ => SHORT_REST,
    };
    let rested = earlier.has_ended() && now.since(earlier.started_at) >= earlier.request.duration + rest;
    rested.then_some((&native::LANE, false))
}

/// Memory outside the Go heap grows, or may do so, and nothing explains it yet.
fn is_suspect(stored: &TargetView) -> bool {
    let Some(investigation) = &stored.investigation else {
        return false;
    };
    let undecided = matches!(
        investigation.verdict.class,
        not_enough_data::CLASS | undersized_limit::CLASS | warm_up::CLASS
    );
    let answer = |id| {
        let step = investigation.steps.iter().find(|step| step.id == id);
        step.map(|step| step.answer)
    };
    // Without a heap profile only the allocator's calls can tell whether it is native memory.
    let untold =
        !stored.history.snapshots.contains_key(&ProfileType::Heap) && answer(StepId::Memory) == Some(Answer::Yes);
    undecided
        && match answer(StepId::Native) {
            Some(Answer::Yes) => true,
            Some(Answer::Unknown) => untold,
            _ => false,
        }
}
