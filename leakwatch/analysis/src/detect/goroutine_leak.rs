//! Goroutines that pile up at one place and never end.
//!
//! Statistic: number of goroutines per blocking place, significant and spread over the whole time, or the runtime's own proof
//! (`goroutineleak` profile). When the live heap grows as well and the goroutines explain it, this is the root cause.

use crate::detect::Claim;
use crate::detect::Opinion;
use crate::detect::facts::ALONE_RATE;
use crate::detect::facts::Facts;
use crate::detect::facts::Motion;
use crate::detect::go_heap_leak;
use crate::detect::go_heap_leak::BEFORE_DOUBT;
use crate::detect::go_heap_leak::KILLED_DOUBT_SECONDS;
use crate::detect::go_heap_leak::LEAST_OBSERVATIONS_KILLED;
use crate::detect::go_heap_leak::LEAST_SECONDS_KILLED;
use crate::format;
use crate::history::window;
use crate::measure::site_trend;
use crate::measure::site_trend::ProfileGrowth;
use crate::measure::site_trend::Site;
use crate::model::profile::ProfileType;
use crate::model::verdict::Evidence;
use crate::model::verdict::EvidenceLink;
use crate::model::verdict::VerdictClass;
use crate::stats::robust::count;
use std::ops::RangeInclusive;

/// Fewer goroutines more are connections and workers coming and going.
const LEAST_GROWTH: f64 = 10.0;
/// And it must be this part of what was there.
const LEAST_RELATIVE_GROWTH: f64 = 0.2;
const LEAST_OBSERVATIONS: usize = 3;
const LEAST_SECONDS: f64 = 25.0;
/// Killed lives that are looked at.
const MOST_LIVES: usize = 8;
/// A goroutine starts with 2 KiB of stack (`stackMin` in runtime/stack.go) and a g structure of about 450 bytes.
const GOROUTINE_BYTES: f64 = 2500.0;

/// Objects per goroutine that count as its own: one to three from one line, with the sampling error of a few dozen samples.
const OWN_OBJECTS: RangeInclusive<f64> = 0.6..=4.5;

/// What is left of doubt when the runtime proves goroutines leaked: that they matter.
const PROOF_DOUBT: f64 = 0.03;

/// Looks for a goroutine leak: by growth, in this life or, while it is too young to say, in the one before; else by the runtime's
/// proof alone.
pub fn examine(facts: &Facts<'_>) -> Opinion {
    let now = by_growth(facts);
    let before = facts
        .goroutines_before
        .as_ref()
        .and_then(|goroutines| by_life_before(facts, goroutines));
    let best = match (now, before) {
        (Ok(now), Some(before)) if now.confidence >= before.confidence => Ok(now),
        (_, Some(before)) => Ok(before),
        (now, None) => now,
    };
    best.or_else(|because| by_proof(facts).ok_or(because))
}

/// The life before ended by an OOM kill with goroutines piled up: they do so again until this life shows otherwise.
fn by_life_before(facts: &Facts<'_>, goroutines: &ProfileGrowth) -> Option<Claim> {
    let site = goroutines.persistent(ALONE_RATE).find(|site| is_material(site))?;
    let watched = lives_watched(facts);
    if goroutines.observations < LEAST_OBSERVATIONS_KILLED || watched <= 0.0 {
        return None;
    }
    let heap = facts.heap_before.as_ref();
    if heap
        .and_then(|heap| independent_heap_growth(facts, heap, site))
        .is_some()
    {
        return None;
    }
    let seen = count(goroutines.observations + facts.lives.killed);
    let doubt = (KILLED_DOUBT_SECONDS / watched).powi(2) + 0.5_f64.powf(seen) + BEFORE_DOUBT;
    Some(claim(facts, goroutines, site, 1.0 - doubt.min(1.0)))
}

/// Seconds of earlier lives that were killed while goroutines may have piled up. That they are still starting up explains growth of
/// memory in such lives, but hardly that they wait at one place in ever greater number.
fn lives_watched(facts: &Facts<'_>) -> f64 {
    if facts.lives.levelled > 0 {
        return 0.0;
    }
    facts.lives.typical_seconds * count(facts.lives.killed.min(MOST_LIVES))
}

/// So many proven leaked that it cannot be a leftover of starting up.
fn by_proof(facts: &Facts<'_>) -> Option<Claim> {
    facts.proven_leaked.filter(|proven| *proven >= LEAST_GROWTH)?;
    let leaked = site_trend::all_of_newest(facts.history, ProfileType::GoroutineLeak, facts.now)?;
    let site = leaked.sites.first()?;
    let heap = facts.heap.as_ref();
    if heap
        .and_then(|heap| independent_heap_growth(facts, heap, site))
        .is_some()
    {
        return None;
    }
    Some(claim(facts, &leaked, site, 1.0 - PROOF_DOUBT))
}

fn by_growth(facts: &Facts<'_>) -> Opinion {
    let Some(goroutines) = &facts.goroutines else {
        return Err("no two goroutine profiles were available".to_owned());
    };
    let seconds = goroutines.span().as_secs_f64();
    let Some(site) = facts.goroutine_suspect() else {
        return Err(format!(
            "the number of goroutines changed by {:.0} to {:.0} over {} and no place in the code holds more and more of them",
            goroutines.total.estimate,
            goroutines.now,
            format::duration(seconds)
        ));
    };
    let (observations, least) = if facts.dying {
        (LEAST_OBSERVATIONS_KILLED, LEAST_SECONDS_KILLED)
    } else {
        (LEAST_OBSERVATIONS, LEAST_SECONDS)
    };
    if goroutines.observations < observations || seconds < least {
        return Err(format!(
            "{} goroutine profiles over {} are too few to tell a leak from a burst",
            goroutines.observations,
            format::duration(seconds)
        ));
    }
    let heap = facts.heap.as_ref();
    if let Some(other) = heap.and_then(|heap| independent_heap_growth(facts, heap, site)) {
        return Err(format!(
            "{:.0} more goroutines explain less of the growth than {} does",
            site.growth.estimate,
            format::place(&other.frame)
        ));
    }
    let proof = facts.proven_leaked.unwrap_or(0.0);
    let time = if facts.dying {
        (KILLED_DOUBT_SECONDS / (seconds.max(facts.observed) + lives_watched(facts))).powi(2)
    } else {
        (go_heap_leak::TIME_DOUBT_SECONDS / (seconds + lives_watched(facts))).powi(2)
    };
    let observations = 0.5_f64.powf(count(goroutines.observations + facts.lives.killed));
    let evenness = (0.6 - site.persistence).max(0.0) * 0.3;
    let memory = if matches!(facts.motion, Motion::Levelling) {
        0.05
    } else {
        0.0
    };
    let doubt = time + observations + evenness + memory;
    let doubt = if proof > 0.0 { doubt.min(0.02) } else { doubt };
    Ok(claim(facts, goroutines, site, 1.0 - doubt.min(1.0)))
}

/// Whether a place's growth is more than coming and going.
pub fn is_material(site: &Site) -> bool {
    let before = site.now - site.growth.estimate;
    site.growth.low > 0.0
        && site.growth.estimate >= LEAST_GROWTH
        && site.growth.estimate >= before * LEAST_RELATIVE_GROWTH
}

/// A heap place that grows more than the goroutines can explain: allocated outside of their stacks, and larger than they are.
fn independent_heap_growth<'a>(facts: &Facts<'_>, heap: &'a ProfileGrowth, goroutine_site: &Site) -> Option<&'a Site> {
    let by_goroutines = |site: &Site| {
        let own: Vec<&str> = facts
            .history
            .stacks
            .frames(goroutine_site.stack)
            .map(|frame| &*frame.function)
            .filter(|function| *function != "main.main" && !function.starts_with("runtime."))
            .collect();
        facts
            .history
            .stacks
            .frames(site.stack)
            .any(|frame| own.contains(&&*frame.function))
    };
    let site = heap.persistent(ALONE_RATE).next()?;
    if goes_with(facts, heap, site, goroutine_site) {
        return None;
    }
    let explained = GOROUTINE_BYTES * goroutine_site.growth.estimate
        + heap
            .sites
            .iter()
            .filter(|site| by_goroutines(site))
            .map(|site| site.growth.estimate)
            .sum::<f64>();
    (!by_goroutines(site) && site.growth.estimate > 2.0 * explained).then_some(site)
}

/// Whether a heap place keeps a few objects more for each goroutine more: what is made together with a goroutine for its use.
fn goes_with(facts: &Facts<'_>, heap: &ProfileGrowth, site: &Site, goroutines: &Site) -> bool {
    let objects = |at| {
        let snapshot =
            window::snapshots(facts.history, ProfileType::Heap, facts.now).find(|snapshot| snapshot.at == at)?;
        let found = snapshot.values.binary_search_by_key(&site.stack, |(id, _)| *id);
        let value = found.ok().and_then(|found| snapshot.values.get(found));
        i32::try_from(value.map_or(0, |(_, value)| value.inuse_objects)).ok()
    };
    let (Some(base), Some(compare)) = (objects(heap.base), objects(heap.compare)) else {
        return false;
    };
    let rate = f64::from(compare.saturating_sub(base)) / heap.span().as_secs_f64().max(f64::MIN_POSITIVE);
    OWN_OBJECTS.contains(&(rate / goroutines.rate.max(f64::MIN_POSITIVE)))
}

fn claim(facts: &Facts<'_>, goroutines: &ProfileGrowth, site: &Site, confidence: f64) -> Claim {
    let culprit = site_trend::culprit(facts.history, goroutines, site);
    let seconds = goroutines.span().as_secs_f64();
    let diff = Some(EvidenceLink::Diff {
        profile_type: ProfileType::Goroutine,
        base: goroutines.base,
        compare: goroutines.compare,
    });
    let mut evidence = vec![Evidence {
        claim: format!(
            "goroutines blocked at {} grew by {:.0} to {:.0} in {} and never fell back",
            format::place(&site.frame),
            site.growth.estimate,
            site.now,
            format::duration(seconds)
        ),
        value: site.growth.estimate,
        unit: "goroutines",
        link: diff,
    }];
    if let Some(proven) = facts.proven_leaked.filter(|proven| *proven > 0.0) {
        evidence.push(Evidence {
            claim: format!("the Go runtime itself proves {proven:.0} goroutines leaked: nothing can ever wake them"),
            value: proven,
            unit: "goroutines",
            link: None,
        });
    }
    if let Some(heap) = &facts.heap
        && let Some(owned) = heap.persistent(ALONE_RATE).next()
        && goes_with(facts, heap, owned, site)
    {
        evidence.push(Evidence {
            claim: format!(
                "{} keeps {} for each of them",
                format::place(&owned.frame),
                format::bytes(owned.rate / site.rate.max(f64::MIN_POSITIVE))
            ),
            value: owned.growth.estimate,
            unit: "bytes",
            link: Some(EvidenceLink::Diff {
                profile_type: ProfileType::Heap,
                base: heap.base,
                compare: heap.compare,
            }),
        });
    }
    if facts.motion == Motion::Growing
        && let Some(rate) = facts.growth_rate()
    {
        evidence.push(Evidence {
            claim: format!(
                "memory that cannot be reclaimed grows by {}, {} per goroutine",
                format::rate(rate),
                format::bytes(rate / site.rate.max(f64::MIN_POSITIVE))
            ),
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
        class: VerdictClass::GoroutineLeak,
        confidence,
        summary: format!(
            "Goroutines pile up at {}: {:.0} more in {} and none of them ends{until}.",
            format::place(&site.frame),
            site.growth.estimate,
            format::duration(seconds)
        ),
        since: goroutines.base,
        advice: vec![
            standard_cause(&site.frame.function).map_or_else(
                || {
                    format!(
                        "Give the goroutines blocked at {} a way out: a context, a timeout, a closed or buffered channel.",
                        format::place(&site.frame)
                    )
                },
                str::to_owned,
            ),
            "Look at the last frames of the stack: they say who starts them.".to_owned(),
        ],
        culprit: Some(culprit),
        evidence,
        recommended_limit: None,
        would_change_our_mind: vec!["the number of goroutines at this place falls again when load falls".to_owned()],
    }
}

/// What usually piles up goroutines of the standard library. Sources: the documentation of `net/http` (`Response.Body`,
/// `Server.IdleTimeout`), `context` (`WithCancel`) and `database/sql` (`Open`), Go 1.26.
fn standard_cause(function: &str) -> Option<&'static str> {
    Some(match function {
        "net/http.(*persistConn).readLoop" | "net/http.(*persistConn).writeLoop" => {
            "Close the Body of every HTTP response, also when it is not read: each one left open keeps a connection and two goroutines."
        }
        "net/http.(*conn).serve" => {
            "These are connections of HTTP clients that stay open: set IdleTimeout and ReadHeaderTimeout of the server, or find the client that never closes them."
        }
        "context.(*cancelCtx).propagateCancel.func2" => {
            "Call the cancel function of every context that WithCancel or WithTimeout returns."
        }
        "database/sql.(*DB).connectionOpener" => {
            "Open the database once and share it: each sql.Open without Close keeps a goroutine and its connections."
        }
        _ => return None,
    })
}
