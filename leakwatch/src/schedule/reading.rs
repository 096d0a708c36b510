//! Which collector takes the profiles of a process, and when it is asked again: by urgency while it answers, ever more rarely while it does not. Without jitter, so
//! that the same events give the same schedule.

use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::target::ProcessKey;
use std::time::Duration;
use tokio::time::Instant;

/// Least time between two `goroutineleak` profiles of a process: each makes its runtime run one garbage collection.
pub const LEAK_INTERVAL: Duration = Duration::from_mins(10);

/// First and longest wait after failures; each failure doubles it. The first is short because a program that has just
/// started may not listen yet.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(10));

/// How much a new profile is worth now; decided by the caller from the target's samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// Nothing special.
    #[default]
    Calm,
    /// It grows fast, or is in its first minutes.
    Growing,
    /// Its limit is near: the last profile before a kill explains the kill.
    NearLimit,
}

impl Urgency {
    /// Time from one profile by endpoint to the next.
    pub const fn interval(self) -> Duration {
        match self {
            Self::Calm => Duration::from_secs(30),
            Self::Growing => Duration::from_secs(10),
            Self::NearLimit => Duration::from_secs(5),
        }
    }
}

/// What an endpoint is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Heap, goroutines, and leaked goroutines where they are wanted.
    Profiles,
    /// Leaked goroutines alone, where they are wanted: somebody else takes the other profiles.
    LeakedGoroutines,
}

/// Goroutines more than ever before that may be the beginning of a leak: as many as a leak must have.
const LEAST_MORE: i64 = 10;

/// Whether the goroutines of a process are more than they were in the first half of what is known: suspicion enough to look which of them nobody can
/// wake, and long before it is sure that they pile up.
pub(crate) fn goroutines_may_pile_up(history: &TargetHistory) -> bool {
    let series = history.snapshots.get(&ProfileType::Goroutine);
    let kept = series.map_or(&[][..], |series| series.as_slice());
    let count = |snapshot: &Snapshot| snapshot.total.inuse_objects;
    let earlier = kept.iter().take(kept.len().div_ceil(2)).map(count).max();
    let Some((newest, earlier)) = kept.last().filter(|_| kept.len() > 1).zip(earlier) else {
        return false;
    };
    count(newest) >= earlier.saturating_add(LEAST_MORE)
}

/// Who takes the profiles of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Readers {
    /// Its memory is read.
    pub(crate) memory: bool,
    /// Its endpoint is asked.
    pub(crate) endpoint: Option<Asked>,
}

/// Memory comes first: reading it costs the process nothing, and only of a process that is read from outside the kernel knows what to
/// read at its death. An endpoint is asked where memory gives no heap profile, and for what only the runtime itself can tell: which
/// goroutines have leaked. `memory` and `endpoints` say what is allowed.
pub(crate) fn readers(history: &TargetHistory, process: ProcessKey, memory: bool, endpoints: bool) -> Readers {
    let endpoint = if !memory {
        // Asked without any endpoint being set up, it says so: better than silence.
        Some(Asked::Profiles)
    } else if !endpoints {
        None
    } else if lacks_memory(history, process) {
        Some(Asked::Profiles)
    } else {
        Some(Asked::LeakedGoroutines)
    };
    Readers { memory, endpoint }
}

/// Whether reading the heap was in vain: it is missing, or the newest came from the endpoint for that reason.
fn lacks_memory(history: &TargetHistory, process: ProcessKey) -> bool {
    let series = history.snapshots.get(&ProfileType::Heap);
    let newest = series
        .and_then(|series| series.newest())
        .filter(|newest| newest.process == process);
    match newest {
        Some(newest) => newest.source == ProfileSource::Endpoint,
        None => history.profile_missing.contains_key(&ProfileType::Heap),
    }
}

/// The schedule of one process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Schedule {
    started: Option<Instant>,
    /// `None` while it is being asked.
    finished: Option<Instant>,
    /// Rounds without a profile since the last one with.
    failures: u32,
    leak_asked: Option<Instant>,
    /// The program has no such profile: it will not get one while it runs.
    leak_unsupported: bool,
}

impl Schedule {
    /// When a process that is asked every `interval` is to be asked next; `None` while it is being asked.
    pub(crate) fn due(&self, interval: Duration, now: Instant) -> Option<Instant> {
        let Some(started) = self.started else {
            return Some(now);
        };
        let finished = self.finished?;
        Some(match self.failures {
            0 => started + interval,
            failures => finished + backoff(failures),
        })
    }

    /// When a process that is only asked for leaked goroutines is to be asked next; `None` while it is being asked, and when
    /// there is nothing to be asked for.
    pub(crate) fn leak_due(&self, now: Instant) -> Option<Instant> {
        let is_being_asked = self.started.is_some() && self.finished.is_none();
        if is_being_asked || self.leak_unsupported {
            return None;
        }
        Some(self.leak_asked.map_or(now, |asked| asked + LEAK_INTERVAL))
    }

    /// A round begins; says whether it is to ask for leaked goroutines.
    pub(crate) fn start(&mut self, now: Instant, wants_leak: bool) -> bool {
        self.started = Some(now);
        self.finished = None;
        let rested = self.leak_asked.is_none_or(|asked| now >= asked + LEAK_INTERVAL);
        let ask = wants_leak && rested && !self.leak_unsupported;
        if ask {
            self.leak_asked = Some(now);
        }
        ask
    }

    /// A round ended.
    pub(crate) fn finish(&mut self, now: Instant, answered: bool) {
        self.finished = Some(now);
        self.failures = if answered { 0 } else { self.failures.saturating_add(1) };
    }

    /// The process did not say which goroutines leaked.
    pub(crate) fn leak_failed(&mut self, reason: MissingReason) {
        self.leak_unsupported |= reason == MissingReason::Unsupported;
    }
}

fn backoff(failures: u32) -> Duration {
    let (first, longest) = BACKOFF;
    let doublings = failures.saturating_sub(1).min(16);
    first.saturating_mul(1 << doublings).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakwatch_analysis::model::profile::Program;
    use leakwatch_analysis::model::profile::StackValue;
    use leakwatch_analysis::model::reading::Missing;
    use leakwatch_analysis::model::reading::MissingReason;
    use leakwatch_analysis::model::target::CgroupKey;
    use leakwatch_analysis::model::target::Target;
    use leakwatch_analysis::model::target::TargetKind;
    use leakwatch_analysis::model::units::Timestamp;

    #[test]
    fn failures_are_retried_ever_more_rarely_and_success_resets() {
        let origin = Instant::now();
        let mut schedule = Schedule::default();
        let mut now = origin;
        let mut waits = Vec::new();
        for _ in 0..10 {
            schedule.start(now, false);
            assert_eq!(schedule.due(Urgency::NearLimit.interval(), now), None, "one at a time");
            schedule.finish(now, false);
            let due = schedule.due(Urgency::NearLimit.interval(), now).unwrap();
            waits.push((due - now).as_secs());
            now = due;
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
        schedule.start(now, false);
        schedule.finish(now + Duration::from_secs(2), true);
        for (urgency, seconds) in [(Urgency::Calm, 30), (Urgency::Growing, 10), (Urgency::NearLimit, 5)] {
            assert_eq!(
                schedule.due(urgency.interval(), now),
                Some(now + Duration::from_secs(seconds))
            );
        }
    }

    #[test]
    fn leaked_goroutines_are_asked_for_rarely_and_never_again_if_unsupported() {
        let origin = Instant::now();
        let mut schedule = Schedule::default();
        assert_eq!(schedule.leak_due(origin), Some(origin));
        assert!(!schedule.start(origin, false));
        assert_eq!(schedule.leak_due(origin), None, "it is being asked");
        assert!(schedule.start(origin, true));
        schedule.finish(origin, true);
        assert_eq!(schedule.leak_due(origin), Some(origin + LEAK_INTERVAL));
        assert!(!schedule.start(origin + LEAK_INTERVAL - Duration::from_secs(1), true));
        schedule.leak_failed(MissingReason::Timeout);
        assert!(schedule.start(origin + LEAK_INTERVAL, true));
        schedule.leak_failed(MissingReason::Unsupported);
        assert!(!schedule.start(origin + 3 * LEAK_INTERVAL, true));
        schedule.finish(origin + 3 * LEAK_INTERVAL, true);
        assert_eq!(schedule.leak_due(origin + 3 * LEAK_INTERVAL), None);
    }

    const PROCESS: ProcessKey = ProcessKey {
        pid: 7,
        start_ticks: 100,
    };

    fn history() -> TargetHistory {
        let at = Timestamp::from_unix_seconds(1);
        let target = Target {
            cgroup: CgroupKey {
                inode: 1,
                path: "/shop".to_owned(),
            },
            kind: TargetKind::Cgroup,
            name: "shop".to_owned(),
            service: "shop".to_owned(),
            container: None,
            started_at: at,
        };
        TargetHistory::new(target, at)
    }

    fn with_heap(pid: u32, source: ProfileSource) -> TargetHistory {
        let mut history = history();
        history.apply_snapshot(Snapshot {
            target: history.target.id(),
            process: ProcessKey { pid, ..PROCESS },
            profile_type: ProfileType::Heap,
            at: Timestamp::from_unix_seconds(2),
            source,
            values: [].into(),
            total: StackValue::default(),
            period: 1,
            program: Program::default(),
            losses: [].into(),
        });
        history
    }

    #[test]
    fn more_goroutines_than_before_are_a_suspicion() {
        for (counts, expected) in [
            (&[][..], false),
            (&[3000], false),
            (&[3000, 3009], false),
            (&[3000, 3010], true),
            (&[3000, 3020, 3040], true),
            (&[10, 1000, 1000, 1005], false),
            (&[1000, 900, 1000, 905], false),
        ] {
            let mut history = history();
            for (second, count) in (2_u64..).zip(counts) {
                history.apply_snapshot(Snapshot {
                    target: history.target.id(),
                    process: PROCESS,
                    profile_type: ProfileType::Goroutine,
                    at: Timestamp::from_unix_seconds(second),
                    source: ProfileSource::Snapshot,
                    values: [].into(),
                    total: StackValue {
                        inuse_objects: *count,
                        ..StackValue::default()
                    },
                    period: 1,
                    program: Program::default(),
                    losses: [].into(),
                });
            }
            assert_eq!(goroutines_may_pile_up(&history), expected, "{counts:?}");
        }
    }

    fn without_heap() -> TargetHistory {
        let mut history = history();
        let missing = Missing::new(MissingReason::Failed, "connection refused");
        history.profile_missing.insert(ProfileType::Heap, missing);
        history
    }

    #[test]
    fn memory_is_read_and_an_endpoint_asked_for_what_memory_does_not_tell() {
        let read = (None, true);
        let leaks = (Some(Asked::LeakedGoroutines), true);
        let asked = (Some(Asked::Profiles), false);
        let both = (Some(Asked::Profiles), true);
        let endpoint = ProfileSource::Endpoint;
        let memory = ProfileSource::Snapshot;
        for (outside, discover, history, expected) in [
            (true, false, history(), read),
            (true, false, with_heap(7, memory), read),
            (true, false, without_heap(), read),
            (true, true, history(), leaks),
            (true, true, without_heap(), both),
            (true, true, with_heap(7, memory), leaks),
            (true, true, with_heap(7, endpoint), both),
            // Those of another process say nothing about this one.
            (true, true, with_heap(8, endpoint), leaks),
            (false, true, without_heap(), asked),
            (false, false, history(), asked),
        ] {
            let found = readers(&history, PROCESS, outside, discover);
            let seen = (found.endpoint, found.memory);
            assert_eq!(seen, expected, "outside {outside}, discover {discover}, {history:?}");
        }
    }
}
