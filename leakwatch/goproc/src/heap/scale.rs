//! From samples to what was allocated: `scaleHeapSample` of runtime/pprof, and how sure the result is.

/// Objects and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Objects.
    pub objects: i64,
    /// Bytes.
    pub bytes: i64,
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.objects = self.objects.saturating_add(other.objects);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// An estimate with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Objects that were sampled.
    pub samples: u64,
    /// Lower end in bytes.
    pub low: f64,
    /// The estimate in bytes.
    pub bytes: f64,
    /// Upper end in bytes.
    pub high: f64,
}

/// The share of objects of one size that is sampled at a rate.
#[expect(clippy::cast_precision_loss, reason = "as runtime/pprof computes it")]
fn probability(size: u64, rate: u64) -> f64 {
    if rate <= 1 {
        return 1.0;
    }
    1.0 - (-(size as f64) / rate as f64).exp()
}

/// What runtime/pprof reports for a number of sampled objects (negative for a decrease), truncated as it does.
pub fn scale(count: i64, size: u64, rate: u64) -> Amount {
    scale_by(factor(size, rate), count, size)
}

/// How many objects of one size a sampled one stands for; none where each was counted.
pub fn factor(size: u64, rate: u64) -> Option<f64> {
    (rate > 1).then(|| 1.0 / probability(size, rate))
}

/// What runtime/pprof reports, with the factor of the size.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "as runtime/pprof computes it"
)]
pub fn scale_by(factor: Option<f64>, count: i64, size: u64) -> Amount {
    let signed = i64::try_from(size).unwrap_or(i64::MAX);
    if count == 0 || size == 0 {
        return Amount::default();
    }
    let bytes = count.saturating_mul(signed);
    let Some(factor) = factor else {
        return Amount { objects: count, bytes };
    };
    Amount {
        objects: (count as f64 * factor) as i64,
        bytes: (bytes as f64 * factor) as i64,
    }
}

/// The bytes behind a number of sampled objects of one size, and how far off that may be. Objects are sampled
/// independently; the interval is Garwood's for a Poisson count, in the approximation of Wilson and Hilferty, narrowed by
/// the share of objects that is sampled anyway.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn estimate(samples: u64, size: u64, rate: u64) -> Estimate {
    /// 97.5 % quantile of the normal distribution.
    const Z: f64 = 1.959_964;
    let share = probability(size, rate);
    let count = samples as f64;
    let cube = |value: f64| value * value * value;
    let low = if samples == 0 {
        0.0
    } else {
        count * cube((1.0 - 1.0 / (9.0 * count) - Z / (3.0 * count.sqrt())).max(0.0))
    };
    let next = count + 1.0;
    let high = next * cube(1.0 - 1.0 / (9.0 * next) + Z / (3.0 * next.sqrt()));
    let narrowed = (1.0 - share).max(0.0).sqrt();
    let bytes_per_sample = if share > 0.0 { size as f64 / share } else { 0.0 };
    Estimate {
        samples,
        low: (count - (count - low) * narrowed) * bytes_per_sample,
        bytes: count * bytes_per_sample,
        high: (count + (high - count) * narrowed) * bytes_per_sample,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_as_pprof_does() {
        // Count, size, rate, objects, bytes: printed by a Go program with the formula of runtime/pprof.
        let cases = [
            (0, 64, 524_288, 0, 0),
            (1, 0, 524_288, 0, 0),
            (3, 64, 1, 3, 192),
            (3, 64, 0, 3, 192),
            (1, 64, 524_288, 8192, 524_320),
            (-1, 64, 524_288, -8192, -524_320),
            (7, 1024, 524_288, 3587, 3_673_601),
            (2, 524_288, 524_288, 3, 1_658_822),
            (5, 4 << 20, 524_288, 5, 20_978_557),
            (123_456, 48, 4096, 10_596_760, 508_644_506),
        ];
        for (count, size, rate, objects, bytes) in cases {
            assert_eq!(
                scale(count, size, rate),
                Amount { objects, bytes },
                "{count} of {size} at {rate}"
            );
        }
    }

    #[test]
    fn intervals_shrink_with_samples_and_vanish_without_sampling() {
        let exact = estimate(10, 64, 1);
        assert!((exact.low - 640.0).abs() < 1e-9 && (exact.high - 640.0).abs() < 1e-9);
        let few = estimate(4, 64, 524_288);
        let many = estimate(400, 64, 524_288);
        assert!(few.low < few.bytes && few.bytes < few.high);
        // Garwood's interval for 4 is 1.09 to 10.24.
        assert!((few.low / few.bytes - 1.09 / 4.0).abs() < 0.01, "{few:?}");
        assert!((few.high / few.bytes - 10.24 / 4.0).abs() < 0.01, "{few:?}");
        assert!((many.high - many.low) / many.bytes < 0.21);
        let none = estimate(0, 64, 524_288);
        assert!(none.low == 0.0 && none.high > 3.6 * 524_288.0);
    }
}
