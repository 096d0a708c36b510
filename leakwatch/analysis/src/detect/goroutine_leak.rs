//! Goroutines that pile up at one call site and never end.
//!
//! Statistic: number of goroutines per blocking call site, significant and spread over the whole time, or the proof that nobody can wake
//! them (`goroutineleak` profile: by the runtime itself, or found from outside). When the live heap grows as well and the goroutines explain it, this is the root cause.
//! See `docs/detectors/goroutine_leak.md`.

use crate::culprit::Build;
use crate::detect::doubt;
use crate::detect::doubt::Least;
use crate::detect::evidence;
use crate::detect::facts::Facts;
use crate::detect::finding::Examination;
use crate::detect::finding::Finding;
use crate::detect::suspect;
use crate::detect::suspect::ALONE_RATE;
use crate::detect::suspect::CORROBORATED_RATE;
use crate::detect::suspect::LEAST_GOROUTINES;
use crate::format;
use crate::history::window;
use crate::measure::maker;
use crate::measure::maker::Maker;
use crate::measure::proven::Proven;
use crate::measure::site_trend;
use crate::measure::site_trend::ProfileTrend;
use crate::measure::site_trend::SiteTrend;
use crate::model::profile::ProfileType;
use crate::model::verdict::Evidence;
use crate::model::verdict::VerdictClass;
use crate::stats::robust::count;
use std::ops::RangeInclusive;

/// The class.
pub const CLASS: VerdictClass = VerdictClass::leak("goroutine_leak");

/// Killed runs that count as watched.
const MOST_RUNS: usize = 8;
/// A goroutine starts with 2 KiB of stack (`stackMin` in runtime/stack.go) and a g structure of about 450 bytes.
const GOROUTINE_BYTES: f64 = 2500.0;

/// Objects per goroutine that are made for it: one to three from one line, with the sampling error of a few dozen samples.
const OBJECTS_PER_GOROUTINE: RangeInclusive<f64> = 0.6..=4.5;

/// What is left of doubt when goroutines pile up and some of them are proven leaked.
const CONFIRMED_DOUBT: f64 = 0.02;
/// What is left of doubt when the proof is all there is: that they matter.
const PROOF_DOUBT: f64 = 0.03;

/// Looks for a goroutine leak: by growth, in this run or, while it is too young to say, in the one before; else by the runtime's
/// proof alone.
pub fn examine(facts: &Facts<'_>) -> Examination {
    let now = by_growth(facts);
    let goroutines_before = facts.trend_before(ProfileType::Goroutine);
    let before = goroutines_before.and_then(|goroutines| by_run_before(facts, goroutines));
    let best = match (now, before) {
        (Ok(now), Some(before)) if now.confidence >= before.confidence => Ok(now),
        (_, Some(before)) => Ok(before),
        (now, None) => now,
    };
    best.or_else(|because| by_proof(facts).ok_or(because))
}

/// The run before ended by an OOM kill with goroutines piled up: they do so again until this run shows otherwise.
fn by_run_before(facts: &Facts<'_>, goroutines: &ProfileTrend) -> Option<Finding> {
    let site = suspect::goroutines(goroutines)?;
    let watched = watched_before(facts);
    if goroutines.observations < Least::KILLED.observations || watched <= 0.0 {
        return None;
    }
    let heap = facts.trend_before(ProfileType::Heap);
    if heap
        .and_then(|heap| independent_heap_growth(facts, heap, site))
        .is_some()
    {
        return None;
    }
    let seen = count(goroutines.observations + facts.runs().killed);
    let doubt = doubt::time_to_limit(watched) + doubt::observations(seen) + doubt::BEFORE;
    Some(finding(facts, goroutines, site, 1.0 - doubt.min(1.0)))
}

/// Seconds of earlier runs that were killed while goroutines may have piled up. That they are still starting up explains growth of
/// memory in such runs, but hardly that they wait at one call site in ever greater number.
fn watched_before(facts: &Facts<'_>) -> f64 {
    if facts.runs().levelled > 0 {
        return 0.0;
    }
    facts.runs().typical_seconds * count(facts.runs().killed.min(MOST_RUNS))
}

/// Goroutines that nobody can wake, by the newest profile of them.
fn proven_leaked(facts: &Facts<'_>) -> Option<Proven> {
    Proven::newest(facts.history, facts.now).filter(|proven| proven.count > 0.0)
}

/// So many more proven leaked than at first that it cannot be a leftover of starting up.
fn by_proof(facts: &Facts<'_>) -> Option<Finding> {
    proven_leaked(facts).filter(|proven| proven.count - proven.before >= LEAST_GOROUTINES)?;
    let leaked = site_trend::all_of_newest(facts.history, ProfileType::GoroutineLeak, facts.now)?;
    let site = leaked.sites.first()?;
    let heap = facts.trend(ProfileType::Heap);
    if heap
        .and_then(|heap| independent_heap_growth(facts, heap, site))
        .is_some()
    {
        return None;
    }
    Some(finding(facts, &leaked, site, 1.0 - PROOF_DOUBT))
}

fn by_growth(facts: &Facts<'_>) -> Examination {
    let Some(goroutines) = facts.trend(ProfileType::Goroutine) else {
        return Err(match facts.is_go {
            Some(false) => "the main process is not a Go program".to_owned(),
            _ => "no two goroutine profiles were available".to_owned(),
        });
    };
    let seconds = goroutines.span().as_secs_f64();
    let Some(site) = facts.goroutine_suspect() else {
        return Err(format!(
            "goroutines {} over {}, and no call site holds more and more of them",
            format::change(
                goroutines.now - goroutines.total.estimate,
                goroutines.now,
                format::count
            ),
            format::duration(seconds)
        ));
    };
    if Least::of(facts.dying).is_missed(goroutines.observations, seconds) {
        return Err(format!(
            "{} goroutine profiles over {} are too few to tell a leak from a burst",
            goroutines.observations,
            format::duration(seconds)
        ));
    }
    let heap = facts.trend(ProfileType::Heap);
    if let Some(other) = heap.and_then(|heap| independent_heap_growth(facts, heap, site)) {
        return Err(format!(
            "{:.0} more goroutines explain less of the growth than {} does",
            site.growth.estimate,
            format::call_site(&other.frame)
        ));
    }
    let time = if facts.dying {
        doubt::time_to_limit(seconds.max(facts.memory.observed) + watched_before(facts))
    } else {
        doubt::time(seconds + watched_before(facts))
    };
    let observations = doubt::observations(count(goroutines.observations + facts.runs().killed));
    let doubt = time + observations;
    let doubt = if proven_leaked(facts).is_some() {
        doubt.min(CONFIRMED_DOUBT)
    } else {
        doubt
    };
    Ok(finding(facts, goroutines, site, 1.0 - doubt.min(1.0)))
}

/// A heap call site that grows more than the goroutines can explain: allocated outside of their stacks, and larger than they are.
fn independent_heap_growth<'a>(
    facts: &Facts<'_>,
    heap: &'a ProfileTrend,
    goroutine_site: &SiteTrend,
) -> Option<&'a SiteTrend> {
    let stacks = &facts.history.stacks;
    let by_goroutines = |site: &SiteTrend| {
        let theirs: Vec<&str> = stacks
            .frames(goroutine_site.stack)
            .map(|frame| &*frame.function)
            .filter(|function| *function != "main.main" && !function.starts_with("runtime."))
            .collect();
        stacks
            .frames(site.stack)
            .any(|frame| theirs.contains(&&*frame.function))
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

/// Whether a heap call site retains a few objects more for each goroutine more: what is made together with a goroutine for its use.
fn goes_with(facts: &Facts<'_>, heap: &ProfileTrend, site: &SiteTrend, goroutines: &SiteTrend) -> bool {
    let objects = |at| {
        let snapshot =
            window::snapshots(facts.history, ProfileType::Heap, facts.now).find(|snapshot| snapshot.at == at)?;
        let value = snapshot.values.get(site.stack);
        i32::try_from(value.map_or(0, |value| value.inuse_objects)).ok()
    };
    let (Some(base), Some(compare)) = (objects(heap.base), objects(heap.compare)) else {
        return false;
    };
    let rate = f64::from(compare.saturating_sub(base)) / heap.span().as_secs_f64().max(f64::MIN_POSITIVE);
    OBJECTS_PER_GOROUTINE.contains(&(rate / goroutines.rate.max(f64::MIN_POSITIVE)))
}

fn finding(facts: &Facts<'_>, goroutines: &ProfileTrend, site: &SiteTrend, confidence: f64) -> Finding {
    let culprit = site_trend::culprit(facts.history, goroutines, site);
    let seconds = goroutines.span().as_secs_f64();
    let call_site = format::call_site(&site.frame);
    let mut evidence = vec![Evidence {
        claim: format!(
            "goroutines blocked at {call_site} grew by {:.0} to {:.0} in {} and never fell back",
            site.growth.estimate,
            site.now,
            format::duration(seconds)
        ),
        value: site.growth.estimate,
        unit: "goroutines",
        weight: None,
        link: Some(evidence::diff(ProfileType::Goroutine, goroutines)),
    }];
    if let Some(proven) = proven_leaked(facts) {
        let count = proven.count;
        evidence.push(Evidence {
            claim: if proven.by_runtime {
                format!("the Go runtime itself proves {count:.0} goroutines leaked: nothing can ever wake them")
            } else {
                format!("read from outside, {count:.0} goroutines wait for what nothing that runs can reach: nothing can ever wake them")
            },
            value: count,
            unit: "goroutines",
            weight: None,
            link: None,
        });
    }
    if let Some(heap) = facts.trend(ProfileType::Heap)
        && let Some(owned) = heap.persistent(ALONE_RATE).next()
        && goes_with(facts, heap, owned, site)
    {
        evidence.push(Evidence {
            claim: format!(
                "{} keeps {} for each of them",
                format::call_site(&owned.frame),
                format::bytes(owned.rate / site.rate.max(f64::MIN_POSITIVE))
            ),
            value: owned.growth.estimate,
            unit: "bytes",
            weight: None,
            link: Some(evidence::diff(ProfileType::Heap, heap)),
        });
    }
    evidence.extend(evidence::memory_growth(facts, |rate| {
        let each = rate / site.rate.max(f64::MIN_POSITIVE);
        format!(", {} per goroutine", format::bytes(each))
    }));
    let maker = maker(facts, site);
    evidence.extend(maker.map(|maker| Evidence {
        claim: format!(
            "meanwhile {} keeps {} more live heap by {}",
            format::call_site(maker.own),
            format::bytes(maker.site.growth.estimate),
            maker.called.function
        ),
        value: maker.site.growth.estimate,
        unit: "bytes",
        weight: None,
        link: None,
    }));
    let until = evidence::until_limit(facts);
    let way_out = || {
        format!(
            "Give the goroutines blocked at {call_site} a way out: a context, a timeout, a closed or buffered channel."
        )
    };
    Finding {
        confidence,
        summary: format!(
            "Goroutines pile up at {call_site}: {:.0} more in {} and none of them ends{until}.",
            site.growth.estimate,
            format::duration(seconds)
        ),
        since: goroutines.base,
        advice: maker
            .map(close)
            .or_else(|| standard_cause(&site.frame.function).map(str::to_owned))
            .or_else(|| of_library(facts, site))
            .or_else(|| Some(way_out()))
            .into_iter()
            .chain(
                is_started_elsewhere(facts, site)
                    .then(|| "Look at the last frames of the stack: they say who starts them.".to_owned()),
            )
            .collect::<Vec<String>>(),
        culprit: Some(culprit),
        evidence,
        recommended_limit: None,
        would_change_our_mind: vec![
            "the number of goroutines at this call site falls again when load falls".to_owned(),
        ],
    }
}

/// Own code that makes what the goroutines of a library belong to.
fn maker<'h>(facts: &'h Facts<'_>, site: &SiteTrend) -> Option<Maker<'h>> {
    let heap = facts.trend(ProfileType::Heap)?;
    Maker::of(facts.history, heap, site, CORROBORATED_RATE)
}

/// What ends goroutines that belong to an object of a library.
pub(super) fn close(maker: Maker<'_>) -> String {
    format!(
        "{} calls {} again and again: close what that makes when it is done with (Close, Stop, Shutdown, or its context), or make it once and share it. Its goroutines end with it.",
        format::call_site(maker.own),
        maker.called.function
    )
}

/// Goroutines of a library of which it is not seen who makes what they belong to.
fn of_library(facts: &Facts<'_>, site: &SiteTrend) -> Option<String> {
    let build = Build::learn(&facts.history.stacks, [site.stack]);
    let library = maker::repository_of(maker::library_of(facts.history, &build, site.stack)?);
    Some(format!(
        "They belong to something of {library} that is made and never closed (a client, a connection, a watcher): look where the program makes it, and close or share it."
    ))
}

/// Whether there is more to see in the stack than the place itself.
fn is_started_elsewhere(facts: &Facts<'_>, site: &SiteTrend) -> bool {
    let frames = facts.history.stacks.frames(site.stack);
    let named = frames.filter(|frame| !frame.function.starts_with("runtime."));
    named.last().is_some_and(|last| last.function != site.frame.function)
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
