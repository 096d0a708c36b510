//! From what was sampled to what was allocated.
//!
//! Samples are taken by bytes, `mean` apart on average: an allocation of `size` bytes is one with probability
//! `p = 1 - exp(-size / mean)`, so each stands for `1 / p`. The estimate has no bias whatever the sizes are; its variance is the sum of
//! `size² (1 - p) / p²` over the samples that are live.

use leakwatch_analysis::profile::StackValue;

/// Sampled allocations of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sampled {
    /// Bytes each; zero when every call was taken.
    pub size: u64,
    /// Allocations.
    pub allocs: u64,
    /// Their bytes.
    pub alloc_bytes: u64,
    /// Those that were freed.
    pub frees: u64,
    /// Their bytes.
    pub free_bytes: u64,
}

/// What the samples stand for.
pub fn scale(sampled: &Sampled, mean_bytes: u64) -> StackValue {
    // Counters are read one after the other while the program runs: a free may be seen before its allocation.
    let live = sampled.allocs.saturating_sub(sampled.frees);
    let live_bytes = sampled.alloc_bytes.saturating_sub(sampled.free_bytes);
    if mean_bytes <= 1 || sampled.size == 0 {
        return StackValue {
            alloc_objects: signed(sampled.allocs),
            alloc_space: signed(sampled.alloc_bytes),
            inuse_objects: signed(live),
            inuse_space: signed(live_bytes),
            inuse_variance: 0.0,
        };
    }
    let size = float(sampled.size);
    let chance = -(-size / float(mean_bytes)).exp_m1();
    let weigh = |number: u64| rounded(float(number) / chance);
    StackValue {
        alloc_objects: weigh(sampled.allocs),
        alloc_space: weigh(sampled.alloc_bytes),
        inuse_objects: weigh(live),
        inuse_space: weigh(live_bytes),
        inuse_variance: float(live) * (size / chance).powi(2) * (1.0 - chance),
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

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_itself() {
        let sampled = Sampled {
            size: 0,
            allocs: 7,
            alloc_bytes: 700,
            frees: 4,
            free_bytes: 300,
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
                size,
                allocs: 1,
                alloc_bytes: size,
                ..Sampled::default()
            };
            let value = scale(&sampled, mean);
            assert!((value.inuse_space - space).abs() <= 1, "{size}: {}", value.inuse_space);
        }
    }
}
