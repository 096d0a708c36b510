//! Everything that may hold the address of an object, read once: variables, stacks, and objects with addresses in them.

use super::Wakers;
use super::WakersError;
use super::waits::Waits;
use crate::goroutines::Status;
use crate::memory::MemoryError;
use crate::memory::ReadMemory;
use crate::memory::read_many;
use crate::memory::u64_at;
use crate::spans::Spans;
use hashbrown::HashSet;
use std::ops::Range;

/// Bytes read as one: the buffer of a reading.
const PIECE: u64 = 128 << 10;

/// What a word was found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A variable.
    Variable,
    /// The stack of a goroutine, by its number.
    Stack(u32),
    /// An object that starts here.
    Object(u64),
}

/// One reference: a word at `slot`, in `source`, that is an address in the object `target`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) source: Source,
    pub(super) slot: u64,
    pub(super) target: u64,
}

/// The objects that references are looked for to.
#[derive(Debug)]
pub(super) struct Wanted {
    objects: HashSet<u64>,
    /// One bit for each page of the heap that one of them touches.
    pages: Vec<u64>,
}

impl Wanted {
    pub(super) fn new(spans: &Spans, objects: &[u64]) -> Self {
        let mut pages = vec![0_u64; spans.pages().div_ceil(64)];
        for object in objects {
            let Some((span, start)) = spans.object(*object) else {
                continue;
            };
            let (Some(first), Some(last)) = (spans.page(start), spans.page(start + span.size - 1)) else {
                continue;
            };
            for page in first..=last {
                if let Some(bits) = pages.get_mut(page / 64) {
                    *bits |= 1 << (page % 64);
                }
            }
        }
        Self {
            objects: objects.iter().copied().collect(),
            pages,
        }
    }

    /// The object among them that a word is an address in.
    fn find(&self, spans: &Spans, word: u64) -> Option<u64> {
        let page = spans.page(word)?;
        if self.pages.get(page / 64)? >> (page % 64) & 1 == 0 {
            return None;
        }
        let (_, object) = spans.object(word)?;
        self.objects.contains(&object).then_some(object)
    }
}

/// Memory to be read, and what it is. An object is told from the address of the word.
#[derive(Debug)]
struct Area {
    range: Range<u64>,
    /// `None` for objects.
    source: Option<Source>,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Areas {
    areas: Vec<Area>,
    pub(super) bytes: u64,
}

impl Areas {
    fn add(&mut self, range: Range<u64>, source: Option<Source>) {
        let mut start = range.start & !7;
        while start < range.end {
            let end = range.end.min(start.saturating_add(PIECE));
            self.bytes = self.bytes.saturating_add(end - start);
            self.areas.push(Area {
                range: start..end,
                source,
            });
            start = end;
        }
    }
}

impl<M: ReadMemory + ?Sized> Wakers<'_, M> {
    /// Where everything is that may hold an address.
    pub(super) fn areas(&self, spans: &Spans, waits: &Waits) -> Result<Areas, WakersError> {
        let mut areas = Areas {
            areas: Vec::new(),
            bytes: 0,
        };
        // The runtime's record of the heap lies between variables and is full of addresses in it.
        let heap = self.places.heap..self.places.heap.saturating_add(self.places.layout.heap_size as u64);
        for variables in &self.places.variables {
            let (before, behind) = (
                variables.start..heap.start.min(variables.end),
                heap.end.max(variables.start)..variables.end,
            );
            let apart = heap.end <= variables.start || variables.end <= heap.start;
            for range in if apart {
                [variables.clone(), 0..0]
            } else {
                [before, behind]
            } {
                areas.add(range, Some(Source::Variable));
            }
        }
        for (number, waiter) in (0..).zip(&waits.goroutines) {
            let header = &waiter.header;
            let stack = &header.stack;
            // Of one that runs only the runtime knows how deep it is.
            let is_known = header.status != Status::Running || header.in_syscall;
            let start = if is_known && stack.contains(&header.sp) {
                header.sp
            } else {
                stack.start
            };
            if stack.start < stack.end {
                self.check("bytes of a stack", stack.end - stack.start)?;
                areas.add(start..stack.end, Some(Source::Stack(number)));
            }
        }
        for span in spans.all().iter().filter(|span| !span.is_noscan) {
            areas.add(span.objects(), None);
        }
        self.check("bytes to be read", areas.bytes)?;
        areas.areas.sort_unstable_by_key(|area| area.range.start);
        Ok(areas)
    }

    fn check(&self, what: &'static str, found: u64) -> Result<(), WakersError> {
        let most = self.bounds.bytes;
        if found > most {
            return Err(WakersError::TooMuch { what, found, most });
        }
        Ok(())
    }

    /// Reads all areas and hands over each reference to what is wanted. What cannot be read could hold the one that counts.
    pub(super) fn read(
        &self,
        areas: &Areas,
        spans: &Spans,
        wanted: &Wanted,
        mut each: impl FnMut(Reference),
    ) -> Result<(), MemoryError> {
        self.memory.begin();
        let mut unreadable = None;
        for part in areas.areas.chunks(4096) {
            let ranges: Vec<Range<u64>> = part.iter().map(|area| area.range.clone()).collect();
            read_many(self.memory, &ranges, |index, bytes| {
                let (bytes, area) = match (bytes, part.get(index)) {
                    (Ok(bytes), Some(area)) => (bytes, area),
                    (Err(error), _) => {
                        unreadable = Some(error);
                        return;
                    }
                    _ => return,
                };
                for (word, slot) in bytes.chunks_exact(8).zip((area.range.start..).step_by(8)) {
                    let target = u64_at(word, 0).and_then(|word| wanted.find(spans, word));
                    let Some(target) = target else { continue };
                    let source = area.source.or_else(|| Some(Source::Object(spans.object(slot)?.1)));
                    if let Some(source) = source {
                        each(Reference { source, slot, target });
                    }
                }
            })?;
        }
        unreadable.map_or(Ok(()), Err)
    }
}
