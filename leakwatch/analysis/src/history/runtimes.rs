//! What a runtime counts over time, bounded.

use crate::history::thinning::least_missed;
use crate::model::runtime::GoRuntimeStats;
use crate::model::runtime::RuntimeStats;
use crate::model::target::ProcessKey;
use crate::model::units::Timestamp;
use std::sync::Arc;

/// What a runtime counted at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuntimePoint {
    /// When it was read.
    pub at: Timestamp,
    /// Of which process.
    pub process: ProcessKey,
    /// What it counted.
    pub stats: RuntimeStats,
}

/// Readings of one process: the newer half at full resolution, older ones the thinner the older they are. Copies share them
/// until one changes.
#[derive(Clone, Debug, Default)]
pub struct RuntimeSeries(Arc<Vec<RuntimePoint>>);

impl RuntimeSeries {
    /// Readings kept, 144 bytes each.
    pub const CAPACITY: usize = 192;

    /// Appends a reading; one out of order is ignored. Another process starts the series anew.
    pub fn push(&mut self, point: RuntimePoint) {
        let points = Arc::make_mut(&mut self.0);
        match points.last() {
            Some(last) if last.process != point.process => points.clear(),
            Some(last) if last.at >= point.at => return,
            _ => {}
        }
        if points.len() >= Self::CAPACITY {
            let older = 1..Self::CAPACITY / 2;
            if let Some(victim) = least_missed(points, |point| point.at, |_| true, older) {
                points.remove(victim);
            }
        }
        points.push(point);
    }

    /// All readings, oldest first.
    pub fn as_slice(&self) -> &[RuntimePoint] {
        &self.0
    }

    /// The newest at or before an instant.
    pub fn at(&self, at: Timestamp) -> Option<&RuntimePoint> {
        let end = self.0.partition_point(|point| point.at <= at);
        self.0.get(end.checked_sub(1)?)
    }

    /// What a Go runtime counted, oldest first; nothing for another runtime.
    pub fn go(&self) -> impl Iterator<Item = (Timestamp, &GoRuntimeStats)> {
        self.0.iter().filter_map(|point| Some((point.at, point.stats.go()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(second: u64, pid: u32) -> RuntimePoint {
        RuntimePoint {
            at: Timestamp::from_unix_seconds(second),
            process: ProcessKey { pid, start_ticks: 1 },
            stats: RuntimeStats::Go(GoRuntimeStats::default()),
        }
    }

    #[test]
    fn a_series_is_bounded_of_one_process_and_in_order() {
        let mut series = RuntimeSeries::default();
        for second in 1..=10_000 {
            series.push(point(second, 1));
        }
        series.push(point(9_000, 1));
        let seconds: Vec<u64> = series
            .as_slice()
            .iter()
            .map(|point| point.at.unix_nanos() / 1_000_000_000)
            .collect();
        assert!(seconds.len() <= RuntimeSeries::CAPACITY && seconds.is_sorted());
        let newest = &seconds[seconds.len() - RuntimeSeries::CAPACITY / 2..];
        assert!(newest.iter().copied().eq(newest[0]..=10_000), "{seconds:?}");
        let at = |second| series.at(Timestamp::from_unix_seconds(second)).map(|point| point.at);
        assert_eq!(at(20_000), Some(Timestamp::from_unix_seconds(10_000)));
        assert_eq!(at(0), None);

        series.push(point(10_001, 2));
        assert_eq!(series.as_slice(), [point(10_001, 2)]);
    }
}
