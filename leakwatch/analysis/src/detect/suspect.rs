//! Which call sites of a profile are suspects, whatever else is known of the target. Thresholds: `docs/detectors/site_trend.md`.

use crate::measure::site_trend::ProfileTrend;
use crate::measure::site_trend::SiteTrend;

/// False discovery rate for call sites when memory as a whole grows.
pub(super) const CORROBORATED_RATE: f64 = 0.01;
/// The same when only the profile says so.
pub(super) const ALONE_RATE: f64 = 1e-4;

/// Fewer goroutines more are connections and workers coming and going.
pub(super) const LEAST_GOROUTINES: f64 = 10.0;
/// And it must be this part of what was there.
const LEAST_PART_OF_GOROUTINES: f64 = 0.2;

/// The call site where most goroutines pile up: clearly more than come and go.
pub(super) fn goroutines(trend: &ProfileTrend) -> Option<&SiteTrend> {
    trend.persistent(ALONE_RATE).find(|site| {
        let before = site.now - site.growth.estimate;
        site.growth.low > 0.0
            && site.growth.estimate >= LEAST_GOROUTINES
            && site.growth.estimate >= before * LEAST_PART_OF_GOROUTINES
    })
}

/// Part of all growth in the heap that is nearly all of it.
const NEARLY_ALL: f64 = 0.7;
/// Evenness of growth below which it is one burst.
const LEAST_EVENNESS: f64 = 0.05;

/// The call site of nearly all that the heap grew by, though it did not grow all along.
pub(super) fn nearly_all(trend: &ProfileTrend) -> Option<&SiteTrend> {
    let all: f64 = trend.sites.iter().map(|site| site.growth.estimate.max(0.0)).sum();
    trend.sites.first().filter(|site| {
        site.growth.estimate >= all * NEARLY_ALL
            && site.persistence >= LEAST_EVENNESS
            && site.false_discovery_rate <= ALONE_RATE
    })
}
