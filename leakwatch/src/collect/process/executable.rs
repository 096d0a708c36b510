//! Which program a process runs: path and language runtime, read through `/proc/PID/exe`.
//!
//! That link works for deleted files and for files in another mount namespace. What was found in a file is remembered
//! by (device, inode, modification time), so a thousand replicas of one binary cost one read.

use crate::collect::file::FileError;
use crate::collect::file::open;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::runtime::GoBuild;
use leakwatch_analysis::model::runtime::Runtime;
use leakwatch_goproc::buildinfo;
use leakwatch_goproc::buildinfo::BuildInfo;
use rustix::fs::AtFlags;
use rustix::fs::statat;
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

/// Identity of the file behind `/proc/PID/exe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ExecutableId {
    device: u64,
    inode: u64,
    modified: (i64, u64),
}

/// Longest path, version or commit that is remembered of a build; what is longer is nobody's.
const MAX_TEXT: usize = 512;

/// What was found in executables.
#[derive(Debug, Default)]
pub(super) struct Executables {
    known: HashMap<ExecutableId, Reading<Runtime>>,
}

impl Executables {
    /// Executables remembered; at about 300 bytes each. When full, all are forgotten and those in use are read again.
    const CAPACITY: usize = 4096;

    /// What the file behind `exe` in `directory` is, without opening it.
    pub(super) fn id(directory: impl AsFd) -> Result<ExecutableId, Errno> {
        let stat = statat(directory, "exe", AtFlags::empty())?;
        Ok(ExecutableId {
            device: stat.st_dev,
            inode: stat.st_ino,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
        })
    }

    /// What is remembered of it.
    pub(super) fn known(&self, id: ExecutableId) -> Option<Reading<Runtime>> {
        self.known.get(&id).cloned()
    }

    /// Reads it and remembers the result.
    pub(super) fn read(&mut self, id: ExecutableId, directory: impl AsFd, exe: &str) -> Reading<Runtime> {
        let runtime = open(directory, "exe")
            .map_err(|source| missing(exe, source))
            .and_then(|file| match buildinfo::read(&File::from(file)) {
                Ok(Some(info)) => Ok(go(info)),
                Ok(None) => Ok(Runtime::Native),
                Err(error) => Err(Missing::new(
                    MissingReason::Malformed,
                    format!("build info of {exe}: {error}"),
                )),
            });
        if self.known.len() >= Self::CAPACITY {
            self.known.clear();
        }
        self.known.insert(id, runtime.clone());
        runtime
    }

    /// Target of the link, without ` (deleted)`.
    pub(super) fn path(directory: impl AsFd, shown: &Path) -> Reading<String> {
        let target = rustix::fs::readlinkat(directory, "exe", Vec::new()).map_err(|source| {
            FileError::Read {
                path: shown.join("exe"),
                source,
            }
            .missing()
        })?;
        let text = target.to_string_lossy();
        Ok(text.strip_suffix(" (deleted)").unwrap_or(&text).to_owned())
    }
}

fn go(info: BuildInfo) -> Runtime {
    let short = |text: Option<String>| text.filter(|text| text.len() <= MAX_TEXT);
    let build = match (short(info.main_package), short(info.main_module)) {
        (Some(package), Some(module)) => Some(Arc::new(GoBuild {
            package,
            module,
            module_version: short(info.main_version),
            revision: short(info.revision),
            modified: info.modified,
        })),
        _ => None,
    };
    Runtime::Go {
        version: info.version,
        build,
    }
}

/// Of an executable that cannot be opened or examined.
pub(super) fn missing(exe: &str, source: Errno) -> Missing {
    FileError::Read {
        path: exe.into(),
        source,
    }
    .missing()
}
