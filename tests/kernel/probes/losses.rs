//! Every reason for a loss, brought about for real, is counted under its own name.

use crate::probes::next;
use crate::probes::set_ring;
use crate::probes::start;
use crate::probes::start_with;
use crate::probes::victim;
use crate::probes::victim::LIMIT;
use anyhow::Result;
use leakwatch::probes::ProbeEvent;
use leakwatch::probes::hooks::oom_mark_victim;
use leakwatch::probes::hooks::process_exit;
use leakwatch::probes::loss;
use leakwatch::probes::plan::Plan;
use leakwatch_common::config::ABSENT;
use leakwatch_common::event::MEMCG_LEVELS;
use leakwatch_common::loss::LossReason;
use leakwatch_test_support::cgroup::Cgroup;
use std::io;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;

/// The log of the programs is read at the latest by then.
const DEADLINE: Duration = Duration::from_mins(1);
/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(20);
/// Four times as many exits as a ring of a page has room for: of some the kernel does not run the program, where it was preempted in the middle
/// of another one.
const MANY: u32 = 256;

/// Runs `cause` with probes that follow a changed plan, and waits until a loss of that name is reported.
///
/// The runtime of these tests has one thread, which is busy with `cause`: rings are not drained meanwhile.
async fn check(reason: &str, change: impl FnOnce(&mut Plan), cause: impl FnOnce() -> Result<()>) -> Result<()> {
    caused(reason, change, cause).await.map(drop)
}

/// The same, with what has to live on for the probes to go on.
async fn caused(
    reason: &str,
    change: impl FnOnce(&mut Plan),
    cause: impl FnOnce() -> Result<()>,
) -> Result<impl Sized> {
    let (probes, mut events) = start_with(change)?;
    cause()?;
    let lost = next(&mut events, reason, |event| match event {
        ProbeEvent::Loss(loss) if loss.reason == reason => Some(loss.count),
        _ => None,
    });
    assert!(lost.await? > 0);
    Ok((probes, events))
}

fn kill_one(cgroup: &Cgroup) -> Result<()> {
    victim::start(cgroup, 2 * LIMIT)?.wait()?;
    Ok(())
}

fn exits(count: u32) -> Result<()> {
    for _ in 0..count {
        Command::new("true").status()?;
    }
    Ok(())
}

#[tokio::test]
async fn a_full_ring_of_kills_is_counted() -> Result<()> {
    let cgroup = Cgroup::create("loss-ring")?;
    cgroup.set_limit(LIMIT)?;
    // Smaller than one record.
    check(
        loss::name(LossReason::OomRingFull),
        |plan| set_ring(plan, &oom_mark_victim::HOOK, 4096),
        || kill_one(&cgroup),
    )
    .await
}

#[tokio::test]
async fn a_full_ring_of_exits_is_counted() -> Result<()> {
    check(
        loss::name(LossReason::ExitRingFull),
        |plan| set_ring(plan, &process_exit::HOOK, 4096),
        || exits(MANY),
    )
    .await
}

#[tokio::test]
async fn a_read_that_faults_is_counted() -> Result<()> {
    // A command name is no address.
    let misled = |plan: &mut Plan| plan.offsets.task_cgroups = plan.offsets.task_comm;
    check(loss::name(LossReason::KernelReadFault), misled, || exits(1)).await
}

#[tokio::test]
async fn an_ancestry_cut_short_is_counted() -> Result<()> {
    let top = Cgroup::create("loss-deep")?;
    let mut path = vec![top.child("d", Some(LIMIT))?];
    for _ in 0..MEMCG_LEVELS {
        let deeper = path[path.len() - 1].child("d", None)?;
        path.push(deeper);
    }
    let leaf = &path[path.len() - 1];
    check(loss::name(LossReason::MemcgTooDeep), |_plan| {}, || kill_one(leaf)).await?;
    while let Some(deepest) = path.pop() {
        drop(deepest);
    }
    Ok(())
}

#[tokio::test]
async fn a_record_that_cannot_be_used_is_counted() -> Result<()> {
    // Without its start time an exit is nobody's.
    check(
        "probe_record_incomplete",
        |plan| plan.offsets.task_start_boottime = ABSENT,
        || exits(1),
    )
    .await
}

/// Takes what is logged.
struct Lines(mpsc::SyncSender<Vec<u8>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs with a full ring of exits and answers what is logged under a filter, once that has what is awaited.
async fn logged(filter: &str, awaited: &str) -> Result<String> {
    let (sender, lines) = mpsc::sync_channel(4_096);
    let written = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(move || Lines(sender.clone()));
    let subscriber = tracing_subscriber::registry()
        .with(written)
        .with(filter.parse::<Targets>()?);
    let logging = tracing::subscriber::set_default(subscriber);
    // Whether something is logged is remembered for all threads, with the answer of the thread that asks first, which may be another test's that
    // logs nothing. So let it be asked, and remembered anew with the answer of this thread.
    drop(start()?);
    tracing::callsite::rebuild_interest_cache();
    let probes = caused(
        loss::name(LossReason::ExitRingFull),
        |plan| set_ring(plan, &process_exit::HOOK, 4096),
        || exits(MANY),
    )
    .await?;
    // The count and the lines come by different ways.
    let mut log = String::new();
    let deadline = Instant::now() + DEADLINE;
    loop {
        log.push_str(&String::from_utf8(lines.try_iter().flatten().collect())?);
        if log.contains(awaited) || Instant::now() > deadline {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    drop((probes, logging));
    Ok(log)
}

#[tokio::test]
async fn what_the_programs_refuse_is_logged_when_asked_for() -> Result<()> {
    let line = "leakwatch_ebpf: exit_ring_full: 1 in process";
    let log = logged("leakwatch_ebpf=debug", line).await?;
    assert!(log.contains(line), "{log}");
    let log = logged("info", "").await?;
    assert!(!log.contains("exit_ring_full"), "{log}");
    Ok(())
}
