//! How much of the memory that is needed what grows explains: a small leak is no reason why a service does not fit below its limit.

use crate::detect::captured;
use crate::detect::facts::Facts;
use crate::detect::finding::Finding;
use crate::model::profile::ProfileType;
use crate::model::units::Bytes;
use crate::odds::Growth;

/// None when no place is known to grow.
pub(super) fn explained_share(facts: &Facts<'_>, growth: &Growth, found: Option<&Finding>) -> Option<f64> {
    let culprit = found?.culprit.as_ref()?;
    let level = match facts.limit {
        Some(limit) if facts.dying => limit.as_f64(),
        _ => facts.memory.level,
    };
    if level <= 0.0 {
        return None;
    }
    let profile = growth.profile?;
    let bytes = match profile {
        ProfileType::Goroutine | ProfileType::GoroutineLeak => growth.bytes * culprit.share_of_growth,
        _ => {
            let trend = facts.trend(profile).or_else(|| facts.trend_before(profile))?;
            let mut sites = trend.sites.iter();
            let site = sites.find(|site| site.frame.function == culprit.frame.function);
            let now = site.map_or(culprit.growth.estimate, |site| site.now);
            // A collected heap holds as much garbage as the runtime allows, for each part of it alike.
            let garbage = match profile {
                ProfileType::Heap => facts
                    .pacing
                    .largest(trend.now)
                    .map_or(1.0, |all| all / trend.now.max(1.0)),
                _ => 1.0,
            };
            now * garbage * captured::workers(facts, profile, trend).multiple
        }
    };
    Some((bytes / level.max(Bytes(1).as_f64())).clamp(0.0, 1.0))
}
