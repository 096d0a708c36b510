//! The probes against real kills and exits: programs of our own, in memory cgroups of our own, judged by the kernel's counters.
//!
//! The victims are this very program, started again with another job.

use anyhow::Context as _;
use anyhow::Result;
use anyhow::bail;
use leakwatch::clock::Clock;
use leakwatch::probes::ProbeEvent;
use leakwatch::probes::Probes;
use leakwatch::probes::host::HostFacts;
use leakwatch::probes::plan::Plan;
use leakwatch_analysis::event::OomKill;
use leakwatch_analysis::event::OomScope;
use leakwatch_analysis::units::Bytes;
use leakwatch_test_support::cgroup::Cgroup;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

const LIMIT: u64 = 16 << 20;
const DEADLINE: Duration = Duration::from_mins(1);

/// Not a test of its own: the job of a victim, when the environment says so.
#[test]
fn victim() {
    let Ok(procs) = env::var("LEAKWATCH_TEST_VICTIM") else {
        return;
    };
    fs::write(procs, "0").expect("enter the cgroup");
    // Touches twice the limit; the kernel does not let it come that far.
    let mut hoard = vec![0_u8; 2 * usize::try_from(LIMIT).unwrap()];
    for page in hoard.chunks_mut(4096) {
        page[0] = 1;
    }
    panic!("survived with {} bytes", std::hint::black_box(&hoard).len());
}

fn start_victim(cgroup: &Cgroup) -> Result<Child> {
    Command::new(env::current_exe()?)
        .args(["--exact", "victim", "--nocapture", "--test-threads=1"])
        .env("LEAKWATCH_TEST_VICTIM", cgroup.directory().join("cgroup.procs"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("start a victim")
}

fn start() -> Result<(Probes, Receiver<ProbeEvent>)> {
    let plan = Plan::for_host(&HostFacts::look());
    let (probes, events) = Probes::start(&plan, Clock::start())?;
    for hook in probes.hooks() {
        assert_eq!(hook.attached, Ok(()), "{}", hook.name);
    }
    Ok((probes, events))
}

/// The next kill in a cgroup below `below`; whatever else the machine does is not ours.
async fn next_kill(events: &mut Receiver<ProbeEvent>, below: &Cgroup) -> Result<OomKill> {
    timeout(DEADLINE, async {
        loop {
            match events.recv().await.context("the probes ended")? {
                ProbeEvent::OomKill(kill)
                    if kill.cgroup.as_ref().is_ok_and(|key| key.path.starts_with(below.path())) =>
                {
                    return Ok(*kill);
                }
                ProbeEvent::Loss(loss) => bail!("lost {loss:?}"),
                ProbeEvent::OomKill(_) | ProbeEvent::ProcessExit(_) => {}
            }
        }
    })
    .await
    .context("no kill was reported in time")?
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_is_described_as_the_kernel_counts_it() -> Result<()> {
    let (_probes, mut events) = start()?;
    let parent = Cgroup::create("oom-one")?;
    parent.set_limit(4 * LIMIT)?;
    let cgroup = parent.child("inner", Some(LIMIT))?;
    let mut child = start_victim(&cgroup)?;
    let kill = next_kill(&mut events, &parent).await?;
    let inode = fs::metadata(cgroup.directory())?.ino();
    child.wait()?;
    println!("{kill:#?}");

    let key = kill.cgroup.clone().unwrap();
    assert_eq!((key.inode, key.path.as_str()), (inode, cgroup.path()));
    assert_eq!(kill.scope, Ok(OomScope::Memcg));
    let memcg = kill.memcg.unwrap();
    assert_eq!(memcg.cgroup, key);
    assert_eq!(memcg.limit, Bytes(LIMIT));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_kills_four_at_a_time_are_all_reported() -> Result<()> {
    const ROUNDS: u32 = 50;
    const AT_ONCE: u32 = 4;
    let (_probes, mut events) = start()?;
    let parent = Cgroup::create("oom-many")?;
    let mut expected = BTreeMap::new();
    let mut seen = BTreeMap::new();
    for round in 0..ROUNDS {
        let mut running = Vec::new();
        for slot in 0..AT_ONCE {
            let cgroup = parent.child(&format!("r{round}s{slot}"), Some(LIMIT))?;
            let child = start_victim(&cgroup)?;
            running.push((cgroup, child));
        }
        for (cgroup, mut child) in running {
            child.wait()?;
            assert_eq!(cgroup.oom_kills()?, 1, "{}", cgroup.path());
            expected.insert(
                child.id(),
                (cgroup.path().to_owned(), fs::metadata(cgroup.directory())?.ino()),
            );
            // The cgroup is removed here, most likely before its kill is read from the ring.
        }
        for _ in 0..AT_ONCE {
            let kill = next_kill(&mut events, &parent).await?;
            assert_eq!(kill.scope, Ok(OomScope::Memcg));
            let key = kill.cgroup.unwrap();
            let before = seen.insert(kill.victim.pid, (key.path, key.inode));
            assert_eq!(before, None, "process {} reported twice", kill.victim.pid);
        }
    }
    assert_eq!(seen.len(), usize::try_from(ROUNDS * AT_ONCE).unwrap());
    assert_eq!(seen, expected);
    Ok(())
}
