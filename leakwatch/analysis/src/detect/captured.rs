//! Which call site in the profiles of a capture retains more and more, and how sure that is, while memory as a whole keeps growing.
//!
//! Statistic: growth of the bytes per call site during one capture. A capture begins with nothing: whatever the program replaces all
//! the time grows in it, too, until everything was replaced once. Therefore it only says *where* the growth is, and only when memory
//! as a whole grows: a call site that retains more than that is replaced, and of several that together retain more than that one may be.
//! Thresholds: `docs/detectors/native_leak.md`.

use crate::detect::doubt;
use crate::detect::evidence;
use crate::detect::facts::Facts;
use crate::detect::finding::Finding;
use crate::detect::suspect::CORROBORATED_RATE;
use crate::format;
use crate::measure::go_memory::AnonymousGrowth;
use crate::measure::site_trend;
use crate::measure::site_trend::ProfileTrend;
use crate::measure::site_trend::SiteTrend;
use crate::measure::workers::Workers;
use crate::model::profile::ProfileType;
use crate::model::stack::Frame;
use crate::model::verdict::Culprit;
use crate::model::verdict::Evidence;
use crate::short_name;
use crate::stats::robust::count;
use crate::stats::trend::Trend;

/// Profiles of the capture: two differences in a row are the least that can be called going on.
const LEAST_OBSERVATIONS: usize = 3;
/// Least time between the first and the newest of them.
const LEAST_SECONDS: f64 = 10.0;
/// Part of the growth of memory that the call site must explain.
const LEAST_PART: f64 = 0.3;
/// What no call site explains may have a larger cause: doubt for each part of the growth below that which is explained. (What is asked for is
/// less than what becomes resident: allocators round up, and pages are not full.)
const MOST_EXPLAINED: f64 = 0.7;
const REST_DOUBT: f64 = 0.5;
/// A call site that surely retains more than this part of the growth of memory is replaced, or is not written to.
const MOST_PART: f64 = 1.25;
/// Doubt for each multiple above it.
const EXCESS_DOUBT: f64 = 0.1;
/// Parts that all call sites may add up to: their errors of some ten per cent, and those of the rate of memory, are below this.
const MOST_PARTS: f64 = 1.4;
/// Doubt for what is above that: with two call sites of which either explains all growth it is 0.3.
const CROWD_DOUBT: f64 = 0.5;

/// The call site that retains most in the profiles of a capture.
pub(super) struct Captured<'a> {
    profile_type: ProfileType,
    trend: &'a ProfileTrend,
    pub(super) site: &'a SiteTrend,
    culprit: Culprit,
    confidence: f64,
    workers: Workers,
}

/// What a detector says of a [`Captured`] call site.
pub(super) struct Sentences {
    pub(super) evidence: String,
    pub(super) summary: String,
    pub(super) advice: Vec<String>,
    pub(super) would_change_our_mind: String,
}

impl<'a> Captured<'a> {
    /// In the profiles of one type; or why there is none.
    pub(super) fn most(facts: &Facts<'_>, profile_type: ProfileType, trend: &'a ProfileTrend) -> Result<Self, String> {
        let rate = match facts.memory.growth_rate() {
            Some(rate) if facts.memory.grows() && rate > 0.0 => rate,
            _ => return Err("memory as a whole does not keep growing".to_owned()),
        };
        if AnonymousGrowth::of(facts.history, facts.now).is_some_and(|growth| growth.is_held_by_runtime()) {
            return Err("the Go runtime may hold most of what memory grew by".to_owned());
        }
        let seconds = trend.span().as_secs_f64();
        if trend.observations < LEAST_OBSERVATIONS || seconds < LEAST_SECONDS {
            return Err(format!(
                "{} profiles over {} are too few to tell what is kept from what is about to be given back",
                trend.observations,
                format::duration(seconds)
            ));
        }
        let workers = workers(facts, profile_type, trend);
        let rate = rate / workers.multiple;
        let Some(Suspect {
            site,
            part,
            explained,
            doubt,
        }) = suspect(trend, rate)
        else {
            return Err("no call site keeps more and more".to_owned());
        };
        if part < LEAST_PART {
            return Err(format!(
                "{} keeps {}, {} of what memory grows by{}",
                format::call_site(&site.frame),
                format::rate(site.rate),
                format::percent(part),
                in_each(workers)
            ));
        }
        Ok(Self {
            profile_type,
            trend,
            site,
            culprit: site_trend::culprit(facts.history, trend, site),
            confidence: 1.0 - (doubt + doubts(facts, trend, site, explained)).min(1.0),
            workers,
        })
    }

    /// The call site as a sentence names it.
    pub(super) fn call_site(&self) -> String {
        format::call_site(&self.site.frame)
    }

    /// How much more it retains.
    pub(super) fn growth(&self) -> String {
        format::bytes(self.site.growth.estimate)
    }

    /// How fast that grows.
    pub(super) fn rate(&self) -> String {
        format!("{}{}", format::rate(self.site.rate), in_each(self.workers))
    }

    /// What would speak against it.
    pub(super) fn stops_growing(&self) -> String {
        format!(
            "{} stops growing while the service works as before (a cache or pool that is full)",
            short_name::of(&self.site.frame.function)
        )
    }

    /// The time between the first and the newest profile.
    pub(super) fn span(&self) -> String {
        format::duration(self.trend.span().as_secs_f64())
    }

    /// The 95 % interval of the growth and its part of all growth.
    pub(super) fn interval(&self) -> String {
        format!(
            "(95 % interval {} to {}), {} of all such growth",
            format::bytes(self.site.growth.low),
            format::bytes(self.site.growth.high),
            format::percent(self.culprit.share_of_growth)
        )
    }

    /// The finding in these sentences.
    pub(super) fn finding(self, facts: &Facts<'_>, sentences: Sentences) -> Finding {
        let mut evidence = vec![Evidence {
            claim: sentences.evidence,
            value: self.site.growth.estimate,
            unit: "bytes",
            weight: None,
            link: Some(evidence::diff(self.profile_type, self.trend)),
        }];
        evidence.extend(evidence::memory_growth(facts, |_| String::new()));
        let mut advice = sentences.advice;
        advice.extend(unnamed(&self.culprit.frame));
        Finding {
            confidence: self.confidence,
            summary: sentences.summary,
            since: facts.memory.since().unwrap_or(self.trend.base),
            culprit: Some(self.culprit),
            evidence,
            advice,
            recommended_limit: None,
            would_change_our_mind: vec![sentences.would_change_our_mind],
        }
    }
}

/// The equal processes that grow together, each by its part; the captured one alone where what it keeps is what memory as a whole grows by.
pub(crate) fn workers(facts: &Facts<'_>, profile_type: ProfileType, trend: &ProfileTrend) -> Workers {
    let rate = facts.memory.growth_rate().unwrap_or_default();
    let alone = suspect(trend, rate).filter(|_| rate > 0.0);
    if alone.is_some_and(|alone| alone.explained >= MOST_EXPLAINED) {
        return Workers::ALONE;
    }
    Workers::in_profiles(facts.history, profile_type, facts.now)
}

/// Of how many processes the captured one is one.
fn in_each(workers: Workers) -> String {
    match workers.count {
        0 | 1 => String::new(),
        count => format!(" in each of {count} equal processes"),
    }
}

/// What gives names to code that has none.
fn unnamed(frame: &Frame) -> Option<String> {
    if !format::has_no_name(frame) {
        return None;
    }
    Some(if frame.file.is_empty() {
        "Code that is made while the program runs has names if its maker writes them to `/tmp/perf-PID.map`.".to_owned()
    } else {
        format!(
            "Its code has names once the debugging symbols of {} are installed (`-dbgsym`, `-debuginfo`), or it is built without `strip`: `leakwatch capture` then shows them.",
            frame.file
        )
    })
}

/// The call site that is meant.
struct Suspect<'a> {
    site: &'a SiteTrend,
    /// Part of the growth of memory that it retains.
    part: f64,
    /// Part that all call sites retain together of which none retains more than there is.
    explained: f64,
    /// Doubt whether it is not another one.
    doubt: f64,
}

/// The call site that retains most among those that do not retain more than memory grows by; without any, the one that is nearest to that.
fn suspect(trend: &ProfileTrend, rate: f64) -> Option<Suspect<'_>> {
    let seconds = trend.span().as_secs_f64();
    let excess = |site: &SiteTrend| (site.growth.low / seconds / rate - MOST_PART).max(0.0);
    let suspects = || trend.persistent(CORROBORATED_RATE);
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

fn doubts(facts: &Facts<'_>, trend: &ProfileTrend, site: &SiteTrend, explained: f64) -> f64 {
    // What few sampled objects differ by without meaning.
    let grain = site.grain();
    let memory = facts.memory.trend.as_ref();
    let seconds = memory.map_or_else(|| trend.span().as_secs_f64(), Trend::span);
    let rest = (MOST_EXPLAINED - explained * (1.0 + grain)).max(0.0) * REST_DOUBT;
    doubt::time(seconds) + doubt::observations(count(trend.observations) + 1.0) + rest + site.false_discovery_rate
}
