//! The journal: the rows of each tick as they come, so that a daemon that is killed loses none of them. Blocks take hours of samples of a target
//! together; until one is full, this is the only place on disk where its rows are. A journal file is removed once all its rows are in blocks.

use super::codec::block;
use super::codec::frame;
use super::codec::frame::Head;
use super::codec::row::Row;
use super::codec::varint::CodecError;
use super::codec::varint::Reader;
use super::codec::varint::put;
use super::codec::varint::put_sized;
use super::error::DiskError;
use super::kind;
use super::log::LogFile;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// A file takes so many milliseconds of rows.
const FILE_SPAN: u64 = 10 * 60 * 1000;
/// Bytes of the rows of a tick at most.
const MAX_TICK: usize = 16 << 20;
/// Rows of a tick at most.
const MAX_ROWS: usize = 1 << 16;
/// Compressed at once while it is hot: speed counts.
const LEVEL: i32 = 1;
const TIER: u8 = 0;

/// The file that is being written and those before it.
#[derive(Debug)]
pub(crate) struct Journal {
    directory: PathBuf,
    next: u64,
    current: Option<Current>,
    /// Complete files with the newest instant in each.
    complete: Vec<(PathBuf, u64, u64)>,
}

#[derive(Debug)]
struct Current {
    log: LogFile,
    began: u64,
    newest: u64,
    /// What was written before in this file, by target: rows are written as differences.
    before: HashMap<Arc<str>, (u32, Row)>,
}

/// What a journal file says, and whether all of it is whole.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// In the order of writing.
    pub(crate) rows: Vec<(Arc<str>, Row)>,
    /// Files that are damaged before their end.
    pub(crate) damaged: Vec<PathBuf>,
}

impl Journal {
    /// The journal of a directory, with the rows of earlier daemons.
    pub(crate) fn open(directory: &Path) -> Result<(Self, Replayed), DiskError> {
        let mut replayed = Replayed::default();
        let mut files: Vec<(u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(directory).map_err(DiskError::io(directory))? {
            let path = entry.map_err(DiskError::io(directory))?.path();
            if let Some(number) = number_of(&path) {
                files.push((number, path));
            }
        }
        files.sort_unstable();
        let next = files.last().map_or(1, |(number, _)| number + 1);
        let mut complete = Vec::new();
        for (_, path) in files {
            let bytes = fs::read(&path).map_err(DiskError::io(&path))?;
            let rows = replayed.rows.len();
            if !read_into(&bytes, &mut replayed.rows) {
                replayed.damaged.push(path.clone());
            }
            let newest = replayed
                .rows
                .iter()
                .skip(rows)
                .map(|(_, row)| row.at)
                .max()
                .unwrap_or(0);
            complete.push((path, newest, bytes.len() as u64));
        }
        let journal = Self {
            directory: directory.to_owned(),
            next,
            current: None,
            complete,
        };
        Ok((journal, replayed))
    }

    /// Bytes of all its files.
    pub(crate) fn bytes(&self) -> u64 {
        let current = self.current.as_ref().map_or(0, |current| current.log.end());
        current + self.complete.iter().map(|(_, _, bytes)| bytes).sum::<u64>()
    }

    /// Writes the rows of a tick.
    pub(crate) fn append(&mut self, at: u64, rows: &[(Arc<str>, Row)]) -> Result<(), DiskError> {
        let is_over = |current: &mut Current| at.abs_diff(current.began) >= FILE_SPAN;
        if let Some(full) = self.current.take_if(is_over) {
            self.complete
                .push((full.log.path().to_owned(), full.newest, full.log.end()));
        }
        let current = match &mut self.current {
            Some(current) => current,
            none => {
                let path = self.directory.join(format!("journal-{:08}.lwj", self.next));
                let log = LogFile::create(path, Head { tier: TIER, slot: at })?;
                self.next += 1;
                none.insert(Current {
                    log,
                    began: at,
                    newest: at,
                    before: HashMap::new(),
                })
            }
        };
        let mut payload = Vec::new();
        put(&mut payload, rows.len() as u64);
        let mut written = Vec::with_capacity(rows.len());
        let mut known = current.before.len();
        for (target, row) in rows {
            let number = if let Some((number, before)) = current.before.get(target) {
                put(&mut payload, u64::from(*number) + 1);
                row.encode(before, &mut payload);
                *number
            } else {
                payload.push(0);
                put_sized(&mut payload, target.as_bytes());
                row.encode(&Row::new(0), &mut payload);
                known += 1;
                u32::try_from(known - 1).unwrap_or(u32::MAX)
            };
            written.push((target, number, row));
        }
        let compressed = block::compress(&payload, LEVEL).map_err(DiskError::encode(current.log.path()))?;
        current.log.append(kind::TICK, &compressed)?;
        // Only what is on disk is what later rows differ from.
        for (target, number, row) in written {
            current.newest = current.newest.max(row.at);
            current.before.insert(Arc::clone(target), (number, row.clone()));
        }
        Ok(())
    }

    /// Removes files of which all rows are in blocks: those before the oldest that is not.
    pub(crate) fn forget(&mut self, oldest_pending: Option<u64>) {
        self.complete.retain(|(path, newest, _)| {
            let is_needed = oldest_pending.is_some_and(|oldest| *newest >= oldest);
            // What cannot be removed now is tried again.
            is_needed || fs::remove_file(path).is_err_and(|error| error.kind() != std::io::ErrorKind::NotFound)
        });
    }

    /// Makes sure that a failure of power loses nothing that was written before.
    pub(crate) fn sync(&mut self) -> Result<(), DiskError> {
        self.current.as_mut().map_or(Ok(()), |current| current.log.sync())
    }
}

fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("journal-")?.strip_suffix(".lwj")?.parse().ok()
}

/// Reads what is whole; whether nothing was damaged before the end.
fn read_into(file: &[u8], rows: &mut Vec<(Arc<str>, Row)>) -> bool {
    if frame::decode_head(file).is_err() {
        // Cut off within its head: it was just begun.
        return file.len() < frame::HEAD_BYTES;
    }
    let found = frame::scan(file);
    let mut before: Vec<(Arc<str>, Row)> = Vec::new();
    for (offset, frame) in found.frames {
        // Rows are differences to those before: behind damage there is nothing to build on.
        if found.damage.first().is_some_and(|damage| *damage < offset) {
            return false;
        }
        if frame.kind == kind::TICK && read_tick(frame.payload, &mut before, rows).is_err() {
            return false;
        }
    }
    found.damage.is_empty()
}

fn read_tick(
    payload: &[u8],
    before: &mut Vec<(Arc<str>, Row)>,
    rows: &mut Vec<(Arc<str>, Row)>,
) -> Result<(), CodecError> {
    let payload = block::decompress(payload, MAX_TICK)?;
    let mut reader = Reader::new(&payload);
    for _ in 0..reader.count("rows", MAX_ROWS)? {
        let row = match reader.count("targets", before.len())? {
            0 => {
                let name = std::str::from_utf8(reader.sized()?).map_err(|_error| CodecError::Inconsistent("text"))?;
                let row = Row::decode(&mut reader, &Row::new(0))?;
                before.push((name.into(), row));
                before.last().cloned()
            }
            number => match before.get_mut(number - 1) {
                Some((target, last)) => {
                    *last = Row::decode(&mut reader, last)?;
                    Some((Arc::clone(target), last.clone()))
                }
                None => None,
            },
        };
        rows.extend(row);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::column::Column;

    fn tick(at: u64, targets: &[&str]) -> Vec<(Arc<str>, Row)> {
        let row = |target: &str| {
            let mut row = Row::new(at);
            row.set(Column::Charge, Some(at / 7 * 4096));
            row.set(Column::Anon, at.is_multiple_of(2).then_some(target.len() as u64));
            row
        };
        targets.iter().map(|target| ((*target).into(), row(target))).collect()
    }

    #[test]
    fn all_rows_come_back_whole_up_to_where_a_file_is_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(directory.path()).unwrap();
        let mut written = Vec::new();
        for (at, targets) in [
            (5, &["a", "b"][..]),
            (10, &["a", "b", "c"]),
            (15, &["c"]),
            (700_000, &["b", "d"]),
        ] {
            let rows = tick(at, targets);
            journal.append(at, &rows).unwrap();
            written.extend(rows);
        }
        let (mut again, replayed) = Journal::open(directory.path()).unwrap();
        assert_eq!(
            (replayed.rows, replayed.damaged.len(), again.complete.len()),
            (written.clone(), 0, 2)
        );
        again.forget(Some(15));
        assert_eq!(again.complete.len(), 2);
        again.forget(Some(16));
        assert_eq!(again.complete.len(), 1);
        let path = directory.path().join("journal-00000002.lwj");
        let whole = fs::read(&path).unwrap();
        for end in 0..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            let (_, replayed) = Journal::open(directory.path()).unwrap();
            assert_eq!(
                (replayed.rows.len(), replayed.damaged.len()),
                (0, 0),
                "cut off at {end}"
            );
        }
    }
}
