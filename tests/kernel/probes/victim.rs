//! Programs that are killed or end: this very program, started again with another job.

use anyhow::Context as _;
use anyhow::Result;
use leakwatch_test_support::cgroup::Cgroup;
use std::env;
use std::fs;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

/// Limit of the cgroups that victims are killed in.
pub(crate) const LIMIT: u64 = 16 << 20;

/// What a victim allocates at once.
const PIECE: usize = 1 << 20;

const PROCS: &str = "LEAKWATCH_TEST_VICTIM_PROCS";
const BYTES: &str = "LEAKWATCH_TEST_VICTIM_BYTES";

/// Not a test of its own: the job of a victim, when the environment says so.
#[test]
fn victim() {
    let (Ok(procs), Ok(bytes)) = (env::var(PROCS), env::var(BYTES)) else {
        return;
    };
    fs::write(procs, "0").expect("enter the cgroup");
    // The first to go where the machine's memory runs out.
    fs::write("/proc/self/oom_score_adj", "1000").expect("volunteer");
    // In pieces: the kernel refuses one that is larger than the machine.
    let pieces = bytes.parse::<usize>().unwrap() / PIECE;
    let hoard: Vec<Vec<u8>> = (0..pieces).map(|_| vec![1; PIECE]).collect();
    panic!("survived with {} pieces", std::hint::black_box(&hoard).len());
}

/// Starts a process that enters the cgroup and touches that much memory.
pub(crate) fn start(cgroup: &Cgroup, bytes: u64) -> Result<Child> {
    Command::new(env::current_exe()?)
        .args(["--exact", "probes::victim::victim", "--nocapture", "--test-threads=1"])
        .env(PROCS, cgroup.directory().join("cgroup.procs"))
        .env(BYTES, bytes.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("start a victim")
}
