//! All goroutines of a process (`runtime.allgs`): their addresses, then their headers, many at a time.

use super::error::GoroutinesError;
use super::header::Header;
use crate::layout::GoroutineLayout;
use crate::memory::MemoryError;
use crate::memory::ReadMemory;
use crate::memory::read_many;
use crate::memory::u64_at;

/// A process with more goroutines has no memory left for anything else.
const MAX_LISTED: u64 = 10_000_000;

/// Addresses read at a time.
const PIECE: u64 = 32 << 10;

/// The array is replaced when it grows: this many times in a row while we read it is a lie.
const MAX_ATTEMPTS: usize = 4;

/// Where the process keeps its list, as addresses of the process: of `runtime.allgptr` and `runtime.allglen`, or of the
/// first and the second word of `runtime.allgs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListAddress {
    /// Of the variable that holds the address of the array.
    pub array: u64,
    /// Of the variable that holds its length.
    pub length: u64,
}

/// Some or all addresses of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// In ascending order, so that neighbours are read together.
    pub(crate) addresses: Vec<u64>,
    /// Length of the whole list, with those goroutines that have ended and wait to be used again.
    pub(crate) length: u64,
    /// Every `stride`th is in `addresses`.
    pub(crate) stride: u64,
}

/// Reads the list; of one with more than `bound` entries every second, third, ... so that at most `bound` remain.
pub(crate) fn read<M: ReadMemory + ?Sized>(
    memory: &M,
    list: ListAddress,
    bound: u64,
) -> Result<Listed, GoroutinesError> {
    for _ in 0..MAX_ATTEMPTS {
        // The runtime stores the array before the length: in the other order we never have a length beyond the array.
        let length = memory.read_u64(list.length)?;
        let array = memory.read_u64(list.array)?;
        if length > MAX_LISTED {
            return Err(GoroutinesError::TooMany { length });
        }
        let stride = length.div_ceil(bound.max(1)).max(1);
        let addresses = entries(memory, array, length, stride);
        // A list that has been replaced meanwhile was read from memory that may have been used again.
        if memory.read_u64(list.array)? == array {
            let mut addresses = addresses?;
            addresses.sort_unstable();
            addresses.dedup();
            return Ok(Listed {
                addresses,
                length,
                stride,
            });
        }
    }
    Err(GoroutinesError::ListMoves)
}

fn entries<M: ReadMemory + ?Sized>(
    memory: &M,
    array: u64,
    length: u64,
    stride: u64,
) -> Result<Vec<u64>, GoroutinesError> {
    let mut addresses = Vec::new();
    let mut first = 0;
    while first < length {
        let count = PIECE.min(length - first);
        let start = first.checked_mul(8).and_then(|offset| array.checked_add(offset));
        let start = start.ok_or(GoroutinesError::NotAList { array, length })?;
        let bytes = memory.read_vec(start, usize::try_from(count * 8).unwrap_or(usize::MAX))?;
        for (index, word) in (first..).zip(bytes.chunks_exact(8)) {
            let address = u64_at(word, 0).unwrap_or(0);
            if address == 0 || !address.is_multiple_of(8) {
                return Err(GoroutinesError::NotAList { array, length });
            }
            if index.is_multiple_of(stride) {
                addresses.push(address);
            }
        }
        first += count;
    }
    Ok(addresses)
}

/// What reading headers has found.
#[derive(Debug, Default)]
pub(super) struct Headers {
    /// In the order of the addresses.
    pub(super) alive: Vec<Header>,
    /// Goroutines that have ended; their `runtime.g` waits to be used again.
    pub(super) ended: u64,
    /// Not readable.
    pub(super) unreadable: u64,
}

/// Reads the headers at `addresses`, which are in ascending order.
pub(super) fn headers<M: ReadMemory + ?Sized>(
    memory: &M,
    layout: &GoroutineLayout,
    addresses: &[u64],
) -> Result<Headers, MemoryError> {
    let size = layout.size() as u64;
    let ranges: Vec<_> = addresses
        .iter()
        .map(|address| *address..address.saturating_add(size))
        .collect();
    let mut headers = Headers::default();
    read_many(memory, &ranges, |index, bytes| match (bytes, addresses.get(index)) {
        (Ok(bytes), Some(address)) => match Header::decode(*address, bytes, layout) {
            Some(header) => headers.alive.push(header),
            None => headers.ended += 1,
        },
        _ => headers.unreadable += 1,
    })?;
    Ok(headers)
}
