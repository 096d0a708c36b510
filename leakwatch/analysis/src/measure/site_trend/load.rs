//! Whether a program allocates faster than before: its load rises.

use crate::measure::site_trend::series::dated;
use crate::measure::site_trend::series::interpolate;
use crate::model::profile::Snapshot;

/// Default `runtime.MemProfileRate`: one sample stands for about this many bytes.
const SAMPLE_BYTES: f64 = 524_288.0;
/// Fewer profiles do not tell rising load from the grain of collections.
const LEAST_OBSERVATIONS: usize = 5;

/// Ratio of the allocation rate in the second half of the time to that in the first; none when it cannot be told from chance.
#[expect(
    clippy::cast_precision_loss,
    reason = "statistics tolerate the rounding, which starts at 8 PiB"
)]
pub(super) fn allocation_rate_change(snapshots: &[&Snapshot]) -> Option<f64> {
    let first = snapshots.first()?;
    let totals: Vec<(f64, f64)> = snapshots
        .iter()
        .map(|snapshot| (snapshot.at.seconds_from(first.at), snapshot.total.alloc_space as f64))
        .collect();
    let dated = dated(&totals, snapshots);
    let (&(start, allocated), &(end, allocated_last)) = (dated.first()?, dated.last()?);
    if dated.len() < LEAST_OBSERVATIONS || end <= start {
        return None;
    }
    let middle = interpolate(&dated, f64::midpoint(start, end));
    let (before, after) = (middle - allocated, allocated_last - middle);
    let change = after / before;
    // Few samples differ by chance. And each profile may belong to any time since the one before it.
    let gaps = dated
        .iter()
        .zip(dated.iter().skip(1))
        .map(|(before, after)| after.0 - before.0);
    let gap = gaps.fold(0.0, f64::max);
    let dating = gap / (end - start);
    let deviation = (SAMPLE_BYTES / before + SAMPLE_BYTES / after + 2.0 * dating * dating).sqrt();
    (change.is_finite() && change.ln().abs() > 2.0 * deviation).then_some(change)
}
