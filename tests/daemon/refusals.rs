//! Processes that cannot be read, or must not be believed: the API shows why, and what to do about it.

use crate::LEAKWATCH;
use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::toolchains;
use leakwatch_test_support::toolchains::Form;
use leakwatch_test_support::wait::wait_until;
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_mins(3);

/// A Go program in a cgroup of its own, and what the API is to say of its heap: reason, and a part of the detail.
struct Refused {
    cgroup: Cgroup,
    process: Running,
    reason: &'static str,
    detail: &'static str,
}

impl Refused {
    fn start(
        parent: &Cgroup,
        name: &str,
        executable: &Path,
        arguments: &[&str],
        expected: (&'static str, &'static str),
        directory: &TempDir,
    ) -> Result<Self> {
        let cgroup = parent.child(name, None)?;
        let log = directory.path().join(format!("{name}.log"));
        let process = Running::start_in(&cgroup, executable, arguments, &log)?;
        wait_until(&format!("{name} to be ready"), DEADLINE, || {
            Ok(process.output().contains("ready").then_some(()))
        })?;
        Ok(Self {
            cgroup,
            process,
            reason: expected.0,
            detail: expected.1,
        })
    }

    /// Waits until the API gives the reason, and answers it.
    fn shown(&self, daemon: &Daemon) -> Result<Value> {
        let target = daemon.wait_target(self.cgroup.path())?;
        let mut last = Value::Null;
        let shown = wait_until("the reason", DEADLINE, || {
            let mut answer = daemon
                .client()
                .json(&format!("/api/v1/targets/{target}/profiles?type=heap"))?;
            last = answer["missing"]["heap"].take();
            Ok((text(&last, "reason") == self.reason).then(|| last.clone()))
        });
        let shown = shown.with_context(|| format!("{}: {last:#}\n{}", self.cgroup.path(), daemon.log()))?;
        ensure!(
            text(&shown, "detail").contains(self.detail),
            "{}: {shown:#}",
            self.cgroup.path()
        );
        Ok(shown)
    }
}

fn start_daemon(executable: &Path, parent: &Cgroup) -> Result<Daemon> {
    Daemon::start(&Options {
        executable,
        only: parent.path(),
        interval_seconds: 1,
        config: "",
        arguments: &[],
    })
}

#[test]
fn the_api_says_why_a_heap_cannot_be_read() -> Result<()> {
    let directory = TempDir::new()?;
    let parent = Cgroup::create("refusals")?;
    let build = |name| toolchains::build(name, "go1.27.3", Form::Stripped, directory.path());
    let (program, unprofiled) = (build("goproc-target")?, build("unprofiled")?);
    let start = |name, executable: &Path, arguments: &[&str], expected| {
        Refused::start(&parent, name, executable, arguments, expected, &directory)
    };
    // In this release the counters of a bucket end where the next begins: what is wiped tells nothing any more.
    let newer = toolchains::build("goproc-target", "go1.24.13", Form::Stripped, directory.path())?;
    let newer = toolchains::relabelled(&newer, "go1.24.13", "go1.99.13")?;
    let older = toolchains::relabelled(&program, "go1.27.3", "go1.24.3")?;
    let corrupted = start(
        "corrupted",
        &program,
        &["-rate", "1", "-stacks", "100"],
        ("malformed", "circle"),
    )?;
    corrupt(corrupted.process.pid())?;
    let unknown = start(
        "unknown",
        &newer,
        &["-rate", "1000000000000", "-objects", "0", "-static", "0"],
        ("unsupported", "the layout of go1.99.13 is not known"),
    )?;
    wipe(unknown.process.pid())?;
    let refused = [
        unknown,
        start(
            "contradicting",
            &older,
            &["-objects", "200000"],
            ("malformed", "but go1.24.3 lays them out as"),
        )?,
        start(
            "rate-zero",
            &program,
            &["-rate", "0"],
            ("unsupported", "runtime.MemProfileRate is 0"),
        )?,
        start(
            "not-linked",
            &unprofiled,
            &[],
            ("unsupported", "nothing in it refers to the memory profile"),
        )?,
        corrupted,
    ];
    let daemon = start_daemon(Path::new(LEAKWATCH), &parent)?;
    for refused in &refused {
        let shown = refused.shown(&daemon)?;
        let advice = match refused.detail {
            "runtime.MemProfileRate is 0" => "MemProfileRate",
            "nothing in it refers to the memory profile" => "runtime.MemProfile",
            _ => "",
        };
        ensure!(text(&shown, "fix").contains(advice), "{shown:#}");
    }
    // What can be read is read all the same.
    let target = daemon.wait_target(refused[3].cgroup.path())?;
    let answer = daemon
        .client()
        .json(&format!("/api/v1/targets/{target}/profiles?type=goroutine"))?;
    let items = answer["items"].as_array().context("items")?;
    ensure!(
        !items.is_empty(),
        "no goroutines of a program without a heap profile: {answer:#}"
    );
    Ok(())
}

/// Sets all counters to zero, in a program that the test has started: nothing tells their layout then.
fn wipe(pid: u32) -> Result<()> {
    let mut process = leakwatch_goproc::attach::GoProcess::attach(pid)?;
    process.heap(&mut Vec::<Vec<u64>>::new())?;
    let index = process.heap_reader().context("read")?.index();
    let memory = fs::File::options().write(true).open(format!("/proc/{pid}/mem"))?;
    for id in index.ids() {
        let record = index.address(id).context("address")? + 48 + 8 * index.depth(id).context("depth")? as u64;
        memory.write_all_at(&[0; 128], record)?;
    }
    Ok(())
}

/// Makes a bucket its own successor, in a program that the test has started.
fn corrupt(pid: u32) -> Result<()> {
    let mut process = leakwatch_goproc::attach::GoProcess::attach(pid)?;
    process.heap(&mut Vec::<Vec<u64>>::new())?;
    let index = process.heap_reader().context("read")?.index();
    let address = index.ids().nth(50).and_then(|id| index.address(id)).context("bucket")?;
    let memory = fs::File::options().write(true).open(format!("/proc/{pid}/mem"))?;
    Ok(memory.write_all_at(&address.to_le_bytes(), address + 8)?)
}

#[test]
fn the_api_names_the_capability_that_is_missing() -> Result<()> {
    let directory = TempDir::new()?;
    let parent = Cgroup::create("unpermitted")?;
    let program = toolchains::build("goproc-target", "go1.27.3", Form::Stripped, directory.path())?;
    let refused = Refused::start(
        &parent,
        "unpermitted",
        &program,
        &[],
        ("not_permitted", "cannot read"),
        &directory,
    )?;
    let wrapper = directory.path().join("leakwatch");
    fs::write(
        &wrapper,
        format!("#!/bin/sh\nexec setpriv --bounding-set -sys_ptrace {LEAKWATCH} \"$@\"\n"),
    )?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    let daemon = start_daemon(&wrapper, &parent)?;
    let shown = refused.shown(&daemon)?;
    ensure!(text(&shown, "fix").contains("CAP_SYS_PTRACE"), "{shown:#}");
    Ok(())
}

/// The daemon looks for processes more rarely than it reads them, and without the kernel's word of exits it finds one gone that it
/// believes to live.
#[test]
fn the_api_says_that_a_process_has_vanished() -> Result<()> {
    let directory = TempDir::new()?;
    let parent = Cgroup::create("vanished")?;
    let program = toolchains::build("goproc-target", "go1.27.3", Form::Stripped, directory.path())?;
    let mut refused = Refused::start(&parent, "vanished", &program, &[], ("gone", "has ended"), &directory)?;
    let _other = Running::start_in(
        &refused.cgroup,
        Path::new("/bin/sleep"),
        ["600"],
        &directory.path().join("other.log"),
    )?;
    let daemon = Daemon::start(&Options {
        executable: Path::new(LEAKWATCH),
        only: parent.path(),
        interval_seconds: 60,
        config: "",
        arguments: &["--no-bpf"],
    })?;
    let target = daemon.wait_target(refused.cgroup.path())?;
    wait_until("a heap profile", DEADLINE, || {
        let answer = daemon
            .client()
            .json(&format!("/api/v1/targets/{target}/profiles?type=heap"))?;
        Ok(answer["items"]
            .as_array()
            .is_some_and(|items| !items.is_empty())
            .then_some(()))
    })?;
    refused.process.signal(Signal::KILL)?;
    refused.process.wait(DEADLINE)?;
    refused.shown(&daemon)?;
    Ok(())
}
