//! The files that the names of one mapped file are taken from: itself, and the separate one with its debugging information, wherever its distributor
//! has put it (gdb's manual, "Separate Debug Files").
//!
//! They are handed on as open descriptors. A library that follows links by itself opens whatever a file names, anywhere on this host: what has links
//! is never given to it with its debugging information.

use crate::extent;
use crate::extent::Extent;
use crate::image;
use crate::image::Image;
use crate::image::MappedFile;
use crate::image::Segment;
use crate::regular;
use crate::regular::Root;
use object::Object as _;
use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::path::PathBuf;

/// Where distributions put debugging information, by path and by build id.
const DEBUG_DIRECTORY: &str = "/usr/lib/debug";
/// Bytes of a separate file, all of which are read once for their checksum. The largest browser has 2 GB.
const MAX_SEPARATE: u64 = 2 << 30;
const CHUNK: usize = 64 << 10;

/// One file to take names from.
#[derive(Debug)]
pub(crate) struct NameFile {
    /// Leads to the open file as long as this lives.
    pub(crate) path: PathBuf,
    /// Whether its debugging information can be used.
    pub(crate) debugging: bool,
    _file: File,
}

/// Those of a mapped file.
#[derive(Debug, Default)]
pub(crate) struct NameFiles {
    /// The file itself, unless it cannot be taken apart.
    pub(crate) own: Option<NameFile>,
    /// With its debugging information.
    pub(crate) separate: Option<NameFile>,
    segments: Vec<Segment>,
}

/// Roots in which separate files may be.
#[derive(Debug, Default)]
pub(crate) struct Roots {
    /// Of the process, and how it is called where the paths of mapped files begin: with `chroot(2)` alone they are those of the host.
    theirs: Option<(Root, PathBuf)>,
    /// Of this host.
    ours: Option<Root>,
}

impl Roots {
    pub(crate) fn of_process(pid: u32) -> Self {
        let called = fs::read_link(format!("/proc/{pid}/root")).unwrap_or_else(|_| "/".into());
        Self {
            theirs: Root::of_process(pid).ok().map(|root| (root, called)),
            ours: Root::at(Path::new("/")).ok(),
        }
    }
}

impl NameFiles {
    /// None at all where it cannot be opened.
    pub(crate) fn of(mapped: &MappedFile, roots: &Roots) -> Self {
        let Ok(file) = regular::open(&mapped.link) else {
            return Self::default();
        };
        let Ok(image) = file.try_clone().map(|clone| Image::of(&mapped.path, clone)) else {
            return Self::default();
        };
        let Ok(elf) = image.elf() else {
            return Self::default();
        };
        Self {
            separate: separate(&elf, Path::new(&mapped.path), roots),
            segments: image::code_segments(&elf),
            own: NameFile::of(file, &elf),
        }
    }

    /// The address that the file itself gives to what is at an offset in it.
    pub(crate) fn address(&self, offset: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let within = offset.checked_sub(segment.file_offset)?;
            let address = segment.addresses.start.checked_add(within)?;
            segment.addresses.contains(&address).then_some(address)
        })
    }
}

impl NameFile {
    fn of(file: File, elf: &image::Elf<'_>) -> Option<Self> {
        let extent = extent::of(&file, elf);
        (extent != Extent::Nothing).then(|| Self {
            path: format!("/proc/self/fd/{}", file.as_raw_fd()).into(),
            debugging: extent == Extent::Whole && !has_links(elf),
            _file: file,
        })
    }
}

/// Whether it names another file with debugging information of its own, or with what it shares with others.
fn has_links(elf: &image::Elf<'_>) -> bool {
    [".gnu_debuglink", ".gnu_debugaltlink", ".debug_sup"]
        .iter()
        .any(|name| elf.section_by_name(name).is_some())
}

/// The file that a mapped one names, if its checksum is right.
fn separate(elf: &image::Elf<'_>, path: &Path, roots: &Roots) -> Option<NameFile> {
    let (name, checksum) = elf.gnu_debuglink().ok()??;
    let name = Path::new(OsStr::from_bytes(name));
    // A name and nothing else.
    if name.file_name() != Some(name.as_os_str()) {
        return None;
    }
    let build_id = elf.build_id().ok().flatten().unwrap_or_default();
    let directory = path.parent()?;
    let found = |root: &Root, directory: &Path, beside: bool| {
        candidates(directory, name, build_id, beside)
            .iter()
            .find_map(|candidate| {
                let file = root.open(candidate, MAX_SEPARATE).ok()?;
                (checksum_of(&file)? == checksum).then_some(())?;
                let image = Image::of(&candidate.to_string_lossy(), file.try_clone().ok()?);
                NameFile::of(file, &image.elf().ok()?)
            })
    };
    let theirs = roots.theirs.as_ref().and_then(|(root, called)| {
        let inside = directory.strip_prefix(called).unwrap_or(directory);
        found(root, &Path::new("/").join(inside), true)
    });
    theirs.or_else(|| found(roots.ours.as_ref()?, directory, false))
}

/// In the order of gdb.
fn candidates(directory: &Path, name: &Path, build_id: &[u8], beside: bool) -> Vec<PathBuf> {
    let all = Path::new(DEBUG_DIRECTORY);
    let mut candidates = Vec::new();
    if let Some((first, rest)) = build_id.split_first() {
        let rest: Vec<String> = rest.iter().map(|byte| format!("{byte:02x}")).collect();
        let rest = rest.concat();
        candidates.push(all.join(format!(".build-id/{first:02x}/{rest}.debug")));
    }
    if beside {
        candidates.push(directory.join(name));
        candidates.push(directory.join(".debug").join(name));
    }
    candidates.push(all.join(directory.strip_prefix("/").unwrap_or(directory)).join(name));
    candidates
}

/// CRC-32 of all of it.
fn checksum_of(file: &File) -> Option<u32> {
    let mut hasher = crc32fast::Hasher::new();
    let mut chunk = vec![0; CHUNK];
    let mut at = 0_u64;
    // It may become longer while it is read.
    while at <= MAX_SEPARATE {
        match file.read_at(&mut chunk, at) {
            Ok(0) => return Some(hasher.finalize()),
            Ok(read) => {
                hasher.update(chunk.get(..read)?);
                at = at.checked_add(read as u64)?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_those_of_gdb() {
        let found = candidates(Path::new("/usr/bin"), Path::new("x.debug"), &[0xab, 0xcd, 0x01], true);
        let found: Vec<_> = found.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(
            found,
            [
                "/usr/lib/debug/.build-id/ab/cd01.debug",
                "/usr/bin/x.debug",
                "/usr/bin/.debug/x.debug",
                "/usr/lib/debug/usr/bin/x.debug"
            ]
        );
        assert_eq!(
            candidates(Path::new("/"), Path::new("x"), &[], false),
            [Path::new("/usr/lib/debug/x")]
        );
    }

    #[test]
    fn the_checksum_is_that_of_the_link() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "123456789").unwrap();
        assert_eq!(checksum_of(&File::open(&path).unwrap()), Some(0xcbf4_3926));
    }
}
