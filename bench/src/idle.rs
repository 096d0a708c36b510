//! What the daemon costs on a host where nothing happens: processor time and memory with many sleeping processes in
//! cgroups of their own.

use anyhow::Context as _;
use anyhow::bail;
use anyhow::ensure;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::cgroup::Version;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::wait::interrupt;
use leakwatch_test_support::wait::wait_until;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;
use xtask::build;
use xtask::tools;

/// `USER_HZ`: the unit of the times in `/proc/PID/stat` on every architecture we build for.
pub(crate) const TICKS_PER_SECOND: f64 = 100.0;
/// Goals, in percent of one core and in KiB.
const MOST_PROCESSOR: f64 = 1.0;
const MOST_RESIDENT_KIB: u64 = 48 * 1024;
/// Rounds before the measurement: the first ones announce every target and look at every executable.
const WARM_UP_ROUNDS: u32 = 4;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Cgroups with processes
    #[arg(long, default_value_t = 500)]
    cgroups: usize,
    /// Processes over all cgroups
    #[arg(long, default_value_t = 2000)]
    processes: usize,
    /// Sampling interval of the daemon in seconds
    #[arg(long, default_value_t = 5)]
    interval: u32,
    /// How long to measure, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Let every cgroup grow by 256 KiB per interval instead of sleeping; no goal is set for that
    #[arg(long)]
    busy: bool,
    /// The daemon to measure, instead of building one
    #[arg(long)]
    executable: Option<PathBuf>,
}

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<()> {
    ctrlc::set_handler(interrupt).context("handle Ctrl-C")?;
    ensure!(arguments.cgroups > 0 && arguments.interval > 0, "nothing to measure");
    let executable = match &arguments.executable {
        Some(executable) => executable.clone(),
        None => build::main()?,
    };
    let what = format!(
        "starting {} processes in {} cgroups",
        arguments.processes, arguments.cgroups
    );
    let load = tools::step(&what, || Load::start(arguments))?;
    let mut daemon = Daemon::start(&Options {
        executable: &executable,
        only: load.cgroup.path(),
        interval_seconds: arguments.interval,
        config: "",
        arguments: &[],
    })?;
    let pid = daemon.process().pid();
    let warm_up = Duration::from_secs(u64::from(arguments.interval * WARM_UP_ROUNDS));
    let measured = Duration::from_secs(arguments.seconds);
    let usage = tools::step(&format!("measuring for {} s", arguments.seconds), || {
        wait_until("all targets to be seen", Duration::from_mins(1), || {
            Ok((targets(&daemon)? >= arguments.cgroups).then_some(()))
        })?;
        pass(warm_up)?;
        let (start, before) = (Instant::now(), processor_ticks(pid)?);
        pass(measured)?;
        let ticks = processor_ticks(pid)? - before;
        Ok(100.0 * ticks / TICKS_PER_SECOND / start.elapsed().as_secs_f64())
    })?;
    let resident = status_kib(pid, "VmRSS")?;
    let peak = status_kib(pid, "VmHWM")?;
    let anonymous = status_kib(pid, "RssAnon")?;
    tools::say(format!(
        "{} cgroups, {} processes, {} s interval, {}: {usage:.2} % of one core, {:.1} MiB resident ({:.1} MiB anonymous, peak {:.1} MiB)",
        arguments.cgroups,
        arguments.processes,
        arguments.interval,
        if arguments.busy { "every cgroup growing" } else { "idle" },
        mib(resident),
        mib(anonymous),
        mib(peak),
    ));
    if arguments.busy {
        return Ok(());
    }
    if usage > MOST_PROCESSOR || resident > MOST_RESIDENT_KIB {
        bail!(
            "the goal is at most {MOST_PROCESSOR} % of one core and {:.0} MiB",
            mib(MOST_RESIDENT_KIB)
        );
    }
    Ok(())
}

/// Lets time pass; Ctrl-C ends it early, as an error.
pub(crate) fn pass(duration: Duration) -> anyhow::Result<()> {
    let start = Instant::now();
    let deadline = duration + Duration::from_mins(1);
    wait_until("time to pass", deadline, || {
        Ok((start.elapsed() >= duration).then_some(()))
    })
}

/// The watched processes. Dropping it kills them and removes their cgroups.
struct Load {
    cgroup: Cgroup,
    shells: Vec<Child>,
}

impl Load {
    fn start(arguments: &Arguments) -> anyhow::Result<Self> {
        let cgroup = Cgroup::create("bench")?;
        if cgroup.version() == Version::V2 {
            fs::write(cgroup.directory().join("cgroup.subtree_control"), "+memory")?;
        }
        let mut load = Self {
            cgroup,
            shells: Vec::with_capacity(arguments.cgroups),
        };
        for index in 0..arguments.cgroups {
            // The remainder goes to the first cgroups; a cgroup without a process would be no target.
            let extra = usize::from(index < arguments.processes % arguments.cgroups);
            let processes = (arguments.processes / arguments.cgroups + extra).max(1);
            let directory = load.cgroup.directory().join(format!("c{index}"));
            fs::create_dir(&directory).with_context(|| format!("create {}", directory.display()))?;
            load.shells.push(shell(&directory, processes, arguments)?);
        }
        wait_until("the processes to run", Duration::from_mins(2), || {
            Ok((load.processes()? >= arguments.processes).then_some(()))
        })?;
        Ok(load)
    }

    fn processes(&self) -> anyhow::Result<usize> {
        let mut count = 0;
        for entry in fs::read_dir(self.cgroup.directory())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                count += fs::read_to_string(entry.path().join("cgroup.procs"))?.lines().count();
            }
        }
        Ok(count)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Err(error) = leakwatch_test_support::cgroup::remove_subtree(self.cgroup.directory()) {
            tools::say(format!("cleaning up: {error:#}"));
        }
        for shell in &mut self.shells {
            drop(shell.kill());
            drop(shell.wait());
        }
    }
}

/// Starts the processes of one cgroup: the shell enters it, starts the others and becomes the last.
fn shell(directory: &Path, processes: usize, arguments: &Arguments) -> anyhow::Result<Child> {
    let sleepers = "sleep 86400 & ".repeat(processes - 1);
    let last = if arguments.busy {
        // tail keeps a line that never ends
        format!(
            "while :; do head -c 256K /dev/zero; sleep {}; done | exec tail -n 1",
            arguments.interval
        )
    } else {
        "exec sleep 86400".to_owned()
    };
    Command::new("/bin/sh")
        .args(["-c", &format!(r#"echo $$ > "$0" || exit; {sleepers}{last}"#)])
        .arg(directory.join("cgroup.procs"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("start /bin/sh")
}

/// How many targets the daemon lists.
fn targets(daemon: &Daemon) -> anyhow::Result<usize> {
    let list = daemon.client().json("/api/v1/targets?limit=500")?;
    let items = list
        .get("items")
        .and_then(Value::as_array)
        .context("targets without items")?;
    Ok(items.len())
}

/// User and system time of a process so far (`proc_pid_stat(5)`, fields 14 and 15).
pub(crate) fn processor_ticks(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| path.clone())?;
    let (_, fields) = stat.rsplit_once(')').with_context(|| path.clone())?;
    let mut times = fields.split_whitespace().skip(11);
    let mut time = || times.next().and_then(|ticks| ticks.parse::<f64>().ok());
    let (user, system) = (
        time().with_context(|| path.clone())?,
        time().with_context(|| path.clone())?,
    );
    Ok(user + system)
}

pub(crate) fn status_kib(pid: u32, key: &str) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':')?.strip_suffix("kB"));
    Ok(line.with_context(|| format!("{path} has no {key}"))?.trim().parse()?)
}

#[expect(clippy::cast_precision_loss, reason = "exact below 8 EiB")]
pub(crate) fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
