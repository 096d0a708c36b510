//! Programs that are not Go, each in a cgroup of its own: what fills their limit is told, and what is advised fits them.

use crate::LEAKWATCH;
use anyhow::Context as _;
use anyhow::Result;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::wait::wait_until;
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const DEADLINE: Duration = Duration::from_mins(10);

/// Writes files of 1 MiB and keeps them.
const KEEPS_FILES: &str = "
import os, sys, time
number = len(os.listdir(sys.argv[1]))
while True:
    with open(os.path.join(sys.argv[1], str(number)), 'wb') as file:
        file.write(os.urandom(1 << 20))
    number += 1
    time.sleep(0.1)
";

/// Grows until almost all of its limit is taken, and needs pages of a file all the time.
const THRASHES: &str = "
import mmap, os, random, sys, time
file = open(sys.argv[1], 'rb')
os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
pages = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
pages.madvise(mmap.MADV_RANDOM)
most, kept = int(sys.argv[2]), []
def held():
    with open('/proc/self/status') as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith('RssAnon:'))
while True:
    if held() + (1 << 18) < most:
        kept.append(bytes([1]) * (1 << 18))
    for _ in range(40):
        pages[random.randrange(len(pages))]
    time.sleep(0.02)
";

fn start(parent: &Cgroup) -> Result<Daemon> {
    Daemon::start(&Options {
        executable: Path::new(LEAKWATCH),
        only: parent.path(),
        interval_seconds: 1,
        config: "",
        arguments: &[],
    })
}

/// All that a person is told, and told to do.
fn told(verdict: &Value) -> String {
    format!(
        "{}\n{}\n{}",
        verdict["summary"], verdict["advice"], verdict["would_change_our_mind"]
    )
}

#[test]
fn files_in_memory_that_outlive_every_kill_are_told_as_such() -> Result<()> {
    let files = TempDir::new_in("/dev/shm")?;
    let directory = TempDir::new()?;
    let parent = Cgroup::create("tmpfs")?;
    let daemon = start(&parent)?;
    let cgroup = parent.child("uploads", Some(64 * MIB))?;
    let script = format!(
        "for life in 1 2 3 4; do python3 -c \"$1\" {}; sleep 2; done; sleep 3600",
        files.path().display()
    );
    let arguments = ["-c", &script, "sh", KEEPS_FILES];
    let log = directory.path().join("log");
    let _program = Running::start_in(&cgroup, Path::new("/bin/sh"), arguments, &log)?;
    let target = daemon.wait_target(cgroup.path())?;
    let kills = wait_until("four post-mortems", DEADLINE, || {
        let all = daemon.client().json("/api/v1/oom_kills?limit=50")?;
        let mine: Vec<Value> = all["items"]
            .as_array()
            .context("no list")?
            .iter()
            .filter(|kill| text(kill, "target") == target)
            .cloned()
            .collect();
        Ok((mine.len() >= 4).then_some(mine))
    })?;
    for kill in &kills {
        let full = daemon
            .client()
            .json(&format!("/api/v1/oom_kills/{}", text(kill, "id")))?;
        let verdict = &full["verdict"];
        assert_eq!(text(verdict, "class"), "tmpfs", "{full:#}");
        assert!(told(verdict).contains("/dev/shm"), "{verdict:#}");
        assert!(verdict["recommended_limit_bytes"].is_null(), "{verdict:#}");
        for foreign in ["GOMEMLIMIT", "oroutine", "Go heap", "-Xmx"] {
            assert!(!told(verdict).contains(foreign), "{foreign}: {verdict:#}");
        }
    }
    Ok(())
}

#[test]
fn a_program_that_thrashes_at_its_limit_is_told_not_to_wait() -> Result<()> {
    let directory = TempDir::new()?;
    let file = directory.path().join("pages");
    // Written back, so that the program can have it read again, charged to itself.
    let mut written = fs::File::create(&file)?;
    written.write_all(&vec![7; 256 << 20])?;
    written.sync_all()?;
    let parent = Cgroup::create("thrashing")?;
    let daemon = start(&parent)?;
    let cgroup = parent.child("lookups", Some(128 * MIB))?;
    // Of what is left nearly all is taken by the file.
    let most = (122 * MIB).to_string();
    let arguments = ["-c", THRASHES, &file.display().to_string(), &most];
    let log = directory.path().join("log");
    let program = Running::start_in(
        &cgroup,
        Path::new("/usr/bin/env"),
        ["python3"].iter().chain(&arguments),
        &log,
    )?;
    let target = daemon.wait_target(cgroup.path())?;
    let verdict = wait_until("that it thrashes", DEADLINE, || {
        let verdict = daemon.investigation(&target)?["verdict"].take();
        Ok(text(&verdict, "summary").contains("thrashes").then_some(verdict))
    })
    .with_context(|| format!("{:#}", daemon.investigation(&target).unwrap_or_default()))?;
    assert_eq!(cgroup.oom_kills()?, 0, "{verdict:#}");
    let summary = text(&verdict, "summary");
    let process = format!("process {}", program.pid());
    assert!(
        summary.contains("anonymous memory") && summary.contains(&process),
        "{verdict:#}"
    );
    assert!(verdict["time_to_limit_seconds"].is_null(), "{verdict:#}");
    assert!(
        told(&verdict).contains("Do not wait") && !told(&verdict).contains("\"Wait"),
        "{verdict:#}"
    );
    Ok(())
}
