//! Which slots of a span hold an object now: what was freed still has its old words.

use super::ALLOCATED;
use super::FREE_INDEX;
use super::RECORD;
use super::SWEPT;
use super::Span;
use super::Spans;
use crate::memory::MemoryError;
use crate::memory::ReadMemory;
use crate::memory::read_many;
use crate::memory::u32_at;
use crate::memory::u64_at;
use std::ops::Range;

/// What is known of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// It holds an object, or that cannot be excluded.
    Object,
    /// It is free.
    Free,
    /// Its span is used for something else since the spans were read.
    Changed,
}

impl Spans {
    /// What the slots at these starts of objects, in ascending order, hold. `generation` is where `mheap.sweepgen` is.
    pub(crate) fn allocations<M: ReadMemory + ?Sized>(
        &self,
        memory: &M,
        generation: u64,
        objects: &[u64],
    ) -> Result<Vec<Allocation>, MemoryError> {
        let generation = memory.read_u32(generation)?;
        let mut found = vec![Allocation::Changed; objects.len()];
        let spans: Vec<Option<&Span>> = objects.iter().map(|object| Some(self.object(*object)?.0)).collect();
        // Slots whose bit has to tell: which object, where the bit is.
        let mut bits: Vec<(u64, u64, usize)> = Vec::new();
        let mut order: Vec<(u64, usize)> = (0..)
            .zip(&spans)
            .filter_map(|(index, span)| Some((span.as_ref()?.record, index)))
            .collect();
        order.sort_unstable();
        let ranges: Vec<Range<u64>> = order
            .iter()
            .map(|(record, _)| *record..record.saturating_add(RECORD as u64))
            .collect();
        read_many(memory, &ranges, |position, bytes| {
            let index = order.get(position).map(|(_, index)| *index);
            let known = index.and_then(|index| Some((index, (*spans.get(index)?)?, objects.get(index)?)));
            let (Some((index, span, object)), Ok(bytes)) = (known, bytes) else {
                return;
            };
            let same = Span::decode(span.record, bytes)
                .is_some_and(|now| (now.start, now.size, now.elements) == (span.start, span.size, span.elements));
            let fields = (u32_at(bytes, SWEPT), u64_at(bytes, ALLOCATED));
            let (true, (Some(swept), Some(allocated))) = (same, fields) else {
                return;
            };
            let number = (object - span.start) / span.size;
            let free_index = bytes.get(FREE_INDEX..).and_then(<[u8]>::first_chunk);
            let free_index = free_index.map_or(0, |index| u64::from(u16::from_le_bytes(*index)));
            // Before it is swept its marks may not have reached it (Go 1.26 keeps some of them beside the objects).
            let is_unswept = swept == generation.wrapping_sub(2);
            if is_unswept || number < free_index {
                if let Some(place) = found.get_mut(index) {
                    *place = Allocation::Object;
                }
            } else {
                bits.push((allocated.saturating_add(number / 8), number % 8, index));
            }
        })?;
        bits.sort_unstable();
        let ranges: Vec<Range<u64>> = bits.iter().map(|(at, ..)| *at..at.saturating_add(1)).collect();
        read_many(memory, &ranges, |position, bytes| {
            let Some((_, bit, index)) = bits.get(position) else {
                return;
            };
            let byte = bytes.ok().and_then(|bytes| bytes.first());
            if let (Some(byte), Some(place)) = (byte, found.get_mut(*index)) {
                let is_set = byte >> bit & 1 == 1;
                *place = if is_set { Allocation::Object } else { Allocation::Free };
            }
        })?;
        Ok(found)
    }
}
