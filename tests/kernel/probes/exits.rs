//! Process exits: the right process, once, with its exit code.

use crate::probes::next;
use crate::probes::start;
use anyhow::Context as _;
use anyhow::Result;
use leakwatch::probes::ProbeEvent;
use leakwatch_analysis::model::event::ProcessExit;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_test_support::cgroup::Cgroup;
use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use tokio::sync::mpsc::Receiver;

const THREADS: &str = "LEAKWATCH_TEST_THREADS";

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

async fn exit_of(events: &mut Receiver<ProbeEvent>, key: ProcessKey) -> Result<ProcessExit> {
    next(events, "an exit", |event| match event {
        ProbeEvent::ProcessExit(exit) if exit.key == key => Some(exit),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_has_identity_code_and_cgroup() -> Result<()> {
    let (_probes, mut events) = start()?;
    let cgroup = Cgroup::create("exits")?;
    let inode = fs::metadata(cgroup.directory())?.ino();
    for (end, status) in [("exit 3", 3 << 8), ("exit 0", 0), ("kill -9 $$", 9)] {
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", &format!("echo $$ > \"$0\"; read line; {end}")])
            .arg(cgroup.directory().join("cgroup.procs"));
        let (mut child, key) = start_waiting(&mut shell)?;
        drop(child.stdin.take());
        child.wait()?;
        let exit = exit_of(&mut events, key).await?;
        assert_eq!(exit.exit_code, Ok(status), "{end}");
        assert_eq!(exit.cgroup_inode, Some(inode), "{end}");
        assert!(!exit.comm.is_empty(), "{end}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_many_threads_exits_once() -> Result<()> {
    let (_probes, mut events) = start()?;
    let mut command = Command::new(env::current_exe()?);
    command
        .args(["--exact", "exits::threads", "--nocapture"])
        .env(THREADS, "1");
    let (mut child, key) = start_waiting(&mut command)?;
    drop(child.stdin.take());
    child.wait()?;
    exit_of(&mut events, key).await?;
    // A later process marks the end of what could still come.
    let (mut marker, marker_key) = start_waiting(&mut Command::new("cat"))?;
    drop(marker.stdin.take());
    marker.wait()?;
    let mut again = 0;
    next(&mut events, "the marker's exit", |event| match event {
        ProbeEvent::ProcessExit(exit) if exit.key == key => {
            again += 1;
            None
        }
        ProbeEvent::ProcessExit(exit) if exit.key == marker_key => Some(()),
        _ => None,
    })
    .await?;
    assert_eq!(again, 0);
    Ok(())
}
