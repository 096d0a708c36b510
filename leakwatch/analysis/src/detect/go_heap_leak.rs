//! Live Go heap that grows without bound: call sites whose retained memory grows significantly and all along.
//!
//! Statistic: growth of `inuse_space` per call site between baseline and newest profile, false discovery rate controlled, spread over the
//! whole time (`site_trend`), corroborated by the growth of the unreclaimable charge. See `docs/detectors/go_heap_leak.md`.

use crate::detect::doubt;
use crate::detect::doubt::Least;
use crate::detect::evidence;
use crate::detect::facts::Facts;
use crate::detect::finding::Examination;
use crate::detect::finding::Finding;
use crate::detect::goroutine_leak;
use crate::detect::suspect::ALONE_RATE;
use crate::detect::suspect::CORROBORATED_RATE;
use crate::format;
use crate::measure::loading::Loading;
use crate::measure::maker::Maker;
use crate::measure::motion::MATERIAL_BYTES;
use crate::measure::motion::Motion;
use crate::measure::site_trend;
use crate::measure::site_trend::ProfileTrend;
use crate::measure::site_trend::SiteTrend;
use crate::model::profile::ProfileType;
use crate::model::verdict::Evidence;
use crate::model::verdict::VerdictClass;
use crate::stats::robust::count;

/// The class.
pub const CLASS: VerdictClass = VerdictClass::leak("go_heap_leak");

/// When the whole heap cannot have grown by this part of a call site's growth, others shrank: objects moved, they did not leak.
const LEAST_PART_OF_TOTAL: f64 = 0.5;

/// Looks for a heap leak, in this run of the process or, while it is too young to say, in the one before.
pub fn examine(facts: &Facts<'_>) -> Examination {
    let now = examine_now(facts);
    let heap_before = facts.trend_before(ProfileType::Heap);
    let before = heap_before.and_then(|heap| examine_before(facts, heap));
    match (now, before) {
        (Ok(now), Some(before)) if now.confidence >= before.confidence => Ok(now),
        (_, Some(before)) => Ok(before),
        (now, None) => now,
    }
}

/// The run before ended by an OOM kill: what leaked then leaks again until this run shows otherwise.
fn examine_before(facts: &Facts<'_>, heap: &ProfileTrend) -> Option<Finding> {
    let site = heap.persistent(ALONE_RATE).next()?;
    let seconds = heap.span().as_secs_f64();
    let watched = watched_before(facts);
    if Least::KILLED.is_missed(heap.observations, seconds) || watched <= 0.0 {
        return None;
    }
    // Each run that grew until its kill is an observation as well.
    let seen = count(heap.observations) + watched / facts.runs().any_seconds.max(1.0);
    let doubt = doubt::time_to_limit(watched) + doubt::observations(seen) + doubt::BEFORE;
    Some(finding(facts, heap, site, 1.0 - doubt.min(1.0)))
}

fn examine_now(facts: &Facts<'_>) -> Examination {
    let Some(heap) = facts.trend(ProfileType::Heap) else {
        return Err(match facts.is_go {
            Some(false) => "the main process is not a Go program".to_owned(),
            _ => "no two heap profiles that differ were available".to_owned(),
        });
    };
    let seconds = heap.span().as_secs_f64();
    let Some(site) = facts.leaking_sites().next() else {
        return Err(why_none(heap));
    };
    if Least::of(facts.dying).is_missed(heap.observations, seconds) {
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
    Ok(finding(facts, heap, site, confidence))
}

/// Seconds of earlier runs that grew until they were killed, as far as they say anything.
fn watched_before(facts: &Facts<'_>) -> f64 {
    let short = if facts.loading() == Loading::Always {
        0.0
    } else {
        facts.runs().short_growing_seconds
    };
    facts.runs().growing_seconds + short
}

fn why_none(heap: &ProfileTrend) -> String {
    let over = format::duration(heap.span().as_secs_f64());
    match heap.sites.first() {
        Some(site) if site.false_discovery_rate < 0.01 => format!(
            "{} retained {} more over {over}, but not all along: growth in the weakest part of that time was {} of even growth",
            site.frame.function,
            format::bytes(site.growth.estimate),
            format::percent(site.persistence)
        ),
        _ => format!(
            "no call site retains significantly more: live heap changed by {} over {over} (95 % interval {} to {})",
            format::bytes(heap.total.estimate),
            format::bytes(heap.total.low),
            format::bytes(heap.total.high)
        ),
    }
}

/// Doubt whether it grows. Whether it would end by itself is another question.
fn doubts(facts: &Facts<'_>, heap: &ProfileTrend, site: &SiteTrend, seconds: f64) -> f64 {
    let seconds = match &facts.memory.trend {
        Some(_) if facts.memory.grows() && facts.dying => seconds.max(facts.memory.observed),
        Some(memory) if facts.memory.grows() => seconds.max(memory.span()),
        _ => seconds,
    };
    let time = if facts.dying {
        doubt::time_to_limit(seconds + watched_before(facts))
    } else {
        doubt::time(seconds)
    };
    // Memory that keeps growing in a straight line makes up for few collections.
    let seen = count(heap.observations) + f64::from(u8::from(facts.memory.grows()));
    let moves = match facts.memory.motion {
        Motion::Growing => 0.0,
        // Too slow to stand out of a big level yet, but it may be there.
        Motion::Flat | Motion::Returning | Motion::Unclear if may_be_hidden(facts, site) => 0.04,
        Motion::Unclear | Motion::Unknown | Motion::Levelling => 0.08,
        Motion::Flat | Motion::Returning => 0.12,
    };
    time + site.false_discovery_rate.powf(0.75) + doubt::observations(seen) + moves
}

/// Whether memory as a whole may grow as fast as a call site does.
fn may_be_hidden(facts: &Facts<'_>, site: &SiteTrend) -> bool {
    let memory = facts.memory.trend.as_ref();
    memory.is_some_and(|memory| memory.slope.high.max(memory.recent.high) >= site.rate / 2.0)
}

/// What the place makes of a library is not closed: goroutines of that library pile up meanwhile.
fn closing(facts: &Facts<'_>, site: &SiteTrend) -> Option<String> {
    let heap = facts.trend(ProfileType::Heap)?;
    let goroutines = facts.trend(ProfileType::Goroutine)?;
    let mut piles = goroutines.persistent(CORROBORATED_RATE);
    let maker = piles.find_map(|pile| Maker::of(facts.history, heap, pile, CORROBORATED_RATE))?;
    (maker.own.function == site.frame.function).then(|| goroutine_leak::close(maker))
}

fn finding(facts: &Facts<'_>, heap: &ProfileTrend, site: &SiteTrend, confidence: f64) -> Finding {
    let culprit = site_trend::culprit(facts.history, heap, site);
    let diff = Some(evidence::diff(ProfileType::Heap, heap));
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
            weight: None,
            link: diff.clone(),
        },
        Evidence {
            claim: format!(
                "{} retains {} more (95 % interval {} to {}), {} of all growth",
                format::call_site(&site.frame),
                format::bytes(site.growth.estimate),
                format::bytes(site.growth.low),
                format::bytes(site.growth.high),
                format::percent(culprit.share_of_growth)
            ),
            value: site.growth.estimate,
            unit: "bytes",
            weight: None,
            link: diff.clone(),
        },
    ];
    let others = heap.persistent(ALONE_RATE).filter(|other| other.stack != site.stack);
    evidence.extend(others.take(4).map(|other| Evidence {
        claim: format!(
            "{} also retains {} more",
            format::call_site(&other.frame),
            format::bytes(other.growth.estimate)
        ),
        value: other.growth.estimate,
        unit: "bytes",
        weight: None,
        link: diff.clone(),
    }));
    evidence.extend(evidence::memory_growth(facts, |_| String::new()));
    let until = evidence::until_limit(facts);
    Finding {
        confidence,
        summary: format!(
            "{} keeps what it allocates: {} more live heap in {} ({}){until}.",
            format::call_site(&site.frame),
            format::bytes(site.growth.estimate),
            format::duration(seconds),
            format::rate(site.rate)
        ),
        since: heap.base,
        advice: vec![
            closing(facts, site).unwrap_or_else(|| format!(
                "Find what keeps the allocations of {} reachable (a map, slice, cache or global without removal) and bound it or let entries expire.",
                format::call_site(&site.frame)
            )),
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
