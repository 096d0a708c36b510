//! What walks through dying processes bring: records of several victims, interleaved, put together by victim.
//!
//! Records are not trusted: lengths and counts are checked, and how many victims and buckets are held is bounded.

use super::decode::DecodeError;
use super::decode::ticks;
use super::watch::WalkBounds;
use crate::clock::Clock;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_common::death::DEPTH_BITS;
use leakwatch_common::death::ENTRY_WORDS;
use leakwatch_common::death::GoroutineGroup;
use leakwatch_common::death::KIND_CHUNK;
use leakwatch_common::death::KIND_END;
use leakwatch_common::death::MAX_DEPTH;
use leakwatch_common::death::WalkChunk;
use leakwatch_common::death::WalkEnd;
use leakwatch_common::death::cut;
use leakwatch_goproc::final_heap::HeapWalk;
use leakwatch_goproc::final_heap::Truncation;
use leakwatch_goproc::final_heap::WalkedBucket;
use leakwatch_goproc::final_heap::WalkedGroup;
use leakwatch_goproc::heap::Counts;
use leakwatch_goproc::heap::Record;
use std::collections::HashMap;
use std::time::Duration;
use zerocopy::FromBytes as _;

/// Victims whose records are being put together: as many as processors can walk at a time, and more.
const MAX_OPEN: usize = 256;

/// A process was killed, and this was read of it meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// When the first of its threads took the signal.
    pub at: Timestamp,
    /// Which process.
    pub process: ProcessKey,
    /// What was read.
    pub walk: HeapWalk,
}

/// Puts records together.
#[derive(Debug)]
pub struct Deaths {
    clock: Clock,
    bounds: WalkBounds,
    open: HashMap<(u32, u64), HeapWalk>,
}

impl Deaths {
    /// For records of this machine.
    pub fn new(clock: Clock, bounds: WalkBounds) -> Self {
        Self {
            clock,
            bounds,
            open: HashMap::new(),
        }
    }

    /// Whether the end of a walk is outstanding.
    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes in a record. The last of a victim makes a death; `groups` then tells its goroutines.
    pub fn take_in(
        &mut self,
        bytes: &[u8],
        groups: impl FnOnce(u32) -> Vec<(GoroutineGroup, u64)>,
    ) -> Result<Option<Death>, DecodeError> {
        let (kind, _) = u32::read_from_prefix(bytes).map_err(|_short| too_short::<WalkChunk>(bytes))?;
        match kind {
            KIND_CHUNK => {
                let (chunk, words) =
                    WalkChunk::read_from_prefix(bytes).map_err(|_short| too_short::<WalkChunk>(bytes))?;
                self.chunk(&chunk, words)?;
                Ok(None)
            }
            KIND_END => {
                let (end, _) = WalkEnd::read_from_prefix(bytes).map_err(|_short| too_short::<WalkEnd>(bytes))?;
                let groups = groups(end.pid);
                Ok(Some(self.end(&end, groups)))
            }
            count => Err(DecodeError::Count { field: "kind", count }),
        }
    }

    fn chunk(&mut self, chunk: &WalkChunk, bytes: &[u8]) -> Result<(), DecodeError> {
        let key = (chunk.pid, chunk.start_boot_nanos);
        if !self.open.contains_key(&key) && self.open.len() >= MAX_OPEN {
            // Walks without an end: the ring keeps room for ends, so there are none.
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

    fn end(&mut self, end: &WalkEnd, groups: Vec<(GoroutineGroup, u64)>) -> Death {
        let mut walk = self.open.remove(&(end.pid, end.start_boot_nanos)).unwrap_or_default();
        let arrived = u64::try_from(walk.buckets.len()).unwrap_or(u64::MAX);
        walk.has_heap = end.buckets > 0 || end.cut & cut::HEAP != 0 || end.rate != 0;
        walk.cycle = end.cycle;
        walk.rate = end.rate;
        walk.unreadable = end.buckets_unreadable.into();
        walk.lost = u64::from(end.buckets)
            .saturating_sub(walk.unreadable)
            .saturating_sub(arrived);
        walk.truncation = why_cut(end.cut).or((walk.lost > 0).then_some(Truncation::Room));
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
        Death {
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
fn why_cut(bits: u32) -> Option<Truncation> {
    [
        (cut::DAMAGED | cut::LOOP, Truncation::Damaged),
        (cut::UNREADABLE | cut::VARIABLE, Truncation::Unreadable),
        (cut::TIME, Truncation::Time),
        (cut::BUCKETS, Truncation::Bound),
    ]
    .into_iter()
    .find_map(|(mask, cut)| (bits & mask != 0).then_some(cut))
}

fn too_short<T>(bytes: &[u8]) -> DecodeError {
    DecodeError::Length {
        expected: size_of::<T>(),
        actual: bytes.len(),
    }
}
