//! The chance that the limit is reached within some hours, whatever the cause. See `docs/detectors/limit_probability.md`.

use crate::detect::facts::Facts;
use crate::model::verdict::LimitProbability;
use crate::model::verdict::TimeToLimit;
use crate::stats::robust;

const HOUR: f64 = 3600.0;
/// What is no leak goes on for r more after t with the chance (t / (t + r)) to this power: 0.10 for as long again and 0.03 for twice as
/// long, as was measured on real machines (`docs/experiments/base_rate.md`).
const ENDS: f64 = 3.3;
/// The 90 % quantile of the normal distribution.
const Z90: f64 = 1.2816;
/// Kills that follow one another say when the next comes.
const LEAST_KILLS: usize = 2;

/// None where nothing is known that memory could run into.
pub(super) fn probability(facts: &Facts<'_>, leak: f64, time: Option<TimeToLimit>) -> Option<LimitProbability> {
    facts.ceiling?;
    if facts.thrashing().is_some() {
        return Some(LimitProbability {
            hour: 1.0,
            six_hours: 1.0,
            day: 1.0,
        });
    }
    let lasted = facts.memory.trend.as_ref().map_or(0.0, |trend| {
        let since = facts.memory.since().map_or(0.0, |since| facts.now.seconds_from(since));
        since.min(trend.span())
    });
    let within = |seconds: f64| {
        let by_growth = time.map_or(0.0, |time| {
            let reached = reached(&time, seconds);
            let left = time.p50_seconds.min(seconds);
            let goes_on = (lasted / (lasted + left).max(f64::MIN_POSITIVE)).powf(ENDS);
            reached * (leak + (1.0 - leak) * goes_on)
        });
        by_growth.max(by_kills(facts, seconds)).clamp(0.0, 1.0)
    };
    Some(LimitProbability {
        hour: within(HOUR),
        six_hours: within(6.0 * HOUR),
        day: within(24.0 * HOUR),
    })
}

/// Chance that the limit is reached within so many seconds if growth goes on: lognormal through the quantiles.
fn reached(time: &TimeToLimit, seconds: f64) -> f64 {
    let middle = time.p50_seconds.max(1.0);
    let (low, high) = (time.p10_seconds.max(0.5), time.p90_seconds.min(1e9));
    let spread = if seconds < middle {
        (middle / low.min(middle)).ln()
    } else {
        (high.max(middle) / middle).ln()
    };
    let z = (seconds / middle).ln() / (spread / Z90).max(0.01);
    1.0 - robust::normal_tail(z)
}

/// Chance of another kill when there were several in a row and this run has not outlived them.
fn by_kills(facts: &Facts<'_>, seconds: f64) -> f64 {
    let runs = facts.runs();
    if runs.killed < LEAST_KILLS || !runs.are_recent(facts.now) {
        return 0.0;
    }
    1.0 - (-seconds / runs.typical_seconds.max(1.0)).exp()
}
