//! How the amount of one call site moves over time: evenness, waves, slowing. Pure numbers; must not know what they mean.

use crate::model::profile::ProfileSource;
use crate::model::profile::Snapshot;
use crate::stats::robust;
use crate::stats::robust::count;

/// Most parts of the time that are compared.
const MAX_PARTS: usize = 4;
/// Samples that a part must be expected to have: with 6, even growth stays above 0.35 of its mean in 94 % of cases (Poisson).
const SAMPLES_PER_PART: f64 = 6.0;
/// A call site that once fell by this part of its later growth holds what load demands.
const WAVE_PART: f64 = 0.15;

/// Standard deviation around the trend.
pub(super) fn fluctuation(points: &[(f64, f64)]) -> f64 {
    let Some(slope) = robust::theil_sen(points).filter(|_| points.len() >= 4) else {
        return 0.0;
    };
    let residuals: Vec<f64> = points.iter().map(|&(t, y)| y - slope * t).collect();
    robust::robust_deviation(&residuals)
}

/// The least growth of what never came back, over equal parts of the time, relative to even growth. The growth being `z`
/// sampling deviations large, there are as many parts as can each be expected to stand out from sampling noise, two to four.
pub(super) fn persistence(points: &[(f64, f64)], z: f64) -> f64 {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return 0.0;
    };
    // Retained: from each instant on, the least that was ever seen again.
    let mut retained = points.to_vec();
    let mut least = f64::INFINITY;
    for point in retained.iter_mut().rev() {
        least = least.min(point.1);
        point.1 = least;
    }
    let at = |t: f64| interpolate(&retained, t);
    let growth = at(last.0) - at(first.0);
    if growth <= 0.0 {
        return 0.0;
    }
    let distinguishable = (2..=MAX_PARTS)
        .rev()
        .find(|&parts| z * z >= count(parts) * SAMPLES_PER_PART)
        .unwrap_or(2);
    let parts = points.len().saturating_sub(1).clamp(2, distinguishable.max(2));
    let width = (last.0 - first.0) / count(parts);
    (0..parts)
        .map(|part| {
            let from = first.0 + width * count(part);
            (at(from + width) - at(from)) / growth * count(parts)
        })
        .fold(f64::INFINITY, f64::min)
        .clamp(0.0, 1.0)
}

/// Whether at least half of the growth lies above all that was seen before, and nothing worth mentioning went away before:
/// else it is a wave that comes back from its trough.
pub(super) fn exceeds(points: &[(f64, f64)], before: &[(f64, f64)], growth: f64) -> bool {
    let (mut highest, mut fell) = (0.0_f64, 0.0_f64);
    for &(_, value) in before.iter().chain(points.first()) {
        highest = highest.max(value);
        fell = fell.max(highest - value);
    }
    let above = points.last().is_some_and(|last| last.1 - highest >= growth / 2.0);
    before.is_empty() || (above && fell <= growth * WAVE_PART)
}

/// Growth in the second half of the time relative to that in the first.
pub(super) fn acceleration(points: &[(f64, f64)]) -> f64 {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return 1.0;
    };
    let middle = interpolate(points, f64::midpoint(first.0, last.0));
    let before = middle - first.1;
    if before > 0.0 { (last.1 - middle) / before } else { 1.0 }
}

/// The points of profiles at the times that their numbers belong to. An endpoint shows the state of the collection before the last
/// one, as of the profile before; what is read from memory is that of the last one.
pub(super) fn dated(points: &[(f64, f64)], snapshots: &[&Snapshot]) -> Vec<(f64, f64)> {
    let mut before = None;
    points
        .iter()
        .zip(snapshots)
        .filter_map(|(point, snapshot)| {
            let before = before.replace(point.0);
            match snapshot.source {
                ProfileSource::Endpoint => Some((before?, point.1)),
                _ => Some(*point),
            }
        })
        .collect()
}

pub(super) fn interpolate(points: &[(f64, f64)], t: f64) -> f64 {
    let next = points.partition_point(|point| point.0 < t);
    match (next.checked_sub(1).and_then(|i| points.get(i)), points.get(next)) {
        (Some(before), Some(after)) if after.0 > before.0 => {
            before.1 + (after.1 - before.1) * (t - before.0) / (after.0 - before.0)
        }
        (_, Some(point)) | (Some(point), None) => point.1,
        (None, None) => 0.0,
    }
}
