//! Goroutines that nobody can wake are a claim after a minute, in a stripped program without an endpoint; beside it a program with sessions in
//! waves, a worker queue and `select {}` in `main` is none.

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
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_mins(10);

#[test]
fn goroutines_that_nobody_can_wake_are_claimed_and_sessions_are_not() -> Result<()> {
    let directory = TempDir::new()?;
    let parent = Cgroup::create("nobody-can-wake")?;
    let executable = toolchains::build("stuck", "local", Form::Stripped, directory.path())?;
    let start = |name: &str, arguments: &[&str]| -> Result<(Cgroup, Running)> {
        let cgroup = parent.child(name, Some(512 << 20))?;
        let log = directory.path().join(format!("{name}.log"));
        let running = Running::start_in(&cgroup, &executable, arguments, &log)?;
        Ok((cgroup, running))
    };
    let (leaks, _leaking) = start("leaks", &["-each=0", "-twins=3", "-every=100ms"])?;
    let (waves, _waving) = start("waves", &["-each=0", "-twins=3", "-busy=waves"])?;
    let daemon = Daemon::start(&Options {
        executable: Path::new(LEAKWATCH),
        only: parent.path(),
        interval_seconds: 1,
        config: "",
        arguments: &[],
    })?;
    let leaking = daemon.wait_target(leaks.path())?;
    let waving = daemon.wait_target(waves.path())?;
    let mut last = Value::Null;
    let found = wait_until("the claim", DEADLINE, || {
        let other = daemon.investigation(&waving)?["verdict"].take();
        ensure!(text(&other, "class") != "goroutine_leak", "{other:#}");
        last = daemon.investigation(&leaking)?["verdict"].take();
        Ok((text(&last, "class") == "goroutine_leak").then(|| last.clone()))
    });
    let verdict = found.with_context(|| format!("{last:#}\n{}", daemon.log()))?;
    let culprit = &verdict["culprit"];
    assert_eq!(text(culprit, "function"), "main.leakSend", "{verdict:#}");
    assert!(text(culprit, "file").ends_with("leaks.go"), "{verdict:#}");
    assert!(verdict["leak_probability"].as_f64().context("probability")? >= 0.9);
    let evidence = verdict["evidence"].as_array().context("evidence")?;
    let proof = evidence
        .iter()
        .find(|row| text(row, "claim").contains("nobody can wake them"));
    let proof = proof.with_context(|| format!("no proof: {verdict:#}"))?;
    assert!(text(proof, "claim").contains("main.leakSend"), "{proof:#}");
    assert_eq!(proof["weight"], 8.0);
    let status = daemon.client().json("/api/v1/status")?;
    let lanes = status["lanes"].as_array().context("lanes")?;
    let lane = lanes
        .iter()
        .find(|lane| text(lane, "name") == "nobody_can_wake")
        .context("lane")?;
    assert!(
        lane["overhead_cpu_percent"].as_f64().context("price")? > 0.0,
        "{lane:#}"
    );
    println!("{}\n{}", text(proof, "claim"), text(lane, "detail"));
    let told = Command::new(LEAKWATCH)
        .args(["--endpoint", daemon.client().base(), "investigate", &leaking])
        .output()?;
    assert_eq!(told.status.code(), Some(3), "{}", String::from_utf8_lossy(&told.stdout));
    Ok(())
}
