//! A service with a pprof endpoint that the daemon may ask, and that ran before the daemon did, is killed: its post-mortem has the heap
//! that the kernel read, and never passes off an older one as the last word.

use crate::LEAKWATCH;
use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch_analysis::pprof;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs::Go;
use leakwatch_test_support::wait::wait_until;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const MIB: i64 = 1 << 20;
const LIMIT: i64 = 96 * MIB;

#[test]
fn a_service_with_an_endpoint_leaves_the_heap_that_the_kernel_read() -> Result<()> {
    let directory = TempDir::new()?;
    let parent = Cgroup::create("at-death")?;
    let cgroup = parent.child("markets", Some(LIMIT.unsigned_abs()))?;
    let executable = Go::on_path().build("markets", directory.path())?;
    let arguments = ["-variant=cache-leak", "-rate=3000000", "-listen=127.0.0.1:0"];
    let mut service = Running::start_in(&cgroup, &executable, arguments, &directory.path().join("log"))?;
    let daemon = Daemon::start(&Options {
        executable: Path::new(LEAKWATCH),
        only: parent.path(),
        interval_seconds: 1,
        config: "[go]\ndiscover_endpoints = true\n",
        arguments: &[],
    })?;
    let target = daemon.wait_target(cgroup.path())?;
    let mut sources = Vec::new();
    let mut said = Vec::new();
    let found = wait_until("the heap at death", Duration::from_mins(10), || {
        let alive = service.ended()?.is_none();
        if alive {
            let list = daemon
                .client()
                .json(&format!("/api/v1/targets/{target}/profiles?type=heap"))?;
            let items = list["items"].as_array().context("items")?;
            sources = items.iter().map(|item| text(item, "source").to_owned()).collect();
            return Ok(None);
        }
        let Some(kill) = daemon.post_mortem(&target)? else {
            return Ok(None);
        };
        let heap = text(&kill["at_death"], "heap").to_owned();
        let settled = heap != "pending";
        said.push(heap);
        Ok(settled.then_some(kill))
    });
    let kill = found.with_context(|| format!("{said:?}\n{}", daemon.log()))?;
    assert_eq!(kill["victim"]["pid"], service.pid(), "{kill:#}");
    assert_eq!(said.last().map(String::as_str), Some("complete"), "{said:?}: {kill:#}");
    check_heap(&daemon, &kill)?;
    // While it lived its memory was read, although it has an endpoint.
    assert!(sources.iter().any(|source| source == "snapshot"), "{sources:?}");
    assert!(sources.iter().all(|source| source != "endpoint"), "{sources:?}");
    Ok(())
}

/// What the kernel counted when it killed is nearly all in the heap that was read: it is not one from before.
fn check_heap(daemon: &Daemon, kill: &Value) -> Result<()> {
    let profiles = kill["profiles"].as_array().context("profiles")?;
    let heap = profiles.iter().find(|profile| text(profile, "type") == "heap");
    let heap = heap.with_context(|| format!("no heap: {kill:#}"))?;
    ensure!(text(heap, "source") == "kernel_at_death", "{heap:#}");
    let age = heap["age_seconds"].as_f64().context("age_seconds")?;
    // How long the victim waited for a processor to die on is the machine's.
    ensure!((0.0..60.0).contains(&age), "{heap:#}");
    let answer = daemon.client().get(text(heap, "link"))?;
    let profile = pprof::decode(&answer.body, &pprof::Bounds::default())?;
    let in_use: i64 = profile.sample.iter().filter_map(|sample| sample.value.get(3)).sum();
    // An estimate from samples: it may be above what there was.
    ensure!(in_use > LIMIT / 2 && in_use < LIMIT * 5 / 4, "{in_use} bytes in use");
    let names = profile.string_table.iter().map(String::as_str);
    ensure!(
        names.into_iter().any(|name| name == "main.getOrQueryMarketsValues"),
        "the function that leaks is not in it"
    );
    Ok(())
}
