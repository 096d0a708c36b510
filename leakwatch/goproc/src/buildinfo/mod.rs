//! Go version and module of an executable, from the record that Go's linker leaves in every binary since Go 1.13.
//!
//! The record (`src/debug/buildinfo/buildinfo.go` of Go, "The build info blob left by the linker") is 16-aligned in the
//! section `.go.buildinfo`, or anywhere in a writable segment of a file without section headers (the second one of a
//! position-independent executable: the first is read-only after relocation). It survives `strip` and `-s -w`.
//!
//! | bytes | content |
//! |---|---|
//! | 0..14 | `\xff Go buildinf:` |
//! | 14 | pointer size (format of Go 1.13 to 1.17) |
//! | 15 | bit 0: big endian; bit 1: strings are inline (Go 1.18+) |
//! | 16.. | pointers to two Go strings, or from 32 on two strings with varint lengths |

use crate::ReadAt;
use crate::elf::Elf;
use crate::elf::ElfError;
use crate::elf::Range;
use crate::elf::number;
use crate::elf::read_exact;

const MAGIC: &[u8; 14] = b"\xff Go buildinf:";
const ALIGNMENT: usize = 16;
const HEADER: u64 = 32;

/// Longest version string accepted; real ones have some ten, development builds some eighty characters.
const MAX_VERSION: u64 = 512;
/// Longest module information accepted. A program with a thousand dependencies has 100 KiB.
const MAX_MODULES: u64 = 4 * 1024 * 1024;
/// Bytes of writable segments searched when there are no section headers. The record begins a segment, or follows the
/// data that is read-only after relocation.
const MAX_SEARCH: u64 = 16 * 1024 * 1024;
const CHUNK: u64 = 256 * 1024;

/// What the linker recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// `go1.27.3`, `devel go1.28-...`, perhaps followed by ` X:experiment,...`.
    pub version: String,
    /// Import path of the main package; absent in binaries built without modules.
    pub main_package: Option<String>,
    /// Path of the main module; absent in binaries built without modules.
    pub main_module: Option<String>,
    /// Version of the main module; `(devel)` where it was built in a checkout that Go could not date.
    pub main_version: Option<String>,
    /// Commit that was checked out; since Go 1.18, and only of builds inside of a checkout.
    pub revision: Option<String>,
    /// Whether the checkout had changes that are not in that commit.
    pub modified: Option<bool>,
}

/// Why a Go executable's record could not be read. A program that is not Go is no error.
#[derive(Debug, thiserror::Error)]
pub enum BuildInfoError {
    /// The file is not a well-formed ELF file.
    #[error("not a readable ELF file")]
    Elf(#[from] ElfError),
    /// A string of the record is longer than any linker writes.
    #[error("the {what} of the build info claims {length} bytes, more than {bound}")]
    TooLong {
        /// Which string.
        what: &'static str,
        /// Its length as recorded.
        length: u64,
        /// Longest accepted.
        bound: u64,
    },
    /// A pointer of the record leads outside the file.
    #[error("the build info points to address {address:#x}, which is not in the file")]
    BadPointer {
        /// The address.
        address: u64,
    },
    /// The record contradicts its format.
    #[error("the {what} of the build info is malformed")]
    Malformed {
        /// Which part.
        what: &'static str,
    },
}

/// Reads the record of an executable. `None` if it is not a Go program (or no ELF file at all).
pub fn read<R: ReadAt + ?Sized>(file: &R) -> Result<Option<BuildInfo>, BuildInfoError> {
    let Some(elf) = Elf::parse(file)? else {
        return Ok(None);
    };
    let places = match elf.section(b".go.buildinfo") {
        Some(section) => vec![section],
        None if elf.has_sections() => Vec::new(),
        None => elf
            .segments
            .iter()
            .filter(|segment| segment.writable)
            .copied()
            .collect(),
    };
    let Some(offset) = find(file, &places)? else {
        return Ok(None);
    };
    let header = read_exact(file, offset, HEADER)?;
    let (Some(&pointer_size), Some(&flags)) = (header.get(14), header.get(15)) else {
        return Err(BuildInfoError::Malformed { what: "header" });
    };
    let (version, modules) = if flags & 2 != 0 {
        inline(file, offset + HEADER)?
    } else {
        pointed(file, &elf, &header, pointer_size, flags & 1 != 0)?
    };
    let version = match String::from_utf8(version) {
        Ok(version) if !version.is_empty() => version,
        _ => return Err(BuildInfoError::Malformed { what: "version" }),
    };
    let modules = module_text(&modules);
    Ok(Some(BuildInfo {
        version,
        main_package: field(&modules, "path\t", 0),
        main_module: field(&modules, "mod\t", 0),
        main_version: field(&modules, "mod\t", 1),
        revision: field(&modules, "build\tvcs.revision=", 0),
        modified: field(&modules, "build\tvcs.modified=", 0).and_then(|value| value.parse().ok()),
    }))
}

/// Offset of the record in the file.
fn find<R: ReadAt + ?Sized>(file: &R, places: &[Range]) -> Result<Option<u64>, BuildInfoError> {
    let mut left = MAX_SEARCH;
    for place in places {
        let length = place.length.min(left);
        left -= length;
        let mut at = 0;
        while at < length {
            let start = place.offset.saturating_add(at);
            let mut chunk = vec![0; usize::try_from(CHUNK.min(length - at)).unwrap_or(0)];
            let read = file.read_most_at(&mut chunk, start).map_err(|source| ElfError::Read {
                offset: start,
                length: CHUNK,
                source,
            })?;
            let mut lines = chunk.get(..read).unwrap_or_default().chunks(ALIGNMENT);
            let hit = lines.position(|line| line.starts_with(MAGIC));
            if let Some(hit) = hit.and_then(|hit| u64::try_from(hit * ALIGNMENT).ok()) {
                return Ok(start.checked_add(hit));
            }
            if read < chunk.len() {
                break;
            }
            at += CHUNK;
        }
    }
    Ok(None)
}

/// Go 1.18+: both strings follow the header.
fn inline<R: ReadAt + ?Sized>(file: &R, offset: u64) -> Result<(Vec<u8>, Vec<u8>), BuildInfoError> {
    let (version, next) = inline_string(file, offset, "version", MAX_VERSION)?;
    let (modules, _) = inline_string(file, next, "module information", MAX_MODULES)?;
    Ok((version, modules))
}

fn inline_string<R: ReadAt + ?Sized>(
    file: &R,
    offset: u64,
    what: &'static str,
    bound: u64,
) -> Result<(Vec<u8>, u64), BuildInfoError> {
    let mut prefix = [0; 10];
    let read = file
        .read_most_at(&mut prefix, offset)
        .map_err(|source| ElfError::Read {
            offset,
            length: 10,
            source,
        })?;
    let (length, used) = varint(prefix.get(..read).unwrap_or_default()).ok_or(BuildInfoError::Malformed { what })?;
    let start = offset.saturating_add(used);
    Ok((string(file, start, length, what, bound)?, start.saturating_add(length)))
}

fn string<R: ReadAt + ?Sized>(
    file: &R,
    offset: u64,
    length: u64,
    what: &'static str,
    bound: u64,
) -> Result<Vec<u8>, BuildInfoError> {
    if length > bound {
        return Err(BuildInfoError::TooLong { what, length, bound });
    }
    Ok(read_exact(file, offset, length)?)
}

/// Unsigned LEB128 as `encoding/binary` writes it: value and bytes used.
fn varint(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut value = 0_u64;
    for (index, byte) in (0_u32..10).zip(bytes) {
        let group = u64::from(byte & 0x7f);
        if index == 9 && group > 1 {
            return None;
        }
        value |= group << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, u64::from(index) + 1));
        }
    }
    None
}

/// Go 1.13 to 1.17: the header holds the addresses of two string variables, each a pointer and a length.
fn pointed<R: ReadAt + ?Sized>(
    file: &R,
    elf: &Elf,
    header: &[u8],
    pointer_size: u8,
    big_endian: bool,
) -> Result<(Vec<u8>, Vec<u8>), BuildInfoError> {
    let size = match pointer_size {
        4 => 4,
        8 => 8,
        _ => return Err(BuildInfoError::Malformed { what: "pointer size" }),
    };
    let word = |bytes: &[u8], index: usize| {
        let start = index * size;
        bytes
            .get(start..start + size)
            .map(|bytes| number(bytes, big_endian))
            .ok_or(BuildInfoError::Malformed { what: "header" })
    };
    let at = |address: u64, length: u64| -> Result<u64, BuildInfoError> {
        match elf.locate(address) {
            Some((offset, left)) if left >= length => Ok(offset),
            _ => Err(BuildInfoError::BadPointer { address }),
        }
    };
    let string_at = |index: usize, what: &'static str, bound: u64| -> Result<Vec<u8>, BuildInfoError> {
        let variable = word(header.get(16..).unwrap_or_default(), index)?;
        let width = u64::from(pointer_size) * 2;
        let variable = read_exact(file, at(variable, width)?, width)?;
        let (address, length) = (word(&variable, 0)?, word(&variable, 1)?);
        if length == 0 {
            return Ok(Vec::new());
        }
        if length > bound {
            return Err(BuildInfoError::TooLong { what, length, bound });
        }
        string(file, at(address, length)?, length, what, bound)
    };
    Ok((
        string_at(0, "version", MAX_VERSION)?,
        string_at(1, "module information", MAX_MODULES)?,
    ))
}

/// The text between the two 16-byte marks that let Go find it in memory.
fn module_text(modules: &[u8]) -> String {
    let inner = modules
        .len()
        .checked_sub(16)
        .filter(|end| *end >= 17)
        .and_then(|end| modules.get(16..end))
        .filter(|inner| inner.ends_with(b"\n"));
    String::from_utf8_lossy(inner.unwrap_or_default()).into_owned()
}

/// A field of the first line with this prefix.
fn field(modules: &str, prefix: &str, index: usize) -> Option<String> {
    let value = modules.lines().find_map(|line| line.strip_prefix(prefix))?;
    value
        .split('\t')
        .nth(index)
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests;
