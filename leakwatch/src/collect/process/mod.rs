//! The processes of one target: who they are, which program they run, how much memory they hold.
//!
//! Each process is held by a descriptor of its `/proc/PID` directory. The kernel binds that to the process, not to the
//! number: once the process is gone nothing can be read through it, so a reused pid is noticed and never mixed up.
//! Without a descriptor to spare, the directory is opened again and the start time compared.
//!
//! Kernel threads hold no memory of their own and are left out.

mod executable;
mod managed;

use super::file::FileError;
use super::file::Kept;
use super::file::Reader;
use super::file::open_directory;
use super::parse;
use crate::clock::Clock;
use crate::identity::program::interpreted;
use crate::identity::service::Candidate;
use crate::identity::service::Program;
use executable::ExecutableId;
use executable::Executables;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::runtime::Runtime;
use leakwatch_analysis::model::sample::ProcessMemory;
use leakwatch_analysis::model::sample::ProcessSample;
use leakwatch_analysis::model::target::Process;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::units::Bytes;
use procfs::FromRead as _;
use procfs::process::Stat;
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// `PF_KTHREAD` of `/proc/PID/stat` field 9 (include/linux/sched.h).
const KERNEL_THREAD: u32 = 0x0020_0000;

/// How processes are read, the same for every target.
#[derive(Debug)]
pub(super) struct ProcessReader {
    proc_root: PathBuf,
    clock: Clock,
    ticks_per_second: u64,
    executables: Executables,
}

/// Work of one round on processes that are new or run another program. What is beyond it waits for the next round, so
/// that a fork storm does not stall the samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Processes tracked at most, over all targets.
    pub(super) tracked: usize,
    /// Lookups of an executable (two system calls).
    pub(super) lookups: usize,
    /// Executables opened and searched for build info.
    pub(super) reads: usize,
    /// Processes whose identification had to wait.
    pub(super) postponed: u64,
    /// Processes not tracked at all.
    pub(super) untracked: u64,
    /// Processes that could not be identified because `/proc` does not show them.
    pub(super) unreadable: u64,
}

/// How much of a known process is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refresh {
    /// Nothing: the cgroup's charge did not move.
    Nothing,
    /// Its memory and name.
    Memory,
    /// The same, and whether it still runs the same executable.
    Everything,
}

/// The processes of one target, by pid.
#[derive(Debug, Default)]
pub(super) struct Processes {
    entries: BTreeMap<u32, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Shared with all samples and histories.
    process: Arc<Process>,
    directory: Option<Kept>,
    kernel_thread: bool,
    /// `Name` of `/proc/PID/status` when the program was looked up.
    name: Vec<u8>,
    executable: Option<ExecutableId>,
    /// Its executable runs programs; which one is in `process`.
    interpreter: bool,
    identified: bool,
    announced: bool,
    memory: Reading<ProcessMemory>,
}

impl Processes {
    /// Takes over the processes listed now. `pids` is in ascending order.
    pub(super) fn update(
        &mut self,
        pids: &[u32],
        refresh: Refresh,
        budget: &mut Budget,
        processes: &mut ProcessReader,
        reader: &mut Reader,
    ) {
        self.entries.retain(|pid, _| pids.binary_search(pid).is_ok());
        for &pid in pids {
            let known = match self.entries.get_mut(&pid) {
                Some(entry) => entry.refresh(refresh, processes, reader),
                None => false,
            };
            if !known {
                self.entries.remove(&pid);
                if budget.tracked == 0 {
                    budget.untracked += 1;
                    continue;
                }
                match Entry::new(pid, processes, reader) {
                    Ok(Some(entry)) => {
                        self.entries.insert(pid, entry);
                    }
                    Ok(None) => {}
                    Err(error) => {
                        tracing::debug!(%error, "a process is not identified");
                        budget.unreadable += 1;
                        continue;
                    }
                }
            }
            if let Some(entry) = self.entries.get_mut(&pid) {
                budget.tracked = budget.tracked.saturating_sub(1);
                entry.identify(budget, processes, reader);
            }
        }
    }

    /// No process but kernel threads.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.values().all(|entry| entry.kernel_thread)
    }

    /// Numbers of all.
    pub(super) fn samples(&self) -> Vec<ProcessSample> {
        self.user_space()
            .map(|entry| ProcessSample {
                key: entry.process.key,
                memory: entry.memory.clone(),
            })
            .collect()
    }

    /// Those not announced yet, or changed since: each once.
    pub(super) fn announcements(&mut self) -> Vec<Arc<Process>> {
        self.entries
            .values_mut()
            .filter(|entry| !entry.kernel_thread && !entry.announced)
            .map(|entry| {
                entry.announced = true;
                Arc::clone(&entry.process)
            })
            .collect()
    }

    /// Nothing about them is to be announced.
    pub(super) fn all_announced(&self) -> bool {
        self.user_space().all(|entry| entry.announced)
    }

    /// All are to be announced again.
    pub(super) fn forget_announcements(&mut self) {
        for entry in self.entries.values_mut() {
            entry.announced = false;
        }
    }

    /// For the choice of the main process.
    pub(super) fn candidates(&self) -> impl Iterator<Item = Candidate<'_>> + Clone {
        self.user_space().filter_map(|entry| {
            Some(Candidate {
                start_ticks: entry.process.key.start_ticks,
                pid: entry.process.key.pid,
                exe: entry.process.exe.as_deref().ok()?,
                program: if entry.interpreter {
                    Program::Interpreted(entry.process.program.as_deref())
                } else {
                    Program::Executable
                },
            })
        })
    }

    fn user_space(&self) -> impl Iterator<Item = &Entry> + Clone {
        self.entries.values().filter(|entry| !entry.kernel_thread)
    }
}

impl Entry {
    /// `None` if the process is gone already.
    fn new(pid: u32, processes: &ProcessReader, reader: &mut Reader) -> Result<Option<Self>, FileError> {
        let path = processes.path(pid);
        let opened = open_directory(&path).and_then(|directory| {
            let stat = Stat::from_read(reader.read(&directory, "stat")?);
            Ok((directory, stat))
        });
        let (directory, stat) = match opened {
            Ok((directory, Ok(stat))) => (directory, stat),
            Ok((_, Err(_))) => {
                return Err(FileError::Malformed {
                    path: path.join("stat"),
                    expected: "the fields of proc_pid_stat(5)",
                });
            }
            Err(source) => {
                let error = FileError::Read { path, source };
                return if error.is_gone() { Ok(None) } else { Err(error) };
            }
        };
        let mut entry = Self {
            process: Arc::new(Process {
                key: ProcessKey {
                    pid,
                    start_ticks: stat.starttime,
                },
                started_at: processes.started_at(stat.starttime),
                comm: stat.comm,
                exe: Err(not_yet()),
                program: None,
                runtime: Err(not_yet()),
            }),
            directory: None,
            kernel_thread: stat.flags & KERNEL_THREAD != 0,
            name: Vec::new(),
            executable: None,
            interpreter: false,
            identified: false,
            announced: false,
            memory: Err(not_yet()),
        };
        if entry.kernel_thread {
            entry.identified = true;
            return Ok(Some(entry));
        }
        if !entry.read_memory(directory.as_fd(), reader) {
            return Ok(None);
        }
        entry.directory = reader.descriptors().keep(directory).ok();
        Ok(Some(entry))
    }

    /// False if the process is gone, whether its pid was reused or not.
    fn refresh(&mut self, refresh: Refresh, processes: &ProcessReader, reader: &mut Reader) -> bool {
        if refresh == Refresh::Nothing || self.kernel_thread {
            return true;
        }
        let kept = self.directory.take();
        let opened = match &kept {
            Some(_) => None,
            None => match self.reopen(processes, reader) {
                Some(directory) => Some(directory),
                None => return false,
            },
        };
        let alive = match (&kept, &opened) {
            (Some(kept), _) => self.refresh_through(kept.as_fd(), refresh, reader),
            (None, Some(opened)) => self.refresh_through(opened.as_fd(), refresh, reader),
            (None, None) => false,
        };
        self.directory = kept;
        alive
    }

    fn refresh_through(&mut self, directory: BorrowedFd<'_>, refresh: Refresh, reader: &mut Reader) -> bool {
        if !self.read_memory(directory, reader) {
            return false;
        }
        if refresh == Refresh::Everything && Executables::id(directory).ok() != self.executable {
            self.identified = false;
        }
        true
    }

    /// The directory of the same process, if it still exists.
    fn reopen(&self, processes: &ProcessReader, reader: &mut Reader) -> Option<OwnedFd> {
        let directory = open_directory(&processes.path(self.process.key.pid)).ok()?;
        let stat = Stat::from_read(reader.read(&directory, "stat").ok()?).ok()?;
        (stat.starttime == self.process.key.start_ticks).then_some(directory)
    }

    /// Reads the memory and notices another name: a program that was replaced by `exec`. False if the process is gone.
    fn read_memory(&mut self, directory: BorrowedFd<'_>, reader: &mut Reader) -> bool {
        let path = || Path::new("/proc").join(self.process.key.pid.to_string()).join("status");
        let text = match reader.read(directory, "status") {
            Ok(text) => text,
            Err(source) => {
                let error = FileError::Read { path: path(), source };
                let gone = error.is_gone();
                self.memory = Err(error.missing());
                return !gone;
            }
        };
        let Some(status) = parse::status(text) else {
            let error = FileError::Malformed {
                path: path(),
                expected: "Name and sizes in kB",
            };
            self.memory = Err(error.missing());
            return true;
        };
        self.memory = memory(&status);
        if self.name != status.name {
            self.identified = false;
            status.name.clone_into(&mut self.name);
        }
        true
    }

    /// Looks up the program, as far as the budget goes.
    fn identify(&mut self, budget: &mut Budget, processes: &mut ProcessReader, reader: &mut Reader) {
        if self.identified {
            return;
        }
        let path = processes.path(self.process.key.pid);
        let opened;
        let directory = match &self.directory {
            Some(kept) => kept.as_fd(),
            None => match open_directory(&path) {
                Ok(directory) => {
                    opened = directory;
                    opened.as_fd()
                }
                Err(source) => {
                    let missing = FileError::Read { path, source }.missing();
                    let process = Arc::make_mut(&mut self.process);
                    process.exe = Err(missing.clone());
                    process.runtime = Err(missing);
                    return;
                }
            },
        };
        if budget.lookups == 0 {
            budget.postponed += 1;
            return;
        }
        budget.lookups -= 1;
        let exe = Executables::path(directory, &path);
        let id = Executables::id(directory);
        let runtime = match (&exe, id) {
            (Ok(exe), Ok(id)) => match processes.executables.known(id) {
                Some(runtime) => runtime,
                None if budget.reads == 0 => {
                    budget.postponed += 1;
                    return;
                }
                None => {
                    budget.reads -= 1;
                    processes.executables.read(id, directory, exe)
                }
            },
            (Ok(exe), Err(source)) => Err(executable::missing(exe, source)),
            (Err(missing), _) => Err(missing.clone()),
        };
        // A command line that cannot be read names nothing; the executable is still known.
        let interpreted = exe.as_ref().ok().and_then(|exe| {
            let line = reader.read(directory, "cmdline").unwrap_or_default();
            interpreted(exe, line)
        });
        self.interpreter = interpreted.is_some();
        let (program, mut managed) = interpreted.map_or((None, None), |found| (found.program, found.runtime));
        if let (Some(managed), Ok(exe)) = (&mut managed, &exe) {
            managed::learn(managed, directory, &path, exe, reader);
        }
        let runtime = match (runtime, managed) {
            (Ok(Runtime::Native), Some(managed)) => Ok(Runtime::Managed(managed)),
            (runtime, _) => runtime,
        };
        let comm = unescape(&self.name);
        self.executable = id.ok();
        self.identified = true;
        if self.process.exe != exe
            || self.process.program != program
            || self.process.runtime != runtime
            || self.process.comm != comm
        {
            let process = Arc::make_mut(&mut self.process);
            process.exe = exe;
            process.program = program;
            process.runtime = runtime;
            process.comm = comm;
            self.announced = false;
        }
    }
}

impl ProcessReader {
    pub(super) fn new(proc_root: PathBuf, clock: Clock) -> Self {
        Self {
            proc_root,
            clock,
            ticks_per_second: procfs::ticks_per_second(),
            executables: Executables::default(),
        }
    }

    /// What the machine has left: free, or to be reclaimed (`MemAvailable`).
    pub(super) fn available(&self) -> Option<Bytes> {
        let info = procfs::Meminfo::from_file(self.proc_root.join("meminfo")).ok()?;
        info.mem_available.map(Bytes)
    }

    fn path(&self, pid: u32) -> PathBuf {
        self.proc_root.join(pid.to_string())
    }

    fn started_at(&self, start_ticks: u64) -> leakwatch_analysis::model::units::Timestamp {
        let per_tick = 1_000_000_000 / self.ticks_per_second.max(1);
        self.clock.from_boot_nanos(start_ticks.saturating_mul(per_tick))
    }
}

fn memory(status: &parse::Status<'_>) -> Reading<ProcessMemory> {
    let Some(rss) = status.rss else {
        return Err(Missing::new(
            MissingReason::Gone,
            "the process has exited and waits for its parent, or gives up its memory now",
        ));
    };
    let (Some(anon), Some(file), Some(shmem)) = (status.anon, status.file, status.shmem) else {
        return Err(Missing::new(
            MissingReason::Unsupported,
            "/proc/PID/status does not split the resident memory before Linux 4.5",
        ));
    };
    Ok(ProcessMemory {
        rss,
        anon,
        file,
        shmem,
        // Absent where the kernel has no swap support: then nothing can be swapped out.
        swap: status.swap.unwrap_or(Bytes(0)),
    })
}

fn not_yet() -> Missing {
    Missing::new(MissingReason::NotYet, "the process is new and waits for its turn")
}

/// `Name` of `/proc/PID/status` as `/proc/PID/comm` has it: the kernel escapes line feed and backslash there.
fn unescape(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let parts: Vec<String> = text.split("\\\\").map(|part| part.replace("\\n", "\n")).collect();
    parts.join("\\")
}
