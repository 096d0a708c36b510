//! Opens the store of a state directory: sets aside what cannot be read, goes on with what was being written.

use super::catalog::Catalog;
use super::catalog::Recovered;
use super::error::DiskError;
use super::journal::Journal;
use super::partition::name::PartitionName;
use super::partition::name::Tier;
use super::partition::reader::PartitionReader;
use super::partition::salvage;
use super::partition::writer::PartitionWriter;
use super::pending::Pending;
use super::pins::Pins;
use super::profiles::ProfileWriter;
use super::retention::Limits;
use super::status::Shared;
use super::store::Store;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

const FOLDER: &str = "store";
const FORMAT_FILE: &str = "FORMAT";
/// Of the whole store. Partitions have a format of their own.
const FORMAT: u32 = 1;

/// Where the store of a state directory is.
pub(crate) fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join(FOLDER)
}

impl Store {
    /// Opens the store, with what the catalog remembers. `now` is in milliseconds since the Unix epoch.
    pub fn open(state_dir: &Path, limits: Limits, now: u64) -> Result<(Self, Recovered), DiskError> {
        let mut notes = Vec::new();
        let directory = folder(state_dir);
        set_aside_newer(state_dir, &directory, &mut notes)?;
        fs::create_dir_all(&directory).map_err(DiskError::io(&directory))?;
        let format = directory.join(FORMAT_FILE);
        if !format.exists() {
            fs::write(&format, format!("{FORMAT}\n")).map_err(DiskError::io(&format))?;
        }
        let (journal, replayed) = Journal::open(&directory)?;
        let (catalog, recovered) = Catalog::open(&directory)?;
        let mut store = Self {
            shared: Arc::new(Shared::new(&directory)),
            held: BTreeMap::new(),
            open: BTreeMap::new(),
            next: 1,
            journal,
            pending: HashMap::new(),
            catalog,
            profiles: ProfileWriter::default(),
            limits,
            synced: 0,
            tended: 0,
            now,
            written: 0,
            waiting: Vec::new(),
            pins: Pins::default(),
            directory,
        };
        for note in notes {
            store.note(note);
        }
        for path in replayed.damaged {
            store.lose("store_journal_damaged", 1);
            store.note(format!(
                "journal {} is damaged: what it says after that is lost",
                path.display()
            ));
        }
        for note in &recovered.notes {
            store.lose("store_catalog_damaged", 1);
            store.note(note.clone());
        }
        store.find_partitions()?;
        store.take_over_journal(replayed.rows);
        let newest = store.last_written().into_values().max().unwrap_or(0);
        store.shared.update_status(|status| status.newest = newest);
        store.roll_up_missing();
        store.stay_within_bounds(now);
        store.share_files();
        store.report();
        Ok((store, recovered))
    }

    fn find_partitions(&mut self) -> Result<(), DiskError> {
        let directory = self.directory.clone();
        let mut names = Vec::new();
        for entry in fs::read_dir(&directory).map_err(DiskError::io(&directory))? {
            let entry = entry.map_err(DiskError::io(&directory))?;
            let file_name = entry.file_name();
            let Some(text) = file_name.to_str() else { continue };
            if Path::new(text).extension().is_some_and(|extension| extension == "tmp") {
                drop(fs::remove_file(entry.path()));
            } else if let Some(name) = PartitionName::parse(text) {
                let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
                names.push((name, bytes));
            }
        }
        names.sort_unstable();
        self.next = names.iter().map(|(name, _)| name.sequence + 1).max().unwrap_or(1);
        for (name, bytes) in names {
            if name.damaged {
                self.held.insert(name, bytes);
            } else {
                self.take_over(name, bytes);
            }
        }
        Ok(())
    }

    /// A partition that is there: complete, to be gone on with, or damaged.
    fn take_over(&mut self, name: PartitionName, bytes: u64) {
        let path = name.path(&self.directory);
        if is_complete(&path) {
            match PartitionReader::open(&path) {
                Ok(_) => {
                    self.held.insert(name, bytes);
                }
                Err(error @ DiskError::Io { .. }) => self.note(error.to_string()),
                Err(_damaged) => {
                    self.held.insert(name, bytes);
                    self.quarantine(name);
                }
            }
            return;
        }
        if matches!(name.tier, Tier::Minute | Tier::Hour) || bytes < super::codec::frame::HEAD_BYTES as u64 {
            // It was being made, and is made again; or nothing is in it.
            drop(fs::remove_file(&path));
            return;
        }
        match PartitionWriter::resume(&self.directory, name) {
            Ok(Some(writer)) => {
                if let Some(mut before) = self.open.insert(name.tier, writer) {
                    let sealed = before.seal();
                    self.held.insert(before.name, before.bytes());
                    if let Err(error) = sealed {
                        self.note(error.to_string());
                    }
                }
            }
            Ok(None) => {
                self.held.insert(name, bytes);
            }
            Err(error @ DiskError::Io { .. }) => self.note(error.to_string()),
            Err(_damaged) => {
                self.held.insert(name, bytes);
                self.quarantine(name);
            }
        }
    }

    /// Sets a damaged partition aside, and serves what is whole in it.
    pub(super) fn quarantine(&mut self, name: PartitionName) {
        let salvaged = salvage::quarantine(&self.directory, name);
        self.held.remove(&name);
        let aside = PartitionName { damaged: true, ..name };
        for name in [name, aside] {
            if let Ok(metadata) = fs::metadata(name.path(&self.directory)) {
                self.held.insert(name, metadata.len());
            }
        }
        self.lose("store_partition_damaged", 1);
        match salvaged {
            Ok(salvaged) => self.note(format!(
                "partition {name} is damaged: it is set aside as {aside}, and {} whole parts of it are served",
                salvaged.frames
            )),
            Err(error) => self.note(format!(
                "partition {name} is damaged, and what is whole in it cannot be saved: {error}"
            )),
        }
        self.share_files();
    }

    /// Rows that no block has yet become blocks now, so that the journals of earlier daemons can go.
    fn take_over_journal(&mut self, rows: Vec<(Arc<str>, super::codec::row::Row)>) {
        let written = self.last_written();
        for (target, row) in rows {
            if written.get(&target).is_some_and(|last| row.at <= *last) {
                continue;
            }
            match self.pending.get_mut(&target) {
                Some(pending) if pending.last() < row.at => pending.push(&row),
                Some(_) => {}
                None => {
                    self.pending.insert(target, Pending::new(&row));
                }
            }
        }
        match self.flush_all() {
            Ok(()) => self.journal.forget(None),
            Err(error) => self.note(format!("the rows of the journal cannot be written yet: {error}")),
        }
    }

    /// The newest instant in blocks, by target: of the partition that is being filled and the one before it.
    fn last_written(&self) -> HashMap<Arc<str>, u64> {
        let mut written: HashMap<Arc<str>, u64> = HashMap::new();
        let open = self
            .open
            .get(&Tier::Raw)
            .map(|writer| PartitionReader::shared(&writer.index()));
        let raw = self
            .held
            .keys()
            .rev()
            .filter(|name| name.tier == Tier::Raw && !name.damaged);
        let sealed = raw
            .take(2)
            .map(|name| PartitionReader::open(&name.path(&self.directory)));
        for (entries, names) in open
            .into_iter()
            .chain(sealed)
            .flatten()
            .filter_map(|reader| reader.all().ok())
        {
            for entry in entries {
                if let Some(name) = names.get(&entry.target) {
                    let last = written.entry(Arc::clone(name)).or_default();
                    *last = entry.last.max(*last);
                }
            }
        }
        written
    }

    /// Rollups that a daemon before did not come to make.
    fn roll_up_missing(&mut self) {
        let newest = self
            .held
            .keys()
            .filter(|name| name.tier == Tier::Minute)
            .map(|name| name.sequence)
            .max();
        let raw = self.held.keys().filter(|name| name.tier == Tier::Raw && !name.damaged);
        let missing: Vec<PartitionName> = raw
            .filter(|name| newest.is_none_or(|newest| name.sequence > newest))
            .copied()
            .collect();
        for name in missing {
            if let Err(error) = self.roll_up(name) {
                self.note(error.to_string());
            }
        }
    }
}

/// Whether a partition ends with a trailer.
fn is_complete(path: &Path) -> bool {
    use super::codec::frame;
    use std::os::unix::fs::FileExt as _;
    let look = || -> std::io::Result<bool> {
        let file = fs::File::open(path)?;
        let at = file.metadata()?.len().saturating_sub(frame::TRAILER_BYTES as u64);
        let mut trailer = [0; frame::TRAILER_BYTES];
        file.read_exact_at(&mut trailer, at)?;
        Ok(frame::decode_trailer(&trailer).is_some())
    };
    look().unwrap_or(false)
}

/// A store of a later version is kept as it is, beside the one that is begun.
fn set_aside_newer(state_dir: &Path, directory: &Path, notes: &mut Vec<String>) -> Result<(), DiskError> {
    let Ok(text) = fs::read_to_string(directory.join(FORMAT_FILE)) else {
        return Ok(());
    };
    let found: u32 = text.trim().parse().unwrap_or(FORMAT);
    if found <= FORMAT {
        return Ok(());
    }
    let aside = (1..).map(|number| state_dir.join(format!("{FOLDER}-format-{found}-{number}")));
    let Some(aside) = aside.take(1000).find(|path| !path.exists()) else {
        return Err(DiskError::Newer {
            path: directory.to_owned(),
            found,
            newest: FORMAT,
        });
    };
    fs::rename(directory, &aside).map_err(DiskError::io(directory))?;
    notes.push(format!(
        "the store has format {found}, and this version of leakwatch writes format {FORMAT}: it is set aside as {}, and a new one is begun. \
         It does not count towards max_bytes; remove it, or move it back for the later version",
        aside.display()
    ));
    Ok(())
}
