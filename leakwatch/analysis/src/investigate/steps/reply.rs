//! What a step of the investigation is made of.

use crate::detect::facts::Facts;
use crate::detect::not_enough_data;
use crate::measure::site_trend::ProfileTrend;
use crate::model::investigation::Answer;
use crate::model::investigation::StepId;
use crate::model::profile::ProfileType;
use crate::model::reading::Missing;
use crate::model::units::Timestamp;
use crate::model::verdict::Evidence;
use crate::model::verdict::Verdict;

/// One step: its question and how it is answered.
pub(super) struct StepRow {
    pub(super) id: StepId,
    pub(super) question: &'static str,
    /// How memory works, as far as it matters for the question.
    pub(super) explanation: &'static str,
    pub(super) answer: fn(&Facts<'_>, &Verdict) -> Reply,
}

/// The answer to a question, and what it rests on.
pub(super) struct Reply {
    pub(super) answer: Answer,
    pub(super) confidence: f64,
    pub(super) why: String,
    pub(super) evidence: Vec<Evidence>,
    pub(super) series: Vec<&'static str>,
    pub(super) diff: Option<(ProfileType, Timestamp, Timestamp)>,
    pub(super) missing: Vec<(&'static str, Missing)>,
    pub(super) skipped_because: Option<String>,
}

impl Reply {
    pub(super) fn new(answer: Answer, confidence: f64, why: impl Into<String>) -> Self {
        Self {
            answer,
            confidence,
            why: why.into(),
            evidence: Vec::new(),
            series: Vec::new(),
            diff: None,
            missing: Vec::new(),
            skipped_because: None,
        }
    }

    /// That there are no two profiles to compare; `lane` is the name under which the reason is told.
    pub(super) fn no_profile(facts: &Facts<'_>, lane: &'static str) -> Self {
        if facts.is_go == Some(false) {
            let mut reply = Self::new(Answer::Unknown, 0.0, "The main process is not a Go program.");
            reply.skipped_because = Some("not a Go program".to_owned());
            return reply;
        }
        let mut reply = Self::new(Answer::Unknown, 0.0, "No two profiles are available to compare.");
        reply.missing = not_enough_data::missing(facts)
            .into_iter()
            .filter(|(name, _)| *name == lane)
            .collect();
        reply
    }

    /// With the metrics to draw.
    pub(super) fn series(mut self, names: &[&'static str]) -> Self {
        self.series = names.to_vec();
        self
    }

    /// With the two profiles that a trend lies between.
    pub(super) const fn comparing(mut self, profile_type: ProfileType, trend: &ProfileTrend) -> Self {
        self.diff = Some((profile_type, trend.base, trend.compare));
        self
    }

    /// Confidence after watching for so many seconds, if nothing else speaks against it.
    pub(super) fn certainty(seconds: f64) -> f64 {
        seconds.max(0.0) / (seconds.max(0.0) + 5.0)
    }
}
