//! Which place in the profiles of a capture keeps more and more, and how sure that is, while memory as a whole keeps growing.
//!
//! Statistic: growth of the bytes per place during one capture. A capture begins with nothing: whatever the program replaces all
//! the time grows in it, too, until everything was replaced once. Therefore it only says *where* the growth is, and only when memory
//! as a whole grows: a place that keeps more than that is replaced, and of several that together keep more than that one may be.

use crate::detect::facts::CORROBORATED_RATE;
use crate::detect::facts::Facts;
use crate::detect::facts::Motion;
use crate::detect::outside;
use crate::format;
use crate::measure::site_trend::ProfileGrowth;
use crate::measure::site_trend::Site;
use crate::model::verdict::Evidence;
use crate::model::verdict::EvidenceLink;
use crate::stats::robust::count;

/// Profiles of the capture: two differences in a row are the least that can be called going on.
const LEAST_OBSERVATIONS: usize = 3;
/// Least time between the first and the newest of them.
const LEAST_SECONDS: f64 = 10.0;
/// Doubt from the time watched is (this / time) squared, as for the Go heap.
const TIME_DOUBT_SECONDS: f64 = 18.0;
/// Growth in the second half relative to the first below which it may be something that fills.
const LEAST_ACCELERATION: f64 = 0.7;
/// Part of the growth of memory that the place must explain.
const LEAST_PART: f64 = 0.3;
/// What no place explains may have a larger cause: doubt for each part of the growth below that which is explained. (What is asked for is less than
/// what becomes resident: allocators round up, and pages are not full.)
const MOST_EXPLAINED: f64 = 0.7;
const REST_DOUBT: f64 = 0.5;
/// A place that surely keeps more than this part of the growth of memory is replaced, or is not written to.
const MOST_PART: f64 = 1.25;
/// Doubt for each multiple above it.
const EXCESS_DOUBT: f64 = 0.1;
/// Parts that all places may add up to: their errors of some ten per cent, and those of the rate of memory, are below this.
const MOST_PARTS: f64 = 1.4;
/// Doubt for what is above that: with two places of which either explains all growth it is 0.3.
const CROWD_DOUBT: f64 = 0.5;

/// The place that keeps most, and how sure that is; or why there is none.
pub(super) fn most<'a>(facts: &Facts<'_>, growth: &'a ProfileGrowth) -> Result<(&'a Site, f64), String> {
    let rate = match (facts.motion, facts.growth_rate()) {
        (Motion::Growing, Some(rate)) if rate > 0.0 => rate,
        _ => return Err("memory as a whole does not keep growing".to_owned()),
    };
    if outside::growth(facts).is_some_and(|memory| memory.is_within()) {
        return Err("the Go runtime may hold most of what memory grew by".to_owned());
    }
    let seconds = growth.span().as_secs_f64();
    if growth.observations < LEAST_OBSERVATIONS || seconds < LEAST_SECONDS {
        return Err(format!(
            "{} profiles over {} are too few to tell what is kept from what is about to be given back",
            growth.observations,
            format::duration(seconds)
        ));
    }
    let Some(Suspect {
        site,
        part,
        explained,
        doubt,
    }) = suspect(growth, rate)
    else {
        return Err("no place in the code keeps more and more".to_owned());
    };
    if part < LEAST_PART {
        return Err(format!(
            "{} keeps {}, {} of what memory grows by",
            format::place(&site.frame),
            format::rate(site.rate),
            format::percent(part)
        ));
    }
    Ok((site, 1.0 - (doubt + doubts(facts, growth, site, explained)).min(1.0)))
}

/// The place that is meant.
struct Suspect<'a> {
    site: &'a Site,
    /// Part of the growth of memory that it keeps.
    part: f64,
    /// Part that all places keep together of which none keeps more than there is.
    explained: f64,
    /// Doubt whether it is not another one.
    doubt: f64,
}

/// The place that keeps most among those that do not keep more than memory grows by; without any, the one that is nearest to that.
fn suspect(growth: &ProfileGrowth, rate: f64) -> Option<Suspect<'_>> {
    let seconds = growth.span().as_secs_f64();
    let excess = |site: &Site| (site.growth.low / seconds / rate - MOST_PART).max(0.0);
    let suspects = || growth.persistent(CORROBORATED_RATE);
    let plausible = || suspects().filter(|site| excess(site) <= 0.0);
    let site = plausible()
        .next()
        .or_else(|| suspects().min_by(|a, b| excess(a).total_cmp(&excess(b))))?;
    let parts: f64 = plausible().map(|site| site.rate / rate).sum();
    let part = site.rate / rate;
    Some(Suspect {
        site,
        part,
        explained: parts.max(part),
        doubt: EXCESS_DOUBT * excess(site) + CROWD_DOUBT * (parts - MOST_PARTS).max(0.0),
    })
}

fn doubts(facts: &Facts<'_>, growth: &ProfileGrowth, site: &Site, explained: f64) -> f64 {
    // What few sampled objects, and their halves, differ by without meaning.
    let grain = site.grain();
    let of_site = site.acceleration * (1.0 + 2.0 * grain);
    let (seconds, acceleration) = match &facts.memory {
        Some(memory) => (memory.span(), memory.acceleration().min(of_site)),
        None => (growth.span().as_secs_f64(), of_site),
    };
    let time = (TIME_DOUBT_SECONDS / seconds).powi(2);
    let slowing = 2.0 * (LEAST_ACCELERATION - acceleration).max(0.0);
    let observations = 0.5_f64.powf(count(growth.observations) + 1.0);
    let rest = (MOST_EXPLAINED - explained * (1.0 + grain)).max(0.0) * REST_DOUBT;
    time + slowing + observations + rest + site.false_discovery_rate
}

/// How fast memory as a whole grows.
pub(super) fn whole(facts: &Facts<'_>) -> Option<Evidence> {
    let rate = facts.growth_rate()?;
    Some(Evidence {
        claim: format!("memory that cannot be reclaimed grows by {}", format::rate(rate)),
        value: rate,
        unit: "bytes_per_second",
        link: Some(EvidenceLink::Series(vec!["unreclaimable_bytes", "limit_bytes"])),
    })
}

/// `; the limit is reached in about ...`, where there is one.
pub(super) fn until_limit(facts: &Facts<'_>) -> String {
    facts
        .time_to_limit
        .map(|time| format!("; the limit is reached in about {}", format::duration(time.p50_seconds)))
        .unwrap_or_default()
}
