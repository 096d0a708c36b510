//! Memory that does not grow: flat, sawtooth, bounded noise, a burst that came back.
//!
//! Statistic: growth over the recent half of the window below `MATERIAL_PART` of the level, and no call site that retains more and more.
//! See `docs/detectors/stable.md`.

use crate::detect::evidence;
use crate::detect::facts::Facts;
use crate::detect::finding::Examination;
use crate::detect::finding::Finding;
use crate::detect::headroom;
use crate::format;
use crate::measure::motion::MATERIAL_BYTES;
use crate::measure::motion::MATERIAL_PART;
use crate::measure::motion::Motion;
use crate::model::profile::ProfileType;
use crate::model::verdict::Evidence;
use crate::model::verdict::EvidenceLink;
use crate::model::verdict::VerdictClass;

/// The class.
pub const CLASS: VerdictClass = VerdictClass::other("stable");

/// Samples over less time cannot tell flat from slow.
const LEAST_SECONDS: f64 = 55.0;
/// Doubt falls with the inverse of the time watched.
const TIME_DOUBT_SECONDS: f64 = 6.0;
/// A Go program whose heap was not seen may leak slowly behind a flat charge.
const BLIND_DOUBT: f64 = 0.1;
/// Resident memory that moves below twice the live heap is most likely garbage.
const HEADROOM_DOUBT: f64 = 0.1;

/// Looks for stability.
pub fn examine(facts: &Facts<'_>) -> Examination {
    let Some(trend) = &facts.memory.trend else {
        return Err("too few samples".to_owned());
    };
    let in_headroom = headroom::explains_memory(facts);
    match facts.memory.motion {
        Motion::Flat | Motion::Returning => {}
        _ if in_headroom => {}
        Motion::Growing => {
            let rate = facts.memory.growth().unwrap_or(trend.recent);
            return Err(format!(
                "memory grows by {} (95 % interval {} to {})",
                format::rate(rate.estimate),
                format::rate(rate.low),
                format::rate(rate.high)
            ));
        }
        Motion::Levelling => return Err("memory has not reached its level yet".to_owned()),
        Motion::Unclear | Motion::Unknown => return Err("memory moves and has no clear level yet".to_owned()),
    }
    if facts.memory.observed < LEAST_SECONDS {
        return Err(format!("watched for {} only", format::duration(facts.memory.observed)));
    }
    if let Some(site) = facts.leaking_sites().next() {
        return Err(format!(
            "{} retains more and more although memory as a whole is flat",
            format::call_site(&site.frame)
        ));
    }
    if let Some(site) = facts.goroutine_suspect() {
        return Err(format!("goroutines pile up at {}", format::call_site(&site.frame)));
    }
    if facts.runs().are_recent(facts.now) {
        return Err(format!(
            "killed for lack of memory {}, typically after {}, and it has not outlived that clearly yet",
            format::times(facts.runs().killed),
            format::duration(facts.runs().typical_seconds)
        ));
    }
    if facts.dying {
        return Err("it was killed for lack of memory".to_owned());
    }
    if headroom::is_at_limit(facts) || headroom::is_too_small_for_garbage(facts) {
        return Err("the limit leaves no room for a burst or for garbage".to_owned());
    }
    let blind = facts.is_go == Some(true) && facts.trend(ProfileType::Heap).is_none();
    let moves = !facts.memory.is_steady();
    let doubt = TIME_DOUBT_SECONDS / (facts.memory.observed + TIME_DOUBT_SECONDS)
        + if blind { BLIND_DOUBT } else { 0.0 }
        + if moves { HEADROOM_DOUBT } else { 0.0 };
    let change = trend.recent.estimate * trend.span() / 2.0;
    let claim = format!(
        "over the last {} memory that cannot be reclaimed changed by {} around {}",
        format::duration(trend.span() / 2.0),
        format::bytes(change),
        format::bytes(trend.level)
    );
    let mut evidence = vec![Evidence {
        claim,
        value: change,
        unit: "bytes",
        weight: None,
        link: Some(evidence::memory_series()),
    }];
    if let Some(heap) = facts.trend(ProfileType::Heap).filter(|_| in_headroom) {
        evidence.push(Evidence {
            claim: format!(
                "live heap stays at {}; with garbage it may reach {} before it is collected ({})",
                format::bytes(heap.now),
                format::bytes(facts.pacing.largest(heap.now).unwrap_or(heap.now)),
                facts.pacing.words()
            ),
            value: heap.now,
            unit: "bytes",
            weight: None,
            link: Some(EvidenceLink::Series(vec!["go_heap_live_bytes"])),
        });
    }
    Ok(Finding {
        confidence: 1.0 - doubt.min(1.0),
        summary: format!("Memory is steady around {}; nothing to do.", format::bytes(trend.level)),
        since: facts.memory.since().unwrap_or(facts.now),
        culprit: None,
        evidence,
        advice: Vec::new(),
        recommended_limit: None,
        would_change_our_mind: vec![format!(
            "growth of more than {} that goes on",
            format::bytes(MATERIAL_BYTES.max(trend.level * MATERIAL_PART))
        )],
    })
}
