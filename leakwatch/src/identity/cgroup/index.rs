//! Inode → cgroup, for kernel records: the kernel names a cgroup by the inode of its directory (`kernfs_node.id`).
//!
//! Filled by every walk of the collector. A cgroup is remembered for a while after it is gone: the kill that emptied
//! it is decoded later than that. A cgroup younger than the last walk is found by walking again.

use super::CgroupWalk;
use super::Hierarchy;
use leakwatch_analysis::model::target::CgroupKey;
use leakwatch_analysis::model::units::Timestamp;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

/// Shared between the collector's thread, which fills it, and whoever decodes kernel records.
#[derive(Debug)]
pub struct CgroupIndex {
    hierarchy: Hierarchy,
    known: Mutex<HashMap<u64, Known>>,
}

#[derive(Debug)]
struct Known {
    path: String,
    last_seen: Timestamp,
}

impl CgroupIndex {
    /// How long a removed cgroup is remembered.
    pub const MEMORY: Duration = Duration::from_mins(10);
    /// Most cgroups remembered: a full walk and as many gone ones.
    pub const CAPACITY: usize = 2 * CgroupWalk::MAX_CGROUPS;

    /// An empty index of a hierarchy.
    pub fn new(hierarchy: Hierarchy) -> Self {
        Self {
            hierarchy,
            known: Mutex::new(HashMap::new()),
        }
    }

    /// The cgroup with this inode, or the one that had it last. Walks the whole hierarchy if it is not known.
    pub fn resolve(&self, inode: u64, now: Timestamp) -> Option<CgroupKey> {
        if let Some(key) = self.known(inode) {
            return Some(key);
        }
        self.update(&CgroupWalk::run(&self.hierarchy, Path::new(""), now), now);
        self.known(inode)
    }

    /// Takes over what a walk found.
    pub fn update(&self, walk: &CgroupWalk, now: Timestamp) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for directory in &walk.directories {
            if let Some(entry) = known.get_mut(&directory.key.inode) {
                entry.last_seen = now;
                if entry.path != directory.key.path {
                    entry.path.clone_from(&directory.key.path);
                }
            } else if known.len() < Self::CAPACITY {
                let path = directory.key.path.clone();
                known.insert(directory.key.inode, Known { path, last_seen: now });
            }
        }
        known.retain(|_, entry| now.since(entry.last_seen) <= Self::MEMORY);
    }

    /// The cgroup with this inode as the walks found it, without walking again.
    pub fn known(&self, inode: u64) -> Option<CgroupKey> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&inode).map(|entry| CgroupKey {
            inode,
            path: entry.path.clone(),
        })
    }
}
