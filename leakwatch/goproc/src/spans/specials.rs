//! What the runtime keeps about some objects (`runtime.special`): finalizers, cleanups, samples of the profile. Their records lie
//! outside of the heap and hold addresses of objects all the same.

use super::Span;
use super::Spans;
use crate::layout::WaitingLayout;
use crate::memory::MemoryError;
use crate::memory::ReadMemory;
use crate::memory::read_many;
use crate::memory::u64_at;
use std::ops::Range;

/// Steps along all lists at once. A list is as long as a span has specials, most often one or two.
const MAX_STEPS: usize = 1 << 16;
/// Words behind the common part: functions of finalizers and cleanups and what they are called with. The longest record has four; behind a
/// shorter one is another, whose words do no harm.
const PAYLOAD: usize = 4;
/// No release has as many kinds.
const MAX_KINDS: u64 = 16;

/// What specials keep alive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Specials {
    /// Objects that the program can get at although nothing refers to them: with a finalizer, or a weak pointer to them.
    pub(crate) kept: Vec<u64>,
    /// Words of the records that may be addresses of objects.
    pub(crate) words: Vec<u64>,
    /// Spans whose list was changed while it was read: of their objects each may have a finalizer.
    pub(crate) broken: Vec<Range<u64>>,
}

/// Where one list has been read to.
struct Walk<'s> {
    span: &'s Span,
    next: u64,
    /// Offset and kind of the special before: they ascend. A freed special leads into lists of others.
    last: Option<(u64, u64)>,
}

impl Specials {
    /// Walks the lists of all spans. `keeping` are the kinds of this release that keep an object.
    pub(crate) fn read<M: ReadMemory + ?Sized>(
        memory: &M,
        spans: &Spans,
        layout: &WaitingLayout,
        keeping: &Range<u64>,
    ) -> Result<Self, MemoryError> {
        let mut specials = Self::default();
        let with = spans.all().iter().filter(|span| span.specials != 0);
        let mut walks: Vec<Walk<'_>> = with
            .map(|span| Walk {
                span,
                next: span.specials,
                last: None,
            })
            .collect();
        let length = (layout.special_size + PAYLOAD * 8) as u64;
        let mut steps = 0;
        while !walks.is_empty() {
            steps += 1;
            if steps > MAX_STEPS {
                specials.broken.extend(walks.iter().map(|walk| walk.span.objects()));
                break;
            }
            walks.sort_unstable_by_key(|walk| walk.next);
            let ranges: Vec<Range<u64>> = walks
                .iter()
                .map(|walk| walk.next..walk.next.saturating_add(length))
                .collect();
            let mut read: Vec<Option<Special>> = vec![None; walks.len()];
            read_many(memory, &ranges, |index, bytes| {
                if let (Ok(bytes), Some(place)) = (bytes, read.get_mut(index)) {
                    *place = Special::decode(bytes, layout);
                }
            })?;
            let mut further = Vec::with_capacity(walks.len());
            for (mut walk, special) in walks.into_iter().zip(read) {
                let Some(special) = special.filter(|special| special.follows(&walk)) else {
                    specials.broken.push(walk.span.objects());
                    continue;
                };
                if keeping.contains(&special.kind) {
                    let number = special.offset / walk.span.size;
                    specials.kept.push(walk.span.start + number * walk.span.size);
                }
                specials.words.extend(special.words);
                if special.next != 0 {
                    walk.next = special.next;
                    walk.last = Some((special.offset, special.kind));
                    further.push(walk);
                }
            }
            walks = further;
        }
        Ok(specials)
    }
}

#[derive(Debug, Clone, Copy)]
struct Special {
    next: u64,
    offset: u64,
    kind: u64,
    words: [u64; PAYLOAD],
}

impl Special {
    fn decode(bytes: &[u8], layout: &WaitingLayout) -> Option<Self> {
        // The offset fills what is between it and the kind: two bytes until Go 1.23, eight after.
        let width = u32::try_from(layout.special_kind.checked_sub(8)?).ok()?;
        let mask = u64::MAX >> 64_u32.checked_sub(width.min(8) * 8)?;
        let mut words = [0; PAYLOAD];
        for (index, word) in words.iter_mut().enumerate() {
            *word = u64_at(bytes, layout.special_size + index * 8)?;
        }
        Some(Self {
            next: u64_at(bytes, 0)?,
            offset: u64_at(bytes, 8)? & mask,
            kind: u64::from(*bytes.get(layout.special_kind)?),
            words,
        })
    }

    fn follows(&self, walk: &Walk<'_>) -> bool {
        let inside = self.offset < walk.span.size * walk.span.elements;
        let ascends = walk.last.is_none_or(|last| last < (self.offset, self.kind));
        inside && ascends && (1..MAX_KINDS).contains(&self.kind) && self.next.is_multiple_of(8)
    }
}
