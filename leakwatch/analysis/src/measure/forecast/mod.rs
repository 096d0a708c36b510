//! When the limit will be reached: the memory that reclaim cannot give back, carried along its growth to the limit.
//! Must not decide whether it is a leak.

use crate::measure::pacing::Pacing;
use crate::measure::site_trend::ProfileTrend;
use crate::model::verdict::TimeToLimit;
use crate::stats::trend::Shape;
use crate::stats::trend::Trend;

/// The 90 % quantile of the normal distribution over the 97.5 % one: turns a 95 % interval into one between p10 and p90.
const P90_OF_P975: f64 = 1.2816 / 1.96;
/// Least relative uncertainty of a rate: load is never constant. See `docs/detectors/forecast.md`.
const LEAST_RATE_UNCERTAINTY: f64 = 0.25;

/// Weight of a point falls by e over this part of the growth's duration: growth that speeds up is followed, and a step at the
/// end, which any collector makes, does not count more than the steps before. See `docs/experiments/detectors.md`.
const MEMORY: f64 = 1.2;
/// Fewer points of the growth do not give a rate.
const LEAST_POINTS: usize = 4;

/// Time until `limit` bytes, from growth of the unreclaimable charge whose highest levels are `peaks`, going on as it did since
/// `trend` begins. None when it did not grow.
///
/// A garbage-collected program grows in steps: nothing while a freed half is filled again, then a cycle's worth at once. It dies at the
/// top of a step, so the line goes through the highest level reached until each instant, over all of the growth: a rate taken from a
/// few steps is as wrong as a step is long. What the collector is about to do does not tell it better. See `docs/experiments/detectors.md`.
pub fn from_memory(peaks: &[(f64, f64)], trend: &Trend, limit: f64) -> Option<TimeToLimit> {
    let start = match trend.shape {
        Shape::LateGrowth { at } => at,
        _ => trend.from,
    };
    let since = |start: f64| peaks.get(peaks.partition_point(|point| point.0 < start)..);
    let growth = since(start)
        .filter(|growth| growth.len() >= LEAST_POINTS)
        .or_else(|| since(trend.from))?;
    let steps = highest_until(growth);
    let memory = MEMORY * (trend.to - start);
    let line = Line::through(&steps, memory)?;
    let rate = line.rate;
    let newest = steps.last()?.1;
    // Above the line is the top of a step; below it the next step is due and cannot be further than the limit.
    let room = (limit - line.level).max((limit - newest) / 2.0).max(0.0);
    let half_width = match trend.shape {
        Shape::LateGrowth { .. } => (trend.recent.high - trend.recent.low) / 2.0,
        _ => (trend.slope.high - trend.slope.low) / 2.0,
    };
    let uncertainty = (half_width * P90_OF_P975).max(rate * LEAST_RATE_UNCERTAINTY);
    let fast = rate + uncertainty;
    let slow = rate - uncertainty;
    Some(TimeToLimit {
        p10_seconds: (room - line.deviation).max(0.0) / fast,
        p50_seconds: room / rate,
        p90_seconds: if slow > 0.0 {
            (room + line.deviation) / slow
        } else {
            f64::INFINITY
        },
    })
}

fn highest_until(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut highest = f64::NEG_INFINITY;
    points
        .iter()
        .map(|&(t, y)| {
            highest = highest.max(y);
            (t, highest)
        })
        .collect()
}

/// A rising line with its level at the last instant.
struct Line {
    rate: f64,
    level: f64,
    deviation: f64,
}

impl Line {
    /// By least squares over time: a point stands for the time since the one before, and weighs less by e for each `memory` seconds
    /// that it is older.
    fn through(points: &[(f64, f64)], memory: f64) -> Option<Self> {
        let end = points.last()?.0;
        let weighted: Vec<(f64, f64, f64)> = points
            .iter()
            .zip(points.iter().skip(1))
            .map(|(before, &(t, y))| {
                let age = (end - t) / memory.max(f64::MIN_POSITIVE);
                (t, y, (t - before.0) * (-age).exp())
            })
            .collect();
        let total: f64 = weighted.iter().map(|(_, _, weight)| weight).sum();
        let mean = |of: &dyn Fn(f64, f64) -> f64| {
            let sum: f64 = weighted.iter().map(|&(t, y, weight)| weight * of(t, y)).sum();
            sum / total
        };
        let (t_mean, y_mean) = (mean(&|t, _| t), mean(&|_, y| y));
        let spread = mean(&|t, _| (t - t_mean).powi(2));
        let rate = mean(&|t, y| (t - t_mean) * (y - y_mean)) / spread;
        let at = |t: f64| y_mean + rate * (t - t_mean);
        (spread > 0.0 && rate > 0.0).then(|| Self {
            rate,
            level: at(end),
            deviation: mean(&|t, y| (y - at(t)).powi(2)).sqrt(),
        })
    }
}

/// Time until `limit` bytes when the process is not growing yet because its live heap grows into memory that it already has.
pub fn from_live_heap(heap: &ProfileTrend, pacing: Pacing, level: f64, limit: f64) -> Option<TimeToLimit> {
    if heap.rate <= 0.0 || heap.total.low <= 0.0 {
        return None;
    }
    // A collector never lets less than the live heap be; what was read at two instants may say so.
    let headroom = (pacing.largest(heap.now)? / heap.now.max(1.0)).max(1.0);
    let outside = (level - headroom * heap.now).max(0.0).min(level);
    let until = |live: f64| ((live - heap.now) / heap.rate).max(0.0);
    let soonest = until((limit - outside) / headroom);
    let latest = until(limit - outside);
    Some(TimeToLimit {
        p10_seconds: soonest,
        p50_seconds: f64::midpoint(soonest, latest),
        p90_seconds: latest,
    })
}

#[cfg(test)]
mod tests;
