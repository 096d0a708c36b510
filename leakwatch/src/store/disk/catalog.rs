//! The catalog: what is small and changes now and then, by key. A file begins with all that is known and goes on with changes; when these are too many,
//! a new one is begun.

use super::codec::block;
use super::codec::frame;
use super::codec::frame::Head;
use super::codec::varint::CodecError;
use super::codec::varint::Reader;
use super::codec::varint::put;
use super::codec::varint::put_sized;
use super::error::DiskError;
use super::kind;
use super::log::LogFile;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Bound;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes of a frame before compression, about.
const FRAME_BYTES: usize = 256 << 10;
const MAX_FRAME: usize = 32 << 20;
/// Changes of a frame at most.
const MAX_CHANGES: usize = 1 << 16;
/// Keys at most.
const MAX_KEYS: usize = 50_000;
/// A file is begun anew once the changes in it take so many times what it began with, and at least so many bytes.
const TIMES: u64 = 3;
const LEAST: u64 = 128 << 10;
const TIER: u8 = 0;

/// A new value of a key; none removes it.
pub type Change = (String, Option<Vec<u8>>);

/// What is known, and its file.
#[derive(Debug)]
pub(crate) struct Catalog {
    directory: PathBuf,
    next: u64,
    known: BTreeMap<String, Arc<[u8]>>,
    log: Option<LogFile>,
    /// Bytes of the file when it was begun.
    began_with: u64,
    /// Bytes of earlier files that are still there.
    before: Vec<(PathBuf, u64)>,
    written: u64,
}

/// What earlier daemons knew.
#[derive(Debug, Default)]
pub struct Recovered {
    pub(crate) known: BTreeMap<String, Arc<[u8]>>,
    pub(crate) notes: Vec<String>,
}

impl Catalog {
    /// The catalog of a directory.
    pub(crate) fn open(directory: &Path) -> Result<(Self, Recovered), DiskError> {
        let mut files: Vec<(u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(directory).map_err(DiskError::io(directory))? {
            let path = entry.map_err(DiskError::io(directory))?.path();
            if let Some(number) = number_of(&path) {
                files.push((number, path));
            }
        }
        files.sort_unstable();
        let mut recovered = Recovered::default();
        let mut before = Vec::new();
        // Files are in place only once what they begin with is whole: the newest has all, unless it is damaged.
        for (_, path) in &files {
            let bytes = fs::read(path).map_err(DiskError::io(path))?;
            let mut known = BTreeMap::new();
            let whole = read_into(&bytes, &mut known);
            if whole {
                recovered.known = known;
            } else {
                recovered.notes.push(format!(
                    "catalog {} is damaged: what is whole in it is used",
                    path.display()
                ));
                recovered.known.extend(known);
            }
            before.push((path.clone(), bytes.len() as u64));
        }
        let catalog = Self {
            directory: directory.to_owned(),
            next: files.last().map_or(1, |(number, _)| number + 1),
            known: recovered.known.clone(),
            log: None,
            began_with: 0,
            before,
            written: 0,
        };
        Ok((catalog, recovered))
    }

    /// What is known under keys that begin like that.
    pub(crate) fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let from = self.known.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(_, value)| &**value)
    }

    /// Bytes of its files.
    pub(crate) fn bytes(&self) -> u64 {
        let before: u64 = self.before.iter().map(|(_, bytes)| bytes).sum();
        before + self.log.as_ref().map_or(0, LogFile::end)
    }

    /// Bytes written since it was opened.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Takes in changes. They are known even if they cannot be written: then all is written with the next.
    pub(crate) fn apply(&mut self, changes: &[Change]) -> Result<(), DiskError> {
        for (key, value) in changes {
            match value {
                Some(value) if self.known.len() < MAX_KEYS || self.known.contains_key(key) => {
                    self.known.insert(key.clone(), value.as_slice().into());
                }
                Some(_) => {}
                None => {
                    self.known.remove(key);
                }
            }
        }
        let most = self.began_with.saturating_mul(TIMES).max(LEAST);
        match &mut self.log {
            Some(log) if log.end() <= most => {
                if changes.is_empty() {
                    return Ok(());
                }
                let changes = changes.iter().map(|(key, value)| (key.as_str(), value.as_deref()));
                let appended = append(log, changes);
                match appended {
                    Ok(bytes) => {
                        self.written += bytes;
                        Ok(())
                    }
                    Err(error) => {
                        self.retire();
                        Err(error)
                    }
                }
            }
            _ => self.begin(),
        }
    }

    fn retire(&mut self) {
        if let Some(log) = self.log.take() {
            self.before.push((log.path().to_owned(), log.end()));
        }
    }

    /// Begins a file with all that is known, and removes those before.
    fn begin(&mut self) -> Result<(), DiskError> {
        let fresh = self.directory.join("catalog.tmp");
        let mut log = LogFile::create(fresh.clone(), Head { tier: TIER, slot: 0 })?;
        let known = self.known.iter().map(|(key, value)| (key.as_str(), Some(&**value)));
        let path = self.directory.join(format!("catalog-{:08}.lwc", self.next));
        let begun = append(&mut log, known)
            .and_then(|_| log.sync())
            .and_then(|()| log.rename(path));
        if let Err(error) = begun {
            drop(fs::remove_file(&fresh));
            return Err(error);
        }
        self.next += 1;
        self.written += log.end();
        self.retire();
        self.began_with = log.end();
        self.log = Some(log);
        self.before
            .retain(|(path, _)| fs::remove_file(path).is_err_and(|error| error.kind() != std::io::ErrorKind::NotFound));
        Ok(())
    }

    /// Makes sure that a failure of power loses nothing that was written before.
    pub(crate) fn sync(&mut self) -> Result<(), DiskError> {
        self.log.as_mut().map_or(Ok(()), LogFile::sync)
    }
}

fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("catalog-")?.strip_suffix(".lwc")?.parse().ok()
}

fn append<'a>(log: &mut LogFile, changes: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>) -> Result<u64, DiskError> {
    let before = log.end();
    let mut write = |count: u64, body: &[u8]| {
        let mut whole = Vec::with_capacity(body.len() + 4);
        put(&mut whole, count);
        whole.extend_from_slice(body);
        let compressed = block::compress(&whole, block::LEVEL).map_err(DiskError::encode(log.path()))?;
        log.append(kind::CATALOG, &compressed).map(|_| ())
    };
    let (mut count, mut body) = (0, Vec::new());
    for (key, value) in changes {
        put_sized(&mut body, key.as_bytes());
        body.push(u8::from(value.is_some()));
        put_sized(&mut body, value.unwrap_or_default());
        count += 1;
        if body.len() >= FRAME_BYTES {
            write(count, &body)?;
            (count, body) = (0, Vec::new());
        }
    }
    if count > 0 {
        write(count, &body)?;
    }
    Ok(log.end() - before)
}

/// Reads what is whole; whether all is, up to where the file ends.
fn read_into(file: &[u8], known: &mut BTreeMap<String, Arc<[u8]>>) -> bool {
    if frame::decode_head(file).is_err() {
        return false;
    }
    let found = frame::scan(file);
    let mut whole = found.damage.is_empty();
    for (_, frame) in found.frames {
        whole &= frame.kind != kind::CATALOG || read_frame(frame.payload, known).is_ok();
    }
    whole
}

fn read_frame(payload: &[u8], known: &mut BTreeMap<String, Arc<[u8]>>) -> Result<(), CodecError> {
    let body = block::decompress(payload, MAX_FRAME)?;
    let mut reader = Reader::new(&body);
    for _ in 0..reader.count("changes", MAX_CHANGES)? {
        let key = std::str::from_utf8(reader.sized()?).map_err(|_error| CodecError::Inconsistent("text"))?;
        let is_set = reader.byte()? == 1;
        let value = reader.sized()?;
        if is_set && known.len() < MAX_KEYS {
            known.insert(key.to_owned(), value.into());
        } else if !is_set {
            known.remove(key);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_is_what_was_applied_whatever_file_it_is_in() {
        let directory = tempfile::tempdir().unwrap();
        let (mut catalog, _) = Catalog::open(directory.path()).unwrap();
        let mut expected: BTreeMap<String, Arc<[u8]>> = BTreeMap::new();
        for round in 0..2000_u32 {
            let key = format!("t/{}", round % 37);
            let noise = |n: u32| (n ^ round).wrapping_mul(2_654_435_761).to_le_bytes();
            let value = (round % 5 != 0).then(|| (0..40).flat_map(noise).collect::<Vec<u8>>());
            catalog.apply(&[(key.clone(), value.clone())]).unwrap();
            match value {
                Some(value) => expected.insert(key, value.into()),
                None => expected.remove(&key),
            };
            if round % 250 == 0 {
                let (_, recovered) = Catalog::open(directory.path()).unwrap();
                assert_eq!(recovered.known, expected);
                assert!(recovered.notes.is_empty());
            }
        }
        assert!(catalog.next > 2, "files were begun anew");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        // A change that is half written does not count, and nothing else is lost.
        let path = catalog.log.as_ref().unwrap().path().to_owned();
        let whole = fs::read(&path).unwrap();
        catalog.apply(&[("x".to_owned(), Some(vec![1]))]).unwrap();
        let longer = fs::read(&path).unwrap();
        for end in whole.len()..longer.len() {
            fs::write(&path, &longer[..end]).unwrap();
            assert_eq!(Catalog::open(directory.path()).unwrap().1.known, expected);
        }
    }
}
