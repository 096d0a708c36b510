//! What is to be told, in order: one file each in a directory, so that it outlives the daemon. The oldest goes when there is too much.

use std::collections::VecDeque;
use std::fs;
use std::fs::DirBuilder;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

/// Notifications that wait at most.
pub(super) const MOST: usize = 256;
/// Of one; what is larger is not told.
pub(super) const MOST_BYTES: usize = 64 << 10;
const EXTENSION: &str = "json";

/// The files by their numbers.
#[derive(Debug)]
pub(super) struct Queue {
    directory: PathBuf,
    waiting: VecDeque<u64>,
    next: u64,
}

impl Queue {
    /// Goes on with what a daemon before has left.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let mut waiting = Vec::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let is_whole = path.extension().is_some_and(|extension| extension == EXTENSION);
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            if let Some(number) = number.filter(|_| is_whole) {
                waiting.push(number);
            }
        }
        waiting.sort_unstable();
        let next = waiting.last().map_or(0, |last: &u64| last.saturating_add(1));
        Ok(Self {
            directory: directory.to_owned(),
            waiting: waiting.into(),
            next,
        })
    }

    /// Adds one at the end and answers how many were dropped for it.
    pub(super) fn push(&mut self, body: &[u8]) -> io::Result<u64> {
        if body.len() > MOST_BYTES {
            return Ok(1);
        }
        let mut dropped = 0;
        while self.waiting.len() >= MOST {
            let Some(oldest) = self.waiting.front().copied() else {
                break;
            };
            self.remove(oldest);
            dropped += 1;
        }
        // Whole or not at all.
        let (path, staging) = (self.path(self.next), self.directory.join("new"));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&staging)?;
        file.write_all(body)?;
        file.sync_all()?;
        fs::rename(&staging, path)?;
        self.waiting.push_back(self.next);
        self.next = self.next.saturating_add(1);
        Ok(dropped)
    }

    /// The oldest. A file that cannot be read, or is not as it was written, is passed over.
    pub(super) fn front(&mut self) -> Option<(u64, Vec<u8>)> {
        while let Some(number) = self.waiting.front().copied() {
            let path = self.path(number);
            let length =
                fs::metadata(&path).map_or(usize::MAX, |file| usize::try_from(file.len()).unwrap_or(usize::MAX));
            match fs::read(&path) {
                Ok(body) if length <= MOST_BYTES => return Some((number, body)),
                Ok(_) | Err(_) => {
                    tracing::warn!(path = %path.display(), "a notification that waits cannot be read");
                    self.remove(number);
                }
            }
        }
        None
    }

    /// Forgets one.
    pub(super) fn remove(&mut self, number: u64) {
        self.waiting.retain(|waiting| *waiting != number);
        if let Err(error) = fs::remove_file(self.path(number)) {
            tracing::debug!(%error, "a notification cannot be removed");
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number:020}.{EXTENSION}"))
    }
}
