//! How often a target is looked at: more often when it grows and when its limit is near.

use crate::collect::endpoint::Urgency;
use crate::store::StoredTarget;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::sample::Limit;
use leakwatch_analysis::units::Bytes;
use leakwatch_analysis::units::Timestamp;
use std::time::Duration;

/// A target is looked at closely for this long after it appeared: that is when its baseline is taken.
const YOUNG: Duration = Duration::from_mins(5);

/// Above this share of the limit, a kill may come any second.
const NEAR_LIMIT: f64 = 0.9;

/// A limit predicted to be reached within this time is near as well.
const SOON_SECONDS: f64 = 120.0;

/// Charge gained between the two newest samples that counts as growth at once, as a share of the limit: a fast leak in
/// a small cgroup lives for seconds only.
const JUMP: f64 = 0.02;

/// The urgency of a target now.
pub(super) fn of(stored: &StoredTarget, now: Timestamp) -> Urgency {
    let history = &stored.history;
    if history.living().next().is_none() {
        return Urgency::Calm;
    }
    let verdict = stored
        .investigation
        .as_ref()
        .map(|investigation| &investigation.verdict);
    let soon = verdict
        .and_then(|verdict| verdict.time_to_limit)
        .is_some_and(|time| time.p10_seconds < SOON_SECONDS);
    if soon || is_near_limit(history) || jumped(history) {
        Urgency::NearLimit
    } else if now.since(history.window_start) < YOUNG
        || verdict.is_some_and(|verdict| verdict.growth_bytes_per_second.is_some_and(|rate| rate > 0.0))
    {
        Urgency::Growing
    } else {
        Urgency::Calm
    }
}

fn is_near_limit(history: &TargetHistory) -> bool {
    let Ok(memory) = &history.newest else { return false };
    let Limit::Bytes(limit) = memory.limit else {
        return false;
    };
    memory.unreclaimable().unwrap_or(memory.charge).as_f64() > NEAR_LIMIT * limit.as_f64()
}

fn jumped(history: &TargetHistory) -> bool {
    let Some(limit) = history.limit().bytes() else {
        return false;
    };
    let [.., before, newest] = history.window() else {
        return false;
    };
    let grown = match (before.unreclaimable.bytes(), newest.unreclaimable.bytes()) {
        (Some(before), Some(newest)) => newest.saturating_sub(before),
        _ => Bytes(0),
    };
    grown.as_f64() > JUMP * limit.as_f64()
}
