//! The probes against real kills, exits and losses: programs of our own, in memory cgroups of our own, judged by the kernel's
//! counters and its log. `cargo xtask vm-test` runs these tests on other kernels and on cgroup v2.

mod victim;
mod kills;
mod exits;
mod losses;
mod final_heap;
mod reclaim;
mod faults;
mod matrix;

use anyhow::Context as _;
use anyhow::Result;
use leakwatch::clock::Clock;
use leakwatch::probes::ProbeEvent;
use leakwatch::probes::Probes;
use leakwatch::probes::hook::Hook;
use leakwatch::probes::host::HostFacts;
use leakwatch::probes::plan::Plan;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

/// Generous: emulated machines are slow.
const DEADLINE: Duration = Duration::from_mins(3);

/// Starts the probes as this host allows, which must be all of them.
fn start() -> Result<(Probes, Receiver<ProbeEvent>)> {
    start_with(|_plan| {})
}

/// The same with a plan that differs.
fn start_with(change: impl FnOnce(&mut Plan)) -> Result<(Probes, Receiver<ProbeEvent>)> {
    // The host does not change from test to test, and looking takes a second.
    static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::for_host(&HostFacts::look()));
    let mut plan = PLAN.clone();
    change(&mut plan);
    let (probes, events) = Probes::start(&plan, Clock::start())?;
    for hook in probes.hooks() {
        assert_eq!(hook.attached, Ok(()), "{:?}", hook.hook);
    }
    Ok((probes, events))
}

/// Gives the ring of a hook another size.
fn set_ring(plan: &mut Plan, hook: &Hook, bytes: u32) {
    for planned in plan.hooks.iter_mut().filter(|planned| planned.hook.name == hook.name) {
        planned.ring_bytes = bytes;
    }
}

/// The first event that `pick` takes; whatever else the machine does is not ours.
async fn next<T>(
    events: &mut Receiver<ProbeEvent>,
    what: &str,
    mut pick: impl FnMut(ProbeEvent) -> Option<T>,
) -> Result<T> {
    let mut losses = Vec::new();
    let search = async {
        loop {
            let event = events.recv().await.context("the probes ended")?;
            if let ProbeEvent::Loss(loss) = &event {
                losses.push((loss.reason.clone(), loss.count));
            }
            if let Some(found) = pick(event) {
                return Ok(found);
            }
        }
    };
    let found = timeout(DEADLINE, search).await;
    found.with_context(|| format!("waited in vain for {what}; lost: {losses:?}"))?
}
