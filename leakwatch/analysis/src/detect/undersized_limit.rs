//! A limit that is too small for what the program steadily needs: a plateau at the limit, kills at the same level life after
//! life without unbounded growth of the live heap, or live heap plus garbage-collection headroom above the limit.

use crate::detect::Claim;
use crate::detect::Opinion;
use crate::detect::facts::Facts;
use crate::detect::facts::GC_HEADROOM;
use crate::detect::facts::Motion;
use crate::detect::go_heap_leak;
use crate::stats::count;
use crate::units::Bytes;
use crate::verdict::Evidence;
use crate::verdict::EvidenceLink;
use crate::verdict::VerdictClass;
use crate::words;

/// A plateau above this part of the limit leaves no room for a garbage collection or a burst.
const PLATEAU_PART: f64 = 0.92;
/// The recommended limit leaves this much above the peak need.
const MARGIN: f64 = 1.3;
const LEAST_SECONDS: f64 = 30.0;
/// Above this part of the limit garbage-collection headroom becomes dangerous.
const HEADROOM_PART: f64 = 0.8;
/// One kill may be an accident.
const LEAST_LIVES: usize = 2;
/// What a program that never lived long enough may need, relative to the limit.
const UNSEEN_NEED: f64 = 1.6;

/// Looks for a limit that is too small.
pub fn examine(facts: &Facts<'_>) -> Opinion {
    let Some(limit) = facts.limit else {
        return Err("there is no limit".to_owned());
    };
    let limit = limit.as_f64();
    // A program killed while it starts up shows nothing but growth.
    let starting = facts.lives.killed >= LEAST_LIVES && facts.lives.are_short(facts.loading);
    if let Some(site) = facts.leaking_sites().next().filter(|_| !starting) {
        return Err(format!(
            "{} retains more and more: no limit would be enough",
            words::place(&site.frame)
        ));
    }
    if facts.goroutine_suspect().is_some() && !starting {
        return Err("goroutines pile up: no limit would be enough".to_owned());
    }
    if go_heap_leak::examine(facts).is_ok_and(|claim| claim.culprit.is_some()) {
        return Err("the life before leaked until it was killed: no limit would be enough".to_owned());
    }
    let settled = matches!(facts.motion, Motion::Flat | Motion::Levelling) && facts.observed >= LEAST_SECONDS;
    let plateau = settled && facts.level >= limit * PLATEAU_PART;
    let heap_is_flat = facts.heap.as_ref().is_some_and(|heap| {
        heap.observations >= 3 && heap.span().as_secs_f64() >= LEAST_SECONDS && heap.total.estimate <= heap.now * 0.1
    });
    let lives = &facts.lives;
    // Killed again and again before start-up was over, or on a plateau, or while the live heap was flat.
    let kills = lives.killed >= LEAST_LIVES
        && (lives.are_short(facts.loading) || lives.levelled >= LEAST_LIVES || heap_is_flat);
    let need = facts.heap.as_ref().map(|heap| heap.now * GC_HEADROOM);
    let headroom = need.is_some_and(|need| need > limit) && settled && facts.level > limit * HEADROOM_PART;
    if !plateau && !kills && !headroom {
        return Err(format!(
            "memory that cannot be reclaimed is {} of the limit{}",
            words::percent(facts.level / limit.max(1.0)),
            if lives.is_empty() {
                ""
            } else {
                ", and the kills so far do not show a level"
            }
        ));
    }
    let peak = facts
        .history
        .window()
        .iter()
        .filter_map(|point| point.unreclaimable_max.bytes())
        .map(Bytes::as_f64)
        .fold(facts.level, f64::max);
    let need = if kills && !heap_is_flat {
        // It never lived to show what it needs; the heap may have been at half of what it grows to before a collection.
        limit * UNSEEN_NEED
    } else {
        need.unwrap_or(0.0).max(peak).max(limit)
    };
    let recommended = need * MARGIN;
    let mut evidence = vec![Evidence {
        claim: format!(
            "memory that cannot be reclaimed is {} of the limit of {}",
            words::percent(facts.level / limit.max(1.0)),
            words::bytes(limit)
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
                words::duration(lives.typical_seconds)
            ),
            value: count(lives.killed),
            unit: "kills",
            link: Some(EvidenceLink::Events),
        });
    }
    let confidence = if plateau || headroom {
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
        (0.64 + 0.05 * count(lives.killed)).min(0.9)
    };
    Ok(Claim {
        class: VerdictClass::UndersizedLimit,
        confidence: confidence.clamp(0.0, 1.0),
        summary: format!(
            "The limit of {} is too small for a steady need of {}; raise it to {}.",
            words::bytes(limit),
            words::bytes(need),
            words::bytes(recommended)
        ),
        since: facts.history.window_start,
        culprit: None,
        evidence,
        advice: vec![
            format!(
                "Raise the limit to {}: peak need {} plus {} margin.",
                words::bytes(recommended),
                words::bytes(need),
                words::percent(MARGIN - 1.0)
            ),
            "Or make a Go program collect earlier: GOMEMLIMIT at 90 % of the limit.".to_owned(),
        ],
        recommended_limit: Some(round_up(recommended)),
        would_change_our_mind: vec![
            "live heap grows from one collection to the next".to_owned(),
            "with twice the limit it lives about twice as long and is killed again: then it leaks".to_owned(),
        ],
    })
}

/// Up to whole MiB.
fn round_up(bytes: f64) -> Bytes {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast of a float saturates"
    )]
    let mib = (bytes / 1_048_576.0).ceil() as u64;
    Bytes::from_mib(mib)
}
