//! When a target is judged anew: at each tick if it changed, and now and then if it did not.

use crate::store::event::EventKind;
use crate::store::memory::Memory;
use crate::store::target::StoredTarget;
use crate::store::target::compared_with;
use leakwatch_analysis::model::investigation::AnsweredBy;
use leakwatch_analysis::model::investigation::Investigation;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// An unchanged target is judged again when its window got longer by an eighth, so "not enough data" may become "stable"; within
/// these bounds.
const UNCHANGED: RangeInclusive<Duration> = Duration::from_secs(30)..=Duration::from_mins(5);

/// Judges every living target that changed since it was judged last. Answers about dead ones to which something was added since are as of now.
pub(super) fn judge_changed(memory: &mut Memory, at: Timestamp) {
    let (mut due, mut ended) = (Vec::new(), Vec::new());
    for (id, stored) in memory.targets() {
        if stored.investigation.is_some() && stored.history.living().next().is_none() {
            if stored.changed {
                ended.push(id.clone());
            }
        } else if stored.history.gone_at.is_none() && is_due(stored, at) {
            due.push(id.clone());
        }
    }
    for id in due {
        judge(memory, &id, at);
        bury(memory, &id, at);
    }
    for id in ended {
        bury(memory, &id, at);
        let Some(stored) = memory.target_mut(&id) else { continue };
        stored.changed = false;
        if let Some(made) = &mut stored.investigation {
            Arc::make_mut(made).at = at;
        }
    }
}

/// Whether an answer still tells what will become of a target in which no process lives.
fn has_future(stored: &StoredTarget) -> bool {
    let verdict = stored.investigation.as_ref().map(|made| &made.verdict);
    let tells = verdict.is_some_and(|verdict| {
        verdict.growth_bytes_per_second.is_some()
            || verdict.time_to_limit.is_some()
            || verdict.limit_probability.is_some()
            || !verdict.decided_by.is_empty()
    });
    tells && stored.history.living().next().is_none()
}

/// After a sample, or whatever made an answer about the dead: it says what ended there, and nothing of the future any more. Until the round ends it
/// is as of now.
pub(super) fn bury(memory: &mut Memory, id: &TargetId, at: Timestamp) {
    if !memory.target(id).is_some_and(has_future) {
        return;
    }
    let Some(stored) = memory.target_mut(id) else { return };
    stored.changed = true;
    if let Some(made) = &mut stored.investigation {
        let made = Arc::make_mut(made);
        made.at = at;
        made.verdict
            .of_the_dead(&Missing::new(MissingReason::Gone, "no process lives in it any more"));
    }
}

/// Judges one target now.
pub(super) fn judge(memory: &mut Memory, id: &TargetId, at: Timestamp) {
    let Some(investigation) = investigate(memory, id, at) else {
        return;
    };
    let to = investigation.verdict.class;
    let is_overruled = investigation
        .steps
        .iter()
        .any(|step| step.answered_by == AnsweredBy::User);
    let Some(stored) = memory.target_mut(id) else { return };
    let before = stored.investigation.as_ref().map(|before| before.verdict.class);
    let from = before.or(stored.class_before.take());
    // What a person says is no observation: taken back, it leaves nothing behind.
    if !is_overruled {
        stored.history.apply_verdict(&investigation.verdict);
    }
    stored.investigation = Some(Arc::new(investigation));
    stored.changed = false;
    if from != Some(to) {
        memory.push_event(at, Some(id.clone()), EventKind::VerdictChange { from, to });
    }
}

/// The investigation of a target as of `at`, without keeping it.
pub(super) fn investigate(memory: &Memory, id: &TargetId, at: Timestamp) -> Option<Investigation> {
    let stored = memory.target(id)?;
    let others = memory
        .replicas(&stored.history.target.service)
        .filter(|(other, _)| *other != id);
    let replicas = compared_with(others.map(|(_, other)| &other.history));
    Some(leakwatch_analysis::investigate(
        &stored.history,
        &memory.answers(stored),
        &replicas,
        at,
    ))
}

/// Whether a living target has to be judged anew. One without processes keeps its last verdict, which says what ended there.
fn is_due(stored: &StoredTarget, at: Timestamp) -> bool {
    let longer = at.since(stored.history.window_start) / 8;
    let unchanged = longer.clamp(*UNCHANGED.start(), *UNCHANGED.end());
    stored
        .investigation
        .as_ref()
        .is_none_or(|investigation| stored.changed || at.since(investigation.at) >= unchanged)
}
