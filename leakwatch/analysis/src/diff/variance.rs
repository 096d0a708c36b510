//! How far a difference of two sampled values may be off.
//!
//! The runtime decides once, at the allocation, whether an object is sampled. An object live in both profiles is
//! therefore sampled in both or in neither and cancels out: only objects that came or went in between add variance.
//! How many these are is bounded by the profile's own allocation counts.

use crate::model::profile::SampleType;
use crate::model::profile::StackValue;

/// Variance of `compare - base` of one stack; `None` where nothing in the profiles tells the object size.
pub(super) fn of_delta(sample_type: SampleType, base: &StackValue, compare: &StackValue) -> Option<f64> {
    match sample_type {
        SampleType::Goroutine => Some(0.0),
        SampleType::InuseSpace => Some(of_space(base, compare)),
        SampleType::Space => Some(of_resident(base, compare)),
        SampleType::InuseObjects => Some(of_space(base, compare) * objects_per_byte(base, compare).powi(2)),
        SampleType::AllocSpace => of_allocated_space(base, compare),
        SampleType::AllocObjects => {
            of_allocated_space(base, compare).map(|variance| variance * objects_per_byte(base, compare).powi(2))
        }
    }
}

fn of_space(base: &StackValue, compare: &StackValue) -> f64 {
    let allocated = compare.alloc_objects.saturating_sub(base.alloc_objects);
    if allocated < 0 {
        // Not the same process: nothing cancels out.
        return base.inuse_variance + compare.inuse_variance;
    }
    let freed = allocated.saturating_sub(compare.inuse_objects.saturating_sub(base.inuse_objects));
    base.inuse_variance * share(freed, base.inuse_objects)
        + compare.inuse_variance * share(allocated, compare.inuse_objects)
}

/// Pages have no objects: what came is told by the bytes.
fn of_resident(base: &StackValue, compare: &StackValue) -> f64 {
    let came = compare.alloc_space.saturating_sub(base.alloc_space);
    if came < 0 {
        return base.inuse_variance + compare.inuse_variance;
    }
    let went = came.saturating_sub(compare.inuse_space.saturating_sub(base.inuse_space));
    base.inuse_variance * share(went, base.inuse_space) + compare.inuse_variance * share(came, compare.inuse_space)
}

/// Variance per object live, times the objects allocated in between.
fn of_allocated_space(base: &StackValue, compare: &StackValue) -> Option<f64> {
    let allocated = compare.alloc_objects.saturating_sub(base.alloc_objects);
    if allocated == 0 {
        return (compare.alloc_space == base.alloc_space).then_some(0.0);
    }
    let live = base.inuse_objects.saturating_add(compare.inuse_objects);
    (live > 0).then(|| (base.inuse_variance + compare.inuse_variance) / float(live) * float(allocated).abs())
}

fn objects_per_byte(base: &StackValue, compare: &StackValue) -> f64 {
    let space = base.inuse_space.saturating_add(compare.inuse_space);
    if space == 0 {
        return 0.0;
    }
    float(base.inuse_objects.saturating_add(compare.inuse_objects)) / float(space)
}

fn share(part: i64, whole: i64) -> f64 {
    if whole <= 0 {
        return 0.0;
    }
    (float(part) / float(whole)).clamp(0.0, 1.0)
}

#[expect(clippy::cast_precision_loss, reason = "a variance is an estimate")]
const fn float(value: i64) -> f64 {
    value as f64
}
