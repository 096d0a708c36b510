//! Two daemons on one state directory would write over each other.

use crate::LEAKWATCH;
use anyhow::Result;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::http::free_port;
use leakwatch_test_support::process::Running;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

#[test]
fn a_second_daemon_is_refused_and_the_first_goes_on() -> Result<()> {
    let parent = Cgroup::create("second-daemon")?;
    let mut first = Daemon::start(&Options {
        executable: Path::new(LEAKWATCH),
        only: parent.path(),
        interval_seconds: 1,
        config: "",
        arguments: &[],
    })?;
    let mut command = Command::new(LEAKWATCH);
    command
        .arg("agent")
        .arg("--state-dir")
        .arg(first.state_directory())
        .arg("--socket")
        .arg(first.directory().join("second.sock"))
        .args(["--listen", &format!("127.0.0.1:{}", free_port()?)])
        .args(["--only", parent.path()]);
    let mut second = Running::start(command, &first.directory().join("second.log"))?;
    let status = second.wait(Duration::from_mins(2))?;
    let said = second.output();
    assert_eq!(status.code(), Some(1), "{said}");
    let directory = first.state_directory().display().to_string();
    assert!(said.contains(&directory), "does not name {directory}: {said}");
    assert!(first.process().ended()?.is_none(), "the first daemon ended");
    assert_eq!(first.client().get("/healthz")?.status, 200);
    Ok(())
}
