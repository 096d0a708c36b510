//! OOM kills: who, where, why and how much, none missing.

use crate::probes::DEADLINE;
use crate::probes::next;
use crate::probes::start;
use crate::probes::victim;
use crate::probes::victim::LIMIT;
use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch::clock::Clock;
use leakwatch::probes::ProbeEvent;
use leakwatch::probes::Probes;
use leakwatch::probes::hooks::oom_mark_victim;
use leakwatch::probes::hooks::process_exit;
use leakwatch::probes::host::HostFacts;
use leakwatch::probes::loss;
use leakwatch::probes::plan::Plan;
use leakwatch_analysis::model::event::OomKill;
use leakwatch_analysis::model::event::OomScope;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_common::loss::LossReason;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::wait::wait_until;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::num::NonZero;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::thread;
use tokio::sync::mpsc::Receiver;

/// The next kill in a cgroup below `below`. A lost kill fails the test; other losses are those that other tests bring about.
async fn next_kill(events: &mut Receiver<ProbeEvent>, below: &Cgroup) -> Result<OomKill> {
    let found = next(events, "a kill", |event| match event {
        ProbeEvent::OomKill(kill) if kill.cgroup.as_ref().is_ok_and(|key| key.path.starts_with(below.path())) => {
            Some(Ok(kill))
        }
        ProbeEvent::Loss(loss) if loss.reason == loss::name(LossReason::OomRingFull) => Some(Err(loss)),
        _ => None,
    });
    match found.await? {
        Ok(kill) => Ok(*kill),
        Err(loss) => anyhow::bail!("lost {loss:?}"),
    }
}

fn in_vm() -> bool {
    env::var_os("LEAKWATCH_TEST_VM").is_some()
}

fn inode(cgroup: &Cgroup) -> Result<u64> {
    Ok(fs::metadata(cgroup.directory())?.ino())
}

/// The kernel's log, from its end.
fn kernel_log() -> Result<File> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits())?;
    let mut log = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open("/dev/kmsg")?;
    log.seek(SeekFrom::End(0))?;
    Ok(log)
}

/// What the kernel's log says of a victim: `Killed process PID (COMM) total-vm:…, anon-rss:…kB, … oom_score_adj:…`.
fn log_line_of(log: &mut File, pid: u32) -> Result<String> {
    let wanted = format!("Killed process {pid} (");
    wait_until("the kernel's log of the kill", DEADLINE, || {
        let mut record = [0; 8192];
        while let Ok(length) = log.read(&mut record) {
            let text = String::from_utf8_lossy(&record[..length]).into_owned();
            if text.contains(&wanted) {
                return Ok(Some(text));
            }
        }
        Ok(None)
    })
}

/// The log of the newest kernels adds up what each processor still holds of a counter; the tracepoint's fields and ours do not.
/// Each holds less than one batch: 32 pages, or two per processor (`compute_batch_value` in `lib/percpu_counter.c`).
fn agree(told: Bytes, logged: Bytes) -> bool {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let pages = processors * (2 * processors).max(32);
    told.0.abs_diff(logged.0) <= Bytes::from_pages(pages as u64, 4096).0
}

fn number_after(line: &str, key: &str) -> Result<i64> {
    let rest = line.split(key).nth(1).with_context(|| format!("{key} in {line}"))?;
    let digits = rest.split(|character: char| character != '-' && !character.is_ascii_digit());
    digits.take(1).collect::<String>().parse().context("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_is_told_as_the_kernel_logs_it() -> Result<()> {
    let mut log = kernel_log()?;
    let (_probes, mut events) = start()?;
    let parent = Cgroup::create("kill-one")?;
    parent.set_limit(4 * LIMIT)?;
    let cgroup = parent.child("inner", Some(LIMIT))?;
    let mut child = victim::start(&cgroup, 2 * LIMIT)?;
    let kill = next_kill(&mut events, &parent).await?;
    child.wait()?;

    let key = kill.cgroup.clone().unwrap();
    assert_eq!((key.inode, key.path.as_str()), (inode(&cgroup)?, cgroup.path()));
    assert_eq!(kill.scope, Ok(OomScope::Memcg));
    let memcg = kill.memcg.unwrap();
    assert_eq!((memcg.cgroup, memcg.limit), (key, Bytes(LIMIT)));
    assert!(
        memcg.charge <= Bytes(LIMIT) && memcg.charge >= Bytes(LIMIT / 2),
        "{}",
        memcg.charge
    );

    let victim = kill.victim;
    assert_eq!((victim.pid, kill.trigger.pid), (child.id(), child.id()));
    let line = log_line_of(&mut log, victim.pid)?;
    assert!(
        line.contains(&format!("({})", victim.comm)),
        "{} in {line}",
        victim.comm
    );
    for (key, told) in [
        ("anon-rss:", victim.rss_anon.unwrap()),
        ("file-rss:", victim.rss_file.unwrap()),
        ("shmem-rss:", victim.rss_shmem.unwrap()),
        ("pgtables:", victim.page_tables.unwrap()),
    ] {
        let logged = Bytes::from_kib(u64::try_from(number_after(&line, key)?)?);
        assert!(agree(told, logged), "{key} {told} in {line}");
    }
    assert_eq!(
        i64::from(victim.oom_score_adj.unwrap()),
        number_after(&line, "oom_score_adj:")?
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_without_type_information_still_tells_the_victim() -> Result<()> {
    let mut log = kernel_log()?;
    let facts = HostFacts {
        btf: Err(Missing::new(MissingReason::Unsupported, "as on a kernel without")),
        ..HostFacts::look()
    };
    let plan = Plan::for_host(&facts);
    assert_eq!(plan.programs(&oom_mark_victim::HOOK), Ok(oom_mark_victim::BY_FORMAT));
    let cgroup = plan
        .programs(&oom_mark_victim::HOOK)
        .and_then(|programs| oom_mark_victim::victim_cgroup(programs, &plan.offsets));
    assert!(plan.programs(&process_exit::HOOK).is_err() && cgroup.is_err());
    let (probes, mut events) = Probes::start(&plan, Clock::start())?;
    assert_eq!(probes.hooks()[0].attached, Ok(()));
    let cgroup = Cgroup::create("kill-format")?;
    cgroup.set_limit(LIMIT)?;
    let mut child = victim::start(&cgroup, 2 * LIMIT)?;
    let pid = child.id();
    child.wait()?;
    let kill = next(&mut events, "the kill", |event| match event {
        ProbeEvent::OomKill(kill) if kill.victim.pid == pid => Some(kill),
        _ => None,
    })
    .await?;
    assert_eq!(kill.scope, Ok(OomScope::Memcg));
    assert!(kill.cgroup.is_err(), "{:?}", kill.cgroup);
    let logged = number_after(&log_line_of(&mut log, pid)?, "anon-rss:")?;
    let (told, logged) = (kill.victim.rss_anon.unwrap(), Bytes::from_kib(u64::try_from(logged)?));
    assert!(agree(told, logged), "{told} told, {logged} logged");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ancestor_whose_limit_was_hit_is_named() -> Result<()> {
    let (_probes, mut events) = start()?;
    let parent = Cgroup::create("kill-ancestor")?;
    let limited = parent.child("limited", Some(LIMIT))?;
    let middle = limited.child("middle", Some(64 * LIMIT))?;
    let cgroup = middle.child("leaf", None)?;
    let mut child = victim::start(&cgroup, 2 * LIMIT)?;
    let kill = next_kill(&mut events, &parent).await?;
    child.wait()?;
    assert_eq!(kill.cgroup.unwrap().path, cgroup.path());
    let memcg = kill.memcg.unwrap();
    assert_eq!(
        (memcg.cgroup.path.as_str(), memcg.limit),
        (limited.path(), Bytes(LIMIT))
    );
    assert_eq!(memcg.cgroup.inode, inode(&limited)?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_kills_four_at_a_time_are_all_reported() -> Result<()> {
    const AT_ONCE: u32 = 4;
    // An emulated machine takes a second for what takes 20 ms here.
    let rounds = if in_vm() { 5 } else { 50 };
    let (_probes, mut events) = start()?;
    let parent = Cgroup::create("kill-many")?;
    let mut expected = BTreeMap::new();
    let mut seen = BTreeMap::new();
    for round in 0..rounds {
        let mut running = Vec::new();
        for slot in 0..AT_ONCE {
            let cgroup = parent.child(&format!("r{round}s{slot}"), Some(LIMIT))?;
            let child = victim::start(&cgroup, 2 * LIMIT)?;
            running.push((cgroup, child));
        }
        for (cgroup, mut child) in running {
            child.wait()?;
            assert_eq!(cgroup.oom_kills()?, 1, "{}", cgroup.path());
            expected.insert(child.id(), (cgroup.path().to_owned(), inode(&cgroup)?));
            // The cgroup is removed here, most likely before its kill was read from the ring.
        }
        for _ in 0..AT_ONCE {
            let kill = next_kill(&mut events, &parent).await?;
            assert_eq!(kill.scope, Ok(OomScope::Memcg));
            let key = kill.cgroup.unwrap();
            let before = seen.insert(kill.victim.pid, (key.path, key.inode));
            assert_eq!(before, None, "process {} was reported twice", kill.victim.pid);
        }
    }
    assert_eq!(seen.len(), usize::try_from(rounds * AT_ONCE)?);
    assert_eq!(seen, expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "uses up the memory of the machine: for the virtual machines of cargo xtask vm-test"]
async fn a_kill_for_the_machines_memory_is_global() -> Result<()> {
    ensure!(in_vm(), "only in a virtual machine");
    let (_probes, mut events) = start()?;
    let parent = Cgroup::create("kill-global")?;
    // A limit that plays no part.
    let cgroup = parent.child("roomy", Some(1 << 40))?;
    let mut child = victim::start(&cgroup, 1 << 36)?;
    let kill = next_kill(&mut events, &parent).await?;
    child.wait()?;
    assert_eq!(kill.scope, Ok(OomScope::Global));
    assert!(kill.memcg.is_err(), "{:?}", kill.memcg);
    assert_eq!(kill.cgroup.unwrap().path, cgroup.path());
    assert_eq!(kill.victim.pid, child.id());
    assert_eq!(kill.victim.oom_score_adj, Ok(1000));
    Ok(())
}
