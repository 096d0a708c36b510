//! The allocator functions of one process: found by their symbols in every file it has mapped, whichever allocator it is and however
//! many there are, each with the place to probe.
//!
//! Aliases have one address and are probed once. `operator new` of a C++ library that has no allocator of its own calls
//! `malloc` and is left alone.

use crate::function;
use crate::function::Signature;
use crate::image;
use crate::image::Elf;
use crate::image::Image;
use crate::image::ImageError;
use crate::image::MappedFile;
use crate::image::Segment;
use crate::placement;
use crate::placement::Placement;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use object::Object as _;
use object::ObjectSegment as _;
use object::ObjectSymbol as _;
use object::SymbolKind;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Code read of a function to place its probe.
const MAX_CODE: u64 = 4_096;
/// Code read of a function whose symbol has no size.
const CODE_WITHOUT_SIZE: u64 = 64;
/// Functions probed in one process; five allocators have about a hundred.
const MAX_POINTS: usize = 256;

/// One function to be probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbePoint {
    /// Its symbol.
    pub symbol: String,
    /// What it does.
    pub signature: Signature,
    /// The file, as the process names it.
    pub path: String,
    /// The file, as it can be opened.
    pub link: PathBuf,
    /// Offset in the file of the instruction to probe.
    pub file_offset: u64,
    /// Where in the function that is.
    pub placement: Placement,
}

/// What was found in a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocators {
    /// The functions, by file and offset; never empty.
    pub points: Vec<ProbePoint>,
    /// Files that could not be read, and why.
    pub unread: Vec<String>,
}

/// Looks for the allocator functions of a process.
pub fn find(pid: u32) -> Result<Allocators, Missing> {
    let files = image::mapped_files(pid).map_err(|error| missing(&error))?;
    let mut points = Vec::new();
    let mut unread = Vec::new();
    for file in &files {
        match in_file(file) {
            Ok(found) => points.extend(found),
            Err(error) => unread.push(text(&error)),
        }
    }
    points.truncate(MAX_POINTS);
    let allocates = points.iter().any(|point| point.signature != Signature::Release);
    let frees = points.iter().any(|point| point.signature == Signature::Release);
    if allocates && frees {
        return Ok(Allocators { points, unread });
    }
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let mut detail = format!("no symbols of an allocator in {}", paths.join(", "));
    for reason in unread {
        detail = format!("{detail}; {reason}");
    }
    Err(Missing::new(MissingReason::Unsupported, detail)
        .with_fix("a program that is linked statically must not be stripped of its symbols (.symtab)"))
}

fn in_file(file: &MappedFile) -> Result<Vec<ProbePoint>, ImageError> {
    let image = Image::open(file)?;
    let elf = image.elf()?;
    let segments = image::code_segments(&elf);
    // Address → symbol and size; of aliases the shortest name, which is the public one.
    let mut functions: BTreeMap<u64, (&str, u64)> = BTreeMap::new();
    for symbol in elf.symbols().chain(elf.dynamic_symbols()) {
        if !symbol.is_definition() || symbol.kind() != SymbolKind::Text {
            continue;
        }
        let Ok(name) = symbol.name() else { continue };
        if function::of_symbol(name).is_none() {
            continue;
        }
        let known = functions.entry(symbol.address()).or_insert((name, symbol.size()));
        if (name.len(), name) < (known.0.len(), known.0) {
            *known = (name, symbol.size());
        }
    }
    let has_allocator = functions
        .values()
        .any(|(name, _)| !function::is_operator(name) && function::of_symbol(name) != Some(Signature::Release));
    let mut points = Vec::new();
    for (address, (name, size)) in functions {
        if function::is_operator(name) && !has_allocator {
            continue;
        }
        let Some(signature) = function::of_symbol(name) else {
            continue;
        };
        let Some(entry) = file_offset(&segments, address) else {
            continue;
        };
        let placement = place(&elf, address, size, signature);
        points.push(ProbePoint {
            symbol: name.to_owned(),
            signature,
            path: file.path.clone(),
            link: file.link.clone(),
            file_offset: entry + placement.offset,
            placement,
        });
    }
    Ok(points)
}

fn place(elf: &Elf<'_>, address: u64, size: u64, signature: Signature) -> Placement {
    let size = if size == 0 {
        CODE_WITHOUT_SIZE
    } else {
        size.min(MAX_CODE)
    };
    let code = elf
        .segments()
        .find_map(|segment| segment.data_range(address, size).ok().flatten());
    code.map_or(placement::AT_ENTRY, |code| {
        placement::place(elf.architecture(), code, signature.arguments())
    })
}

fn file_offset(segments: &[Segment], address: u64) -> Option<u64> {
    let segment = segments.iter().find(|segment| segment.addresses.contains(&address))?;
    segment.file_offset.checked_add(address - segment.addresses.start)
}

fn missing(error: &ImageError) -> Missing {
    Missing::new(MissingReason::Failed, text(error))
}

fn text(error: &ImageError) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::Execution;

    #[test]
    fn our_own_allocator_is_found_where_the_dynamic_linker_would_find_it() {
        let allocators = find(std::process::id()).unwrap();
        for (symbol, signature) in [
            ("malloc", Signature::Size),
            ("calloc", Signature::Product),
            ("realloc", Signature::OldSize),
            ("free", Signature::Release),
            ("posix_memalign", Signature::Result),
        ] {
            let points: Vec<&ProbePoint> = allocators
                .points
                .iter()
                .filter(|point| point.symbol == symbol && point.path.contains("libc"))
                .collect();
            assert_eq!(points.len(), 1, "{symbol}: {points:?}");
            assert_eq!(points[0].signature, signature);
            assert_eq!(points[0].placement.execution, Execution::Emulated, "{symbol}");
        }
        // Aliases were found at one address.
        let mut offsets: Vec<_> = allocators
            .points
            .iter()
            .map(|point| (&point.path, point.file_offset))
            .collect();
        offsets.sort();
        offsets.dedup();
        assert_eq!(offsets.len(), allocators.points.len());
    }

    #[test]
    fn a_process_that_is_not_there_is_said_to_be_missing() {
        let missing = find(u32::MAX).unwrap_err();
        assert!(missing.detail.contains("mappings of process"), "{missing:?}");
    }
}
