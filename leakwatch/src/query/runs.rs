//! Runs of a service: those that run, those that memory remembers, those that are kept on disk.

use crate::store::disk::history::History;
use crate::store::view::View;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::run::Run;
use leakwatch_analysis::model::run::ServiceRun;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What tells a run from all others of its host, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunKey {
    /// When it started, in milliseconds since the Unix epoch.
    pub started_at: u64,
    /// Its process.
    pub process: ProcessKey,
}

/// One run, with what is known of whose it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRun {
    /// In which target; none where only what came of it is remembered.
    pub target: Option<TargetId>,
    /// Its executable.
    pub exe: Option<String>,
    /// The version of its program: the build id.
    pub version: Option<String>,
    /// The newest instant that is known of it.
    pub last_at: Timestamp,
    /// The run.
    pub run: Run,
}

/// Runs, newest first.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// At most as many as asked for.
    pub items: Vec<KnownRun>,
    /// Whether there are more.
    pub more: bool,
}

impl RunKey {
    /// The key of a run.
    pub fn of(run: &Run) -> Self {
        Self {
            started_at: run.started_at.unix_millis(),
            process: run.process,
        }
    }
}

/// The newest runs of a service that lasted into a range and started before the one that is named, at most `limit`.
pub fn runs(
    view: &View,
    disk: Option<&History>,
    service: &str,
    (from, to): (Timestamp, Timestamp),
    before: Option<RunKey>,
    limit: usize,
) -> Runs {
    let is_wanted = |key: RunKey, last_at: Timestamp| {
        before.is_none_or(|before| key < before) && last_at >= from && key.started_at <= to.unix_millis()
    };
    let mut found: BTreeMap<Reverse<RunKey>, KnownRun> = BTreeMap::new();
    let mut add = |known: KnownRun| {
        let key = RunKey::of(&known.run);
        if is_wanted(key, known.last_at) {
            found.entry(Reverse(key)).or_insert(known);
        }
    };
    for run in view.runs(service) {
        add(known(run));
    }
    if let Some(disk) = disk {
        let to = before.map_or(to, |before| {
            to.min(Timestamp::from_unix_nanos(before.started_at.saturating_mul(1_000_000)))
        });
        let is_before = |run: &ServiceRun| before.is_none_or(|before| RunKey::of(&run.run) < before);
        let kept = disk.runs(service, (from, to), is_before, limit.saturating_add(1));
        for run in &kept {
            add(known(run));
        }
    }
    for (_, replica) in view.replicas(service) {
        let history = &replica.history;
        if let Some(run) = &history.run {
            add(running(history, run));
        }
        for run in &history.past_runs {
            add(past(history, run));
        }
    }
    let more = found.len() > limit;
    Runs {
        items: found.into_values().take(limit).collect(),
        more,
    }
}

/// Whether anything is known of a service, now or on disk.
pub fn is_known(view: &View, disk: Option<&History>, service: &str) -> bool {
    let on_disk = |disk: &History| {
        let ever = (Timestamp::default(), Timestamp::from_unix_nanos(u64::MAX));
        !disk.runs(service, ever, |_| true, 1).is_empty()
    };
    view.replicas(service).next().is_some() || view.runs(service).next().is_some() || disk.is_some_and(on_disk)
}

/// The target that ran the service before another one: that of the run that ended last before this one began.
pub fn predecessor(view: &View, target: &TargetHistory) -> Option<TargetId> {
    let (id, begin) = (target.target.id(), target.target.started_at);
    let ended = |run: &ServiceRun| run.run.ended.map(|(at, _)| at);
    let before = view.runs(&target.target.service).filter(|run| run.target != id);
    let before = before.filter(|run| ended(run).is_some_and(|at| at <= begin));
    before.max_by_key(|run| ended(run)).map(|run| run.target.clone())
}

fn known(run: &ServiceRun) -> KnownRun {
    let told = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    KnownRun {
        target: Some(run.target.clone()),
        exe: told(&run.exe),
        version: told(&run.version),
        last_at: run.last_at,
        run: run.run.clone(),
    }
}

fn running(history: &TargetHistory, run: &Run) -> KnownRun {
    let process = history.processes.get(&run.process);
    KnownRun {
        target: Some(history.target.id()),
        exe: process.and_then(|record| record.process.exe.clone().ok()),
        version: Some(history.version().to_owned()).filter(|version| !version.is_empty()),
        last_at: history.newest_at,
        run: run.clone(),
    }
}

/// A target is also compared with runs of its service that ended before it came.
fn past(history: &TargetHistory, run: &Run) -> KnownRun {
    let ended_at = run.ended.map_or(history.newest_at, |(at, _)| at);
    KnownRun {
        target: (ended_at >= history.target.started_at).then(|| history.target.id()),
        exe: None,
        version: None,
        last_at: ended_at,
        run: run.clone(),
    }
}
