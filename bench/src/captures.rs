//! What the daemon keeps of captures that have ended: many in a row, over programs with debugging information, and after each the daemon's resident
//! memory, its eBPF maps and its threads.

use crate::idle::TICKS_PER_SECOND;
use crate::idle::processor_ticks;
use anyhow::Context as _;
use anyhow::bail;
use anyhow::ensure;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs::folder;
use leakwatch_test_support::wait::interrupt;
use leakwatch_test_support::wait::wait_until;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use xtask::build;
use xtask::tools;

/// Goal, in KiB: resident memory once a capture has ended.
const MOST_RESIDENT_KIB: u64 = 64 * 1024;
/// A capture ends within this time, its debugging information read.
const DEADLINE: Duration = Duration::from_mins(5);
/// What a capture leaves is measured once its threads are gone.
const THREADS_OF_CAPTURES: [&str; 2] = ["capture", "symbolizer"];

/// Programs of `tests/programs/native` that work until they are killed, and their compilers.
const PROGRAMS: [(&str, &str); 5] = [
    ("leak.c", "cc"),
    ("leak.cc", "c++"),
    ("records.rs", "rustc"),
    ("pool.c", "cc"),
    ("sawtooth.c", "cc"),
];

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Captures in a row
    #[arg(long, default_value_t = 200)]
    captures: usize,
    /// How long each is attached, in seconds
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Mean bytes between samples of the lane `native`
    #[arg(long, default_value_t = 65_536)]
    sample_bytes: u64,
    /// The daemon to measure, instead of building one
    #[arg(long)]
    executable: Option<PathBuf>,
    /// Further programs to start and to capture: each a command line that runs until it is killed
    #[arg(long)]
    program: Vec<String>,
}

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<()> {
    ctrlc::set_handler(interrupt).context("handle Ctrl-C")?;
    ensure!(arguments.captures > 0, "nothing to measure");
    let executable = match &arguments.executable {
        Some(executable) => executable.clone(),
        None => build::main()?,
    };
    let directory = tempfile::tempdir()?;
    let root = Cgroup::create("captures")?;
    let watched = tools::step("building and starting the programs", || {
        start_all(&root, directory.path(), &arguments.program)
    })?;
    let mut daemon = Daemon::start(&Options {
        executable: &executable,
        only: root.path(),
        interval_seconds: 5,
        config: "[native]\nautomatic = false\n",
        arguments: &[],
    })?;
    let pid = daemon.process().pid();
    let targets = watched
        .iter()
        .map(|program| daemon.wait_target(program.cgroup.path()))
        .collect::<anyhow::Result<Vec<String>>>()?;
    let before = Left::of(pid)?;
    let ticks_before = processor_ticks(pid)?;
    tools::say(format!("before: {before}"));
    let mut most = before;
    let mut states: BTreeMap<String, usize> = BTreeMap::new();
    for number in 0..arguments.captures {
        let lane = if number / targets.len() % 2 == 0 {
            "native"
        } else {
            "growth"
        };
        let target = targets.get(number % targets.len()).context("a target")?;
        let ended = capture(&daemon, target, lane, arguments)?;
        *states.entry(ended).or_default() += 1;
        wait_until("the threads of the capture to end", DEADLINE, || {
            Ok((threads_of_captures(pid)? == 0).then_some(()))
        })?;
        let left = Left::of(pid)?;
        most = most.max(left);
        if (number + 1) % 10 == 0 || number < 5 {
            tools::say(format!("after {} captures: {left}", number + 1));
        }
    }
    let milliseconds = 1000.0 * (processor_ticks(pid)? - ticks_before) / TICKS_PER_SECOND;
    let ends: Vec<String> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    tools::say(format!(
        "{} captures of {} programs ({}): most left {most}; peak {:.1} MiB; {:.0} ms of processor time for each",
        arguments.captures,
        targets.len(),
        ends.join(", "),
        mib(status_kib(pid, "VmHWM")?),
        milliseconds / f64::from(u32::try_from(arguments.captures)?),
    ));
    if most.resident_kib > MOST_RESIDENT_KIB {
        bail!("the goal is at most {:.0} MiB", mib(MOST_RESIDENT_KIB));
    }
    Ok(())
}

/// A program to be captured, in a cgroup of its own. It is killed with its cgroup.
struct Watched {
    cgroup: Cgroup,
    _running: Running,
}

fn start_all(root: &Cgroup, directory: &Path, further: &[String]) -> anyhow::Result<Vec<Watched>> {
    let mut lines = Vec::new();
    for (source, compiler) in PROGRAMS {
        let executable = directory.join(source.replace('.', "-"));
        let path = folder().join("native").join(source);
        let optimised = if compiler == "rustc" { "-O" } else { "-O2" };
        tools::run(
            Command::new(compiler)
                .current_dir(tools::workspace())
                .args([optimised, "-g", "-o"])
                .arg(&executable)
                .arg(path),
        )?;
        lines.push(vec![executable.to_string_lossy().into_owned()]);
    }
    lines.extend(
        further
            .iter()
            .map(|line| line.split_whitespace().map(str::to_owned).collect()),
    );
    let mut watched = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let (program, rest) = line.split_first().context("an empty command line")?;
        let cgroup = root.child(&format!("p{number}"), None)?;
        let log = directory.join(format!("p{number}.log"));
        let running = Running::start_in(&cgroup, Path::new(program), rest, &log)?;
        watched.push(Watched {
            cgroup,
            _running: running,
        });
    }
    Ok(watched)
}

/// Captures a target and answers how that ended.
fn capture(daemon: &Daemon, target: &str, lane: &str, arguments: &Arguments) -> anyhow::Result<String> {
    let body = json!({ "lane": lane, "seconds": arguments.seconds, "sample_bytes": arguments.sample_bytes });
    let answer = daemon
        .client()
        .post(&format!("/api/v1/targets/{target}/captures"), &body)?;
    let started: Value = serde_json::from_slice(&answer.body).context("the answer to a capture")?;
    ensure!(answer.status == 202, "no capture: {started}");
    let link = format!("/api/v1/captures/{}", text(&started, "id"));
    wait_until("the capture to end", DEADLINE, || {
        let capture = daemon.client().json(&link)?;
        let state = text(&capture, "state").to_owned();
        Ok((!["starting", "running"].contains(&state.as_str())).then_some(state))
    })
}

/// What the daemon holds.
#[derive(Clone, Copy)]
struct Left {
    resident_kib: u64,
    anonymous_kib: u64,
    maps_kib: u64,
    threads: u64,
}

impl Left {
    fn of(pid: u32) -> anyhow::Result<Self> {
        Ok(Self {
            resident_kib: status_kib(pid, "VmRSS")?,
            anonymous_kib: status_kib(pid, "RssAnon")?,
            maps_kib: map_bytes(pid)? / 1024,
            threads: status_kib(pid, "Threads")?,
        })
    }

    fn max(self, other: Self) -> Self {
        Self {
            resident_kib: self.resident_kib.max(other.resident_kib),
            anonymous_kib: self.anonymous_kib.max(other.anonymous_kib),
            maps_kib: self.maps_kib.max(other.maps_kib),
            threads: self.threads.max(other.threads),
        }
    }
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.1} MiB resident ({:.1} MiB anonymous), {:.1} MiB of eBPF maps, {} threads",
            mib(self.resident_kib),
            mib(self.anonymous_kib),
            mib(self.maps_kib),
            self.threads
        )
    }
}

/// Threads of the daemon that belong to captures.
fn threads_of_captures(pid: u32) -> anyhow::Result<usize> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))?;
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    Ok(names.filter(|name| THREADS_OF_CAPTURES.contains(&name.trim())).count())
}

/// Kernel memory of all eBPF maps that a process holds (`memlock` of `/proc/PID/fdinfo`).
fn map_bytes(pid: u32) -> anyhow::Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        // A descriptor may be closed meanwhile.
        let Ok(info) = fs::read_to_string(entry?.path()) else {
            continue;
        };
        let bytes = info.lines().find_map(|line| line.strip_prefix("memlock:"));
        if info.contains("map_type:") {
            total += bytes.and_then(|bytes| bytes.trim().parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(total)
}

/// A number of `/proc/PID/status`, in KiB where it is one of bytes.
fn status_kib(pid: u32, key: &str) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .with_context(|| format!("{path} has no {key}"))?;
    Ok(line.trim_end_matches("kB").trim().parse()?)
}

#[expect(clippy::cast_precision_loss, reason = "exact below 8 EiB")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
