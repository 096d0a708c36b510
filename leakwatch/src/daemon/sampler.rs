//! Takes rounds of samples when they are due, says of which Go processes profiles are wanted, and starts the captures that are due.

use crate::capture::CaptureRequest;
use crate::capture::Captures;
use crate::capture::DEFAULT_SAMPLE_BYTES;
use crate::clock::Clock;
use crate::collect::Collector;
use crate::collect::endpoint::Asked;
use crate::collect::endpoint::Urgency;
use crate::collect::endpoint::Watched;
use crate::daemon::notify::Notifier;
use crate::daemon::pressure::Pressure;
use crate::daemon::readers::Readers;
use crate::daemon::readers::Wanted;
use crate::input::Input;
use crate::schedule::capturing;
use crate::schedule::capturing::Due;
use crate::schedule::reading;
use crate::schedule::sampling;
use crate::schedule::sampling::Round;
use crate::schedule::sampling::Rounds;
use crate::self_stats::own_memory::OwnMemory;
use crate::store::view::TargetView;
use crate::store::view::Views;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::runtime::Runtime;
use leakwatch_analysis::model::target::TargetId;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio::time::sleep_until;

/// What the sampler works with.
pub(super) struct Sampler {
    pub(super) collector: Collector,
    pub(super) clock: Clock,
    pub(super) views: Views,
    pub(super) pressure: Arc<Pressure>,
    /// A program was started in a cgroup that is no target yet.
    pub(super) newcomer: Arc<AtomicBool>,
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) readers: Readers,
    pub(super) captures: Captures,
    pub(super) own_memory: Arc<OwnMemory>,
    /// Is told each time that the loop comes round.
    pub(super) notifier: Arc<Notifier>,
    /// What was found in the views of the look before.
    pub(super) looked: HashMap<TargetId, Looked>,
}

/// What a view of a target says, which holds until there is another: most targets have a new one once a round, and are looked at every
/// second.
pub(super) struct Looked {
    view: Arc<TargetView>,
    urgency: Urgency,
    is_go: bool,
}

impl Sampler {
    /// Takes rounds for ever; returns when the engine is gone or a round panicked.
    pub(super) async fn run(mut self) -> Result<(), JoinError> {
        let mut rounds = Rounds::new(self.readers.config.config().interval, Instant::now());
        loop {
            self.notifier.came_round();
            rounds.set_interval(self.readers.config.config().interval, Instant::now());
            sleep_until(rounds.wake_at(Instant::now())).await;
            let urgent = self.look_around();
            let newcomer = self.newcomer.swap(false, Ordering::Relaxed);
            let Some(kind) = rounds.due(Instant::now(), newcomer, !urgent.is_empty()) else {
                continue;
            };
            let now = self.clock.now();
            let mut collector = self.collector;
            collector.exclude(&self.readers.config.config().exclude);
            let (own_memory, captures) = (Arc::clone(&self.own_memory), self.captures.clone());
            let (returned, mut round) = spawn_blocking(move || {
                own_memory.look(now, captures.any_running());
                let round = match kind {
                    Round::Full => collector.round(now),
                    Round::Urgent => collector.round_of(&urgent, now),
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
    fn look_around(&mut self) -> BTreeSet<TargetId> {
        let view = self.views.newest();
        let now = self.clock.now();
        let mut urgent = BTreeSet::new();
        let mut wanted = Wanted::default();
        let captures = self.captures.all();
        let native = self.readers.config.config().native;
        if native.observe_only && self.captures.any_running() {
            self.captures.stop_all();
        }
        let mut dues = Vec::new();
        let mut living = 0;
        for (id, stored) in view.shared().filter(|(_, stored)| stored.is_living()) {
            living += 1;
            let is_pressed = self.pressure.is_on(stored.history.target.cgroup.inode, now);
            let known = self.looked.get(id);
            let known = known.filter(|known| !is_pressed && Arc::ptr_eq(&known.view, stored));
            let urgency = known.map_or_else(
                || sampling::urgency(&stored.history, stored.verdict(), is_pressed, now),
                |known| known.urgency,
            );
            if urgency == Urgency::NearLimit {
                urgent.insert(id.clone());
            }
            if known.is_none()
                && native.automatic
                && !native.observe_only
                && let Some(due) = capturing::due(stored, &captures, now)
            {
                dues.push((Reverse((urgency, stored.history.oom_kills.len())), id, &**stored, due));
            }
            let may_be_go = known.is_none_or(|known| known.is_go);
            let is_new = known.is_none();
            let watched = may_be_go.then(|| go_process(id, stored, urgency)).flatten();
            let is_go = watched.is_some();
            if let Some(watched) = watched {
                self.readers.assign(watched, &stored.history, &mut wanted);
            }
            if is_new {
                let view = Arc::clone(stored);
                self.looked.insert(id.clone(), Looked { view, urgency, is_go });
            }
        }
        if self.looked.len() > living {
            self.looked
                .retain(|id, _| view.target(id).is_some_and(TargetView::is_living));
        }
        // Few run at a time, and those that may be dead before the next one is over cannot wait.
        dues.sort_by_key(|(precedence, ..)| *precedence);
        for (_, id, stored, due) in dues {
            self.capture(id, stored, due);
        }
        self.readers.send(wanted);
        urgent
    }

    fn capture(&self, id: &TargetId, target: &TargetView, due: Due) {
        let record = target.history.processes.get(&due.process);
        let request = CaptureRequest {
            lane: due.lane,
            target: id.clone(),
            process: due.process,
            exe: record
                .and_then(|record| record.process.exe.clone().ok())
                .unwrap_or_default(),
            duration: due.duration,
            sample_bytes: DEFAULT_SAMPLE_BYTES,
            cpu_budget: self.readers.config.config().native.cpu_budget,
            automatic: true,
            low_duty: false,
        };
        let request = if due.low_duty { request.at_low_duty() } else { request };
        match self.captures.start(request) {
            Ok(capture) => {
                tracing::info!(capture = capture.id, process = %due.process, "memory outside the Go heap grows: capturing");
            }
            Err(error) => tracing::debug!(%error, "no capture"),
        }
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
    let Ok(Runtime::Go { version, .. }) = &record.process.runtime else {
        return None;
    };
    let explained_by = stored
        .investigation
        .as_ref()
        .and_then(|investigation| investigation.verdict.profile);
    Some(Watched {
        target: id.clone(),
        service: stored.history.target.service.clone(),
        process: record.process.key,
        exe: record.process.exe.as_ref().ok().cloned(),
        go_version: version.clone(),
        urgency,
        asked: Asked::Profiles,
        goroutine_leak: explained_by == Some(ProfileType::Goroutine)
            || reading::goroutines_may_pile_up(&stored.history),
    })
}
