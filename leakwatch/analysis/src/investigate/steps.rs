//! The answer to each step's question, from the facts and the verdict they led to.

use super::teaches;
use crate::detect::charge;
use crate::detect::facts::Facts;
use crate::detect::facts::Motion;
use crate::detect::judge;
use crate::detect::mapping_leak;
use crate::detect::not_enough_data;
use crate::detect::outside;
use crate::format;
use crate::history::window;
use crate::measure::site_trend::ProfileGrowth;
use crate::model::investigation::Answer;
use crate::model::investigation::AnsweredBy;
use crate::model::investigation::Step;
use crate::model::investigation::StepId;
use crate::model::profile::ProfileType;
use crate::model::reading::Missing;
use crate::model::verdict::Evidence;
use crate::model::verdict::EvidenceLink;
use crate::model::verdict::Verdict;
use crate::model::verdict::VerdictClass;
use crate::stats::trend;

struct Reply {
    answer: Answer,
    confidence: f64,
    why: String,
    evidence: Vec<Evidence>,
    series: Vec<&'static str>,
    diff: Option<(
        ProfileType,
        crate::model::units::Timestamp,
        crate::model::units::Timestamp,
    )>,
    missing: Vec<(&'static str, Missing)>,
    skipped_because: Option<String>,
}

impl Reply {
    fn new(answer: Answer, confidence: f64, why: impl Into<String>) -> Self {
        Self {
            answer,
            confidence,
            why: why.into(),
            evidence: Vec::new(),
            series: Vec::new(),
            diff: None,
            missing: Vec::new(),
            skipped_because: None,
        }
    }

    fn series(mut self, names: &[&'static str]) -> Self {
        self.series = names.to_vec();
        self
    }
}

/// Asks and answers one step.
pub(super) fn answer(id: StepId, facts: &Facts<'_>, verdict: &Verdict) -> Step {
    let (question, reply) = match id {
        StepId::Memory => ("Is the memory of this target growing?", memory(facts)),
        StepId::Ledger => ("Is it anonymous memory (heap, stacks) that grows?", ledger(facts)),
        StepId::Goroutines => ("Is the number of goroutines growing?", goroutines(facts)),
        StepId::LiveHeap => (
            "Is the live Go heap growing from one garbage collection to the next?",
            live_heap(facts),
        ),
        StepId::Native => ("Is memory outside the Go heap growing?", native(facts)),
        StepId::Other => (
            "Is there another explanation: a limit that is too small, a warm-up, a burst?",
            other(verdict),
        ),
        StepId::Conclusion => ("Is this a leak?", conclusion(verdict)),
    };
    Step {
        id,
        question: question.to_owned(),
        answer: reply.answer,
        answered_by: AnsweredBy::Leakwatch,
        confidence: reply.confidence.clamp(0.0, 1.0),
        why: reply.why,
        teaches: teaches::lesson(id).to_owned(),
        evidence: reply.evidence,
        series: reply.series,
        diff: reply.diff,
        missing: reply.missing,
        skipped_because: reply.skipped_because,
    }
}

fn certainty(seconds: f64) -> f64 {
    seconds.max(0.0) / (seconds.max(0.0) + 5.0)
}

fn memory(facts: &Facts<'_>) -> Reply {
    let series = ["unreclaimable_bytes", "charge_bytes", "limit_bytes"];
    let Some(trend) = &facts.memory else {
        return Reply::new(Answer::Unknown, 0.0, "Fewer than three samples in this window.").series(&series);
    };
    let over = format::duration(trend.span());
    let numbers = format!(
        "{} per second over {over} (95 % interval {} to {}), now {}",
        format::bytes(trend.slope.estimate),
        format::bytes(trend.slope.low),
        format::bytes(trend.slope.high),
        format::bytes(trend.level)
    );
    let (answer, why) = match facts.motion {
        Motion::Growing => (Answer::Yes, format!("It grows by {numbers}.")),
        Motion::Levelling => (
            Answer::Yes,
            format!(
                "It grows, but slower and slower: {} now; {numbers}.",
                format::rate(trend.end_slope)
            ),
        ),
        Motion::Flat => (Answer::No, format!("It is flat: {numbers}.")),
        Motion::Unclear | Motion::Unknown => (
            Answer::Unknown,
            format!("It moves, but growth cannot be told from noise yet: {numbers}."),
        ),
    };
    let mut reply = Reply::new(answer, certainty(trend.span()), why).series(&series);
    reply.evidence.push(Evidence {
        claim: format!("growth of memory that cannot be reclaimed over {over}"),
        value: trend.slope.estimate,
        unit: "bytes_per_second",
        link: Some(EvidenceLink::Series(series.to_vec())),
    });
    reply
}

fn ledger(facts: &Facts<'_>) -> Reply {
    let series = ["anon_bytes", "file_bytes", "shmem_bytes", "kernel_bytes"];
    let changes = charge::changes(facts);
    if changes.is_empty() {
        let mut reply = Reply::new(Answer::Unknown, 0.0, "No split of the charge is available.").series(&series);
        if let Ok(memory) = &facts.history.newest
            && let Err(missing) = &memory.stat
        {
            reply.missing.push(("memory_stat", missing.clone()));
        }
        return reply;
    }
    let told: Vec<String> = changes
        .iter()
        .map(|part| {
            format!(
                "{} changed by {} to {}",
                part.name,
                format::bytes(part.change),
                format::bytes(part.level)
            )
        })
        .collect();
    let largest = changes.iter().max_by(|a, b| a.change.total_cmp(&b.change));
    let grew = largest.filter(|part| part.change >= crate::detect::facts::MATERIAL_BYTES);
    let mut reply = match grew.map(|part| part.name) {
        Some("anon") => Reply::new(
            Answer::Yes,
            certainty(facts.observed),
            format!("Mostly anonymous memory grows: {}.", told.join(", ")),
        ),
        Some(name) => Reply::new(
            Answer::No,
            certainty(facts.observed),
            format!("Mostly {name} grows: {}.", told.join(", ")),
        ),
        None => Reply::new(
            Answer::No,
            certainty(facts.observed),
            format!("No part grows by more than 1 MiB: {}.", told.join(", ")),
        ),
    };
    for part in &changes {
        reply.evidence.push(Evidence {
            claim: format!("change of {} over the window", part.name),
            value: part.change,
            unit: "bytes",
            link: Some(EvidenceLink::Series(series.to_vec())),
        });
    }
    reply.series(&series)
}

fn no_profile(facts: &Facts<'_>, what: &'static str) -> Reply {
    if facts.is_go == Some(false) {
        let mut reply = Reply::new(Answer::Unknown, 0.0, "The main process is not a Go program.");
        reply.skipped_because = Some("not a Go program".to_owned());
        return reply;
    }
    let mut reply = Reply::new(Answer::Unknown, 0.0, "No two profiles are available to compare.");
    reply.missing = not_enough_data::missing(facts)
        .into_iter()
        .filter(|(name, _)| *name == what)
        .collect();
    reply
}

fn compared(reply: &mut Reply, profile_type: ProfileType, growth: &ProfileGrowth) {
    reply.diff = Some((profile_type, growth.base, growth.compare));
}

fn goroutines(facts: &Facts<'_>) -> Reply {
    let Some(growth) = &facts.goroutines else {
        return no_profile(facts, "goroutine_profile").series(&["goroutines"]);
    };
    let over = growth.span().as_secs_f64();
    let mut reply = match facts.goroutine_suspect() {
        Some(site) => Reply::new(
            Answer::Yes,
            certainty(over) * site.persistence.max(0.5),
            format!(
                "{:.0} more goroutines wait at {} than {} ago.",
                site.growth.estimate,
                format::place(&site.frame),
                format::duration(over)
            ),
        ),
        None => Reply::new(
            Answer::No,
            certainty(over),
            format!(
                "Their number changed by {:.0} to {:.0} in {}; no place holds more and more of them.",
                growth.total.estimate,
                growth.now,
                format::duration(over)
            ),
        ),
    };
    reply.evidence.push(Evidence {
        claim: "change of the number of goroutines".to_owned(),
        value: growth.total.estimate,
        unit: "goroutines",
        link: None,
    });
    compared(&mut reply, ProfileType::Goroutine, growth);
    reply.series(&["goroutines"])
}

fn live_heap(facts: &Facts<'_>) -> Reply {
    let Some(growth) = &facts.heap else {
        return no_profile(facts, "heap_profile").series(&["go_heap_live_bytes"]);
    };
    let over = growth.span().as_secs_f64();
    let numbers = format!(
        "live heap changed by {} (95 % interval {} to {}) to {} in {}",
        format::bytes(growth.total.estimate),
        format::bytes(growth.total.low),
        format::bytes(growth.total.high),
        format::bytes(growth.now),
        format::duration(over)
    );
    let mut reply = match facts.leaking_sites().next() {
        Some(site) if growth.total.estimate > 0.0 => Reply::new(
            Answer::Yes,
            certainty(over) * site.persistence.max(0.5),
            format!("{} retains more and more: {numbers}.", format::place(&site.frame)),
        ),
        _ if growth.observations < 3 => Reply::new(
            Answer::Unknown,
            0.3,
            format!("Only {} differing profiles so far: {numbers}.", growth.observations),
        ),
        _ => Reply::new(
            Answer::No,
            certainty(over),
            format!("No place in the code retains more and more: {numbers}."),
        ),
    };
    for site in facts.leaking_sites().take(5) {
        reply.evidence.push(Evidence {
            claim: format!("growth retained by {}", format::place(&site.frame)),
            value: site.growth.estimate,
            unit: "bytes",
            link: None,
        });
    }
    compared(&mut reply, ProfileType::Heap, growth);
    reply.series(&["go_heap_live_bytes"])
}

fn native(facts: &Facts<'_>) -> Reply {
    let series = ["anon_bytes", "go_heap_live_bytes"];
    if let Ok(claim) = judge::native(facts).or_else(|_| mapping_leak::examine(facts)) {
        let mut reply = Reply::new(Answer::Yes, claim.confidence, claim.summary).series(&series);
        reply.diff = claim.evidence.iter().find_map(|evidence| match evidence.link {
            Some(EvidenceLink::Diff {
                profile_type,
                base,
                compare,
            }) => Some((profile_type, base, compare)),
            _ => None,
        });
        reply.evidence = claim.evidence;
        return reply;
    }
    let points = window::series(facts.history, |point| point.anon.bytes());
    let Some((grew, _)) = trend::change(&points) else {
        return Reply::new(Answer::Unknown, 0.0, "Anonymous memory was not measured.").series(&series);
    };
    let span = facts.observed;
    if grew < crate::detect::facts::MATERIAL_BYTES {
        let mut reply = Reply::new(
            Answer::No,
            certainty(facts.observed),
            format!("Anonymous memory changed by {} only.", format::bytes(grew)),
        );
        reply.skipped_because = Some("anonymous memory does not grow".to_owned());
        return reply.series(&series);
    }
    if facts.is_go == Some(false) {
        let grew = format::bytes(grew);
        return if facts.motion == Motion::Growing {
            let why = format!("Anonymous memory grew by {grew} and goes on growing; the process has no Go heap.");
            Reply::new(Answer::Yes, 0.6, why).series(&series)
        } else {
            let why = format!("Anonymous memory grew by {grew}, but does not keep growing.");
            Reply::new(Answer::Unknown, 0.3, why).series(&series)
        };
    }
    if let Some(memory) = outside::growth(facts) {
        let told = format!(
            "anonymous memory grew by {} since the runtime's numbers were first read, {} of it beyond all that the Go runtime has mapped",
            format::bytes(memory.anonymous),
            format::bytes(memory.outside)
        );
        return if memory.is_within() {
            Reply::new(Answer::No, 0.8, format!("No: {told}.")).series(&series)
        } else if facts.motion == Motion::Growing {
            Reply::new(Answer::Yes, 0.7, format!("Yes: {told}.")).series(&series)
        } else {
            Reply::new(
                Answer::Unknown,
                0.3,
                format!("Not decided: {told}, but memory does not keep growing."),
            )
            .series(&series)
        };
    }
    let Some(heap) = &facts.heap else {
        if let Some(reply) = beyond_live_heap(facts, grew) {
            return reply.series(&series);
        }
        return Reply::new(
            Answer::Unknown,
            0.0,
            format!(
                "Anonymous memory grew by {}, but without heap profiles it cannot be split into Go heap and the rest.",
                format::bytes(grew)
            ),
        )
        .series(&series);
    };
    // Only the rates can be compared: the profile lags and starts at another instant.
    let with_garbage = facts
        .pacing
        .largest(heap.now)
        .map_or(1.0, |largest| largest / heap.now.max(1.0));
    let by_heap = heap.total.high.max(0.0) * with_garbage * (span / heap.span().as_secs_f64().max(1.0));
    let outside = grew - by_heap;
    let told = format!(
        "anonymous memory grew by {} and live heap with garbage headroom explains up to {}",
        format::bytes(grew),
        format::bytes(by_heap)
    );
    if outside <= crate::detect::facts::MATERIAL_BYTES {
        Reply::new(Answer::No, 0.8, format!("No: {told}.")).series(&series)
    } else if facts.motion == Motion::Growing && outside > grew / 2.0 && heap.span().as_secs_f64() > span / 2.0 {
        Reply::new(Answer::Yes, 0.6, format!("Probably: {told}.")).series(&series)
    } else {
        Reply::new(
            Answer::Unknown,
            0.3,
            format!("Not decided: {told}; the rest may be garbage."),
        )
        .series(&series)
    }
}

/// Profiles that do not differ say how large the live heap is all the same: with all its garbage it may be too small to explain the growth.
#[expect(
    clippy::cast_precision_loss,
    reason = "compared roughly; the rounding starts at 8 PiB"
)]
fn beyond_live_heap(facts: &Facts<'_>, grew: f64) -> Option<Reply> {
    let newest = window::snapshots(facts.history, ProfileType::Heap, facts.now).last()?;
    let explained = facts.pacing.largest(newest.total.inuse_space as f64)?;
    if facts.motion != Motion::Growing || grew < 2.0 * explained + crate::detect::facts::MATERIAL_BYTES {
        return None;
    }
    let why = format!(
        "Anonymous memory grew by {}, and all of the live heap with its garbage is {} at most.",
        format::bytes(grew),
        format::bytes(explained)
    );
    Some(Reply::new(Answer::Yes, 0.6, why))
}

fn other(verdict: &Verdict) -> Reply {
    let explains = matches!(verdict.class, VerdictClass::UndersizedLimit | VerdictClass::WarmUp);
    let because: Vec<String> = verdict
        .rejected
        .iter()
        .filter(|rejected| matches!(rejected.class, VerdictClass::UndersizedLimit | VerdictClass::WarmUp))
        .map(|rejected| format!("{}: {}", rejected.class.name(), rejected.because))
        .collect();
    if explains {
        return Reply::new(Answer::Yes, verdict.confidence, verdict.summary.clone());
    }
    let answer = if verdict.class == VerdictClass::NotEnoughData {
        Answer::Unknown
    } else {
        Answer::No
    };
    Reply::new(
        answer,
        verdict.confidence,
        format!("None that fits ({}).", because.join("; ")),
    )
}

fn conclusion(verdict: &Verdict) -> Reply {
    let answer = match verdict.class {
        class if class.is_leak() => Answer::Yes,
        VerdictClass::NotEnoughData => Answer::Unknown,
        _ => Answer::No,
    };
    let mut reply = Reply::new(answer, verdict.confidence, verdict.summary.clone());
    reply.evidence.clone_from(&verdict.evidence);
    reply.missing.clone_from(&verdict.missing);
    reply
}
