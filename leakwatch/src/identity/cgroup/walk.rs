//! One bounded walk over a subtree of a hierarchy, cheap enough for every round.
//!
//! A directory whose link count is 2 has no subdirectories (kernfs, tmpfs and ext4 keep that), so leaves cost one
//! `stat` and no listing. File systems without link counts (btrfs, overlayfs, 1 link) are listed in full.

use super::Hierarchy;
use super::path_text;
use super::started_at;
use super::vanished;
use leakwatch_analysis::model::event::Loss;
use leakwatch_analysis::model::target::CgroupKey;
use leakwatch_analysis::model::units::Timestamp;
use std::fs;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

/// One cgroup found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Its directory.
    pub path: PathBuf,
    /// Identity.
    pub key: CgroupKey,
    /// Index of its parent in the same walk; none for the hierarchy's root.
    pub parent: Option<usize>,
    /// False for an ancestor of the watched subtree: only its limit counts.
    pub watched: bool,
    /// Creation as far as the directory tells.
    pub started_at: Timestamp,
}

/// The cgroups of a subtree and the ancestors of its root, parents before children.
#[derive(Clone, Debug, Default)]
pub struct CgroupWalk {
    /// What was found.
    pub directories: Vec<Directory>,
    /// Directories left out, with the reasons.
    pub losses: Vec<Loss>,
}

impl CgroupWalk {
    /// Most cgroups one walk keeps. At about 300 bytes each this bounds a walk to 5 MiB.
    pub const MAX_CGROUPS: usize = 16_384;
    /// Deepest cgroup below the root of the hierarchy. The kernel's own default has no bound; systemd and the kubelet
    /// nest less than 10 deep.
    pub const MAX_DEPTH: usize = 64;

    /// Walks the subtree `only` (relative to the root; empty: all of it). Cgroups that vanish meanwhile are left out.
    pub fn run(hierarchy: &Hierarchy, only: &Path, now: Timestamp) -> Self {
        let mut walk = Self::default();
        let mut parent = None;
        let mut relative = PathBuf::new();
        for component in only.components() {
            match fs::metadata(hierarchy.root.join(&relative)) {
                Ok(metadata) => parent = Some(walk.push(hierarchy, &relative, parent, false, &metadata, now)),
                Err(error) => {
                    walk.lose_unless_vanished(&error, now);
                    return walk;
                }
            }
            relative.push(component);
        }
        match fs::metadata(hierarchy.root.join(&relative)) {
            Ok(metadata) => {
                let index = walk.push(hierarchy, &relative, parent, true, &metadata, now);
                walk.descend(hierarchy, relative, index, metadata.nlink(), now);
            }
            Err(error) => walk.lose_unless_vanished(&error, now),
        }
        walk
    }

    fn descend(&mut self, hierarchy: &Hierarchy, top: PathBuf, index: usize, links: u64, now: Timestamp) {
        let depth = top.components().count();
        let mut pending = vec![(top, index, links, depth)];
        while let Some((relative, index, links, depth)) = pending.pop() {
            if links == 2 {
                continue;
            }
            if depth >= Self::MAX_DEPTH {
                self.lose("cgroup_too_deep", now);
                continue;
            }
            let entries = match fs::read_dir(hierarchy.root.join(&relative)) {
                Ok(entries) => entries,
                Err(error) => {
                    self.lose_unless_vanished(&error, now);
                    continue;
                }
            };
            for entry in entries {
                let metadata = entry.and_then(|entry| {
                    if entry.file_type()?.is_dir() {
                        Ok(Some((entry.file_name(), entry.metadata()?)))
                    } else {
                        Ok(None)
                    }
                });
                match metadata {
                    Ok(Some(_)) if self.directories.len() >= Self::MAX_CGROUPS => self.lose("cgroups_over_bound", now),
                    Ok(Some((name, metadata))) => {
                        let child = relative.join(name);
                        let found = self.push(hierarchy, &child, Some(index), true, &metadata, now);
                        pending.push((child, found, metadata.nlink(), depth + 1));
                    }
                    Ok(None) => {}
                    Err(error) => self.lose_unless_vanished(&error, now),
                }
            }
        }
    }

    fn push(
        &mut self,
        hierarchy: &Hierarchy,
        relative: &Path,
        parent: Option<usize>,
        watched: bool,
        metadata: &Metadata,
        now: Timestamp,
    ) -> usize {
        self.directories.push(Directory {
            path: hierarchy.root.join(relative),
            key: CgroupKey {
                inode: metadata.ino(),
                path: path_text(relative),
            },
            parent,
            watched,
            started_at: started_at(
                nanos(metadata.mtime(), metadata.mtime_nsec()),
                nanos(metadata.ctime(), metadata.ctime_nsec()),
                now,
            ),
        });
        self.directories.len() - 1
    }

    fn lose_unless_vanished(&mut self, error: &std::io::Error, at: Timestamp) {
        if !vanished(error) {
            self.lose("cgroup_unreadable", at);
        }
    }

    fn lose(&mut self, reason: &'static str, at: Timestamp) {
        match self.losses.iter_mut().find(|loss| loss.reason == reason) {
            Some(loss) => loss.count += 1,
            None => self.losses.push(Loss {
                at,
                reason: reason.into(),
                count: 1,
            }),
        }
    }
}

fn nanos(seconds: i64, nanos: i64) -> u64 {
    let nanos = u64::try_from(nanos).unwrap_or(0);
    u64::try_from(seconds).map_or(0, |seconds| seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}
