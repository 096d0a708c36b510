//! One reading of all counters, and what has changed between two.

use super::BucketId;
use super::BucketIndex;
use super::HeapError;
use super::HeapReader;
use super::KeepStacks;
use super::bucket::Counts;
use super::bucket::Record;
use super::scale::Amount;
use super::scale::scale;
use super::view::View;
use crate::memory::MemoryError;
use crate::memory::ReadMemory;
use crate::memory::read_ranges;

/// Readings until a garbage collection does not interfere.
const ATTEMPTS: u32 = 3;

/// Whether all counters are of one garbage collection cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// They are.
    OneCycle,
    /// Collections ended during each reading: counts may be off by what one collection moved.
    Mixed,
}

/// The counters of all buckets at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Sampling rate in bytes (`runtime.MemProfileRate`); zero when profiling is off, one when nothing is sampled.
    pub rate: u64,
    /// Profile cycle: the number of garbage collections (until it wraps at 3 * 2^25).
    pub cycle: u32,
    /// Whether the counters belong together.
    pub consistency: Consistency,
    /// Buckets whose counters could not be read.
    pub unreadable: u64,
    /// No bucket has published counts: there was no garbage collection yet.
    unpublished: bool,
    records: Vec<Option<Record>>,
}

impl Snapshot {
    /// The counters of a bucket; `None` when they could not be read, or when it is newer than this snapshot.
    pub fn record(&self, id: BucketId) -> Option<&Record> {
        self.records.get(id.index())?.as_ref()
    }

    /// Sampled objects of a bucket in one view.
    pub fn counts(&self, view: View, id: BucketId) -> Option<Counts> {
        Some(view.counts(self.record(id)?, self.cycle, self.unpublished))
    }

    /// All buckets with their counts in one view, those in use or not.
    pub fn all(&self, view: View) -> impl Iterator<Item = (BucketId, Counts)> + '_ {
        (0..self.records.len()).filter_map(move |index| {
            let id = BucketId::new(index)?;
            Some((id, self.counts(view, id)?))
        })
    }

    /// What is in use, scaled to what was allocated: the sum over all buckets, each truncated as runtime/pprof does.
    pub fn in_use(&self, view: View, index: &BucketIndex) -> Amount {
        let mut sum = Amount::default();
        for (id, counts) in self.all(view) {
            let in_use = signed(counts.allocs).wrapping_sub(signed(counts.frees));
            sum += scale(in_use, index.size(id).unwrap_or(0), self.rate);
        }
        sum
    }

    /// What was ever allocated, scaled likewise.
    pub fn allocated(&self, view: View, index: &BucketIndex) -> Amount {
        let mut sum = Amount::default();
        for (id, counts) in self.all(view) {
            sum += scale(signed(counts.allocs), index.size(id).unwrap_or(0), self.rate);
        }
        sum
    }

    /// What has changed since an earlier snapshot of the same process: sampled objects per bucket, those without a change
    /// left out. Subtracted before scaling, so that rounding does not add up.
    pub fn since<'s>(&'s self, earlier: &'s Self, view: View) -> impl Iterator<Item = Difference> + 's {
        self.all(view).filter_map(move |(id, now)| {
            let before = earlier.counts(view, id).unwrap_or_default();
            let difference = Difference {
                id,
                allocs: signed(now.allocs).wrapping_sub(signed(before.allocs)),
                frees: signed(now.frees).wrapping_sub(signed(before.frees)),
            };
            (difference.allocs != 0 || difference.frees != 0).then_some(difference)
        })
    }
}

/// What has changed in one bucket, in sampled objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The bucket.
    pub id: BucketId,
    /// Objects allocated since; negative only after a mixed reading.
    pub allocs: i64,
    /// Objects freed since.
    pub frees: i64,
}

impl Difference {
    /// Objects in use now less those in use before.
    pub fn in_use(&self) -> i64 {
        self.allocs.wrapping_sub(self.frees)
    }
}

impl HeapReader {
    /// Reads all counters, and the buckets that are new, whose stacks `stacks` gets. At most three times, when garbage collections interfere. New buckets may leave no time
    /// for the counters: then the next reading has it.
    pub fn read<M: ReadMemory + ?Sized>(
        &mut self,
        memory: &M,
        stacks: &mut dyn KeepStacks,
    ) -> Result<Snapshot, HeapError> {
        let known = self.index.len();
        let read = self.read_all(memory, stacks);
        let buckets = self.index.len();
        match read {
            Err(HeapError::Variable {
                source: MemoryError::TimedOut,
                ..
            }) if buckets > known => Err(HeapError::Unfinished { buckets }),
            read => read,
        }
    }

    fn read_all<M: ReadMemory + ?Sized>(
        &mut self,
        memory: &M,
        stacks: &mut dyn KeepStacks,
    ) -> Result<Snapshot, HeapError> {
        let variable = |what| {
            move |source| match source {
                MemoryError::Gone => HeapError::Gone,
                source => HeapError::Variable { what, source },
            }
        };
        let rate = memory
            .read_u64(self.source.rate)
            .map_err(variable("runtime.MemProfileRate"))?;
        let mut attempt = 1;
        loop {
            let cycle = self.source.cycle.read(memory).map_err(variable("the profile cycle"))?;
            let head = memory
                .read_u64(self.source.buckets)
                .map_err(variable("runtime.mbuckets"))?;
            self.index.update(memory, head, stacks)?;
            let format = self.calibrate(memory)?;
            let mut records = vec![None; self.index.len()];
            let mut unreadable = 0;
            let record = |at| self.index.record(at, format.record_size());
            read_ranges(
                memory,
                |at| Some(record(at)?.1),
                |at, bytes| {
                    let counters = bytes.ok().and_then(|bytes| Record::parse(bytes, format));
                    match (record(at).and_then(|(id, _)| records.get_mut(id.index())), counters) {
                        (Some(place), Some(counters)) => *place = Some(counters),
                        _ => unreadable += 1,
                    }
                },
            )
            .map_err(variable("the counters"))?;
            let after = self.source.cycle.read(memory).map_err(variable("the profile cycle"))?;
            let unpublished = records
                .iter()
                .flatten()
                .all(|record| record.active == Counts::default());
            let mut snapshot = Snapshot {
                rate,
                cycle,
                consistency: Consistency::OneCycle,
                unreadable,
                unpublished,
                records,
            };
            let interfered = after != cycle || snapshot.all(View::Pprof).any(|(_, counts)| counts.in_use().is_none());
            if !interfered {
                return Ok(snapshot);
            }
            if attempt == ATTEMPTS {
                snapshot.consistency = Consistency::Mixed;
                return Ok(snapshot);
            }
            attempt += 1;
        }
    }
}

/// Counters of real processes fit; a damaged one becomes the largest number instead of a negative one.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
