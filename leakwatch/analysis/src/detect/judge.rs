//! Picks the one answer among the detectors' claims. Must not look at raw data itself.

use crate::detect::Claim;
use crate::detect::Opinion;
use crate::detect::facts::Facts;
use crate::detect::go_heap_leak;
use crate::detect::goroutine_leak;
use crate::detect::mapping_leak;
use crate::detect::native_growth;
use crate::detect::native_leak;
use crate::detect::not_enough_data;
use crate::detect::stable;
use crate::detect::undersized_limit;
use crate::detect::warm_up;
use crate::format;
use crate::history::window;
use crate::model::investigation::Answer;
use crate::model::investigation::StepId;
use crate::model::profile::ProfileType;
use crate::model::units::Timestamp;
use crate::model::verdict::Rejected;
use crate::model::verdict::Verdict;
use crate::model::verdict::VerdictClass;
use std::collections::BTreeMap;

/// Below this a claim is not made: a wrong leak costs more than a late one.
const LEAST_CONFIDENCE: f64 = 0.7;
/// The same for leaks.
const LEAST_LEAK_CONFIDENCE: f64 = 0.9;
/// A leak that was claimed stays claimed from here on: new profiles that add nothing must not take an answer back.
const KEPT_LEAK_CONFIDENCE: f64 = 0.7;

/// Samples that are looked back to one by one for the claim.
const LOOK_BACK: usize = 24;

/// Answers of a person by step.
pub type Overrides = BTreeMap<StepId, Answer>;

/// In order of precedence: root causes first, then what would explain growth, then its absence.
pub fn opinions(facts: &Facts<'_>) -> Vec<(VerdictClass, Opinion)> {
    vec![
        (VerdictClass::GoroutineLeak, goroutine_leak::examine(facts)),
        (VerdictClass::GoHeapLeak, go_heap_leak::examine(facts)),
        (VerdictClass::NativeLeak, native(facts)),
        (VerdictClass::MappingLeak, mapping_leak::examine(facts)),
        (VerdictClass::UndersizedLimit, undersized_limit::examine(facts)),
        (VerdictClass::WarmUp, warm_up::examine(facts)),
        (VerdictClass::Stable, stable::examine(facts)),
    ]
}

/// By the calls of the allocator; where these do not explain it, and mappings do not either, by the pages that were touched.
pub fn native(facts: &Facts<'_>) -> Opinion {
    native_leak::examine(facts).or_else(|because| {
        if mapping_leak::examine(facts).is_ok() {
            return Err(because);
        }
        native_growth::examine(facts).map_err(|by_pages| format!("{because}; {by_pages}"))
    })
}

/// The verdict.
pub fn judge(facts: &Facts<'_>, overrides: &Overrides) -> Verdict {
    let mut chosen: Option<Claim> = None;
    let mut rejected = Vec::new();
    for (class, opinion) in opinions(facts) {
        let because = match (opinion, vetoed(class, overrides), &chosen) {
            (_, Some(because), _) | (Err(because), None, _) => because,
            (Ok(claim), None, None) if claim.confidence >= least(class, facts.dying) || wanted(class, overrides) => {
                chosen = Some(claim);
                continue;
            }
            (Ok(claim), None, None) => {
                let doubtful = format!("so far only {} sure", format::percent(claim.confidence));
                chosen = kept(facts, &claim);
                if chosen.is_some() {
                    continue;
                }
                doubtful
            }
            (Ok(_), None, Some(better)) => format!("{} explains it", better.class.name()),
        };
        rejected.push(Rejected { class, because });
    }
    let claim = chosen.unwrap_or_else(|| not_enough_data::examine(facts));
    Verdict {
        class: claim.class,
        confidence: claim.confidence,
        summary: claim.summary,
        since: claim.since,
        growth_bytes_per_second: facts.growth_rate(),
        time_to_limit: facts.time_to_limit,
        culprit: claim.culprit,
        evidence: claim.evidence,
        rejected,
        advice: claim.advice,
        recommended_limit: claim.recommended_limit,
        would_change_our_mind: claim.would_change_our_mind,
        missing: not_enough_data::missing(facts),
    }
}

/// The claim of a leak at the same place that was made earlier in this life and never became doubtful since, as it stands now.
fn kept(facts: &Facts<'_>, claim: &Claim) -> Option<Claim> {
    let examine = match claim.class {
        VerdictClass::GoHeapLeak => go_heap_leak::examine,
        VerdictClass::GoroutineLeak => goroutine_leak::examine,
        VerdictClass::NativeLeak => native,
        VerdictClass::MappingLeak => mapping_leak::examine,
        _ => return None,
    };
    let profile_type = match claim.class {
        VerdictClass::GoHeapLeak => ProfileType::Heap,
        VerdictClass::NativeLeak => ProfileType::Native,
        _ => ProfileType::Goroutine,
    };
    let place = |claim: &Claim| Some(std::sync::Arc::clone(&claim.culprit.as_ref()?.frame.function));
    // The instant itself first, then the last samples, then the profiles before them, all that are kept: between those hardly
    // anything is learned.
    let samples = facts.history.window().iter().rev().map(|point| point.at);
    let mut instants: Vec<Timestamp> = std::iter::once(facts.now)
        .chain(samples.filter(|at| *at < facts.now))
        .take(LOOK_BACK)
        .collect();
    let oldest = instants.last().copied().unwrap_or(facts.now);
    let profiles: Vec<Timestamp> = window::snapshots(facts.history, profile_type, oldest)
        .map(|snapshot| snapshot.at)
        .filter(|at| *at < oldest)
        .collect();
    instants.extend(profiles.into_iter().rev());
    let mut standing = None;
    for at in instants {
        let mut then = Facts::gather(facts.history, facts.replicas, at);
        if examine(&then).is_ok_and(|before| before.confidence >= LEAST_LEAK_CONFIDENCE) {
            return standing;
        }
        then.lenient = true;
        let before = examine(&then)
            .ok()
            .filter(|before| before.confidence >= KEPT_LEAK_CONFIDENCE && place(before) == place(claim))?;
        standing.get_or_insert(before);
    }
    None
}

/// After a kill nothing more can be learned: the likeliest explanation is given with the doubt that is left.
const fn least(class: VerdictClass, dying: bool) -> f64 {
    if class.is_leak() && !dying {
        LEAST_LEAK_CONFIDENCE
    } else {
        LEAST_CONFIDENCE
    }
}

/// Why a person's answer excludes a class.
fn vetoed(class: VerdictClass, overrides: &Overrides) -> Option<String> {
    let steps: &[(StepId, Answer)] = match class {
        VerdictClass::GoHeapLeak => &[(StepId::LiveHeap, Answer::No), (StepId::Memory, Answer::No)],
        VerdictClass::GoroutineLeak => &[(StepId::Goroutines, Answer::No), (StepId::Memory, Answer::No)],
        VerdictClass::NativeLeak | VerdictClass::MappingLeak => {
            &[(StepId::Native, Answer::No), (StepId::Memory, Answer::No)]
        }
        VerdictClass::UndersizedLimit | VerdictClass::WarmUp => &[(StepId::Other, Answer::No)],
        VerdictClass::Stable => &[
            (StepId::Memory, Answer::Yes),
            (StepId::LiveHeap, Answer::Yes),
            (StepId::Goroutines, Answer::Yes),
        ],
        VerdictClass::NotEnoughData => &[],
    };
    steps
        .iter()
        .find(|(step, answer)| overrides.get(step) == Some(answer))
        .map(|(step, _)| format!("overruled by the answer to the step {}", step.name()))
}

/// Whether a person's answer asks for a class.
fn wanted(class: VerdictClass, overrides: &Overrides) -> bool {
    match class {
        VerdictClass::GoHeapLeak => overrides.get(&StepId::LiveHeap) == Some(&Answer::Yes),
        VerdictClass::GoroutineLeak => overrides.get(&StepId::Goroutines) == Some(&Answer::Yes),
        VerdictClass::NativeLeak | VerdictClass::MappingLeak => overrides.get(&StepId::Native) == Some(&Answer::Yes),
        _ => false,
    }
}
