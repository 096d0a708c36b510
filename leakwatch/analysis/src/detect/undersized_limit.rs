//! A limit that is too small for what the program steadily needs: a plateau at the limit, kills at the same level run after run
//! without unbounded growth of the live heap, or live heap plus garbage-collection headroom above the limit.
//! See `docs/detectors/undersized_limit.md`.

use crate::detect::by_runtime;
use crate::detect::evidence;
use crate::detect::facts::Facts;
use crate::detect::finding::Examination;
use crate::detect::finding::Finding;
use crate::detect::go_heap_leak;
use crate::detect::goroutine_leak;
use crate::detect::headroom;
use crate::format;
use crate::history::TargetHistory;
use crate::measure::motion::Motion;
use crate::measure::need;
use crate::measure::need::Need;
use crate::measure::site_trend::ProfileTrend;
use crate::model::profile::ProfileType;
use crate::model::verdict::Evidence;
use crate::model::verdict::EvidenceLink;
use crate::model::verdict::VerdictClass;
use crate::stats::robust::count;

/// The class.
pub const CLASS: VerdictClass = VerdictClass::open("undersized_limit");

const LEAST_SECONDS: f64 = 30.0;
/// Two profiles of a flat heap may lie on both sides of a wave.
const LEAST_OBSERVATIONS: usize = 3;
/// Growth below this part of the live heap is flat.
const FLAT_PART: f64 = 0.1;
/// Growth that explains less of the need than this is not why it is killed.
const LEAST_SHARE: f64 = 0.2;
/// From this part of the limit on, how full it is is no reason against a limit that is too small.
const NEAR_LIMIT: f64 = 0.9;
/// One kill may be an accident, unless its run showed a level.
const LEAST_RUNS: usize = 2;

/// Looks for a limit that is too small.
pub fn examine(facts: &Facts<'_>) -> Examination {
    let Some(limit) = facts.limit else {
        return Err("there is no limit".to_owned());
    };
    let limit = limit.as_f64();
    let runs = facts.runs();
    let flat_before = facts.trend_before(ProfileType::Heap).is_some_and(is_flat);
    // A program that starts up shows nothing but growth.
    let starting = (runs.killed >= LEAST_RUNS && runs.are_short(facts.loading())) || flat_before;
    // What explains little of the need is no reason why it does not fit.
    let matters = |bytes: f64| bytes >= facts.memory.level.max(if facts.dying { limit } else { 0.0 }) * LEAST_SHARE;
    let mut growing = facts.leaking_sites().filter(|site| matters(site.now));
    if let Some(site) = growing.next().filter(|_| !starting) {
        return Err(format!(
            "{} retains more and more: no limit would be enough",
            format::call_site(&site.frame)
        ));
    }
    if facts.goroutine_suspect().is_some() && !starting {
        return Err("goroutines pile up: no limit would be enough".to_owned());
    }
    let culprit = |examination: Examination| examination.ok().and_then(|finding| finding.culprit);
    if culprit(go_heap_leak::examine(facts)).is_some_and(|culprit| matters(culprit.growth.estimate))
        || culprit(goroutine_leak::examine(facts)).is_some()
    {
        return Err("it leaks or leaked in the run before: no limit would be enough".to_owned());
    }
    let settled = matches!(
        facts.memory.motion,
        Motion::Flat | Motion::Returning | Motion::Levelling
    ) && facts.memory.observed >= LEAST_SECONDS;
    if headroom::is_cut_off(facts) {
        return Err("memory grew until the limit stopped it: whether it has a level was not seen".to_owned());
    }
    let plateau = settled && headroom::is_at_limit(facts);
    let heap_is_flat = facts.trend(ProfileType::Heap).is_some_and(is_flat);
    // Killed again and again before start-up was over, or on a plateau, or while the live heap was flat.
    let level_shown = runs.levelled > 0 || flat_before;
    let kills = runs.are_recent(facts.now)
        && ((runs.killed >= LEAST_RUNS && (runs.are_short(facts.loading()) || heap_is_flat)) || level_shown);
    let headroom = headroom::is_too_small_for_garbage(facts) && settled;
    let is_near = facts.memory.level >= limit * NEAR_LIMIT;
    if !plateau && !kills && !headroom {
        let but = if !runs.is_empty() {
            ", and the kills so far do not show a level"
        } else if is_near {
            ", but has not come to a level"
        } else {
            ""
        };
        return Err(part_of_limit(facts, limit) + but);
    }
    let need = need::of(facts.history, runs, facts.now, limit);
    let mut evidence = Vec::new();
    // What is held soon after a kill says nothing of what is needed.
    if plateau || headroom || is_near {
        evidence.push(Evidence {
            claim: format!("{} of {}", part_of_limit(facts, limit), format::bytes(limit)),
            value: facts.memory.level / limit.max(1.0),
            unit: "ratio",
            weight: None,
            link: Some(evidence::memory_series()),
        });
    }
    if !runs.is_empty() {
        evidence.push(Evidence {
            claim: format!(
                "{} earlier runs ended by an OOM kill, typically after {}",
                runs.killed,
                format::duration(runs.typical_seconds)
            ),
            value: count(runs.killed),
            unit: "kills",
            weight: None,
            link: Some(EvidenceLink::Events),
        });
    }
    let by_level = if plateau || headroom {
        let pressure = if limit_hits(facts.history) > 0 || !runs.is_empty() {
            0.0
        } else {
            0.15
        };
        let blind = if heap_is_flat || facts.is_go == Some(false) {
            0.0
        } else {
            0.2
        };
        1.0 - 5.0 / (facts.memory.observed + 5.0) - pressure - blind
    } else {
        0.0
    };
    let by_kills = if kills {
        (0.7 + 0.05 * count(runs.killed)).min(0.9)
    } else {
        0.0
    };
    let confidence = by_level.max(by_kills);
    Ok(Finding {
        confidence: confidence.clamp(0.0, 1.0),
        summary: summary(&need, limit),
        since: facts.history.window_start,
        culprit: None,
        evidence,
        advice: std::iter::once(format!("Raise the limit to {}: {}.", need.limit, need.derivation))
            .chain(by_runtime::bound_the_heap(facts).map(str::to_owned))
            .collect(),
        recommended_limit: Some(need.limit),
        would_change_our_mind: contradictions(facts),
    })
}

fn summary(need: &Need, limit: f64) -> String {
    match need.bytes {
        // The level is cut off by the limit: nobody saw how much more it wants.
        Some(bytes) if bytes <= limit => format!(
            "The limit of {} leaves no room above what it holds; raise it to {}.",
            format::bytes(limit),
            need.limit
        ),
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
    }
}

fn contradictions(facts: &Facts<'_>) -> Vec<String> {
    vec![
        if facts.is_go == Some(true) {
            "live heap grows from one collection to the next".to_owned()
        } else {
            "with more room it grows on instead of staying at a level".to_owned()
        },
        if facts.history.oom_kill_count == 0 {
            "with twice the limit it takes about twice as long to fill it: then it leaks".to_owned()
        } else {
            "with twice the limit it runs about twice as long and is killed again: then it leaks".to_owned()
        },
    ]
}

/// Whether the live heap stayed where it was.
fn is_flat(heap: &ProfileTrend) -> bool {
    heap.observations >= LEAST_OBSERVATIONS
        && heap.span().as_secs_f64() >= LEAST_SECONDS
        && heap.total.estimate <= heap.now * FLAT_PART
}

/// Times the charge hit the limit since the cgroup exists.
fn limit_hits(history: &TargetHistory) -> u64 {
    let memory = history.newest.as_ref().ok();
    memory.and_then(|memory| memory.limit_hits().ok()).unwrap_or(0)
}

fn part_of_limit(facts: &Facts<'_>, limit: f64) -> String {
    let part = format::percent(facts.memory.level / limit.max(1.0));
    format!("memory that cannot be reclaimed is {part} of the limit")
}
