//! Reads every frame of a store and says what is damaged. Changes nothing.

use super::catalog::Catalog;
use super::codec::block;
use super::error::DiskError;
use super::history::History;
use super::journal::Journal;
use super::kind;
use super::open::folder;
use super::partition::name::PartitionName;
use super::partition::name::Tier;
use super::partition::reader::PartitionReader;
use super::profiles;
use super::status::Shared;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// What is in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// By tier.
    pub tiers: BTreeMap<Tier, TierReport>,
    /// Bytes of the catalog, the journal and all that is no partition.
    pub other_bytes: u64,
    /// What is wrong, one sentence each.
    pub problems: Vec<String>,
}

/// What is in a tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierReport {
    /// Files.
    pub partitions: usize,
    /// Of those, set aside as damaged.
    pub damaged: usize,
    /// Bytes.
    pub bytes: u64,
    /// Blocks, profiles, runs or post-mortems.
    pub frames: u64,
    /// Rows or rollups in the blocks; only a thorough look counts them.
    pub rows: u64,
    /// Begin of the oldest and end of the newest slot, in milliseconds since the Unix epoch.
    pub span: Option<(u64, u64)>,
}

/// Looks at the store of a state directory; `thorough` reads and decodes every frame.
pub fn look(state_dir: &Path, thorough: bool) -> Result<Report, DiskError> {
    let directory = folder(state_dir);
    let mut report = Report::default();
    let mut names = Vec::new();
    for entry in fs::read_dir(&directory).map_err(DiskError::io(&directory))? {
        let entry = entry.map_err(DiskError::io(&directory))?;
        let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
        match entry.file_name().to_str().and_then(PartitionName::parse) {
            Some(name) => names.push((name, bytes)),
            None => report.other_bytes += bytes,
        }
    }
    names.sort_unstable();
    for (name, bytes) in names {
        let tier = report.tiers.entry(name.tier).or_default();
        tier.partitions += 1;
        tier.bytes += bytes;
        if name.damaged {
            tier.damaged += 1;
            continue;
        }
        let end = name.slot.saturating_add(name.tier.length());
        tier.span = Some(
            tier.span
                .map_or((name.slot, end), |(from, to)| (from.min(name.slot), to.max(end))),
        );
        match look_at(&directory, name, thorough) {
            Ok((frames, rows)) => {
                tier.frames += frames;
                tier.rows += rows;
            }
            Err(error) => report.problems.push(error.to_string()),
        }
    }
    let (_, replayed) = Journal::open(&directory)?;
    let damaged = replayed
        .damaged
        .iter()
        .map(|path| format!("journal {} is damaged", path.display()));
    report.problems.extend(damaged);
    report.problems.extend(Catalog::open(&directory)?.1.notes);
    Ok(report)
}

fn look_at(directory: &Path, name: PartitionName, thorough: bool) -> Result<(u64, u64), DiskError> {
    let reader = PartitionReader::open(&name.path(directory))?;
    let (entries, _) = reader.all()?;
    let mut rows = 0;
    if thorough {
        for entry in &entries {
            rows += match entry.kind {
                kind::ROWS => reader.decoded(entry, block::decode_rows)?.len(),
                kind::ROLLUPS => reader.decoded(entry, block::decode_rollups)?.len(),
                kind::PROFILE => profiles::read(&reader, entry).map(|_| 0)?,
                _ => reader.payload(entry).map(|_| 0)?,
            } as u64;
        }
    }
    Ok((entries.len() as u64, rows))
}

/// A reader of a store that nobody writes to.
pub fn offline(state_dir: &Path) -> Result<History, DiskError> {
    let directory = folder(state_dir);
    let mut sealed = std::collections::BTreeSet::new();
    for entry in fs::read_dir(&directory).map_err(DiskError::io(&directory))? {
        let entry = entry.map_err(DiskError::io(&directory))?;
        sealed.extend(entry.file_name().to_str().and_then(PartitionName::parse));
    }
    let shared = Shared::new(&directory);
    shared.set_files(sealed, BTreeMap::new());
    Ok(History::new(Arc::new(shared)))
}
