//! The memory of a target over time, bounded: recent points at full resolution, older ones merged, the more the older they are.

use crate::history::thinning::least_missed;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// An amount of memory that may be unknown, in the four bytes that 200,000 kept points can afford: whole units of 4 KiB,
/// rounded to the nearest, at most 16 TiB. Nearly every number of a memory cgroup is a multiple of the page size anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount(u32);

impl Amount {
    const UNIT: u64 = 4096;
    const UNKNOWN: Self = Self(u32::MAX);

    /// The amount, unless it could not be read.
    pub fn bytes(self) -> Option<Bytes> {
        (self != Self::UNKNOWN).then(|| Bytes(u64::from(self.0) * Self::UNIT))
    }

    fn pick(self, other: Self, which: fn(u32, u32) -> u32) -> Self {
        match (self, other) {
            (Self::UNKNOWN, known) | (known, Self::UNKNOWN) => known,
            (Self(a), Self(b)) => Self(which(a, b)),
        }
    }
}

impl From<Bytes> for Amount {
    fn from(bytes: Bytes) -> Self {
        let units = bytes.saturating_add(Bytes(Self::UNIT / 2)).0 / Self::UNIT;
        Self(u32::try_from(units).map_or(u32::MAX - 1, |units| units.min(u32::MAX - 1)))
    }
}

impl From<Option<Bytes>> for Amount {
    fn from(bytes: Option<Bytes>) -> Self {
        bytes.map_or(Self::UNKNOWN, Self::from)
    }
}

/// The numbers of one sample, or of several neighbouring samples merged when history gets long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryPoint {
    /// Instant of the newest sample in it.
    pub at: Timestamp,
    /// Whether it is the first of a window: nothing is merged across the beginning of one.
    pub begins_window: bool,
    /// Whole seconds from the sample with `unreclaimable_min` to the newest one. A line whose lowest values stood at other instants
    /// than they were measured would bend.
    pub lowest_before: u16,
    /// Charge of the cgroup, newest.
    pub charge: Amount,
    /// Charge minus reclaimable page cache, newest.
    pub unreclaimable: Amount,
    /// Lowest `unreclaimable` of the merged samples: the envelope that survives garbage collections.
    pub unreclaimable_min: Amount,
    /// Highest `unreclaimable` of the merged samples.
    pub unreclaimable_max: Amount,
    /// Anonymous memory.
    pub anon: Amount,
    /// Page cache that reclaim can drop (active and inactive file pages).
    pub file: Amount,
    /// Shared memory and tmpfs.
    pub shmem: Amount,
    /// Kernel memory charged to the cgroup.
    pub kernel: Amount,
    /// Sum of the resident memory of all processes.
    pub rss: Amount,
}

impl MemoryPoint {
    /// Instant of the sample with the lowest `unreclaimable`.
    pub fn lowest_at(&self) -> Timestamp {
        self.at.minus(Duration::from_secs(self.lowest_before.into()))
    }

    fn merge(older: &Self, newer: &Self) -> Self {
        let lowest = older.unreclaimable_min.pick(newer.unreclaimable_min, Ord::min);
        let lowest_at = if newer.unreclaimable_min == lowest && older.unreclaimable_min != lowest {
            newer.lowest_at()
        } else {
            older.lowest_at()
        };
        let before = (newer.at.since(lowest_at) + Duration::from_millis(500)).as_secs();
        Self {
            begins_window: older.begins_window,
            lowest_before: u16::try_from(before).unwrap_or(u16::MAX),
            unreclaimable_min: lowest,
            unreclaimable_max: older.unreclaimable_max.pick(newer.unreclaimable_max, Ord::max),
            ..*newer
        }
    }
}

/// A bounded series: the newest quarter at full resolution; of the older points those are merged whose merging makes the shortest step
/// relative to their age, so that two weeks are kept in steps of some hundredths of the age. Copies share the points until one changes.
#[derive(Clone, Debug, Default)]
pub struct Points(Arc<Vec<MemoryPoint>>);

impl Points {
    /// 500 targets at this capacity take about 9 MiB.
    pub const CAPACITY: usize = 384;
    /// The newest of them are never merged.
    const FULL: usize = Self::CAPACITY / 4;
    /// Room is made for so many points at a time.
    const STEP: usize = Self::CAPACITY / 6;

    /// Appends a point; out-of-order points are ignored.
    pub fn push(&mut self, point: MemoryPoint) {
        if self.0.last().is_some_and(|last| last.at >= point.at) {
            return;
        }
        let points = self.own();
        if points.len() >= Self::CAPACITY {
            let older = 1..Self::CAPACITY - Self::FULL;
            let merged = least_missed(points, |point| point.at, |point| !point.begins_window, older);
            // Where every point begins a window, the oldest goes.
            let removed = points.remove(merged.unwrap_or(0));
            if let Some(younger) = merged.and_then(|index| points.get_mut(index)) {
                *younger = MemoryPoint::merge(&removed, younger);
            }
        }
        if points.len() == points.capacity() {
            // Doubling would end a third above the capacity, in every target.
            points.reserve_exact(Self::STEP);
        }
        points.push(point);
    }

    /// The points, to be changed: a copy with room for more if they are shared.
    fn own(&mut self) -> &mut Vec<MemoryPoint> {
        if Arc::get_mut(&mut self.0).is_none() {
            let room = (self.0.len() + 1).next_multiple_of(Self::STEP);
            let mut own = Vec::with_capacity(room);
            own.extend_from_slice(&self.0);
            self.0 = Arc::new(own);
        }
        Arc::make_mut(&mut self.0)
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
        let bytes = Amount::from(Bytes::from_kib(4 * ((second * 7919) % 1000)));
        MemoryPoint {
            at: Timestamp::from_unix_seconds(second),
            begins_window: false,
            lowest_before: 0,
            charge: Amount::from(Bytes(second * 4096)),
            unreclaimable: bytes,
            unreclaimable_min: bytes,
            unreclaimable_max: bytes,
            anon: Amount::UNKNOWN,
            file: Amount::UNKNOWN,
            shmem: Amount::UNKNOWN,
            kernel: Amount::UNKNOWN,
            rss: Amount::UNKNOWN,
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
            kept.iter().filter_map(|point| point.unreclaimable_min.bytes()).min(),
            Some(Bytes(0))
        );
        assert_eq!(
            kept.iter().filter_map(|point| point.unreclaimable_max.bytes()).max(),
            Some(Bytes::from_kib(4 * 999))
        );
        let newest: Vec<u64> = kept
            .iter()
            .rev()
            .take(Points::FULL)
            .filter_map(|point| Some(point.charge.bytes()?.0 / 4096))
            .collect();
        assert!(
            newest
                .iter()
                .zip((1..=100_000_u64).rev())
                .all(|(kept, second)| *kept == second)
        );
    }

    #[test]
    fn an_amount_is_kept_to_the_nearest_page_and_unknown_is_not_zero() {
        for (bytes, kept) in [
            (0, 0),
            (2047, 0),
            (2048, 4096),
            (4096 * 12345, 4096 * 12345),
            ((16 << 40) - 4096, (16 << 40) - 8192),
            (u64::MAX, (16 << 40) - 8192),
        ] {
            assert_eq!(Amount::from(Bytes(bytes)).bytes(), Some(Bytes(kept)), "{bytes}");
        }
        assert_eq!(Amount::from(None).bytes(), None);
        let known = Amount::from(Bytes(4096));
        assert_eq!(known.pick(Amount::UNKNOWN, Ord::max), known);
        assert_eq!(Amount::UNKNOWN.pick(known, Ord::max), known);
        assert_eq!(size_of::<MemoryPoint>(), 48, "200,000 of them are kept");
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
