//! Reclaim in a cgroup: told before the kill that it ends in, once per second however often the kernel tries.

use crate::probes::next;
use crate::probes::start;
use crate::probes::victim;
use crate::probes::victim::LIMIT;
use anyhow::Result;
use leakwatch::probes::ProbeEvent;
use leakwatch_test_support::cgroup::Cgroup;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn reclaim_is_reported_before_the_kill_once_per_second() -> Result<()> {
    let (_probes, mut events) = start()?;
    let cgroup = Cgroup::create("reclaim")?;
    cgroup.set_limit(LIMIT)?;
    let inode = fs::metadata(cgroup.directory())?.ino();
    let mut child = victim::start(&cgroup, 4 * LIMIT)?;
    let (mut reports, mut killed_at) = (Vec::new(), None);
    // The kernel tries sixteen times before it kills (MAX_RECLAIM_RETRIES in mm/memcontrol.c). Two rings: either may be drained first.
    next(&mut events, "reclaim and a kill", |event| {
        match event {
            ProbeEvent::MemcgReclaim(reclaim) if reclaim.cgroup_inode == inode => reports.push(reclaim.at),
            ProbeEvent::OomKill(kill) if kill.cgroup.as_ref().is_ok_and(|key| key.inode == inode) => {
                killed_at = Some(kill.at);
            }
            _ => {}
        }
        (killed_at.is_some() && !reports.is_empty()).then_some(())
    })
    .await?;
    child.wait()?;
    assert_eq!(cgroup.oom_kills()?, 1);
    assert!(
        reports.first().copied() < killed_at,
        "{reports:?}, killed at {killed_at:?}"
    );
    for pair in reports.windows(2) {
        let [one, other] = pair else { continue };
        assert!(other.since(*one) >= Duration::from_secs(1), "{reports:?}");
    }
    Ok(())
}
