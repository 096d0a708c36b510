//! When a target is judged anew.
//!
//! An answer rests on all that is remembered since the window began: a few seconds more of two weeks change nothing in it, and cost as much as the first.

use crate::schedule::reading::Urgency;
use crate::schedule::sampling;
use crate::store::target::News;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::investigation::Investigation;
use leakwatch_analysis::model::target::CgroupKey;
use leakwatch_analysis::model::units::Timestamp;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Numbers count when the window got longer by this part, within [`LONGEST`]: each round of the first two minutes and a half at the default interval.
const PART: u32 = 30;
/// The longest that numbers wait: a quarter of the ten minutes in which a place has to be told.
const LONGEST: Duration = Duration::from_secs(150);
/// A limit that is near is forecast so many times before it is reached.
const FORECASTS: f64 = 20.0;
/// Without anything new a target is judged again when its window got longer by this part, so that "not enough data" may become "stable".
const UNCHANGED_PART: u32 = 8;
/// Within these bounds.
const UNCHANGED: RangeInclusive<Duration> = Duration::from_secs(30)..=Duration::from_mins(5);

/// Whether a living target is judged at the end of a round. `made` is the answer before, if there is one.
pub(crate) fn is_due(history: &TargetHistory, made: Option<&Investigation>, news: News, at: Timestamp) -> bool {
    let Some(made) = made else { return true };
    let (window, passed) = (at.since(history.window_start), at.since(made.at));
    match news {
        News::Event => true,
        News::Numbers => {
            let forecast = made
                .verdict
                .time_to_limit
                .map_or(f64::INFINITY, |time| time.p10_seconds);
            let every = spread(history, (window / PART).min(LONGEST));
            passed >= every
                || passed.as_secs_f64() >= forecast / FORECASTS
                || sampling::urgency(history, Some(&made.verdict), false, at) == Urgency::NearLimit
        }
        News::Nothing => passed >= (window / UNCHANGED_PART).clamp(*UNCHANGED.start(), *UNCHANGED.end()),
    }
}

/// Up to a quarter less, by target: those that began together are not judged together for ever.
fn spread(history: &TargetHistory, every: Duration) -> Duration {
    let part = CgroupKey::spread(history.target.cgroup.inode) >> 28;
    every * (64 - part) / 64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::sampling::tests::at;
    use crate::schedule::sampling::tests::history;
    use leakwatch_analysis::model::verdict::TimeToLimit;
    use std::collections::BTreeMap;

    const HOUR: u64 = 3600;

    /// Seconds until news is worth an answer, of a target that lives since second 1000 and was judged when it was so old.
    fn waits(samples: &[(u64, u64, u64, u64)], age: u64, limit_in: Option<f64>, news: News) -> u64 {
        let history = history(samples);
        let judged = 1000 + age;
        let mut made = leakwatch_analysis::investigate(&history, &BTreeMap::new(), &[], at(judged));
        made.verdict.time_to_limit = limit_in.map(|seconds| TimeToLimit {
            p10_seconds: seconds,
            p50_seconds: seconds,
            p90_seconds: seconds,
        });
        let is_due = |seconds: &u64| is_due(&history, Some(&made), news, at(judged + seconds));
        (0..2000).find(is_due).unwrap()
    }

    #[test]
    fn an_answer_waits_the_longer_the_more_it_rests_on() {
        let level = [(1000, 100, 0, 0), (900 * HOUR, 100, 0, 0)];
        let jump = [(1000, 100, 0, 0), (900 * HOUR, 130, 0, 0)];
        let near = [(1000, 890, 0, 0), (900 * HOUR, 910, 0, 0)];
        for (what, samples, age, limit_in, news, expected) in [
            ("young", level, 60, None, News::Numbers, 2..=2),
            ("an hour old", level, HOUR, None, News::Numbers, 90..=120),
            ("two weeks old", level, 336 * HOUR, None, News::Numbers, 112..=150),
            (
                "its limit is ten minutes away",
                level,
                336 * HOUR,
                Some(600.0),
                News::Numbers,
                30..=30,
            ),
            ("at its limit", near, 336 * HOUR, None, News::Numbers, 0..=0),
            ("it jumps", jump, 336 * HOUR, None, News::Numbers, 0..=0),
            ("somebody was killed", level, 336 * HOUR, None, News::Event, 0..=0),
            ("young, and nothing came in", level, 60, None, News::Nothing, 30..=30),
            (
                "old, and nothing came in",
                level,
                336 * HOUR,
                None,
                News::Nothing,
                300..=300,
            ),
        ] {
            let waits = waits(&samples, age, limit_in, news);
            assert!(expected.contains(&waits), "{what}: {waits} s");
        }
    }

    #[test]
    fn what_was_never_judged_is_due() {
        assert!(is_due(&history(&[(1000, 100, 0, 0)]), None, News::Nothing, at(1000)));
    }
}
