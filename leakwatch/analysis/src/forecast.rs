//! When the limit will be reached: the memory that reclaim cannot give back, carried along its growth to the limit.
//! Must not decide whether it is a leak.

use crate::detect::facts::GC_HEADROOM;
use crate::growth::ProfileGrowth;
use crate::trend::Shape;
use crate::trend::Trend;
use crate::verdict::TimeToLimit;

/// The 90 % quantile of the normal distribution over the 97.5 % one: turns a 95 % interval into one between p10 and p90.
const P90_OF_P975: f64 = 1.2816 / 1.96;
/// Least relative uncertainty of a rate: load is never constant. Experiment: docs/detectors.md, "Forecast".
const LEAST_RATE_UNCERTAINTY: f64 = 0.13;

/// Time until `limit` bytes, from growth of the unreclaimable charge, which is `newest` now. None without growth.
pub fn from_memory(trend: &Trend, newest: f64, limit: f64) -> Option<TimeToLimit> {
    if !trend.grows() {
        return None;
    }
    // Growth in steps rests after a collection and hurries before the limit: the later half counts when it is faster.
    let rate = f64::midpoint(trend.end_slope, trend.recent.estimate.max(trend.end_slope));
    let half_width = match trend.shape {
        Shape::LateGrowth { .. } => (trend.recent.high - trend.recent.low) / 2.0,
        _ => (trend.slope.high - trend.slope.low) / 2.0,
    };
    let room = (limit - trend.level.max(newest)).max(0.0);
    let uncertainty = (half_width * P90_OF_P975).max(rate * LEAST_RATE_UNCERTAINTY);
    let fast = trend.recent.estimate.max(rate) + uncertainty;
    let slow = trend.end_slope.min(rate) - uncertainty;
    Some(TimeToLimit {
        p10_seconds: (room - trend.noise).max(0.0) / fast,
        p50_seconds: room / rate,
        p90_seconds: if slow > 0.0 {
            (room + trend.noise) / slow
        } else {
            f64::INFINITY
        },
    })
}

/// Time until `limit` bytes when the process is not growing yet because its live heap grows into memory that it already has.
pub fn from_live_heap(heap: &ProfileGrowth, level: f64, limit: f64) -> Option<TimeToLimit> {
    if heap.rate <= 0.0 || heap.total.low <= 0.0 {
        return None;
    }
    let outside = (level - GC_HEADROOM * heap.now).max(0.0).min(level);
    let until = |live: f64| ((live - heap.now) / heap.rate).max(0.0);
    let soonest = until((limit - outside) / GC_HEADROOM);
    let latest = until(limit - outside);
    Some(TimeToLimit {
        p10_seconds: soonest,
        p50_seconds: f64::midpoint(soonest, latest),
        p90_seconds: latest,
    })
}
