//! A limit that is too small for what the program steadily needs: a plateau at the limit, kills at the same level life after
//! life without unbounded growth of the live heap, or live heap plus garbage-collection headroom above the limit.

use crate::detect::Claim;
use crate::detect::Opinion;
use crate::detect::facts::Facts;
use crate::detect::facts::Motion;
use crate::detect::go_heap_leak;
use crate::detect::goroutine_leak;
use crate::detect::need;
use crate::format;
use crate::measure::site_trend::ProfileGrowth;
use crate::model::verdict::Evidence;
use crate::model::verdict::EvidenceLink;
use crate::model::verdict::VerdictClass;
use crate::stats::robust::count;

/// A plateau above this part of the limit leaves no room for a garbage collection or a burst.
pub const PLATEAU_PART: f64 = 0.92;
const LEAST_SECONDS: f64 = 30.0;
/// Two profiles of a flat heap may lie on both sides of a wave.
const LEAST_OBSERVATIONS: usize = 3;
/// Growth below this part of the live heap is flat.
const FLAT_PART: f64 = 0.1;
/// One kill may be an accident, unless its life showed a level.
const LEAST_LIVES: usize = 2;

/// Looks for a limit that is too small.
pub fn examine(facts: &Facts<'_>) -> Opinion {
    let Some(limit) = facts.limit else {
        return Err("there is no limit".to_owned());
    };
    let limit = limit.as_f64();
    let lives = &facts.lives;
    let flat_before = facts.heap_before.as_ref().is_some_and(is_flat);
    // A program that starts up shows nothing but growth.
    let starting = (lives.killed >= LEAST_LIVES && lives.are_short(facts.loading)) || flat_before;
    if let Some(site) = facts.leaking_sites().next().filter(|_| !starting) {
        return Err(format!(
            "{} retains more and more: no limit would be enough",
            format::place(&site.frame)
        ));
    }
    if facts.goroutine_suspect().is_some() && !starting {
        return Err("goroutines pile up: no limit would be enough".to_owned());
    }
    let leaks = |opinion: Opinion| opinion.is_ok_and(|claim| claim.culprit.is_some());
    if leaks(go_heap_leak::examine(facts)) || leaks(goroutine_leak::examine(facts)) {
        return Err("it leaks or leaked in the life before: no limit would be enough".to_owned());
    }
    let settled = matches!(facts.motion, Motion::Flat | Motion::Levelling) && facts.observed >= LEAST_SECONDS;
    let plateau = settled && facts.level >= limit * PLATEAU_PART;
    let heap_is_flat = facts.heap.as_ref().is_some_and(is_flat);
    // Killed again and again before start-up was over, or on a plateau, or while the live heap was flat.
    let level_shown = lives.levelled > 0 || flat_before;
    let kills = lives.are_recent(facts.now)
        && ((lives.killed >= LEAST_LIVES && (lives.are_short(facts.loading) || heap_is_flat)) || level_shown);
    let headroom = facts.lacks_headroom() && settled;
    if !plateau && !kills && !headroom {
        return Err(format!(
            "memory that cannot be reclaimed is {} of the limit{}",
            format::percent(facts.level / limit.max(1.0)),
            if lives.is_empty() {
                ""
            } else {
                ", and the kills so far do not show a level"
            }
        ));
    }
    let need = need::of(facts.history, lives, facts.now, limit);
    let mut evidence = vec![Evidence {
        claim: format!(
            "memory that cannot be reclaimed is {} of the limit of {}",
            format::percent(facts.level / limit.max(1.0)),
            format::bytes(limit)
        ),
        value: facts.level / limit.max(1.0),
        unit: "ratio",
        link: Some(EvidenceLink::Series(vec!["unreclaimable_bytes", "limit_bytes"])),
    }];
    if !lives.is_empty() {
        evidence.push(Evidence {
            claim: format!(
                "{} earlier lives ended by an OOM kill, typically after {}",
                lives.killed,
                format::duration(lives.typical_seconds)
            ),
            value: count(lives.killed),
            unit: "kills",
            link: Some(EvidenceLink::Events),
        });
    }
    let by_level = if plateau || headroom {
        let pressure = if facts.limit_hits() > 0 || !lives.is_empty() {
            0.0
        } else {
            0.15
        };
        let blind = if heap_is_flat || facts.is_go == Some(false) {
            0.0
        } else {
            0.2
        };
        1.0 - 5.0 / (facts.observed + 5.0) - pressure - blind
    } else {
        0.0
    };
    let by_kills = if kills {
        (0.7 + 0.05 * count(lives.killed)).min(0.9)
    } else {
        0.0
    };
    let confidence = by_level.max(by_kills);
    Ok(Claim {
        class: VerdictClass::UndersizedLimit,
        confidence: confidence.clamp(0.0, 1.0),
        summary: match need.bytes {
            Some(bytes) => format!(
                "The limit of {} is too small for a need of {}; raise it to {}.",
                format::bytes(limit),
                format::bytes(bytes),
                need.limit
            ),
            None => format!(
                "The limit of {} is too small to start in; raise it to {} and watch what it needs.",
                format::bytes(limit),
                need.limit
            ),
        },
        since: facts.history.window_start,
        culprit: None,
        evidence,
        advice: vec![
            format!("Raise the limit to {}: {}.", need.limit, need.derivation),
            "Or make a Go program collect earlier: GOMEMLIMIT at 90 % of the limit.".to_owned(),
        ],
        recommended_limit: Some(need.limit),
        would_change_our_mind: vec![
            "live heap grows from one collection to the next".to_owned(),
            "with twice the limit it lives about twice as long and is killed again: then it leaks".to_owned(),
        ],
    })
}

/// Whether the live heap stayed where it was.
fn is_flat(heap: &ProfileGrowth) -> bool {
    heap.observations >= LEAST_OBSERVATIONS
        && heap.span().as_secs_f64() >= LEAST_SECONDS
        && heap.total.estimate <= heap.now * FLAT_PART
}
