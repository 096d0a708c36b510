//! Picks the one answer among the detectors' findings. Must not read raw data itself.

use crate::detect::facts::Facts;
use crate::detect::finding::Finding;
use crate::detect::not_enough_data;
use crate::detect::table::DETECTORS;
use crate::format;
use crate::model::verdict::Rejected;
use crate::model::verdict::Verdict;
use crate::model::verdict::VerdictClass;
use crate::verdict::answers;
use crate::verdict::answers::Answers;
use crate::verdict::hysteresis;

/// The verdict: the first finding in order of precedence whose confidence is high enough, or that a person's answer asks for.
pub fn judge(facts: &Facts<'_>, given: &Answers) -> Verdict {
    let mut chosen: Option<(VerdictClass, Finding)> = None;
    let mut rejected = Vec::new();
    for detector in DETECTORS {
        let class = detector.class;
        let because = match ((detector.examine)(facts), answers::exclude(given, detector), &chosen) {
            (_, Some(because), _) | (Err(because), None, _) => because,
            (Ok(_), None, Some((better, _))) => format!("{} explains it", better.name()),
            (Ok(finding), None, None) => {
                let is_enough = finding.confidence >= detector.least_confidence(facts.dying);
                let doubtful = format!("its confidence is only {} so far", format::percent(finding.confidence));
                let found = if is_enough || answers::ask_for(given, detector) {
                    Some(finding)
                } else {
                    hysteresis::standing(facts, detector, &finding)
                };
                if let Some(finding) = found {
                    chosen = Some((class, finding));
                    continue;
                }
                doubtful
            }
        };
        rejected.push(Rejected { class, because });
    }
    let (class, finding) = chosen.unwrap_or_else(|| (not_enough_data::CLASS, not_enough_data::examine(facts)));
    Verdict {
        class,
        confidence: finding.confidence,
        summary: finding.summary,
        since: finding.since,
        growth_bytes_per_second: facts.memory.growth_rate(),
        time_to_limit: facts.time_to_limit(),
        culprit: finding.culprit,
        evidence: finding.evidence,
        rejected,
        advice: finding.advice,
        recommended_limit: finding.recommended_limit,
        would_change_our_mind: finding.would_change_our_mind,
        missing: not_enough_data::missing(facts),
    }
}
