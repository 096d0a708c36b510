//! Programs in cgroups of their own that come and go, Go and native, and those that are killed for their memory.

use anyhow::Context as _;
use anyhow::Result;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs::Go;
use leakwatch_test_support::programs::folder;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use xtask::tools;

/// One in so many is a Go program.
const GO_EVERY: usize = 5;
/// Memory of a cgroup whose program is killed.
const NATIVE_LIMIT: u64 = 8 << 20;
const GO_LIMIT: u64 = 48 << 20;
/// Objects of the Go program, each on a stack of its own.
const STACKS: &str = "200";

/// The executables.
#[derive(Debug)]
pub(super) struct Programs {
    native: PathBuf,
    go: PathBuf,
}

impl Programs {
    pub(super) fn build(directory: &Path) -> Result<Self> {
        let native = directory.join("guest");
        let mut compile = Command::new("cc");
        compile.args(["-O2", "-g", "-o"]).arg(&native);
        tools::run(compile.arg(folder().join("native/guest.c")))?;
        let go = Go::on_path().build("deathbed", directory)?;
        Ok(Self { native, go })
    }

    fn start(&self, cgroup: &Cgroup, is_go: bool, fills: bool, log: &Path) -> Result<Running> {
        let (program, arguments): (&Path, &[&str]) = match (is_go, fills) {
            (true, true) => (&self.go, &["-stacks", STACKS, "-life", "1s"]),
            (true, false) => (&self.go, &["-stacks", STACKS, "-signalled"]),
            (false, true) => (&self.native, &["fill"]),
            (false, false) => (&self.native, &[]),
        };
        Running::start_in(cgroup, program, arguments, log)
    }
}

/// A program in a cgroup. Dropping it ends both.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) running: Running,
    pub(super) cgroup: Cgroup,
    pub(super) is_go: bool,
}

/// All that live now.
#[derive(Debug)]
pub(super) struct Guests<'a> {
    programs: &'a Programs,
    root: &'a Cgroup,
    directory: PathBuf,
    started: usize,
    pub(super) living: Vec<Guest>,
}

impl<'a> Guests<'a> {
    pub(super) fn start(programs: &'a Programs, root: &'a Cgroup, directory: &Path, count: usize) -> Result<Self> {
        let mut guests = Self {
            programs,
            root,
            directory: directory.to_owned(),
            started: 0,
            living: Vec::with_capacity(count),
        };
        for _ in 0..count {
            let guest = guests.one(None)?;
            guests.living.push(guest);
        }
        Ok(guests)
    }

    /// How many there have been.
    pub(super) fn started(&self) -> usize {
        self.started
    }

    /// Ends those that live longest, and starts as many in cgroups of new names.
    pub(super) fn churn(&mut self, count: usize) -> Result<()> {
        for _ in 0..count.min(self.living.len()) {
            drop(self.living.remove(0));
            let guest = self.one(None)?;
            self.living.push(guest);
        }
        Ok(())
    }

    /// Starts one that will be killed for its memory.
    pub(super) fn doomed(&mut self, is_go: bool) -> Result<Guest> {
        self.one(Some(is_go))
    }

    fn one(&mut self, doomed: Option<bool>) -> Result<Guest> {
        self.started += 1;
        let number = self.started;
        let is_go = doomed.unwrap_or(number.is_multiple_of(GO_EVERY));
        let limit = doomed.map(|is_go| if is_go { GO_LIMIT } else { NATIVE_LIMIT });
        let cgroup = self.root.child(&format!("g{number}"), limit)?;
        // One file for all: what they say is of no use, and files would add up.
        let log = self.directory.join("guests.log");
        let running = self
            .programs
            .start(&cgroup, is_go, doomed.is_some(), &log)
            .with_context(|| format!("start guest {number}"))?;
        Ok(Guest { running, cgroup, is_go })
    }
}
