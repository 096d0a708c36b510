//! What works on this kernel, said in lines that `cargo xtask vm-test` makes a table of: `MATRIX what: how`. Where something does not, the reason is
//! said in its place: the table shows it, and a reason that is new shows as a change of a committed file.

use anyhow::Context as _;
use anyhow::Result;
use leakwatch::capabilities::of_host;
use leakwatch::capture::lanes::DutyCycle as _;
use leakwatch::capture::lanes::native::Session;
use leakwatch::clock::Clock;
use leakwatch::identity::cgroup::Hierarchy;
use leakwatch::probes::Probes;
use leakwatch::probes::allocator::AttachMode;
use leakwatch::probes::allocator::Programs;
use leakwatch::probes::faults::CallsAt;
use leakwatch::probes::host::HostFacts;
use leakwatch::probes::plan::Plan;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::wait::wait_until;
use std::env;
use std::fs;
use std::hint::black_box;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread::park_timeout;
use std::time::Duration;

use crate::probes::DEADLINE;

const JOB: &str = "LEAKWATCH_TEST_ALLOCATES";
/// Files of a cgroup whose counters came and went with releases.
const FILES: [&str; 7] = [
    "memory.events",
    "memory.events.local",
    "memory.peak",
    "memory.swap.peak",
    "memory.zswap.current",
    "memory.pressure",
    "memory.reclaim",
];

/// Not a test of its own: what a process does whose allocator is probed, when the environment says so.
#[test]
fn allocates() {
    while env::var_os(JOB).is_some() {
        for size in 1..50_usize {
            drop(black_box(vec![1_u8; size * 40]));
        }
        park_timeout(Duration::from_millis(20));
    }
}

/// Ends with the test.
struct Allocating(Child);

impl Allocating {
    fn start() -> Result<Self> {
        let child = Command::new(env::current_exe()?)
            .args([
                "--exact",
                "probes::matrix::allocates",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(JOB, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Ok(Self(child.context("start a process")?))
    }
}

impl Drop for Allocating {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[expect(clippy::print_stdout, reason = "read by cargo xtask vm-test")]
fn say(what: &str, how: &str) {
    println!("MATRIX {what}: {how}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_works_here_is_said() -> Result<()> {
    let facts = HostFacts::look();
    let plan = Plan::for_host(&facts);
    let hierarchy = Hierarchy::detect();
    let (probes, _events) = Probes::start(&plan, Clock::start())?;
    let mut all_attached = true;
    for capability in of_host(hierarchy.as_ref(), &facts, &plan, Some(Ok(&probes))) {
        match &capability.state {
            Ok(found) => say(capability.name, found),
            Err(missing) => {
                all_attached &= !capability.name.contains(':');
                say(capability.name, &format!("no: {}", missing.detail));
            }
        }
    }
    assert!(all_attached, "all hooks attach on every kernel that is supported");
    files()?;
    for (what, programs) in [
        ("allocator probes, best", Programs::Best),
        ("allocator probes, single", Programs::Single),
    ] {
        say(what, &allocator(programs).with_context(|| what.to_owned())?);
    }
    Ok(())
}

fn files() -> Result<()> {
    let cgroup = Cgroup::create("matrix")?;
    for file in FILES {
        let there = cgroup.directory().join(file).exists();
        say(file, if there { "yes" } else { "no" });
    }
    let keys = fs::read_to_string(cgroup.directory().join("memory.events")).unwrap_or_default();
    let group_kill = keys.lines().any(|line| line.starts_with("oom_group_kill "));
    say("oom_group_kill in memory.events", if group_kill { "yes" } else { "no" });
    Ok(())
}

/// Attaches to the allocator of a process, waits for its calls, and tells how they are seen.
fn allocator(programs: Programs) -> Result<String> {
    let process = Allocating::start()?;
    let pid = process.0.id();
    // It has its allocator once it is another program than this one.
    let mut session = wait_until("the allocator", DEADLINE, || {
        Ok(Session::start_with(pid, 1, programs).ok())
    })?;
    wait_until("calls", DEADLINE, || {
        session.poll();
        let counts = session.counts();
        Ok((counts.returns > 10 && counts.frees > 10).then_some(()))
    })?;
    let mode = match session.attach_mode() {
        AttachMode::Session => "entry and return in one".to_owned(),
        AttachMode::Single(_) => "entry and return each by itself".to_owned(),
    };
    session.detach();
    Ok(mode)
}

/// Named here for the table alone: `faults.rs` tests both.
#[test]
fn what_maps_memory_is_seen_in_one_way_or_the_other() {
    for (what, way) in [
        ("growth at functions of system calls", CallsAt::Functions),
        ("growth at their tracepoints", CallsAt::Tracepoints),
    ] {
        let outcome = super::faults::start(way);
        say(
            what,
            &outcome.map_or_else(|missing| format!("no: {}", missing.detail), |_probes| "yes".to_owned()),
        );
    }
}
