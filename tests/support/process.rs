//! Processes that end with their test.

use crate::cgroup::Cgroup;
use crate::wait::wait_regardless;
use crate::wait::wait_until;
use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use rustix::process::Pid;
pub use rustix::process::Signal;
use rustix::process::kill_process;
use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

/// Runs a command to its end and answers what it prints; what it complains of is the error of one that fails.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("start {}", command.get_program().display()))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A running process with its output in a file. Dropping it asks it to end, then kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts a command, in a process group of its own so that Ctrl-C reaches it only through its guard.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let output = File::create(log).with_context(|| format!("create {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {}", command.get_program().display()))?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    /// Starts a program inside a cgroup: every page it ever touches is charged there.
    pub fn start_in<S: AsRef<OsStr>>(
        cgroup: &Cgroup,
        program: &Path,
        arguments: impl IntoIterator<Item = S>,
        log: &Path,
    ) -> Result<Self> {
        // The shell enters the cgroup and then becomes the program: same pid, nothing of the shell is left.
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", r#"echo $$ > "$0" && exec "$@""#])
            .arg(cgroup.directory().join("cgroup.procs"))
            .arg(program)
            .args(arguments);
        Self::start(command, log)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end.
    pub fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let pid = self.pid();
        wait_until(&format!("process {pid} to end"), deadline, || self.ended())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("pid")?;
        Ok(kill_process(pid, signal)?)
    }

    /// What it has printed so far.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) && self.signal(Signal::TERM).is_ok() {
            let ended = wait_regardless("end after SIGTERM", Duration::from_secs(5), || {
                Ok(self.child.try_wait()?)
            });
            if ended.is_err() {
                drop(self.child.kill());
            }
        }
        drop(self.child.wait());
    }
}
