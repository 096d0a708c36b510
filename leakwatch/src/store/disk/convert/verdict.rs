//! Verdicts of post-mortems. Links into profiles and series are not kept: what they lead to goes sooner.

use super::class_from;
use crate::store::disk::messages;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::stack::Frame;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_analysis::model::verdict::Culprit;
use leakwatch_analysis::model::verdict::Deciding;
use leakwatch_analysis::model::verdict::Estimate;
use leakwatch_analysis::model::verdict::Evidence;
use leakwatch_analysis::model::verdict::LimitProbability;
use leakwatch_analysis::model::verdict::Rejected;
use leakwatch_analysis::model::verdict::TimeToLimit;
use leakwatch_analysis::model::verdict::Verdict;

/// Units of evidence.
const UNITS: [&str; 8] = [
    "bytes",
    "bytes_per_second",
    "goroutines",
    "seconds",
    "ratio",
    "kills",
    "runs",
    "replicas",
];

pub(in crate::store) fn verdict_to(verdict: &Verdict) -> messages::Verdict {
    messages::Verdict {
        class: verdict.class.name().to_owned(),
        confidence: verdict.confidence,
        summary: verdict.summary.clone(),
        since: verdict.since.unix_nanos(),
        growth: verdict.growth_bytes_per_second,
        time_to_limit: verdict
            .time_to_limit
            .map(|time| vec![time.p10_seconds, time.p50_seconds, time.p90_seconds])
            .unwrap_or_default(),
        culprit: verdict.culprit.as_ref().map(culprit_to),
        evidence: verdict
            .evidence
            .iter()
            .map(|evidence| messages::Evidence {
                claim: evidence.claim.clone(),
                value: evidence.value,
                unit: evidence.unit.to_owned(),
                weight: evidence.weight,
            })
            .collect(),
        rejected: verdict
            .rejected
            .iter()
            .map(|rejected| messages::Rejected {
                unchecked: !rejected.checked,
                class: rejected.class.name().to_owned(),
                because: rejected.because.clone(),
            })
            .collect(),
        advice: verdict.advice.clone(),
        recommended_limit: verdict.recommended_limit.map(|limit| limit.0),
        would_change_our_mind: verdict.would_change_our_mind.clone(),
        leak_probability: verdict.leak_probability,
        limit_probability: verdict
            .limit_probability
            .map(|limit| vec![limit.hour, limit.six_hours, limit.day])
            .unwrap_or_default(),
        decided_by: verdict
            .decided_by
            .iter()
            .map(|deciding| messages::Deciding {
                what: deciding.what.clone(),
                at: deciding.at.map(Timestamp::unix_nanos),
            })
            .collect(),
        explains_share_of_need: verdict.explains_share_of_need,
        profile: verdict.profile.map(|profile| profile.name().to_owned()),
    }
}

pub(in crate::store) fn verdict_from(message: messages::Verdict) -> Option<Verdict> {
    let time_to_limit = match message.time_to_limit[..] {
        [p10_seconds, p50_seconds, p90_seconds] => Some(TimeToLimit {
            p10_seconds,
            p50_seconds,
            p90_seconds,
        }),
        _ => None,
    };
    let limit_probability = match message.limit_probability[..] {
        [hour, six_hours, day] => Some(LimitProbability { hour, six_hours, day }),
        _ => None,
    };
    Some(Verdict {
        leak_probability: message.leak_probability,
        limit_probability,
        decided_by: message
            .decided_by
            .into_iter()
            .map(|deciding| Deciding {
                what: deciding.what,
                at: deciding.at.map(Timestamp::from_unix_nanos),
            })
            .collect(),
        explains_share_of_need: message.explains_share_of_need,
        profile: message.profile.as_deref().and_then(ProfileType::from_name),
        class: class_from(&message.class)?,
        confidence: message.confidence,
        summary: message.summary,
        since: Timestamp::from_unix_nanos(message.since),
        growth_bytes_per_second: message.growth,
        time_to_limit,
        culprit: message.culprit.and_then(culprit_from),
        evidence: message
            .evidence
            .into_iter()
            .filter_map(|evidence| {
                Some(Evidence {
                    claim: evidence.claim,
                    value: evidence.value,
                    unit: UNITS.into_iter().find(|unit| **unit == evidence.unit)?,
                    weight: evidence.weight,
                    link: None,
                })
            })
            .collect(),
        rejected: message
            .rejected
            .into_iter()
            .filter_map(|rejected| {
                Some(Rejected {
                    checked: !rejected.unchecked,
                    class: class_from(&rejected.class)?,
                    because: rejected.because,
                })
            })
            .collect(),
        advice: message.advice,
        recommended_limit: message.recommended_limit.map(Bytes),
        would_change_our_mind: message.would_change_our_mind,
        missing: Vec::new(),
    })
}

pub(super) fn culprit_to(culprit: &Culprit) -> messages::Culprit {
    messages::Culprit {
        frame: Some(frame_to(&culprit.frame)),
        share: culprit.share_of_growth,
        growth: vec![culprit.growth.estimate, culprit.growth.low, culprit.growth.high],
        stack: culprit.stack.iter().map(frame_to).collect(),
    }
}

pub(super) fn culprit_from(message: messages::Culprit) -> Option<Culprit> {
    let growth = match message.growth[..] {
        [estimate, low, high] => Estimate { estimate, low, high },
        _ => Estimate::default(),
    };
    Some(Culprit {
        frame: frame_from(message.frame?),
        share_of_growth: message.share,
        growth,
        stack: message.stack.into_iter().map(frame_from).collect(),
    })
}

fn frame_to(frame: &Frame) -> messages::Frame {
    messages::Frame {
        function: frame.function.to_string(),
        file: frame.file.to_string(),
        line: frame.line,
    }
}

fn frame_from(frame: messages::Frame) -> Frame {
    Frame {
        function: frame.function.into(),
        file: frame.file.into(),
        line: frame.line,
    }
}
