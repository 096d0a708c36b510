//! Every reason for a loss, brought about for real, is counted under its own name.

use crate::probes::next;
use crate::probes::start_with;
use crate::probes::victim;
use crate::probes::victim::LIMIT;
use anyhow::Result;
use leakwatch::probes::ProbeEvent;
use leakwatch::probes::loss;
use leakwatch::probes::plan::Plan;
use leakwatch_common::config::ABSENT;
use leakwatch_common::event::MEMCG_LEVELS;
use leakwatch_common::loss::LossReason;
use leakwatch_test_support::cgroup::Cgroup;
use std::process::Command;

/// Runs `cause` with probes that follow a changed plan, and waits until a loss of that name is reported.
///
/// The runtime of these tests has one thread, which is busy with `cause`: rings are not drained meanwhile.
async fn check(reason: &str, change: impl FnOnce(&mut Plan), cause: impl FnOnce() -> Result<()>) -> Result<()> {
    let (_probes, mut events) = start_with(change)?;
    cause()?;
    let lost = next(&mut events, reason, |event| match event {
        ProbeEvent::Loss(loss) if loss.reason == reason => Some(loss.count),
        _ => None,
    });
    assert!(lost.await? > 0);
    Ok(())
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
        |plan| plan.oom_ring_bytes = 4096,
        || kill_one(&cgroup),
    )
    .await
}

#[tokio::test]
async fn a_full_ring_of_exits_is_counted() -> Result<()> {
    check(
        loss::name(LossReason::ExitRingFull),
        |plan| plan.exit_ring_bytes = 4096,
        || exits(64),
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
        loss::RECORD_MALFORMED,
        |plan| plan.offsets.task_start_boottime = ABSENT,
        || exits(1),
    )
    .await
}
