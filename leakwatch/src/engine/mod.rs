//! The one loop: every input passes here, in order, and nothing else changes what is known.
//!
//! The engine has no clock and does no I/O besides the recording: a replay of the same inputs reaches the same answers.

pub mod replay;
mod death;
mod at_death;
mod judge;

use crate::input::Input;
use crate::input::Recorder;
use crate::input::TakenProfile;
use crate::store::Bounds;
use crate::store::Store;
use crate::store::event::EventKind;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::event::Loss;
use leakwatch_analysis::model::event::ProcessExit;
use leakwatch_analysis::model::investigation::Answer;
use leakwatch_analysis::model::investigation::StepId;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::sample::Sample;
use leakwatch_analysis::model::target::Target;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::RwLockWriteGuard;

/// Applies inputs to the store and judges what changed.
#[derive(Debug)]
pub struct Engine {
    store: Arc<RwLock<Store>>,
    recorder: Option<Recorder>,
}

impl Engine {
    /// An engine over an empty store.
    pub fn new(bounds: Bounds, recorder: Option<Recorder>) -> Self {
        Self {
            store: Arc::new(RwLock::new(Store::new(bounds))),
            recorder,
        }
    }

    /// The store, for reading.
    pub fn store(&self) -> Arc<RwLock<Store>> {
        Arc::clone(&self.store)
    }

    /// Takes in what happened.
    pub fn apply(&mut self, input: Input) {
        let recording_lost = self.recorder.as_mut().and_then(|recorder| recorder.write(&input).err());
        let mut store = self.lock();
        if let Some(loss) = recording_lost {
            store.count_loss(loss.reason(), 1);
        }
        store.advance(input.at());
        match input {
            Input::TargetSeen { at, target } => target_seen(&mut store, at, target),
            Input::TargetGone { at, target } => target_gone(&mut store, at, &target),
            Input::Sample(sample) => sampled(&mut store, &sample),
            Input::Profile(profile) => profiled(&mut store, &profile),
            Input::ProfileMissing {
                target,
                profile_type,
                missing,
                ..
            } => {
                profile_missing(&mut store, &target, profile_type, missing);
            }
            Input::Runtime {
                at,
                target,
                process,
                stats,
            } => {
                if let Some(stored) = store.target_mut(&target) {
                    stored.history.apply_runtime(at, process, stats);
                } else {
                    store.count_loss("profile_of_unknown_target", 1);
                }
            }
            Input::OomKill(kill) => death::oom_kill(&mut store, *kill),
            Input::Death(death) => at_death::died(&mut store, *death),
            Input::ProcessExit(exit) => exited(&mut store, exit),
            Input::Loss(loss) => lost(&mut store, &loss),
            Input::Answer {
                at,
                target,
                step,
                answer,
            } => answered(&mut store, at, &target, step, answer),
            Input::Tick { at } => {
                at_death::give_up(&mut store, at);
                judge::judge_changed(&mut store, at);
                store.retain_within_bounds();
            }
        }
    }

    /// Writes out what the recorder still buffers.
    pub fn finish(&mut self) {
        if let Some(Err(error)) = self.recorder.as_mut().map(Recorder::finish) {
            tracing::warn!(%error, "the recording is incomplete");
        }
    }

    fn lock(&self) -> RwLockWriteGuard<'_, Store> {
        // A reader cannot leave the store half-written, so a poisoned lock still guards a sound store.
        self.store.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn target_seen(store: &mut Store, at: Timestamp, target: Target) {
    match store.see_target(target, at) {
        Some(stored) => stored.changed = true,
        None => store.count_loss("target_bound_reached", 1),
    }
}

fn target_gone(store: &mut Store, at: Timestamp, target: &TargetId) {
    if let Some(stored) = store.target_mut(target) {
        stored.history.apply_gone(at);
    }
}

fn sampled(store: &mut Store, sample: &Sample) {
    let Some(stored) = store.target_mut(&sample.target) else {
        store.count_loss("sample_of_unknown_target", 1);
        return;
    };
    let history = &mut stored.history;
    let (window_before, limit_before) = (
        history.window_start,
        history.newest.as_ref().ok().map(|memory| memory.limit),
    );
    let charge_before = history.points.as_slice().last().map(|point| point.charge);
    history.apply_sample(sample);
    let moved = charge_before != history.points.as_slice().last().map(|point| point.charge);
    stored.changed |= moved || window_before != history.window_start;
    let restarted =
        (window_before != history.window_start).then(|| history.past_windows.last().map(|window| window.end));
    let limit_now = history.newest.as_ref().ok().map(|memory| memory.limit);
    if let (Some(from), Some(to)) = (limit_before, limit_now)
        && from != to
    {
        store.push_event(
            sample.at,
            Some(sample.target.clone()),
            EventKind::LimitChange { from, to },
        );
    } else if let Some(Some(end)) = restarted {
        store.push_event(sample.at, Some(sample.target.clone()), EventKind::Restart { end });
    }
    death::kills_only_counted(store, sample);
}

fn profiled(store: &mut Store, taken: &TakenProfile) {
    let Some(stored) = store.target_mut(&taken.target) else {
        store.count_loss("profile_of_unknown_target", 1);
        return;
    };
    let content = match &taken.profile.content {
        Ok(content) => content,
        Err(missing) => {
            tracing::debug!(target = %taken.target, why = missing.detail, "a profile does not decode");
            store.count_loss("profile_undecodable", 1);
            return;
        }
    };
    let summary = content.intern(&mut stored.history.stacks);
    let accepted = stored.history.apply_snapshot(Snapshot {
        target: taken.target.clone(),
        process: taken.process,
        profile_type: taken.profile_type,
        at: taken.at,
        source: taken.source,
        values: summary.values,
        total: summary.total,
        complete: summary.dropped == 0,
        pprof: Arc::clone(&taken.profile.pprof),
    });
    stored.changed = true;
    if summary.dropped > 0 {
        store.count_loss("profile_stacks_dropped", summary.dropped);
    }
    if !accepted {
        store.count_loss("profile_of_smaller_process", 1);
    }
}

fn profile_missing(store: &mut Store, target: &TargetId, profile_type: ProfileType, missing: Missing) {
    if let Some(stored) = store.target_mut(target)
        && stored.history.profile_missing.get(&profile_type) != Some(&missing)
    {
        stored.history.profile_missing.insert(profile_type, missing);
        stored.changed = true;
    }
}

/// Exits of processes that were sampled, and of any that a signal ended, are events. The many that come and go between
/// two samples and end in peace are not: they would push everything else out.
fn exited(store: &mut Store, exit: ProcessExit) {
    let knows = |history: &TargetHistory| history.processes.contains_key(&exit.key);
    let target = match exit.cgroup_inode {
        Some(inode) => store.target_by_inode(inode).cloned(),
        None => store
            .targets()
            .find(|(_, stored)| knows(&stored.history))
            .map(|(id, _)| id.clone()),
    };
    let Some(stored) = target.as_ref().and_then(|target| store.target_mut(target)) else {
        return;
    };
    let signalled = exit.exit_code.as_ref().is_ok_and(|code| code & 0x7f != 0);
    if knows(&stored.history) {
        stored.history.apply_exit(&exit);
        stored.changed = true;
    } else if !signalled {
        return;
    }
    store.push_event(exit.at, target, EventKind::ProcessExit(exit));
}

fn lost(store: &mut Store, loss: &Loss) {
    store.count_loss(loss.reason.clone(), loss.count);
    store.push_event(
        loss.at,
        None,
        EventKind::Loss {
            reason: loss.reason.clone(),
            count: loss.count,
        },
    );
}

fn answered(store: &mut Store, at: Timestamp, target: &TargetId, step: StepId, answer: Option<Answer>) {
    let Some(stored) = store.target_mut(target) else { return };
    match answer {
        Some(answer) => stored.overrides.insert(step, answer),
        None => stored.overrides.remove(&step),
    };
    judge::judge(store, target, at);
}

#[cfg(test)]
mod tests;
