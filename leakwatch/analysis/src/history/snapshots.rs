//! Profiles of one type over time, bounded.

use crate::history::thinning::least_missed;
use crate::model::profile::Snapshot;
use crate::model::units::Timestamp;
use std::sync::Arc;

/// Profiles of one type, thinned so that the baseline, the newest and some in between stay. Copies share them until one changes.
#[derive(Clone, Debug, Default)]
pub struct SnapshotSeries(Arc<Vec<Snapshot>>);

impl SnapshotSeries {
    /// Snapshots kept per target and type.
    pub const CAPACITY: usize = 24;

    /// Appends a snapshot. When full, the interior snapshot whose removal leaves the smallest gap relative to its age goes:
    /// the first and the newest always stay, and resolution falls with age.
    pub fn push(&mut self, mut snapshot: Snapshot) {
        if let Some(last) = self.0.last() {
            if last.at >= snapshot.at {
                return;
            }
            snapshot.values.share_with(&last.values);
        }
        let snapshots = Arc::make_mut(&mut self.0);
        snapshots.push(snapshot);
        if snapshots.len() <= Self::CAPACITY {
            return;
        }
        let interior = 1..snapshots.len() - 1;
        if let Some(victim) = least_missed(snapshots, |snapshot| snapshot.at, |_| true, interior) {
            snapshots.remove(victim);
        }
    }

    /// All kept snapshots, oldest first.
    pub fn as_slice(&self) -> &[Snapshot] {
        &self.0
    }

    /// The newest.
    pub fn newest(&self) -> Option<&Snapshot> {
        self.0.last()
    }

    /// The snapshot nearest to an instant.
    pub fn nearest(&self, at: Timestamp) -> Option<&Snapshot> {
        self.0
            .iter()
            .min_by_key(|snapshot| snapshot.at.since(at).max(at.since(snapshot.at)))
    }

    /// All kept snapshots, oldest first, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [Snapshot] {
        Arc::make_mut(&mut self.0).as_mut_slice()
    }

    /// Drops all but the newest.
    pub fn keep_newest(&mut self) {
        let snapshots = Arc::make_mut(&mut self.0);
        let older = snapshots.len().saturating_sub(1);
        drop(snapshots.drain(..older));
    }

    /// Drops every second interior snapshot; the first and the newest stay.
    pub fn thin(&mut self) {
        let newest = self.0.len().saturating_sub(1);
        let mut index = 0;
        Arc::make_mut(&mut self.0).retain(|_| {
            let keep = index == 0 || index == newest || index % 2 == 0;
            index += 1;
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::profile::ProfileSource;
    use crate::model::profile::ProfileType;
    use crate::model::profile::StackValue;
    use crate::model::target::ProcessKey;
    use crate::model::target::TargetId;

    fn snapshot(second: u64) -> Snapshot {
        Snapshot {
            target: TargetId::from_text("t"),
            process: ProcessKey { pid: 1, start_ticks: 1 },
            profile_type: ProfileType::Heap,
            at: Timestamp::from_unix_seconds(second),
            source: ProfileSource::Endpoint,
            values: [].into(),
            total: StackValue::default(),
            period: 1,
            program: crate::model::profile::Program::default(),
            losses: [].into(),
        }
    }

    #[test]
    fn the_first_and_the_newest_stay_and_resolution_falls_with_age() {
        let mut series = SnapshotSeries::default();
        for second in (1..=10_000).step_by(10) {
            series.push(snapshot(second));
        }
        let at: Vec<u64> = series
            .as_slice()
            .iter()
            .map(|snapshot| snapshot.at.unix_nanos() / 1_000_000_000)
            .collect();
        assert_eq!(at.len(), SnapshotSeries::CAPACITY);
        assert_eq!((at.first(), at.last()), (Some(&1), Some(&9991)));
        let gap = |from: usize| at[from + 1] - at[from];
        assert!(gap(at.len() - 2) <= 20, "the newest gap is {} s", gap(at.len() - 2));
        assert!(gap(0) > 100 && gap(0) < 8000, "the oldest gap is {} s", gap(0));
        series.thin();
        series.thin();
        assert_eq!(
            series.as_slice().first().map(|s| s.at),
            Some(Timestamp::from_unix_seconds(1))
        );
        assert_eq!(series.newest().map(|s| s.at), Some(Timestamp::from_unix_seconds(9991)));
    }
}
