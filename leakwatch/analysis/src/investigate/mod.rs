//! Builds the guided workflow for one target: asks every question, answers it from the facts, takes a person's answers
//! in, and ends with the verdict. Must not hold state: the same history gives the same investigation.

mod steps;
mod teaches;

use crate::detect::facts::Facts;
use crate::detect::judge;
use crate::history::TargetHistory;
use crate::model::investigation::Answer;
use crate::model::investigation::AnsweredBy;
use crate::model::investigation::Investigation;
use crate::model::investigation::StepId;
use crate::model::units::Timestamp;
use std::collections::BTreeMap;

/// Investigates a target. `replicas` are the other targets of its service, also gone ones.
pub fn investigate(
    history: &TargetHistory,
    overrides: &BTreeMap<StepId, Answer>,
    replicas: &[&TargetHistory],
    now: Timestamp,
) -> Investigation {
    let facts = Facts::gather(history, replicas, now);
    let verdict = judge::judge(&facts, overrides);
    let steps = StepId::ALL
        .into_iter()
        .map(|id| {
            let mut step = steps::answer(id, &facts, &verdict);
            if let Some(answer) = overrides.get(&id) {
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
