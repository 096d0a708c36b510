//! Numbers of all targets, read from cgroup files and `/proc`, one blocking round at a time on a thread of its own.
//!
//! A target is a cgroup that directly contains a process, or has contained one since it was first seen: on cgroup v1
//! inner cgroups may have processes of their own and are targets too. The charge of a target includes its descendants.
//! Kernel threads do not count, so the root cgroup is a target only where programs run in it.
//! Every number is read from the kernel; nothing is computed here but the tightest limit. What cannot be read becomes
//! [`leakwatch_analysis::model::reading::Missing`], and the round goes on.

pub mod endpoint;
pub mod runtime;
mod cgroup;
mod file;
mod limits;
mod parse;
mod process;
mod target;

use crate::clock::Clock;
use crate::config::exclude::Exclude;
use crate::identity::cgroup::CgroupError;
use crate::identity::cgroup::CgroupIndex;
use crate::identity::cgroup::CgroupWalk;
use crate::identity::cgroup::Directory;
use crate::identity::cgroup::Hierarchy;
use crate::input::Input;
use cgroup::CounterFiles;
use file::Descriptors;
use file::Reader;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use limits::Limits;
use process::ProcessReader;
use procfs::FromRead as _;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use target::Round;
use target::Watched;

/// What to watch.
#[derive(Clone, Debug)]
pub struct CollectConfig {
    /// The hierarchy of the memory controller.
    pub hierarchy: Hierarchy,
    /// Watch just this subtree; a cgroup path relative to the hierarchy's root.
    pub only: Option<PathBuf>,
    /// `/proc`, or a tree that looks like it.
    pub proc_root: PathBuf,
    /// The daemon's time axis.
    pub clock: Clock,
}

/// Samples every target of the watched subtree.
#[derive(Debug)]
pub struct Collector {
    hierarchy: Hierarchy,
    only: PathBuf,
    machine: Option<Bytes>,
    counter_files: Arc<CounterFiles>,
    reader: Reader,
    processes: ProcessReader,
    index: Arc<CgroupIndex>,
    watched: HashMap<u64, Watched>,
    exclude: Exclude,
    round: u64,
}

impl Collector {
    /// Prepares; the first round announces all targets there are. Raises the soft limit of open files.
    pub fn new(config: CollectConfig) -> Result<Self, CgroupError> {
        Self::with_descriptors(config, Descriptors::raise_limit())
    }

    fn with_descriptors(config: CollectConfig, descriptors: Arc<Descriptors>) -> Result<Self, CgroupError> {
        let only = Hierarchy::cgroup_path(config.only.as_deref().unwrap_or(Path::new("/")))?;
        let machine = machine_memory(&config.proc_root);
        Ok(Self {
            only,
            machine,
            counter_files: CounterFiles::new(config.hierarchy.version, machine),
            reader: Reader::new(descriptors),
            processes: ProcessReader::new(config.proc_root, config.clock),
            index: Arc::new(CgroupIndex::new(config.hierarchy.clone())),
            hierarchy: config.hierarchy,
            watched: HashMap::new(),
            exclude: Exclude::default(),
            round: 0,
        })
    }

    /// From the next round on, what these rules say is not watched: what was is told to be gone.
    pub fn exclude(&mut self, rules: &Exclude) {
        if self.exclude != *rules {
            self.exclude = rules.clone();
        }
    }

    /// Cgroups by inode, kept current by every round.
    pub fn index(&self) -> Arc<CgroupIndex> {
        Arc::clone(&self.index)
    }

    /// One round: what appeared, what vanished, a sample of each target, what was lost.
    pub fn round(&mut self, now: Timestamp) -> Vec<Input> {
        let walk = CgroupWalk::run(&self.hierarchy, &self.only, now);
        self.index.update(&walk, now);
        self.round += 1;
        let mut inputs = Vec::with_capacity(walk.directories.len());
        self.find(&walk, now, &mut inputs);

        let mut round = Round::new(now, &mut self.reader, &mut self.processes, self.machine, &self.exclude);
        let mut limits = Limits::of(&walk);
        for (index, directory) in walk.directories.iter().enumerate() {
            let Some(watched) = self.watched.get_mut(&directory.key.inode) else {
                limits.unknown();
                continue;
            };
            let own = watched.files.limit(round.reader, round.machine);
            watched.limit = limits.tightest(index, own, || watched.files.unreclaimable(round.reader));
            watched.holder = limits.holder(index);
            if directory.watched {
                watched.sample(&mut round, &mut inputs);
            }
        }
        let losses = round.losses();
        inputs.extend(walk.losses.into_iter().chain(losses).map(Input::Loss));
        inputs
    }

    /// Samples some known targets between two rounds: no walk, the limit as the last round found it.
    pub fn round_of(&mut self, targets: &BTreeSet<TargetId>, now: Timestamp) -> Vec<Input> {
        let mut inputs = Vec::new();
        let mut round = Round::new(now, &mut self.reader, &mut self.processes, self.machine, &self.exclude);
        for watched in self.watched.values_mut() {
            if watched.id().is_some_and(|id| targets.contains(&id)) {
                watched.sample(&mut round, &mut inputs);
            }
        }
        let losses = round.losses();
        inputs.extend(losses.into_iter().map(Input::Loss));
        inputs
    }

    /// Of each directory of a walk whether it, or one that it is in, is excluded; empty where nothing is.
    fn excluded(&self, walk: &CgroupWalk) -> Vec<bool> {
        let mut excluded: Vec<bool> = Vec::new();
        if self.exclude.is_empty() {
            return excluded;
        }
        for directory in &walk.directories {
            let parent = directory.parent.and_then(|parent| excluded.get(parent).copied());
            excluded.push(parent.unwrap_or(false) || self.exclude.has_path(&directory.key.path));
        }
        excluded
    }

    /// Starts to watch what a walk found and forgets what is gone.
    fn find(&mut self, walk: &CgroupWalk, now: Timestamp, inputs: &mut Vec<Input>) {
        let mut new: Vec<&Directory> = Vec::new();
        let excluded = self.excluded(walk);
        for (index, directory) in walk.directories.iter().enumerate() {
            if excluded.get(index) == Some(&true) {
                continue;
            }
            match self.watched.get_mut(&directory.key.inode) {
                Some(watched) if watched.is(directory) => watched.round = self.round,
                _ => new.push(directory),
            }
        }
        // A walk that had to leave something out proves no absence.
        let complete = walk.losses.is_empty();
        let (round, exclude) = (self.round, &self.exclude);
        self.watched.retain(|inode, watched| {
            let unseen = || !complete && !exclude.covers(watched.path()) && exists(watched.files.directory(), *inode);
            if watched.round == round || unseen() {
                return true;
            }
            if let Some(target) = watched.id() {
                inputs.push(Input::TargetGone { at: now, target });
            }
            false
        });
        for directory in new {
            let mut watched = Watched::new(
                self.hierarchy.version,
                directory.clone(),
                Arc::clone(&self.counter_files),
            );
            watched.round = round;
            self.watched.insert(directory.key.inode, watched);
        }
    }
}

fn exists(directory: &Path, inode: u64) -> bool {
    std::fs::metadata(directory).is_ok_and(|metadata| metadata.ino() == inode)
}

/// `MemTotal`: where cgroup v1 shows a limit at or above it, there is none.
fn machine_memory(proc_root: &Path) -> Option<Bytes> {
    match procfs::Meminfo::from_file(proc_root.join("meminfo")) {
        Ok(info) => Some(Bytes(info.mem_total)),
        Err(error) => {
            tracing::warn!(%error, "the memory of the machine is not known: limits of cgroup v1 above it count as limits");
            None
        }
    }
}

#[cfg(test)]
mod tests;
