//! The one loop: every input passes here, in order, and nothing else changes what is known. Readers get views of it.
//!
//! The engine has no clock and does no I/O besides the recording: a replay of the same inputs reaches the same answers.

pub mod replay;
pub mod bundle;
mod post_mortem;
mod final_heap;
mod restart;
mod judge;
mod rulings;

use crate::input::Input;
use crate::input::Recorder;
use crate::input::TakenProfile;
use crate::store::Bounds;
use crate::store::disk::feed::Feed;
use crate::store::disk::restore::Restored;
use crate::store::event::EventKind;
use crate::store::memory::Memory;
use crate::store::memory::snapshot_of;
use crate::store::target::News;
use crate::store::view::Views;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::event::Loss;
use leakwatch_analysis::model::event::ProcessExit;
use leakwatch_analysis::model::investigation::Answer;
use leakwatch_analysis::model::investigation::StepId;
use leakwatch_analysis::model::killer::Killer;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::sample::Sample;
use leakwatch_analysis::model::target::Target;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use tokio::sync::mpsc;

/// Applies inputs to what is known, judges what changed, and shows it to readers.
#[derive(Debug)]
pub struct Engine {
    memory: Memory,
    views: Views,
    recorder: Option<Recorder>,
    /// Hands what is new to the store on disk.
    feed: Option<Feed>,
    /// Something that somebody waits for is not in the newest view.
    awaited: bool,
}

impl Engine {
    /// An engine that knows nothing yet.
    pub fn new(bounds: Bounds, recorder: Option<Recorder>) -> Self {
        let mut engine = Self {
            memory: Memory::new(bounds),
            views: Views::default(),
            recorder,
            feed: None,
            awaited: false,
        };
        engine.publish();
        engine
    }

    /// Keeps on disk what it learns, and knows what a daemon before it knew. A recording replays to the same answers only if it begins with nothing: then
    /// what was known before is left out.
    pub(crate) fn keep(&mut self, feed: Feed, restored: Restored) {
        if self.recorder.is_none() {
            self.memory.restore(restored);
        } else {
            // What a person ruled holds while it is recorded, too: as if it were said anew.
            for ruling in restored.rulings {
                self.apply(Input::Ruling {
                    at: ruling.made_at,
                    id: ruling.id.clone(),
                    ruling: Some(ruling),
                });
            }
        }
        self.memory.go_on_after(feed.next_event());
        self.feed = Some(feed);
        self.publish();
    }

    /// Where its views are.
    pub fn views(&self) -> Views {
        self.views.clone()
    }

    /// Takes inputs until nobody can send any more, then finishes the recording.
    pub fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
        while let Some(input) = inputs.blocking_recv() {
            self.apply(input);
            while let Ok(input) = inputs.try_recv() {
                self.apply(input);
            }
            if self.awaited {
                self.publish();
            }
        }
        self.finish();
    }

    /// Takes in what happened. Readers see it with the next view, which is made at the end of a round.
    pub fn apply(&mut self, input: Input) {
        let recording_lost = self.recorder.as_mut().and_then(|recorder| recorder.write(&input).err());
        if let Some(loss) = recording_lost {
            self.memory.count_loss(loss.reason(), 1);
        }
        self.awaited |= is_awaited(&input);
        let (ends_round, at) = (matches!(input, Input::Tick { .. }), input.at());
        take_in(&mut self.memory, input);
        if ends_round {
            if let Some(feed) = &mut self.feed {
                feed.offer(&mut self.memory, at);
            }
            self.publish();
        }
    }

    /// Shows readers what is known now.
    pub fn publish(&mut self) {
        self.views.publish(self.memory.view());
        self.awaited = false;
    }

    /// Writes out what the recorder still buffers.
    pub fn finish(&mut self) {
        if let Some(Err(error)) = self.recorder.as_mut().map(Recorder::finish) {
            tracing::warn!(%error, "the recording is incomplete");
        }
    }
}

/// Whether somebody looks for what comes of the input before the round ends: who gave an answer, who asked for a capture, who is told of
/// kills.
fn is_awaited(input: &Input) -> bool {
    match input {
        Input::Answer { .. }
        | Input::Ruling { .. }
        | Input::Pin { .. }
        | Input::ConfigReload(_)
        | Input::OomKill(_)
        | Input::FinalState(_)
        | Input::ProcessExit(_) => true,
        Input::Profile(taken) => taken.source == ProfileSource::Capture,
        _ => false,
    }
}

fn take_in(memory: &mut Memory, input: Input) {
    memory.advance(input.at());
    match input {
        Input::TargetSeen { at, target } => target_seen(memory, at, target),
        Input::TargetGone { at, target } => target_gone(memory, at, &target),
        Input::Sample(sample) => sampled(memory, &sample),
        Input::Profile(profile) => profiled(memory, &profile),
        Input::ProfileMissing {
            target,
            profile_type,
            missing,
            ..
        } => {
            profile_missing(memory, &target, profile_type, missing);
        }
        Input::Runtime {
            at,
            target,
            process,
            stats,
        } => {
            if let Some(stored) = memory.target_mut(&target) {
                stored.history.apply_runtime(at, process, stats);
            } else {
                memory.count_loss("profile_of_unknown_target", 1);
            }
        }
        Input::OomKill(kill) => post_mortem::oom_kill(memory, *kill),
        Input::FinalState(state) => final_heap::died(memory, *state),
        Input::ProcessExit(exit) => exited(memory, exit),
        Input::Loss(loss) => lost(memory, &loss),
        Input::ConfigReload(reload) => memory.push_event(reload.at, None, EventKind::ConfigReload(reload)),
        Input::Answer {
            at,
            target,
            step,
            answer,
        } => answered(memory, at, &target, step, answer),
        Input::Ruling { at, id, ruling } => rulings::take_in(memory, at, &id, ruling),
        Input::Pin { oom_kill, pinned, .. } => post_mortem::pin(memory, &oom_kill, pinned),
        Input::Tick { at } => {
            rulings::expire(memory, at);
            final_heap::give_up(memory, at);
            judge::judge_changed(memory, at);
            memory.retain_within_bounds();
        }
    }
}

fn target_seen(memory: &mut Memory, at: Timestamp, target: Target) {
    let cgroup = target.cgroup.clone();
    match memory.see_target(target, at) {
        Some(stored) => {
            stored.hear(News::Event);
            post_mortem::killed_before_seen(memory, at, &cgroup);
        }
        None => memory.count_loss("target_bound_reached", 1),
    }
}

fn target_gone(memory: &mut Memory, at: Timestamp, target: &TargetId) {
    if let Some(stored) = memory.target_mut(target) {
        stored.history.apply_gone(at);
    }
    judge::bury(memory, target, at);
}

fn sampled(memory: &mut Memory, sample: &Sample) {
    let Some(stored) = memory.target_mut(&sample.target) else {
        memory.count_loss("sample_of_unknown_target", 1);
        return;
    };
    let history = &mut stored.history;
    let (window_before, limit_before) = (
        history.window_start,
        history.newest.as_ref().ok().map(|memory| memory.limit),
    );
    let charge_before = history.points.all().last().map(|point| point.charge);
    let main_before = history.main_sampled().cloned();
    history.apply_sample(sample);
    let moved = charge_before != history.points.all().last().map(|point| point.charge);
    let lives_anew = window_before != history.window_start;
    let restarted = restart::follow(&mut stored.ended, main_before, history);
    let limit_now = history.newest.as_ref().ok().map(|memory| memory.limit);
    if lives_anew || limit_now != limit_before {
        stored.hear(News::Event);
    } else if moved {
        stored.hear(News::Numbers);
    }
    if let (Some(from), Some(to)) = (limit_before, limit_now)
        && from != to
    {
        memory.push_event(
            sample.at,
            Some(sample.target.clone()),
            EventKind::LimitChange { from, to },
        );
    }
    if let Some(end) = restarted {
        memory.push_event(sample.at, Some(sample.target.clone()), EventKind::Restart { end });
    }
    post_mortem::kills_only_counted(memory, sample);
    judge::bury(memory, &sample.target, sample.at);
}

fn profiled(memory: &mut Memory, taken: &TakenProfile) {
    if memory.target(&taken.target).is_none() {
        memory.count_loss("profile_of_unknown_target", 1);
        return;
    }
    let content = match &taken.profile {
        Ok(content) => content,
        Err(missing) => {
            tracing::debug!(target = %taken.target, why = missing.detail, "a profile does not decode");
            memory.count_loss("profile_undecodable", 1);
            return;
        }
    };
    let (summary, stacks) = match (taken.profile_type, taken.source) {
        (ProfileType::Heap, ProfileSource::Snapshot) => memory.intern_next(taken.process, content),
        _ => memory.intern(content),
    };
    for loss in &summary.losses {
        memory.count_loss(loss.reason.clone(), loss.samples);
    }
    let Some(stored) = memory.target_mut(&taken.target) else {
        return;
    };
    let accepted = stored.history.apply_snapshot(snapshot_of(taken, summary));
    stored.history.stacks = stacks;
    stored.hear(News::Numbers);
    if !accepted {
        memory.count_loss("profile_of_smaller_process", 1);
    } else if taken.profile_type == ProfileType::Heap {
        memory.tell_version(&taken.target, taken.process, taken.at);
    }
}

fn profile_missing(memory: &mut Memory, target: &TargetId, profile_type: ProfileType, missing: Missing) {
    if let Some(stored) = memory.target_mut(target)
        && stored.history.profile_missing.get(&profile_type) != Some(&missing)
    {
        stored.history.profile_missing.insert(profile_type, missing);
        stored.hear(News::Numbers);
    }
}

/// Exits of processes that were sampled, and of any that a signal ended, are events. The many that come and go between
/// two samples and end in peace are not: they would push everything else out.
fn exited(memory: &mut Memory, mut exit: ProcessExit) {
    if exit.was_killed() && post_mortem::is_of(memory, &exit) {
        exit.killer = Some(Killer::OomKiller);
    }
    let knows = |history: &TargetHistory| history.processes.contains_key(&exit.key);
    let target = match exit.cgroup_inode {
        Some(inode) => memory.target_by_inode(inode).cloned(),
        None => memory
            .targets()
            .find(|(_, stored)| knows(&stored.history))
            .map(|(id, _)| id.clone()),
    };
    let Some(stored) = target.as_ref().and_then(|target| memory.target_mut(target)) else {
        return;
    };
    let signalled = exit.exit_code.as_ref().is_ok_and(|code| code & 0x7f != 0);
    if knows(&stored.history) {
        stored.history.apply_exit(&exit);
        stored.hear(News::Event);
    } else if !signalled {
        return;
    }
    memory.push_event(exit.at, target, EventKind::ProcessExit(exit));
}

fn lost(memory: &mut Memory, loss: &Loss) {
    memory.count_loss(loss.reason.clone(), loss.count);
    memory.push_event(
        loss.at,
        None,
        EventKind::Loss {
            reason: loss.reason.clone(),
            count: loss.count,
        },
    );
}

fn answered(memory: &mut Memory, at: Timestamp, target: &TargetId, step: StepId, answer: Option<Answer>) {
    let Some(stored) = memory.target_mut(target) else {
        return;
    };
    match answer {
        Some(answer) => stored.overrides.insert(step, answer),
        None => stored.overrides.remove(&step),
    };
    judge::judge(memory, target, at);
    judge::bury(memory, target, at);
}

#[cfg(test)]
mod tests;
