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
use leakwatch_analysis::model::reading::Missing;
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
/// Each capture of the pages after which nothing explains the growth doubles it, up to this.
const LONGEST_REST: Duration = Duration::from_hours(1);

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

/// The capture of the target's main process that is due, if it is suspected and was left alone for long enough. `remembered` are the
/// captures so far, oldest first.
pub(crate) fn due(target: &TargetView, remembered: &[Capture], now: Timestamp) -> Option<Due> {
    if !is_suspect(target) {
        return None;
    }
    let process = target.history.main_process()?.process.key;
    let exe = target.history.main_process()?.process.exe.as_ref().ok();
    let id = target.history.target.id();
    let of_process = || {
        remembered
            .iter()
            .rev()
            .filter(move |capture| capture.request.process == process)
    };
    let earlier = of_process().next().map(|capture| Earlier {
        lane: capture.request.lane,
        low_duty: capture.request.low_duty,
        duration: capture.request.duration,
        started_at: capture.started_at,
        state: &capture.state,
        in_vain: of_process()
            .filter(|capture| *capture.request.lane == growth::LANE)
            .count(),
    });
    let has_no_allocator = remembered.iter().any(|capture| {
        let request = &capture.request;
        // Another container may have another program at the same path.
        let is_same_program = request.target == id && Some(&request.exe) == exe;
        (request.process == process || is_same_program) && is_refused(capture)
    });
    let (lane, low_duty) = next(earlier.as_ref(), has_no_allocator, now)?;
    Some(Due {
        process,
        lane,
        low_duty,
        duration: DURATION,
    })
}

/// Whether the calls of the program's allocator cannot be seen, however often it is tried: it has none that is known (a Go program that is
/// linked statically), or nothing is there to probe.
fn is_refused(capture: &Capture) -> bool {
    let is_lasting = |missing: &Missing| missing.reason == MissingReason::Unsupported;
    *capture.request.lane == native::LANE
        && matches!(&capture.state, CaptureState::Failed(missing) if is_lasting(missing))
}

/// The newest capture of a process, whoever asked for it: a person's own is as good.
struct Earlier<'a> {
    lane: &'static Lane,
    low_duty: bool,
    duration: Duration,
    started_at: Timestamp,
    state: &'a CaptureState,
    /// Captures of its pages so far, after which it is a suspect still.
    in_vain: usize,
}

/// The lane to capture next, if it is time, and whether at low duty: after the calls of the allocator the pages, without rest. Where those calls
/// cannot be seen, the pages alone.
fn next(earlier: Option<&Earlier<'_>>, has_no_allocator: bool, now: Timestamp) -> Option<(&'static Lane, bool)> {
    let first = if has_no_allocator { &growth::LANE } else { &native::LANE };
    let Some(earlier) = earlier else {
        return Some((first, false));
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
    let doublings = u32::try_from(earlier.in_vain.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(16);
    let rest = rest.saturating_mul(1 << doublings).min(LONGEST_REST);
    let rested = now.since(earlier.started_at) >= earlier.duration + rest;
    rested.then_some((first, false))
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
                in_vain: 1,
            };
            let found = next(Some(&earlier), false, started_at.plus(Duration::from_secs(seconds)));
            assert_eq!(found, expected, "{lane:?} {low_duty} {state:?} {seconds}");
        }
        assert_eq!(next(None, false, Timestamp::default()), Some((native, false)));
    }

    #[test]
    fn captures_that_taught_nothing_are_ever_rarer() {
        let started_at = Timestamp::from_unix_seconds(1_000);
        let mut rests = Vec::new();
        for in_vain in 1..10 {
            let earlier = Earlier {
                lane: &growth::LANE,
                low_duty: false,
                duration: DURATION,
                started_at,
                state: &CaptureState::Done,
                in_vain,
            };
            let after = |minutes: u64| next(Some(&earlier), false, started_at.plus(Duration::from_mins(1 + minutes)));
            rests.extend((0..1_000).find(|minutes| after(*minutes).is_some()));
        }
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn calls_that_cannot_be_seen_are_not_looked_for_again() {
        let growth: &'static Lane = &growth::LANE;
        let now = Timestamp::from_unix_seconds(10_000);
        assert_eq!(
            next(None, true, now),
            Some((growth, false)),
            "a new process of the same program"
        );
        let state = CaptureState::Done;
        let earlier = Earlier {
            lane: growth,
            low_duty: false,
            duration: DURATION,
            started_at: Timestamp::from_unix_seconds(1_000),
            state: &state,
            in_vain: 1,
        };
        assert_eq!(next(Some(&earlier), true, now), Some((growth, false)));
    }
}
