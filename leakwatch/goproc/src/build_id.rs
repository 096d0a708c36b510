//! What tells one build of an executable from another: the identifier that its linker left in a note.
//!
//! `.note.gnu.build-id` (type `NT_GNU_BUILD_ID`, 3), which Go's own profiles name as well (`elfBuildID` in `runtime/pprof`) and Go 1.24 and
//! later write by themselves; else `.note.go.buildid` (type 4), which Go writes always. A note is the lengths of name and content, its
//! type, the name padded to four bytes, and the content.

use crate::ReadAt;
use crate::elf::Elf;
use crate::elf::number;
use crate::elf::read_exact;
use std::fmt::Write as _;

const GNU: (&[u8], &[u8], u64) = (b".note.gnu.build-id", b"GNU\0", 3);
const GO: (&[u8], &[u8], u64) = (b".note.go.buildid", b"Go\0\0", 4);
/// Longest note read. Go's has about a hundred bytes.
const MAX_NOTE: u64 = 1024;

/// The build id of an executable; none where it carries none that can be read.
pub fn read<R: ReadAt + ?Sized>(file: &R) -> Option<String> {
    let elf = Elf::parse(file).ok()??;
    let big_endian = read_exact(file, 5, 1).ok()? == [2];
    let content = |(section, name, kind): (&[u8], &[u8], u64)| {
        let range = elf.section(section).filter(|range| range.length <= MAX_NOTE)?;
        let note = read_exact(file, range.offset, range.length).ok()?;
        content(&note, name, kind, big_endian).map(<[u8]>::to_vec)
    };
    let gnu = content(GNU).map(|bytes| hex(&bytes));
    gnu.or_else(|| String::from_utf8(content(GO)?).ok())
        .filter(|id| !id.is_empty())
}

fn content<'n>(note: &'n [u8], name: &[u8], kind: u64, big_endian: bool) -> Option<&'n [u8]> {
    let word = |at: usize| Some(number(note.get(at..at + 4)?, big_endian));
    let (name_length, length) = (usize::try_from(word(0)?).ok()?, usize::try_from(word(4)?).ok()?);
    // The name with its end, without the padding.
    let named = note.get(12..12_usize.checked_add(name_length)?)?;
    if word(8)? != kind || !name.starts_with(named) || named.is_empty() {
        return None;
    }
    let start = 12 + name_length.next_multiple_of(4);
    note.get(start..start.checked_add(length)?)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A String takes everything.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(name: &[u8], kind: u32, bytes: &[u8]) -> Vec<u8> {
        let mut padded = name.to_vec();
        padded.resize(name.len().next_multiple_of(4), 0);
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
        [&length(name)[..], &length(bytes), &kind.to_le_bytes(), &padded, bytes].concat()
    }

    #[test]
    fn the_content_of_the_right_note_is_found() {
        let gnu = note(b"GNU\0", 3, &[0x5f, 0xb7, 0x00]);
        assert_eq!(content(&gnu, GNU.1, GNU.2, false).map(hex), Some("5fb700".to_owned()));
        assert_eq!(content(&gnu, GO.1, GO.2, false), None);
        assert_eq!(
            content(&note(b"Go\0\0", 4, b"a/b"), GO.1, GO.2, false),
            Some(&b"a/b"[..])
        );
        assert_eq!(content(&note(b"GNU\0", 1, &[1]), GNU.1, GNU.2, false), None);
    }

    #[test]
    fn a_note_cut_or_damaged_anywhere_is_none() {
        let whole = note(b"GNU\0", 3, &[7; 20]);
        for length in 0..whole.len() {
            assert_eq!(content(&whole[..length], GNU.1, GNU.2, false), None, "{length}");
        }
        for at in [0, 4] {
            let mut damaged = whole.clone();
            damaged[at..at + 4].copy_from_slice(&[0xff; 4]);
            assert_eq!(content(&damaged, GNU.1, GNU.2, false), None, "{at}");
        }
        for bytes in [&b""[..], b"\x7fELF", b"#!/bin/sh"] {
            assert_eq!(read(bytes), None);
        }
    }
}
