//! How much a call site holds, how much more it holds than before, and how much of that may be chance.

use crate::measure::site_trend::series::fluctuation;
use crate::model::profile::ProfileType;
use crate::model::profile::StackValue;
use crate::model::verdict::Estimate;

/// A call site whose objects are replaced all the time holds what load demands, and load fluctuates by about this part between two
/// profiles; what is only added to does not. See `docs/detectors/site_trend.md`.
const LOAD_FLUCTUATION: f64 = 0.15;
/// Goroutine counts fluctuate by single goroutines even when idle.
const GOROUTINE_NOISE: f64 = 2.0;
/// One size class of the runtime's largest small objects.
const BYTES_NOISE: f64 = 32_768.0;

#[expect(
    clippy::cast_precision_loss,
    reason = "statistics tolerate the rounding, which starts at 8 PiB"
)]
pub(super) fn amount(profile_type: ProfileType, value: &StackValue) -> f64 {
    match profile_type {
        ProfileType::Goroutine | ProfileType::GoroutineLeak => value.inuse_objects as f64,
        _ => value.inuse_space as f64,
    }
}

/// Variance of the growth, from sampling and from load. What is in both profiles was sampled once and cancels: only what was allocated or freed in
/// between contributes, and no more than what is in either.
#[expect(
    clippy::cast_precision_loss,
    reason = "statistics tolerate the rounding, which starts at 8 PiB"
)]
pub(super) fn growth_variance(profile_type: ProfileType, base: &StackValue, compare: &StackValue) -> f64 {
    if matches!(profile_type, ProfileType::Goroutine | ProfileType::GoroutineLeak) {
        return 0.0;
    }
    let both = base.inuse_variance + compare.inuse_variance;
    let live = (base.inuse_space as f64) + (compare.inuse_space as f64);
    let allocated = (compare.alloc_space as f64 - base.alloc_space as f64).max(0.0);
    let freed = (allocated - (compare.inuse_space as f64 - base.inuse_space as f64)).max(0.0);
    if live <= 0.0 || allocated <= 0.0 {
        return both;
    }
    let replaced = (freed / (base.inuse_space as f64).max(1.0)).min(1.0);
    let load = LOAD_FLUCTUATION * replaced * live / 2.0;
    both * ((allocated + freed) / live).min(1.0) + load * load
}

/// Growth from the first to the last point, with a 95 % interval from sampling variance and fluctuation around the trend.
pub(super) fn estimate(profile_type: ProfileType, points: &[(f64, f64)], variance: f64) -> Estimate {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Estimate::default();
    };
    let growth = last.1 - first.1;
    let half_width = 1.96 * (variance + fluctuation(points).powi(2) + noise_floor(profile_type).powi(2)).sqrt();
    Estimate {
        estimate: growth,
        low: growth - half_width,
        high: growth + half_width,
    }
}

const fn noise_floor(profile_type: ProfileType) -> f64 {
    match profile_type {
        ProfileType::Goroutine | ProfileType::GoroutineLeak => GOROUTINE_NOISE,
        _ => BYTES_NOISE,
    }
}
