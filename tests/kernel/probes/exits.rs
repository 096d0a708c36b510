//! Process exits: the right process, once, with its exit code.

use crate::probes::DEADLINE;
use crate::probes::start;
use anyhow::Context as _;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use leakwatch::probes::ProbeEvent;
use leakwatch_analysis::model::event::ProcessExit;
use leakwatch_analysis::model::killer::Killer;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_test_support::cgroup::Cgroup;
use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;
use tokio::time::timeout_at;

const THREADS: &str = "LEAKWATCH_TEST_THREADS";
/// Processes that end, until one of them is seen.
const ATTEMPTS: u32 = 5;
/// An exit that has not come this long after a program was missed is the one that was missed.
const MISSED: Duration = Duration::from_secs(15);

/// Not a test of its own: a process whose main thread is not its last.
#[test]
fn threads() {
    if env::var_os(THREADS).is_none() {
        return;
    }
    let threads: Vec<_> = (0..8)
        .map(|_| thread::spawn(|| std::io::stdin().read_line(&mut String::new())))
        .collect();
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
}

/// Starts a command that waits for the end of its input.
fn start_waiting(command: &mut Command) -> Result<(Child, ProcessKey)> {
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
    let after_comm = stat.rsplit(')').next().context("stat")?;
    // Field 22, and field 3 follows the command name.
    let start_ticks = after_comm.split_whitespace().nth(19).context("starttime")?.parse()?;
    let key = ProcessKey {
        pid: child.id(),
        start_ticks,
    };
    Ok((child, key))
}

/// The exit of a process; none if programs were missed and it does not come: the kernel leaves a program out where another one is running
/// already on that processor, and says how often.
async fn exit_of(events: &mut Receiver<ProbeEvent>, key: ProcessKey) -> Result<Option<ProcessExit>> {
    wait_for(events, key, |_exit| {}).await
}

/// The same, showing the exits of others that come before.
async fn wait_for(
    events: &mut Receiver<ProbeEvent>,
    key: ProcessKey,
    mut before: impl FnMut(&ProcessExit),
) -> Result<Option<ProcessExit>> {
    let mut missed = false;
    let mut deadline = Instant::now() + DEADLINE;
    loop {
        match timeout_at(deadline, events.recv()).await {
            Ok(event) => match event.context("the probes ended")? {
                ProbeEvent::ProcessExit(exit) if exit.key == key => return Ok(Some(exit)),
                ProbeEvent::ProcessExit(exit) => before(&exit),
                ProbeEvent::Loss(loss) if loss.reason == "probe_program_missed" => {
                    missed = true;
                    deadline = deadline.min(Instant::now() + MISSED);
                }
                _ => {}
            },
            Err(_elapsed) => {
                ensure!(missed, "waited in vain for the exit of {key}");
                return Ok(None);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_has_identity_code_and_cgroup() -> Result<()> {
    let (_probes, mut events) = start()?;
    let cgroup = Cgroup::create("exits")?;
    let inode = fs::metadata(cgroup.directory())?.ino();
    for (end, status) in [("exit 3", 3 << 8), ("exit 0", 0), ("kill -9 $$", 9)] {
        let mut seen = None;
        for _ in 0..ATTEMPTS {
            let mut shell = Command::new("/bin/sh");
            shell
                .args(["-c", &format!("echo $$ > \"$0\"; read line; {end}")])
                .arg(cgroup.directory().join("cgroup.procs"));
            let (mut child, key) = start_waiting(&mut shell)?;
            drop(child.stdin.take());
            child.wait()?;
            seen = exit_of(&mut events, key).await?;
            if seen.is_some() {
                break;
            }
        }
        let exit = seen.context("each exit was missed")?;
        assert_eq!(exit.exit_code, Ok(status), "{end}");
        assert_eq!(exit.cgroup_inode, Some(inode), "{end}");
        assert!(!exit.comm.is_empty(), "{end}");
    }
    Ok(())
}

/// By itself, by a shell, by this process: told as the kernel saw it. What nobody killed has no killer.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_tells_who_killed_it() -> Result<()> {
    let (_probes, mut events) = start()?;
    let own = fs::read_to_string("/proc/thread-self/comm")?.trim_end().to_owned();
    for (end, by) in [
        ("kill -9 $$", By::Itself),
        ("read line", By::Test),
        ("kill -15 $$", By::Nobody),
        ("exit 9", By::Nobody),
    ] {
        let mut seen = None;
        for _ in 0..ATTEMPTS {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", &format!("read line; {end}")]);
            let (mut child, key) = start_waiting(&mut shell)?;
            let stdin = child.stdin.take();
            if matches!(by, By::Test) {
                child.kill()?;
            }
            drop(stdin);
            child.wait()?;
            seen = exit_of(&mut events, key).await?.map(|exit| (exit, key));
            if seen.is_some() {
                break;
            }
        }
        let (exit, key) = seen.context("each exit was missed")?;
        let expected = match by {
            By::Nobody => None,
            By::Itself => Some(Killer::Process {
                pid: key.pid,
                comm: "sh".to_owned(),
            }),
            By::Test => Some(Killer::Process {
                pid: std::process::id(),
                comm: own.clone(),
            }),
        };
        assert_eq!(exit.killer, expected, "{end}");
        assert_eq!(exit.was_killed(), !matches!(by, By::Nobody), "{end}");
    }
    Ok(())
}

/// Who is to kill.
#[derive(Clone, Copy)]
enum By {
    Nobody,
    Itself,
    Test,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_many_threads_exits_once() -> Result<()> {
    let (_probes, mut events) = start()?;
    for _ in 0..ATTEMPTS {
        if exits_once(&mut events).await? {
            return Ok(());
        }
    }
    bail!("each time an exit was missed")
}

/// False if one of the exits was missed.
async fn exits_once(events: &mut Receiver<ProbeEvent>) -> Result<bool> {
    let mut command = Command::new(env::current_exe()?);
    command
        .args(["--exact", "exits::threads", "--nocapture"])
        .env(THREADS, "1");
    let (mut child, key) = start_waiting(&mut command)?;
    drop(child.stdin.take());
    child.wait()?;
    if exit_of(events, key).await?.is_none() {
        return Ok(false);
    }
    // A later process marks the end of what could still come.
    let (mut marker, marker_key) = start_waiting(&mut Command::new("cat"))?;
    drop(marker.stdin.take());
    marker.wait()?;
    let mut again = 0;
    let marked = wait_for(events, marker_key, |exit| again += u32::from(exit.key == key)).await?;
    assert_eq!(again, 0);
    Ok(marked.is_some())
}
