//! What the engine hands to the store: at the end of each round, all that is new since the round before.

mod row;
mod run;

use self::row::Told;
use super::batch::Batch;
use super::batch::Record;
use super::convert;
use super::error::DiskError;
use super::history::History;
use super::kind;
use super::partition::name::Tier;
use super::pins::PIN_KEY;
use super::profiles::Cadence;
use super::profiles::Importance;
use super::profiles::ProfileRecord;
use super::restore;
use super::restore::Axis;
use super::restore::EVENT_KEY;
use super::restore::RULING_KEY;
use super::restore::Restored;
use super::restore::TARGET_KEY;
use super::retention::Limits;
use super::store::Store;
use super::thread;
use super::thread::Queue;
use crate::store::event::EventKind;
use crate::store::memory::Memory;
use crate::store::rulings::Rulings;
use crate::store::target::StoredTarget;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::ruling::Ruling;
use leakwatch_analysis::model::run::ServiceRun;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use prost::Message as _;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::hash::DefaultHasher;
use std::hash::Hash as _;
use std::hash::Hasher as _;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Profiles handed over at once: after a start the first of all targets are due together.
const MAX_PROFILES: usize = 48;
/// Processes that come and go change what is kept of a target at most so often.
const STATE_EVERY: Duration = Duration::from_mins(5);

/// Collects what is new and hands it over.
#[derive(Debug)]
pub(crate) struct Feed {
    queue: Queue,
    cursors: HashMap<TargetId, Cursor>,
    next_event: u64,
    post_mortems: HashSet<String>,
    /// Losses of the store that the engine was told of.
    told: BTreeMap<&'static str, u64>,
    /// The oldest event that the catalog has.
    oldest_event: u64,
    /// Those that the catalog has.
    rulings: Arc<Rulings>,
    /// Ids of the post-mortems that are pinned in the catalog.
    pins: BTreeSet<String>,
}

/// What of a target was handed over.
#[derive(Debug, Default)]
struct Cursor {
    told: Told,
    state: u64,
    state_at: Timestamp,
    profiles: BTreeMap<ProfileType, Cadence>,
    run: Option<ServiceRun>,
}

/// An open store.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) feed: Feed,
    pub(crate) restored: Restored,
    pub(crate) writer: JoinHandle<()>,
}

impl Feed {
    /// Opens the store of a state directory, reads back what was known, and starts the writer.
    pub(crate) fn open(state_dir: &Path, limits: Limits, axis: &Axis, now: Timestamp) -> Result<Opened, DiskError> {
        let (mut store, recovered) = Store::open(state_dir, limits, now.unix_millis())?;
        let history = History::new(Arc::clone(&store.shared));
        let restored = restore::restore(&recovered.known, &history, axis, now);
        let cursor = |known: &restore::RestoredHistory| {
            let cursor = Cursor {
                run: known.run.clone(),
                ..Cursor::default()
            };
            (known.history.target.id(), cursor)
        };
        let cursors = restored.targets.iter().map(cursor).collect();
        let next_event = restored.events.last().map_or(1, |event| event.id + 1);
        let oldest_event = restored.events.first().map_or(next_event, |event| event.id);
        let mut rulings = Rulings::default();
        for ruling in &restored.rulings {
            rulings.put(ruling.clone());
        }
        let rulings = Arc::new(rulings);
        let post_mortems = restored
            .post_mortems
            .iter()
            .map(|(post_mortem, _)| post_mortem.id.clone())
            .collect();
        let pins = recovered.known.keys().filter_map(|key| key.strip_prefix(PIN_KEY));
        let pins = pins.map(str::to_owned).collect();
        if let Err(error) = store.set_axis(axis) {
            store.note(error.to_string());
        }
        let directory = store.directory.clone();
        let (queue, writer) = thread::start(store).map_err(DiskError::io(&directory))?;
        let feed = Self {
            queue,
            cursors,
            next_event,
            post_mortems,
            told: BTreeMap::new(),
            oldest_event,
            rulings,
            pins,
        };
        Ok(Opened { feed, restored, writer })
    }

    /// The number that the next event gets.
    pub(crate) fn next_event(&self) -> u64 {
        self.next_event
    }

    /// A reader of the store.
    pub(crate) fn history(&self) -> History {
        self.queue.history()
    }

    /// Hands over what is new. What the store has lost is told to whoever asks for losses.
    pub(crate) fn offer(&mut self, memory: &mut Memory, at: Timestamp) {
        self.tell_losses(memory, at);
        let mut batch = Batch {
            at: at.unix_millis(),
            ..Batch::default()
        };
        let mut ended = Vec::new();
        for (id, stored) in memory.targets() {
            let cursor = self.cursors.entry(id.clone()).or_default();
            ended.extend(cursor.collect(id, stored, at, &mut batch));
        }
        self.forget(memory, &mut batch);
        for run in ended {
            batch.records.push(record_of(&run));
            memory.push_run(run);
        }
        self.events(memory, &mut batch);
        self.rulings(memory, &mut batch);
        self.post_mortems(memory, &mut batch);
        self.pins(memory, &mut batch);
        self.queue.offer(batch);
    }

    fn forget(&mut self, memory: &Memory, batch: &mut Batch) {
        self.cursors.retain(|id, _| {
            let is_known = memory.target(id).is_some();
            if !is_known {
                batch.changes.push((format!("{TARGET_KEY}{id}"), None));
            }
            is_known
        });
    }

    fn events(&mut self, memory: &Memory, batch: &mut Batch) {
        let new = memory.events().rev().take_while(|event| event.id >= self.next_event);
        let mut new: Vec<_> = new
            .map(|event| (event_key(event.id), Some(convert::event_to(event).encode_to_vec())))
            .collect();
        new.reverse();
        batch.changes.extend(new);
        self.next_event = memory.next_event();
        let keep_from = self.next_event.saturating_sub(memory.bounds().events as u64);
        for id in self.oldest_event..keep_from {
            batch.changes.push((event_key(id), None));
        }
        self.oldest_event = self.oldest_event.max(keep_from);
    }

    fn rulings(&mut self, memory: &Memory, batch: &mut Batch) {
        let (before, now) = (&self.rulings, &memory.rulings);
        if Arc::ptr_eq(before, now) {
            return;
        }
        let key = |ruling: &Ruling| format!("{RULING_KEY}{}", ruling.id);
        let gone = before.iter().filter(|ruling| now.get(&ruling.id).is_none());
        batch.changes.extend(gone.map(|ruling| (key(ruling), None)));
        let new = now.iter().filter(|ruling| before.get(&ruling.id) != Some(ruling));
        batch
            .changes
            .extend(new.map(|ruling| (key(ruling), Some(convert::ruling_to(ruling)))));
        self.rulings = Arc::clone(now);
    }

    fn post_mortems(&mut self, memory: &Memory, batch: &mut Batch) {
        for post_mortem in memory.post_mortems() {
            if post_mortem.awaits_final_state || self.post_mortems.contains(&post_mortem.id) {
                continue;
            }
            let at = post_mortem.kill.at.unix_millis();
            batch.records.push(Record {
                tier: Tier::Incidents,
                kind: kind::POST_MORTEM,
                name: post_mortem.target.as_ref().map_or_else(|| "".into(), TargetId::shared),
                span: (at, at),
                payload: convert::post_mortem_to(post_mortem).encode_to_vec(),
            });
            self.post_mortems.insert(post_mortem.id.clone());
        }
        if self.post_mortems.len() > 4 * memory.bounds().post_mortems {
            self.post_mortems = memory
                .post_mortems()
                .map(|post_mortem| post_mortem.id.clone())
                .collect();
        }
    }

    fn pins(&mut self, memory: &Memory, batch: &mut Batch) {
        let pinned = memory.post_mortems().filter(|post_mortem| post_mortem.pinned);
        let pinned: BTreeMap<&str, u64> = pinned
            .map(|post_mortem| (post_mortem.id.as_str(), post_mortem.kill.at.unix_millis()))
            .collect();
        self.pins.retain(|id| {
            let is_pinned = pinned.contains_key(id.as_str());
            if !is_pinned {
                batch.changes.push((format!("{PIN_KEY}{id}"), None));
            }
            is_pinned
        });
        for (id, at) in pinned {
            if self.pins.insert(id.to_owned()) {
                let at = at.to_le_bytes().to_vec();
                batch.changes.push((format!("{PIN_KEY}{id}"), Some(at)));
            }
        }
    }

    fn tell_losses(&mut self, memory: &mut Memory, at: Timestamp) {
        for (reason, count) in self.queue.history().status().losses {
            let told = self.told.entry(reason).or_default();
            let new = count.saturating_sub(*told);
            if new > 0 {
                *told = count;
                memory.count_loss(reason, new);
                let reason = reason.into();
                memory.push_event(at, None, EventKind::Loss { reason, count: new });
            }
        }
    }
}

impl Cursor {
    /// What is new of a target goes into the batch; the run that has ended, if one has.
    fn collect(
        &mut self,
        id: &TargetId,
        stored: &StoredTarget,
        at: Timestamp,
        batch: &mut Batch,
    ) -> Option<ServiceRun> {
        let history = &stored.history;
        let row = if history.gone_at.is_none() {
            row::row(history, &mut self.told)
        } else {
            None
        };
        let ended = run::follow(&mut self.run, history, row.as_ref());
        batch.rows.extend(row.map(|row| (id.shared(), row)));
        self.profiles(stored, batch);
        let state = fingerprint(stored);
        if state != self.state || (at.since(self.state_at) >= STATE_EVERY && history.gone_at.is_none()) {
            (self.state, self.state_at) = (state, at);
            let class = stored.investigation.as_ref().map(|made| made.verdict.class);
            let message = convert::state_to(history, &stored.overrides, class, self.run.as_ref());
            batch
                .changes
                .push((format!("{TARGET_KEY}{id}"), Some(message.encode_to_vec())));
        }
        ended
    }

    fn profiles(&mut self, stored: &StoredTarget, batch: &mut Batch) {
        let importance = importance(stored);
        let history = &stored.history;
        let tier = match importance {
            Importance::Growing => Tier::Profiles,
            Importance::Ordinary => Tier::OtherProfiles,
        };
        let is_last = history.gone_at.is_some();
        let earlier = history
            .previous_snapshots
            .iter()
            .map(|(profile_type, series)| (profile_type, series, true));
        let current = history
            .snapshots
            .iter()
            .map(|(profile_type, series)| (profile_type, series, is_last));
        for (profile_type, series, is_last) in earlier.chain(current) {
            let Some(newest) = series.newest() else { continue };
            let cadence = self.profiles.entry(*profile_type).or_default();
            if batch.profiles.len() < MAX_PROFILES && cadence.is_due(newest.at, importance, is_last) {
                cadence.keep(newest.at);
                batch.profiles.push(profile_of(newest, history, tier));
            }
        }
    }
}

fn profile_of(snapshot: &Snapshot, history: &TargetHistory, tier: Tier) -> ProfileRecord {
    ProfileRecord {
        tier,
        service: history.target.service.as_str().into(),
        snapshot: snapshot.clone(),
        stacks: Arc::clone(&history.stacks),
    }
}

fn importance(stored: &StoredTarget) -> Importance {
    let verdict = stored
        .investigation
        .as_ref()
        .map(|investigation| &investigation.verdict);
    let grows = verdict.is_some_and(|verdict| {
        verdict.class.is_leak()
            || (verdict.class.name() != "stable" && verdict.growth_bytes_per_second.is_some_and(|rate| rate > 0.0))
    });
    if grows {
        Importance::Growing
    } else {
        Importance::Ordinary
    }
}

/// Changes when something changes that a restart has to know at once.
fn fingerprint(stored: &StoredTarget) -> u64 {
    let history = &stored.history;
    let mut hasher = DefaultHasher::new();
    history.window_start.hash(&mut hasher);
    history.past_windows.len().hash(&mut hasher);
    history.oom_kill_count.hash(&mut hasher);
    history.gone_at.hash(&mut hasher);
    history
        .main_process()
        .map(|record| record.process.key)
        .hash(&mut hasher);
    history.target.service.hash(&mut hasher);
    history.target.name.hash(&mut hasher);
    stored.overrides.hash(&mut hasher);
    let class = stored
        .investigation
        .as_ref()
        .map(|investigation| investigation.verdict.class.name());
    class.hash(&mut hasher);
    hasher.finish()
}

fn event_key(id: u64) -> String {
    format!("{EVENT_KEY}{id:020}")
}

/// A run that has ended, as the store takes it.
pub fn record_of(run: &ServiceRun) -> Record {
    Record {
        tier: Tier::Runs,
        kind: kind::RUN,
        name: run.service.as_str().into(),
        span: (run.run.started_at.unix_millis(), run.last_at.unix_millis()),
        payload: convert::run_to(run).encode_to_vec(),
    }
}
