//! The header of the table (`runtime.pcHeader`, runtime/symtab.go) and the search for it where no section names it.

use super::bytes::TableBytes;
use super::bytes::u32_at;
use super::bytes::u64_at;
use super::bytes::usize_at;
use super::error::PclntabError;
use memchr::memmem;

/// Bytes of `pcHeader`: magic, pad, quantum, pointer size, then eight words.
const SIZE: usize = 72;

/// Bytes of one `functab` entry: offset of the code, offset of the record.
pub(super) const FTAB_ENTRY: usize = 8;

/// The two formats of the table; which Go release writes which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Go 1.18 and 1.19 (magic 0xfffffff0).
    Go118,
    /// Go 1.20 and later (magic 0xfffffff1).
    Go120,
}

impl Format {
    const fn from_magic(magic: u32) -> Option<Self> {
        match magic {
            0xffff_fff0 => Some(Self::Go118),
            0xffff_fff1 => Some(Self::Go120),
            _ => None,
        }
    }
}

/// `runtime.pcHeader`, checked: every table it names lies inside the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Which layout the records have.
    pub format: Format,
    /// Smallest distance of two instructions (`minLC`): 1 on amd64, 4 on arm64.
    pub quantum: u8,
    /// Number of functions.
    pub functions: usize,
    /// Address of the first instruction as linked; zero since Go 1.26, and in position-independent files before the
    /// dynamic linker has filled it in. `moduledata.text` has it always.
    pub text_start: u64,
    /// Offset of the function names (`moduledata.funcnametab`) from the header.
    pub function_names: usize,
    /// Offset of the file numbers per compilation unit (`moduledata.cutab`).
    pub units: usize,
    /// Offset of the file names (`moduledata.filetab`).
    pub file_names: usize,
    /// Offset of the values per program counter (`moduledata.pctab`).
    pub values: usize,
    /// Offset of the function table and the records (`moduledata.pclntable`).
    pub records: usize,
}

impl Header {
    /// Reads the header that `bytes` start with.
    pub fn parse<B: TableBytes + ?Sized>(bytes: &B) -> Result<Self, PclntabError> {
        let length = bytes.length();
        let mut start = [0; SIZE];
        let start = start.get_mut(..length.min(SIZE)).unwrap_or_default();
        let cut_off = PclntabError::TooShort { bytes: length };
        bytes.copy(0, start).ok_or(cut_off)?;
        Self::of(start, length)
    }

    /// Reads the header in the first bytes of a table of this length.
    fn of(bytes: &[u8], length: usize) -> Result<Self, PclntabError> {
        let cut_off = || PclntabError::TooShort { bytes: length };
        let magic = u32_at(bytes, 0).ok_or_else(cut_off)?;
        let format = Format::from_magic(magic).ok_or(PclntabError::Magic { magic })?;
        let (Some(0), Some(0), Some(&quantum), Some(&pointer)) =
            (bytes.get(4), bytes.get(5), bytes.get(6), bytes.get(7))
        else {
            return Err(PclntabError::Magic { magic });
        };
        if pointer != 8 || !matches!(quantum, 1 | 4) {
            return Err(PclntabError::Architecture { quantum, pointer });
        }
        if bytes.len() < SIZE {
            return Err(cut_off());
        }
        let word = |index: usize| usize_at(bytes, 8 + index * 8).ok_or_else(cut_off);
        let header = Self {
            format,
            quantum,
            functions: word(0)?,
            text_start: u64_at(bytes, 24).ok_or_else(cut_off)?,
            function_names: word(3)?,
            units: word(4)?,
            file_names: word(5)?,
            values: word(6)?,
            records: word(7)?,
        };
        header.check(length)?;
        Ok(header)
    }

    /// The linker writes the tables in this order, one after the other.
    fn check(&self, length: usize) -> Result<(), PclntabError> {
        let order = [
            ("function names", self.function_names, self.units),
            ("file numbers", self.units, self.file_names),
            ("file names", self.file_names, self.values),
            ("values", self.values, self.records),
            ("records", self.records, length),
        ];
        for (table, start, end) in order {
            if start < SIZE || start > end || end > length {
                return Err(PclntabError::Table {
                    table,
                    start,
                    end,
                    bytes: length,
                });
            }
        }
        // One entry more than functions: the end of the last one.
        let index = self
            .functions
            .checked_mul(FTAB_ENTRY)
            .and_then(|bytes| bytes.checked_add(4));
        if self.functions == 0 || index.is_none_or(|index| index > length - self.records) {
            return Err(PclntabError::Functions {
                functions: self.functions,
            });
        }
        Ok(())
    }
}

/// Offset of the first valid table in `bytes`, which start at a page of the image: for files without sections.
pub fn find(bytes: &[u8]) -> Option<usize> {
    // The last three bytes of the magic and the padding; the first byte tells the format.
    memmem::find_iter(bytes, b"\xff\xff\xff\0\0").find_map(|tail| {
        let start = tail.checked_sub(1)?;
        let candidate = bytes.get(start..)?;
        (start % 8 == 0 && Header::parse(candidate).is_ok()).then_some(start)
    })
}
