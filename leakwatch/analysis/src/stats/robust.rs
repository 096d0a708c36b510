//! Small robust statistics on plain numbers. Must not know what the numbers mean.
//!
//! Every function is total: no input makes it panic, and non-finite inputs are the caller's to keep out.

/// A count as a float; exact below 2^32, saturating above.
pub(crate) fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

/// The median; sorts in place.
pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    let len = values.len();
    if len == 0 {
        return None;
    }
    let middle = len / 2;
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if len % 2 == 1 {
        return Some(upper);
    }
    let lower = below.iter().copied().max_by(f64::total_cmp)?;
    Some(f64::midpoint(lower, upper))
}

/// Median absolute deviation times 1.4826, which is the standard deviation for normal data.
pub(crate) fn robust_deviation(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    let Some(center) = median(&mut sorted) else { return 0.0 };
    let mut deviations: Vec<f64> = values.iter().map(|value| (value - center).abs()).collect();
    median(&mut deviations).unwrap_or(0.0) * 1.4826
}

/// Theil-Sen slope: the median of the slopes of all pairs. Quadratic: for at most some tens of points.
pub(crate) fn theil_sen(points: &[(f64, f64)]) -> Option<f64> {
    let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
    for (i, &(t1, y1)) in points.iter().enumerate() {
        for &(t2, y2) in points.iter().skip(i + 1) {
            if t2 > t1 {
                slopes.push((y2 - y1) / (t2 - t1));
            }
        }
    }
    median(&mut slopes)
}

/// Correlation of neighbouring values, within -1 and 1; 0 when it is not defined.
pub(crate) fn lag1_autocorrelation(values: &[f64]) -> f64 {
    if values.len() < 3 {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / count(values.len());
    let variance: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    if variance <= 0.0 {
        return 0.0;
    }
    let covariance: f64 = values
        .iter()
        .zip(values.iter().skip(1))
        .map(|(a, b)| (a - mean) * (b - mean))
        .sum();
    (covariance / variance).clamp(-1.0, 1.0)
}

/// The 97.5 % quantile of Student's t with `degrees` of freedom (Cornish-Fisher expansion around the normal quantile;
/// 2 % too small at 4 degrees, 4 % at 3, 10 % at 2, where it is clamped).
pub(crate) fn student_975(degrees: f64) -> f64 {
    const Z: f64 = 1.959_964;
    let d = degrees.max(2.0);
    let z3 = Z.powi(3);
    let z5 = Z.powi(5);
    Z + (z3 + Z) / (4.0 * d) + (5.0 * z5 + 16.0 * z3 + 3.0 * Z) / (96.0 * d * d)
}

/// Upper tail of the standard normal distribution, by Abramowitz and Stegun 26.2.17 (absolute error below 7.5e-8).
pub(crate) fn normal_tail(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - normal_tail(-z);
    }
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let poly =
        t * (0.319_381_53 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt() * poly
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, tolerance: f64) -> bool {
        (a - b).abs() <= tolerance
    }

    #[test]
    fn medians_and_quantiles() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn theil_sen_ignores_a_third_of_outliers() {
        let points: Vec<(f64, f64)> = (0..30)
            .map(|i| {
                let t = f64::from(i);
                (t, if i % 5 == 0 { 1e9 } else { 2.0 * t })
            })
            .collect();
        assert!(close(theil_sen(&points).unwrap(), 2.0, 1e-9));
    }

    #[test]
    fn distribution_functions_match_the_tables() {
        for (degrees, expected) in [(4.0, 2.776), (10.0, 2.228), (30.0, 2.042), (1e9, 1.96)] {
            assert!(close(student_975(degrees), expected, 0.05), "{degrees}");
        }
        for (z, expected) in [
            (0.0, 0.5),
            (1.6449, 0.05),
            (1.96, 0.025),
            (3.0, 0.00135),
            (-1.6449, 0.95),
        ] {
            assert!(close(normal_tail(z), expected, 1e-4), "{z}");
        }
    }

    #[test]
    fn autocorrelation_of_a_sawtooth_is_high_and_of_alternation_negative() {
        let saw: Vec<f64> = (0..40).map(|i| f64::from(i % 10)).collect();
        let alternating: Vec<f64> = (0..40).map(|i| f64::from(i % 2)).collect();
        assert!(lag1_autocorrelation(&saw) > 0.3);
        assert!(lag1_autocorrelation(&alternating) < -0.8);
    }
}
