//! Which element of a bounded series is missed least: resolution falls with age, in proportion to it, so that minutes and weeks are
//! both there. Must not know what the elements are.

use crate::model::units::Timestamp;
use std::ops::Range;

/// An age of nothing counts as this one, in nanoseconds.
const SECOND: f64 = 1e9;

/// The index among `candidates` whose removal leaves the smallest gap relative to its age, where the one after it may take its place;
/// the first and the newest of all always stay.
pub(super) fn least_missed<T>(
    series: &[T],
    at: impl Fn(&T) -> Timestamp,
    may_join: impl Fn(&T) -> bool,
    candidates: Range<usize>,
) -> Option<usize> {
    let at = |item: &T| at(item).unix_nanos();
    let newest = at(series.last()?);
    let mut least: Option<(f64, usize)> = None;
    let first = candidates.start.max(1);
    let around = series.windows(3).enumerate().skip(first - 1);
    for (before, three) in around.take_while(|(before, _)| before + 1 < candidates.end) {
        let [older, this, younger] = three else { continue };
        if !may_join(younger) {
            continue;
        }
        let cost = nanos(at(younger), at(older)) / (nanos(newest, at(this)) + SECOND);
        if least.is_none_or(|(lowest, _)| cost < lowest) {
            least = Some((cost, before + 1));
        }
    }
    least.map(|(_, index)| index)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "gaps and ages are compared, to a part in 2^53"
)]
const fn nanos(later: u64, earlier: u64) -> f64 {
    later.saturating_sub(earlier) as f64
}
