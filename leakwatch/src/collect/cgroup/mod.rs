//! The memory numbers of one cgroup, from cgroup v1 or v2 files, over descriptors that stay open.
//!
//! Reads only. Which files exist depends on the kernel, on the version and on `cgroup.subtree_control`: a file that is
//! not there is a missing value with a reason.

mod counters;

pub(super) use counters::CounterFiles;

use super::file::ControlFile;
use super::file::FileError;
use super::file::Reader;
use super::parse;
use crate::identity::cgroup::Version;
use counters::Cadence;
use counters::CounterFile;
use leakwatch_analysis::model::counter::Counters;
use leakwatch_analysis::model::counter::CountersBuilder;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::sample::CgroupMemory;
use leakwatch_analysis::model::sample::Limit;
use leakwatch_analysis::model::units::Bytes;
use rustix::fs::CWD;
use rustix::io::Errno;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// The files of one cgroup. Hot ones are kept open, the others are opened when they are needed.
#[derive(Debug)]
pub(super) struct CgroupFiles {
    version: Version,
    directory: PathBuf,
    charge: ControlFile,
    limit: ControlFile,
    processes: ControlFile,
    stat: ControlFile,
    counter_files: Arc<CounterFiles>,
}

impl CgroupFiles {
    pub(super) fn new(version: Version, directory: &Path, counter_files: Arc<CounterFiles>) -> Self {
        let (charge, limit) = match version {
            Version::V1 => ("memory.usage_in_bytes", "memory.limit_in_bytes"),
            Version::V2 => ("memory.current", "memory.max"),
        };
        Self {
            version,
            directory: directory.to_owned(),
            charge: ControlFile::new(charge),
            limit: ControlFile::new(limit),
            processes: match version {
                // The kernel sorts the list once per open file and goes on serving that copy until it was left alone for
                // a second (`CGROUP_PIDLIST_DESTROY_DELAY`, kernel/cgroup/cgroup-v1.c): read every second, it never ages.
                Version::V1 => ControlFile::reopened("cgroup.procs"),
                Version::V2 => ControlFile::new("cgroup.procs"),
            },
            stat: ControlFile::new("memory.stat"),
            counter_files,
        }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// v2 `memory.current`, v1 `memory.usage_in_bytes`.
    pub(super) fn charge(&mut self, reader: &mut Reader) -> Reading<Bytes> {
        match self.charge.read(&self.directory, reader) {
            Ok(text) => parse::number(text)
                .map(Bytes)
                .ok_or_else(|| self.charge.malformed(&self.directory, "one number").missing()),
            Err(error) if error.is_gone() && self.processes.exists(&self.directory) => Err(self.no_controller()),
            Err(error) => Err(error.missing()),
        }
    }

    /// The cgroup is there but has no memory files.
    fn no_controller(&self) -> Missing {
        Missing::new(
            MissingReason::Unsupported,
            format!("{} has no memory files", self.directory.display()),
        )
        .with_fix("the root cgroup has none; elsewhere set MemoryAccounting=yes, or write +memory to the parent's cgroup.subtree_control")
    }

    /// The cgroup's own limit. A cgroup without the file (the v2 root) has none.
    pub(super) fn limit(&mut self, reader: &mut Reader, machine: Option<Bytes>) -> Reading<Limit> {
        match self.limit.read(&self.directory, reader) {
            Ok(text) => match self.version {
                Version::V1 => parse::number(text).map(|bytes| parse::limit_v1(bytes, machine)),
                Version::V2 => parse::limit_v2(text),
            }
            .ok_or_else(|| self.limit.malformed(&self.directory, "one number or max").missing()),
            Err(error) if error.is_gone() => Ok(Limit::Max),
            Err(error) => Err(error.missing()),
        }
    }

    /// What cannot be reclaimed of all that is charged to the cgroup and to those below it.
    pub(super) fn unreclaimable(&mut self, reader: &mut Reader) -> Option<Bytes> {
        let charge = self.charge(reader).ok()?;
        let none = CountersBuilder::new(Some(self.version)).build();
        let memory = CgroupMemory {
            charge,
            limit: Limit::Max,
            counters: self.counters(reader, &none),
        };
        memory.unreclaimable().ok()
    }

    /// Fills `pids` with the processes that are directly in the cgroup, in ascending order.
    pub(super) fn pids(&mut self, reader: &mut Reader, pids: &mut Vec<u32>) -> Result<(), FileError> {
        pids.clear();
        let text = match self.processes.read(&self.directory, reader) {
            Ok(text) => text,
            // A threaded cgroup: its processes are listed at the root of the threaded subtree.
            Err(FileError::Read {
                source: Errno::OPNOTSUPP,
                ..
            }) => return Ok(()),
            Err(error) => return Err(error),
        };
        parse::pids(text, pids).ok_or_else(|| self.processes.malformed(&self.directory, "one process id per line"))?;
        pids.sort_unstable();
        pids.dedup();
        Ok(())
    }

    /// What moves with the charge, and what is read seldom as it was.
    pub(super) fn counters(&mut self, reader: &mut Reader, seldom: &Counters) -> Counters {
        let mut found = CountersBuilder::new(Some(self.version));
        found.extend(seldom);
        let files = Arc::clone(&self.counter_files);
        let read = self.stat.read(&self.directory, reader).and_then(|text| {
            let parsed = files.parse(&files.stat, text, &mut found);
            parsed.ok_or_else(|| self.stat.malformed(&self.directory, files.stat.expected()))
        });
        if let Err(error) = read {
            found.fail(files.stat.name, error.missing());
        }
        self.read_all(Cadence::Moved, reader, &mut found);
        found.build()
    }

    /// What is read seldom.
    pub(super) fn seldom_counters(&self, reader: &mut Reader) -> Counters {
        let mut found = CountersBuilder::new(Some(self.version));
        self.read_all(Cadence::Seldom, reader, &mut found);
        found.build()
    }

    fn read_all(&self, cadence: Cadence, reader: &mut Reader, found: &mut CountersBuilder) {
        for file in self.counter_files.others.iter().filter(|file| file.cadence == cadence) {
            let is_there = self.read_one(file, reader, found);
            // Before Linux 5.2 there is only the file that counts descendants in.
            if !is_there
                && file.name == "memory.events.local"
                && let Some(events) = self.counter_files.named("memory.events")
            {
                self.read_one(events, reader, found);
            }
        }
    }

    /// Reads a file that is not kept open; false if this kernel has none, which its counters say by themselves.
    fn read_one(&self, file: &CounterFile, reader: &mut Reader, found: &mut CountersBuilder) -> bool {
        let path = self.directory.join(file.name);
        let error = match reader.read(CWD, &path) {
            Ok(text) => match self.counter_files.parse(file, text, found) {
                Some(()) => return true,
                None => FileError::Malformed {
                    path,
                    expected: file.expected(),
                },
            },
            Err(Errno::NOENT) => return false,
            Err(source) => FileError::Read { path, source },
        };
        found.fail(file.name, error.missing());
        true
    }
}

#[cfg(test)]
mod tests;
