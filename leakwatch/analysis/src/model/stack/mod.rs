//! Stacks as analysis sees them: frames with inlining expanded, interned once.
//!
//! Stacks share their callers, as those of a real program do: a table is a tree from the outermost frames inwards, and a stack is the
//! node of its innermost frame.

use crate::model::shared_log::SharedLog;
use hashbrown::DefaultHashBuilder;
use hashbrown::HashSet;
use hashbrown::HashTable;
use std::fmt;
use std::hash::BuildHasher as _;
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

/// An interned stack in its [`StackTable`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StackId(u32);

impl StackId {
    /// The stack without frames, the same in every table.
    pub const EMPTY: Self = Self(0);

    /// One more than its place in [`StackTable::all_stacks`]; zero for the empty stack.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The stack with this [`Self::number`] in its table; one that is not there has no frames.
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// Place of the node, none for the empty stack.
    const fn node(self) -> Option<usize> {
        (self.0 as usize).checked_sub(1)
    }
}

/// The innermost frame of a stack, and the stack that called it: always an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    caller: StackId,
    /// With [`StackTable::INLINED`].
    frame: u32,
}

/// Interned stacks. Only grows, and a copy shares what was there when it was made; bounded by the `MAX_` constants, together some tens
/// of MiB for a hostile program. A stack takes the memory of the frames that it shares with no other, 8 bytes each and 5 to 10 in the
/// index.
#[derive(Clone, Default)]
pub struct StackTable {
    frames: SharedLog<Frame>,
    nodes: SharedLog<Node>,
    index: Index,
}

/// What finds a frame or a stack in its table again: only whoever adds to a table needs it.
#[derive(Default)]
struct Index {
    /// The same for a table and its copies, as long as nothing is added to these.
    origin: Arc<()>,
    /// Of a copy, which has the numbers of its table and no index.
    is_copy: bool,
    hasher: DefaultHashBuilder,
    texts: HashSet<Arc<str>>,
    text_bytes: usize,
    frames: HashTable<u32>,
    nodes: HashTable<u32>,
}

impl Clone for Index {
    /// A copy of a table is for reading and has no index; one that is added to all the same makes its own.
    fn clone(&self) -> Self {
        Self {
            origin: Arc::clone(&self.origin),
            is_copy: true,
            ..Self::default()
        }
    }
}

impl PartialEq for StackTable {
    fn eq(&self, other: &Self) -> bool {
        (&self.frames, &self.nodes) == (&other.frames, &other.nodes)
    }
}

impl fmt::Debug for StackTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackTable")
            .field("frames", &self.frames)
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}

/// The table is full: the stack was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stack table is full: more than {bound} {what}")]
pub struct StackTableFull {
    /// What there is too much of.
    pub what: &'static str,
    /// The bound.
    pub bound: usize,
}

impl StackTable {
    /// Frames of all stacks together, those that stacks share counted once.
    pub const MAX_NODES: usize = 4 << 20;
    /// Distinct frames.
    pub const MAX_FRAMES: usize = 1 << 18;
    /// Bytes of distinct function and file names together.
    pub const MAX_TEXT_BYTES: usize = 16 << 20;
    /// Added to the index of a frame whose call has been inlined into its caller.
    pub const INLINED: u32 = 1 << 31;

    /// Interns a stack, innermost frame first.
    pub fn intern(&mut self, stack: &[Frame]) -> Result<StackId, StackTableFull> {
        stack.iter().rev().try_fold(StackId::EMPTY, |caller, frame| {
            let frame = self.intern_frame(frame)?;
            self.intern_call(caller, frame)
        })
    }

    /// Interns a stack given by indices as [`Self::intern_call`] takes them, innermost first.
    pub(crate) fn intern_indices(&mut self, frames: &[u32]) -> Result<StackId, StackTableFull> {
        let mut outermost_first = frames.iter().rev();
        outermost_first.try_fold(StackId::EMPTY, |caller, frame| self.intern_call(caller, *frame))
    }

    /// Interns the stack of a frame that was called by another stack of this table; the index of one that is inlined there has
    /// [`Self::INLINED`].
    pub fn intern_call(&mut self, caller: StackId, frame: u32) -> Result<StackId, StackTableFull> {
        self.index.cover(&self.frames, &self.nodes);
        let node = Node { caller, frame };
        let hash = self.index.hasher.hash_one((caller, frame));
        let nodes = &self.nodes;
        if let Some(&known) = self
            .index
            .nodes
            .find(hash, |place| nodes.get(*place as usize) == Some(&node))
        {
            return Ok(StackId(known + 1));
        }
        let place = below(self.nodes.len(), "frames of stacks", Self::MAX_NODES)?;
        self.nodes.push(node);
        let (nodes, hasher) = (&self.nodes, &self.index.hasher);
        self.index.nodes.insert_unique(hash, place, |place| {
            let node = nodes.get(*place as usize);
            hasher.hash_one(node.map_or((StackId::EMPTY, 0), |node| (node.caller, node.frame)))
        });
        Ok(StackId(place + 1))
    }

    /// The frames of a stack, innermost first; none for an id of another table.
    pub fn frames(&self, id: StackId) -> impl Iterator<Item = &Frame> + '_ {
        self.frame_indices(id).filter_map(|index| self.frame(index))
    }

    /// The frames of a stack, outermost first.
    pub fn outermost_first(&self, id: StackId) -> Vec<&Frame> {
        let mut frames: Vec<&Frame> = self.frames(id).collect();
        frames.reverse();
        frames
    }

    /// The frames of a stack as indices for [`Self::frame`], which are cheaper to compare, innermost first.
    pub(crate) fn frame_indices(&self, id: StackId) -> impl Iterator<Item = u32> + '_ {
        let node = move |id: StackId| self.nodes.get(id.node()?);
        std::iter::successors(node(id), move |inner| node(inner.caller)).map(|node| node.frame & !Self::INLINED)
    }

    /// The frames of a stack, innermost first, and whether each was inlined into the next.
    pub fn calls(&self, id: StackId) -> impl Iterator<Item = (&Frame, bool)> + '_ {
        let node = move |id: StackId| self.nodes.get(id.node()?);
        let nodes = std::iter::successors(node(id), move |inner| node(inner.caller));
        nodes.filter_map(|node| Some((self.frame(node.frame & !Self::INLINED)?, node.frame >= Self::INLINED)))
    }

    /// The stacks that a stack is made of, and their innermost frames as [`Self::intern_call`] takes them: itself, who called it, and so on.
    pub(crate) fn path(&self, id: StackId) -> impl Iterator<Item = (StackId, u32)> + '_ {
        let node = move |id: StackId| Some((id, self.nodes.get(id.node()?)?));
        let nodes = std::iter::successors(node(id), move |(_, inner)| node(inner.caller));
        nodes.map(|(id, node)| (id, node.frame))
    }

    /// A frame by its index.
    pub(crate) fn frame(&self, index: u32) -> Option<&Frame> {
        self.frames.get(index as usize)
    }

    /// Every frame, in the order of their indices.
    pub fn all_frames(&self) -> impl Iterator<Item = &Frame> + '_ {
        self.frames.iter()
    }

    /// Every stack, as the one that called it, which is an earlier one, and its innermost frame as [`Self::intern_call`] takes it.
    pub fn all_stacks(&self) -> impl Iterator<Item = (StackId, u32)> + '_ {
        self.nodes.iter().map(|node| (node.caller, node.frame))
    }

    /// The stack of this number, if the table has one.
    pub fn by_number(&self, number: u32) -> Option<StackId> {
        (number as usize <= self.nodes.len()).then_some(StackId(number))
    }

    /// How many stacks are interned, callers of others included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing is interned.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Interns one frame and returns its index for [`Self::intern_call`].
    pub fn intern_frame(&mut self, frame: &Frame) -> Result<u32, StackTableFull> {
        self.index.cover(&self.frames, &self.nodes);
        let hash = self.index.hasher.hash_one(frame);
        let frames = &self.frames;
        if let Some(&known) = self
            .index
            .frames
            .find(hash, |place| frames.get(*place as usize) == Some(frame))
        {
            return Ok(known);
        }
        let place = below(self.frames.len(), "frames", Self::MAX_FRAMES)?;
        let frame = Frame {
            function: self.index.intern_text(&frame.function)?,
            file: self.index.intern_text(&frame.file)?,
            line: frame.line,
        };
        self.frames.push(frame);
        let (frames, hasher) = (&self.frames, &self.index.hasher);
        self.index.frames.insert_unique(hash, place, |place| {
            frames.get(*place as usize).map_or(0, |frame| hasher.hash_one(frame))
        });
        Ok(place)
    }

    /// Interns a stack of another table. `known` remembers what was found before, for the same two tables.
    pub fn adopt(&mut self, other: &Self, id: StackId, known: &mut Adopted) -> Result<StackId, StackTableFull> {
        let mut path = Vec::new();
        let mut outer = id;
        let mut here = loop {
            if let Some(found) = known.stack(outer) {
                break found;
            }
            let Some(node) = outer.node().and_then(|place| other.nodes.get(place)) else {
                break StackId::EMPTY;
            };
            path.push((outer, node.frame));
            outer = node.caller;
        };
        for (there, frame) in path.into_iter().rev() {
            let frame = self.adopt_frame(other, frame, known)?;
            here = self.intern_call(here, frame)?;
            known.note_stack(there, here);
        }
        Ok(here)
    }

    fn adopt_frame(&mut self, other: &Self, frame: u32, known: &mut Adopted) -> Result<u32, StackTableFull> {
        let (place, inlined) = (frame & !Self::INLINED, frame & Self::INLINED);
        if let Some(here) = known.frame(place) {
            return Ok(here | inlined);
        }
        let Some(there) = other.frame(place) else {
            return Ok(place | inlined);
        };
        let here = self.intern_frame(there)?;
        known.note_frame(place, here);
        Ok(here | inlined)
    }

    /// Which stacks these are, with those that called them.
    pub fn used(&self, stacks: impl IntoIterator<Item = StackId>) -> Used {
        let mut used = Used {
            is_used: vec![false; self.nodes.len()],
            count: 0,
        };
        for id in stacks {
            let mut outer = id;
            while let Some(place) = outer.node()
                && let Some(flag) = used.is_used.get_mut(place)
                && !*flag
            {
                *flag = true;
                used.count += 1;
                outer = self.nodes.get(place).map_or(StackId::EMPTY, |node| node.caller);
            }
        }
        used
    }

    /// A table of these stacks alone, and where they are in it. Their order stays.
    pub fn compacted(&self, used: &Used) -> (Self, Adopted) {
        let (mut table, mut moved) = (Self::default(), Adopted::of(self));
        for (place, _) in (0_u32..).zip(&used.is_used).filter(|(_, is_used)| **is_used) {
            // It fitted before, and its caller was moved before it.
            let _fits = table.adopt(self, StackId(place + 1), &mut moved);
        }
        (table, moved)
    }

    /// Bytes that the table takes, its index and shared copies included.
    pub fn bytes(&self) -> usize {
        /// Of each text: the counts of its `Arc`, and what an allocator adds.
        const TEXT: usize = 32;
        /// Of an index: the number and a byte of its hash, at the load that hashbrown keeps.
        const INDEXED: usize = 8;
        let texts = self.index.text_bytes + self.index.texts.len() * (TEXT + 3 * INDEXED);
        texts + self.frames.len() * (size_of::<Frame>() + INDEXED) + self.nodes.len() * (size_of::<Node>() + INDEXED)
    }
}

/// Stacks of a table that somebody uses.
#[derive(Clone, Debug)]
pub struct Used {
    is_used: Vec<bool>,
    count: usize,
}

impl Used {
    /// How many they are.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// Where stacks and frames of one table are in another.
#[derive(Clone, Debug)]
pub struct Adopted {
    origin: Arc<()>,
    /// By place there; `UNKNOWN` where it was not looked up.
    frames: Vec<u32>,
    stacks: Vec<u32>,
}

impl Adopted {
    const UNKNOWN: u32 = u32::MAX;

    /// Nothing of this table was looked up yet.
    pub fn of(there: &StackTable) -> Self {
        Self {
            origin: Arc::clone(&there.index.origin),
            frames: Vec::new(),
            stacks: Vec::new(),
        }
    }

    /// Whether it tells of this table, or of a copy of it.
    pub fn is_of(&self, there: &StackTable) -> bool {
        Arc::ptr_eq(&self.origin, &there.index.origin)
    }

    /// Whether that table is gone with all its copies.
    pub fn is_orphan(&self) -> bool {
        Arc::strong_count(&self.origin) == 1
    }

    /// Follows what has moved to another table; what is not there is unknown again.
    pub fn follow(&mut self, moved: &Self) {
        for here in self.stacks.iter_mut().filter(|here| **here != Self::UNKNOWN) {
            *here = moved.stack(StackId(*here)).map_or(Self::UNKNOWN, StackId::number);
        }
        for here in self.frames.iter_mut().filter(|here| **here != Self::UNKNOWN) {
            *here = moved.frame(*here).unwrap_or(Self::UNKNOWN);
        }
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        (self.frames.capacity() + self.stacks.capacity()) * size_of::<u32>()
    }

    /// Where a stack is, if it was looked up.
    pub fn stack(&self, there: StackId) -> Option<StackId> {
        let Some(place) = there.node() else {
            return Some(StackId::EMPTY);
        };
        let here = self.stacks.get(place).copied()?;
        (here != Self::UNKNOWN).then_some(StackId(here))
    }

    fn frame(&self, there: u32) -> Option<u32> {
        let here = self.frames.get(there as usize).copied()?;
        (here != Self::UNKNOWN).then_some(here)
    }

    fn note_stack(&mut self, there: StackId, here: StackId) {
        if let Some(place) = there.node() {
            note(&mut self.stacks, place, here.0);
        }
    }

    fn note_frame(&mut self, there: u32, here: u32) {
        note(&mut self.frames, there as usize, here);
    }
}

fn note(known: &mut Vec<u32>, place: usize, here: u32) {
    if known.len() <= place {
        known.resize(place + 1, Adopted::UNKNOWN);
    }
    if let Some(known) = known.get_mut(place) {
        *known = here;
    }
}

impl Index {
    /// Makes the index of a table that has none.
    fn cover(&mut self, frames: &SharedLog<Frame>, nodes: &SharedLog<Node>) {
        if !self.is_copy && (self.frames.len(), self.nodes.len()) == (frames.len(), nodes.len()) {
            return;
        }
        *self = Self::default();
        let hasher = self.hasher.clone();
        let frame_hash = |place: &u32| frames.get(*place as usize).map_or(0, |frame| hasher.hash_one(frame));
        let node_hash = |place: &u32| {
            let node = nodes.get(*place as usize);
            hasher.hash_one(node.map_or((StackId::EMPTY, 0), |node| (node.caller, node.frame)))
        };
        for (place, frame) in (0..).zip(frames.iter()) {
            for text in [&frame.function, &frame.file] {
                if self.texts.insert(Arc::clone(text)) {
                    self.text_bytes = self.text_bytes.saturating_add(text.len());
                }
            }
            self.frames.insert_unique(frame_hash(&place), place, frame_hash);
        }
        for place in (0..).take(nodes.len()) {
            self.nodes.insert_unique(node_hash(&place), place, node_hash);
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

/// `count` as a place, if it is below the bound.
fn below(count: usize, what: &'static str, bound: usize) -> Result<u32, StackTableFull> {
    u32::try_from(count)
        .ok()
        .filter(|_| count < bound)
        .ok_or(StackTableFull { what, bound })
}

#[cfg(test)]
mod tests;
