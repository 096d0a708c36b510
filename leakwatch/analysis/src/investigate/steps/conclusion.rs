//! Step 7: the verdict, as the answer to whether this is a leak.

use crate::detect::facts::Facts;
use crate::detect::not_enough_data;
use crate::detect::table::UNDECIDED;
use crate::investigate::steps::reply::Reply;
use crate::investigate::steps::reply::StepRow;
use crate::model::investigation::Answer;
use crate::model::investigation::StepId;
use crate::model::verdict::Verdict;

pub(super) const STEP: StepRow = StepRow {
    id: StepId::Conclusion,
    question: "Is this a leak?",
    explanation: "A verdict is as good as its evidence: it names what was seen, what was ruled out and what would change it.",
    answer,
};

fn answer(_: &Facts<'_>, verdict: &Verdict) -> Reply {
    let answer = match verdict.class {
        class if class.is_leak() => Answer::Yes,
        not_enough_data::CLASS => Answer::Unknown,
        class if UNDECIDED.contains(&class) => Answer::Unknown,
        _ => Answer::No,
    };
    let mut reply = Reply::new(answer, verdict.confidence, verdict.summary.clone());
    reply.evidence.clone_from(&verdict.evidence);
    reply.missing.clone_from(&verdict.missing);
    reply
}
