//! All spans of a heap, and which of them an address lies in.

use super::CLASS;
use super::ELEMENTS;
use super::IN_USE;
use super::LARGE_TYPE;
use super::PAGE;
use super::PAGES;
use super::RECORD;
use super::SIZE;
use super::SPECIALS;
use super::START;
use super::STATE;
use super::SpansError;
use crate::memory::ReadMemory;
use crate::memory::read_many;
use crate::memory::u64_at;
use std::ops::Range;

/// Spans at most: those of some 8 GiB of small objects. A record kept has 48 bytes.
const MAX_SPANS: u64 = 1 << 20;
/// Pages from the first to the last span at most, 32 GiB: 16 MiB of what is kept.
const MAX_PAGES: u64 = 4 << 20;
/// Spans tried when a list is looked for.
const TRIED: u64 = 64;
/// In no span.
const NONE: u32 = u32::MAX;

/// Memory divided into objects of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Where its record is.
    pub(crate) record: u64,
    /// Where its first object is.
    pub(crate) start: u64,
    /// Bytes of an object.
    pub(crate) size: u64,
    /// How many there is room for.
    pub(crate) elements: u64,
    /// Whether objects hold no addresses.
    pub(crate) is_noscan: bool,
    /// Type of the one object of a large span; zero else.
    pub(crate) large_type: u64,
    /// The first special of its objects; zero where they have none.
    pub(crate) specials: u64,
}

impl Span {
    /// Reads a record; none for one that is not in use by the collector, or contradicts itself.
    pub(super) fn decode(record: u64, bytes: &[u8]) -> Option<Self> {
        if bytes.get(STATE) != Some(&IN_USE) {
            return None;
        }
        let class = *bytes.get(CLASS)?;
        let pages = u64_at(bytes, PAGES).filter(|pages| (1..=MAX_PAGES).contains(pages))?;
        let start = u64_at(bytes, START).filter(|start| *start != 0 && start.is_multiple_of(PAGE))?;
        start.checked_add(pages * PAGE)?;
        let elements = u64::from(u16::from_le_bytes(*bytes.get(ELEMENTS..)?.first_chunk()?));
        let size = u64_at(bytes, SIZE).filter(|size| *size >= 8 && size.is_multiple_of(8))?;
        let fits = size.checked_mul(elements).is_some_and(|used| used <= pages * PAGE);
        (fits && elements > 0).then_some(Self {
            record,
            start,
            size,
            elements,
            is_noscan: class & 1 == 1,
            large_type: if class >> 1 == 0 { u64_at(bytes, LARGE_TYPE)? } else { 0 },
            specials: u64_at(bytes, SPECIALS)?,
        })
    }

    /// The memory of its objects.
    pub(crate) fn objects(&self) -> Range<u64> {
        self.start..self.start + self.size * self.elements
    }
}

/// All spans in use at one moment.
#[derive(Debug, Clone, Default)]
pub struct Spans {
    /// In the order of their memory.
    list: Vec<Span>,
    low: u64,
    /// The span of each page from `low` on.
    pages: Vec<u32>,
}

impl Spans {
    /// Whether the slice at an address is a list of spans: `mheap.allspans`.
    pub(crate) fn is_list<M: ReadMemory + ?Sized>(memory: &M, list: u64) -> bool {
        let Ok((array, length)) = slice(memory, list) else {
            return false;
        };
        let Ok(records) = records(memory, array, length.min(TRIED)) else {
            return false;
        };
        let mut in_use = 0;
        for record in records {
            let Ok(bytes) = memory.read_vec(record, RECORD) else {
                return false;
            };
            match (bytes.get(STATE), Span::decode(record, &bytes)) {
                (Some(1), Some(_)) => in_use += 1,
                // Dead, or a stack.
                (Some(0 | 2), _) => {}
                _ => return false,
            }
        }
        in_use > 0
    }

    /// Reads all. `list` is where the slice of them is.
    pub(crate) fn read<M: ReadMemory + ?Sized>(memory: &M, list: u64) -> Result<Self, SpansError> {
        let (array, length) = slice(memory, list)?;
        if length > MAX_SPANS {
            return Err(SpansError::TooLarge {
                spans: length,
                pages: 0,
            });
        }
        let mut found = records(memory, array, length)?;
        found.sort_unstable();
        let mut spans = Vec::new();
        for part in found.chunks(4096) {
            let ranges: Vec<Range<u64>> = part
                .iter()
                .map(|record| *record..record.saturating_add(RECORD as u64))
                .collect();
            let mut unreadable = None;
            read_many(memory, &ranges, |index, bytes| match (bytes, part.get(index)) {
                (Ok(bytes), Some(record)) => spans.extend(Span::decode(*record, bytes)),
                (Err(error), _) => unreadable = Some(error),
                _ => {}
            })?;
            // Records are never given back: a hole means that these are none.
            if let Some(error) = unreadable {
                return Err(error.into());
            }
        }
        Self::new(spans)
    }

    pub(super) fn new(mut spans: Vec<Span>) -> Result<Self, SpansError> {
        spans.sort_unstable_by_key(|span| span.start);
        let low = spans.first().map_or(0, |span| span.start);
        let high = spans.iter().map(|span| span.objects().end).max().unwrap_or(0);
        let count = (high - low).div_ceil(PAGE);
        let too_large = || SpansError::TooLarge {
            spans: spans.len() as u64,
            pages: count,
        };
        let length = usize::try_from(count).ok().filter(|_| count <= MAX_PAGES);
        let mut pages = vec![NONE; length.ok_or_else(too_large)?];
        for (index, span) in (0..).zip(&spans) {
            let range = page_of(low, span.start)..page_of(low, span.objects().end - 1) + 1;
            // Where two claim a page, the program was changing one of them: the one that begins later is newer to it.
            pages.get_mut(range).unwrap_or_default().fill(index);
        }
        Ok(Self {
            list: spans,
            low,
            pages,
        })
    }

    /// In the order of their memory.
    pub(crate) fn all(&self) -> &[Span] {
        &self.list
    }

    /// The pages from the first span to the last.
    pub(crate) fn pages(&self) -> usize {
        self.pages.len()
    }

    /// The number of the page of an address, from the first span on; none outside of the heap.
    pub(crate) fn page(&self, address: u64) -> Option<usize> {
        let page = page_of(self.low, address);
        (address >= self.low && page < self.pages.len()).then_some(page)
    }

    /// The span and the start of the object that an address lies in.
    pub(crate) fn object(&self, address: u64) -> Option<(&Span, u64)> {
        let index = *self.pages.get(self.page(address)?)?;
        let span = self.list.get(usize::try_from(index).ok()?)?;
        let number = address.checked_sub(span.start)? / span.size;
        (number < span.elements).then(|| (span, span.start + number * span.size))
    }
}

fn page_of(low: u64, address: u64) -> usize {
    usize::try_from(address.wrapping_sub(low) / PAGE).unwrap_or(usize::MAX)
}

/// Array and length of a slice.
fn slice<M: ReadMemory + ?Sized>(memory: &M, list: u64) -> Result<(u64, u64), SpansError> {
    let word = |offset| memory.read_u64(list.saturating_add(offset));
    // In the order in which a slice that grows is written, so that the length never goes beyond the array.
    let length = word(8)?;
    let (array, capacity) = (word(0)?, word(16)?);
    if length == 0 || length > capacity || array == 0 || !array.is_multiple_of(8) {
        return Err(SpansError::NotAList { array, length });
    }
    Ok((array, length))
}

fn records<M: ReadMemory + ?Sized>(memory: &M, array: u64, length: u64) -> Result<Vec<u64>, SpansError> {
    let not_a_list = SpansError::NotAList { array, length };
    let Ok(bytes) = usize::try_from(length.saturating_mul(8)) else {
        return Err(not_a_list);
    };
    let words = memory.read_vec(array, bytes)?;
    let records: Vec<u64> = words.chunks_exact(8).filter_map(|word| u64_at(word, 0)).collect();
    if records.iter().any(|record| *record == 0 || !record.is_multiple_of(8)) {
        return Err(not_a_list);
    }
    Ok(records)
}
