//! The kernel's side of the daemon: loads the eBPF programs, attaches what this host supports and turns their records into events.
//!
//! The only module that knows aya and the records of `leakwatch-common`. It reads nothing about targets: who the victim's cgroup
//! belongs to is decided by the engine. What is always attached are the hooks of [`hooks::HOOKS`]; [`allocator`], [`faults`] and [`usdt`] are
//! attached to one process while a capture runs.

pub mod btf;
pub mod format;
pub mod offsets;
pub mod scope;
pub mod host;
pub mod error;
pub mod event;
mod load;
mod object;
pub mod decode;
pub mod loss;
pub mod hook;
mod log;
mod ring;
pub mod final_heap;
pub mod plan;
pub mod hooks;
pub mod allocator;
pub mod faults;
pub mod usdt;

use crate::clock::Clock;
use aya::Ebpf;
use final_heap::HeapWatch;
use hook::AttachedHook;
use hook::Source;
use hooks::signal_deliver;
use load::OwnedPerCpuArray;
use loss::LossCounters;
use loss::Missed;
use loss::RecordLosses;
use plan::Plan;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub use error::ProbeError;
pub use event::MemcgReclaim;
pub use event::ProbeEvent;
pub use event::ProcessExec;
pub use object::PLACEHOLDER;

/// Events that wait for the engine. A full queue stops the drains, the rings then fill and the kernel side counts.
const QUEUE: usize = 1024;
/// How often loss counters are read.
const LOSS_INTERVAL: Duration = Duration::from_secs(1);
/// Attached programs and the tasks that drain them; dropping this detaches and stops them.
#[derive(Debug)]
pub struct Probes {
    hooks: Vec<AttachedHook>,
    heap_watch: Option<HeapWatch>,
    _ebpf: Ebpf,
    _tasks: JoinSet<()>,
}

impl Probes {
    /// Loads and attaches what the plan says. A hook that cannot be attached is reported by [`Self::hooks`]; the others work.
    /// To be called within a tokio runtime.
    pub fn start(plan: &Plan, clock: Clock) -> Result<(Self, mpsc::Receiver<ProbeEvent>), ProbeError> {
        let mut ebpf = object::load(plan)?;
        let (events, receiver) = mpsc::channel(QUEUE);
        let record_losses = Arc::new(RecordLosses::default());
        let mut tasks = JoinSet::new();
        for planned in &plan.hooks {
            let mut source = Source {
                ebpf: &mut ebpf,
                clock,
                oom_callers: &plan.oom_callers,
                walk_bounds: plan.walk_bounds,
                losses: &record_losses,
                events: &events,
            };
            tasks.spawn(drained((planned.hook.drain)(&mut source, planned.hook.ring)?));
        }
        if let Some(logger) = log::of(&mut ebpf) {
            tasks.spawn(drained(log::drain(logger)?));
        }
        let watched = load::take_map(&mut ebpf, "WATCHED")?;
        let losses = load::take_map::<OwnedPerCpuArray>(&mut ebpf, "LOSSES")?;
        // Stays even if no program reads it: others refer to the map.
        let heap_watch = Some(HeapWatch::new(watched, plan.walk_bounds));
        let mut attach = |programs| hook::attach(&mut ebpf, programs);
        let hooks = plan.hooks.iter().map(|planned| AttachedHook {
            hook: planned.hook,
            attached: planned.programs.clone().and_then(&mut attach),
        });
        let hooks = hooks.collect();
        let counters = LossCounters::new(losses, Missed::of(&ebpf));
        tasks.spawn(report_losses(counters, record_losses, clock, events));
        let probes = Self {
            hooks,
            heap_watch,
            _ebpf: ebpf,
            _tasks: tasks,
        };
        Ok((probes, receiver))
    }

    /// The list of processes whose heap is read when they are killed, once; `None` where that is not possible.
    pub fn take_heap_watch(&mut self) -> Option<HeapWatch> {
        let mut attached = self.hooks.iter().filter(|hook| hook.attached.is_ok());
        if !attached.any(|attached| attached.hook.name == signal_deliver::HOOK.name) {
            return None;
        }
        self.heap_watch.take()
    }

    /// Every hook, in place or not.
    pub fn hooks(&self) -> &[AttachedHook] {
        &self.hooks
    }
}

async fn drained(drain: impl Future<Output = io::Result<()>>) {
    if let Err(error) = drain.await {
        tracing::error!(%error, "a ring buffer is no longer drained");
    }
}

async fn report_losses(
    mut counters: LossCounters,
    records: Arc<RecordLosses>,
    clock: Clock,
    events: mpsc::Sender<ProbeEvent>,
) {
    let mut interval = tokio::time::interval(LOSS_INTERVAL);
    loop {
        interval.tick().await;
        for loss in counters.increments(&records, clock.now()) {
            if events.send(ProbeEvent::Loss(loss)).await.is_err() {
                return;
            }
        }
    }
}
