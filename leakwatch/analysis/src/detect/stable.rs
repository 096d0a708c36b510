//! Memory that does not grow: flat, sawtooth, bounded noise, a burst that came back.
//!
//! Statistic: growth over the recent half of the window below `facts::MATERIAL_PART` of the level, and no place in the code that retains
//! more and more.

use crate::detect::Claim;
use crate::detect::Opinion;
use crate::detect::facts::Facts;
use crate::detect::facts::Motion;
use crate::detect::undersized_limit::PLATEAU_PART;
use crate::format;
use crate::model::verdict::Evidence;
use crate::model::verdict::EvidenceLink;
use crate::model::verdict::VerdictClass;

/// Samples over less time cannot tell flat from slow.
const LEAST_SECONDS: f64 = 55.0;
/// Doubt falls with the inverse of the time watched.
const TIME_DOUBT_SECONDS: f64 = 6.0;
/// A Go program whose heap was not seen may leak slowly behind a flat charge.
const BLIND_DOUBT: f64 = 0.1;
/// Resident memory that moves below twice the live heap is most likely garbage.
const HEADROOM_DOUBT: f64 = 0.1;

/// Looks for stability.
pub fn examine(facts: &Facts<'_>) -> Opinion {
    let Some(trend) = &facts.memory else {
        return Err("too few samples".to_owned());
    };
    let in_headroom = facts.within_gc_headroom();
    match facts.motion {
        Motion::Flat => {}
        _ if in_headroom => {}
        Motion::Growing => {
            return Err(format!(
                "memory grows by {} (95 % interval {} to {})",
                format::rate(trend.end_slope),
                format::rate(trend.slope.low),
                format::rate(trend.slope.high)
            ));
        }
        Motion::Levelling => return Err("memory has not reached its level yet".to_owned()),
        Motion::Unclear | Motion::Unknown => return Err("memory moves and has no clear level yet".to_owned()),
    }
    if facts.observed < LEAST_SECONDS {
        return Err(format!("watched for {} only", format::duration(facts.observed)));
    }
    if let Some(site) = facts.leaking_sites().next() {
        return Err(format!(
            "{} retains more and more although memory as a whole is flat",
            format::place(&site.frame)
        ));
    }
    if let Some(site) = facts.goroutine_suspect() {
        return Err(format!("goroutines pile up at {}", format::place(&site.frame)));
    }
    if facts.lives.are_recent(facts.now) {
        return Err(format!(
            "killed for lack of memory {} time(s), typically after {}, and it has not outlived that clearly yet",
            facts.lives.killed,
            format::duration(facts.lives.typical_seconds)
        ));
    }
    if facts.dying {
        return Err("it was killed for lack of memory".to_owned());
    }
    let full = facts
        .limit
        .is_some_and(|limit| facts.level >= limit.as_f64() * PLATEAU_PART);
    if full || facts.lacks_headroom() {
        return Err("the limit leaves no room for a burst or for garbage".to_owned());
    }
    let blind = facts.is_go == Some(true) && facts.heap.is_none();
    let moves = facts.motion != Motion::Flat;
    let doubt = TIME_DOUBT_SECONDS / (facts.observed + TIME_DOUBT_SECONDS)
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
        link: Some(EvidenceLink::Series(vec!["unreclaimable_bytes", "limit_bytes"])),
    }];
    if let Some(heap) = facts.heap.as_ref().filter(|_| in_headroom) {
        evidence.push(Evidence {
            claim: format!(
                "live heap stays at {}; with garbage it may reach {} before it is collected ({})",
                format::bytes(heap.now),
                format::bytes(facts.pacing.largest(heap.now).unwrap_or(heap.now)),
                facts.pacing.words()
            ),
            value: heap.now,
            unit: "bytes",
            link: Some(EvidenceLink::Series(vec!["go_heap_live_bytes"])),
        });
    }
    Ok(Claim {
        class: VerdictClass::Stable,
        confidence: 1.0 - doubt.min(1.0),
        summary: format!("Memory is steady around {}; nothing to do.", format::bytes(trend.level)),
        since: facts.instant(trend.from),
        culprit: None,
        evidence,
        advice: Vec::new(),
        recommended_limit: None,
        would_change_our_mind: vec![format!(
            "growth of more than {} that goes on",
            format::bytes(crate::detect::facts::MATERIAL_BYTES.max(trend.level * crate::detect::facts::MATERIAL_PART))
        )],
    })
}
