//! The few facts of an ELF file that finding Go's tables needs: loadable segments and named sections.
//!
//! Layout: System V gABI, chapter "Object Files" (`Elf64_Ehdr`, `Elf64_Phdr`, `Elf64_Shdr` and the 32-bit forms).
//! Tables longer than any linker writes for an executable are refused, not read.

use crate::ReadAt;
use std::io;

/// Program headers considered. Linkers write about ten.
const MAX_SEGMENTS: u64 = 128;
/// Section headers considered. Go executables have about thirty, large C++ ones some hundred.
const MAX_SECTIONS: u64 = 4096;
/// Bytes of section names considered.
const MAX_NAMES: u64 = 256 * 1024;

/// Bytes of one entry of a table. The format has 32 to 64 and lets later versions add fields.
const MAX_ENTRY: u64 = 128;

const PT_LOAD: u64 = 1;
const PF_W: u64 = 2;
const SHT_NOBITS: u64 = 8;

/// Why an ELF file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// The file could not be read.
    #[error("cannot read {length} bytes at offset {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// How much.
        length: u64,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The file ends before a table does.
    #[error("the file ends within the {length} bytes at offset {offset}")]
    Truncated {
        /// Where the table begins.
        offset: u64,
        /// How long it is.
        length: u64,
    },
    /// A header contradicts the format.
    #[error("the ELF header is malformed: {what}")]
    Malformed {
        /// Which part.
        what: &'static str,
    },
}

/// Part of the file that is loaded at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) address: u64,
    pub(crate) offset: u64,
    /// Length in the file.
    pub(crate) length: u64,
    pub(crate) writable: bool,
}

/// A parsed ELF file.
#[derive(Debug)]
pub(crate) struct Elf {
    pub(crate) segments: Vec<Range>,
    sections: Vec<(Vec<u8>, Range)>,
}

/// Byte order and word size of the file.
#[derive(Clone, Copy, Debug)]
struct Layout {
    big_endian: bool,
    wide: bool,
}

impl Layout {
    /// Reads fields of the given sizes one after the other.
    fn fields<const N: usize>(self, bytes: &[u8], start: usize, sizes: [usize; N]) -> Option<[u64; N]> {
        let mut at = start;
        let mut values = [0; N];
        for (value, size) in values.iter_mut().zip(sizes) {
            *value = number(bytes.get(at..at.checked_add(size)?)?, self.big_endian);
            at += size;
        }
        Some(values)
    }
}

/// A number of up to eight bytes.
pub(crate) fn number(bytes: &[u8], big_endian: bool) -> u64 {
    let join = |value: u64, byte: &u8| (value << 8) | u64::from(*byte);
    if big_endian {
        bytes.iter().fold(0, join)
    } else {
        bytes.iter().rev().fold(0, join)
    }
}

impl Elf {
    /// Parses the headers. `None` if it is no ELF file.
    pub(crate) fn parse<R: ReadAt + ?Sized>(file: &R) -> Result<Option<Self>, ElfError> {
        let mut header = [0; 64];
        let length = file.read_most_at(&mut header, 0).map_err(|source| ElfError::Read {
            offset: 0,
            length: 64,
            source,
        })?;
        let header = header.get(..length).unwrap_or_default();
        let Some(&[0x7f, b'E', b'L', b'F', class, data, ..]) = header.first_chunk::<16>() else {
            return Ok(None);
        };
        let layout = Layout {
            wide: match class {
                1 => false,
                2 => true,
                _ => return Err(ElfError::Malformed { what: "class" }),
            },
            big_endian: match data {
                1 => false,
                2 => true,
                _ => return Err(ElfError::Malformed { what: "data encoding" }),
            },
        };
        // e_phoff e_shoff e_flags e_ehsize e_phentsize e_phnum e_shentsize e_shnum e_shstrndx
        let (start, word) = if layout.wide { (32, 8) } else { (28, 4) };
        let Some([phoff, shoff, _, _, phentsize, phnum, shentsize, shnum, shstrndx]) =
            layout.fields(header, start, [word, word, 4, 2, 2, 2, 2, 2, 2])
        else {
            return Err(ElfError::Truncated { offset: 0, length: 64 });
        };
        let segments = segments(file, layout, phoff, phentsize, phnum)?;
        let sections = sections(file, layout, shoff, shentsize, shnum, shstrndx)?;
        Ok(Some(Self { segments, sections }))
    }

    /// True if the file says where its sections are; executables work without.
    pub(crate) fn has_sections(&self) -> bool {
        !self.sections.is_empty()
    }

    /// A section by name.
    pub(crate) fn section(&self, name: &[u8]) -> Option<Range> {
        self.sections
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, range)| *range)
    }

    /// Where in the file the bytes of an address are, and how many follow in the same segment.
    pub(crate) fn locate(&self, address: u64) -> Option<(u64, u64)> {
        self.segments.iter().find_map(|segment| {
            let within = address.checked_sub(segment.address)?;
            let left = segment.length.checked_sub(within).filter(|left| *left > 0)?;
            Some((segment.offset.checked_add(within)?, left))
        })
    }
}

/// Exactly `length` bytes.
pub(crate) fn read_exact<R: ReadAt + ?Sized>(file: &R, offset: u64, length: u64) -> Result<Vec<u8>, ElfError> {
    let Ok(size) = usize::try_from(length) else {
        return Err(ElfError::Truncated { offset, length });
    };
    let mut bytes = vec![0; size];
    let read = file
        .read_most_at(&mut bytes, offset)
        .map_err(|source| ElfError::Read { offset, length, source })?;
    if read < size {
        return Err(ElfError::Truncated { offset, length });
    }
    Ok(bytes)
}

fn table<R: ReadAt + ?Sized>(
    file: &R,
    offset: u64,
    entry: u64,
    count: u64,
    smallest: u64,
) -> Result<Vec<Vec<u8>>, ElfError> {
    if entry < smallest || entry > MAX_ENTRY {
        return Err(ElfError::Malformed { what: "entry size" });
    }
    let bytes = read_exact(file, offset, entry * count)?;
    let entry = usize::try_from(entry).unwrap_or(usize::MAX);
    Ok(bytes.chunks_exact(entry).map(<[u8]>::to_vec).collect())
}

fn segments<R: ReadAt + ?Sized>(
    file: &R,
    layout: Layout,
    offset: u64,
    entry: u64,
    count: u64,
) -> Result<Vec<Range>, ElfError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if count > MAX_SEGMENTS {
        return Err(ElfError::Malformed {
            what: "number of segments",
        });
    }
    let smallest = if layout.wide { 56 } else { 32 };
    let rows = table(file, offset, entry, count, smallest)?;
    let parse = |row: &Vec<u8>| -> Option<Range> {
        let (kind, flags, offset, address, length);
        if layout.wide {
            // p_type p_flags p_offset p_vaddr p_paddr p_filesz
            [kind, flags, offset, address, _, length] = layout.fields(row, 0, [4, 4, 8, 8, 8, 8])?;
        } else {
            // p_type p_offset p_vaddr p_paddr p_filesz p_memsz p_flags
            [kind, offset, address, _, length, _, flags] = layout.fields(row, 0, [4; 7])?;
        }
        (kind == PT_LOAD).then_some(Range {
            address,
            offset,
            length,
            writable: flags & PF_W != 0,
        })
    };
    Ok(rows.iter().filter_map(parse).collect())
}

fn sections<R: ReadAt + ?Sized>(
    file: &R,
    layout: Layout,
    offset: u64,
    entry: u64,
    count: u64,
    names: u64,
) -> Result<Vec<(Vec<u8>, Range)>, ElfError> {
    // A count of zero with a table is the extended numbering of files with more than 65,279 sections.
    if offset == 0 || count == 0 || count > MAX_SECTIONS {
        return Ok(Vec::new());
    }
    let smallest = if layout.wide { 64 } else { 40 };
    let rows = table(file, offset, entry, count, smallest)?;
    let parse = |row: &Vec<u8>| -> Option<(u64, u64, Range)> {
        // sh_name sh_type sh_flags sh_addr sh_offset sh_size
        let word = if layout.wide { 8 } else { 4 };
        let [name, kind, _, address, offset, length] = layout.fields(row, 0, [4, 4, word, word, word, word])?;
        let range = Range {
            address,
            offset,
            length,
            writable: false,
        };
        Some((name, kind, range))
    };
    let parsed: Vec<_> = rows.iter().filter_map(parse).collect();
    let Some((_, _, strings)) = usize::try_from(names).ok().and_then(|names| parsed.get(names)) else {
        return Ok(Vec::new());
    };
    let strings = read_exact(file, strings.offset, strings.length.min(MAX_NAMES))?;
    let named = parsed.into_iter().filter(|(_, kind, _)| *kind != SHT_NOBITS);
    Ok(named
        .filter_map(|(name, _, range)| {
            let name = strings.get(usize::try_from(name).ok()?..)?;
            let end = name.iter().position(|byte| *byte == 0)?;
            Some((name.get(..end)?.to_vec(), range))
        })
        .collect())
}
