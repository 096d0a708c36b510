//! When a process is asked again: by urgency while it answers, ever more rarely while it does not. Without jitter, so
//! that the same events give the same schedule.

use leakwatch_analysis::model::reading::MissingReason;
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

/// The schedule of one process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Schedule {
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
    pub(super) fn due(&self, interval: Duration, now: Instant) -> Option<Instant> {
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
    pub(super) fn leak_due(&self, now: Instant) -> Option<Instant> {
        let is_being_asked = self.started.is_some() && self.finished.is_none();
        if is_being_asked || self.leak_unsupported {
            return None;
        }
        Some(self.leak_asked.map_or(now, |asked| asked + LEAK_INTERVAL))
    }

    /// A round begins; says whether it is to ask for leaked goroutines.
    pub(super) fn start(&mut self, now: Instant, wants_leak: bool) -> bool {
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
    pub(super) fn finish(&mut self, now: Instant, answered: bool) {
        self.finished = Some(now);
        self.failures = if answered { 0 } else { self.failures.saturating_add(1) };
    }

    /// The process did not say which goroutines leaked.
    pub(super) fn leak_failed(&mut self, reason: MissingReason) {
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
}
