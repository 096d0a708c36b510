//! From what was sampled to what was allocated.
//!
//! Samples are taken by bytes, `mean` apart on average: an allocation of `size` bytes is one with probability
//! `p = 1 - exp(-size / mean)`, so each stands for `1 / p`. The estimate has no bias whatever the sizes are; its variance is the sum of
//! `size² (1 - p) / p²` over the samples that are live.

use leakwatch_analysis::profile::StackValue;

/// Sampled allocations of about one size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampled {
    /// Least size of their class; zero when every call was taken.
    pub size_class: u64,
    /// Allocations.
    pub allocs: f64,
    /// Their bytes.
    pub alloc_bytes: f64,
    /// Those that were freed.
    pub frees: f64,
    /// Their bytes.
    pub free_bytes: f64,
    /// Variance of the number of those, as most of them are not seen.
    pub free_variance: f64,
    /// What each of them was counted as, as not all the time was watched.
    pub weight: f64,
}

impl Default for Sampled {
    fn default() -> Self {
        Self {
            size_class: 0,
            allocs: 0.0,
            alloc_bytes: 0.0,
            frees: 0.0,
            free_bytes: 0.0,
            free_variance: 0.0,
            weight: 1.0,
        }
    }
}

/// What the samples stand for.
pub fn scale(sampled: &Sampled, mean_bytes: u64) -> StackValue {
    // Counters are read one after the other while the program runs: a free may be seen before its allocation.
    let live = (sampled.allocs - sampled.frees).max(0.0);
    let live_bytes = (sampled.alloc_bytes - sampled.free_bytes).max(0.0);
    if mean_bytes <= 1 || sampled.size_class == 0 {
        let allocated = if sampled.allocs > 0.0 {
            live_bytes / live.max(1.0)
        } else {
            0.0
        };
        return StackValue {
            alloc_objects: rounded(sampled.allocs),
            alloc_space: rounded(sampled.alloc_bytes),
            inuse_objects: rounded(live),
            inuse_space: rounded(live_bytes),
            // Of what was allocated while nobody looked.
            inuse_variance: (live * (sampled.weight - 1.0) + sampled.free_variance) * allocated.powi(2),
        };
    }
    let allocated = Weight::of(sampled.size_class, sampled.allocs, sampled.alloc_bytes, mean_bytes);
    let kept = Weight::of(sampled.size_class, live, live_bytes, mean_bytes);
    let chance = kept.chance / sampled.weight;
    StackValue {
        alloc_objects: allocated.of_each(sampled.allocs),
        alloc_space: allocated.of_each(sampled.alloc_bytes),
        inuse_objects: kept.of_each(live),
        inuse_space: kept.of_each(live_bytes),
        inuse_variance: live / sampled.weight * (kept.size / chance).powi(2) * (1.0 - chance)
            + sampled.free_variance * (kept.size / kept.chance).powi(2),
    }
}

/// What a sample among some of about one size stands for.
#[derive(Clone, Copy, Debug)]
struct Weight {
    /// Mean size in bytes.
    size: f64,
    /// The chance that one is a sample.
    chance: f64,
}

impl Weight {
    fn of(size_class: u64, number: f64, bytes: f64, mean_bytes: u64) -> Self {
        // Of counters that were read at different instants the mean may be anything.
        let least = float(size_class);
        let size = (bytes / number.max(1.0)).clamp(least, least * (17.0 / 16.0));
        Self {
            size,
            chance: -(-size / float(mean_bytes)).exp_m1(),
        }
    }

    fn of_each(self, number: f64) -> i64 {
        rounded(number / self.chance)
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate; the rounding starts at 2^53")]
const fn float(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, reason = "saturates")]
fn rounded(number: f64) -> i64 {
    number.round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_itself() {
        let sampled = Sampled {
            size_class: 0,
            allocs: 7.0,
            alloc_bytes: 700.0,
            frees: 4.0,
            free_bytes: 300.0,
            ..Sampled::default()
        };
        let value = scale(&sampled, 1);
        assert_eq!((value.alloc_objects, value.alloc_space), (7, 700));
        assert_eq!((value.inuse_objects, value.inuse_space), (3, 400));
        assert!(value.inuse_variance.abs() < f64::EPSILON);
    }

    #[test]
    fn a_sample_stands_for_the_mean_or_for_itself() {
        let mean = 524_288;
        for (size, space) in [(16, 524_296), (4096, 526_339), (524_288, 829_412), (1 << 30, 1 << 30)] {
            let sampled = Sampled {
                size_class: size,
                allocs: 1.0,
                alloc_bytes: float(size),
                ..Sampled::default()
            };
            let value = scale(&sampled, mean);
            assert!((value.inuse_space - space).abs() <= 1, "{size}: {}", value.inuse_space);
        }
    }

    /// All objects of a class are as good as sampled with the chance of their mean size.
    #[test]
    fn a_class_is_narrow_enough() {
        let mean = 524_288;
        for least in [16_u64, 4_096, 65_536, 524_288, 1 << 22] {
            let width = (least / 16).max(1);
            let sizes = [least, least + width - 1];
            let one = |size| Sampled {
                size_class: least,
                allocs: 1000.0,
                alloc_bytes: 1000.0 * float(size),
                ..Sampled::default()
            };
            let apart: i64 = sizes.map(|size| scale(&one(size), mean).inuse_space).iter().sum();
            let both = Sampled {
                size_class: least,
                allocs: 2000.0,
                alloc_bytes: 1000.0 * float(sizes[0] + sizes[1]),
                ..Sampled::default()
            };
            let together = scale(&both, mean).inuse_space;
            assert!((together - apart).abs() <= apart / 2000, "{least}: {together} {apart}");
        }
    }
}
