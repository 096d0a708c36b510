//! Stacks as analysis sees them: frames with inlining expanded, interned once per target.

use std::collections::HashMap;
use std::sync::Arc;

/// One (possibly inlined) frame.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frame {
    /// Function name as the profile gives it (`main.getOrQueryMarketsValues`).
    pub function: Arc<str>,
    /// Source file; empty when the profile has none.
    pub file: Arc<str>,
    /// Line of the call (or of the allocation in the innermost frame); 0 when the profile has none.
    pub line: u32,
}

/// Index of an interned stack in its [`StackTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StackId(u32);

/// Interned stacks of one target. Only grows; bounded by [`StackTable::MAX_STACKS`].
#[derive(Clone, Debug, Default)]
pub struct StackTable {
    frames: Vec<Frame>,
    frame_ids: HashMap<Frame, u32>,
    stacks: Vec<Box<[u32]>>,
    stack_ids: HashMap<Box<[u32]>, u32>,
}

/// The table is full: the stack was not added and its values must be counted as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stack table is full at {max} stacks", max = StackTable::MAX_STACKS)]
pub struct StackTableFull;

impl StackTable {
    /// A real service has hundreds to thousands of distinct stacks; this bounds a hostile one to some tens of MiB.
    pub const MAX_STACKS: usize = 65_536;

    /// Interns a stack, innermost frame first.
    pub fn intern(&mut self, stack: &[Frame]) -> Result<StackId, StackTableFull> {
        let frames: Box<[u32]> = stack.iter().map(|frame| self.intern_frame(frame)).collect();
        if let Some(&id) = self.stack_ids.get(&frames) {
            return Ok(StackId(id));
        }
        if self.stacks.len() >= Self::MAX_STACKS {
            return Err(StackTableFull);
        }
        let id = u32::try_from(self.stacks.len()).map_err(|_error| StackTableFull)?;
        self.stacks.push(frames.clone());
        self.stack_ids.insert(frames, id);
        Ok(StackId(id))
    }

    /// The frames of a stack, innermost first; empty for an id of another table.
    pub fn frames(&self, id: StackId) -> impl DoubleEndedIterator<Item = &Frame> + '_ {
        let stack: &[u32] = self.stacks.get(id.0 as usize).map_or(&[], |stack| stack);
        stack.iter().filter_map(|&frame| self.frames.get(frame as usize))
    }

    /// How many stacks are interned.
    pub fn len(&self) -> usize {
        self.stacks.len()
    }

    /// Whether nothing is interned.
    pub fn is_empty(&self) -> bool {
        self.stacks.is_empty()
    }

    fn intern_frame(&mut self, frame: &Frame) -> u32 {
        if let Some(&id) = self.frame_ids.get(frame) {
            return id;
        }
        let id = u32::try_from(self.frames.len()).unwrap_or(u32::MAX);
        self.frames.push(frame.clone());
        self.frame_ids.insert(frame.clone(), id);
        id
    }
}
