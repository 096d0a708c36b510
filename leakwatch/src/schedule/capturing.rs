//! When the daemon captures by itself: only a process that analysis suspects of native growth already, and not again for a while. The
//! calls of the allocator come first; what they do not explain, or cannot be seen of, is looked for in the pages that become resident.

use crate::capture::Capture;
use crate::capture::CaptureState;
use crate::capture::lanes::Lane;
use crate::capture::lanes::growth;
use crate::capture::lanes::native;
use crate::store::view::TargetView;
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
    let of_process = remembered
        .iter()
        .rev()
        .find(|capture| capture.request.process == process);
    let earlier = of_process.map(|capture| Earlier {
        lane: capture.request.lane,
        low_duty: capture.request.low_duty,
        duration: capture.request.duration,
        started_at: capture.started_at,
        state: &capture.state,
    });
    let (lane, low_duty) = next(earlier.as_ref(), now)?;
    Some(Due {
        process,
        lane,
        low_duty,
        duration: DURATION,
    })
}

/// The newest capture of a process, whoever asked for it: a person's own is as good.
struct Earlier<'a> {
    lane: &'static Lane,
    low_duty: bool,
    duration: Duration,
    started_at: Timestamp,
    state: &'a CaptureState,
}

/// The lane to capture next, if it is time, and whether at low duty: after the calls of the allocator the pages, without rest.
fn next(earlier: Option<&Earlier<'_>>, now: Timestamp) -> Option<(&'static Lane, bool)> {
    let Some(earlier) = earlier else {
        return Some((&native::LANE, false));
    };
    if !earlier.state.is_end() {
        return None;
    }
    if *earlier.lane == native::LANE && *earlier.state != CaptureState::Stopped {
        return Some(match earlier.state {
            CaptureState::Failed(missing) if missing.reason == MissingReason::TooLarge && !earlier.low_duty => {
                (&native::LANE, true)
            }
            _ => (&growth::LANE, earlier.low_duty),
        });
    }
    let rest = match earlier.state {
        CaptureState::Failed(_) | CaptureState::Stopped | CaptureState::OverBudget => REST,
        _ => SHORT_REST,
    };
    let rested = now.since(earlier.started_at) >= earlier.duration + rest;
    rested.then_some((&native::LANE, false))
}

/// Memory outside the Go heap grows, or may do so, and nothing explains it yet.
fn is_suspect(stored: &TargetView) -> bool {
    let Some(investigation) = &stored.investigation else {
        return false;
    };
    if !investigation.verdict.class.is_open() || investigation.verdict.profile.is_some() {
        return false;
    }
    let answer = |id| {
        let step = investigation.steps.iter().find(|step| step.id == id);
        step.map(|step| step.answer)
    };
    // Without a heap profile only the allocator's calls can tell whether it is native memory.
    let untold =
        || !stored.history.snapshots.contains_key(&ProfileType::Heap) && answer(StepId::Memory) == Some(Answer::Yes);
    match answer(StepId::Native) {
        Some(Answer::Yes) => true,
        Some(Answer::Unknown) => untold(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::lanes::usdt;
    use leakwatch_analysis::model::reading::Missing;

    #[test]
    fn pages_follow_the_calls_of_the_allocator_and_then_there_is_rest() {
        let failed = |reason| CaptureState::Failed(Missing::new(reason, "in this test"));
        let (native, growth): (&'static Lane, &'static Lane) = (&native::LANE, &growth::LANE);
        let usdt = &usdt::LANE;
        let (short, long) = (119, 659);
        for (lane, low_duty, state, seconds, expected) in [
            (native, false, CaptureState::Starting, 10_000, None),
            (growth, false, CaptureState::Running, 10_000, None),
            // The calls cost too much: at low duty, and if that fails too, the pages.
            (native, false, failed(MissingReason::TooLarge), 0, Some((native, true))),
            (native, true, failed(MissingReason::TooLarge), 0, Some((growth, true))),
            (
                native,
                false,
                failed(MissingReason::Unsupported),
                0,
                Some((growth, false)),
            ),
            (native, false, CaptureState::Done, 0, Some((growth, false))),
            (native, true, CaptureState::OverBudget, 0, Some((growth, true))),
            // A person ended it: nothing follows for a while.
            (native, false, CaptureState::Stopped, long, None),
            (native, false, CaptureState::Stopped, long + 1, Some((native, false))),
            (growth, true, CaptureState::Done, short, None),
            (growth, true, CaptureState::Done, short + 1, Some((native, false))),
            (growth, false, CaptureState::OverBudget, long, None),
            (
                growth,
                false,
                failed(MissingReason::Failed),
                long + 1,
                Some((native, false)),
            ),
            (usdt, false, CaptureState::Done, short + 1, Some((native, false))),
        ] {
            let started_at = Timestamp::from_unix_seconds(1_000);
            let earlier = Earlier {
                lane,
                low_duty,
                duration: DURATION,
                started_at,
                state: &state,
            };
            let found = next(Some(&earlier), started_at.plus(Duration::from_secs(seconds)));
            assert_eq!(found, expected, "{lane:?} {low_duty} {state:?} {seconds}");
        }
        assert_eq!(next(None, Timestamp::default()), Some((native, false)));
    }
}
