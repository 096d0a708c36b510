//! The guided workflow, answered.

use crate::dto::instant::Instant;
use crate::dto::link;
use crate::dto::missing::MissingMap;
use crate::dto::number::finite;
use crate::dto::page::LossBody;
use crate::dto::verdict::EvidenceBody;
use crate::dto::verdict::VerdictBody;
use leakwatch_analysis::model::investigation::Answer;
use leakwatch_analysis::model::investigation::AnsweredBy;
use leakwatch_analysis::model::investigation::Investigation;
use leakwatch_analysis::model::investigation::Step;
use leakwatch_analysis::model::target::TargetId;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// All questions about one target with their answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Investigation)]
pub struct InvestigationBody {
    /// Id of the target.
    pub target: String,
    /// When it was made.
    pub at: Instant,
    /// Where it leads.
    pub verdict: VerdictBody,
    /// In the order they are asked.
    pub steps: Vec<StepBody>,
    /// What was dropped since the daemon started and may affect this.
    pub losses: Vec<LossBody>,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Step)]
pub struct StepBody {
    /// `memory`, `ledger`, `goroutines`, `live_heap`, `native`, `other` or `conclusion`.
    pub id: String,
    /// The question.
    pub question: String,
    /// The answer in force.
    pub answer: AnswerBody,
    /// `leakwatch`, or `user` when a person overruled it.
    pub answered_by: String,
    /// How sure the tool is, 0 to 1.
    pub confidence: Option<f64>,
    /// Why, with the numbers.
    pub why: String,
    /// How memory works in this runtime.
    pub teaches: String,
    /// The numbers.
    pub evidence: Vec<EvidenceBody>,
    /// Metrics to draw.
    pub series: Vec<String>,
    /// Profiles to compare; `null` when none are.
    pub diff: Option<String>,
    /// What could not be looked at.
    pub missing: MissingMap,
    /// Why the question needs no answer; `null` when it has one.
    pub skipped_because: Option<String>,
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Answer)]
pub enum AnswerBody {
    /// Yes.
    Yes,
    /// No.
    No,
    /// The data does not tell.
    Unknown,
}

impl AnswerBody {
    /// As on the wire.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

impl From<Answer> for AnswerBody {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Yes => Self::Yes,
            Answer::No => Self::No,
            Answer::Unknown => Self::Unknown,
        }
    }
}

/// A person's answer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Override)]
pub struct OverrideBody {
    /// Id of the step.
    pub step: String,
    /// `yes`, `no`, or `null` to take an answer back.
    #[serde(deserialize_with = "Option::deserialize")]
    pub answer: Option<AnswerBody>,
}

impl InvestigationBody {
    /// The investigation of a target.
    pub fn new(id: &TargetId, investigation: &Investigation, losses: Vec<LossBody>) -> Self {
        Self {
            target: id.to_string(),
            at: investigation.at.into(),
            verdict: VerdictBody::new(id, &investigation.verdict),
            steps: investigation.steps.iter().map(|step| StepBody::new(id, step)).collect(),
            losses,
        }
    }
}

impl StepBody {
    fn new(id: &TargetId, step: &Step) -> Self {
        let mut missing: MissingMap = step.missing.iter().map(|(field, missing)| (*field, missing)).collect();
        Self {
            id: step.id.name().to_owned(),
            question: step.question.clone(),
            answer: step.answer.into(),
            answered_by: match step.answered_by {
                AnsweredBy::Leakwatch => "leakwatch".to_owned(),
                AnsweredBy::User => "user".to_owned(),
            },
            confidence: missing.applicable("confidence", finite(step.confidence), "it is not a number"),
            why: step.why.clone(),
            teaches: step.explanation.clone(),
            evidence: step
                .evidence
                .iter()
                .map(|evidence| EvidenceBody::new(id, evidence))
                .collect(),
            series: step.series.iter().map(|name| (*name).to_owned()).collect(),
            diff: step
                .diff
                .map(|(profile_type, base, compare)| link::diff(id, profile_type, base, compare)),
            missing,
            skipped_because: step.skipped_because.clone(),
        }
    }
}
