//! Many small reads as few large ones: neighbours in sorted order are read together, gaps included.

use super::MemoryError;
use super::ReadMemory;
use std::ops::Range;

/// Reading this many unwanted bytes costs less than another system call, which looks up a page of its own (measured on the
/// stacks of 100,000 goroutines).
const MAX_GAP: u64 = 2 << 10;

/// Bytes of one large read.
const MAX_SPAN: u64 = 256 << 10;

/// Reads every range, in the given order, and hands each to `each` with its index and its bytes or the reason why they
/// are missing. Ranges in ascending order are read together; any other order works and is slower. Only a process that
/// is gone, or time that is up, ends the reading early.
pub fn read_many<M: ReadMemory + ?Sized>(
    memory: &M,
    ranges: &[Range<u64>],
    each: impl FnMut(usize, Result<&[u8], MemoryError>),
) -> Result<(), MemoryError> {
    read_ranges(memory, |index| ranges.get(index).cloned(), each)
}

/// The same of ranges that need not be listed: `range` answers by index, and with none behind the last.
pub(crate) fn read_ranges<M: ReadMemory + ?Sized>(
    memory: &M,
    range: impl Fn(usize) -> Option<Range<u64>>,
    mut each: impl FnMut(usize, Result<&[u8], MemoryError>),
) -> Result<(), MemoryError> {
    let mut buffer = Vec::new();
    let mut first = 0;
    while let Some(mut span) = range(first) {
        let mut after = first + 1;
        while let Some(next) = range(after)
            && next.start >= span.start
            && next.start <= span.end.saturating_add(MAX_GAP)
            && next.end.saturating_sub(span.start) <= MAX_SPAN
        {
            span.end = span.end.max(next.end);
            after += 1;
        }
        let length = span.end.saturating_sub(span.start);
        let read = if length <= MAX_SPAN {
            buffer.resize(usize::try_from(length).unwrap_or(0), 0);
            match memory.read_some(span.start, &mut buffer) {
                Ok(read) => read,
                Err(error) if error.is_final() => return Err(error),
                Err(_) => 0,
            }
        } else {
            0
        };
        for index in first..after {
            let Some(range) = range(index) else { break };
            let got = buffer.get(..read).and_then(|bytes| slice(bytes, span.start, &range));
            match got {
                Some(bytes) => each(index, Ok(bytes)),
                None => read_alone(memory, &range, index, &mut each)?,
            }
        }
        first = after;
    }
    Ok(())
}

/// The part of a span that is one of its ranges.
fn slice<'b>(bytes: &'b [u8], start: u64, range: &Range<u64>) -> Option<&'b [u8]> {
    let from = usize::try_from(range.start.checked_sub(start)?).ok()?;
    let to = usize::try_from(range.end.checked_sub(start)?).ok()?;
    bytes.get(from..to)
}

/// A hole in a span hides what comes after it: what the large read did not reach is read by itself.
fn read_alone<M: ReadMemory + ?Sized>(
    memory: &M,
    range: &Range<u64>,
    index: usize,
    each: &mut impl FnMut(usize, Result<&[u8], MemoryError>),
) -> Result<(), MemoryError> {
    let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    match memory.read_vec(range.start, length) {
        Ok(bytes) => each(index, Ok(&bytes)),
        Err(error) if error.is_final() => return Err(error),
        Err(error) => each(index, Err(error)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::FakeMemory;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the ranges and the holes, every range gets what reading it alone gets.
        #[test]
        fn equals_reading_each_alone(
            holes in proptest::collection::btree_set(0_u64..64, 0..20),
            ranges in proptest::collection::vec((0_u64..66_000, 0_u64..3000), 0..60),
            sorted: bool,
        ) {
            let mut memory = FakeMemory::new();
            for page in (0..64).filter(|page| !holes.contains(page)) {
                let bytes: Vec<u8> = (0..1024_u64).map(|byte| (byte.wrapping_mul(page + 7) >> 3).to_le_bytes()[0]).collect();
                memory.map(page << 10, bytes);
            }
            let mut ranges: Vec<_> = ranges.iter().map(|(start, length)| *start..*start + *length).collect();
            if sorted {
                ranges.sort_by_key(|range| range.start);
            }
            let mut seen = Vec::new();
            read_many(&memory, &ranges, |index, bytes| seen.push((index, bytes.map(<[u8]>::to_vec)))).unwrap();
            prop_assert_eq!(seen.len(), ranges.len());
            for ((index, got), (at, range)) in seen.iter().zip(ranges.iter().enumerate()) {
                prop_assert_eq!(*index, at);
                let alone = memory.read_vec(range.start, usize::try_from(range.end - range.start).unwrap());
                prop_assert_eq!(got, &alone);
            }
        }
    }
}
