//! The daemon's state directory, held by one daemon at a time.

use rustix::fs::FlockOperation;
use rustix::fs::flock;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be made or written.
    #[error("cannot use state directory {path}: choose another with --state-dir, or run as root", path = path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another daemon holds it.
    #[error(
        "another leakwatch{} already uses state directory {path}: stop it, or choose another with --state-dir",
        holder.map_or_else(String::new, |pid| format!(" (pid {pid})")),
        path = path.display()
    )]
    Busy {
        /// The directory.
        path: PathBuf,
        /// Process id of the other daemon, if it wrote it down.
        holder: Option<u32>,
    },
}

/// The state directory, locked until this is dropped.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    _lock: File,
}

impl StateDirectory {
    /// Makes the directory if needed and locks it.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let unusable = |source| StateError::Unusable {
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(path)
            .map_err(unusable)?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join("lock"))
            .map_err(unusable)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let holder = std::fs::read_to_string(path.join("lock"))
                    .ok()
                    .and_then(|text| text.trim().parse().ok());
                return Err(StateError::Busy {
                    path: path.to_owned(),
                    holder,
                });
            }
            Err(errno) => return Err(unusable(errno.into())),
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(unusable)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_refused_until_the_first_is_gone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let first = StateDirectory::open(&path).unwrap();
        let refusal = StateDirectory::open(&path).unwrap_err();
        let StateError::Busy { holder, .. } = &refusal else {
            panic!("{refusal}")
        };
        assert_eq!(*holder, Some(std::process::id()));
        drop(first);
        assert_eq!(StateDirectory::open(&path).unwrap().path(), path);
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("file");
        std::fs::write(&path, "").unwrap();
        let refusal = StateDirectory::open(&path).unwrap_err();
        assert!(matches!(refusal, StateError::Unusable { .. }));
        assert!(refusal.to_string().contains("--state-dir"));
    }
}
