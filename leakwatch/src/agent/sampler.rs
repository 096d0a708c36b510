//! When rounds of samples are taken - all targets every interval, the urgent ones every second in between - and of which
//! Go processes profiles are wanted.

use crate::agent::escalation;
use crate::agent::pressure::Pressure;
use crate::agent::readers::Readers;
use crate::agent::readers::Wanted;
use crate::agent::urgency;
use crate::capture::Captures;
use crate::clock::Clock;
use crate::collect::Collector;
use crate::collect::endpoint::Asked;
use crate::collect::endpoint::Urgency;
use crate::collect::endpoint::Watched;
use crate::input::Input;
use crate::store::view::TargetView;
use crate::store::view::Views;
use leakwatch_analysis::detect::goroutine_leak;
use leakwatch_analysis::model::runtime::Runtime;
use leakwatch_analysis::model::target::TargetId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio::time::sleep_until;

/// Time between two samples of a target that grows fast or is near its limit.
const URGENT: Duration = Duration::from_secs(1);

/// What the sampler works with.
pub(super) struct Sampler {
    pub(super) collector: Collector,
    pub(super) clock: Clock,
    pub(super) interval: Duration,
    pub(super) views: Views,
    pub(super) pressure: Arc<Pressure>,
    /// A program was started in a cgroup that is no target yet.
    pub(super) newcomer: Arc<AtomicBool>,
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) readers: Readers,
    pub(super) captures: Captures,
}

impl Sampler {
    /// Takes rounds for ever; returns when the engine is gone or a round panicked.
    pub(super) async fn run(mut self) -> Result<(), JoinError> {
        let mut next_full = Instant::now();
        loop {
            sleep_until(next_full.min(Instant::now() + URGENT)).await;
            let urgent = self.look_around();
            let newcomer = self.newcomer.swap(false, Ordering::Relaxed);
            let full = newcomer || Instant::now() >= next_full;
            if !full && urgent.is_empty() {
                continue;
            }
            if full {
                // A round that took longer than the interval delays the next one instead of piling up.
                next_full = (next_full.min(Instant::now()) + self.interval).max(Instant::now());
            }
            let now = self.clock.now();
            let mut collector = self.collector;
            let (returned, mut round) = spawn_blocking(move || {
                let round = if full {
                    collector.round(now)
                } else {
                    collector.round_of(&urgent, now)
                };
                (collector, round)
            })
            .await?;
            self.collector = returned;
            round.push(Input::Tick { at: now });
            for input in round {
                if self.inputs.send(input).await.is_err() {
                    return Ok(());
                }
            }
        }
    }

    /// Says of which Go processes profiles are wanted, and returns the targets that cannot wait for the next full round.
    fn look_around(&self) -> BTreeSet<TargetId> {
        let view = self.views.newest();
        let now = self.clock.now();
        let mut urgent = BTreeSet::new();
        let mut wanted = Wanted::default();
        let captures = self.captures.all();
        let native = self.readers.config.native;
        for (id, stored) in view.targets().filter(|(_, stored)| stored.history.gone_at.is_none()) {
            let urgency = urgency::of(
                stored,
                self.pressure.is_on(stored.history.target.cgroup.inode, now),
                now,
            );
            if urgency == Urgency::NearLimit {
                urgent.insert(id.clone());
            }
            if native.automatic {
                escalation::consider(&self.captures, &captures, id, stored, native.cpu_budget_percent, now);
            }
            if let Some(watched) = go_process(id, stored, urgency) {
                self.readers.assign(watched, &stored.history, &mut wanted);
            }
        }
        self.readers.send(wanted);
        urgent
    }
}

/// The Go process of a target that profiles are taken of: the one with most resident memory.
fn go_process(id: &TargetId, stored: &TargetView, urgency: Urgency) -> Option<Watched> {
    let is_go = |runtime: &Runtime| matches!(runtime, Runtime::Go { .. });
    let record = stored
        .history
        .living()
        .filter(|record| record.process.runtime.as_ref().is_ok_and(is_go))
        .max_by_key(|record| {
            (
                record.memory.as_ref().map_or(0, |memory| memory.rss.0),
                record.process.key,
            )
        })?;
    let Ok(Runtime::Go { version }) = &record.process.runtime else {
        return None;
    };
    let verdict = stored
        .investigation
        .as_ref()
        .map(|investigation| investigation.verdict.class);
    Some(Watched {
        target: id.clone(),
        service: stored.history.target.service.clone(),
        process: record.process.key,
        exe: record.process.exe.as_ref().ok().cloned(),
        go_version: version.clone(),
        urgency,
        asked: Asked::Profiles,
        goroutine_leak: verdict == Some(goroutine_leak::CLASS),
    })
}
