//! All numbers and sentences of one answer say the same, whatever its class: asked of every answer that the simulator gets.

use crate::detect::facts::Facts;
use crate::detect::stable;
use crate::detect::table::UNDECIDED;
use crate::format;
use crate::history::TargetHistory;
use crate::model::runtime::ManagedRuntimeName;
use crate::model::runtime::Runtime;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;
use crate::model::verdict::Verdict;

/// The rate and the forecast of memory that grows are of one series: they differ by no more than its peaks and troughs do.
const SLACK: f64 = 3.0;
/// With less room than this part of the limit, a step of the collector is the whole way.
const AT_THE_LIMIT: f64 = 0.1;

/// What of an answer about a history contradicts another part of it.
pub(super) fn contradiction(history: &TargetHistory, verdict: &Verdict, now: Timestamp) -> Option<String> {
    let facts = Facts::of(history, &[], now);
    let found = [
        chances(verdict),
        of_class(verdict),
        forecast(&facts, verdict),
        sentences(verdict),
        evidence(verdict),
        runtime(&facts, verdict),
        thrashing(&facts, verdict),
    ];
    found
        .into_iter()
        .flatten()
        .next()
        .map(|what| format!("{what}: {verdict:?}"))
}

fn wrong(holds: bool, what: &str) -> Option<String> {
    (!holds).then(|| what.to_owned())
}

fn chances(verdict: &Verdict) -> Option<String> {
    let is_chance = |part: f64| (0.0..=1.0).contains(&part);
    let limits = verdict.limit_probability.is_none_or(|limit| {
        let all = [limit.hour, limit.six_hours, limit.day];
        all.into_iter().all(is_chance) && all.is_sorted()
    });
    wrong(
        is_chance(verdict.leak_probability) && is_chance(verdict.confidence),
        "a chance beyond 0 to 1",
    )
    .or_else(|| wrong(limits, "chances of reaching the limit that fall with time"))
}

fn of_class(verdict: &Verdict) -> Option<String> {
    let (class, p) = (verdict.class, verdict.leak_probability);
    let is_undecided = UNDECIDED.contains(&class);
    let confidence = if class.is_leak() {
        p >= 0.5 && (verdict.confidence - p).abs() < 1e-9
    } else {
        is_undecided || verdict.confidence <= 1.0 - p + 1e-9
    };
    let quiet =
        verdict.growth_bytes_per_second == Some(0.0) && verdict.time_to_limit.is_none() && verdict.culprit.is_none();
    wrong(confidence, "a confidence that the probability of a leak does not allow")
        .or_else(|| wrong(!class.is_leak() || verdict.culprit.is_some(), "a leak without a place"))
        .or_else(|| wrong(class != stable::CLASS || quiet, "a steady service that grows"))
        .or_else(|| {
            wrong(
                is_undecided || verdict.decided_by.is_empty(),
                "what will decide what is decided",
            )
        })
        .or_else(|| {
            let rejects_itself = verdict.rejected.iter().any(|rejected| rejected.class == class);
            wrong(!rejects_itself, "a class that is rejected")
        })
}

fn forecast(facts: &Facts<'_>, verdict: &Verdict) -> Option<String> {
    let time = verdict.time_to_limit?;
    let rate = verdict.growth_bytes_per_second.unwrap_or(0.0);
    let limit = facts.limit.map_or(f64::INFINITY, Bytes::as_f64);
    let room = (limit - facts.memory.level).max(0.0);
    let implied = room / rate;
    // A line through the peaks lags behind the last steps to the limit.
    let slack = if facts.memory.grows() { SLACK } else { 1.0 + 1e-6 };
    let is_there = room < limit * AT_THE_LIMIT;
    let in_order = time.p10_seconds <= time.p50_seconds && time.p50_seconds <= time.p90_seconds;
    wrong(!facts.dying, "a forecast for the dead")
        .or_else(|| wrong(rate > 0.0, "a forecast without growth"))
        .or_else(|| wrong(in_order, "quantiles that are not in order"))
        .or_else(|| {
            let holds = implied >= time.p10_seconds / slack && implied <= time.p90_seconds * slack;
            wrong(is_there || holds, "a rate that does not lead to the forecast")
        })
}

/// What the summary says, in its own words, is what the fields say.
fn sentences(verdict: &Verdict) -> Option<String> {
    let summary = verdict.summary.as_str();
    let rate = verdict.growth_bytes_per_second;
    let told = |start: &str| {
        let (_, rest) = summary.split_once(start)?;
        let ends = [";", ",", " in ", ". "].into_iter().filter_map(|end| rest.find(end));
        let end = ends.min().unwrap_or(rest.len());
        Some(rest.get(..end)?.trim_end_matches('.').to_owned())
    };
    let grows_by = told("Memory grows by ");
    let until = told("the limit is reached in about ");
    wrong(!summary.is_empty(), "no summary")
        .or_else(|| {
            let holds = grows_by.is_none_or(|told| rate.is_some_and(|rate| told == format::rate(rate)));
            wrong(holds, "a rate in the summary that is not the rate")
        })
        .or_else(|| {
            let holds = until.is_none_or(|told| {
                verdict
                    .time_to_limit
                    .is_some_and(|time| told == format::duration(time.p50_seconds))
            });
            wrong(holds, "a time in the summary that is not the forecast")
        })
        .or_else(|| {
            let grows = rate.is_some_and(|rate| rate > 0.0);
            wrong(!summary.contains("still grows") || grows, "growth in the summary alone")
        })
}

fn evidence(verdict: &Verdict) -> Option<String> {
    let weights: Vec<f64> = verdict.evidence.iter().filter_map(|evidence| evidence.weight).collect();
    let sum: f64 = weights.iter().sum();
    let adds_up = weights.is_empty() || (1.0 / (1.0 + (-sum).exp()) - verdict.leak_probability).abs() < 1e-9;
    let within = verdict.culprit.as_ref().is_none_or(|culprit| {
        culprit.growth.low <= culprit.growth.estimate && culprit.growth.estimate <= culprit.growth.high
    });
    wrong(adds_up, "weights that do not add up to the probability")
        .or_else(|| wrong(within, "an estimate outside of its interval"))
}

/// Words that only fit a program with one runtime.
const OF_GO: &[&str] = &[
    "GOMEMLIMIT",
    "GOGC",
    "oroutine",
    "Go heap",
    "net/http/pprof",
    "runtime.MemProfile",
];
const OF_JAVA: &[&str] = &["Java", "-Xmx", "jcmd", "metaspace", "MaxRAMPercentage"];
const OF_NODE: &[&str] = &["Node.js", "--max-old-space-size", "--heapsnapshot"];
const OF_PYTHON: &[&str] = &["Python", "memray", "tracemalloc"];

/// What is said and advised fits the program.
fn runtime(facts: &Facts<'_>, verdict: &Verdict) -> Option<String> {
    let history = facts.history;
    let record = history.main_process().or_else(|| history.main_sampled());
    let own = match record.and_then(|record| record.process.runtime.as_ref().ok()) {
        Some(Runtime::Go { .. }) => OF_GO,
        Some(Runtime::Managed(managed)) => match managed.name {
            ManagedRuntimeName::Jvm => OF_JAVA,
            ManagedRuntimeName::Node => OF_NODE,
            ManagedRuntimeName::Python => OF_PYTHON,
        },
        // Whoever has such profiles is, whatever else is known.
        Some(Runtime::Native) | None if facts.is_go == Some(true) => OF_GO,
        Some(Runtime::Native) | None => &[],
    };
    let mut texts = std::iter::once(&verdict.summary)
        .chain(&verdict.advice)
        .chain(&verdict.would_change_our_mind);
    let foreign = [OF_GO, OF_JAVA, OF_NODE, OF_PYTHON]
        .into_iter()
        .filter(|words| *words != own);
    let foreign: Vec<&str> = foreign.flatten().copied().collect();
    let found = texts.find_map(|text| foreign.iter().find(|word| text.contains(**word)))?;
    Some(format!("{found} said of a program that is none of it"))
}

/// Who thrashes is told so, and not to wait for a limit that was reached.
fn thrashing(facts: &Facts<'_>, verdict: &Verdict) -> Option<String> {
    facts.thrashing()?;
    let waits = verdict.advice.iter().any(|advice| advice.starts_with("Wait"));
    wrong(verdict.summary.contains("thrashes"), "thrashing that is not told").or_else(|| {
        wrong(
            verdict.time_to_limit.is_none() && !waits,
            "a limit to wait for that was reached",
        )
    })
}
