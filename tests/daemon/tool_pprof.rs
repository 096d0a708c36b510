//! `go tool pprof` on our URLs against the same on what the service itself served at the same instant.
//!
//! The instant is the same because the service keeps a copy of every profile it serves.

use crate::LEAKWATCH;
use anyhow::Context as _;
use anyhow::Result;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::http::free_port;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs::Go;
use leakwatch_test_support::wait::wait_until;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// What the service served for one kind of profile, in order: files with the bodies.
fn served(directory: &Path, profile: &str) -> Vec<String> {
    let mut bodies = Vec::new();
    for number in 0.. {
        let file = directory.join(format!("{number:03}.request"));
        let Ok(asked) = fs::read_to_string(&file) else {
            break;
        };
        // Asking must not disturb: a collection on our behalf (gc=1) and stopping the world (debug=2) are out of bounds.
        assert!(!asked.contains("gc=") && !asked.contains("debug="), "asked for {asked}");
        if asked
            .split('?')
            .next()
            .is_some_and(|path| path.ends_with(&format!("/pprof/{profile}")))
        {
            bodies.push(file.with_extension("body").display().to_string());
        }
    }
    bodies
}

#[test]
fn our_urls_say_what_the_service_said() -> Result<()> {
    let directory = TempDir::new()?;
    let go = Go::on_path();
    let parent = Cgroup::create("tool-pprof")?;
    let cgroup = parent.child("markets", Some(512 << 20))?;
    let port = free_port()?;
    let executable = go.build("markets", directory.path())?;
    let kept = directory.path().join("served");
    fs::create_dir(&kept)?;
    let listen = format!("-listen=127.0.0.1:{port}");
    let keep = format!("-keep={}", kept.display());
    let arguments = ["-variant=cache-leak", "-rate=2000000", &listen, &keep];
    let service = Running::start_in(&cgroup, &executable, arguments, &directory.path().join("log"))?;
    wait_until("the service to listen", Duration::from_mins(2), || {
        Ok(service.output().contains("listening").then_some(()))
    })?;
    // Memory would be read instead, and at another instant.
    let config = format!(
        "[go]\noutside = false\n\n[[go.endpoint]]\nexe = \"*/markets\"\nurl = \"http://127.0.0.1:{port}/debug/pprof/\"\n"
    );
    let daemon = Daemon::start(&Options {
        executable: Path::new(LEAKWATCH),
        only: parent.path(),
        interval_seconds: 1,
        config: &config,
        arguments: &[],
    })?;
    let target = daemon.wait_target(cgroup.path())?;
    let snapshots = |profile: &str| -> Result<Vec<Value>> {
        let list = format!("/api/v1/targets/{target}/profiles?type={profile}&limit=500");
        Ok(daemon.client().json(&list)?["items"]
            .as_array()
            .context("items")?
            .clone())
    };
    for profile in ["heap", "goroutine"] {
        wait_until("three profiles", Duration::from_mins(10), || {
            Ok((snapshots(profile)?.len() >= 3).then_some(()))
        })
        .with_context(|| daemon.log())?;
        let mut stored = snapshots(profile)?;
        stored.sort_by_key(|snapshot| text(snapshot, "at").to_owned());
        let (Some(first), Some(last)) = (stored.first(), stored.last()) else {
            anyhow::bail!("no snapshots");
        };
        let ours = [first, last].map(|snapshot| {
            let at = text(snapshot, "at");
            format!("{}/pprof/{target}/{profile}?at={at}", daemon.client().base())
        });
        let indices: &[&str] = match profile {
            "heap" => &["inuse_space", "inuse_objects", "alloc_space", "alloc_objects"],
            _ => &["goroutine"],
        };
        let run = |index: &str, profiles: &[&str]| {
            let index = format!("-sample_index={index}");
            let options = ["-top", "-lines", "-nodecount=1000", "-nodefraction=0", &index];
            go.pprof(&[&options[..], profiles].concat(), directory.path())
        };
        // An answer that came too late is served and not stored: which one was, its numbers tell.
        let served = served(&kept, profile);
        let their = |ours: &str| -> Result<&str> {
            let top = run(indices[0], &[ours])?;
            for body in &served {
                if run(indices[0], &[body])? == top {
                    return Ok(body);
                }
            }
            anyhow::bail!("none of {} profiles served is this one of ours:\n{top}", served.len())
        };
        let theirs = [their(&ours[0])?, their(&ours[1])?];
        for index in indices {
            let top_of_theirs = run(index, &[theirs[1]])?;
            assert!(top_of_theirs.contains("main."), "{top_of_theirs}");
            assert_eq!(run(index, &[&ours[1]])?, top_of_theirs, "-top of {profile} by {index}");
            let diff_of_theirs = run(index, &["-diff_base", theirs[0], theirs[1]])?;
            let diff_of_ours = run(index, &["-diff_base", &ours[0], &ours[1]])?;
            assert_eq!(diff_of_ours, diff_of_theirs, "-diff_base of {profile} by {index}");
        }
    }
    // As a person types it: without an instant, and with the parameter that the tool adds.
    let newest = format!("{}/pprof/{target}/heap", daemon.client().base());
    let top = go.pprof(&["-top", "-seconds=1", &newest], directory.path())?;
    assert!(top.contains("main.getOrQueryMarketsValues"), "{top}");
    Ok(())
}
