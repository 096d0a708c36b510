//! Sets the demo up: cgroups with limits, services in them, the daemon watching just those. Dropping it removes all of it.

use crate::cast::Role;
use anyhow::Result;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::process::Running;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Instant;
use tempfile::TempDir;

/// One service on stage.
#[derive(Debug)]
pub(crate) struct Actor {
    /// Its role.
    pub(crate) role: &'static Role,
    /// Its memory cgroup.
    pub(crate) cgroup: Cgroup,
    /// Its process, unless it died and stays dead.
    pub(crate) process: Option<Running>,
    /// When we saw the first process end.
    pub(crate) first_end: Option<Instant>,
    executable: PathBuf,
    log: PathBuf,
}

impl Actor {
    fn start(&mut self) -> Result<()> {
        let arguments = self.role.arguments.iter().copied().chain(["-listen=127.0.0.1:0"]);
        self.process = Some(Running::start_in(&self.cgroup, &self.executable, arguments, &self.log)?);
        Ok(())
    }

    /// Notices the end of the process. A leaking one stays dead, the others are started again, as a supervisor would.
    pub(crate) fn supervise(&mut self) -> Result<()> {
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        if process.ended()?.is_some() {
            self.first_end.get_or_insert_with(Instant::now);
            self.process = None;
            if !self.role.leaks() {
                self.start()?;
            }
        }
        Ok(())
    }

    /// Starts whatever has ended again.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        let lives = match &mut self.process {
            Some(process) => process.ended()?.is_none(),
            None => false,
        };
        if lives { Ok(()) } else { self.start() }
    }
}

/// Everything that runs. Fields are dropped in this order: the daemon sees nothing of the end of the services.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The daemon.
    pub(crate) daemon: Daemon,
    /// The services.
    pub(crate) actors: Vec<Actor>,
    _parent: Cgroup,
    _directory: TempDir,
}

impl Stage {
    /// Starts the services, then the daemon.
    pub(crate) fn set_up(roles: &[&'static Role], service: &Path, daemon: &Path) -> Result<Self> {
        let directory = TempDir::with_prefix("leakwatch-demo-")?;
        let parent = Cgroup::create("demo")?;
        let mut actors = Vec::new();
        for role in roles {
            let executable = directory.path().join(role.service);
            if !executable.exists() {
                fs::copy(service, &executable)?;
            }
            let mut actor = Actor {
                role,
                cgroup: parent.child(role.name, Some(role.limit))?,
                process: None,
                first_end: None,
                executable,
                log: directory.path().join(role.name).with_extension("log"),
            };
            actor.start()?;
            actors.push(actor);
        }
        let daemon = Daemon::start(&Options {
            executable: daemon,
            only: parent.path(),
            interval_seconds: 1,
            config: "[go]\ndiscover_endpoints = true\n",
            arguments: &[],
        })?;
        Ok(Self {
            daemon,
            actors,
            _parent: parent,
            _directory: directory,
        })
    }
}
