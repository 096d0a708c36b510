//! Which element of a bounded series is missed least: resolution falls with age, in proportion to it, so that minutes and weeks are
//! both there. Must not know what the elements are.

use crate::model::units::Timestamp;
use std::ops::Range;

/// The index among `candidates` whose removal leaves the smallest gap relative to its age, where the one after it may take its place;
/// the first and the newest of all always stay.
pub(super) fn least_missed<T>(
    series: &[T],
    at: impl Fn(&T) -> Timestamp,
    may_join: impl Fn(&T) -> bool,
    candidates: Range<usize>,
) -> Option<usize> {
    let newest = at(series.last()?);
    let mut least: Option<(f64, usize)> = None;
    let first = candidates.start.max(1);
    let around = series.windows(3).enumerate().skip(first - 1);
    for (before, three) in around.take_while(|(before, _)| before + 1 < candidates.end) {
        let [older, this, younger] = three else { continue };
        if !may_join(younger) {
            continue;
        }
        let gap = at(younger).since(at(older)).as_secs_f64();
        let cost = gap / (newest.since(at(this)).as_secs_f64() + 1.0);
        if least.is_none_or(|(lowest, _)| cost < lowest) {
            least = Some((cost, before + 1));
        }
    }
    least.map(|(_, index)| index)
}
