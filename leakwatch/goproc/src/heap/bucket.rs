//! One memory bucket (`runtime.bucket` and the `runtime.memRecord` behind its stack, runtime/mprof.go): all allocations of
//! one size by one stack.

use crate::layout::RecordFormat;
use crate::memory::MemoryError;
use crate::memory::ReadMemory;
use crate::memory::u64_at;
use std::ops::Range;

/// Bytes before the stack: next, allnext, typ, hash, size, nstk.
pub(crate) const HEADER: usize = 48;

/// `debug.profstackdepth` is at most this (Go 1.23 on; 32 before).
pub(crate) const MAX_DEPTH: u64 = 1024;

/// `bucketType` of memory buckets (`memProfile`).
const MEMORY: u64 = 1;

/// Why something is not a memory bucket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BucketError {
    /// It cannot be read.
    #[error("read the bucket at {address:#x}")]
    Memory {
        /// Where.
        address: u64,
        /// Why.
        #[source]
        source: MemoryError,
    },
    /// Its type is another one, or none.
    #[error("the bucket at {address:#x} has type {kind}")]
    Kind {
        /// Where.
        address: u64,
        /// What is there.
        kind: u64,
    },
    /// Its stack is deeper than any can be.
    #[error("the bucket at {address:#x} has a stack of {depth} addresses")]
    Depth {
        /// Where.
        address: u64,
        /// What is there.
        depth: u64,
    },
    /// Its stack leads out of the program.
    #[error("the bucket at {address:#x} has {pc:#x} in its stack, which is not code")]
    Code {
        /// Where.
        address: u64,
        /// What is there.
        pc: u64,
    },
}

/// The part of a bucket that never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// The next bucket of the list (`allnext`); zero at its end.
    pub(crate) next: u64,
    /// Size of the objects in bytes.
    pub(crate) size: u64,
    /// Addresses in its stack.
    pub(crate) depth: usize,
}

impl Bucket {
    /// Decodes the first [`HEADER`] bytes.
    pub(crate) fn parse(address: u64, header: &[u8]) -> Result<Self, BucketError> {
        let word = |offset| {
            u64_at(header, offset).ok_or(BucketError::Memory {
                address,
                source: MemoryError::Unmapped { address },
            })
        };
        let kind = word(16)?;
        if kind != MEMORY {
            return Err(BucketError::Kind { address, kind });
        }
        let depth = word(40)?;
        let too_deep = BucketError::Depth { address, depth };
        if depth > MAX_DEPTH {
            return Err(too_deep);
        }
        Ok(Self {
            next: word(8)?,
            size: word(32)?,
            depth: usize::try_from(depth).ok().ok_or(too_deep)?,
        })
    }

    /// Reads one and demands that its stack lies in the text: for telling a bucket from anything else.
    pub(crate) fn read<M: ReadMemory + ?Sized>(
        memory: &M,
        address: u64,
        text: &Range<u64>,
    ) -> Result<Self, BucketError> {
        let failed = |source| BucketError::Memory { address, source };
        let bucket = Self::parse(address, &memory.read_vec(address, HEADER).map_err(failed)?)?;
        let stack = address.saturating_add(HEADER as u64);
        let stack = memory.read_vec(stack, bucket.depth * 8).map_err(failed)?;
        for pc in words(&stack) {
            // A return address may be the end of the text.
            if pc < text.start || pc > text.end {
                return Err(BucketError::Code { address, pc });
            }
        }
        if bucket.depth == 0 {
            return Err(BucketError::Depth { address, depth: 0 });
        }
        Ok(bucket)
    }

    /// Bytes of header and stack: the counters come behind.
    pub(crate) fn head_size(&self) -> usize {
        HEADER + self.depth * 8
    }
}

/// The words of some bytes.
pub(crate) fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.chunks_exact(8).filter_map(|word| u64_at(word, 0))
}

/// Allocations and frees, as sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Objects allocated.
    pub allocs: u64,
    /// Of those, objects freed.
    pub frees: u64,
}

impl Counts {
    /// The sum. Counters of the process are sums of one another; what overflows was no counter.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            allocs: self.allocs.wrapping_add(other.allocs),
            frees: self.frees.wrapping_add(other.frees),
        }
    }

    /// Objects in use; `None` when more have been freed than allocated, which a reading in the middle of a garbage
    /// collection can show.
    pub fn in_use(self) -> Option<u64> {
        self.allocs.checked_sub(self.frees)
    }
}

/// The counters of one bucket: what has been published, and three cycles that are still being counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// `active`.
    pub active: Counts,
    /// `future`.
    pub future: [Counts; 3],
}

impl Record {
    /// Decodes a `memRecord`; `None` when bytes are missing.
    pub(crate) fn parse(bytes: &[u8], format: RecordFormat) -> Option<Self> {
        let cycle = |index: usize| {
            let offset = index * format.cycle_size();
            Some(Counts {
                allocs: u64_at(bytes, offset)?,
                frees: u64_at(bytes, offset + 8)?,
            })
        };
        Some(Self {
            active: cycle(0)?,
            future: [cycle(1)?, cycle(2)?, cycle(3)?],
        })
    }
}
