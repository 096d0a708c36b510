//! A daemon of our own: own state directory, own port and socket, and only the cgroups it is told to watch.

use crate::http::Client;
use crate::http::free_port;
use crate::process::Running;
use crate::wait::wait_until;
use anyhow::Context as _;
use anyhow::Result;
use anyhow::bail;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// What tests are told by the environment is no setting of the daemon, which refuses what it does not know.
const OF_TESTS: [&str; 4] = [
    "LEAKWATCH_SLOW_TESTS",
    "LEAKWATCH_BLESS",
    "LEAKWATCH_ANSWERS",
    "LEAKWATCH_CACHE",
];

/// How to start it.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// The daemon's executable.
    pub executable: &'a Path,
    /// Watch just this cgroup subtree.
    pub only: &'a str,
    /// Sampling interval in seconds.
    pub interval_seconds: u32,
    /// Text of the configuration file.
    pub config: &'a str,
    /// Further arguments of `leakwatch agent`.
    pub arguments: &'a [&'a str],
}

/// A running daemon. Dropping it ends it and removes its state.
#[derive(Debug)]
pub struct Daemon {
    process: Running,
    client: Client,
    directory: TempDir,
}

impl Daemon {
    /// Starts the daemon and waits until it is ready.
    pub fn start(options: &Options<'_>) -> Result<Self> {
        Self::start_with(options, &[])
    }

    /// The same with further environment variables.
    pub fn start_with(options: &Options<'_>, environment: &[(&str, String)]) -> Result<Self> {
        let directory = TempDir::with_prefix("leakwatch-")?;
        let port = free_port()?;
        let config = directory.path().join("leakwatch.toml");
        fs::write(&config, options.config)?;
        let mut command = Command::new(options.executable);
        command
            .arg("agent")
            .arg("--state-dir")
            .arg(directory.path().join("state"))
            .arg("--socket")
            .arg(directory.path().join("api.sock"))
            .arg("--config")
            .arg(&config)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--only", options.only])
            .args(["--interval", &options.interval_seconds.to_string()])
            .args(options.arguments)
            .envs(environment.iter().map(|(name, value)| (*name, value)));
        for name in OF_TESTS {
            command.env_remove(name);
        }
        let process = Running::start(command, &directory.path().join("daemon.log"))?;
        let mut daemon = Self {
            process,
            client: Client::new(format!("http://127.0.0.1:{port}")),
            directory,
        };
        daemon.wait_ready()?;
        Ok(daemon)
    }

    fn wait_ready(&mut self) -> Result<()> {
        let (process, client) = (&mut self.process, &self.client);
        let ready = wait_until("the daemon to be ready", Duration::from_secs(30), || {
            if let Some(status) = process.ended()? {
                bail!("the daemon ended with {status}");
            }
            Ok(client
                .get("/readyz")
                .is_ok_and(|answer| answer.status == 200)
                .then_some(()))
        });
        ready.with_context(|| format!("daemon's output:\n{}", self.process.output()))
    }

    /// The API.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The process.
    pub fn process(&mut self) -> &mut Running {
        &mut self.process
    }

    /// The directory of its state, socket, configuration and log.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its state directory.
    pub fn state_directory(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// The target of a cgroup path, once it is listed.
    pub fn target(&self, cgroup_path: &str) -> Result<Option<Value>> {
        let list = self.client.json("/api/v1/targets?limit=500")?;
        let items = list
            .get("items")
            .and_then(Value::as_array)
            .context("targets without items")?;
        let found = items.iter().find(|item| text(item, "cgroup_path") == cgroup_path);
        Ok(found.cloned())
    }

    /// The target of a cgroup path and its opaque id, waiting until the daemon has seen it.
    pub fn wait_target(&self, cgroup_path: &str) -> Result<String> {
        let what = format!("{cgroup_path} to be listed");
        let target = wait_until(&what, Duration::from_secs(30), || self.target(cgroup_path))?;
        Ok(text(&target, "id").to_owned())
    }

    /// The investigation of a target.
    pub fn investigation(&self, target: &str) -> Result<Value> {
        self.client.json(&format!("/api/v1/targets/{target}/investigation"))
    }

    /// The post-mortem of the first OOM kill of a target, once there was one.
    pub fn post_mortem(&self, target: &str) -> Result<Option<Value>> {
        let kills = self
            .client
            .json(&format!("/api/v1/events?kinds=oom_kill&target={target}&limit=1000"))?;
        let newest_first = kills
            .get("items")
            .and_then(Value::as_array)
            .context("events without items")?;
        let Some(first) = newest_first.last() else {
            return Ok(None);
        };
        let link = first
            .pointer("/detail/link")
            .and_then(Value::as_str)
            .context("kill without link")?;
        self.client.json(link).map(Some)
    }
}

/// A text field of a JSON object; empty when absent.
pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or("")
}
