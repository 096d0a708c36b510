//! Buckets in memory of our own. The runtime allocates them side by side (`persistentalloc`, runtime/malloc.go), each processor in
//! chunks of its own, and the list leads from the newest to the oldest: where one lay closely behind the next, those before it
//! are brought along by one read.

use super::walk::read_user_bytes;
use crate::maps;
use crate::scratch::WINDOW_WORDS;
use crate::scratch::WINDOWS;
use crate::scratch::Window;

/// Keeps an index within the window, for the verifier.
const MASK: usize = WINDOW_WORDS as usize - 1;
/// Words of a bucket that are read when none is known to lie behind it: with them a stack of 26 calls and its counters, 34 with the smaller
/// counters of Go 1.27.
const AHEAD: u64 = 48;
/// Words before the stack.
pub(super) const HEADER: u64 = 6;
/// Chunks are 256 KiB (`persistentChunkSize`).
const CHUNK_BITS: u32 = 18;

/// A bucket within a window.
pub(super) struct Bucket {
    window: *mut Window,
    /// Where it begins.
    index: usize,
    /// Words from there on that were read.
    count: u64,
}

/// Nothing is known of the process yet.
#[inline(always)]
pub(super) fn clear() {
    for index in 0..WINDOWS {
        if let Some(window) = maps::WINDOWS.get_ptr_mut(index) {
            // SAFETY: the entry is this CPU's own and the caller is the only walk on it; any bits are a valid value.
            let window = unsafe { &mut *window };
            window.count = 0;
            window.last = 0;
        }
    }
}

/// The bucket at an address; `None` when it is not in memory.
#[inline(always)]
pub(super) fn bucket(at: u64) -> Option<Bucket> {
    let index = (at >> CHUNK_BITS) as u32 & (WINDOWS - 1);
    let window_ptr = maps::WINDOWS.get_ptr_mut(index)?;
    // SAFETY: likewise.
    let window = unsafe { &mut *window_ptr };
    // What lies behind a bucket is the one before it in the list: a window with its header has all of it, however deep its stack is.
    let above = window.last;
    window.last = at;
    let offset = at.wrapping_sub(window.from);
    let end = offset.wrapping_add(HEADER * 8);
    if end < offset || end > window.count * 8 {
        read(window, at, above)?;
    }
    let index = at.wrapping_sub(window.from) / 8;
    Some(Bucket {
        window: window_ptr,
        index: index as usize & MASK,
        count: window.count.wrapping_sub(index),
    })
}

/// Reads a bucket, and those that lie before it where that is of use: when it lies closely before the last one, at `above`.
#[inline(always)]
fn read(window: &mut Window, at: u64, above: u64) -> Option<()> {
    let words = window.words.as_mut_ptr();
    if above.wrapping_sub(at).wrapping_sub(1) < WINDOW_WORDS * 8 - 1 {
        let from = above.wrapping_sub(WINDOW_WORDS * 8);
        // SAFETY: the size of the window.
        if unsafe { read_user_bytes(words, WINDOW_WORDS as u32 * 8, from) } {
            window.from = from;
            window.count = WINDOW_WORDS;
            return Some(());
        }
    }
    window.from = at;
    // Of the last bucket in a chunk there may be less.
    for count in [AHEAD, HEADER] {
        // SAFETY: less than the size of the window.
        if unsafe { read_user_bytes(words, count as u32 * 8, at) } {
            window.count = count;
            return Some(());
        }
    }
    window.count = 0;
    None
}

impl Bucket {
    /// One of its words, if it was read.
    #[inline(always)]
    pub(super) fn word(&self, number: u64) -> u64 {
        // SAFETY: the window is this CPU's own, and the index within it.
        unsafe {
            (&raw const (*self.window).words)
                .cast::<u64>()
                .add((self.index + number as usize) & MASK)
                .read()
        }
    }

    /// Sees to it that words are there: answers the number of the first for [`Self::word`]. `None` when they are not in memory.
    #[inline(always)]
    pub(super) fn reach(&mut self, at: u64, first: u64, count: u64) -> Option<u64> {
        if first + count <= self.count {
            return Some(first);
        }
        // SAFETY: the window is this CPU's own; what was in it is not used any more.
        let window = unsafe { &mut *self.window };
        window.count = 0;
        self.index = 0;
        let bytes = (count.min(AHEAD) * 8) as u32;
        let from = at.wrapping_add(first * 8);
        // SAFETY: less than the size of the window.
        unsafe { read_user_bytes(window.words.as_mut_ptr(), bytes, from) }.then_some(0)
    }
}
