//! Memory cgroups of our own, on v1 and v2, with the processes in them killed and the directories removed at the end.

use crate::wait::wait_regardless;
use anyhow::Context as _;
use anyhow::Result;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

/// Which files a cgroup has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy for the memory controller alone.
    V1,
    /// The unified hierarchy.
    V2,
}

/// The hierarchy that has the memory controller on this host: its mount point and version.
pub fn memory_hierarchy() -> Result<(PathBuf, Version)> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts")?;
    let mut unified = None;
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(point), Some(kind), Some(options)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        if kind == "cgroup" && options.split(',').any(|option| option == "memory") {
            return Ok((PathBuf::from(point), Version::V1));
        }
        if kind == "cgroup2" {
            unified = Some(PathBuf::from(point));
        }
    }
    let point = unified.context("no cgroup hierarchy is mounted")?;
    let controllers = fs::read_to_string(point.join("cgroup.controllers"))?;
    anyhow::ensure!(
        controllers.split_whitespace().any(|name| name == "memory"),
        "{} has no memory controller",
        point.display()
    );
    Ok((point, Version::V2))
}

/// A memory cgroup that we made. Dropping it kills what is in it and below it, and removes both.
#[derive(Debug)]
pub struct Cgroup {
    path: String,
    directory: PathBuf,
    version: Version,
}

impl Cgroup {
    /// Creates `/leakwatch-NAME-PID` below the root.
    pub fn create(name: &str) -> Result<Self> {
        let (root, version) = memory_hierarchy()?;
        if version == Version::V2 {
            fs::write(root.join("cgroup.subtree_control"), "+memory").context("enable the memory controller")?;
        }
        Self::make(&root, &format!("/leakwatch-{name}-{}", std::process::id()), version)
    }

    /// Creates a cgroup below this one, with a limit in bytes.
    pub fn child(&self, name: &str, limit: Option<u64>) -> Result<Self> {
        if self.version == Version::V2 {
            fs::write(self.directory.join("cgroup.subtree_control"), "+memory")?;
        }
        let (root, version) = memory_hierarchy()?;
        let child = Self::make(&root, &format!("{}/{name}", self.path), version)?;
        if let Some(limit) = limit {
            child.set_limit(limit)?;
        }
        Ok(child)
    }

    fn make(root: &Path, path: &str, version: Version) -> Result<Self> {
        let directory = root.join(path.trim_start_matches('/'));
        fs::create_dir(&directory).with_context(|| format!("create {}", directory.display()))?;
        Ok(Self {
            path: path.to_owned(),
            directory,
            version,
        })
    }

    /// Sets the memory limit, without swap beside it.
    pub fn set_limit(&self, bytes: u64) -> Result<()> {
        let (limit, swap, swap_value) = match self.version {
            Version::V1 => ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", bytes),
            Version::V2 => ("memory.max", "memory.swap.max", 0),
        };
        let mut steps = vec![(limit, bytes)];
        // Without swap accounting the file is absent, and so is the swap.
        if self.directory.join(swap).exists() {
            steps.push((swap, swap_value));
        }
        let before = fs::read_to_string(self.directory.join(limit))?;
        if before.trim().parse().is_ok_and(|before: u64| before < bytes) {
            // On v1 memory with swap may never be less than memory: what is raised begins with it.
            steps.reverse();
        }
        for (file, value) in steps {
            fs::write(self.directory.join(file), value.to_string())
                .with_context(|| format!("{file} of {}", self.path))?;
        }
        Ok(())
    }

    /// Path below the hierarchy's root, as the API shows it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Directory in the file system.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Memory charged now, in bytes, as the kernel says.
    pub fn charge(&self) -> Result<u64> {
        let file = match self.version {
            Version::V1 => "memory.usage_in_bytes",
            Version::V2 => "memory.current",
        };
        let text = fs::read_to_string(self.directory.join(file))?;
        text.trim().parse().with_context(|| format!("{file} of {}", self.path))
    }

    /// The kernel's own count of OOM kills in this cgroup.
    pub fn oom_kills(&self) -> Result<u64> {
        let file = match self.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events.local",
        };
        let text = fs::read_to_string(self.directory.join(file))?;
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count
            .and_then(|count| count.parse().ok())
            .with_context(|| format!("{file} of {} has no oom_kill", self.path))
    }

    /// Processes in it.
    pub fn pids(&self) -> Vec<u32> {
        pids(&self.directory)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = remove_subtree(&self.directory) {
            report(&error);
        }
    }
}

/// Kills every process in a cgroup and below it, and removes the directories. For cgroups that were made for a test.
pub fn remove_subtree(directory: &Path) -> Result<()> {
    let what = format!("{} to become empty and go away", directory.display());
    wait_regardless(&what, Duration::from_secs(10), || {
        Ok(try_remove(directory).then_some(()))
    })
}

/// True once it is gone.
fn try_remove(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else {
        return !directory.exists();
    };
    for pid in pids(directory) {
        kill(pid);
    }
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            try_remove(&entry.path());
        }
    }
    fs::remove_dir(directory).is_ok()
}

fn pids(directory: &Path) -> Vec<u32> {
    let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Kills a process that a test started; one that is gone already is fine.
fn kill(pid: u32) {
    let target = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(Err(error)) = target.map(|pid| kill_process(pid, Signal::KILL))
        && error != rustix::io::Errno::SRCH
    {
        report(&anyhow::Error::new(error).context(format!("kill {pid}")));
    }
}

#[expect(clippy::print_stderr, reason = "a guard can only tell the person who runs the test")]
fn report(error: &anyhow::Error) {
    eprintln!("cleaning up: {error:#}");
}
