//! The kernel's side of the daemon: loads the eBPF programs, attaches what this host supports and turns their records into events.
//!
//! The only module that knows aya and the records of `leakwatch-common`. It reads nothing about targets: who the victim's cgroup
//! belongs to is decided by the engine. Data comes from `oom:mark_victim`, `sched:sched_process_exit`, `sched:sched_process_exec`,
//! `vmscan:mm_vmscan_memcg_reclaim_begin` and `signal:signal_deliver`.

pub mod btf;
pub mod format;
pub mod offsets;
pub mod scope;
pub mod host;
pub mod plan;
mod load;
pub mod decode;
pub mod watch;
pub mod death;
mod ring;
mod death_ring;
pub mod loss;
pub mod native;
pub mod growth;
pub mod usdt;

use crate::clock::Clock;
use aya::Ebpf;
use aya::EbpfError;
use aya::maps::MapData;
use aya::maps::MapError;
use aya::maps::RingBuf;
use death::Death;
use death::Deaths;
use death_ring::DeathRing;
use decode::Decoder;
use leakwatch_analysis::model::event::Loss;
use leakwatch_analysis::model::event::OomKill;
use leakwatch_analysis::model::event::ProcessExit;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::units::Timestamp;
use load::OwnedPerCpuArray;
use loss::LossCounters;
use loss::Malformed;
use loss::Missed;
use plan::Plan;
use scope::OomCallers;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use watch::DeathWatch;

pub use load::PLACEHOLDER;

/// Events that wait for the engine. A full queue stops the drains, the rings then fill and the kernel side counts.
const QUEUE: usize = 1024;
/// How often loss counters are read.
const LOSS_INTERVAL: Duration = Duration::from_secs(1);
/// How long exits gather before they are drained. The ring holds that much of 36,000 exits per second.
const EXIT_BATCH: Duration = Duration::from_millis(100);

/// Where processes are read when they are killed.
const SIGNAL_DELIVER: &str = "signal:signal_deliver";

/// What the kernel reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeEvent {
    /// The OOM killer chose a victim.
    OomKill(Box<OomKill>),
    /// A process ended.
    ProcessExit(ProcessExit),
    /// A process executes another program.
    ProcessExec(ProcessExec),
    /// The kernel reclaims memory of a cgroup.
    MemcgReclaim(MemcgReclaim),
    /// A watched process was killed; this was read of it.
    Death(Box<Death>),
    /// Records were lost.
    Loss(Loss),
}

/// A process executes another program (`sched:sched_process_exec`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessExec {
    /// Which process.
    pub key: ProcessKey,
    /// Inode of the directory of its memory cgroup.
    pub cgroup_inode: u64,
}

/// A memory cgroup is at a limit and the kernel looks for pages to take back (`vmscan:mm_vmscan_memcg_reclaim_begin`). Reported
/// once per second and cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemcgReclaim {
    /// When.
    pub at: Timestamp,
    /// Inode of the directory of the cgroup whose thread asked for memory; the limit may be an ancestor's.
    pub cgroup_inode: u64,
}

/// Why no probe can run.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The daemon was built without bpf toolchain.
    #[error("the eBPF object is missing: build with cargo xtask build")]
    Placeholder,
    /// The kernel refused the object's maps.
    #[error("cannot load the eBPF object")]
    Load(#[source] EbpfError),
    /// Object and daemon do not belong together.
    #[error("the eBPF object has no map {name}")]
    NoSuchMap {
        /// Its name.
        name: &'static str,
    },
    /// A map of the object is not what it should be.
    #[error("map {name} of the eBPF object")]
    Map {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        #[source]
        source: MapError,
    },
    /// A ring buffer cannot be waited for.
    #[error("cannot wait for ring buffer {name}")]
    Wait {
        /// Its name.
        name: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// One hook and whether it is in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The tracepoint.
    pub name: &'static str,
    /// Attached, or why not.
    pub attached: Reading<()>,
}

/// Attached programs and the tasks that drain them; dropping this detaches and stops them.
#[derive(Debug)]
pub struct Probes {
    hooks: Vec<Hook>,
    death_watch: Option<DeathWatch>,
    _ebpf: Ebpf,
    _tasks: JoinSet<()>,
}

impl Probes {
    /// Loads and attaches what the plan says. A hook that cannot be attached is reported by [`Self::hooks`]; the others work.
    /// To be called within a tokio runtime.
    pub fn start(plan: &Plan, clock: Clock) -> Result<(Self, mpsc::Receiver<ProbeEvent>), ProbeError> {
        let mut ebpf = load::load(plan)?;
        let (events, receiver) = mpsc::channel(QUEUE);
        let malformed = Arc::new(Malformed::default());
        let mut tasks = JoinSet::new();

        let mut decoder = Decoder::new(clock, plan.oom_callers.clone());
        tasks.spawn(drained(ring::drain(
            take_ring(&mut ebpf, "OOM_EVENTS")?,
            Arc::clone(&malformed),
            events.clone(),
            Duration::ZERO,
            move |record: &[u8]| {
                decoder
                    .oom_kill(record)
                    .map(|kill| kill.map(Box::new).map(ProbeEvent::OomKill))
            },
        )));
        let mut decoder = Decoder::new(clock, plan.oom_callers.clone());
        tasks.spawn(drained(ring::drain(
            take_ring(&mut ebpf, "EXIT_EVENTS")?,
            Arc::clone(&malformed),
            events.clone(),
            EXIT_BATCH,
            move |record: &[u8]| {
                decoder
                    .process_exit(record)
                    .map(|exit| exit.map(ProbeEvent::ProcessExit))
            },
        )));
        let mut decoder = Decoder::new(clock, plan.oom_callers.clone());
        tasks.spawn(drained(ring::drain(
            take_ring(&mut ebpf, "EXEC_EVENTS")?,
            Arc::clone(&malformed),
            events.clone(),
            EXIT_BATCH,
            move |record: &[u8]| {
                decoder
                    .process_exec(record)
                    .map(|exec| Some(ProbeEvent::ProcessExec(exec)))
            },
        )));
        let decoder = Decoder::new(clock, OomCallers::default());
        tasks.spawn(drained(ring::drain(
            take_ring(&mut ebpf, "RECLAIM_EVENTS")?,
            Arc::clone(&malformed),
            events.clone(),
            Duration::ZERO,
            move |record: &[u8]| {
                decoder
                    .memcg_reclaim(record)
                    .map(|reclaim| Some(ProbeEvent::MemcgReclaim(reclaim)))
            },
        )));
        tasks.spawn(drained(death_ring::drain(
            take_death_ring(&mut ebpf)?,
            load::take_map(&mut ebpf, "GOROUTINES")?,
            Arc::clone(&malformed),
            events.clone(),
            Deaths::new(clock, plan.walk_bounds),
        )));
        let watched = load::take_map(&mut ebpf, "WATCHED")?;
        let losses = load::take_map::<OwnedPerCpuArray>(&mut ebpf, "LOSSES")?;

        let at_death = plan.death.clone().and_then(|hook| load::attach_death(&mut ebpf, hook));
        // Stays even if there is nothing that reads it: other programs refer to the map.
        let death_watch = Some(DeathWatch::new(watched, plan.walk_bounds));
        let hooks = vec![
            Hook {
                name: "oom:mark_victim",
                attached: plan.oom.clone().and_then(|hook| load::attach_oom(&mut ebpf, hook)),
            },
            Hook {
                name: "sched:sched_process_exit",
                attached: plan.exit.clone().and_then(|()| load::attach_exit(&mut ebpf)),
            },
            Hook {
                name: "sched:sched_process_exec",
                attached: plan.exec.clone().and_then(|()| load::attach_exec(&mut ebpf)),
            },
            Hook {
                name: "vmscan:mm_vmscan_memcg_reclaim_begin",
                attached: plan.reclaim.clone().and_then(|()| load::attach_reclaim(&mut ebpf)),
            },
            Hook {
                name: SIGNAL_DELIVER,
                attached: at_death,
            },
        ];
        let counters = LossCounters::new(losses, Missed::of(&ebpf));
        tasks.spawn(report_losses(counters, malformed, clock, events));
        let probes = Self {
            hooks,
            death_watch,
            _ebpf: ebpf,
            _tasks: tasks,
        };
        Ok((probes, receiver))
    }

    /// The list of processes that are read when they are killed, once; `None` where that is not possible.
    pub fn take_death_watch(&mut self) -> Option<DeathWatch> {
        let at_death = self.hooks.iter().find(|hook| hook.name == SIGNAL_DELIVER);
        if at_death.is_none_or(|hook| hook.attached.is_err()) {
            return None;
        }
        self.death_watch.take()
    }

    /// Every hook, in place or not.
    pub fn hooks(&self) -> &[Hook] {
        &self.hooks
    }
}

#[expect(
    deprecated,
    reason = "the successor is an unsafe function; its contract, a descriptor that stays the same, is kept by RingBuf"
)]
fn take_ring(ebpf: &mut Ebpf, name: &'static str) -> Result<AsyncFd<RingBuf<MapData>>, ProbeError> {
    let ring: RingBuf<MapData> = load::take_map(ebpf, name)?;
    AsyncFd::new(ring).map_err(|source| ProbeError::Wait { name, source })
}

#[expect(deprecated, reason = "likewise, kept by DeathRing")]
fn take_death_ring(ebpf: &mut Ebpf) -> Result<AsyncFd<DeathRing>, ProbeError> {
    let name = "DEATH_EVENTS";
    let ring = ebpf.take_map(name).and_then(DeathRing::new);
    AsyncFd::new(ring.ok_or(ProbeError::NoSuchMap { name })?).map_err(|source| ProbeError::Wait { name, source })
}

async fn drained(drain: impl Future<Output = io::Result<()>>) {
    if let Err(error) = drain.await {
        tracing::error!(%error, "a ring buffer is no longer drained");
    }
}

async fn report_losses(
    mut counters: LossCounters,
    malformed: Arc<Malformed>,
    clock: Clock,
    events: mpsc::Sender<ProbeEvent>,
) {
    let mut interval = tokio::time::interval(LOSS_INTERVAL);
    loop {
        interval.tick().await;
        for loss in counters.increments(&malformed, clock.now()) {
            if events.send(ProbeEvent::Loss(loss)).await.is_err() {
                return;
            }
        }
    }
}
