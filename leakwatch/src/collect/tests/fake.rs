//! A fake machine: a cgroup tree and a `/proc` of plain files in a temporary directory.

use super::super::CollectConfig;
use super::super::Collector;
use super::super::file::Descriptors;
use crate::clock::Clock;
use crate::identity::cgroup::Hierarchy;
use crate::identity::cgroup::Version;
use crate::input::Input;
use leakwatch_analysis::model::sample::Sample;
use leakwatch_analysis::model::target::Target;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

pub(super) struct Machine {
    directory: TempDir,
    version: Version,
    clock: Clock,
}

/// A process as `/proc` shows it.
pub(super) struct Fake {
    pub(super) pid: u32,
    pub(super) start_ticks: u64,
    pub(super) name: &'static str,
    pub(super) exe: &'static str,
    pub(super) rss_kib: u64,
}

pub(super) const SHOP: Fake = Fake {
    pid: 42,
    start_ticks: 1000,
    name: "shop",
    exe: "/app/shop",
    rss_kib: 1000,
};

impl Machine {
    pub(super) fn new(version: Version) -> Self {
        let machine = Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
            version,
            clock: Clock::start(),
        };
        // What the kernel has always shown; the parser insists on all of it.
        let zero = [
            "MemFree",
            "Buffers",
            "Cached",
            "SwapCached",
            "Active",
            "Inactive",
            "SwapTotal",
            "SwapFree",
            "Dirty",
            "Writeback",
            "Mapped",
            "Slab",
            "Committed_AS",
            "VmallocTotal",
            "VmallocUsed",
            "VmallocChunk",
        ];
        let zero = zero.map(|key| format!("{key}: 0 kB")).join("\n");
        machine.write("proc/meminfo", &format!("MemTotal: 1048576 kB\n{zero}\n"));
        fs::create_dir(machine.path("cgroup")).expect("a writable directory");
        machine
    }

    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    pub(super) fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        let parent = path.parent().expect("a parent");
        fs::create_dir_all(parent).expect("a writable directory");
        fs::write(path, text).expect("a writable directory");
    }

    /// Writes files of a cgroup: `("memory.max", "max")`.
    pub(super) fn cgroup(&self, cgroup: &str, files: &[(&str, &str)]) {
        for (name, text) in files {
            self.write(&format!("cgroup/{cgroup}/{name}"), &format!("{text}\n"));
        }
    }

    pub(super) fn remove_cgroup(&self, cgroup: &str) {
        fs::remove_dir_all(self.path("cgroup").join(cgroup)).expect("a cgroup");
    }

    /// Adds a process, or replaces the one with the same pid as if it had exited.
    pub(super) fn process(&self, process: &Fake) {
        self.exit(process.pid);
        let directory = format!("proc/{}", process.pid);
        // Fields 3 to 52 of proc_pid_stat(5); 9 is flags, 22 start time.
        let mut fields = ["0"; 50];
        fields[0] = "S";
        let start = process.start_ticks.to_string();
        fields[19] = &start;
        self.write(
            &format!("{directory}/stat"),
            &format!("{} ({}) {}\n", process.pid, process.name, fields.join(" ")),
        );
        self.run(process);
    }

    /// What the same process shows later: other memory, or another program after `exec`.
    pub(super) fn run(&self, process: &Fake) {
        let directory = format!("proc/{}", process.pid);
        let Fake { name, rss_kib, .. } = process;
        self.write(
            &format!("{directory}/status"),
            &format!(
                "Name:\t{name}\nUmask:\t0022\nVmRSS:\t{:>8} kB\nRssAnon:\t{:>8} kB\nRssFile:\t{:>8} kB\nRssShmem:\t{:>8} kB\nVmSwap:\t{:>8} kB\n",
                rss_kib + 3, rss_kib, 2, 1, 0
            ),
        );
        let exe = format!("exe{}", process.exe);
        self.write(&exe, "not an ELF file\n");
        let link = self.path(&format!("{directory}/exe"));
        if link.is_symlink() {
            fs::remove_file(&link).expect("a link");
        }
        symlink(self.path(&exe), link).expect("a link");
    }

    pub(super) fn exit(&self, pid: u32) {
        let directory = self.path(&format!("proc/{pid}"));
        if directory.exists() {
            fs::remove_dir_all(directory).expect("a process");
        }
    }

    /// Where the fake executable really is.
    pub(super) fn exe(&self, process: &Fake) -> String {
        self.path(&format!("exe{}", process.exe))
            .to_str()
            .expect("UTF-8")
            .to_owned()
    }

    pub(super) fn collector(&self, only: Option<&str>, descriptors: u64) -> Collector {
        let config = CollectConfig {
            hierarchy: Hierarchy {
                version: self.version,
                root: self.path("cgroup"),
                hybrid: false,
            },
            only: only.map(|only| Path::new(only).to_owned()),
            proc_root: self.path("proc"),
            clock: self.clock,
        };
        Collector::with_descriptors(config, Descriptors::with_budget(descriptors)).expect("a collector")
    }
}

/// Seconds on the axis of the tests; later than anything a file says.
pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_seconds(4_000_000_000).plus(Duration::from_secs(seconds))
}

/// The inputs of one round, sorted by kind.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) targets: Vec<Target>,
    pub(super) gone: Vec<TargetId>,
    pub(super) samples: Vec<Sample>,
    pub(super) losses: Vec<(String, u64)>,
}

impl Seen {
    pub(super) fn of(inputs: Vec<Input>) -> Self {
        let mut seen = Self::default();
        for input in inputs {
            match input {
                Input::TargetSeen { target, .. } => seen.targets.push(target),
                Input::TargetGone { target, .. } => seen.gone.push(target),
                Input::Sample(sample) => seen.samples.push(sample),
                Input::Loss(loss) => seen.losses.push((loss.reason.into_owned(), loss.count)),
                other => panic!("a collector never says {other:?}"),
            }
        }
        seen
    }

    /// The only sample.
    pub(super) fn sample(&self) -> &Sample {
        let [sample] = self.samples.as_slice() else {
            panic!("one sample, not {:?}", self.samples);
        };
        sample
    }
}
