//! All buckets seen so far. The runtime only ever adds, at the head of the list, and never moves or changes what identifies
//! a bucket: so each one is walked once, and later readings fetch counters alone.

use super::bucket::Bucket;
use super::bucket::BucketError;
use super::bucket::HEADER;
use super::bucket::words;
use super::error::HeapError;
use super::keep::KeepStacks;
use super::keep::Kept;
use crate::memory::MemoryError;
use crate::memory::ReadMemory;
use crate::memory::Window;
use std::ops::Range;

/// Buckets kept of one process. A million take some 300 MB in the process itself.
pub const MAX_BUCKETS: usize = 1 << 20;
/// A bucket by the order in which it was found: stays the same as long as the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketId(u32);

impl BucketId {
    pub(crate) fn new(index: usize) -> Option<Self> {
        u32::try_from(index).ok().map(Self)
    }

    /// The place in a list of all buckets.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    address: u64,
    size: u64,
    /// As in [`Kept`], which would take more room.
    stack: u32,
    is_whole: bool,
    /// Calls of its stack in the process, kept or not.
    depth: u16,
}

/// Addresses and sizes of the buckets of one process, and where their stacks are kept.
#[derive(Debug, Default)]
pub struct BucketIndex {
    head: u64,
    entries: Vec<Entry>,
    /// Ids in the order of addresses.
    by_address: Vec<u32>,
    truncated: bool,
    /// A walk for which the time was over.
    unfinished: Option<Walk>,
}

/// A walk over the list from its head towards the buckets that are known. What it has passed stays as it is: new buckets come before its head.
#[derive(Debug)]
struct Walk {
    head: u64,
    /// The bucket that is next.
    at: u64,
    /// Newest first.
    found: Vec<Entry>,
    /// Brent: a bucket that comes again is a loop.
    mark: u64,
    steps: usize,
    steps_to_next_mark: usize,
}

impl Walk {
    fn new(head: u64) -> Self {
        Self {
            head,
            at: head,
            found: Vec::new(),
            mark: head,
            steps: 0,
            steps_to_next_mark: 1,
        }
    }

    fn step(&mut self, next: u64) -> Result<(), HeapError> {
        if next == self.mark {
            return Err(HeapError::Loop { address: next });
        }
        self.at = next;
        self.steps += 1;
        if self.steps == self.steps_to_next_mark {
            self.mark = next;
            self.steps_to_next_mark = self.steps_to_next_mark.saturating_mul(2);
            self.steps = 0;
        }
        Ok(())
    }
}

impl BucketIndex {
    /// Adds what is new since the last time: from the head to the first known bucket. When the time for one reading is over before, the next one
    /// goes on where this one was.
    pub(super) fn update<M: ReadMemory + ?Sized>(
        &mut self,
        memory: &M,
        head: u64,
        stacks: &mut dyn KeepStacks,
    ) -> Result<(), HeapError> {
        while head != self.head && !self.truncated {
            let mut walk = self.unfinished.take().unwrap_or_else(|| Walk::new(head));
            match self.follow(memory, &mut walk, stacks) {
                Ok(()) => self.add(walk),
                Err(HeapError::Bucket(BucketError::Memory {
                    source: MemoryError::TimedOut,
                    ..
                })) => {
                    let buckets = self.entries.len() + walk.found.len();
                    self.unfinished = Some(walk);
                    return Err(HeapError::Unfinished { buckets });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn follow<M: ReadMemory + ?Sized>(
        &mut self,
        memory: &M,
        walk: &mut Walk,
        stacks: &mut dyn KeepStacks,
    ) -> Result<(), HeapError> {
        let mut window = Window::new(memory);
        let mut stack = Vec::new();
        while walk.at != self.head && walk.at != 0 {
            if self.entries.len() + walk.found.len() >= MAX_BUCKETS {
                self.truncated = true;
                return Ok(());
            }
            let address = walk.at;
            let failed = |source| match source {
                MemoryError::Gone => HeapError::Gone,
                source => HeapError::Bucket(BucketError::Memory { address, source }),
            };
            let bucket = Bucket::parse(address, window.read(address, HEADER).map_err(failed)?)?;
            let head_and_stack = window.read(address, bucket.head_size()).map_err(failed)?;
            stack.clear();
            stack.extend(words(head_and_stack.get(HEADER..).unwrap_or_default()));
            let kept = stacks.keep(&stack);
            walk.found.push(Entry {
                address,
                size: bucket.size,
                stack: kept.number,
                is_whole: kept.is_whole,
                depth: u16::try_from(bucket.depth).unwrap_or(u16::MAX),
            });
            walk.step(bucket.next)?;
        }
        if walk.at == 0 && self.head != 0 {
            return Err(HeapError::HeadLost { address: self.head });
        }
        Ok(())
    }

    /// Newest first, as the list has them; kept oldest first, so that ids stay.
    fn add(&mut self, walk: Walk) {
        self.entries.extend(walk.found.into_iter().rev());
        self.head = walk.head;
        let known = u32::try_from(self.by_address.len()).unwrap_or(u32::MAX);
        let all = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.by_address.extend(known..all);
        let entries = &self.entries;
        self.by_address
            .sort_by_key(|id| entries.get(*id as usize).map_or(0, |entry| entry.address));
    }

    /// How many buckets there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether there are more than [`MAX_BUCKETS`]: the newest beyond are missing.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Calls of the bucket's stack in the process, kept or not.
    pub fn depth(&self, id: BucketId) -> Option<usize> {
        self.entries.get(id.index()).map(|entry| entry.depth.into())
    }

    /// The bucket's address in the process.
    pub fn address(&self, id: BucketId) -> Option<u64> {
        self.entries.get(id.index()).map(|entry| entry.address)
    }

    /// Size of the bucket's objects in bytes.
    pub fn size(&self, id: BucketId) -> Option<u64> {
        self.entries.get(id.index()).map(|entry| entry.size)
    }

    /// Where the bucket's stack is kept.
    pub fn stack(&self, id: BucketId) -> Option<Kept> {
        self.entries.get(id.index()).map(|entry| Kept {
            number: entry.stack,
            is_whole: entry.is_whole,
        })
    }

    /// The bucket at an address in the process.
    pub fn find(&self, address: u64) -> Option<BucketId> {
        let address_of = |id: &u32| self.entries.get(*id as usize).map_or(0, |entry| entry.address);
        let place = self.by_address.binary_search_by_key(&address, address_of).ok()?;
        self.by_address.get(place).copied().map(BucketId)
    }

    /// All buckets.
    pub fn ids(&self) -> impl Iterator<Item = BucketId> {
        (0..self.entries.len()).filter_map(BucketId::new)
    }

    /// The bucket at a place in ascending order, and where its counters are; none behind the last.
    pub(super) fn record(&self, place: usize, record_size: usize) -> Option<(BucketId, Range<u64>)> {
        let id = *self.by_address.get(place)?;
        let entry = self.entries.get(id as usize)?;
        let start = (HEADER + usize::from(entry.depth) * 8) as u64;
        // None lies at the end of the address space: it was read.
        let start = entry.address.saturating_add(start);
        Some((BucketId(id), start..start.saturating_add(record_size as u64)))
    }
}
