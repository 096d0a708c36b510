//! When a target is sampled: all of them every interval, in between those of which a kill may come any second.

use crate::schedule::reading::Urgency;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::sample::Limit;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_analysis::model::verdict::Verdict;
use std::time::Duration;
use tokio::time::Instant;

/// A target is looked at closely for this long after it appeared: that is when its baseline is taken.
const YOUNG: Duration = Duration::from_mins(5);

/// Above this share of the limit, a kill may come any second.
const NEAR_LIMIT: f64 = 0.9;

/// A limit predicted to be reached within this time is near as well.
const SOON_SECONDS: f64 = 120.0;

/// Charge gained between the two newest samples that counts as growth at once, as a share of the limit: a fast leak in
/// a small cgroup lives for seconds only.
const JUMP: f64 = 0.02;

/// While the kernel reclaims from a cgroup of which more than this share cannot be reclaimed, a kill may come any second.
/// Below it, reclaim only recycles page cache, which a healthy cgroup does all day.
const PRESSED: f64 = 0.5;

/// A service killed this recently may be in a crash loop: its next life is watched closely from the first second on.
const RECENT_KILL: Duration = Duration::from_mins(15);

/// So much of a life after a kill is watched closely; a loop of slow lives is not read every second for ever.
const FIRST_MINUTE: Duration = Duration::from_mins(1);

/// Time between two samples of a target that may be killed any second.
const URGENT: Duration = Duration::from_secs(1);

/// Reclaim this long ago still counts: two default intervals.
pub(crate) const FRESH_RECLAIM: Duration = Duration::from_secs(10);

/// Which targets a round samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// All.
    Full,
    /// Those that cannot wait for the next full round.
    Urgent,
}

/// When rounds are taken.
#[derive(Debug)]
pub(crate) struct Rounds {
    interval: Duration,
    next_full: Instant,
}

impl Rounds {
    /// The first round is a full one, now.
    pub(crate) const fn new(interval: Duration, now: Instant) -> Self {
        Self {
            interval,
            next_full: now,
        }
    }

    /// Takes up another interval. What was due stays due, and no later than by the new one.
    pub(crate) fn set_interval(&mut self, interval: Duration, now: Instant) {
        if interval != self.interval {
            self.interval = interval;
            self.next_full = self.next_full.min(now + interval);
        }
    }

    /// When to look whether a round is due.
    pub(crate) fn wake_at(&self, now: Instant) -> Instant {
        self.next_full.min(now + URGENT)
    }

    /// The round that begins now, if any. A program that was started in a cgroup that is no target yet does not wait for its turn.
    pub(crate) fn due(&mut self, now: Instant, newcomer: bool, urgent: bool) -> Option<Round> {
        if newcomer || now >= self.next_full {
            // A round that took longer than the interval delays the next one instead of piling up.
            self.next_full = (self.next_full.min(now) + self.interval).max(now);
            return Some(Round::Full);
        }
        urgent.then_some(Round::Urgent)
    }
}

/// The urgency of a target now; `reclaiming` if the kernel reported that it takes memory back from it.
pub(crate) fn urgency(history: &TargetHistory, verdict: Option<&Verdict>, reclaiming: bool, now: Timestamp) -> Urgency {
    if history.living().next().is_none() {
        return Urgency::Calm;
    }
    let soon = verdict
        .and_then(|verdict| verdict.time_to_limit)
        .is_some_and(|time| time.p10_seconds < SOON_SECONDS);
    let pressed = reclaiming || history.pressure_at.is_some_and(|at| now.since(at) < FRESH_RECLAIM);
    let near = if pressed { PRESSED } else { NEAR_LIMIT };
    if soon || is_above(near, history) || jumped(history) || is_reborn(history, now) {
        Urgency::NearLimit
    } else if now.since(history.window_start) < YOUNG
        || verdict.is_some_and(|verdict| verdict.growth_bytes_per_second.is_some_and(|rate| rate > 0.0))
    {
        Urgency::Growing
    } else {
        Urgency::Calm
    }
}

/// Whether what cannot be reclaimed is above this share of the limit.
fn is_above(share: f64, history: &TargetHistory) -> bool {
    let Ok(memory) = &history.newest else { return false };
    let Limit::Bytes(limit) = memory.limit else {
        return false;
    };
    memory.unreclaimable().unwrap_or(memory.charge).as_f64() > share * limit.as_f64()
}

fn is_reborn(history: &TargetHistory, now: Timestamp) -> bool {
    let killed = history.oom_kills.last();
    killed.is_some_and(|kill| now.since(kill.at) < RECENT_KILL) && now.since(history.window_start) < FIRST_MINUTE
}

fn jumped(history: &TargetHistory) -> bool {
    let Some(limit) = history.limit().bytes() else {
        return false;
    };
    let mut newest_first = history.window().iter().rev();
    let (Some(newest), Some(before)) = (newest_first.next(), newest_first.next()) else {
        return false;
    };
    let grown = match (before.unreclaimable.bytes(), newest.unreclaimable.bytes()) {
        (Some(before), Some(newest)) => newest.saturating_sub(before),
        _ => Bytes(0),
    };
    grown.as_f64() > JUMP * limit.as_f64()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use leakwatch_analysis::model::counter::CgroupVersion;
    use leakwatch_analysis::model::counter::Counter;
    use leakwatch_analysis::model::counter::Counters;
    use leakwatch_analysis::model::event::OomKill;
    use leakwatch_analysis::model::event::OomTrigger;
    use leakwatch_analysis::model::event::OomVictim;
    use leakwatch_analysis::model::reading::Missing;
    use leakwatch_analysis::model::reading::MissingReason;
    use leakwatch_analysis::model::sample::CgroupMemory;
    use leakwatch_analysis::model::sample::ProcessSample;
    use leakwatch_analysis::model::sample::Sample;
    use leakwatch_analysis::model::target::CgroupKey;
    use leakwatch_analysis::model::target::Process;
    use leakwatch_analysis::model::target::ProcessKey;
    use leakwatch_analysis::model::target::Target;
    use leakwatch_analysis::model::target::TargetKind;
    use std::sync::Arc;

    #[test]
    fn a_full_round_comes_every_interval_and_urgent_ones_in_between() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut rounds = Rounds::new(Duration::from_secs(5), start);
        for (second, newcomer, urgent, expected, wake) in [
            (0, false, false, Some(Round::Full), 1),
            (1, false, false, None, 2),
            (2, false, true, Some(Round::Urgent), 3),
            (5, false, true, Some(Round::Full), 6),
            (9, false, false, None, 10),
            // It was late: no round is made up for.
            (22, false, false, Some(Round::Full), 22),
            (23, false, false, Some(Round::Full), 24),
            (25, true, false, Some(Round::Full), 26),
            (29, false, false, None, 30),
        ] {
            let now = after(second);
            assert_eq!(rounds.due(now, newcomer, urgent), expected, "{second}");
            assert_eq!(rounds.wake_at(now), after(wake), "{second}");
        }
    }

    #[test]
    fn another_interval_counts_from_now_on() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut rounds = Rounds::new(Duration::from_hours(1), start);
        assert_eq!(rounds.due(after(0), false, false), Some(Round::Full));
        rounds.set_interval(Duration::from_secs(5), after(100));
        assert_eq!(rounds.due(after(104), false, false), None);
        assert_eq!(rounds.due(after(105), false, false), Some(Round::Full));
        rounds.set_interval(Duration::from_mins(1), after(106));
        assert_eq!(
            rounds.due(after(110), false, false),
            Some(Round::Full),
            "what was due stays due"
        );
        assert_eq!(rounds.due(after(169), false, false), None);
        assert_eq!(rounds.due(after(170), false, false), Some(Round::Full));
    }

    const LIMIT_MIB: u64 = 1000;

    fn missing() -> Missing {
        Missing::new(MissingReason::NotYet, "not in this test")
    }

    pub(in crate::schedule) fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_seconds(second)
    }

    /// A target that lives since second 1000; samples of (second, unreclaimable MiB, page cache MiB, limit hits).
    pub(in crate::schedule) fn history(samples: &[(u64, u64, u64, u64)]) -> TargetHistory {
        let target = Target {
            cgroup: CgroupKey {
                inode: 1,
                path: "/shop".to_owned(),
            },
            kind: TargetKind::Cgroup,
            name: "shop".to_owned(),
            service: "shop".to_owned(),
            container: None,
            started_at: at(1000),
        };
        let key = ProcessKey { pid: 7, start_ticks: 1 };
        let mut history = TargetHistory::new(target, at(1000));
        for (second, unreclaimable, cache, max) in samples {
            history.apply_sample(&Sample {
                target: history.target.id(),
                at: at(*second),
                cgroup: Ok(CgroupMemory {
                    charge: Bytes::from_mib(unreclaimable + cache),
                    limit: Limit::Bytes(Bytes::from_mib(LIMIT_MIB)),
                    counters: Counters::new(
                        Some(CgroupVersion::V2),
                        [
                            (Counter::ActiveFile, 0),
                            (Counter::InactiveFile, Bytes::from_mib(*cache).0),
                            (Counter::LocalMax, *max),
                        ],
                    ),
                }),
                new_processes: vec![Arc::new(Process {
                    key,
                    started_at: at(1000),
                    comm: "shop".into(),
                    exe: Err(missing()),
                    program: None,
                    runtime: Err(missing()),
                })],
                processes: vec![ProcessSample {
                    key,
                    memory: Err(missing()),
                }],
            });
        }
        history
    }

    #[test]
    fn a_target_is_looked_at_more_often_the_sooner_it_may_be_killed() {
        for (what, samples, now, expected) in [
            (
                "young",
                &[(1000, 100, 0, 0), (1005, 100, 0, 0)][..],
                1005,
                Urgency::Growing,
            ),
            (
                "old and level",
                &[(1000, 100, 0, 0), (2000, 100, 0, 0)],
                2000,
                Urgency::Calm,
            ),
            (
                "near its limit",
                &[(1000, 890, 0, 0), (2000, 910, 0, 0)],
                2000,
                Urgency::NearLimit,
            ),
            (
                "full of page cache",
                &[(1000, 300, 690, 5), (2000, 300, 690, 9)],
                2000,
                Urgency::Calm,
            ),
            (
                "under pressure",
                &[(1000, 600, 390, 5), (2000, 600, 390, 9)],
                2000,
                Urgency::NearLimit,
            ),
            (
                "pressure is over",
                &[(1000, 600, 390, 5), (2000, 600, 390, 9)],
                2011,
                Urgency::Calm,
            ),
            (
                "a jump",
                &[(1000, 100, 0, 0), (2000, 130, 0, 0)],
                2000,
                Urgency::NearLimit,
            ),
        ] {
            assert_eq!(urgency(&history(samples), None, false, at(now)), expected, "{what}");
        }
    }

    #[test]
    fn reclaim_of_page_cache_alone_is_no_reason_for_haste() {
        for (unreclaimable, expected) in [(600, Urgency::NearLimit), (300, Urgency::Calm)] {
            let stored = history(&[(1000, unreclaimable, 300, 0), (2000, unreclaimable, 300, 0)]);
            assert_eq!(
                urgency(&stored, None, true, at(2000)),
                expected,
                "{unreclaimable} of {LIMIT_MIB} MiB"
            );
        }
    }

    #[test]
    fn the_first_minute_after_a_kill_is_watched_closely() {
        let mut stored = history(&[(1000, 100, 0, 0), (1005, 100, 0, 0)]);
        stored.apply_oom_kill(OomKill {
            at: at(990),
            scope: Err(missing()),
            cgroup: Err(missing()),
            memcg: Err(missing()),
            victim: OomVictim {
                pid: 6,
                start_ticks: None,
                comm: "shop".into(),
                rss_anon: Err(missing()),
                rss_file: Err(missing()),
                rss_shmem: Err(missing()),
                page_tables: Err(missing()),
                oom_score_adj: Err(missing()),
                read_at_death: false,
            },
            trigger: OomTrigger {
                pid: 6,
                comm: "shop".into(),
            },
        });
        assert_eq!(urgency(&stored, None, false, at(1005)), Urgency::NearLimit);
        assert_eq!(urgency(&stored, None, false, at(1061)), Urgency::Growing);
    }
}
