//! `leakwatch detach` takes every probe off, whoever put it on, and keeps them off until that is undone.

use crate::programs::alone;
use crate::programs::compile;
use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::wait::wait_until;
use serde_json::Value;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_mins(10);
const EXECUTABLE: &str = env!("CARGO_BIN_EXE_leakwatch");

/// Descriptors of the daemon that belong to probes, those of its tracepoints included: these stay.
fn probes(pid: u32) -> Result<usize> {
    let links = fs::read_dir(format!("/proc/{pid}/fd"))?;
    let links = links.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let kinds = ["perf_event", "bpf_link", "bpf-prog"];
    Ok(links
        .filter(|link| kinds.iter().any(|kind| link.to_string_lossy().contains(kind)))
        .count())
}

/// What the command line says.
fn detach(daemon: &Daemon, undo: bool) -> Result<Value> {
    let mut command = Command::new(EXECUTABLE);
    command.args(["--endpoint", daemon.client().base(), "--output", "json", "detach"]);
    if undo {
        command.arg("--undo");
    }
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("not JSON")
}

/// Whether captures run, by what the daemon says of itself.
fn running(daemon: &Daemon) -> Result<Vec<Value>> {
    let status = daemon.client().json("/api/v1/status")?;
    let captures = status.get("captures").and_then(Value::as_array);
    Ok(captures.context("a status without captures")?.clone())
}

/// A program that leaks, under a daemon of its own.
struct Watched {
    daemon: Daemon,
    pid: u32,
    /// Descriptors of probes while no program has one.
    idle: usize,
    cgroup: Cgroup,
    _program: Running,
    _directory: TempDir,
    _root: Cgroup,
}

impl Watched {
    fn start(name: &str, config: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let root = Cgroup::create(name)?;
        let program = compile("leak", directory.path())?;
        let mut daemon = Daemon::start(&Options {
            executable: Path::new(EXECUTABLE),
            only: root.path(),
            interval_seconds: 1,
            config,
            arguments: &[],
        })?;
        let pid = daemon.process().pid();
        let idle = probes(pid)?;
        let cgroup = root.child("leaks", None)?;
        let program = Running::start_in::<&str>(&cgroup, &program, [], &directory.path().join("log"))?;
        Ok(Self {
            daemon,
            pid,
            idle,
            cgroup,
            _program: program,
            _directory: directory,
            _root: root,
        })
    }

    fn attached(&self, what: &str) -> Result<()> {
        let has_probes = || Ok((probes(self.pid)? > self.idle).then_some(()));
        wait_until(what, DEADLINE, has_probes).with_context(|| self.daemon.log())
    }

    fn detached(&self, what: &str) -> Result<()> {
        let has_none = || Ok((probes(self.pid)? == self.idle && running(&self.daemon)?.is_empty()).then_some(()));
        wait_until(what, DEADLINE, has_none).with_context(|| self.daemon.log())
    }
}

#[test]
fn detach_takes_off_what_a_person_asked_for() -> Result<()> {
    let _alone = alone();
    let watched = Watched::start("detach-asked", "native.automatic = false")?;
    let daemon = &watched.daemon;
    let target = daemon.wait_target(watched.cgroup.path())?;
    let captures = format!("/api/v1/targets/{target}/captures");
    for lane in ["native", "growth"] {
        let asked = json!({"lane": lane, "seconds": 3600});
        let answer = daemon.client().post(&captures, &asked)?;
        assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
        watched.attached(lane)?;
        let said = detach(daemon, false)?;
        assert_eq!((&said["detached"], &said["stopped"]), (&json!(true), &json!(1)));
        watched.detached(lane)?;
        let refused = daemon.client().post(&captures, &asked)?;
        assert_eq!(refused.status, 409, "{}", String::from_utf8_lossy(&refused.body));
        assert_eq!(detach(daemon, true)?["detached"], false);
    }
    Ok(())
}

#[test]
fn detach_takes_off_what_the_daemon_put_on_by_itself() -> Result<()> {
    const ROUNDS: u32 = 10;
    let _alone = alone();
    let watched = Watched::start("detach-automatic", "")?;
    let daemon = &watched.daemon;
    watched.attached("a capture of its own")?;
    assert!(detach(daemon, false)?["stopped"].as_u64() >= Some(1));
    watched.detached("it")?;
    // It leaks on, and nothing is put on it.
    let sampled_at = || -> Result<Value> {
        let target = daemon.target(watched.cgroup.path())?.context("no target")?;
        Ok(target["sampled_at"].clone())
    };
    let (mut rounds, mut before) = (0, sampled_at()?);
    wait_until("rounds of samples", DEADLINE, || {
        ensure!(probes(watched.pid)? == watched.idle, "a probe is put on");
        let now = sampled_at()?;
        rounds += u32::from(now != before);
        before = now;
        Ok((rounds >= ROUNDS).then_some(()))
    })?;
    assert_eq!(detach(daemon, true)?["detached"], false);
    Ok(())
}
