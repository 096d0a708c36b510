//! A few symbols out of many: the table is read, searched once and dropped.

use super::ImageError;
use crate::memory::ReadMemory;
use object::LittleEndian;
use object::elf;
use object::pod;
use object::read::StringTable;

type Symbol = elf::Sym64<LittleEndian>;

/// The largest programs (hundreds of megabytes) have tables of about 20 MB.
const MAX_TABLE: u64 = 128 << 20;

/// Where the symbol table and its names are in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SymbolTable {
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) strings_offset: u64,
    pub(super) strings_size: u64,
}

impl SymbolTable {
    pub(super) fn find<F: ReadMemory + ?Sized>(
        &self,
        file: &F,
        names: &[&str],
    ) -> Result<Vec<Option<u64>>, ImageError> {
        let symbols = read(file, "symbol table", self.offset, self.size)?;
        let strings = read(file, "symbol names", self.strings_offset, self.strings_size)?;
        let strings = StringTable::new(strings.as_slice(), 0, self.strings_size);
        let (symbols, _) = pod::slice_from_bytes::<Symbol>(&symbols, symbols.len() / size_of::<Symbol>())
            .map_err(|()| ImageError::NotElf("symbol table cut off"))?;
        let mut found = vec![None; names.len()];
        for symbol in symbols {
            let value = symbol.st_value.get(LittleEndian);
            if symbol.st_shndx.get(LittleEndian) == elf::SHN_UNDEF || value == 0 {
                continue;
            }
            let Ok(name) = strings.get(symbol.st_name.get(LittleEndian)) else {
                continue;
            };
            for (wanted, place) in names.iter().zip(&mut found) {
                if wanted.as_bytes() == name {
                    *place = Some(value);
                }
            }
        }
        Ok(found)
    }
}

fn read<F: ReadMemory + ?Sized>(file: &F, what: &'static str, offset: u64, size: u64) -> Result<Vec<u8>, ImageError> {
    let too_large = ImageError::TooLarge {
        what,
        size,
        bound: MAX_TABLE,
    };
    if size > MAX_TABLE {
        return Err(too_large);
    }
    let length = usize::try_from(size).ok().ok_or(too_large)?;
    file.read_vec(offset, length)
        .map_err(|source| ImageError::Read { what, source })
}
