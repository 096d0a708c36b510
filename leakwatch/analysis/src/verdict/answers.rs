//! What a person's answers do to the detectors: they ask for a class or exclude it.

use crate::detect::table::Detector;
use crate::model::investigation::Answer;
use crate::model::investigation::StepId;
use std::collections::BTreeMap;

/// Answers of a person by step.
pub type Answers = BTreeMap<StepId, Answer>;

/// Why a person's answer excludes a class.
pub(super) fn exclude(answers: &Answers, detector: &Detector) -> Option<String> {
    let excluding = detector.excluded_by.iter();
    let (step, _) = excluding.copied().find(|answer| is_given(answers, *answer))?;
    Some(format!("overruled by the answer to the step {}", step.name()))
}

/// Whether a person's answer asks for a class.
pub(super) fn ask_for(answers: &Answers, detector: &Detector) -> bool {
    detector.asked_for_by.is_some_and(|answer| is_given(answers, answer))
}

fn is_given(answers: &Answers, (step, answer): (StepId, Answer)) -> bool {
    answers.get(&step) == Some(&answer)
}
