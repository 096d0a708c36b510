//! Files of cgroups that are not what they should be, and an executable that is larger than it looks: the daemon goes on, does not grow, and says what
//! is missing. (A pipe that nobody writes to keeps the sampling loop, which is the watchdog's: `service_manager.rs`.)

use crate::LEAKWATCH;
use anyhow::Context as _;
use anyhow::Result;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::wait::wait_until;
use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_mins(3);
/// Beyond what it takes at rest.
const MOST_RESIDENT_KIB: u64 = 128 << 10;

/// The files of a cgroup that are read, by the version 1 of the hierarchy.
const FILES: [&str; 6] = [
    "memory.usage_in_bytes",
    "memory.limit_in_bytes",
    "memory.stat",
    "memory.oom_control",
    "memory.failcnt",
    "cgroup.procs",
];

/// What may be in the place of each.
const KINDS: [&str; 6] = ["garbage", "sparse", "link", "directory", "empty", "changing"];

fn put(kind: &str, path: &Path) -> Result<()> {
    match kind {
        "garbage" => fs::write(path, [0xff, b' ', b'9', b'\n'].repeat(20_000))?,
        "sparse" => File::create(path)?.set_len(10 << 30)?,
        "link" => symlink("/dev/zero", path)?,
        "directory" => fs::create_dir(path)?,
        "empty" => fs::write(path, "")?,
        _ => fs::write(path, "1\n")?,
    }
    Ok(())
}

/// A directory that looks like the root of a hierarchy, with a cgroup for each file and each kind.
fn hierarchy(directory: &Path) -> Result<Vec<std::path::PathBuf>> {
    let root = directory.join("cgroup");
    let good = |cgroup: &Path| -> Result<()> {
        fs::create_dir_all(cgroup)?;
        for file in FILES {
            let text = match file {
                "cgroup.procs" => format!("{}\n", std::process::id()),
                "memory.stat" => "cache 4096\nrss 8192\ntotal_cache 4096\ntotal_rss 8192\n".to_owned(),
                "memory.oom_control" => "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n".to_owned(),
                _ => "1048576\n".to_owned(),
            };
            fs::write(cgroup.join(file), text)?;
        }
        Ok(())
    };
    good(&root)?;
    fs::write(root.join("cgroup.procs"), "")?;
    let mut changing = Vec::new();
    for file in FILES {
        for kind in KINDS {
            let cgroup = root.join(format!("{kind}-{file}"));
            good(&cgroup)?;
            let path = cgroup.join(file);
            fs::remove_file(&path)?;
            put(kind, &path)?;
            if kind == "changing" {
                changing.push(path);
            }
        }
    }
    good(&root.join("good"))?;
    Ok(changing)
}

fn resident_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(line.context("VmHWM")?.trim_end_matches("kB").trim().parse()?)
}

/// Waits until the daemon has sampled a cgroup so many times more.
fn samples(daemon: &Daemon, cgroup: &str, count: usize) -> Result<()> {
    let mut instants = BTreeSet::new();
    wait_until("more samples", DEADLINE, || {
        let target = daemon.target(cgroup)?.context("the target is gone")?;
        instants.insert(text(&target, "sampled_at").to_owned());
        Ok((instants.len() > count).then_some(()))
    })
}

#[test]
fn files_of_cgroups_that_are_none_harm_nobody() -> Result<()> {
    let directory = TempDir::new()?;
    let changing = hierarchy(directory.path())?;
    let root = directory.path().join("cgroup");
    let options = Options {
        executable: Path::new(LEAKWATCH),
        only: "/",
        interval_seconds: 1,
        config: "",
        arguments: &["--no-bpf", "--cgroup-root", &root.display().to_string()],
    };
    let mut daemon = Daemon::start(&options)?;
    daemon.wait_target("/good")?;
    let ended = AtomicBool::new(false);
    let outcome = thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 0_usize;
            while !ended.load(Ordering::Relaxed) {
                turn += 1;
                for path in &changing {
                    drop(fs::write(path, "7 7\n".repeat(turn % 1000)));
                }
            }
        });
        let outcome = samples(&daemon, "/good", 5);
        ended.store(true, Ordering::Relaxed);
        outcome
    });
    outcome.with_context(|| daemon.log())?;
    let pid = daemon.process().pid();
    let resident = resident_kib(pid)?;
    assert!(resident < MOST_RESIDENT_KIB, "{resident} KiB");
    for file in ["memory.usage_in_bytes", "memory.stat"] {
        for kind in ["garbage", "sparse", "link", "directory", "empty"] {
            let path = format!("/{kind}-{file}");
            let target = daemon.target(&path)?.with_context(|| format!("{path} is not listed"))?;
            assert!(target.to_string().contains("missing"), "{path} says nothing: {target}");
        }
    }
    Ok(())
}

/// A program of a few kilobytes with ten gigabytes of nothing behind it, and one that says that everything in it is enormous.
#[test]
fn an_executable_of_ten_gigabytes_is_looked_at_and_no_more() -> Result<()> {
    let parent = Cgroup::create("sparse")?;
    let directory = TempDir::new()?;
    let executable = directory.path().join("sleeps");
    fs::copy("/bin/sleep", &executable)?;
    File::options().write(true).open(&executable)?.set_len(10 << 30)?;
    let child = parent.child("sleeps", None)?;
    let _sleeping = Running::start_in(&child, &executable, ["1000"], &directory.path().join("log"))?;
    let mut daemon = Daemon::start(&Options {
        executable: Path::new(LEAKWATCH),
        only: parent.path(),
        interval_seconds: 1,
        config: "",
        arguments: &["--no-bpf"],
    })?;
    daemon.wait_target(child.path())?;
    samples(&daemon, child.path(), 3).with_context(|| daemon.log())?;
    let pid = daemon.process().pid();
    let resident = resident_kib(pid)?;
    assert!(resident < MOST_RESIDENT_KIB, "{resident} KiB");
    Ok(())
}
