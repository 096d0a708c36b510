//! The memory numbers of one cgroup, from cgroup v1 or v2 files, over descriptors that stay open.
//!
//! Reads only. Which files exist depends on the kernel, on the version and on `cgroup.subtree_control`: a file that is
//! not there is a missing value with a reason.

use super::file::ControlFile;
use super::file::FileError;
use super::file::Reader;
use super::parse;
use crate::identity::cgroup::Version;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::sample::Limit;
use leakwatch_analysis::model::sample::MemoryEvents;
use leakwatch_analysis::model::sample::MemoryStat;
use leakwatch_analysis::model::units::Bytes;
use rustix::fs::CWD;
use std::path::Path;
use std::path::PathBuf;

/// The files of one cgroup. Hot ones are kept open, the others are opened when they are needed.
#[derive(Debug)]
pub(super) struct CgroupFiles {
    version: Version,
    directory: PathBuf,
    charge: ControlFile,
    limit: ControlFile,
    processes: ControlFile,
    stat: ControlFile,
}

/// `memory.stat` and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) memory: MemoryStat,
    pub(super) swap: Reading<Bytes>,
    /// v1 `hierarchical_memory_limit`: counts ancestors that are not visible from a container.
    pub(super) hierarchical_limit: Limit,
}

impl CgroupFiles {
    pub(super) fn new(version: Version, directory: &Path) -> Self {
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

    /// Fills `pids` with the processes that are directly in the cgroup, in ascending order.
    pub(super) fn pids(&mut self, reader: &mut Reader, pids: &mut Vec<u32>) -> Result<(), FileError> {
        pids.clear();
        let text = match self.processes.read(&self.directory, reader) {
            Ok(text) => text,
            // A threaded cgroup: its processes are listed at the root of the threaded subtree.
            Err(FileError::Read {
                source: rustix::io::Errno::OPNOTSUPP,
                ..
            }) => return Ok(()),
            Err(error) => return Err(error),
        };
        parse::pids(text, pids).ok_or_else(|| self.processes.malformed(&self.directory, "one process id per line"))?;
        pids.sort_unstable();
        pids.dedup();
        Ok(())
    }

    /// `memory.stat` and swap.
    pub(super) fn stat(&mut self, reader: &mut Reader, machine: Option<Bytes>) -> Reading<Stat> {
        match self.version {
            Version::V1 => self.stat_v1(reader, machine),
            Version::V2 => self.stat_v2(reader),
        }
    }

    fn stat_v1(&mut self, reader: &mut Reader, machine: Option<Bytes>) -> Reading<Stat> {
        let malformed = self.stat.malformed(&self.directory, "lines of a key and a number");
        let text = self
            .stat
            .read(&self.directory, reader)
            .map_err(|error| error.missing())?;
        let [anon, file, shmem, active_file, inactive_file, swap, limit] = parse::flat_keyed(
            text,
            [
                "total_rss",
                "total_cache",
                "total_shmem",
                "total_active_file",
                "total_inactive_file",
                "total_swap",
                "hierarchical_memory_limit",
            ],
        )
        .ok_or_else(|| malformed.missing())?;
        let (Some(anon), Some(file), Some(active_file), Some(inactive_file)) = (anon, file, active_file, inactive_file)
        else {
            return Err(malformed.missing());
        };
        let kernel = self.number("memory.kmem.usage_in_bytes", reader).unwrap_or_default();
        Ok(Stat {
            memory: MemoryStat {
                anon: Bytes(anon),
                file: Bytes(file),
                shmem: Bytes(shmem.unwrap_or(0)),
                active_file: Bytes(active_file),
                inactive_file: Bytes(inactive_file),
                kernel,
                slab_reclaimable: Bytes(0),
            },
            swap: swap.map(Bytes).ok_or_else(|| self.no_swap()),
            hierarchical_limit: limit.map_or(Limit::Max, |bytes| parse::limit_v1(bytes, machine)),
        })
    }

    fn stat_v2(&mut self, reader: &mut Reader) -> Reading<Stat> {
        let malformed = self.stat.malformed(&self.directory, "lines of a key and a number");
        let text = self
            .stat
            .read(&self.directory, reader)
            .map_err(|error| error.missing())?;
        let [anon, file, shmem, active_file, inactive_file, kernel, slab_reclaimable] = parse::flat_keyed(
            text,
            [
                "anon",
                "file",
                "shmem",
                "active_file",
                "inactive_file",
                "kernel",
                "slab_reclaimable",
            ],
        )
        .ok_or_else(|| malformed.missing())?;
        let parts = parse::flat_keyed(
            text,
            [
                "kernel_stack",
                "pagetables",
                "sec_pagetables",
                "percpu",
                "vmalloc",
                "slab",
            ],
        )
        .ok_or_else(|| malformed.missing())?;
        let (Some(anon), Some(file), Some(active_file), Some(inactive_file)) = (anon, file, active_file, inactive_file)
        else {
            return Err(malformed.missing());
        };
        // Before Linux 5.18 the total has to be made of its parts.
        let kernel = kernel.unwrap_or_else(|| parts.iter().flatten().fold(0, |sum, part| sum.saturating_add(*part)));
        Ok(Stat {
            memory: MemoryStat {
                anon: Bytes(anon),
                file: Bytes(file),
                shmem: Bytes(shmem.unwrap_or(0)),
                active_file: Bytes(active_file),
                inactive_file: Bytes(inactive_file),
                kernel: Bytes(kernel),
                slab_reclaimable: Bytes(slab_reclaimable.unwrap_or(0)),
            },
            swap: self
                .number("memory.swap.current", reader)
                .map_err(|missing| match missing.reason {
                    MissingReason::Gone => self.no_swap(),
                    _ => missing,
                }),
            hierarchical_limit: Limit::Max,
        })
    }

    fn no_swap(&self) -> Missing {
        Missing::new(
            MissingReason::Unsupported,
            format!("swap is not accounted for {}", self.directory.display()),
        )
        .with_fix("boot with swapaccount=1")
    }

    /// OOM kills and limit hits of this very cgroup, not of its descendants where the kernel tells them apart (5.2+).
    pub(super) fn events(&mut self, reader: &mut Reader) -> Reading<MemoryEvents> {
        match self.version {
            Version::V1 => {
                let [oom_kill] = self.keyed("memory.oom_control", reader, ["oom_kill"])?;
                let oom_kill = oom_kill.ok_or_else(|| {
                    Missing::new(
                        MissingReason::Unsupported,
                        "memory.oom_control counts no kills before Linux 4.13",
                    )
                })?;
                // Where both limits are the same, the one on memory and swap is hit first and the other never.
                let memory = self.number("memory.failcnt", reader)?.0;
                let swap = match self.number("memory.memsw.failcnt", reader) {
                    Err(missing) if missing.reason == MissingReason::Gone => 0,
                    swap => swap?.0,
                };
                Ok(MemoryEvents {
                    oom_kill,
                    max: memory.saturating_add(swap),
                })
            }
            Version::V2 => {
                let keys = ["oom_kill", "max", "high"];
                let values = match self.keyed("memory.events.local", reader, keys) {
                    Err(missing) if missing.reason == MissingReason::Gone => {
                        self.keyed("memory.events", reader, keys)?
                    }
                    values => values?,
                };
                match values {
                    [Some(oom_kill), Some(max), high] => Ok(MemoryEvents {
                        oom_kill,
                        max: max.saturating_add(high.unwrap_or(0)),
                    }),
                    _ => Err(ControlFile::new("memory.events")
                        .malformed(&self.directory, "lines oom_kill and max")
                        .missing()),
                }
            }
        }
    }

    /// A file that is read seldom.
    fn number(&self, name: &'static str, reader: &mut Reader) -> Reading<Bytes> {
        let text = self.once(name, reader)?;
        parse::number(text).map(Bytes).ok_or_else(|| {
            ControlFile::new(name)
                .malformed(&self.directory, "one number")
                .missing()
        })
    }

    fn keyed<const N: usize>(
        &self,
        name: &'static str,
        reader: &mut Reader,
        keys: [&str; N],
    ) -> Reading<[Option<u64>; N]> {
        let text = self.once(name, reader)?;
        parse::flat_keyed(text, keys).ok_or_else(|| {
            ControlFile::new(name)
                .malformed(&self.directory, "lines of a key and a number")
                .missing()
        })
    }

    fn once<'b>(&self, name: &str, reader: &'b mut Reader) -> Reading<&'b [u8]> {
        let path = self.directory.join(name);
        reader
            .read(CWD, &path)
            .map_err(|source| FileError::Read { path, source }.missing())
    }
}
