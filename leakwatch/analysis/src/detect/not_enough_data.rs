//! What to say while the data does not decide: what is missing, and when it will be enough. See `docs/detectors/not_enough_data.md`.

use crate::detect::facts::Facts;
use crate::detect::finding::Finding;
use crate::detect::headroom;
use crate::detect::outside;
use crate::detect::tmpfs;
use crate::format;
use crate::history::window;
use crate::measure::charge;
use crate::measure::live_heap::LiveHeapGrowth;
use crate::model::profile::ProfileType;
use crate::model::reading::Missing;
use crate::model::reading::MissingReason;
use crate::model::verdict::Evidence;
use crate::model::verdict::EvidenceLink;
use crate::model::verdict::VerdictClass;
use std::collections::BTreeSet;

/// The class.
pub const CLASS: VerdictClass = VerdictClass::open("not_enough_data");

/// Every detector can answer after this time of samples and profiles.
const ENOUGH_SECONDS: f64 = 60.0;

/// Always finds something to say.
pub fn examine(facts: &Facts<'_>) -> Finding {
    let wait = (ENOUGH_SECONDS - facts.memory.observed).max(0.0);
    let growing = facts.memory.grows();
    let rate = facts.growth_rate().unwrap_or(0.0);
    let elsewhere = charge::growing_outside_of_heaps(facts.history).filter(|_| growing || facts.dying);
    let summary = if facts.memory.trend.is_none() {
        format!(
            "Too few samples yet; about {} more are needed.",
            format::duration(wait.max(10.0))
        )
    } else if let Some(part) = elsewhere {
        outside::grows(facts, &part)
    } else if facts.dying || facts.runs().are_recent(facts.now) {
        let kills = facts.runs().killed + usize::from(facts.dying);
        let after = if facts.runs().is_empty() {
            facts.age()
        } else {
            facts.runs().typical_seconds
        };
        format!(
            "Killed for lack of memory {}, after about {}: too short to tell a leak from a limit that is too small.",
            format::times(kills),
            format::duration(after)
        )
    } else if headroom::is_cut_off(facts) {
        "It grew until the limit stopped it: whether it leaks or needs more room is not decided.".to_owned()
    } else if let Some(heap) = unseen_live_heap(facts).filter(|_| growing) {
        heap
    } else if growing && facts.is_go == Some(true) && lacks_heap_profile(facts) {
        format!(
            "Memory grows by {}, but no heap profile is available to say what grows: it may be live heap, garbage or memory outside the Go heap.",
            format::rate(rate)
        )
    } else if growing && facts.is_go == Some(false) {
        format!(
            "Memory grows by {} in a program that is not Go; what grows inside it cannot be told yet.",
            format::rate(rate)
        )
    } else if growing {
        format!(
            "Memory grows by {}; whether it will stop is not decided yet.",
            format::rate(rate)
        )
    } else {
        format!(
            "Watched for {}: not decided yet.",
            format::duration(facts.memory.observed)
        )
    };
    let mut advice = fixes(facts);
    if let Some(part) = elsewhere {
        advice.push(
            if part.name == "shmem" {
                tmpfs::ADVICE
            } else {
                "Look at open sockets, files and processes: `kernel_stack`, `pagetables`, `sock` and `slab` of memory.stat say which of them it is."
            }
            .to_owned(),
        );
    } else if facts.dying || facts.runs().are_recent(facts.now) || headroom::is_cut_off(facts) {
        advice.push(
            "Double the limit once: a program that leaks runs about twice as long and is killed again, a need settles below it."
                .to_owned(),
        );
    }
    // Of one that is gone nothing more will be known.
    if wait > 0.0 && !facts.dying {
        advice.push(format!("Wait about {} more.", format::duration(wait)));
    } else if !facts.dying && facts.thrashing().is_none() {
        advice.push("Wait: the answer comes as soon as the growth lasts or ends.".to_owned());
    }
    Finding {
        confidence: 0.5,
        summary,
        since: facts.history.window_start,
        culprit: None,
        evidence: vec![Evidence {
            claim: format!(
                "{} of samples in the current window",
                format::duration(facts.memory.observed)
            ),
            value: facts.memory.observed,
            unit: "seconds",
            weight: None,
            link: Some(EvidenceLink::Series(vec!["unreclaimable_bytes"])),
        }],
        advice,
        recommended_limit: None,
        would_change_our_mind: vec!["more samples and profiles".to_owned()],
    }
}

/// What mends the profiles that are missing.
pub(super) fn fixes(facts: &Facts<'_>) -> Vec<String> {
    // One endpoint serves several types of profile.
    let mut told = BTreeSet::new();
    // Where it is the live heap that grows, no other profile would show it.
    let heap_alone = unseen_live_heap(facts).is_some();
    let fixes = missing(facts)
        .into_iter()
        .filter(|(what, _)| !heap_alone || *what == "heap_profile")
        .filter_map(|(_, missing)| missing.fix);
    fixes.filter(|fix| told.insert(fix.clone())).collect()
}

/// Whether there is nothing that could tell what is on the heap.
pub(super) fn lacks_heap_profile(facts: &Facts<'_>) -> bool {
    missing(facts).iter().any(|(what, _)| *what == "heap_profile")
}

/// That the live heap of a Go program grows, by the runtime's own count, where no profile tells at which places.
pub fn unseen_live_heap(facts: &Facts<'_>) -> Option<String> {
    let missing = missing(facts).into_iter().find(|(what, _)| *what == "heap_profile")?.1;
    let heap = LiveHeapGrowth::of(facts.history, facts.now).filter(|_| facts.is_go == Some(true))?;
    let goal = heap
        .goal
        .map_or_else(String::new, |goal| format!("; it may become {goal} before the next"));
    Some(format!(
        "The live Go heap grows: {} in {}, by what {} collections left{goal}. Its places are not known: {}.",
        format::change(heap.before, heap.now, format::bytes),
        format::duration(heap.seconds),
        heap.collections,
        missing.detail
    ))
}

/// Data that could not be read.
pub fn missing(facts: &Facts<'_>) -> Vec<(&'static str, Missing)> {
    let mut missing = Vec::new();
    if facts.is_go != Some(false) {
        for (name, profile_type, there) in [
            (
                "heap_profile",
                ProfileType::Heap,
                facts.trend(ProfileType::Heap).is_some(),
            ),
            (
                "goroutine_profile",
                ProfileType::Goroutine,
                facts.trend(ProfileType::Goroutine).is_some(),
            ),
        ] {
            if !there {
                let reason = facts.history.no_profile(profile_type).cloned();
                missing.push((name, reason.unwrap_or_else(|| default_reason(facts, profile_type))));
            }
        }
    }
    // A capture was tried, and failed.
    if facts.trend(ProfileType::Native).is_none()
        && let Some(reason) = facts.history.no_profile(ProfileType::Native)
    {
        missing.push(("native_profile", reason.clone()));
    }
    if let Err(reason) = &facts.history.newest {
        missing.push(("memory", reason.clone()));
    }
    missing
}

fn default_reason(facts: &Facts<'_>, profile_type: ProfileType) -> Missing {
    let seen = window::snapshots(facts.history, profile_type, facts.now).count();
    if seen > 0 {
        return Missing::new(
            MissingReason::NotYet,
            format!("{seen} {} profile(s) so far, none of them differs", profile_type.name()),
        );
    }
    let missing = Missing::new(
        MissingReason::NotConfigured,
        format!("no {} profile of this target was collected", profile_type.name()),
    );
    if facts.is_go.is_none() {
        // What mends it depends on what it is.
        return missing;
    }
    missing.with_fix(
        "let its memory be read (go.outside = true), or serve net/http/pprof in the program and add a [[go.endpoint]] for it",
    )
}
