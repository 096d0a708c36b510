//! What heap walks bring: records of several victims, interleaved, put together by victim.
//!
//! Records are not trusted: lengths and counts are checked, and how many victims and buckets are held is bounded.

use super::entry;
use super::watch::WalkBounds;
use crate::clock::Clock;
use crate::probes::decode;
use crate::probes::decode::DecodeError;
use crate::probes::decode::ticks;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_common::final_heap::GoroutineGroup;
use leakwatch_common::final_heap::KIND_END;
use leakwatch_common::final_heap::KIND_KNOWN;
use leakwatch_common::final_heap::KIND_NEW;
use leakwatch_common::final_heap::WalkChunk;
use leakwatch_common::final_heap::WalkEnd;
use leakwatch_common::final_heap::truncation;
use leakwatch_goproc::final_heap::HeapWalk;
use leakwatch_goproc::final_heap::Truncation;
use leakwatch_goproc::final_heap::WalkedGroup;
use std::collections::HashMap;
use std::time::Duration;

/// Victims whose records are being put together: as many as processors can walk at a time, and more.
const MAX_OPEN: usize = 256;

/// A process was killed, and this was read of it meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalHeap {
    /// When the first of its threads took the signal.
    pub at: Timestamp,
    /// Which process.
    pub process: ProcessKey,
    /// What was read.
    pub walk: HeapWalk,
}

/// Puts records together.
#[derive(Debug)]
pub(super) struct HeapWalks {
    clock: Clock,
    bounds: WalkBounds,
    open: HashMap<(u32, u64), HeapWalk>,
    abandoned: u64,
}

impl HeapWalks {
    /// For records of this machine.
    pub(super) fn new(clock: Clock, bounds: WalkBounds) -> Self {
        Self {
            clock,
            bounds,
            open: HashMap::new(),
            abandoned: 0,
        }
    }

    /// How many walks were given up since the last call.
    pub(super) fn take_abandoned(&mut self) -> u64 {
        std::mem::take(&mut self.abandoned)
    }

    /// Whether the end of a walk is outstanding.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes in a record. The last of a victim ends its walk; `groups` then tells its goroutines.
    pub(super) fn take_in(
        &mut self,
        bytes: &[u8],
        groups: impl FnOnce(u32) -> Vec<(GoroutineGroup, u64)>,
    ) -> Result<Option<FinalHeap>, DecodeError> {
        let (kind, _) = decode::read_prefix(bytes)?;
        match kind {
            KIND_NEW | KIND_KNOWN => {
                let (chunk, words) = decode::read_prefix(bytes)?;
                self.chunk(&chunk, words)?;
                Ok(None)
            }
            KIND_END => {
                let (end, _): (WalkEnd, _) = decode::read_prefix(bytes)?;
                let groups = groups(end.pid);
                Ok(Some(self.end(&end, groups)))
            }
            kind => Err(DecodeError::UnknownKind(kind)),
        }
    }

    fn chunk(&mut self, chunk: &WalkChunk, bytes: &[u8]) -> Result<(), DecodeError> {
        let key = (chunk.pid, chunk.start_boot_nanos);
        if !self.open.contains_key(&key) && self.open.len() >= MAX_OPEN {
            // Walks without an end: the ring keeps room for ends, so there should be none.
            self.abandoned += u64::try_from(self.open.len()).unwrap_or(u64::MAX);
            self.open.clear();
        }
        let walk = self.open.entry(key).or_default();
        let length = (chunk.words as usize).saturating_mul(4);
        let bytes = bytes.get(..length).ok_or(DecodeError::Length {
            expected: length,
            actual: bytes.len(),
        })?;
        let words: Vec<u32> = bytes
            .chunks_exact(4)
            .filter_map(|word| Some(u32::from_le_bytes(*word.first_chunk()?)))
            .collect();
        let most = self.bounds.buckets as usize;
        let entries = chunk.entries as usize;
        let taken = if chunk.kind == KIND_KNOWN {
            entry::known(walk, chunk.first as usize, entries, most, &words)
        } else {
            entry::new(walk, entries, most, &words)
        };
        taken.ok_or(DecodeError::Count {
            field: "entries",
            count: chunk.entries,
        })
    }

    fn end(&mut self, end: &WalkEnd, groups: Vec<(GoroutineGroup, u64)>) -> FinalHeap {
        let mut walk = self.open.remove(&(end.pid, end.start_boot_nanos)).unwrap_or_default();
        let arrived = walk.buckets.len() + walk.known.iter().flatten().count();
        let arrived = u64::try_from(arrived).unwrap_or(u64::MAX);
        walk.has_heap = end.buckets > 0 || end.truncation & truncation::HEAP != 0 || end.rate != 0;
        walk.newest_known = end.newest_known;
        walk.known_passed = end.buckets_known.into();
        walk.rate = end.rate;
        walk.unreadable = end.buckets_unreadable.into();
        walk.lost = u64::from(end.buckets)
            .saturating_sub(walk.unreadable)
            .saturating_sub(arrived);
        walk.truncation = why_truncated(end.truncation).or((walk.lost > 0).then_some(Truncation::Room));
        walk.heap_time = Duration::from_nanos(end.heap_nanos);
        walk.goroutine_time = Duration::from_nanos(end.goroutine_nanos);
        walk.groups = groups
            .into_iter()
            .map(|(group, count)| WalkedGroup {
                start: group.start,
                created_at: group.created_at,
                status: group.status,
                wait_reason: group.wait_reason,
                count,
            })
            .collect();
        let counted = u64::from(end.goroutines) + u64::from(end.goroutines_ended);
        walk.has_goroutines = end.goroutines_listed > 0;
        walk.goroutines_missing = end.goroutines_listed.saturating_sub(counted);
        walk.goroutine_truncation = why_goroutines_are_missing(end);
        FinalHeap {
            at: self.clock.from_boot_nanos(end.boot_nanos),
            process: ProcessKey {
                pid: end.pid,
                start_ticks: ticks(end.start_boot_nanos),
            },
            walk,
        }
    }
}

/// The reason that says most.
fn why_truncated(bits: u32) -> Option<Truncation> {
    [
        (truncation::DAMAGED | truncation::LOOP, Truncation::Damaged),
        (truncation::UNREADABLE | truncation::VARIABLE, Truncation::Unreadable),
        (truncation::TIME, Truncation::Time),
        (truncation::BUCKETS, Truncation::Bound),
    ]
    .into_iter()
    .find_map(|(mask, why)| (bits & mask != 0).then_some(why))
}

/// Likewise for goroutines.
fn why_goroutines_are_missing(end: &WalkEnd) -> Option<Truncation> {
    let unreadable = end.truncation & truncation::GOROUTINE_LIST != 0 || end.goroutines_unreadable > 0;
    [
        (unreadable, Truncation::Unreadable),
        (end.truncation & truncation::GOROUTINE_TIME != 0, Truncation::Time),
        (end.truncation & truncation::GOROUTINES != 0, Truncation::Bound),
        (end.goroutines_ungrouped > 0, Truncation::Room),
    ]
    .into_iter()
    .find_map(|(is_so, why)| is_so.then_some(why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes as _;

    fn walks() -> HeapWalks {
        HeapWalks::new(Clock::start(), WalkBounds::default())
    }

    #[test]
    fn a_record_of_an_unknown_kind_is_said_to_be_that() {
        let taken = walks().take_in(&7_u32.to_ne_bytes(), |_pid| Vec::new());
        assert_eq!(taken, Err(DecodeError::UnknownKind(7)));
        let taken = walks().take_in(&[7], |_pid| Vec::new());
        assert_eq!(taken, Err(DecodeError::Length { expected: 4, actual: 1 }));
    }

    #[test]
    fn walks_that_are_given_up_are_counted() {
        let mut walks = walks();
        for pid in 1..=300 {
            let chunk = WalkChunk {
                kind: KIND_NEW,
                pid,
                start_boot_nanos: 1,
                words: 0,
                entries: 0,
                first: 0,
                reserved: 0,
            };
            assert_eq!(walks.take_in(chunk.as_bytes(), |_pid| Vec::new()), Ok(None));
        }
        assert_eq!(walks.take_abandoned(), 256);
        assert_eq!(walks.take_abandoned(), 0);
        assert!(walks.is_open());
    }
}
