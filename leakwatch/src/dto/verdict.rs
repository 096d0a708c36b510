//! The one answer for a target.

use crate::dto::instant::Instant;
use crate::dto::link;
use crate::dto::missing::MissingMap;
use crate::dto::number::Number;
use crate::dto::number::finite;
use crate::dto::number::integer;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::stack::Frame;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::verdict::Culprit;
use leakwatch_analysis::model::verdict::Deciding;
use leakwatch_analysis::model::verdict::Estimate;
use leakwatch_analysis::model::verdict::Evidence;
use leakwatch_analysis::model::verdict::LimitProbability;
use leakwatch_analysis::model::verdict::TimeToLimit;
use leakwatch_analysis::model::verdict::Verdict;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// What is going on with a target's memory, and what that rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Verdict)]
pub struct VerdictBody {
    /// One of the verdict classes.
    pub class: String,
    /// Probability of the class, 0 to 1.
    pub confidence: Option<f64>,
    /// Probability that what grows does not end by itself. A leak is claimed from 0.9.
    pub leak_probability: Option<f64>,
    /// Chance that the limit is reached, or without one the end of the machine's memory, whatever the cause. An alert is due from 0.8.
    pub limit_probability: Option<LimitProbabilityBody>,
    /// What will decide whether growth ends by itself; empty unless the class is `growing` or `managed_heap_growth`.
    pub decided_by: Vec<DecidingBody>,
    /// Part of the memory needed that what grows explains, 0 to 1.
    pub explains_share_of_need: Option<f64>,
    /// One sentence a person can act on.
    pub summary: String,
    /// Since when the class holds by the data.
    pub since: Instant,
    /// Growth of the memory that cannot be reclaimed.
    pub growth_bytes_per_second: Option<f64>,
    /// When the limit will be reached, or without one the end of the machine's memory: `memory.limit_source` of the target says which.
    pub time_to_limit_seconds: Option<TimeToLimitBody>,
    /// The code that makes memory grow.
    pub culprit: Option<CulpritBody>,
    /// What speaks for it.
    pub evidence: Vec<EvidenceBody>,
    /// What else was considered.
    pub rejected: Vec<RejectedBody>,
    /// What to do, most useful first.
    pub advice: Vec<String>,
    /// A limit that would fit, for `undersized_limit`.
    pub recommended_limit_bytes: Option<u64>,
    /// Observations that would change the verdict.
    pub would_change_our_mind: Vec<String>,
    /// Why fields are `null`, and what could not be looked at.
    pub missing: MissingMap,
}

/// Chance that the limit is reached within so many hours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = LimitProbability)]
pub struct LimitProbabilityBody {
    /// Within an hour.
    #[serde(rename = "1h")]
    pub hour: f64,
    /// Within six hours.
    #[serde(rename = "6h")]
    pub six_hours: f64,
    /// Within a day.
    #[serde(rename = "24h")]
    pub day: f64,
}

/// An observation that will decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Deciding)]
pub struct DecidingBody {
    /// What it is.
    pub what: String,
    /// When it will be there.
    pub at: Option<Instant>,
    /// Why `at` is `null`.
    #[serde(skip_serializing_if = "MissingMap::is_empty", default)]
    pub missing: MissingMap,
}

/// Quantiles of the time until the limit is reached, in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = TimeToLimit)]
pub struct TimeToLimitBody {
    /// 10 % of futures are shorter.
    pub p10: Option<f64>,
    /// Median.
    pub p50: Option<f64>,
    /// 90 % of futures are shorter; `null` when growth may stop.
    pub p90: Option<f64>,
    /// Why a quantile is `null`.
    #[serde(skip_serializing_if = "MissingMap::is_empty", default)]
    pub missing: MissingMap,
}

/// The code that makes memory grow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Culprit)]
pub struct CulpritBody {
    /// Innermost function of the program's own code on the growing stacks.
    pub function: String,
    /// Its source file.
    pub file: Option<String>,
    /// Its line.
    pub line: Option<u32>,
    /// Its part of all growth, 0 to 1.
    pub share_of_growth: Option<f64>,
    /// Growth in bytes, for heap leaks.
    pub growth_bytes: Option<EstimateBody>,
    /// Growth in goroutines, for goroutine leaks.
    pub growth_goroutines: Option<EstimateBody>,
    /// The stack that grew most, innermost frame first: `function file:line`.
    pub stack: Vec<String>,
    /// Why fields are `null`.
    #[serde(skip_serializing_if = "MissingMap::is_empty", default)]
    pub missing: MissingMap,
}

/// A number with its 95 % interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Estimate)]
pub struct EstimateBody {
    /// Best guess.
    pub estimate: i64,
    /// Lower bound.
    pub low: i64,
    /// Upper bound.
    pub high: i64,
}

/// One number that speaks for an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Evidence)]
pub struct EvidenceBody {
    /// A sentence.
    pub claim: String,
    /// The number in it.
    pub value: Option<Number>,
    /// Log-odds that it adds for (above 0) or against a leak; `null` where it only describes.
    pub weight: Option<f64>,
    /// Its unit.
    pub unit: String,
    /// Where to look at it.
    pub link: Option<String>,
    /// Why the value is `null`.
    #[serde(skip_serializing_if = "MissingMap::is_empty", default)]
    pub missing: MissingMap,
}

/// A class that was considered and did not win.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Rejected)]
pub struct RejectedBody {
    /// The class.
    pub class: String,
    /// Why not.
    pub because: String,
    /// Whether there was what it takes to look for it; else it is not ruled out.
    pub checked: bool,
}

impl VerdictBody {
    /// The verdict of a target.
    pub fn new(id: &TargetId, verdict: &Verdict) -> Self {
        let mut missing: MissingMap = verdict
            .missing
            .iter()
            .map(|(field, missing)| (*field, missing))
            .collect();
        let growth = verdict.growth_bytes_per_second.and_then(finite);
        let time_to_limit = verdict.time_to_limit.as_ref().map(TimeToLimitBody::from);
        let culprit = verdict
            .culprit
            .as_ref()
            .map(|culprit| CulpritBody::new(culprit, verdict.profile));
        Self {
            class: verdict.class.name().to_owned(),
            confidence: missing.applicable("confidence", finite(verdict.confidence), "it is not a number"),
            leak_probability: missing.applicable(
                "leak_probability",
                finite(verdict.leak_probability),
                "it is not a number",
            ),
            limit_probability: missing.applicable(
                "limit_probability",
                verdict.limit_probability.map(LimitProbabilityBody::from),
                "there is no limit",
            ),
            decided_by: verdict.decided_by.iter().map(DecidingBody::from).collect(),
            explains_share_of_need: missing.applicable(
                "explains_share_of_need",
                verdict.explains_share_of_need.and_then(finite),
                "no place is known to grow",
            ),
            summary: verdict.summary.clone(),
            since: verdict.since.into(),
            growth_bytes_per_second: missing.applicable("growth_bytes_per_second", growth, "no rate was established"),
            time_to_limit_seconds: missing.applicable(
                "time_to_limit_seconds",
                time_to_limit,
                "there is no growth towards a limit",
            ),
            culprit: missing.applicable("culprit", culprit, "no code is to blame for this"),
            evidence: verdict
                .evidence
                .iter()
                .map(|evidence| EvidenceBody::new(id, evidence))
                .collect(),
            rejected: verdict
                .rejected
                .iter()
                .map(|rejected| RejectedBody {
                    class: rejected.class.name().to_owned(),
                    because: rejected.because.clone(),
                    checked: rejected.checked,
                })
                .collect(),
            advice: verdict.advice.clone(),
            recommended_limit_bytes: missing.applicable(
                "recommended_limit_bytes",
                verdict.recommended_limit.map(|limit| limit.0),
                "another limit would not help, or none is set",
            ),
            would_change_our_mind: verdict.would_change_our_mind.clone(),
            missing,
        }
    }
}

impl From<LimitProbability> for LimitProbabilityBody {
    fn from(limit: LimitProbability) -> Self {
        Self {
            hour: limit.hour,
            six_hours: limit.six_hours,
            day: limit.day,
        }
    }
}

impl From<&Deciding> for DecidingBody {
    fn from(deciding: &Deciding) -> Self {
        let mut missing = MissingMap::default();
        let at = deciding.at.map(Instant::from);
        Self {
            what: deciding.what.clone(),
            at: missing.applicable("at", at, "when that happens is not known"),
            missing,
        }
    }
}

impl From<&TimeToLimit> for TimeToLimitBody {
    fn from(time: &TimeToLimit) -> Self {
        let mut missing = MissingMap::default();
        let mut quantile =
            |name, value| missing.applicable(name, finite(value), "growth may stop before the limit is reached");
        Self {
            p10: quantile("p10", time.p10_seconds),
            p50: quantile("p50", time.p50_seconds),
            p90: quantile("p90", time.p90_seconds),
            missing,
        }
    }
}

impl CulpritBody {
    fn new(culprit: &Culprit, profile: Option<ProfileType>) -> Self {
        let mut missing = MissingMap::default();
        let growth = EstimateBody::new(&culprit.growth);
        let (bytes, goroutines) = if profile == Some(ProfileType::Goroutine) {
            (None, growth)
        } else {
            (growth, None)
        };
        let file = Some(culprit.frame.file.to_string()).filter(|file| !file.is_empty());
        let line = Some(culprit.frame.line).filter(|line| *line != 0);
        Self {
            function: culprit.frame.function.to_string(),
            file: missing.applicable("file", file, "the profile has no file for it"),
            line: missing.applicable("line", line, "the profile has no line for it"),
            share_of_growth: missing.applicable(
                "share_of_growth",
                finite(culprit.share_of_growth),
                "it is not a number",
            ),
            growth_bytes: missing.applicable("growth_bytes", bytes, "it grows in goroutines, not in bytes of heap"),
            growth_goroutines: missing.applicable("growth_goroutines", goroutines, "it grows in bytes of heap"),
            stack: culprit.stack.iter().map(frame_text).collect(),
            missing,
        }
    }
}

impl EstimateBody {
    fn new(estimate: &Estimate) -> Option<Self> {
        Some(Self {
            estimate: integer(estimate.estimate)?,
            low: integer(estimate.low)?,
            high: integer(estimate.high)?,
        })
    }
}

impl EvidenceBody {
    /// A piece of evidence about a target.
    pub fn new(id: &TargetId, evidence: &Evidence) -> Self {
        let mut missing = MissingMap::default();
        let value = Number::with_unit(evidence.value, evidence.unit);
        Self {
            claim: evidence.claim.clone(),
            value: missing.applicable("value", value, "it is not a finite number"),
            weight: missing.applicable("weight", evidence.weight.and_then(finite), "it only describes"),
            unit: evidence.unit.to_owned(),
            link: evidence.link.as_ref().map(|link| link::evidence(id, link)),
            missing,
        }
    }
}

/// `function file:line`, as far as known.
pub fn frame_text(frame: &Frame) -> String {
    match (frame.file.is_empty(), frame.line) {
        (true, _) => frame.function.to_string(),
        (false, 0) => format!("{} {}", frame.function, frame.file),
        (false, line) => format!("{} {}:{line}", frame.function, frame.file),
    }
}
