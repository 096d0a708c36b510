//! What the kernel reports, on its way to the engine: kept to the watched subtree.

use crate::clock::Clock;
use crate::config::Config;
use crate::engine::input::Input;
use crate::identity::cgroup::CgroupIndex;
use crate::probes::host::HostFacts;
use crate::probes::plan::Plan;
use crate::probes::ProbeError;
use crate::probes::ProbeEvent;
use crate::probes::Probes;
use leakwatch_analysis::event::OomKill;
use leakwatch_analysis::event::ProcessExit;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// The attached probes and the task that forwards their events; dropping it detaches and ends both.
pub(super) struct Kernel {
    _probes: Probes,
    forwarder: AbortHandle,
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.forwarder.abort();
    }
}

/// Loads and attaches what this host allows. What it does not allow is logged once, with what to do about it.
pub(super) fn start(
    config: &Config,
    clock: Clock,
    cgroups: Arc<CgroupIndex>,
    inputs: mpsc::Sender<Input>,
) -> Result<Option<Kernel>, ProbeError> {
    if !config.bpf {
        return Ok(None);
    }
    let (probes, mut events) = Probes::start(&Plan::for_host(&HostFacts::look()), clock)?;
    for hook in probes.hooks() {
        match &hook.attached {
            Ok(()) => tracing::info!(hook = hook.name, "attached"),
            Err(missing) => {
                tracing::warn!(hook = hook.name, reason = missing.detail, fix = missing.fix, "not attached");
            }
        }
    }
    let only = config.only.clone();
    let forwarder = tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if let Some(input) = within(event, &cgroups, only.as_deref(), clock)
                && inputs.send(input).await.is_err()
            {
                return;
            }
        }
    });
    Ok(Some(Kernel { _probes: probes, forwarder: forwarder.abort_handle() }))
}

/// An event of the watched subtree as an input. Exits are only of interest in cgroups that are known already.
fn within(event: ProbeEvent, cgroups: &CgroupIndex, only: Option<&str>, clock: Clock) -> Option<Input> {
    match event {
        ProbeEvent::OomKill(mut kill) => {
            place(&mut kill, cgroups, clock);
            let inside = match (&kill.cgroup, only) {
                (Ok(cgroup), Some(only)) => is_below(&cgroup.path, only),
                (_, only) => only.is_none(),
            };
            inside.then_some(Input::OomKill(kill))
        }
        ProbeEvent::ProcessExit(exit) => is_known(&exit, cgroups).then_some(Input::ProcessExit(exit)),
        ProbeEvent::Loss(loss) => Some(Input::Loss(loss)),
    }
}

/// The kernel's path starts at the hierarchy's real root; in a container the mounted root is further down.
fn place(kill: &mut OomKill, cgroups: &CgroupIndex, clock: Clock) {
    for cgroup in [kill.cgroup.as_mut().ok(), kill.memcg.as_mut().ok().map(|memcg| &mut memcg.cgroup)] {
        if let Some(cgroup) = cgroup
            && let Some(known) = cgroups.resolve(cgroup.inode, clock.now())
        {
            *cgroup = known;
        }
    }
}

fn is_known(exit: &ProcessExit, cgroups: &CgroupIndex) -> bool {
    exit.cgroup_inode.is_some_and(|inode| cgroups.known(inode).is_some())
}

fn is_below(path: &str, only: &str) -> bool {
    path.strip_prefix(only.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subtree_ends_at_component_boundaries() {
        for (path, only, below) in [
            ("/a/b", "/a", true),
            ("/a", "/a", true),
            ("/ab", "/a", false),
            ("/a/b", "/", true),
            ("/", "/a", false),
        ] {
            assert_eq!(is_below(path, only), below, "{path} below {only}");
        }
    }
}
