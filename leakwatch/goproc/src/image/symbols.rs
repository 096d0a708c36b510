//! A few symbols out of many: names and table are passed over once each, some at a time, and nothing is kept.

use super::error::ImageError;
use crate::memory::MemoryError;
use crate::memory::ReadMemory;
use crate::pclntab::TableBytes;
use crate::pclntab::find_texts;
use object::LittleEndian;
use object::elf;
use object::pod;

type Symbol = elf::Sym64<LittleEndian>;

/// The largest programs (hundreds of megabytes) have tables of about 20 MB.
const MAX_TABLE: u64 = 128 << 20;

/// Symbols read at a time.
const PIECE: usize = 8192;

/// Where the symbol table and its names are in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SymbolTable {
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) strings_offset: u64,
    pub(super) strings_size: u64,
}

impl SymbolTable {
    pub(super) fn find<const N: usize, F: ReadMemory + ?Sized>(
        &self,
        file: &F,
        names: [&str; N],
    ) -> Result<[Option<u64>; N], ImageError> {
        let size = bounded("symbol table", self.size)?;
        let strings = Part {
            file,
            start: self.strings_offset,
            length: bounded("symbol names", self.strings_size)?,
        };
        let wanted = find_texts(&strings, 0..strings.length, names);
        let mut found = [None; N];
        let count = size / size_of::<Symbol>();
        let mut piece = Vec::new();
        for first in (0..count).step_by(PIECE) {
            let symbols = PIECE.min(count - first);
            piece.resize(symbols * size_of::<Symbol>(), 0);
            let start = self.offset.checked_add((first * size_of::<Symbol>()) as u64);
            let read = match start {
                Some(start) => file.read(start, &mut piece),
                None => Err(MemoryError::Unmapped { address: u64::MAX }),
            };
            read.map_err(|source| ImageError::Read {
                what: "symbol table",
                source,
            })?;
            let (symbols, _) = pod::slice_from_bytes::<Symbol>(&piece, symbols)
                .map_err(|()| ImageError::NotElf("symbol table cut off"))?;
            for symbol in symbols {
                let value = symbol.st_value.get(LittleEndian);
                let name = symbol.st_name.get(LittleEndian);
                if symbol.st_shndx.get(LittleEndian) == elf::SHN_UNDEF || value == 0 {
                    continue;
                }
                for (wanted, place) in wanted.iter().zip(&mut found) {
                    if *wanted == Some(name) {
                        *place = Some(value);
                    }
                }
            }
        }
        Ok(found)
    }
}

/// Part of a file, read anew each time.
struct Part<'f, F: ?Sized> {
    file: &'f F,
    start: u64,
    length: usize,
}

impl<F: ReadMemory + ?Sized> TableBytes for Part<'_, F> {
    fn length(&self) -> usize {
        self.length
    }

    fn copy(&self, at: usize, buffer: &mut [u8]) -> Option<()> {
        self.file.read(self.start.checked_add(at as u64)?, buffer).ok()
    }
}

fn bounded(what: &'static str, size: u64) -> Result<usize, ImageError> {
    let too_large = ImageError::TooLarge {
        what,
        size,
        bound: MAX_TABLE,
    };
    usize::try_from(size)
        .ok()
        .filter(|_| size <= MAX_TABLE)
        .ok_or(too_large)
}
