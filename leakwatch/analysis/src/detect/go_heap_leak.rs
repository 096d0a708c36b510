//! Live Go heap that grows without bound: places in the code whose retained memory grows significantly and all along.
//!
//! Statistic: growth of `inuse_space` per place between baseline and newest profile, false discovery rate controlled, spread over the
//! whole time (`growth::persistence`), corroborated by the growth of the unreclaimable charge.

use crate::detect::Claim;
use crate::detect::Opinion;
use crate::detect::facts::ALONE_RATE;
use crate::detect::facts::Facts;
use crate::detect::facts::MATERIAL_BYTES;
use crate::detect::facts::Motion;
use crate::format;
use crate::measure::runs::LOADING_SECONDS;
use crate::measure::site_trend;
use crate::measure::site_trend::ProfileGrowth;
use crate::measure::site_trend::Share;
use crate::measure::site_trend::Site;
use crate::model::profile::ProfileType;
use crate::model::verdict::Evidence;
use crate::model::verdict::EvidenceLink;
use crate::model::verdict::VerdictClass;
use crate::stats::robust::count;

/// Profiles that differ: two differences in a row are the least that can be called going on.
const LEAST_OBSERVATIONS: usize = 3;
/// Least time between baseline and newest profile.
const LEAST_SECONDS: f64 = 25.0;
/// Doubt from the time watched is (this / time) squared. A bounded cache may take any time to fill, so it never falls
/// exponentially. Experiment: docs/detectors.md, "Time and doubt".
pub const TIME_DOUBT_SECONDS: f64 = 18.0;
/// Growth in the second half relative to the first below which it may be a cache that fills: an exponential with a time
/// constant of the whole observation has 0.61.
pub const LEAST_ACCELERATION: f64 = 0.7;
/// When the whole heap cannot have grown by this part of a place's growth, other places shrank: objects moved, they did not leak.
const LEAST_PART_OF_TOTAL: f64 = 0.5;
/// Doubt whether this life is like the one before.
pub const BEFORE_DOUBT: f64 = 0.03;
/// The same as `TIME_DOUBT_SECONDS` when the limit ends the growth: a cache would have to be bounded above the limit, or the
/// program would have to be loading still. Experiment: docs/detectors.md, "Time and doubt".
pub const KILLED_DOUBT_SECONDS: f64 = 8.0;
/// A life that was killed shows growth with this many differing profiles when its memory grew as well.
pub const LEAST_OBSERVATIONS_KILLED: usize = 2;
/// And over this time, which two profiles of a hurried schedule span.
pub const LEAST_SECONDS_KILLED: f64 = 4.0;
/// Part of the whole growth that one place must hold to be claimed before the usual time.
const ONE_PLACE: f64 = 0.7;
/// Allocation that rose by more than this follows rising load.
const LOAD_RISE: f64 = 1.3;

/// Looks for a heap leak, in this life of the process or, while it is too young to say, in the one before.
pub fn examine(facts: &Facts<'_>) -> Opinion {
    let now = examine_now(facts);
    let before = facts.heap_before.as_ref().and_then(|heap| examine_before(facts, heap));
    match (now, before) {
        (Ok(now), Some(before)) if now.confidence >= before.confidence => Ok(now),
        (_, Some(before)) => Ok(before),
        (now, None) => now,
    }
}

/// The life before ended by an OOM kill: what leaked then leaks again until this life shows otherwise.
fn examine_before(facts: &Facts<'_>, heap: &ProfileGrowth) -> Option<Claim> {
    let site = heap.persistent(ALONE_RATE).next()?;
    let seconds = heap.span().as_secs_f64();
    let watched = lives_watched(facts);
    if heap.observations < LEAST_OBSERVATIONS_KILLED || seconds < LEAST_SECONDS_KILLED || watched <= 0.0 {
        return None;
    }
    // Each life that grew until its kill is an observation as well.
    let seen = count(heap.observations) + watched / facts.lives.typical_seconds.max(1.0);
    let doubt = (KILLED_DOUBT_SECONDS / watched).powi(2)
        + 0.5_f64.powf(seen)
        + 2.0 * (LEAST_ACCELERATION - site.acceleration).max(0.0)
        + BEFORE_DOUBT;
    Some(claim(facts, heap, site, 1.0 - doubt.min(1.0)))
}

fn examine_now(facts: &Facts<'_>) -> Opinion {
    let Some(heap) = &facts.heap else {
        return Err(match facts.is_go {
            Some(false) => "the main process is not a Go program".to_owned(),
            _ => "no two heap profiles that differ were available".to_owned(),
        });
    };
    let seconds = heap.span().as_secs_f64();
    let Some(site) = facts.leaking_sites().next() else {
        return Err(why_none(heap));
    };
    let (observations, least) = if facts.dying {
        (LEAST_OBSERVATIONS_KILLED, LEAST_SECONDS_KILLED)
    } else {
        (LEAST_OBSERVATIONS, LEAST_SECONDS)
    };
    if heap.observations < observations || seconds < least {
        return Err(format!(
            "{} differing heap profiles over {} are too few to tell growth from a burst",
            heap.observations,
            format::duration(seconds)
        ));
    }
    if heap.total.high < site.growth.low * LEAST_PART_OF_TOTAL || site.growth.estimate < MATERIAL_BYTES {
        return Err(format!(
            "the live heap as a whole grew by {} only (95 % interval {} to {})",
            format::bytes(heap.total.estimate),
            format::bytes(heap.total.low),
            format::bytes(heap.total.high)
        ));
    }
    let confidence = 1.0 - doubts(facts, heap, site, seconds).min(1.0);
    Ok(claim(facts, heap, site, confidence))
}

/// Seconds of earlier lives that grew until they were killed, as far as they say anything.
fn lives_watched(facts: &Facts<'_>) -> f64 {
    let short = if facts.loading == Share::All {
        0.0
    } else {
        facts.lives.short_growing_seconds
    };
    facts.lives.growing_seconds + short
}

fn why_none(heap: &ProfileGrowth) -> String {
    let over = format::duration(heap.span().as_secs_f64());
    match heap.sites.first() {
        Some(site) if site.false_discovery_rate < 0.01 => format!(
            "{} retained {} more over {over}, but not all along: growth in the weakest part of that time was {} of even growth",
            site.frame.function,
            format::bytes(site.growth.estimate),
            format::percent(site.persistence)
        ),
        _ => format!(
            "no place in the code retains significantly more: live heap changed by {} over {over} (95 % interval {} to {})",
            format::bytes(heap.total.estimate),
            format::bytes(heap.total.low),
            format::bytes(heap.total.high)
        ),
    }
}

fn doubts(facts: &Facts<'_>, heap: &ProfileGrowth, site: &Site, seconds: f64) -> f64 {
    let seconds = match &facts.memory {
        Some(_) if facts.motion == Motion::Growing && facts.dying => seconds.max(facts.observed),
        Some(memory) if facts.motion == Motion::Growing => seconds.max(memory.span()),
        _ => seconds,
    };
    let time = time_doubt(facts, heap, site, seconds);
    let chance = site.false_discovery_rate.powf(0.75);
    // What the halves of few sampled objects differ by without meaning. A cache that fills would show it in the next profile; after
    // a kill there is none.
    let grain = if facts.lenient { 2.0 * site.grain() } else { 0.0 };
    let acceleration = match &facts.memory {
        // Few collections and few steps: a cache that slows down before the limit shows it in both.
        Some(memory) if facts.dying => (site.acceleration * (1.0 + grain)).max(memory.acceleration()),
        // Memory grows in the collector's steps, and pauses when there is nothing to do: what was once claimed is taken back by a
        // profile, of which there is one every two minutes at least (`forcegcperiod` in runtime/proc.go).
        Some(_) if facts.lenient => site.acceleration * (1.0 + grain),
        Some(memory) => (site.acceleration * (1.0 + grain)).min(memory.acceleration()),
        None => site.acceleration * (1.0 + grain),
    };
    let slowing = 2.0 * (LEAST_ACCELERATION - acceleration).max(0.0);
    // Memory that keeps growing in a straight line makes up for few collections.
    let seen = count(heap.observations) + f64::from(u8::from(facts.motion == Motion::Growing));
    let observations = 0.5_f64.powf(seen);
    let evenness = (0.6 - site.persistence).max(0.0) * 0.3;
    let memory = match facts.motion {
        Motion::Growing => 0.0,
        // Too slow to stand out of a big level yet, but it may be there.
        Motion::Flat | Motion::Unclear if may_be_hidden(facts, site) => 0.04,
        Motion::Unclear | Motion::Unknown => 0.08,
        Motion::Flat => 0.12,
        Motion::Levelling => 0.15,
    };
    let base = (heap.now - heap.total.estimate).max(1.0);
    let load = match heap.allocation_rate_change {
        Some(change) if heap.now / base < change * change => (change - LOAD_RISE).clamp(0.0, 0.5) * 0.7,
        _ => 0.0,
    };
    time + chance + slowing + observations + evenness + memory + load
}

/// Doubt whether the growth would ever end by itself. Growth that lasted `seconds` ends within the next `left` with the chance
/// `left / (seconds + left)` when nothing is known of its length; where the limit comes first, that is all that matters.
fn time_doubt(facts: &Facts<'_>, heap: &ProfileGrowth, site: &Site, seconds: f64) -> f64 {
    // Lives that grew like this one until they were killed count as watched, too.
    let seconds = seconds + lives_watched(facts);
    let unbounded = (TIME_DOUBT_SECONDS / seconds).powi(2);
    let one_place = site.growth.estimate >= heap.total.estimate * ONE_PLACE;
    let may_load = facts.loading == Share::All && facts.age < LOADING_SECONDS;
    let left = match facts.time_to_limit {
        _ if facts.dying => 0.0,
        Some(time) if facts.motion == Motion::Growing => time.p90_seconds,
        _ => return unbounded,
    };
    if !one_place || may_load {
        return unbounded;
    }
    let bounded = (KILLED_DOUBT_SECONDS / seconds).powi(2);
    unbounded.min(bounded.max(left / (seconds + left)))
}

/// Whether memory as a whole may grow as fast as a place does.
fn may_be_hidden(facts: &Facts<'_>, site: &Site) -> bool {
    facts
        .memory
        .as_ref()
        .is_some_and(|memory| memory.slope.high.max(memory.recent.high) >= site.rate / 2.0)
}

fn claim(facts: &Facts<'_>, heap: &ProfileGrowth, site: &Site, confidence: f64) -> Claim {
    let culprit = site_trend::culprit(facts.history, heap, site);
    let diff = Some(EvidenceLink::Diff {
        profile_type: ProfileType::Heap,
        base: heap.base,
        compare: heap.compare,
    });
    let seconds = heap.span().as_secs_f64();
    let mut evidence = vec![
        Evidence {
            claim: format!(
                "live Go heap grew from {} to {} in {} over {} garbage collections seen",
                format::bytes(heap.now - heap.total.estimate),
                format::bytes(heap.now),
                format::duration(seconds),
                heap.observations
            ),
            value: heap.total.estimate,
            unit: "bytes",
            link: diff.clone(),
        },
        Evidence {
            claim: format!(
                "{} retains {} more (95 % interval {} to {}), {} of all growth",
                format::place(&site.frame),
                format::bytes(site.growth.estimate),
                format::bytes(site.growth.low),
                format::bytes(site.growth.high),
                format::percent(culprit.share_of_growth)
            ),
            value: site.growth.estimate,
            unit: "bytes",
            link: diff.clone(),
        },
    ];
    for other in heap
        .persistent(ALONE_RATE)
        .filter(|other| other.stack != site.stack)
        .take(4)
    {
        evidence.push(Evidence {
            claim: format!(
                "{} also retains {} more",
                format::place(&other.frame),
                format::bytes(other.growth.estimate)
            ),
            value: other.growth.estimate,
            unit: "bytes",
            link: diff.clone(),
        });
    }
    if facts.motion == Motion::Growing
        && let Some(rate) = facts.growth_rate()
    {
        evidence.push(Evidence {
            claim: format!("memory that cannot be reclaimed grows by {}", format::rate(rate)),
            value: rate,
            unit: "bytes_per_second",
            link: Some(EvidenceLink::Series(vec!["unreclaimable_bytes", "limit_bytes"])),
        });
    }
    let until = facts
        .time_to_limit
        .map(|time| format!("; the limit is reached in about {}", format::duration(time.p50_seconds)))
        .unwrap_or_default();
    Claim {
        class: VerdictClass::GoHeapLeak,
        confidence,
        summary: format!(
            "{} keeps what it allocates: {} more live heap in {} ({}){until}.",
            format::place(&site.frame),
            format::bytes(site.growth.estimate),
            format::duration(seconds),
            format::rate(site.rate)
        ),
        since: heap.base,
        advice: vec![
            format!(
                "Find what keeps the allocations of {} reachable (a map, slice, cache or global without removal) and bound it or let entries expire.",
                format::place(&site.frame)
            ),
            "Compare the two profiles in the evidence: what grows between them is what is kept.".to_owned(),
            "Until it is fixed, a restart or a higher limit only buys time.".to_owned(),
        ],
        culprit: Some(culprit),
        evidence,
        recommended_limit: None,
        would_change_our_mind: vec![
            format!(
                "{} stops growing while the service works as before (a cache that reached its bound)",
                site.frame.function
            ),
            "live heap falls back after load falls".to_owned(),
        ],
    }
}
