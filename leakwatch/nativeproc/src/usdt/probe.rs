//! The probes of a process that tell sampled allocations: `alloc(address, size, weighted_bytes)` and `free(address)` of a provider that keeps
//! this contract.

use crate::image;
use crate::image::Elf;
use crate::image::Image;
use crate::image::ImageError;
use crate::image::MappedFile;
use crate::usdt::argument;
use crate::usdt::argument::Argument;
use crate::usdt::note;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use object::Object as _;
use object::ObjectSection as _;
use object::ObjectSegment as _;
use std::path::PathBuf;

/// OpenTelemetry's name for them, and the one of the sampler that was there first.
const PROVIDERS: [&str; 2] = ["otel_memory", "ddheap"];
const MAX_SECTION_BYTES: u64 = 4 << 20;
/// Places in the code of one process. A probe has one for each time that it was inlined.
pub const MAX_SITES: usize = 256;

/// What a probe tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// A sampled allocation: address, size, bytes that it stands for.
    Allocation([Argument; 3]),
    /// The end of one: address.
    Release(Argument),
}

/// One place of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// `PROVIDER:NAME`.
    pub name: String,
    /// The file, as the process names it.
    pub path: String,
    /// The file, as it can be opened.
    pub link: PathBuf,
    /// Offset in the file of the instruction.
    pub file_offset: u64,
    /// Offset in the file of the semaphore; zero for none.
    pub semaphore_offset: u64,
    /// What it tells, and where.
    pub told: Told,
}

/// Looks for the probes of a process. Both kinds must be there: a sampler that does not follow what is freed says nothing of what is kept.
pub fn find(pid: u32) -> Reading<Vec<Site>> {
    let failed = |error: ImageError| Missing::new(MissingReason::Failed, error.to_string());
    let files = image::mapped_files(pid).map_err(failed)?;
    let mut sites = Vec::new();
    for file in &files {
        match in_file(file) {
            Ok(found) => sites.extend(found),
            Err(error) => tracing::debug!(%error, "a mapped file has no probes"),
        }
    }
    let all = sites.len();
    sites.truncate(MAX_SITES);
    let allocates = sites.iter().any(|site| matches!(site.told, Told::Allocation(_)));
    let releases = sites.iter().any(|site| matches!(site.told, Told::Release(_)));
    if allocates && releases && all <= MAX_SITES {
        return Ok(sites);
    }
    let detail = match (allocates, releases) {
        _ if all > MAX_SITES => format!("{all} places of probes are more than {MAX_SITES}"),
        (true, false) => "the program's sampler does not tell what is freed (no probe `free`)".to_owned(),
        _ => "no probes otel_memory:alloc and :free, or ddheap:alloc and :free".to_owned(),
    };
    Err(Missing::new(MissingReason::Unsupported, detail)
        .with_fix("link the program with a heap sampler that has these probes, or capture the lane native"))
}

fn in_file(file: &MappedFile) -> Result<Vec<Site>, ImageError> {
    let image = Image::open(file)?;
    let elf = image.elf()?;
    let Some((_, section)) = image::section(&elf, ".note.stapsdt", MAX_SECTION_BYTES) else {
        return Ok(Vec::new());
    };
    let base = elf.section_by_name(".stapsdt.base").map(|section| section.address());
    let sites = note::parse(&section).into_iter().filter_map(|note| {
        if !PROVIDERS.contains(&note.provider) {
            return None;
        }
        let arguments = argument::parse(note.arguments)?;
        let told = match (note.name, arguments.as_slice()) {
            ("alloc", [address, size, weight, ..]) => Told::Allocation([*address, *size, *weight]),
            ("free", [address, ..]) => Told::Release(*address),
            _ => return None,
        };
        let moved = base.unwrap_or(note.base).wrapping_sub(note.base);
        let semaphore_offset = match note.semaphore {
            0 => 0,
            semaphore => file_offset(&elf, semaphore.wrapping_add(moved))?,
        };
        Some(Site {
            name: format!("{}:{}", note.provider, note.name),
            path: file.path.clone(),
            link: file.link.clone(),
            file_offset: file_offset(&elf, note.address.wrapping_add(moved))?,
            semaphore_offset,
            told,
        })
    });
    Ok(sites.collect())
}

fn file_offset(elf: &Elf<'_>, address: u64) -> Option<u64> {
    elf.segments().find_map(|segment| {
        let within = address.checked_sub(segment.address())?;
        let (start, length) = segment.file_range();
        (within < length).then(|| start.checked_add(within))?
    })
}
