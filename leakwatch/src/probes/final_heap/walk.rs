//! What heap walks bring: records of several victims, interleaved, put together by victim.
//!
//! Records are not trusted: lengths and counts are checked, and how many victims and buckets are held is bounded.

use super::watch::WalkBounds;
use crate::clock::Clock;
use crate::probes::decode;
use crate::probes::decode::DecodeError;
use crate::probes::decode::ticks;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_common::final_heap::DEPTH_BITS;
use leakwatch_common::final_heap::ENTRY_WORDS;
use leakwatch_common::final_heap::GoroutineGroup;
use leakwatch_common::final_heap::KIND_CHUNK;
use leakwatch_common::final_heap::KIND_END;
use leakwatch_common::final_heap::MAX_DEPTH;
use leakwatch_common::final_heap::WalkChunk;
use leakwatch_common::final_heap::WalkEnd;
use leakwatch_common::final_heap::truncation;
use leakwatch_goproc::final_heap::HeapWalk;
use leakwatch_goproc::final_heap::Truncation;
use leakwatch_goproc::final_heap::WalkedBucket;
use leakwatch_goproc::final_heap::WalkedGroup;
use leakwatch_goproc::heap::Counts;
use leakwatch_goproc::heap::Record;
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
            KIND_CHUNK => {
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
        let length = (chunk.words as usize).saturating_mul(8);
        let bytes = bytes.get(..length).ok_or(DecodeError::Length {
            expected: length,
            actual: bytes.len(),
        })?;
        let words: Vec<u64> = bytes
            .chunks_exact(8)
            .filter_map(|word| Some(u64::from_le_bytes(*word.first_chunk()?)))
            .collect();
        let mut rest = words.as_slice();
        for _ in 0..chunk.entries {
            if walk.buckets.len() >= self.bounds.buckets as usize {
                break;
            }
            rest = entry(walk, rest).ok_or(DecodeError::Count {
                field: "entries",
                count: chunk.entries,
            })?;
        }
        Ok(())
    }

    fn end(&mut self, end: &WalkEnd, groups: Vec<(GoroutineGroup, u64)>) -> FinalHeap {
        let mut walk = self.open.remove(&(end.pid, end.start_boot_nanos)).unwrap_or_default();
        let arrived = u64::try_from(walk.buckets.len()).unwrap_or(u64::MAX);
        walk.has_heap = end.buckets > 0 || end.truncation & truncation::HEAP != 0 || end.rate != 0;
        walk.cycle = end.cycle;
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
        walk.goroutines_missing = end.goroutines_listed.saturating_sub(counted);
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

/// Takes in the first bucket of some words and answers the rest.
fn entry<'w>(walk: &mut HeapWalk, words: &'w [u64]) -> Option<&'w [u64]> {
    let ([address, size_and_depth, counters @ ..], rest) = words.split_first_chunk::<ENTRY_WORDS>()?;
    let depth = usize::try_from(size_and_depth & ((1 << DEPTH_BITS) - 1)).ok()?;
    let (stack, rest) = rest.split_at_checked(depth).filter(|_| depth <= MAX_DEPTH)?;
    let counts = |cycle: usize| {
        Some(Counts {
            allocs: *counters.get(2 * cycle)?,
            frees: *counters.get(2 * cycle + 1)?,
        })
    };
    let start = walk.stacks.len();
    walk.stacks.extend_from_slice(stack);
    walk.buckets.push(WalkedBucket {
        address: *address,
        size: size_and_depth >> DEPTH_BITS,
        record: Record {
            active: counts(0)?,
            future: [counts(1)?, counts(2)?, counts(3)?],
        },
        stack: start..start + depth,
    });
    Some(rest)
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
                kind: KIND_CHUNK,
                pid,
                start_boot_nanos: 1,
                words: 0,
                entries: 0,
            };
            assert_eq!(walks.take_in(chunk.as_bytes(), |_pid| Vec::new()), Ok(None));
        }
        assert_eq!(walks.take_abandoned(), 256);
        assert_eq!(walks.take_abandoned(), 0);
        assert!(walks.is_open());
    }
}
