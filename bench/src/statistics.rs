//! What pairs of measurements say together: the median ratio or difference, and a 95 % interval that assumes no shape of the noise but its
//! symmetry.
//!
//! That is the median of the averages of all two pairs (Hodges and Lehmann), for ratios of logarithms, and the interval of the signed-rank
//! test (Wilcoxon). Nothing is drawn at random: the same measurements give the same interval.

/// Outside of the interval on each side.
const TAIL: f64 = 0.025;

/// A ratio or a difference of two things measured in pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Paired {
    pub(crate) middle: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) pairs: usize,
    /// Whether `low` and `high` are a 95 % interval. Of fewer than six pairs there is none: they are the least and the most.
    pub(crate) sure: bool,
}

impl Paired {
    /// Of pairs, the first of each divided by the second.
    pub(crate) fn ratio(pairs: &[(f64, f64)]) -> Option<Self> {
        let logarithms: Vec<f64> = pairs.iter().map(|(one, other)| (one / other).ln()).collect();
        let paired = Self::around(&logarithms)?;
        Some(Self {
            middle: paired.middle.exp(),
            low: paired.low.exp(),
            high: paired.high.exp(),
            ..paired
        })
    }

    /// Of pairs, the first of each less the second.
    pub(crate) fn difference(pairs: &[(f64, f64)]) -> Option<Self> {
        let differences: Vec<f64> = pairs.iter().map(|(one, other)| one - other).collect();
        Self::around(&differences)
    }

    /// What is in the middle of some values, one of each pair.
    fn around(values: &[f64]) -> Option<Self> {
        let mut averages = Vec::new();
        for (index, one) in values.iter().enumerate() {
            averages.extend(values.iter().skip(index).map(|other| f64::midpoint(*one, *other)));
        }
        averages.sort_by(f64::total_cmp);
        let outside = outside(values.len());
        let end = outside.saturating_sub(1);
        let at = |index: usize| averages.get(index).copied();
        Some(Self {
            middle: f64::midpoint(at((averages.len().checked_sub(1)?) / 2)?, at(averages.len() / 2)?),
            low: at(end)?,
            high: at(averages.len().checked_sub(end + 1)?)?,
            pairs: values.len(),
            sure: outside > 0,
        })
    }
}

/// How many of the sums of ranks, the smallest first, are together no more probable than the tail.
fn outside(pairs: usize) -> usize {
    // Number of subsets of the ranks 1 to `pairs` with each sum.
    let mut subsets = vec![1.0];
    for rank in 1..=pairs {
        let mut next = subsets.clone();
        next.resize(subsets.len() + rank, 0.0);
        for (with, before) in next.iter_mut().skip(rank).zip(&subsets) {
            *with += before;
        }
        subsets = next;
    }
    let all: f64 = subsets.iter().sum();
    let mut together = 0.0;
    subsets
        .iter()
        .take_while(|subsets| {
            together += **subsets / all;
            together <= TAIL
        })
        .count()
}

/// Middle of some values.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let low = values.get(values.len().checked_sub(1)? / 2)?;
    Some(f64::midpoint(*low, *values.get(values.len() / 2)?))
}

/// What a value gains for each unit of the first number: the median over all pairs of points (Theil and Sen).
pub(crate) fn slope(points: &[(u32, f64)]) -> Option<f64> {
    let pairs = points.iter().enumerate().flat_map(|(index, (earlier, before))| {
        let later = points.iter().skip(index + 1).filter(move |(later, _)| later != earlier);
        later.map(move |(later, after)| (after - before) / (f64::from(*later) - f64::from(*earlier)))
    });
    median(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_signed_rank_test() {
        // Tables of Wilcoxon's test for 5 % on both sides: the largest sum that is still significant, of so many pairs.
        for (pairs, largest) in [(6, 0), (7, 2), (8, 3), (10, 8), (16, 29), (20, 52)] {
            assert_eq!(outside(pairs), largest + 1, "{pairs} pairs");
        }
        assert_eq!(outside(5), 0);
    }

    #[test]
    fn pairs_are_compared_with_each_other_only() {
        // The machine gets slower all the time, and the first of each pair does a tenth less.
        let pairs: Vec<(f64, f64)> = (1..=8)
            .map(|index| 1_000.0 / f64::from(index))
            .map(|speed| (0.9 * speed, speed))
            .collect();
        let ratio = Paired::ratio(&pairs).unwrap();
        for value in [ratio.middle, ratio.low, ratio.high] {
            assert!((value - 0.9).abs() < 1e-9, "{ratio:?}");
        }
        assert!(ratio.sure);
        assert_eq!(ratio.pairs, 8);
    }

    #[test]
    fn differences_stay_what_they_are() {
        let pairs: Vec<(f64, f64)> = (1..=8).map(f64::from).map(|slow| (slow + 3.0, slow)).collect();
        let paired = Paired::difference(&pairs).unwrap();
        for value in [paired.middle, paired.low, paired.high] {
            assert!((value - 3.0).abs() < 1e-9, "{paired:?}");
        }
        assert!(paired.sure);
    }

    #[test]
    fn a_slope_is_not_moved_by_one_value() {
        let points: Vec<(u32, f64)> = (0..9)
            .map(|at| (at, if at == 4 { 1e9 } else { 2.0 * f64::from(at) }))
            .collect();
        assert!((slope(&points).unwrap() - 2.0).abs() < 1e-9);
        assert_eq!(slope(&points[..1]), None);
    }

    #[test]
    fn of_few_pairs_there_are_only_the_least_and_the_most() {
        let ratio = Paired::ratio(&[(1.0, 2.0), (3.0, 4.0), (1.0, 1.0)]).unwrap();
        assert!(!ratio.sure);
        assert!(
            (ratio.low - 0.5).abs() < 1e-9 && (ratio.high - 1.0).abs() < 1e-9,
            "{ratio:?}"
        );
        assert_eq!(Paired::ratio(&[]), None);
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([]), None);
    }
}
