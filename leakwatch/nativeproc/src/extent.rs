//! Whether a file is of an extent that can be taken apart: what names addresses keeps tables that are as large as a file says, and takes out of
//! compressed sections what is in there. A few bytes may say anything.

use crate::image::Elf;
use object::CompressionFormat;
use object::Object as _;
use object::ObjectSection as _;
use object::SectionKind;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::fs::FileExt as _;
use xz2::read::XzDecoder;
use xz2::stream::Stream;

/// Bytes of a table of symbols: four million of them, of which eight bytes each are kept. The largest browser has one million.
const MAX_SYMBOL_BYTES: u64 = 96 << 20;
/// Bytes that come out of all compressed sections of a file, which are kept in memory. With more the names come from the symbols alone.
const MAX_UNCOMPRESSED: u64 = 128 << 20;
/// Compilation units, some hundred bytes kept of each. The largest browser has thirty thousand.
const MAX_UNITS: usize = 1 << 17;
/// Bytes of a compressed symbol table and of what the decoder may take for it.
const MAX_MINI: u64 = 48 << 20;

/// What can be used of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Whole,
    /// Its symbols, not its debugging information.
    Symbols,
    /// Nothing.
    Nothing,
}

/// Looks at the sections; of the compressed ones at what is in them.
pub(crate) fn of(file: &File, elf: &Elf<'_>) -> Extent {
    let mut extent = Extent::Whole;
    let mut room = MAX_UNCOMPRESSED;
    for section in elf.sections() {
        let name = section.name().unwrap_or_default();
        let Some((offset, size)) = section.file_range() else {
            continue;
        };
        let bytes = Part::of(file, offset, size);
        match name {
            ".symtab" | ".dynsym" if size > MAX_SYMBOL_BYTES => return Extent::Nothing,
            ".gnu_debugdata" if !mini_fits(bytes) => return Extent::Nothing,
            _ if !name.starts_with(".debug_") && section.kind() != SectionKind::Debug => {}
            _ => match section.compressed_file_range() {
                Ok(range) if range.format != CompressionFormat::None => {
                    let compressed = Part::of(file, range.offset, range.compressed_size);
                    match comes_out(range.format, compressed, room) {
                        Some(left) => room = left,
                        None => extent = Extent::Symbols,
                    }
                }
                Ok(_) if name == ".debug_info" && !units_fit(file, offset, size) => extent = Extent::Symbols,
                Ok(_) => {}
                Err(_) => extent = Extent::Symbols,
            },
        }
    }
    extent
}

fn mini_fits(compressed: impl Read) -> bool {
    let Ok(stream) = Stream::new_stream_decoder(MAX_MINI, 0) else {
        return false;
    };
    let decoder = XzDecoder::new_stream(compressed, stream);
    io::copy(&mut decoder.take(MAX_MINI + 1), &mut io::sink()).is_ok_and(|bytes| bytes <= MAX_MINI)
}

/// What is left of the room; none where more comes out, or what nobody can read.
fn comes_out(format: CompressionFormat, compressed: impl Read, room: u64) -> Option<u64> {
    let count = |decoder: &mut dyn Read| io::copy(&mut decoder.take(room.saturating_add(1)), &mut io::sink());
    let bytes = match format {
        CompressionFormat::Zlib => count(&mut flate2::read::ZlibDecoder::new(compressed)),
        CompressionFormat::Zstandard => count(&mut zstd::Decoder::new(compressed).ok()?),
        _ => return None,
    };
    room.checked_sub(bytes.ok()?)
}

/// Goes from unit to unit by their lengths (DWARF 5, section 7.5.1).
fn units_fit(file: &File, offset: u64, size: u64) -> bool {
    let mut at = 0_u64;
    for _ in 0..MAX_UNITS {
        if at >= size {
            return true;
        }
        let mut head = [0; 12];
        let Some(place) = offset.checked_add(at) else {
            return true;
        };
        // What cannot be read, and what is not long enough to be one, ends the list.
        if file.read_exact_at(&mut head, place).is_err() {
            return true;
        }
        let [a, b, c, d, long @ ..] = head;
        let (length, own) = match u32::from_le_bytes([a, b, c, d]) {
            u32::MAX => (u64::from_le_bytes(long), 12),
            short => (u64::from(short), 4),
        };
        if length == 0 {
            return true;
        }
        let Some(next) = at.checked_add(own).and_then(|at| at.checked_add(length)) else {
            return true;
        };
        at = next;
    }
    false
}

/// A part of a file, read from its beginning.
struct Part<'f> {
    file: &'f File,
    offset: u64,
    left: u64,
}

impl<'f> Part<'f> {
    fn of(file: &'f File, offset: u64, size: u64) -> Self {
        Self {
            file,
            offset,
            left: size,
        }
    }
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self
            .file
            .read_at(buffer.get_mut(..most).unwrap_or_default(), self.offset)?;
        self.offset = self.offset.saturating_add(read as u64);
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn little_that_becomes_much_is_found_out() {
        let zeros = vec![0; 1 << 20];
        let small = zstd::encode_all(&zeros[..], 1).unwrap();
        let left = comes_out(CompressionFormat::Zstandard, &small[..], 3 << 20);
        assert_eq!(left, Some(2 << 20));
        assert_eq!(comes_out(CompressionFormat::Zstandard, &small[..], (1 << 20) - 1), None);
        assert_eq!(
            comes_out(CompressionFormat::Zlib, &small[..], 3 << 20),
            None,
            "not that"
        );
        assert_eq!(comes_out(CompressionFormat::Zlib, &b"x"[..], 3 << 20), None);
        let mut encoder = xz2::read::XzEncoder::new(&zeros[..], 1);
        let mut mini = Vec::new();
        encoder.read_to_end(&mut mini).unwrap();
        assert!(mini_fits(&mini[..]));
        let mut encoder = xz2::read::XzEncoder::new(io::repeat(0).take(MAX_MINI + 1), 0);
        let mut bomb = Vec::new();
        encoder.read_to_end(&mut bomb).unwrap();
        assert!(bomb.len() < 100_000 && !mini_fits(&bomb[..]));
        assert!(!mini_fits(&b"rubbish"[..]));
    }

    #[test]
    fn units_are_counted_by_their_lengths() {
        // The shortest there is: four bytes of length, eleven in all.
        let unit = [7, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8];
        let many = unit.repeat(MAX_UNITS + 1);
        assert!(!units_fit(&file(&many), 0, many.len() as u64));
        let few = unit.repeat(100);
        assert!(units_fit(&file(&few), 0, few.len() as u64));
        let sparse = file(&unit);
        sparse.set_len(10 << 30).unwrap();
        assert!(units_fit(&sparse, 0, 10 << 30));
    }
}
