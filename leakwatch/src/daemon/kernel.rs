//! What the kernel reports, on its way to the engine: kept to the watched subtree.

use crate::capabilities::Capability;
use crate::capabilities::of_host;
use crate::clock::Clock;
use crate::collect::runtime::go::ProcessEvent;
use crate::collect::runtime::go::WatchOrder;
use crate::config::live::Live;
use crate::daemon::pressure::Pressure;
use crate::identity::cgroup::CgroupIndex;
use crate::identity::cgroup::Hierarchy;
use crate::input::Input;
use crate::probes::ProbeError;
use crate::probes::ProbeEvent;
use crate::probes::Probes;
use crate::probes::ProcessExec;
use crate::probes::final_heap::FinalHeap;
use crate::probes::final_heap::HeapWatch;
use crate::probes::host::HostFacts;
use crate::probes::plan::Plan;
use crate::store::view::Views;
use leakwatch_analysis::model::event::OomKill;
use leakwatch_analysis::model::target::CgroupKey;
use leakwatch_analysis::model::target::TargetId;
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What was decided for this host, the attached probes, and the tasks that forward their events and orders; dropping it detaches
/// and ends all.
pub(super) struct Kernel {
    plan: Plan,
    /// `None` when switched off.
    probes: Option<Result<Probes, ProbeError>>,
    tasks: JoinSet<()>,
}

/// How the kernel's side and the reader of Go processes are connected.
pub(super) struct Links {
    /// Where it is told what the kernel reports of processes.
    pub(super) process_events: mpsc::Sender<ProcessEvent>,
    /// From where the kernel is told what to read.
    pub(super) orders: mpsc::Receiver<WatchOrder>,
    /// What is known of targets.
    pub(super) views: Views,
    /// Set when a program was started in a cgroup that is no target yet.
    pub(super) newcomer: Arc<AtomicBool>,
}

/// Least time between two walks for cgroups that are not known.
const RESOLVE_INTERVAL: Duration = Duration::from_millis(200);

impl Kernel {
    /// Loads and attaches what this host allows. What it does not allow is logged once, with what to do about it.
    pub(super) fn start(
        facts: &HostFacts,
        live: &Live,
        clock: Clock,
        cgroups: Arc<CgroupIndex>,
        pressure: Arc<Pressure>,
        inputs: &mpsc::Sender<Input>,
        links: Links,
    ) -> Self {
        let mut kernel = Self {
            plan: Plan::for_host(facts),
            probes: None,
            tasks: JoinSet::new(),
        };
        let config = live.config();
        if !config.bpf {
            return kernel;
        }
        kernel.probes = Some(match Probes::start(&kernel.plan, clock) {
            Ok((mut probes, events)) => {
                say_hooks(&probes);
                let forwarder = Forwarder {
                    cgroups,
                    live: live.clone(),
                    clock,
                    pressure,
                    inputs: inputs.clone(),
                    process_events: links.process_events,
                    views: links.views,
                    newcomer: links.newcomer,
                    outside: config.go.outside,
                    resolved: None,
                };
                kernel.tasks.spawn(forwarder.run(events));
                if let Some(watch) = probes.take_heap_watch().filter(|_| config.go.outside) {
                    kernel.tasks.spawn(keep_watch(watch, links.orders));
                }
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
}

fn say_hooks(probes: &Probes) {
    for attached in probes.hooks() {
        let hook = attached.hook.name;
        match attached.explained() {
            Ok(()) => tracing::info!(hook, "attached"),
            Err(missing) => {
                tracing::warn!(hook, reason = missing.detail, fix = missing.fix, "not attached");
            }
        }
    }
}

/// Where events go, and what is needed to tell whether they are of the watched subtree.
struct Forwarder {
    cgroups: Arc<CgroupIndex>,
    live: Live,
    clock: Clock,
    pressure: Arc<Pressure>,
    inputs: mpsc::Sender<Input>,
    process_events: mpsc::Sender<ProcessEvent>,
    views: Views,
    newcomer: Arc<AtomicBool>,
    /// Whether Go processes are read from outside at all.
    outside: bool,
    resolved: Option<Instant>,
}

impl Forwarder {
    /// Runs until the probes or the engine end.
    async fn run(mut self, mut events: mpsc::Receiver<ProbeEvent>) {
        while let Some(event) = events.recv().await {
            let delivered = match event {
                ProbeEvent::ProcessExec(exec) => match self.started(exec) {
                    Some(event) => self.process_events.send(event).await.is_ok(),
                    None => true,
                },
                ProbeEvent::FinalHeap(heap) => {
                    let FinalHeap { at, process, walk } = *heap;
                    let walk = Box::new(walk);
                    self.process_events
                        .send(ProcessEvent::Died { at, process, walk })
                        .await
                        .is_ok()
                }
                ProbeEvent::MemcgReclaim(reclaim) => {
                    self.pressure.report(reclaim.cgroup_inode, reclaim.at);
                    true
                }
                event => match self.within(event) {
                    Some(input) => self.inputs.send(input).await.is_ok(),
                    None => true,
                },
            };
            if !delivered {
                return;
            }
        }
    }

    /// A new program of the watched subtree. A container's cgroup is younger than the last walk, so it is looked up; but not
    /// time and again, where programs are started outside of what is watched.
    fn started(&mut self, exec: ProcessExec) -> Option<ProcessEvent> {
        if !self.outside {
            return None;
        }
        let cgroup = self.cgroups.known(exec.cgroup_inode).or_else(|| {
            if self
                .resolved
                .is_some_and(|resolved| resolved.elapsed() < RESOLVE_INTERVAL)
            {
                return None;
            }
            let found = self.cgroups.resolve(exec.cgroup_inode, self.clock.now());
            self.resolved = Some(Instant::now());
            found
        })?;
        let inside = self.watches(&cgroup);
        if inside && !self.is_target(exec.cgroup_inode) {
            // A service that dies before the next round would have no target, and its end no verdict.
            self.newcomer.store(true, Ordering::Relaxed);
        }
        inside.then(|| ProcessEvent::Started {
            process: exec.key,
            target: TargetId::from(&cgroup),
        })
    }

    fn is_target(&self, cgroup_inode: u64) -> bool {
        self.views.newest().target_by_inode(cgroup_inode).is_some()
    }

    /// An event of what is watched as an input. Exits are only of interest in cgroups that are known already.
    fn within(&self, event: ProbeEvent) -> Option<Input> {
        match event {
            ProbeEvent::OomKill(mut kill) => {
                place(&mut kill, &self.cgroups, self.clock);
                let inside = match &kill.cgroup {
                    Ok(cgroup) => self.watches(cgroup),
                    Err(_unknown) => self.live.config().only.is_none(),
                };
                inside.then_some(Input::OomKill(kill))
            }
            ProbeEvent::ProcessExit(exit) => {
                let cgroup = exit.cgroup_inode.and_then(|inode| self.cgroups.known(inode))?;
                self.watches(&cgroup).then_some(Input::ProcessExit(exit))
            }
            ProbeEvent::Loss(loss) => Some(Input::Loss(loss)),
            ProbeEvent::ProcessExec(_) | ProbeEvent::MemcgReclaim(_) | ProbeEvent::FinalHeap(_) => None,
        }
    }

    /// Whether a cgroup is below the one that is watched and not excluded. What a label excludes has one once it was sampled.
    fn watches(&self, cgroup: &CgroupKey) -> bool {
        let config = self.live.config();
        let inside = config.only.as_deref().is_none_or(|only| is_below(&cgroup.path, only));
        if !inside || config.exclude.is_empty() {
            return inside;
        }
        let view = self.views.newest();
        let target = view.target_by_inode(cgroup.inode).and_then(|id| view.target(id));
        let has_label = target.is_some_and(|target| {
            let target = &target.history.target;
            config.exclude.has_label(&target.name, &target.service)
        });
        !has_label && !config.exclude.covers(&cgroup.path)
    }
}

/// Tells the programs which processes are of interest.
async fn keep_watch(mut watch: HeapWatch, mut orders: mpsc::Receiver<WatchOrder>) {
    while let Some(order) = orders.recv().await {
        match order {
            WatchOrder::Watch(process, plan) => {
                if let Err(missing) = watch.watch(process, &plan) {
                    tracing::warn!(reason = missing.detail, "its heap at death will be the last snapshot");
                }
            }
            WatchOrder::Forget(process) => watch.forget(process),
        }
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
