//! The steps of an investigation in the order they are asked, one file each: the question, what it teaches about memory, and how it is
//! answered from the facts and the verdict they led to.

mod reply;
mod memory;
mod ledger;
mod goroutines;
mod live_heap;
mod native;
mod other;
mod conclusion;

use crate::detect::facts::Facts;
use crate::investigate::steps::reply::StepRow;
use crate::model::investigation::AnsweredBy;
use crate::model::investigation::Step;
use crate::model::verdict::Verdict;

const STEPS: [StepRow; 7] = [
    memory::STEP,
    ledger::STEP,
    goroutines::STEP,
    live_heap::STEP,
    native::STEP,
    other::STEP,
    conclusion::STEP,
];

/// Asks and answers all steps.
pub(super) fn answers(facts: &Facts<'_>, verdict: &Verdict) -> impl Iterator<Item = Step> {
    STEPS.into_iter().map(|step| {
        let reply = (step.answer)(facts, verdict);
        Step {
            id: step.id,
            question: step.question.to_owned(),
            answer: reply.answer,
            answered_by: AnsweredBy::Leakwatch,
            confidence: reply.confidence.clamp(0.0, 1.0),
            why: reply.why,
            explanation: step.explanation.to_owned(),
            evidence: reply.evidence,
            series: reply.series,
            diff: reply.diff,
            missing: reply.missing,
            skipped_because: reply.skipped_because,
        }
    })
}
