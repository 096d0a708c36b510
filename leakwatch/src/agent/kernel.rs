//! What the kernel reports, on its way to the engine: kept to the watched subtree.

use crate::agent::pressure::Pressure;
use crate::capabilities::Capability;
use crate::capabilities::of_host;
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::input::Input;
use crate::identity::cgroup::CgroupIndex;
use crate::identity::cgroup::Hierarchy;
use crate::probes::ProbeError;
use crate::probes::ProbeEvent;
use crate::probes::Probes;
use crate::probes::host::HostFacts;
use crate::probes::plan::Plan;
use leakwatch_analysis::event::OomKill;
use leakwatch_analysis::event::ProcessExit;
use leakwatch_analysis::sample::Missing;
use leakwatch_analysis::sample::MissingReason;
use leakwatch_analysis::sample::Reading;
use leakwatch_analysis::units::Bytes;
use std::error::Error as _;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// What was decided for this host, the attached probes, and the task that forwards their events; dropping it detaches
/// and ends both.
pub(super) struct Kernel {
    plan: Plan,
    /// `None` when switched off.
    probes: Option<Result<Probes, ProbeError>>,
    forwarder: Option<AbortHandle>,
}

impl Drop for Kernel {
    fn drop(&mut self) {
        if let Some(forwarder) = &self.forwarder {
            forwarder.abort();
        }
    }
}

impl Kernel {
    /// Loads and attaches what this host allows. What it does not allow is logged once, with what to do about it.
    pub(super) fn start(
        facts: &HostFacts,
        config: &Config,
        clock: Clock,
        cgroups: Arc<CgroupIndex>,
        pressure: Arc<Pressure>,
        inputs: &mpsc::Sender<Input>,
    ) -> Self {
        let mut kernel = Self {
            plan: Plan::for_host(facts),
            probes: None,
            forwarder: None,
        };
        if !config.bpf {
            return kernel;
        }
        kernel.probes = Some(match Probes::start(&kernel.plan, clock) {
            Ok((probes, events)) => {
                say_hooks(&probes);
                let forwarder = forward(events, cgroups, config.only.clone(), clock, pressure, inputs.clone());
                kernel.forwarder = Some(tokio::spawn(forwarder).abort_handle());
                Ok(probes)
            }
            Err(error) => {
                let reason = error.source().map_or_else(String::new, |source| format!(": {source}"));
                tracing::warn!("no kernel probes: {error}{reason}; see leakwatch doctor");
                Err(error)
            }
        });
        kernel
    }

    /// Whether OOM kills are seen by the kernel probe.
    pub(super) fn is_attached(&self) -> bool {
        matches!(&self.probes, Some(Ok(probes)) if probes.hooks().iter().any(|hook| hook.attached.is_ok()))
    }

    /// What this host offers, the outcome of attaching included.
    pub(super) fn capabilities(&self, facts: &HostFacts, hierarchy: &Hierarchy) -> Vec<Capability> {
        of_host(
            Ok(hierarchy),
            facts,
            &self.plan,
            self.probes.as_ref().map(Result::as_ref),
        )
    }

    /// Kernel memory of the maps: the two rings; the rest is a few pages.
    pub(super) fn map_bytes(&self) -> Reading<Bytes> {
        match &self.probes {
            Some(Ok(_)) => Ok(Bytes(
                u64::from(self.plan.oom_ring_bytes) + u64::from(self.plan.exit_ring_bytes),
            )),
            Some(Err(error)) => Err(Missing::new(MissingReason::Failed, error.to_string())),
            None => Err(Missing::new(
                MissingReason::NotConfigured,
                "eBPF is switched off by --no-bpf",
            )),
        }
    }
}

fn say_hooks(probes: &Probes) {
    for hook in probes.hooks() {
        match &hook.attached {
            Ok(()) => tracing::info!(hook = hook.name, "attached"),
            Err(missing) => {
                tracing::warn!(
                    hook = hook.name,
                    reason = missing.detail,
                    fix = missing.fix,
                    "not attached"
                );
            }
        }
    }
}

async fn forward(
    mut events: mpsc::Receiver<ProbeEvent>,
    cgroups: Arc<CgroupIndex>,
    only: Option<String>,
    clock: Clock,
    pressure: Arc<Pressure>,
    inputs: mpsc::Sender<Input>,
) {
    while let Some(event) = events.recv().await {
        if let ProbeEvent::MemcgReclaim(reclaim) = event {
            pressure.report(reclaim.cgroup_inode, reclaim.at);
        } else if let Some(input) = within(event, &cgroups, only.as_deref(), clock)
            && inputs.send(input).await.is_err()
        {
            return;
        }
    }
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
        ProbeEvent::ProcessExit(exit) => is_watched(&exit, cgroups, only).then_some(Input::ProcessExit(exit)),
        ProbeEvent::Loss(loss) => Some(Input::Loss(loss)),
        ProbeEvent::ProcessExec(_) | ProbeEvent::MemcgReclaim(_) | ProbeEvent::Death(_) => None,
    }
}

/// The kernel's path starts at the hierarchy's real root; in a container the mounted root is further down.
fn place(kill: &mut OomKill, cgroups: &CgroupIndex, clock: Clock) {
    for cgroup in [
        kill.cgroup.as_mut().ok(),
        kill.memcg.as_mut().ok().map(|memcg| &mut memcg.cgroup),
    ] {
        if let Some(cgroup) = cgroup
            && let Some(known) = cgroups.resolve(cgroup.inode, clock.now())
        {
            *cgroup = known;
        }
    }
}

fn is_watched(exit: &ProcessExit, cgroups: &CgroupIndex, only: Option<&str>) -> bool {
    exit.cgroup_inode
        .and_then(|inode| cgroups.known(inode))
        .is_some_and(|cgroup| only.is_none_or(|only| is_below(&cgroup.path, only)))
}

fn is_below(path: &str, only: &str) -> bool {
    path.strip_prefix(only.trim_end_matches('/'))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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
