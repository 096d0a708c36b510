//! Where the memory controller's hierarchy is mounted, which cgroups it has, and inode ↔ path.
//!
//! Reads `/proc/self/mountinfo`, directory listings and directory metadata; never a control file's contents (except
//! `cgroup.controllers`, to tell whether the unified hierarchy has the memory controller).

mod index;
mod walk;

pub use index::CgroupIndex;
pub use walk::CgroupWalk;
pub use walk::Directory;

pub use leakwatch_analysis::model::counter::CgroupVersion as Version;

use leakwatch_analysis::model::units::Timestamp;
use procfs::FromRead as _;
use procfs::process::MountInfo;
use procfs::process::MountInfos;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

/// The hierarchy that has the memory controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Which files it has.
    pub version: Version,
    /// Directory of its root cgroup.
    pub root: PathBuf,
    /// Both cgroup v1 and the unified hierarchy are mounted; `version` tells where the memory controller is.
    pub hybrid: bool,
}

/// Why there is nothing to watch.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The list of mounts could not be read.
    #[error("cannot read the mounts from {path}")]
    Mounts {
        /// File that was read.
        path: PathBuf,
        /// Cause.
        #[source]
        source: procfs::ProcError,
    },
    /// No mounted hierarchy has the memory controller.
    #[error(
        "no mounted cgroup hierarchy has the memory controller according to {path}: mount cgroup2, or boot without cgroup_disable=memory"
    )]
    NoMemoryController {
        /// File that was read.
        path: PathBuf,
    },
    /// The given root is not one of a hierarchy with the memory controller.
    #[error("{path} is not the root of a cgroup hierarchy with the memory controller")]
    NotARoot {
        /// The directory given.
        path: PathBuf,
    },
    /// A cgroup path that could leave the hierarchy.
    #[error("{path} is not a cgroup path: it must be relative to the root of the hierarchy and without `..`")]
    NotACgroupPath {
        /// The path given.
        path: PathBuf,
    },
}

impl Hierarchy {
    /// Finds the hierarchy of the memory controller among the mounts this process sees.
    pub fn detect() -> Result<Self, CgroupError> {
        Self::from_mountinfo(Path::new("/proc/self/mountinfo"))
    }

    /// The same from a given file.
    pub fn from_mountinfo(path: &Path) -> Result<Self, CgroupError> {
        let mounts = MountInfos::from_file(path).map_err(|source| CgroupError::Mounts {
            path: path.to_owned(),
            source,
        })?;
        // A bind mount of a subtree (in a container) has a root other than `/`: whole hierarchies first.
        let find = |wanted: &dyn Fn(&MountInfo) -> bool| {
            let candidates = mounts.iter().filter(|mount| wanted(mount));
            candidates
                .min_by_key(|mount| mount.root != "/")
                .map(|mount| mount.mount_point.clone())
        };
        let v1 = find(&|mount| mount.fs_type == "cgroup" && mount.super_options.contains_key("memory"));
        let any_v1 = mounts.iter().any(|mount| mount.fs_type == "cgroup");
        let v2 = find(&|mount| mount.fs_type == "cgroup2");
        let hybrid = any_v1 && v2.is_some();
        if let Some(root) = v1 {
            return Ok(Self {
                version: Version::V1,
                root,
                hybrid,
            });
        }
        match v2 {
            Some(root) if has_memory_controller(&root) => Ok(Self {
                version: Version::V2,
                root,
                hybrid,
            }),
            _ => Err(CgroupError::NoMemoryController { path: path.to_owned() }),
        }
    }

    /// The hierarchy whose root a user named: either the root itself or the usual mount point above it
    /// (`/sys/fs/cgroup` of a v1 set-up).
    pub fn at(root: &Path) -> Result<Self, CgroupError> {
        for (version, root, hybrid) in [
            (Version::V1, root.to_owned(), false),
            (Version::V1, root.join("memory"), root.join("unified").is_dir()),
            (Version::V2, root.to_owned(), false),
        ] {
            let found = match version {
                Version::V1 => root.join("memory.usage_in_bytes").is_file(),
                Version::V2 => has_memory_controller(&root),
            };
            if found {
                return Ok(Self { version, root, hybrid });
            }
        }
        Err(CgroupError::NotARoot { path: root.to_owned() })
    }

    /// Path of a cgroup below the root, `/a/b`, from a path as a user writes it (`a/b`, `/a/b/`).
    pub fn cgroup_path(path: &Path) -> Result<PathBuf, CgroupError> {
        let mut relative = PathBuf::new();
        for component in path.components() {
            match component {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => relative.push(name),
                Component::ParentDir | Component::Prefix(_) => {
                    return Err(CgroupError::NotACgroupPath { path: path.to_owned() });
                }
            }
        }
        Ok(relative)
    }
}

fn has_memory_controller(root: &Path) -> bool {
    fs::read_to_string(root.join("cgroup.controllers"))
        .is_ok_and(|controllers| controllers.split_whitespace().any(|name| name == "memory"))
}

/// Path of a cgroup as text: `/` and the path relative to the hierarchy's root. Bytes that are not UTF-8 are written
/// `\xNN`, as systemd does, so that two names stay two names.
pub fn path_text(relative: &Path) -> String {
    let mut text = String::from("/");
    for chunk in relative.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

/// True for the errors of a directory or file whose cgroup was removed meanwhile.
fn vanished(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

/// Creation of a cgroup as far as its directory tells: kernfs keeps no birth time, and modification and change time
/// move when children come and go, so the earlier of both is the closest bound. Never after `now`.
fn started_at(modified_nanos: u64, changed_nanos: u64, now: Timestamp) -> Timestamp {
    let earliest = modified_nanos.min(changed_nanos);
    if earliest == 0 {
        return now;
    }
    Timestamp::from_unix_nanos(earliest).min(now)
}

#[cfg(test)]
mod tests;
