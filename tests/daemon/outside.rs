//! A stripped service without any endpoint, watched with the default configuration: the leak is found in its memory.

use crate::LEAKWATCH;
use anyhow::Context as _;
use anyhow::Result;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs;
use leakwatch_test_support::programs::Go;
use leakwatch_test_support::programs::marked_line;
use leakwatch_test_support::toolchains;
use leakwatch_test_support::toolchains::Form;
use leakwatch_test_support::wait::wait_until;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// A service that leaks, and the daemon that has found out. Fields are dropped in this order.
struct Found {
    daemon: Daemon,
    target: String,
    _service: Running,
    _cgroups: [Cgroup; 2],
    directory: TempDir,
}

/// Waits until the growth is told with the culprit in `markets.go` at the line that is marked with the variant: `growing`, as one run of one
/// program cannot be told from a cache, or a claim of this class.
fn find_leak(variant: &str, arguments: &[&str], class: &str, function: &str) -> Result<Found> {
    let directory = TempDir::new()?;
    let parent = Cgroup::create(&format!("outside-{variant}"))?;
    let cgroup = parent.child("markets", Some(512 << 20))?;
    // Nothing in it could serve a profile.
    let folder = programs::without_endpoint("markets", directory.path())?;
    let executable = toolchains::build_folder(&folder, "local", Form::Stripped, directory.path())?;
    let packages = fs::read(&executable)?;
    let endpoint = packages.windows(16).any(|bytes| bytes == b"net/http/pprof.I");
    anyhow::ensure!(!endpoint, "the endpoint is linked in");
    let arguments = [format!("-variant={variant}")]
        .into_iter()
        .chain(arguments.iter().map(|argument| (*argument).to_owned()));
    let mut service = Running::start_in(&cgroup, &executable, arguments, &directory.path().join("log"))?;
    let daemon = Daemon::start(&Options {
        executable: Path::new(LEAKWATCH),
        only: parent.path(),
        interval_seconds: 1,
        config: "",
        arguments: &[],
    })?;
    let target = daemon.wait_target(cgroup.path())?;
    let mut last = Value::Null;
    let found = wait_until("the verdict", Duration::from_mins(7), || {
        anyhow::ensure!(service.ended()?.is_none(), "the service ended");
        last = daemon.investigation(&target)?["verdict"].take();
        Ok(([class, "growing"].contains(&text(&last, "class")) && !last["culprit"].is_null()).then(|| last.clone()))
    });
    let verdict = found.with_context(|| format!("{last:#}\n{}", daemon.log()))?;
    let culprit = &verdict["culprit"];
    assert_eq!(text(culprit, "function"), function, "{verdict:#}");
    assert!(text(culprit, "file").ends_with("markets.go"), "{verdict:#}");
    let line = marked_line("markets", "markets.go", variant)?;
    assert_eq!(culprit["line"], line, "{verdict:#}");
    Ok(Found {
        daemon,
        target,
        _service: service,
        _cgroups: [cgroup, parent],
        directory,
    })
}

/// Stacks are read only when goroutines have changed: often enough for the verdict.
#[test]
fn a_goroutine_leak_is_found_in_the_memory_of_a_stripped_service_without_an_endpoint() -> Result<()> {
    let function = "main.publishMarketsValues";
    find_leak("goroutine-leak", &[], "goroutine_leak", function).map(drop)
}

#[test]
fn a_leak_is_found_in_the_memory_of_a_stripped_service_without_an_endpoint() -> Result<()> {
    let found = find_leak(
        "cache-leak",
        &["-rate=1000000"],
        "go_heap_leak",
        "main.getOrQueryMarketsValues",
    )?;
    let Found {
        daemon,
        target,
        directory,
        ..
    } = &found;
    let go = Go::on_path();
    for profile in ["heap", "goroutine"] {
        let list = format!("/api/v1/targets/{target}/profiles?type={profile}&limit=500");
        let answer = daemon.client().json(&list)?;
        let items = answer["items"].as_array().context("items")?;
        assert!(!items.is_empty(), "no {profile} profile");
        for item in items {
            assert_eq!(text(item, "source"), "snapshot", "{item:#}");
        }
    }
    // What we made reads with Go's own tool.
    let newest = |profile: &str| format!("{}/pprof/{target}/{profile}", daemon.client().base());
    let top = go.pprof(&["-top", "-lines", &newest("heap")], directory.path())?;
    assert!(top.contains("Type: inuse_space"), "{top}");
    assert!(top.contains("main.getOrQueryMarketsValues"), "{top}");
    let top = go.pprof(&["-top", "-cum", &newest("goroutine")], directory.path())?;
    assert!(top.contains("main.main"), "{top}");
    runtime_is_in_the_ledger(daemon, target)?;
    let status = daemon.client().json("/api/v1/status")?;
    let lanes = status["lanes"].as_array().context("lanes")?;
    let heap = lanes.iter().find(|lane| text(lane, "name") == "go_heap");
    let heap = heap.context("no lane go_heap")?;
    assert_eq!(text(heap, "state"), "on", "{heap:#}");
    assert!(text(heap, "detail").contains("memory"), "{heap:#}");
    Ok(())
}

/// What the runtime holds is nearly all that the kernel charges to the cgroup as anonymous memory.
fn runtime_is_in_the_ledger(daemon: &Daemon, target: &str) -> Result<()> {
    let ledger = daemon.client().json(&format!("/api/v1/targets/{target}/ledger"))?;
    let lines = ledger["lines"].as_array().context("lines")?;
    let mut held = 0;
    for name in ["go_live_heap", "go_garbage", "go_idle_heap", "go_stacks", "go_metadata"] {
        let line = lines.iter().find(|line| text(line, "name") == name).context(name)?;
        held += line["bytes"].as_u64().with_context(|| format!("{line:#}"))?;
    }
    let anonymous = lines.iter().find(|line| text(line, "name") == "anonymous");
    let anonymous = anonymous.and_then(|line| line["bytes"].as_u64()).context("anonymous")?;
    // Read up to an interval apart, and of what the runtime has mapped some pages were never touched.
    assert!(
        held > anonymous / 2 && held < anonymous * 3 / 2,
        "{held} of {anonymous}: {ledger:#}"
    );
    let path = format!("/api/v1/targets/{target}/series?metrics=go_collections,go_heap_marked_bytes");
    let answer = daemon.client().json(&path)?;
    let series = answer["series"].as_array().context("series")?;
    assert_eq!(series.len(), 2, "{answer:#}");
    for one in series {
        let values = one["values"].as_array().context("values")?;
        let known: Vec<u64> = values.iter().filter_map(Value::as_u64).collect();
        assert!(known.len() > 1 && known.first() < known.last(), "{one:#}");
    }
    Ok(())
}
