//! The ELF files that a process has mapped with execute permission, read through `/proc/PID/map_files`: the very files, also when they
//! were deleted, replaced, or are in another mount namespace.
//!
//! What a file says about itself is hostile: every offset is checked, and what is read is bounded.

use crate::blocks::Blocks;
use crate::regular;
use object::Object as _;
use object::ObjectSection as _;
use object::ObjectSegment as _;
use object::ReadCache;
use object::SegmentFlags;
use procfs::ProcError;
use procfs::process::MMPermissions;
use procfs::process::MMapPath;
use procfs::process::Process;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

/// Files looked at; a large C++ service maps two hundred.
const MAX_FILES: usize = 1_024;

/// Why the mapped files of a process are not known.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The process is gone or not ours to read.
    #[error("cannot read the mappings of process {pid}")]
    Maps {
        /// Which process.
        pid: u32,
        /// The cause.
        #[source]
        source: ProcError,
    },
    /// The file cannot be opened.
    #[error("cannot open {path}")]
    Open {
        /// Path in the mount namespace of the process.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{path} is not a usable ELF file")]
    Elf {
        /// Path in the mount namespace of the process.
        path: String,
        /// The cause.
        #[source]
        source: object::Error,
    },
}

/// One file and where it is mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedFile {
    /// Path in the mount namespace of the process.
    pub path: String,
    /// Where it can be opened as long as the process has it mapped.
    pub link: PathBuf,
    /// Executable mappings: addresses, and the offset in the file of the first.
    pub mappings: Vec<(Range<u64>, u64)>,
}

/// The files a process executes code from, by address.
pub fn mapped_files(pid: u32) -> Result<Vec<MappedFile>, ImageError> {
    let maps = |source| ImageError::Maps { pid, source };
    let signed = i32::try_from(pid).unwrap_or(i32::MAX);
    let process = Process::new(signed).map_err(maps)?;
    let mut files: BTreeMap<(i32, i32, u64), MappedFile> = BTreeMap::new();
    for map in process.maps().map_err(maps)?.0 {
        let MMapPath::Path(path) = &map.pathname else { continue };
        if !map.perms.contains(MMPermissions::EXECUTE) {
            continue;
        }
        let (start, end) = map.address;
        if files.len() >= MAX_FILES && !files.contains_key(&(map.dev.0, map.dev.1, map.inode)) {
            continue;
        }
        let file = files
            .entry((map.dev.0, map.dev.1, map.inode))
            .or_insert_with(|| MappedFile {
                path: path.to_string_lossy().into_owned(),
                link: format!("/proc/{pid}/map_files/{start:x}-{end:x}").into(),
                mappings: Vec::new(),
            });
        file.mappings.push((start..end, map.offset));
    }
    let mut files: Vec<MappedFile> = files.into_values().collect();
    files.sort_by_key(|file| file.mappings.first().map(|(range, _)| range.start));
    Ok(files)
}

/// The headers of an opened file.
pub type Elf<'a> = object::File<'a, &'a ReadCache<Blocks>>;

/// An opened file.
pub struct Image {
    path: String,
    cache: ReadCache<Blocks>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// A part of the file that is loaded and executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Addresses as the file numbers them.
    pub addresses: Range<u64>,
    /// Where it is in the file.
    pub file_offset: u64,
}

impl Image {
    /// Opens a mapped file.
    pub fn open(file: &MappedFile) -> Result<Self, ImageError> {
        let opened = regular::open(&file.link).map_err(|source| ImageError::Open {
            path: file.path.clone(),
            source,
        })?;
        Ok(Self::of(&file.path, opened))
    }

    /// A file that is open, and how it is called.
    pub(crate) fn of(path: &str, file: File) -> Self {
        Self {
            path: path.to_owned(),
            cache: ReadCache::new(Blocks::of(file)),
        }
    }

    /// Its headers.
    pub fn elf(&self) -> Result<Elf<'_>, ImageError> {
        object::File::parse(&self.cache).map_err(|source| ImageError::Elf {
            path: self.path.clone(),
            source,
        })
    }
}

/// What the linker has put into the file to tell it from all others.
pub fn build_id(file: &MappedFile) -> Option<Vec<u8>> {
    let image = Image::open(file).ok()?;
    let elf = image.elf().ok()?;
    elf.build_id().ok().flatten().map(<[u8]>::to_vec)
}

/// The executable segments.
pub fn code_segments(elf: &Elf<'_>) -> Vec<Segment> {
    let segments = elf.segments().filter(
        |segment| matches!(segment.flags(), SegmentFlags::Elf { p_flags, .. } if p_flags & object::elf::PF_X != 0),
    );
    segments
        .map(|segment| Segment {
            addresses: segment.address()..segment.address().saturating_add(segment.size()),
            file_offset: segment.file_range().0,
        })
        .collect()
}

/// What has to be added to the file's own addresses to get those in the process.
pub fn bias(file: &MappedFile, segments: &[Segment]) -> Option<u64> {
    file.mappings.iter().find_map(|(range, offset)| {
        segments.iter().find_map(|segment| {
            let length = segment.addresses.end.checked_sub(segment.addresses.start)?;
            // The kernel maps whole pages: the mapping may begin before the segment does.
            let page = segment.file_offset & !0xfff;
            let end = segment.file_offset.checked_add(length)?;
            let address = segment
                .addresses
                .start
                .wrapping_sub(segment.file_offset)
                .wrapping_add(*offset);
            (*offset >= page && *offset < end).then(|| range.start.wrapping_sub(address))
        })
    })
}

/// The bytes of a section and the addresses the file gives it; `None` when it has none.
pub fn section(elf: &Elf<'_>, name: &str, most: u64) -> Option<(Range<u64>, Vec<u8>)> {
    let section = elf.section_by_name(name)?;
    if section.size() == 0 || section.size() > most {
        return None;
    }
    let data = section.uncompressed_data().ok()?.into_owned();
    let start = section.address();
    Some((start..start.saturating_add(section.size()), data))
}
