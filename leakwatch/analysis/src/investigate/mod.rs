//! Builds the guided workflow for one target: asks every question, answers it from the facts, takes a person's answers
//! in, and ends with the verdict. Must not hold state: the same history gives the same investigation.

mod steps;

use crate::detect::facts::Facts;
use crate::history::TargetHistory;
use crate::model::investigation::AnsweredBy;
use crate::model::investigation::Investigation;
use crate::model::units::Timestamp;
use crate::verdict::Answers;
use crate::verdict::judge;

/// Investigates a target. `given` are a person's answers, `replicas` the other targets of its service, also gone ones.
pub fn investigate(
    history: &TargetHistory,
    given: &Answers,
    replicas: &[&TargetHistory],
    now: Timestamp,
) -> Investigation {
    let facts = Facts::of(history, replicas, now);
    let verdict = judge(&facts, given);
    let steps = steps::answers(&facts, &verdict)
        .map(|mut step| {
            if let Some(answer) = given.get(&step.id) {
                step.answer = *answer;
                step.answered_by = AnsweredBy::User;
                step.skipped_because = None;
            }
            step
        })
        .collect();
    Investigation {
        at: now,
        verdict,
        steps,
    }
}
