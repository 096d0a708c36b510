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
/// relative to their age, so that two weeks are kept in steps of some hundredths of the age. Copies share the points: adding one to a series that is
/// shared copies the few newest.
#[derive(Clone, Debug, Default)]
pub struct Points {
    older: Arc<[MemoryPoint]>,
    /// At most [`Self::PART`] of them.
    newer: Arc<Vec<MemoryPoint>>,
}

impl Points {
    /// 500 targets at this capacity take about 9 MiB.
    pub const CAPACITY: usize = 384;
    /// The newest of them are never merged.
    const FULL: usize = Self::CAPACITY / 4;
    /// So many are added to the older ones at a time.
    const PART: usize = Self::CAPACITY / 12;

    /// Appends a point; out-of-order points are ignored.
    pub fn push(&mut self, point: MemoryPoint) {
        if self.all().last().is_some_and(|last| last.at >= point.at) {
            return;
        }
        if self.newer.len() >= Self::PART {
            self.make_room();
        }
        if Arc::get_mut(&mut self.newer).is_none() {
            let mut own = Vec::with_capacity(Self::PART);
            own.extend_from_slice(&self.newer);
            self.newer = Arc::new(own);
        }
        let newer = Arc::make_mut(&mut self.newer);
        newer.reserve_exact(Self::PART - newer.len());
        newer.push(point);
    }

    /// The newer points become older ones, of which as many are merged as are too many.
    fn make_room(&mut self) {
        let mut points = [&*self.older, &*self.newer].concat();
        while points.len() > Self::CAPACITY - Self::PART {
            let candidates = 1..points.len() - Self::FULL;
            let merged = least_missed(&points, |point| point.at, |point| !point.begins_window, candidates);
            // Where every point begins a window, the oldest goes.
            let removed = points.remove(merged.unwrap_or(0));
            if let Some(younger) = merged.and_then(|index| points.get_mut(index)) {
                *younger = MemoryPoint::merge(&removed, younger);
            }
        }
        self.older = points.into();
        self.newer = Arc::default();
    }

    /// All points, oldest first.
    pub fn all(&self) -> Stretch<'_> {
        Stretch {
            older: &self.older,
            newer: &self.newer,
        }
    }

    /// Points at or after `from`.
    pub fn since(&self, from: Timestamp) -> Stretch<'_> {
        let all = self.all();
        all.from(all.partition_point(|point| point.at < from))
    }
}

/// Points one after the other, oldest first: a slice in two parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch<'a> {
    older: &'a [MemoryPoint],
    newer: &'a [MemoryPoint],
}

impl<'a> Stretch<'a> {
    /// How many.
    pub const fn len(self) -> usize {
        self.older.len() + self.newer.len()
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = &'a MemoryPoint> + Clone {
        self.older.iter().chain(self.newer)
    }

    /// The oldest.
    pub fn first(self) -> Option<&'a MemoryPoint> {
        self.older.first().or_else(|| self.newer.first())
    }

    /// The newest.
    pub fn last(self) -> Option<&'a MemoryPoint> {
        self.newer.last().or_else(|| self.older.last())
    }

    /// The one with this number.
    pub fn get(self, index: usize) -> Option<&'a MemoryPoint> {
        let in_newer = || self.newer.get(index - self.older.len());
        self.older.get(index).or_else(in_newer)
    }

    /// How many come before the first of which this is not so, as of a slice.
    pub fn partition_point(self, is_before: impl Fn(&MemoryPoint) -> bool) -> usize {
        let of_older = self.older.partition_point(&is_before);
        if of_older < self.older.len() {
            return of_older;
        }
        of_older + self.newer.partition_point(&is_before)
    }

    /// Those from this number on.
    #[must_use]
    pub fn from(self, index: usize) -> Self {
        let of_newer = index.saturating_sub(self.older.len());
        Self {
            older: self.older.get(index..).unwrap_or_default(),
            newer: self.newer.get(of_newer..).unwrap_or_default(),
        }
    }

    /// Those before this number.
    #[must_use]
    pub fn until(self, index: usize) -> Self {
        let of_newer = index.saturating_sub(self.older.len());
        Self {
            older: self.older.get(..index).unwrap_or(self.older),
            newer: self.newer.get(..of_newer).unwrap_or(self.newer),
        }
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
        let kept = points.all();
        assert!(kept.len() <= Points::CAPACITY);
        assert_eq!(points.newer.capacity(), Points::PART, "and no more is held");
        assert!(kept.iter().is_sorted_by(|a, b| a.at < b.at));
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
        assert_eq!(points.all().len(), 1);
        assert!(points.since(Timestamp::from_unix_seconds(6)).is_empty());
    }

    #[test]
    fn a_copy_stays_as_it_is_and_shares_what_is_old() {
        let mut points = Points::default();
        for second in 1..=1000 {
            points.push(point(second));
        }
        let copy = points.clone();
        let before: Vec<MemoryPoint> = copy.all().iter().copied().collect();
        points.push(point(1001));
        assert!(copy.all().iter().eq(&before));
        assert!(Arc::ptr_eq(&points.older, &copy.older) || points.newer.len() == 1);
    }

    /// Wherever it is cut in two, it is read like a slice.
    #[test]
    fn a_stretch_is_a_slice() {
        let points: Vec<MemoryPoint> = (0..9).map(point).collect();
        for cut in 0..=points.len() {
            let (older, newer) = points.split_at(cut);
            let stretch = Stretch { older, newer };
            assert_eq!((stretch.first(), stretch.last()), (points.first(), points.last()));
            assert!(stretch.iter().rev().eq(points.iter().rev()));
            for index in 0..=points.len() {
                assert_eq!(stretch.get(index), points.get(index));
                assert!(stretch.from(index).iter().eq(&points[index..]), "{cut} {index}");
                assert!(stretch.until(index).iter().eq(&points[..index]), "{cut} {index}");
                let from = Timestamp::from_unix_seconds(index as u64);
                let is_before = |point: &MemoryPoint| point.at < from;
                assert_eq!(stretch.partition_point(is_before), points.partition_point(is_before));
            }
        }
        assert!(Stretch { older: &[], newer: &[] }.is_empty());
    }
}
