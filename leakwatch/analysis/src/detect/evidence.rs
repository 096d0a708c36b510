//! Evidence and phrases that several detectors share.

use crate::detect::facts::Facts;
use crate::format;
use crate::measure::site_trend::ProfileTrend;
use crate::model::profile::ProfileType;
use crate::model::verdict::Evidence;
use crate::model::verdict::EvidenceLink;

/// The two profiles that a trend lies between.
pub(super) const fn diff(profile_type: ProfileType, trend: &ProfileTrend) -> EvidenceLink {
    EvidenceLink::Diff {
        profile_type,
        base: trend.base,
        compare: trend.compare,
    }
}

/// The series of what has to fit below the limit.
pub(super) fn memory_series() -> EvidenceLink {
    EvidenceLink::Series(vec!["unreclaimable_bytes", "limit_bytes"])
}

/// How fast memory as a whole grows, `detail` being added to the sentence.
pub(super) fn memory_growth(facts: &Facts<'_>, detail: impl Fn(f64) -> String) -> Option<Evidence> {
    let rate = facts.growth_rate().filter(|_| facts.memory.grows())?;
    Some(Evidence {
        claim: format!(
            "memory that cannot be reclaimed grows by {}{}",
            format::rate(rate),
            detail(rate)
        ),
        value: rate,
        unit: "bytes_per_second",
        weight: None,
        link: Some(memory_series()),
    })
}

/// `; the limit is reached in about ...`, where there is one.
pub(super) fn until_limit(facts: &Facts<'_>) -> String {
    facts
        .time_to_limit()
        .filter(|_| facts.growth_rate().is_some_and(|rate| rate > 0.0))
        .map(|time| {
            format!(
                "; {} is reached in about {}",
                facts.ceiling_is,
                format::duration(time.p50_seconds)
            )
        })
        .unwrap_or_default()
}
