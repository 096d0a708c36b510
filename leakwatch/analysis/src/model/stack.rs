//! Stacks as analysis sees them: frames with inlining expanded, interned once per target.

use crate::model::shared_log::SharedLog;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;
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

impl StackId {
    /// The index in the table.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Interned stacks of one target. Only grows, and a copy shares what was there when it was made; bounded by the `MAX_` constants,
/// together some tens of MiB for a hostile program. A real service has hundreds to thousands of distinct stacks.
#[derive(Clone, Default)]
pub struct StackTable {
    frames: SharedLog<Frame>,
    stacks: SharedLog<Arc<[u32]>>,
    index: Index,
}

/// What finds a frame or a stack in its table again: only whoever adds to a table needs it.
#[derive(Default)]
struct Index {
    texts: HashSet<Arc<str>>,
    text_bytes: usize,
    frames: HashMap<Frame, u32>,
    stacks: HashMap<Arc<[u32]>, u32>,
    stack_frames: usize,
}

impl Clone for Index {
    /// A copy of a table is for reading and has no index; one that is added to all the same makes its own.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for StackTable {
    fn eq(&self, other: &Self) -> bool {
        (&self.frames, &self.stacks) == (&other.frames, &other.stacks)
    }
}

impl fmt::Debug for StackTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackTable")
            .field("frames", &self.frames)
            .field("stacks", &self.stacks)
            .finish_non_exhaustive()
    }
}

/// The table is full: the stack was not added and its values must be counted as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stack table is full: more than {bound} {what}")]
pub struct StackTableFull {
    /// What there is too much of.
    pub what: &'static str,
    /// The bound.
    pub bound: usize,
}

impl StackTable {
    /// Distinct stacks.
    pub const MAX_STACKS: usize = 131_072;
    /// Frames of all stacks together, 4 bytes each.
    pub const MAX_STACK_FRAMES: usize = 4 << 20;
    /// Distinct frames.
    pub const MAX_FRAMES: usize = 131_072;
    /// Bytes of distinct function and file names together.
    pub const MAX_TEXT_BYTES: usize = 16 << 20;

    /// Interns a stack, innermost frame first.
    pub fn intern(&mut self, stack: &[Frame]) -> Result<StackId, StackTableFull> {
        let frames = stack
            .iter()
            .map(|frame| self.intern_frame(frame))
            .collect::<Result<Vec<u32>, _>>()?;
        self.intern_indices(&frames)
    }

    /// Interns a stack given by indices that [`Self::intern_frame`] gave.
    pub(crate) fn intern_indices(&mut self, frames: &[u32]) -> Result<StackId, StackTableFull> {
        self.index.cover(&self.frames, &self.stacks);
        if let Some(&id) = self.index.stacks.get(frames) {
            return Ok(StackId(id));
        }
        let id = below(self.stacks.len(), "stacks", Self::MAX_STACKS)?;
        let stack_frames = self.index.stack_frames.saturating_add(frames.len());
        below(stack_frames, "frames of stacks", Self::MAX_STACK_FRAMES)?;
        self.index.stack_frames = stack_frames;
        let frames: Arc<[u32]> = frames.into();
        self.stacks.push(Arc::clone(&frames));
        self.index.stacks.insert(frames, id);
        Ok(StackId(id))
    }

    /// Interns all stacks of another table. Their ids here, by their index there; none for a stack that does not fit.
    pub(crate) fn absorb(&mut self, other: &Self) -> Vec<Option<StackId>> {
        let frames: Vec<Option<u32>> = other.frames.iter().map(|frame| self.intern_frame(frame).ok()).collect();
        let here = |index: &u32| frames.get(*index as usize).copied().flatten();
        let mut stack = Vec::new();
        other
            .stacks
            .iter()
            .map(|indices| {
                stack.clear();
                stack.extend(indices.iter().map_while(here));
                let fits = stack.len() == indices.len();
                fits.then(|| self.intern_indices(&stack).ok()).flatten()
            })
            .collect()
    }

    /// The frames of a stack, innermost first; empty for an id of another table.
    pub fn frames(&self, id: StackId) -> impl DoubleEndedIterator<Item = &Frame> + '_ {
        self.frame_indices(id).iter().filter_map(|&index| self.frame(index))
    }

    /// The frames of a stack as indices for [`Self::frame`], which are cheaper to compare.
    pub(crate) fn frame_indices(&self, id: StackId) -> &[u32] {
        self.stacks.get(id.index()).map_or(&[], |stack| stack)
    }

    /// A frame by its index.
    pub(crate) fn frame(&self, index: u32) -> Option<&Frame> {
        self.frames.get(index as usize)
    }

    /// How many stacks are interned.
    pub fn len(&self) -> usize {
        self.stacks.len()
    }

    /// Whether nothing is interned.
    pub fn is_empty(&self) -> bool {
        self.stacks.is_empty()
    }

    /// Interns one frame and returns its index for [`Self::frame`].
    pub(crate) fn intern_frame(&mut self, frame: &Frame) -> Result<u32, StackTableFull> {
        self.index.cover(&self.frames, &self.stacks);
        if let Some(&id) = self.index.frames.get(frame) {
            return Ok(id);
        }
        let id = below(self.frames.len(), "frames", Self::MAX_FRAMES)?;
        let frame = Frame {
            function: self.index.intern_text(&frame.function)?,
            file: self.index.intern_text(&frame.file)?,
            line: frame.line,
        };
        self.frames.push(frame.clone());
        self.index.frames.insert(frame, id);
        Ok(id)
    }
}

impl Index {
    /// Makes the index of a table that has none.
    fn cover(&mut self, frames: &SharedLog<Frame>, stacks: &SharedLog<Arc<[u32]>>) {
        if (self.frames.len(), self.stacks.len()) == (frames.len(), stacks.len()) {
            return;
        }
        *self = Self::default();
        for (id, frame) in (0..).zip(frames.iter()) {
            for text in [&frame.function, &frame.file] {
                if self.texts.insert(Arc::clone(text)) {
                    self.text_bytes = self.text_bytes.saturating_add(text.len());
                }
            }
            self.frames.insert(frame.clone(), id);
        }
        for (id, stack) in (0..).zip(stacks.iter()) {
            self.stack_frames = self.stack_frames.saturating_add(stack.len());
            self.stacks.insert(Arc::clone(stack), id);
        }
    }

    fn intern_text(&mut self, text: &Arc<str>) -> Result<Arc<str>, StackTableFull> {
        if let Some(known) = self.texts.get(text) {
            return Ok(Arc::clone(known));
        }
        let text_bytes = self.text_bytes.saturating_add(text.len());
        below(text_bytes, "bytes of names", StackTable::MAX_TEXT_BYTES)?;
        self.text_bytes = text_bytes;
        self.texts.insert(Arc::clone(text));
        Ok(Arc::clone(text))
    }
}

/// `count` as an index, if it is below the bound.
fn below(count: usize, what: &'static str, bound: usize) -> Result<u32, StackTableFull> {
    u32::try_from(count)
        .ok()
        .filter(|_| count < bound)
        .ok_or(StackTableFull { what, bound })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, line: u32) -> Frame {
        Frame {
            function: function.into(),
            file: "main.go".into(),
            line,
        }
    }

    #[test]
    fn equal_stacks_get_one_id() {
        let mut table = StackTable::default();
        let stack = [frame("main.leaf", 7), frame("main.main", 3)];
        let id = table.intern(&stack).unwrap();
        assert_eq!(table.intern(&[frame("main.leaf", 7), frame("main.main", 3)]), Ok(id));
        assert_ne!(table.intern(&[frame("main.leaf", 8), frame("main.main", 3)]), Ok(id));
        assert_eq!(table.frames(id).cloned().collect::<Vec<_>>(), stack);
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn a_copy_stays_as_it_was_and_can_be_added_to() {
        let mut table = StackTable::default();
        let main = table.intern(&[frame("main.main", 1)]).unwrap();
        let mut copy = table.clone();
        let leaf = table.intern(&[frame("main.leaf", 2), frame("main.main", 1)]).unwrap();
        assert_eq!((copy.len(), copy.frames(leaf).count()), (1, 0));
        assert_eq!(copy.intern(&[frame("main.main", 1)]), Ok(main));
        assert_eq!(copy.intern(&[frame("main.leaf", 2), frame("main.main", 1)]), Ok(leaf));
        assert_eq!(copy, table);
    }

    #[test]
    fn a_full_table_says_what_it_is_full_of_and_still_knows_its_stacks() {
        let mut table = StackTable::default();
        let known = table.intern(&[frame("main.main", 1)]).unwrap();
        let long = "x".repeat(StackTable::MAX_TEXT_BYTES);
        let full = table.intern(&[frame(&long, 1)]).unwrap_err();
        assert_eq!(full.what, "bytes of names");
        let deep = vec![0; StackTable::MAX_STACK_FRAMES];
        assert_eq!(table.intern_indices(&deep).unwrap_err().what, "frames of stacks");
        for number in 0.. {
            // Few frames in many stacks.
            let stack = [frame("main.leaf", number % 1_000), frame("main.main", number / 1_000)];
            match table.intern(&stack) {
                Ok(_) => assert!(table.len() <= StackTable::MAX_STACKS),
                Err(full) => {
                    assert_eq!((full.what, table.len()), ("stacks", StackTable::MAX_STACKS));
                    break;
                }
            }
        }
        assert_eq!(table.intern(&[frame("main.main", 1)]), Ok(known));
    }
}
