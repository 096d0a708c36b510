//! The heap profile of a Go process, read bucket by bucket from its memory: what `/debug/pprof/heap` would show, and what
//! it cannot show, the heap as of the last garbage collection and as of now.

mod cycle;
mod bucket;
mod calibrate;
mod error;
mod keep;
mod index;
mod view;
mod scale;
mod snapshot;
mod frames;

pub use crate::layout::RecordFormat;
pub use bucket::BucketError;
pub use bucket::Counts;
pub use bucket::Record;
pub use cycle::CycleSource;
pub use error::HeapError;
pub use frames::Frames;
pub use frames::LogicalCall;
pub use index::BucketId;
pub use index::BucketIndex;
pub use index::MAX_BUCKETS;
pub use keep::KeepStacks;
pub use keep::Kept;
pub use scale::Amount;
pub use scale::Estimate;
pub use scale::estimate;
pub use scale::factor;
pub use scale::scale;
pub use scale::scale_by;
pub use snapshot::Consistency;
pub use snapshot::Difference;
pub use snapshot::Snapshot;
pub use view::View;

pub(crate) use bucket::Bucket;
pub(crate) use cycle::CYCLE_WRAP;
pub(crate) use cycle::same_cycle;

use crate::memory::MemoryError;
use crate::memory::ReadMemory;
use calibrate::Verdict;

/// Where to read and what to expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeapSource {
    /// Address of `runtime.mbuckets`.
    pub buckets: u64,
    /// Address of the counter of profile cycles.
    pub cycle: CycleSource,
    /// Address of `runtime.MemProfileRate`.
    pub rate: u64,
    /// Layout of the counters in this version, where the version is known.
    pub format: Option<RecordFormat>,
    /// Version of Go, for messages.
    pub version: String,
}

/// Reads the heap profile of one process again and again.
#[derive(Debug)]
pub struct HeapReader {
    source: HeapSource,
    format: Option<RecordFormat>,
    index: BucketIndex,
}

impl HeapReader {
    /// A reader that has read nothing yet.
    pub fn new(source: HeapSource) -> Self {
        Self {
            source,
            format: None,
            index: BucketIndex::default(),
        }
    }

    /// All buckets seen so far.
    pub fn index(&self) -> &BucketIndex {
        &self.index
    }

    /// The layout of the counters, once a reading has confirmed it.
    pub fn format(&self) -> Option<RecordFormat> {
        self.format
    }

    /// Where it reads.
    pub fn source(&self) -> &HeapSource {
        &self.source
    }

    /// The layout that version and counters agree on.
    fn calibrate<M: ReadMemory + ?Sized>(&mut self, memory: &M) -> Result<RecordFormat, HeapError> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        let mut evidence = calibrate::Evidence::default();
        // Buckets of all ages: the oldest may not have been used since the start.
        let step = (self.index.len() / calibrate::SAMPLE).max(1);
        let record = |at: usize| {
            self.index
                .record(at.checked_mul(step)?, RecordFormat::ObjectsAndBytes.record_size())
        };
        crate::memory::read_ranges(
            memory,
            |at| Some(record(at)?.1),
            |at, bytes| {
                let size = record(at).and_then(|(id, _)| self.index.size(id));
                if let (Some(size), Ok(bytes)) = (size, bytes) {
                    evidence.look(size, bytes);
                }
            },
        )
        .map_err(|source| match source {
            MemoryError::Gone => HeapError::Gone,
            source => HeapError::Variable {
                what: "the counters",
                source,
            },
        })?;
        let format = match (evidence.format(), self.source.format) {
            (Verdict::Contradiction { holds, fails }, _) => return Err(HeapError::Contradiction { holds, fails }),
            (Verdict::Clear(found), Some(expected)) if found != expected => {
                return Err(HeapError::Layout {
                    version: self.source.version.clone(),
                    expected,
                    found,
                });
            }
            (Verdict::Clear(found), _) => found,
            // Not confirmed yet: asked again next time.
            (Verdict::Nothing, Some(expected)) => return Ok(expected),
            (Verdict::Nothing, None) => {
                return Err(HeapError::UnknownLayout {
                    version: self.source.version.clone(),
                });
            }
        };
        self.format = Some(format);
        Ok(format)
    }
}

#[cfg(test)]
mod tests;
