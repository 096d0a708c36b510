//! What a server is watched by, begun and ended as often as is wanted: a capture of its allocator's calls as the daemon makes it, or
//! the whole daemon.

use crate::idle::processor_ticks;
use crate::servers::server::Server;
use anyhow::Context as _;
use anyhow::bail;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use serde_json::Value;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use xtask::tools;

/// The daemon's own.
const INTERVAL_SECONDS: u32 = 5;

/// By what.
pub(crate) enum Watcher {
    Capture(Capture),
    Daemon {
        executable: PathBuf,
        cgroup_path: String,
        running: Option<Daemon>,
    },
}

/// What it has done so far, or between two instants.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Processor time of leakwatch itself, in clock ticks.
    pub(crate) own_ticks: f64,
    /// Of a capture: how long it has been running, and how much of that its probes were attached.
    pub(crate) running_seconds: f64,
    pub(crate) attached_seconds: f64,
    /// Times that they were attached.
    pub(crate) windows: f64,
    pub(crate) hits: f64,
    pub(crate) samples: f64,
    /// Processor time that it has cost the server, by the price of a hit, and all that the server has used meanwhile.
    pub(crate) spent_seconds: f64,
    pub(crate) used_seconds: f64,
    pub(crate) losses: f64,
    /// Of the daemon: profiles read from outside.
    pub(crate) profiles: f64,
}

impl Seen {
    /// Combines each figure with the same of another.
    fn with(self, other: Self, combine: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            own_ticks: combine(self.own_ticks, other.own_ticks),
            running_seconds: combine(self.running_seconds, other.running_seconds),
            attached_seconds: combine(self.attached_seconds, other.attached_seconds),
            windows: combine(self.windows, other.windows),
            hits: combine(self.hits, other.hits),
            samples: combine(self.samples, other.samples),
            spent_seconds: combine(self.spent_seconds, other.spent_seconds),
            used_seconds: combine(self.used_seconds, other.used_seconds),
            losses: combine(self.losses, other.losses),
            profiles: combine(self.profiles, other.profiles),
        }
    }

    pub(crate) fn since(self, before: Self) -> Self {
        self.with(before, |now, before| now - before)
    }

    pub(crate) fn and(self, other: Self) -> Self {
        self.with(other, |one, other| one + other)
    }
}

impl Watcher {
    /// The daemon with its default settings, which sees nothing but the server's cgroup.
    pub(crate) fn daemon(executable: &Path, server: &Server) -> Self {
        Self::Daemon {
            executable: executable.to_owned(),
            cgroup_path: server.cgroup.path().to_owned(),
            running: None,
        }
    }

    pub(crate) fn begin(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Capture(capture) => capture.order("start").map(drop),
            Self::Daemon {
                executable,
                cgroup_path,
                running,
            } => {
                *running = Some(Daemon::start(&Options {
                    executable,
                    only: cgroup_path,
                    interval_seconds: INTERVAL_SECONDS,
                    config: "",
                    arguments: &[],
                })?);
                Ok(())
            }
        }
    }

    /// An error where a capture is not running: then there is nothing to measure.
    pub(crate) fn look(&mut self) -> anyhow::Result<Seen> {
        match self {
            Self::Capture(capture) => capture.seen(),
            Self::Daemon {
                cgroup_path, running, ..
            } => {
                let daemon = running.as_mut().context("the daemon was not started")?;
                let target = daemon.wait_target(cgroup_path)?;
                let profiles = daemon.client().json(&format!("/api/v1/targets/{target}/profiles"))?;
                let items = profiles.get("items").and_then(Value::as_array);
                let profiles = items.context("profiles without items")?.len();
                Ok(Seen {
                    own_ticks: processor_ticks(daemon.process().pid())?,
                    profiles: f64::from(u32::try_from(profiles)?),
                    ..Seen::default()
                })
            }
        }
    }

    pub(crate) fn end(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Capture(capture) => capture.order("stop").map(drop),
            Self::Daemon { running, .. } => {
                drop(running.take());
                Ok(())
            }
        }
    }
}

/// `bench/examples/governed.rs`, which takes orders. It ends when it is dropped, as its standard input does.
pub(crate) struct Capture {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Capture {
    /// For one process; nothing is attached yet.
    pub(crate) fn prepare(pid: u32) -> anyhow::Result<Self> {
        let mut child = Command::new(tools::target_dir().join("release/examples/governed"))
            .arg(pid.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the example governed")?;
        let orders = child.stdin.take();
        let answers = child.stdout.take().context("standard output")?;
        let mut capture = Self {
            child,
            orders,
            answers: BufReader::new(answers),
        };
        capture.answer()?;
        Ok(capture)
    }

    fn order(&mut self, order: &str) -> anyhow::Result<String> {
        writeln!(self.orders.as_mut().context("standard input")?, "{order}")?;
        self.answer()
    }

    fn answer(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("the example governed has ended");
        }
        Ok(line)
    }

    fn seen(&mut self) -> anyhow::Result<Seen> {
        let line = self.order("look")?;
        let answer: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        if answer.get("state").and_then(Value::as_str) != Some("Running") {
            bail!("the capture is not running: {line}");
        }
        let number = |name: &str| {
            answer
                .get(name)
                .and_then(Value::as_f64)
                .with_context(|| format!("no {name}: {line}"))
        };
        Ok(Seen {
            own_ticks: processor_ticks(self.child.id())?,
            running_seconds: number("running_seconds")?,
            attached_seconds: number("attached_seconds")?,
            windows: number("windows")?,
            hits: number("hits")?,
            samples: number("samples")?,
            spent_seconds: number("spent_seconds")?,
            used_seconds: number("used_seconds")?,
            losses: number("losses")?,
            profiles: 0.0,
        })
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        drop(self.orders.take());
        drop(self.child.wait());
    }
}
