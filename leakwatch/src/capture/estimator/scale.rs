//! Scales samples up to allocations.
//!
//! Samples are taken by bytes, `mean` apart on average: an allocation of `size` bytes is one with probability
//! `p = 1 - exp(-size / mean)`, so each stands for `1 / p`. The estimate has no bias whatever the sizes are; its variance is the sum of
//! `size² (1 - p) / p²` over the samples that are live.
//!
//! All bytes together are known exactly. How far the estimate of them is off is chance, and each stack has its share of it, by its share of
//! the variance: taken away, the variance of what is live is smaller by that share (the regression estimator of sampling theory: Cochran,
//! Sampling Techniques, 3rd edition, chapter 7). Of a program that keeps half of what it allocates half the variance is left.

use leakwatch_analysis::model::profile::StackValue;

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

/// Variance of the estimated bytes of all allocations, where all the time was watched.
pub fn alloc_variance(sampled: &Sampled, mean_bytes: u64) -> f64 {
    if mean_bytes <= 1 || sampled.size_class == 0 {
        return 0.0;
    }
    let weight = Weight::of(sampled.size_class, sampled.allocs, sampled.alloc_bytes, mean_bytes);
    sampled.allocs * (weight.size / weight.chance).powi(2) * (1.0 - weight.chance)
}

/// Standard errors by which the estimate may differ from what is known. What differs by more is not about the same allocations: some have
/// failed, or were lost.
const MOST_ERRORS: f64 = 4.0;

/// Makes the estimates, each with [`alloc_variance`], fit the bytes that were allocated in all.
pub fn fit(estimates: &mut [(StackValue, f64)], bytes: u64) {
    let variance: f64 = estimates.iter().map(|(_, variance)| variance).sum();
    let estimated: f64 = estimates.iter().map(|(value, _)| signed(value.alloc_space)).sum();
    let missing = float(bytes) - estimated;
    if variance <= 0.0 || missing.abs() > MOST_ERRORS * variance.sqrt() {
        return;
    }
    for (value, alloc_variance) in estimates {
        let share = value.inuse_variance / variance;
        grow(
            &mut value.alloc_objects,
            &mut value.alloc_space,
            missing * *alloc_variance / variance,
        );
        grow(&mut value.inuse_objects, &mut value.inuse_space, missing * share);
        value.inuse_variance *= (1.0 - share).max(0.0);
    }
}

/// Adds bytes, and as many objects as come with them.
fn grow(objects: &mut i64, space: &mut i64, bytes: f64) {
    let before = signed(*space);
    if before > 0.0 {
        let factor = (1.0 + bytes / before).max(0.0);
        *objects = rounded(signed(*objects) * factor);
        *space = rounded(before * factor);
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

#[expect(clippy::cast_precision_loss, reason = "likewise")]
const fn signed(number: i64) -> f64 {
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

    /// Half of the bytes are kept, of two sizes; drawn a thousand times. The variance that is left is half, and says so.
    #[test]
    fn what_is_known_of_all_takes_away_half_the_variance() {
        let mean = 524_288;
        let mut random = fastrand::Rng::with_seed(1);
        let sizes: [(u64, u32); 2] = [(1_024, 400_000), (65_536, 6_250)];
        let truth = 400_000.0 * 1_024.0;
        let (mut squares, mut plain, mut promised) = (0.0, 0.0, 0.0);
        let rounds = 1_000_u32;
        for _ in 0..rounds {
            let mut estimates: Vec<(StackValue, f64)> = Vec::new();
            for (size, number) in sizes {
                let chance = -(-float(size) / float(mean)).exp_m1();
                let mut drawn = || {
                    let (half, spread) = (f64::from(number) / 2.0 * chance, 1.0 - chance);
                    // A sum of twelve is as good as normal.
                    let normal = (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
                    (half + normal * (half * spread).sqrt()).round().max(0.0)
                };
                let (kept, freed) = (drawn(), drawn());
                let sampled = Sampled {
                    size_class: size,
                    allocs: kept + freed,
                    alloc_bytes: (kept + freed) * float(size),
                    frees: freed,
                    free_bytes: freed * float(size),
                    ..Sampled::default()
                };
                estimates.push((scale(&sampled, mean), alloc_variance(&sampled, mean)));
            }
            let inuse = |estimates: &[(StackValue, f64)]| -> f64 {
                estimates.iter().map(|(value, _)| signed(value.inuse_space)).sum()
            };
            plain += (inuse(&estimates) - truth).powi(2);
            fit(&mut estimates, 2 * 400_000 * 1_024);
            squares += (inuse(&estimates) - truth).powi(2);
            promised += estimates.iter().map(|(value, _)| value.inuse_variance).sum::<f64>();
        }
        let left = squares / plain;
        assert!((left - 0.5).abs() < 0.06, "{left}");
        // The errors of stacks cancel each other: those of all together are smaller than the sum.
        assert!((1.0..1.7).contains(&(promised / squares)), "{}", promised / squares);
    }

    #[test]
    fn what_does_not_fit_is_left_alone() {
        let sampled = Sampled {
            size_class: 16,
            allocs: 100.0,
            alloc_bytes: 1_600.0,
            ..Sampled::default()
        };
        let before = scale(&sampled, 524_288);
        let mut estimates = [(before, alloc_variance(&sampled, 524_288))];
        fit(&mut estimates, 1 << 40);
        assert_eq!(estimates[0].0, before);
        fit(&mut estimates, 50_000_000);
        assert_eq!(estimates[0].0.alloc_space, 50_000_000);
        assert_eq!(estimates[0].0.inuse_space, 50_000_000);
        assert!(estimates[0].0.inuse_variance.abs() < 1.0);
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
