//! Values by stack in little room: a profile of a hundred thousand stacks is kept many times.
//!
//! They are cut into chunks where the number of a stack says so, so that profiles of one process have the same chunks but for those in which
//! something changed, and share them. What is new in a profile is allocated as one block: thousands of small ones that come and go at different
//! times would leave holes that no allocator can give back.

mod entry;
mod chunk;
mod builder;

use crate::model::stack::StackId;
use crate::model::stack_value::StackValue;
use builder::Builder;
use chunk::Chunk;
use entry::take;
use std::fmt;
use std::sync::Arc;

/// Values by stack, sorted by stack, each stack once. Of a variance, which is an estimate, 24 bits are kept.
#[derive(Clone, Default)]
pub struct Values {
    chunks: Arc<[Chunk]>,
    len: usize,
}

impl Values {
    /// Of values that are sorted by stack; those of one stack are added up.
    pub fn summed(values: impl IntoIterator<Item = (StackId, StackValue)>) -> Self {
        let mut values = values.into_iter().peekable();
        let summed = std::iter::from_fn(|| {
            let (stack, mut sum) = values.next()?;
            while let Some((_, more)) = values.next_if(|(next, _)| *next == stack) {
                sum.add(&more);
            }
            Some((stack, sum))
        });
        summed.collect()
    }

    fn of(builder: Builder) -> Self {
        let (chunks, len) = builder.finish();
        Self { chunks, len }
    }

    /// Of how many stacks.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of them, sorted by stack.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            chunks: self.chunks.iter(),
            bytes: &[],
            stack: 0,
        }
    }

    /// The stacks.
    pub fn stacks(&self) -> impl Iterator<Item = StackId> + '_ {
        self.iter().map(|(stack, _)| stack)
    }

    /// The value of a stack, if it has one.
    pub fn get(&self, stack: StackId) -> Option<StackValue> {
        self.pick(&[stack]).next().map(|(_, value)| value)
    }

    /// The values of some stacks, which are sorted; those that have none are passed over. A chunk is read once, and only where a stack may be in it.
    pub fn pick(&self, stacks: &[StackId]) -> impl Iterator<Item = (StackId, StackValue)> {
        let mut chunks = &*self.chunks;
        let mut here = Iter::default();
        let mut next = None;
        stacks.iter().filter_map(move |stack| {
            let passed = chunks.partition_point(|chunk| chunk.first <= *stack);
            if let Some(place) = passed.checked_sub(1) {
                here = Iter {
                    chunks: chunks.get(place..passed).unwrap_or_default().iter(),
                    ..Iter::default()
                };
                next = here.next();
                chunks = chunks.get(passed..).unwrap_or_default();
            }
            while next.is_some_and(|(at, _)| at < *stack) {
                next = here.next();
            }
            next.filter(|(at, _)| at == stack)
        })
    }

    /// Hands over what is not as in `before`: the stack, its value there and here, zero where it has none.
    pub fn each_change(&self, before: &Self, mut each: impl FnMut(StackId, StackValue, StackValue)) {
        let (mut old, mut new) = (before.iter(), self.iter());
        let (mut was, mut is) = (None, None);
        loop {
            if was.is_none() && is.is_none() && old.pass_shared(&mut new) {
                continue;
            }
            was = was.or_else(|| old.next());
            is = is.or_else(|| new.next());
            let at = |of: Option<(StackId, StackValue)>| of.map(|(stack, _)| stack);
            let Some(stack) = at(was).into_iter().chain(at(is)).min() else {
                return;
            };
            let here =
                |of: &mut Option<(StackId, StackValue)>| of.take_if(|(at, _)| *at == stack).map(|(_, value)| value);
            let (from, to) = (here(&mut was), here(&mut is));
            if from != to {
                each(stack, from.unwrap_or_default(), to.unwrap_or_default());
            }
        }
    }

    /// The same with some values set, or taken out where there is none; sorted by stack. Chunks without one are shared.
    #[must_use]
    pub fn with(&self, changes: &[(StackId, Option<StackValue>)]) -> Self {
        let mut builder = Builder::default();
        let mut changes = changes.iter().peekable();
        for (place, chunk) in self.chunks.iter().enumerate() {
            let next = self.chunks.get(place + 1).map(|next| next.first);
            let is_of_chunk = |(stack, _): &&(StackId, Option<StackValue>)| next.is_none_or(|next| *stack < next);
            if !changes.peek().is_some_and(is_of_chunk) && builder.share(chunk) {
                continue;
            }
            let one = Iter {
                chunks: self.chunks.get(place..=place).unwrap_or_default().iter(),
                ..Iter::default()
            };
            for (stack, value) in one {
                while let Some((new, value)) = changes.next_if(|(changed, _)| *changed < stack) {
                    builder.set(*new, value.as_ref());
                }
                match changes.next_if(|(changed, _)| *changed == stack) {
                    Some((_, changed)) => builder.set(stack, changed.as_ref()),
                    None => builder.push(stack, &value),
                }
            }
            while let Some((new, value)) = changes.next_if(is_of_chunk) {
                builder.set(*new, value.as_ref());
            }
        }
        for (new, value) in changes {
            builder.set(*new, value.as_ref());
        }
        Self::of(builder)
    }

    /// Shares what is the same as in `other`.
    pub fn share_with(&mut self, other: &Self) {
        let mut theirs = other.chunks.iter().peekable();
        let mut builder = Builder::default();
        let mut same = 0;
        for chunk in &*self.chunks {
            while theirs.next_if(|other| other.first < chunk.first).is_some() {}
            let other = theirs.next_if(|other| **other == *chunk);
            same += usize::from(other.is_some());
            builder.share(other.unwrap_or(chunk));
        }
        if same == self.chunks.len() && same == other.chunks.len() {
            self.chunks = Arc::clone(&other.chunks);
        } else if same > 0 {
            *self = Self::of(builder);
        }
    }

    /// Where they are: the same for copies.
    pub fn address(&self) -> *const u8 {
        self.chunks.as_ptr().cast()
    }

    /// The blocks that others may share: where each is, and bytes that it takes. One may be told more than once.
    pub fn parts(&self) -> impl Iterator<Item = (*const u8, usize)> + '_ {
        /// The counts of its `Arc`, and what an allocator adds.
        const OWN: usize = 32;
        let blocks = self.chunks.chunk_by(|one, next| Arc::ptr_eq(&one.block, &next.block));
        let blocks = blocks.filter_map(<[Chunk]>::first).map(|chunk| &chunk.block);
        blocks.map(|block| (block.as_ptr(), block.len() + OWN))
    }

    /// Bytes that they take without those parts.
    pub fn own_bytes(&self) -> usize {
        size_of_val(&*self.chunks)
    }

    /// Bytes that they take, what others share included.
    pub fn bytes(&self) -> usize {
        let mut parts: Vec<_> = self.parts().collect();
        parts.sort_unstable();
        parts.dedup();
        self.own_bytes() + parts.into_iter().map(|(_, bytes)| bytes).sum::<usize>()
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.chunks == other.chunks
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl FromIterator<(StackId, StackValue)> for Values {
    /// Of values that are sorted by stack.
    fn from_iter<I: IntoIterator<Item = (StackId, StackValue)>>(values: I) -> Self {
        let mut builder = Builder::default();
        for (stack, value) in values {
            builder.push(stack, &value);
        }
        Self::of(builder)
    }
}

impl From<Vec<(StackId, StackValue)>> for Values {
    fn from(mut values: Vec<(StackId, StackValue)>) -> Self {
        if !values.is_sorted_by_key(|(stack, _)| *stack) {
            values.sort_by_key(|(stack, _)| *stack);
        }
        values.into_iter().collect()
    }
}

impl<const N: usize> From<[(StackId, StackValue); N]> for Values {
    fn from(values: [(StackId, StackValue); N]) -> Self {
        Vec::from(values).into()
    }
}

impl<'a> IntoIterator for &'a Values {
    type Item = (StackId, StackValue);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Values one after the other.
#[derive(Clone, Default)]
pub struct Iter<'a> {
    chunks: std::slice::Iter<'a, Chunk>,
    bytes: &'a [u8],
    /// The stack before; of a chunk that just begins its first.
    stack: u32,
}

impl Iter<'_> {
    /// Passes over a chunk that both are about to begin.
    fn pass_shared(&mut self, other: &mut Self) -> bool {
        let next = |of: &Self| {
            of.chunks
                .as_slice()
                .first()
                .filter(|_| of.bytes.is_empty())
                .map(|chunk| chunk.bytes().as_ptr())
        };
        let is_shared = next(self).is_some_and(|here| next(other) == Some(here));
        if is_shared {
            self.chunks.next();
            other.chunks.next();
        }
        is_shared
    }
}

impl fmt::Debug for Iter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter")
            .field("stack", &self.stack)
            .finish_non_exhaustive()
    }
}

impl Iterator for Iter<'_> {
    type Item = (StackId, StackValue);

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            let chunk = self.chunks.next()?;
            self.bytes = chunk.bytes();
            self.stack = chunk.first.number();
        }
        let (distance, value) = take(&mut self.bytes)?;
        self.stack = self.stack.wrapping_add(distance);
        Some((StackId::from_number(self.stack), value))
    }
}

#[cfg(test)]
mod tests;
