//! Some values, one after the other: what profiles share.

use crate::model::stack::StackId;
use std::ops::Range;
use std::sync::Arc;

/// Values of stacks that follow one another.
#[derive(Clone)]
pub(super) struct Chunk {
    pub(super) first: StackId,
    pub(super) count: u32,
    /// Where it is, and other chunks.
    pub(super) block: Arc<[u8]>,
    pub(super) place: Range<usize>,
}

impl Chunk {
    pub(super) fn bytes(&self) -> &[u8] {
        self.block.get(self.place.clone()).unwrap_or_default()
    }
}

impl PartialEq for Chunk {
    fn eq(&self, other: &Self) -> bool {
        self.first == other.first && self.bytes() == other.bytes()
    }
}
