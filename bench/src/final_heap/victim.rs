//! A program that is killed, and what it said before.

use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::wait::wait_until;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use rustix::time::ClockId;
use rustix::time::clock_gettime;
use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes of one piece of filled memory, and of one held object, as the program has them.
pub(crate) const PIECE: i64 = 1 << 20;
pub(crate) const OBJECT: i64 = 64;

/// What the cgroup has beyond what the program has when it is ready: it is near its limit then, and filled soon.
const ROOM: u64 = 24 << 20;

/// A program on its way.
#[derive(Debug)]
pub(crate) struct Victim {
    cgroup: Cgroup,
    pid: u32,
    log: PathBuf,
    /// Waits for its end: how it was, and when in seconds of the monotonic clock.
    waiting: JoinHandle<Result<(ExitStatus, f64)>>,
}

/// What it had said when it was killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Truth {
    pub(crate) pid: u32,
    /// Objects on stacks of their own.
    pub(crate) held: i64,
    /// Buckets that its runtime counted before it filled the memory.
    pub(crate) buckets: u64,
    /// Pieces that it had filled for sure.
    pub(crate) filled: i64,
    /// When the last of its threads had ended, in seconds of the monotonic clock.
    pub(crate) gone: f64,
}

impl Victim {
    /// Starts one in a cgroup that ends with it.
    pub(crate) fn start(program: &Path, cgroup: Cgroup, arguments: &[String], log: PathBuf) -> Result<Self> {
        let output = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        // The shell enters the cgroup and then becomes the program: same pid, nothing of the shell is left.
        let mut child = Command::new("/bin/sh")
            .args(["-c", r#"echo $$ > "$0" && exec "$@""#])
            .arg(cgroup.directory().join("cgroup.procs"))
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("start the program")?;
        let pid = child.id();
        // Ends with the program, which ends with its cgroup.
        let waiting = std::thread::spawn(move || {
            let status = child.wait()?;
            Ok((status, monotonic_seconds()))
        });
        Ok(Self {
            cgroup,
            pid,
            log,
            waiting,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Waits until it has all its buckets, and brings its limit near.
    pub(crate) fn wait_ready(&self) -> Result<()> {
        let what = format!("process {} to be ready", self.pid);
        wait_until(&what, Duration::from_mins(5), || {
            ensure!(!self.waiting.is_finished(), "it has ended:\n{}", self.output());
            Ok(said(&self.output(), "buckets").is_some().then_some(()))
        })?;
        self.cgroup.set_limit(self.cgroup.charge()? + ROOM)
    }

    /// Tells it to fill its cgroup.
    pub(crate) fn fill(&self) -> Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("pid")?;
        Ok(kill_process(pid, Signal::USR1)?)
    }

    /// Waits for its end, and lets its cgroup go.
    pub(crate) fn wait(self) -> Result<Truth> {
        let what = format!("process {} to end", self.pid);
        wait_until(&what, Duration::from_mins(5), || {
            Ok(self.waiting.is_finished().then_some(()))
        })?;
        let output = self.output();
        let ended = self
            .waiting
            .join()
            .ok()
            .context("the thread that waits for it panicked")?;
        let (status, gone) = ended?;
        ensure!(status.code().is_none(), "it ended with {status}:\n{output}");
        let number = |word: &str| said(&output, word).with_context(|| format!("it did not say {word}:\n{output}"));
        Ok(Truth {
            pid: self.pid,
            held: number("held")?,
            buckets: u64::try_from(number("buckets")?)?,
            filled: said(&output, "filled").unwrap_or(0),
            gone,
        })
    }

    fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// The last number after a word at the beginning of a line.
fn said(output: &str, word: &str) -> Option<i64> {
    let mut lines = output.lines().rev();
    lines.find_map(|line| line.strip_prefix(word)?.strip_prefix(' ')?.parse().ok())
}

#[expect(clippy::cast_precision_loss, reason = "seconds since the machine was started")]
fn monotonic_seconds() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}
