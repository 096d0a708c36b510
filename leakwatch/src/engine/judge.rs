//! Targets are judged at the end of a round.

use crate::schedule::judging;
use crate::store::event::EventKind;
use crate::store::memory::Memory;
use crate::store::target::News;
use crate::store::target::StoredTarget;
use crate::store::target::compared_with;
use leakwatch_analysis::model::investigation::AnsweredBy;
use leakwatch_analysis::model::investigation::Investigation;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use std::sync::Arc;

/// Judges every living target of which that is due. One without processes keeps its last verdict, which says what ended there. Answers about dead ones to which something was added since are as of now.
pub(super) fn judge_changed(memory: &mut Memory, at: Timestamp) {
    let (mut due, mut ended) = (Vec::new(), Vec::new());
    for (id, stored) in memory.targets() {
        if stored.investigation.is_some() && stored.history.living().next().is_none() {
            if stored.news != News::Nothing {
                ended.push(id.clone());
            }
        } else if stored.history.gone_at.is_none()
            && judging::is_due(&stored.history, stored.investigation.as_deref(), stored.news, at)
        {
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
        stored.news = News::Nothing;
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
    stored.hear(News::Event);
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
    stored.news = News::Nothing;
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
