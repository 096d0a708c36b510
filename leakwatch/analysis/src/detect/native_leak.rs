//! Memory that the allocator was asked for and never given back, while memory as a whole keeps growing.
//!
//! Statistic: growth of the bytes in use per place during one capture of the allocator's calls. A capture begins with nothing in
//! use: whatever the program replaces all the time grows in it, too, until everything was replaced once. Therefore it only
//! says *where* the growth is, and only when memory as a whole grows: a place that keeps more than that is replaced, and of several
//! that together keep more than that one may be.

use crate::detect::Claim;
use crate::detect::Opinion;
use crate::detect::facts::CORROBORATED_RATE;
use crate::detect::facts::Facts;
use crate::detect::facts::Motion;
use crate::growth;
use crate::growth::ProfileGrowth;
use crate::growth::Site;
use crate::profile::ProfileType;
use crate::stats::count;
use crate::verdict::Evidence;
use crate::verdict::EvidenceLink;
use crate::verdict::VerdictClass;
use crate::words;

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
/// A place that surely keeps more than this part of the growth of memory is replaced, or is not written to.
const MOST_PART: f64 = 1.25;
/// Doubt for each multiple above it.
const EXCESS_DOUBT: f64 = 0.1;
/// Parts that all places may add up to: their errors of some ten per cent, and those of the rate of memory, are below this.
const MOST_PARTS: f64 = 1.4;
/// Doubt for what is above that: with two places of which either explains all growth it is 0.3.
const CROWD_DOUBT: f64 = 0.5;

/// Looks for a leak of native memory.
pub fn examine(facts: &Facts<'_>) -> Opinion {
    let Some(native) = &facts.native else {
        return Err("the calls of the allocator were not captured".to_owned());
    };
    let rate = match (facts.motion, facts.growth_rate()) {
        (Motion::Growing, Some(rate)) if rate > 0.0 => rate,
        _ => return Err("memory as a whole does not keep growing".to_owned()),
    };
    let seconds = native.span().as_secs_f64();
    if native.observations < LEAST_OBSERVATIONS || seconds < LEAST_SECONDS {
        return Err(format!(
            "{} profiles over {} are too few to tell what is kept from what is about to be freed",
            native.observations,
            words::duration(seconds)
        ));
    }
    let Some(Suspect { site, part, doubt }) = suspect(native, rate) else {
        return Err("no place in the code keeps more and more of what it allocates".to_owned());
    };
    if part < LEAST_PART {
        return Err(format!(
            "{} keeps {}, {} of what memory grows by",
            words::place(&site.frame),
            words::rate(site.rate),
            words::percent(part)
        ));
    }
    let confidence = 1.0 - (doubt + doubts(facts, native, site, part)).min(1.0);
    Ok(claim(facts, native, site, confidence))
}

/// The place that is meant.
struct Suspect<'a> {
    site: &'a Site,
    /// Part of the growth of memory that it keeps.
    part: f64,
    /// Doubt whether it is not another one.
    doubt: f64,
}

/// The place that keeps most among those that do not keep more than memory grows by; without any, the one that is nearest to that.
fn suspect(native: &ProfileGrowth, rate: f64) -> Option<Suspect<'_>> {
    let seconds = native.span().as_secs_f64();
    let excess = |site: &Site| (site.growth.low / seconds / rate - MOST_PART).max(0.0);
    let suspects = || native.persistent(CORROBORATED_RATE);
    let plausible = || suspects().filter(|site| excess(site) <= 0.0);
    let site = plausible()
        .next()
        .or_else(|| suspects().min_by(|a, b| excess(a).total_cmp(&excess(b))))?;
    let parts: f64 = plausible().map(|site| site.rate / rate).sum();
    Some(Suspect {
        site,
        part: site.rate / rate,
        doubt: EXCESS_DOUBT * excess(site) + CROWD_DOUBT * (parts - MOST_PARTS).max(0.0),
    })
}

fn doubts(facts: &Facts<'_>, native: &ProfileGrowth, site: &Site, part: f64) -> f64 {
    let (seconds, acceleration) = match &facts.memory {
        Some(memory) => (memory.span(), memory.acceleration().min(site.acceleration)),
        None => (native.span().as_secs_f64(), site.acceleration),
    };
    let time = (TIME_DOUBT_SECONDS / seconds).powi(2);
    let slowing = 2.0 * (LEAST_ACCELERATION - acceleration).max(0.0);
    let observations = 0.5_f64.powf(count(native.observations) + 1.0);
    let rest = (0.7 - part).max(0.0) * 0.5;
    time + slowing + observations + rest + site.false_discovery_rate
}

fn claim(facts: &Facts<'_>, native: &ProfileGrowth, site: &Site, confidence: f64) -> Claim {
    let culprit = growth::culprit(facts.history, native, site);
    let diff = Some(EvidenceLink::Diff {
        profile_type: ProfileType::Native,
        base: native.base,
        compare: native.compare,
    });
    let seconds = native.span().as_secs_f64();
    let mut evidence = vec![Evidence {
        claim: format!(
            "{} allocated {} in {} that it did not free (95 % interval {} to {}), {} of all such growth",
            words::place(&site.frame),
            words::bytes(site.growth.estimate),
            words::duration(seconds),
            words::bytes(site.growth.low),
            words::bytes(site.growth.high),
            words::percent(culprit.share_of_growth)
        ),
        value: site.growth.estimate,
        unit: "bytes",
        link: diff,
    }];
    if let Some(rate) = facts.growth_rate() {
        evidence.push(Evidence {
            claim: format!("memory that cannot be reclaimed grows by {}", words::rate(rate)),
            value: rate,
            unit: "bytes_per_second",
            link: Some(EvidenceLink::Series(vec!["unreclaimable_bytes", "limit_bytes"])),
        });
    }
    let until = facts
        .time_to_limit
        .map(|time| format!("; the limit is reached in about {}", words::duration(time.p50_seconds)))
        .unwrap_or_default();
    Claim {
        class: VerdictClass::NativeLeak,
        confidence,
        summary: format!(
            "{} does not free what it allocates: {} more ({}){until}.",
            words::place(&site.frame),
            words::bytes(site.growth.estimate),
            words::rate(site.rate)
        ),
        since: facts
            .memory
            .as_ref()
            .map_or(native.base, |memory| facts.instant(memory.from)),
        culprit: Some(culprit),
        evidence,
        advice: vec![
            format!(
                "Look where what {} allocates should be freed, on error paths too, or what container keeps it.",
                words::place(&site.frame)
            ),
            "Compare the two profiles in the evidence: what grows between them was not freed.".to_owned(),
        ],
        recommended_limit: None,
        would_change_our_mind: vec![format!(
            "{} stops growing while the service works as before (a cache or pool that is full)",
            site.frame.function
        )],
    }
}
