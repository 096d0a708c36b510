//! Little-endian reads that answer `None` outside the bytes, and passes over many of them.

use memchr::memchr;
use memchr::memmem;
use std::ops::Range;

/// The bytes of a table: all in memory, or in a file of which only the parts in use are kept.
pub trait TableBytes {
    /// How many there are.
    fn length(&self) -> usize;

    /// Fills `buffer` with the bytes from `at` on; `None` when they do not all exist, or can no longer be read.
    fn copy(&self, at: usize, buffer: &mut [u8]) -> Option<()>;
}

impl<T: AsRef<[u8]> + ?Sized> TableBytes for T {
    fn length(&self) -> usize {
        self.as_ref().len()
    }

    fn copy(&self, at: usize, buffer: &mut [u8]) -> Option<()> {
        let end = at.checked_add(buffer.len())?;
        buffer.copy_from_slice(self.as_ref().get(at..end)?);
        Some(())
    }
}

/// Names longer than this are of no program; a hostile table may have no NUL for megabytes.
const MAX_NAME: usize = 64 << 10;

/// Bytes per read of a pass.
const PIECE: usize = 256 << 10;

fn array<const N: usize, B: TableBytes + ?Sized>(bytes: &B, at: usize) -> Option<[u8; N]> {
    let mut array = [0; N];
    bytes.copy(at, &mut array)?;
    Some(array)
}

pub(super) fn u8_at<B: TableBytes + ?Sized>(bytes: &B, at: usize) -> Option<u8> {
    array(bytes, at).map(|[byte]| byte)
}

pub(super) fn u32_at<B: TableBytes + ?Sized>(bytes: &B, at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

pub(super) fn i32_at<B: TableBytes + ?Sized>(bytes: &B, at: usize) -> Option<i32> {
    array(bytes, at).map(i32::from_le_bytes)
}

pub(super) fn u64_at<B: TableBytes + ?Sized>(bytes: &B, at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// An offset or count of 8 bytes.
pub(super) fn usize_at<B: TableBytes + ?Sized>(bytes: &B, at: usize) -> Option<usize> {
    u64_at(bytes, at)?.try_into().ok()
}

/// Entry `index` of a table of `u32` that starts at `start`.
pub(super) fn u32_entry<B: TableBytes + ?Sized>(bytes: &B, start: usize, index: usize) -> Option<u32> {
    u32_at(bytes, start.checked_add(index.checked_mul(4)?)?)
}

/// The text from `at` to the next NUL, which lies before `end`.
pub(super) fn until_nul<B: TableBytes + ?Sized>(bytes: &B, at: usize, end: usize) -> Option<String> {
    let end = end.min(at.saturating_add(MAX_NAME));
    let mut text = Vec::new();
    let mut next = at;
    while next < end {
        let mut piece = [0; 64];
        let piece = piece.get_mut(..(end - next).min(64))?;
        bytes.copy(next, piece)?;
        if let Some(nul) = memchr(0, piece) {
            text.extend_from_slice(piece.get(..nul)?);
            return Some(String::from_utf8_lossy(&text).into_owned());
        }
        text.extend_from_slice(piece);
        next += piece.len();
    }
    None
}

/// Where names stand in a run of texts that each end with a NUL: the offset of each in `range`, in one pass.
pub(crate) fn find_texts<const N: usize, B: TableBytes + ?Sized>(
    bytes: &B,
    range: Range<usize>,
    names: [&str; N],
) -> [Option<u32>; N] {
    let mut found = [None; N];
    let longest = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let finder = memmem::Finder::new(common_start(&names));
    let mut piece = Vec::new();
    // The texts follow a NUL, but for the first.
    let mut at = range.start;
    let mut first = true;
    while at < range.end {
        let length = (range.end - at).min(PIECE.max(2 * longest + 4));
        piece.resize(length, 0);
        if bytes.copy(at, &mut piece).is_none() {
            break;
        }
        for hit in finder.find_iter(&piece) {
            let begins = match hit.checked_sub(1) {
                Some(before) => piece.get(before) == Some(&0),
                None => first,
            };
            let rest = piece.get(hit..).unwrap_or_default();
            for (name, place) in names.iter().zip(&mut found) {
                let ends = rest.strip_prefix(name.as_bytes()).and_then(<[u8]>::first) == Some(&0);
                if begins && ends && place.is_none() && !name.is_empty() {
                    *place = u32::try_from(at - range.start + hit).ok();
                }
            }
        }
        first = false;
        // A text with the NULs around it may be cut by the end of the piece.
        at += if at + length == range.end {
            length
        } else {
            length - longest - 1
        };
    }
    found
}

/// What all names start with.
fn common_start<'n>(names: &[&'n str]) -> &'n [u8] {
    let first = names.first().map_or(&[][..], |name| name.as_bytes());
    names.iter().fold(first, |start, name| {
        let same = start
            .iter()
            .zip(name.as_bytes())
            .take_while(|(one, other)| one == other);
        start.get(..same.count()).unwrap_or_default()
    })
}

/// Reads words in ascending order, many at a time.
pub(super) struct Forward<'b, B: ?Sized> {
    bytes: &'b B,
    start: usize,
    piece: Vec<u8>,
    /// Pieces that may still be read: a table whose order is none must not be read over and over.
    left: usize,
}

impl<'b, B: TableBytes + ?Sized> Forward<'b, B> {
    pub(super) fn new(bytes: &'b B) -> Self {
        Self {
            bytes,
            start: 0,
            piece: Vec::new(),
            left: 2 * (bytes.length() / PIECE) + 16,
        }
    }

    pub(super) fn u32_at(&mut self, at: usize) -> Option<u32> {
        let held = at
            .checked_sub(self.start)
            .and_then(|offset| self.piece.get(offset..)?.first_chunk());
        if let Some(word) = held {
            return Some(u32::from_le_bytes(*word));
        }
        self.left = self.left.checked_sub(1)?;
        self.piece.resize(self.bytes.length().checked_sub(at)?.min(PIECE), 0);
        self.bytes.copy(at, &mut self.piece)?;
        self.start = at;
        self.piece.first_chunk().map(|word| u32::from_le_bytes(*word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_are_found_whole_and_across_pieces() {
        let mut texts = b"runtime.one\0main.runtime.two\0runtime.twofold\0".to_vec();
        // The last one lies across the end of the first piece.
        while texts.len() < PIECE - 5 {
            texts.extend(b"runtime.filler\0");
        }
        let across = texts.len();
        texts.extend(b"runtime.two\0end");
        let found = find_texts(
            &texts,
            0..texts.len(),
            ["runtime.one", "runtime.two", "runtime.three", "end"],
        );
        assert_eq!(found, [Some(0), u32::try_from(across).ok(), None, None]);
        assert_eq!(find_texts(&texts, 12..texts.len(), ["runtime.one", ""]), [None, None]);
        assert_eq!(find_texts(&texts, 12..texts.len(), ["runtime.twofold"]), [Some(17)]);
    }

    proptest! {
        /// In whatever order words are read, they are the right ones or none.
        #[test]
        fn a_pass_reads_what_single_reads_read(bytes in proptest::collection::vec(any::<u8>(), 0..2000), order in proptest::collection::vec(0_usize..2100, 0..300)) {
            let mut forward = Forward::new(&bytes);
            for at in order {
                if let Some(word) = forward.u32_at(at) {
                    prop_assert_eq!(Some(word), u32_at(&bytes, at));
                }
            }
        }
    }
}
