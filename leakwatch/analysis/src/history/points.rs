//! The memory of a target over time, bounded: recent points at full resolution, older ones merged.

use crate::units::Bytes;
use crate::units::Timestamp;

/// The numbers of one sample, or of several neighbouring samples merged when history gets long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryPoint {
    /// Instant of the newest sample in it.
    pub at: Timestamp,
    /// Charge of the cgroup, newest.
    pub charge: Bytes,
    /// Charge minus reclaimable page cache, newest.
    pub unreclaimable: Option<Bytes>,
    /// Lowest `unreclaimable` of the merged samples: the envelope that survives garbage collections.
    pub unreclaimable_min: Option<Bytes>,
    /// Highest `unreclaimable` of the merged samples.
    pub unreclaimable_max: Option<Bytes>,
    /// Anonymous memory.
    pub anon: Option<Bytes>,
    /// Page cache that reclaim can drop (active and inactive file pages).
    pub file: Option<Bytes>,
    /// Shared memory and tmpfs.
    pub shmem: Option<Bytes>,
    /// Kernel memory charged to the cgroup.
    pub kernel: Option<Bytes>,
    /// Sum of the resident memory of all processes.
    pub rss: Option<Bytes>,
}

impl MemoryPoint {
    fn merge(older: &Self, newer: &Self) -> Self {
        let pick = |a: Option<Bytes>, b: Option<Bytes>, f: fn(Bytes, Bytes) -> Bytes| match (a, b) {
            (Some(a), Some(b)) => Some(f(a, b)),
            (a, b) => a.or(b),
        };
        Self {
            unreclaimable_min: pick(older.unreclaimable_min, newer.unreclaimable_min, Ord::min),
            unreclaimable_max: pick(older.unreclaimable_max, newer.unreclaimable_max, Ord::max),
            ..*newer
        }
    }
}

/// A bounded series: the newer half at full resolution, older points merged pairwise again and again.
#[derive(Clone, Debug, Default)]
pub struct Points(Vec<MemoryPoint>);

impl Points {
    /// 500 targets at this capacity take about 26 MiB.
    pub const CAPACITY: usize = 384;

    /// Appends a point; out-of-order points are ignored.
    pub fn push(&mut self, point: MemoryPoint) {
        if self.0.last().is_some_and(|last| last.at >= point.at) {
            return;
        }
        if self.0.len() >= Self::CAPACITY {
            let (old, _) = self.0.split_at(Self::CAPACITY / 2);
            let pairs = old.chunks(2).filter_map(|pair| match pair {
                [older, newer] => Some(MemoryPoint::merge(older, newer)),
                [single] => Some(*single),
                _ => None,
            });
            let merged: Vec<_> = pairs.collect();
            drop(self.0.splice(..Self::CAPACITY / 2, merged));
        }
        if self.0.len() == self.0.capacity() {
            // Doubling would end a third above the capacity, in every target.
            self.0.reserve_exact(Self::CAPACITY / 6);
        }
        self.0.push(point);
    }

    /// All points, oldest first.
    pub fn as_slice(&self) -> &[MemoryPoint] {
        &self.0
    }

    /// Points at or after `from`.
    pub fn since(&self, from: Timestamp) -> &[MemoryPoint] {
        let start = self.0.partition_point(|point| point.at < from);
        self.0.get(start..).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(second: u64) -> MemoryPoint {
        let bytes = Some(Bytes((second * 7919) % 1000));
        MemoryPoint {
            at: Timestamp::from_unix_seconds(second),
            charge: Bytes(second),
            unreclaimable: bytes,
            unreclaimable_min: bytes,
            unreclaimable_max: bytes,
            anon: None,
            file: None,
            shmem: None,
            kernel: None,
            rss: None,
        }
    }

    #[test]
    fn a_long_history_stays_bounded_keeps_its_extremes_and_its_newest_points() {
        let mut points = Points::default();
        for second in 1..=100_000 {
            points.push(point(second));
        }
        let kept = points.as_slice();
        assert!(kept.len() <= Points::CAPACITY);
        assert_eq!(points.0.capacity(), Points::CAPACITY, "and no more is held");
        assert!(kept.is_sorted_by(|a, b| a.at < b.at));
        assert_eq!(
            kept.iter().filter_map(|point| point.unreclaimable_min).min(),
            Some(Bytes(0))
        );
        assert_eq!(
            kept.iter().filter_map(|point| point.unreclaimable_max).max(),
            Some(Bytes(999))
        );
        let newest: Vec<u64> = kept
            .iter()
            .rev()
            .take(Points::CAPACITY / 2)
            .map(|point| point.charge.0)
            .collect();
        assert!(
            newest
                .iter()
                .zip((1..=100_000_u64).rev())
                .all(|(kept, second)| *kept == second)
        );
    }

    #[test]
    fn a_point_out_of_order_is_ignored() {
        let mut points = Points::default();
        points.push(point(5));
        points.push(point(5));
        points.push(point(4));
        assert_eq!(points.as_slice().len(), 1);
        assert_eq!(points.since(Timestamp::from_unix_seconds(6)), &[]);
    }
}
