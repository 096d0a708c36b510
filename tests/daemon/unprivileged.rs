//! A daemon that lacks the right to read other processes and to load eBPF: it says so wherever a person looks, and takes nothing that it
//! cannot see for equal.

use crate::LEAKWATCH;
use anyhow::Context as _;
use anyhow::Result;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::process::Running;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

#[test]
fn what_may_not_be_read_is_said() -> Result<()> {
    let directory = TempDir::new()?;
    let powerless = directory.path().join("powerless");
    // Without a capability in its bounding set root gets none by `execve(2)`.
    let script = format!("#!/bin/sh\nexec setpriv --bounding-set -all --inh-caps -all {LEAKWATCH} \"$@\"\n");
    fs::write(&powerless, script)?;
    fs::set_permissions(&powerless, fs::Permissions::from_mode(0o755))?;
    let parent = Cgroup::create("unprivileged")?;
    let programs = ["one", "other"].map(|name| {
        let cgroup = parent.child(name, None)?;
        let log = directory.path().join(name);
        let process = Running::start_in(&cgroup, Path::new("/bin/sleep"), ["600"], &log)?;
        anyhow::Ok((cgroup, process))
    });
    let daemon = Daemon::start(&Options {
        executable: &powerless,
        only: parent.path(),
        interval_seconds: 1,
        config: "",
        arguments: &[],
    })?;
    for (program, name) in programs.into_iter().zip(["one", "other"]) {
        let (cgroup, _process) = program?;
        let id = daemon.wait_target(cgroup.path())?;
        let target = daemon.target(cgroup.path())?.context("it is listed")?;
        assert_eq!(
            text(&target, "service"),
            name,
            "two programs that are not known are no replicas"
        );
        let said = Command::new(LEAKWATCH)
            .args(["--endpoint", daemon.client().base(), "investigate", &id])
            .output()?;
        let said = String::from_utf8(said.stdout)?;
        assert!(said.contains("CAP_SYS_PTRACE"), "{said}");
    }
    let status = daemon.client().json("/api/v1/status")?;
    let lanes = status["lanes"].as_array().context("lanes")?;
    let off: Vec<(&str, &str)> = lanes
        .iter()
        .filter(|lane| lane["state"] == "off")
        .map(|lane| (text(lane, "name"), text(lane, "detail")))
        .collect();
    let lacking = [
        ("oom_and_exit_events", "ebpf: "),
        ("go_heap", "process_memory: "),
        ("goroutines", "process_memory: "),
        ("nobody_can_wake", "process_memory: "),
        ("native", "ebpf: "),
        ("growth", "ebpf: "),
    ];
    assert_eq!(off.len(), lacking.len(), "{off:?}");
    for ((lane, detail), (expected, capability)) in off.iter().zip(lacking) {
        assert_eq!(*lane, expected);
        assert!(detail.starts_with(capability), "{lane}: {detail}");
    }
    Ok(())
}
