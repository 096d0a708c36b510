//! What the numbers of wait reasons mean: read from the program itself (`runtime.waitReasonStrings`), as releases of Go
//! renumber them.

use crate::memory::MemoryError;
use crate::memory::ReadMemory;
use crate::memory::u64_at;
use std::ops::Range;

/// The first three texts in every release from 1.18 to 1.27: number 0 means nothing.
const FIRST: [&str; 3] = ["", "GC assist marking", "IO wait"];

/// No release has as many.
const MAX_REASONS: usize = 128;

/// The longest text has some 30 bytes.
const MAX_TEXT: u64 = 64;

/// Bytes of one string: address and length.
const STRING: usize = 16;

/// Bytes read at a time.
const PIECE: usize = 1 << 20;

/// The data segment of a large program has some ten megabytes.
const MAX_DATA: u64 = 256 << 20;

/// The texts by number, in Go's own words (`chan receive`, `select`, `semacquire`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaitReasons {
    texts: Vec<String>,
}

impl WaitReasons {
    /// Searches `data`, which is `moduledata.data .. edata` of the process; `None` when the table is not there.
    pub fn find<M: ReadMemory + ?Sized>(memory: &M, data: Range<u64>) -> Result<Option<Self>, MemoryError> {
        let mut start = data.start.next_multiple_of(8);
        let end = data.end.min(data.start.saturating_add(MAX_DATA));
        // Pieces overlap by the strings that identify the table.
        let overlap = FIRST.len() * STRING - 8;
        while start < end {
            let length = usize::try_from(end - start).unwrap_or(PIECE).min(PIECE);
            let bytes = memory.read_vec(start, length)?;
            for offset in (0..length.saturating_sub(overlap)).step_by(8) {
                let looks_right = FIRST
                    .iter()
                    .enumerate()
                    .all(|(index, text)| u64_at(&bytes, offset + index * STRING + 8) == Some(text.len() as u64));
                if looks_right {
                    let reasons = Self::read(memory, start + offset as u64);
                    if reasons
                        .texts
                        .iter()
                        .zip(FIRST)
                        .filter(|(text, first)| text == first)
                        .count()
                        == FIRST.len()
                    {
                        return Ok(Some(reasons));
                    }
                }
            }
            if length < PIECE {
                break;
            }
            start += (length - overlap) as u64 & !7;
        }
        Ok(None)
    }

    /// Reads texts as long as there are any: what follows the table in memory is not known, but no status refers to it.
    fn read<M: ReadMemory + ?Sized>(memory: &M, table: u64) -> Self {
        let text = |index: usize| {
            let entry = table.checked_add((index * STRING) as u64)?;
            let length = memory.read_u64(entry.checked_add(8)?).ok()?;
            if length > MAX_TEXT || (length == 0) != (index == 0) {
                return None;
            }
            let bytes = memory.read_vec(memory.read_u64(entry).ok()?, usize::try_from(length).ok()?);
            let text = String::from_utf8(if length == 0 { Vec::new() } else { bytes.ok()? }).ok()?;
            text.bytes().all(|byte| matches!(byte, b' '..=b'~')).then_some(text)
        };
        Self {
            texts: (0..MAX_REASONS).map_while(text).collect(),
        }
    }

    /// The text of a number; `None` for 0, which is no reason, and for numbers that the program does not know.
    pub fn text(&self, reason: u8) -> Option<&str> {
        let text = self.texts.get(usize::from(reason))?;
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::FakeMemory;

    const TABLE: u64 = 0x50_0000;

    fn memory(texts: &[&str], before: usize) -> (FakeMemory, Range<u64>) {
        let mut memory = FakeMemory::new();
        let mut data = vec![0xee; before];
        let mut address = 0x10_0000_u64;
        for text in texts {
            data.extend((if text.is_empty() { 0 } else { address }).to_le_bytes());
            data.extend((text.len() as u64).to_le_bytes());
            memory.map(address, text.as_bytes());
            address += 0x1000;
        }
        data.extend([0xff; 64]);
        let range = TABLE..TABLE + data.len() as u64;
        memory.map(TABLE, data);
        (memory, range)
    }

    #[test]
    fn texts_are_found_wherever_the_table_lies() {
        for before in [0, 8, PIECE - 64, PIECE - 48, PIECE - 40, PIECE - 8, PIECE, 2 * PIECE] {
            let (memory, data) = memory(&["", "GC assist marking", "IO wait", "chan receive"], before);
            let reasons = WaitReasons::find(&memory, data).unwrap().unwrap();
            assert_eq!(reasons.text(2), Some("IO wait"), "{before}");
            assert_eq!(reasons.text(3), Some("chan receive"));
            assert_eq!(reasons.text(0), None);
            assert_eq!(reasons.text(4), None);
            assert_eq!(reasons.text(255), None);
        }
    }

    #[test]
    fn other_texts_are_not_reasons() {
        for texts in [
            &["", "GC assist working", "IO wait"][..],
            &["", "GC assist marking"],
            &[],
        ] {
            let (memory, data) = memory(texts, 0);
            assert_eq!(WaitReasons::find(&memory, data), Ok(None));
        }
    }
}
