//! Step 6: whether there is another explanation than a leak.

use crate::detect::facts::Facts;
use crate::detect::not_enough_data;
use crate::detect::table::DETECTORS;
use crate::investigate::steps::reply::Reply;
use crate::investigate::steps::reply::StepRow;
use crate::model::investigation::Answer;
use crate::model::investigation::StepId;
use crate::model::verdict::Verdict;
use crate::model::verdict::VerdictClass;

pub(super) const STEP: StepRow = StepRow {
    id: StepId::Other,
    question: "Is there another explanation: a limit that is too small, a warm-up, a burst?",
    explanation: "Not everything that fills a limit leaks. Caches fill to a bound and runtimes warm up; a steady program can need more \
             than its limit, so that it is killed at the same level in every run. A leak reaches any limit; a need has a level.",
    answer,
};

fn answer(_: &Facts<'_>, verdict: &Verdict) -> Reply {
    let is_other = |class: VerdictClass| {
        let mut others = DETECTORS.iter().filter(|detector| detector.step == StepId::Other);
        others.any(|detector| detector.class == class)
    };
    if is_other(verdict.class) {
        return Reply::new(Answer::Yes, verdict.confidence, verdict.summary.clone());
    }
    let because: Vec<String> = verdict
        .rejected
        .iter()
        .filter(|rejected| is_other(rejected.class))
        .map(|rejected| format!("{}: {}", rejected.class.words(), rejected.because))
        .collect();
    let answer = if verdict.class == not_enough_data::CLASS {
        Answer::Unknown
    } else {
        Answer::No
    };
    Reply::new(
        answer,
        verdict.confidence,
        format!("None that fits ({}).", because.join("; ")),
    )
}
