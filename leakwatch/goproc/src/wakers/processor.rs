//! The scheduler's processors (`runtime.p`): what the collector notes in them are addresses of objects, and no references.

use super::Wakers;
use crate::memory::ReadMemory;
use crate::memory::u64_at;
use crate::spans::HEADERLESS;
use crate::spans::Span;
use std::cell::RefCell;
use std::collections::HashMap;

/// `abi.Type.TFlag` and `Str`: the same since Go 1.22, as `cargo xtask goproc-layouts` checks.
const NAME: usize = 40;
const TYPE_BYTES: usize = 48;
/// The type descriptions of the largest programs have some ten megabytes.
const MAX_TYPES: u64 = 256 << 20;
/// Flags and length before the name.
const NAME_HEAD: usize = 2;
/// Names may be written as those of the pointer to the type.
const NAMES: [&[u8]; 2] = [b"*runtime.p", b"runtime.p"];
/// Before its type is known an object has this one.
const HEADER: u64 = 8;

/// Which objects are processors, by their address.
#[derive(Debug, Default)]
pub(super) struct Processors(RefCell<HashMap<u64, bool>>);

impl<M: ReadMemory + ?Sized> Wakers<'_, M> {
    /// Whether a word of an object is no reference.
    pub(super) fn is_scratch(&self, known: &Processors, span: &Span, object: u64, slot: u64) -> bool {
        let layout = self.places.layout;
        if span.size <= HEADERLESS || span.large_type != 0 {
            return false;
        }
        let scratch = layout.processor_scratch as u64..layout.processor_scratch_end as u64;
        let offset = slot.wrapping_sub(object).wrapping_sub(HEADER);
        scratch.contains(&offset)
            && *known
                .0
                .borrow_mut()
                .entry(object)
                .or_insert_with(|| self.is_processor(object).unwrap_or(false))
    }

    /// Reads the name of the type that the header of an object tells.
    fn is_processor(&self, object: u64) -> Option<bool> {
        let types = self.places.types;
        let kind = self.memory.read_u64(object).ok()?;
        if kind.checked_sub(types)? >= MAX_TYPES {
            return None;
        }
        let bytes = self.memory.read_vec(kind, TYPE_BYTES).ok()?;
        let offset = u64_at(&bytes, NAME)? & u64::from(u32::MAX);
        let text = types.checked_add(offset.min(MAX_TYPES))?;
        let longest = NAMES.iter().map(|name| name.len()).max()?;
        let bytes = self.memory.read_vec(text, NAME_HEAD + longest).ok()?;
        let length = usize::from(*bytes.get(1)?);
        let name = bytes.get(NAME_HEAD..NAME_HEAD + length.min(longest))?;
        Some(length <= longest && NAMES.contains(&name))
    }
}
