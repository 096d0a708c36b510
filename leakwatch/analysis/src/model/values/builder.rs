//! Values on their way into chunks, and chunks into blocks.

use super::chunk::Chunk;
use super::entry::put;
use crate::model::stack::StackId;
use crate::model::stack_value::StackValue;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Stacks in a chunk on the average: half a page of sampled values.
const MEAN: u32 = 256;
/// The most.
const MOST: u32 = 2_048;

/// Makes chunks of values that come sorted by stack.
#[derive(Default)]
pub(super) struct Builder {
    chunks: Vec<Part>,
    len: usize,
    /// Of the chunks that are new.
    bytes: Vec<u8>,
    first: Option<StackId>,
    begin: usize,
    count: u32,
    before: u32,
}

/// A chunk, in the block of others or in the one that is being made.
struct Part {
    first: StackId,
    count: u32,
    block: Option<Arc<[u8]>>,
    place: Range<usize>,
}

impl Builder {
    pub(super) fn push(&mut self, stack: StackId, value: &StackValue) {
        if self.first.is_none() {
            self.first = Some(stack);
            self.begin = self.bytes.len();
            self.before = stack.number();
        }
        put(&mut self.bytes, stack.number().wrapping_sub(self.before), value);
        self.before = stack.number();
        self.count += 1;
        if ends_chunk(stack) || self.count == MOST {
            self.end_chunk();
        }
    }

    pub(super) fn set(&mut self, stack: StackId, value: Option<&StackValue>) {
        if let Some(value) = value {
            self.push(stack, value);
        }
    }

    /// Takes a whole chunk over, if the one before has ended.
    pub(super) fn share(&mut self, chunk: &Chunk) -> bool {
        let is_between = self.first.is_none();
        if is_between {
            self.add(chunk.first, chunk.count, Some(&chunk.block), chunk.place.clone());
        }
        is_between
    }

    fn end_chunk(&mut self) {
        if let Some(first) = self.first.take() {
            self.add(first, self.count, None, self.begin..self.bytes.len());
        }
        self.count = 0;
    }

    fn add(&mut self, first: StackId, count: u32, block: Option<&Arc<[u8]>>, place: Range<usize>) {
        self.len += count as usize;
        self.chunks.push(Part {
            first,
            count,
            block: block.cloned(),
            place,
        });
    }

    /// All chunks, and how many values they have.
    pub(super) fn finish(mut self) -> (Arc<[Chunk]>, usize) {
        self.end_chunk();
        self.leave_blocks_of_little_use();
        let new: Arc<[u8]> = self.bytes.into();
        let chunks = self.chunks.into_iter().map(|part| Chunk {
            first: part.first,
            count: part.count,
            block: part.block.unwrap_or_else(|| Arc::clone(&new)),
            place: part.place,
        });
        (chunks.collect(), self.len)
    }

    /// Copies what is in blocks that are kept whole for less than half of them.
    fn leave_blocks_of_little_use(&mut self) {
        let mut used: HashMap<*const u8, usize> = HashMap::new();
        for part in &self.chunks {
            if let Some(block) = &part.block {
                *used.entry(block.as_ptr()).or_default() += part.place.len();
            }
        }
        for part in &mut self.chunks {
            let is_of_little_use =
                |block: &mut Arc<[u8]>| used.get(&block.as_ptr()).is_some_and(|used| *used < block.len() / 2);
            if let Some(block) = part.block.take_if(is_of_little_use) {
                let begin = self.bytes.len();
                self.bytes
                    .extend_from_slice(block.get(part.place.clone()).unwrap_or_default());
                part.place = begin..self.bytes.len();
            }
        }
    }
}

/// Decided by the stack alone, and by bits of its number that neighbours do not have in common.
const fn ends_chunk(stack: StackId) -> bool {
    /// The golden ratio: multiples of it are spread evenly (Knuth, volume 3, 6.4).
    const SPREAD: u32 = 0x9e37_79b1;
    stack.number().wrapping_mul(SPREAD) < u32::MAX / MEAN
}
