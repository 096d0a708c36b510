//! Step 5: whether memory outside the Go heap grows.

use crate::detect::facts::Facts;
use crate::detect::finding::Finding;
use crate::detect::table::DETECTORS;
use crate::format;
use crate::history::window;
use crate::investigate::steps::reply::Reply;
use crate::investigate::steps::reply::StepRow;
use crate::measure::go_memory::AnonymousGrowth;
use crate::measure::motion::MATERIAL_BYTES;
use crate::measure::site_trend::ProfileTrend;
use crate::model::investigation::Answer;
use crate::model::investigation::StepId;
use crate::model::profile::ProfileType;
use crate::model::verdict::EvidenceLink;
use crate::model::verdict::Verdict;
use crate::stats::trend;

pub(super) const STEP: StepRow = StepRow {
    id: StepId::Native,
    question: "Is memory outside the Go heap growing?",
    explanation: "Memory outside the Go heap - C libraries called through cgo, memory mapped by hand, thread stacks, runtime metadata - \
             is anonymous too but in no Go profile. It shows as anonymous memory that grows while the live heap and its garbage \
             headroom do not.",
    answer,
};

fn answer(facts: &Facts<'_>, _: &Verdict) -> Reply {
    let reply = match found(facts) {
        Some(finding) => by_finding(finding),
        None => by_memory(facts),
    };
    reply.series(&["anon_bytes", "go_heap_live_bytes"])
}

/// What the first of the detectors found that examine memory outside the Go heap.
fn found(facts: &Facts<'_>) -> Option<Finding> {
    let mut detectors = DETECTORS.iter().filter(|detector| detector.step == StepId::Native);
    detectors.find_map(|detector| (detector.examine)(facts).ok())
}

fn by_finding(finding: Finding) -> Reply {
    let mut reply = Reply::new(Answer::Yes, finding.confidence, finding.summary);
    reply.diff = finding.evidence.iter().find_map(|evidence| match evidence.link {
        Some(EvidenceLink::Diff {
            profile_type,
            base,
            compare,
        }) => Some((profile_type, base, compare)),
        _ => None,
    });
    reply.evidence = finding.evidence;
    reply
}

fn by_memory(facts: &Facts<'_>) -> Reply {
    let points = window::series(facts.history, |point| point.anon.bytes());
    let Some((grew, _)) = trend::change(&points) else {
        return Reply::new(Answer::Unknown, 0.0, "Anonymous memory was not measured.");
    };
    if grew < MATERIAL_BYTES {
        let mut reply = Reply::new(
            Answer::No,
            Reply::certainty(facts.memory.observed),
            format!("Anonymous memory changed by {} only.", format::bytes(grew)),
        );
        reply.skipped_because = Some("anonymous memory does not grow".to_owned());
        return reply;
    }
    if facts.is_go == Some(false) {
        let grew = format::bytes(grew);
        return if facts.memory.grows() {
            let why = format!("Anonymous memory grew by {grew} and goes on growing; the process has no Go heap.");
            Reply::new(Answer::Yes, 0.6, why)
        } else {
            let why = format!("Anonymous memory grew by {grew}, but does not keep growing.");
            Reply::new(Answer::Unknown, 0.3, why)
        };
    }
    if let Some(growth) = AnonymousGrowth::of(facts.history, facts.now) {
        return by_runtime(facts, growth);
    }
    if let Some(heap) = facts.trend(ProfileType::Heap) {
        return by_live_heap(facts, heap, grew);
    }
    let told = beyond_live_heap(facts, grew);
    told.unwrap_or_else(|| {
        let grew = format::bytes(grew);
        Reply::new(
            Answer::Unknown,
            0.0,
            format!("Anonymous memory grew by {grew}, but without heap profiles it cannot be split into Go heap and the rest."),
        )
    })
}

/// The runtime says how much memory it has mapped.
fn by_runtime(facts: &Facts<'_>, growth: AnonymousGrowth) -> Reply {
    let told = format!(
        "anonymous memory grew by {} since the runtime's numbers were first read, {} of it beyond all that the Go runtime has mapped",
        format::bytes(growth.anonymous),
        format::bytes(growth.outside_of_runtime)
    );
    if growth.is_held_by_runtime() {
        Reply::new(Answer::No, 0.8, format!("No: {told}."))
    } else if facts.memory.grows() {
        Reply::new(Answer::Yes, 0.7, format!("Yes: {told}."))
    } else {
        let why = format!("Not decided: {told}, but memory does not keep growing.");
        Reply::new(Answer::Unknown, 0.3, why)
    }
}

/// Live heap and its garbage explain a part of the growth. Only the rates can be compared: the profile lags and starts at another instant.
fn by_live_heap(facts: &Facts<'_>, heap: &ProfileTrend, grew: f64) -> Reply {
    let span = facts.memory.observed;
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
    if outside <= MATERIAL_BYTES {
        Reply::new(Answer::No, 0.8, format!("No: {told}."))
    } else if facts.memory.grows() && outside > grew / 2.0 && heap.span().as_secs_f64() > span / 2.0 {
        Reply::new(Answer::Yes, 0.6, format!("Probably: {told}."))
    } else {
        Reply::new(
            Answer::Unknown,
            0.3,
            format!("Not decided: {told}; the rest may be garbage."),
        )
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
    if !facts.memory.grows() || grew < 2.0 * explained + MATERIAL_BYTES {
        return None;
    }
    let why = format!(
        "Anonymous memory grew by {}, and all of the live heap with its garbage is {} at most.",
        format::bytes(grew),
        format::bytes(explained)
    );
    Some(Reply::new(Answer::Yes, 0.6, why))
}
