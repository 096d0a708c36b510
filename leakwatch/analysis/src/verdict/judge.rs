//! Picks the one answer. Two questions are kept apart: what grows, told by the detectors of leaks as soon as they are sure of it, and
//! whether it ends by itself, told by `odds`. Only when that is unlikely enough is what grows called a leak. Must not read raw data itself.

use crate::detect::facts::Facts;
use crate::detect::finding::Finding;
use crate::detect::growing;
use crate::detect::load_driven;
use crate::detect::not_enough_data;
use crate::detect::stable;
use crate::detect::table::DETECTORS;
use crate::detect::table::Detector;
use crate::detect::table::UNDECIDED;
use crate::format;
use crate::history::Claim;
use crate::measure::site_trend;
use crate::model::profile::ProfileType;
use crate::model::reading::Missing;
use crate::model::reading::MissingReason;
use crate::model::verdict::Evidence;
use crate::model::verdict::Rejected;
use crate::model::verdict::Verdict;
use crate::model::verdict::VerdictClass;
use crate::odds;
use crate::odds::Family;
use crate::odds::Growth;
use crate::odds::LeakOdds;
use crate::verdict::answers;
use crate::verdict::answers::Answers;
use crate::verdict::deciding;
use crate::verdict::hysteresis;
use crate::verdict::limit;
use crate::verdict::need;
use crate::verdict::thrashing;

/// The part of a heap that is nearly all of it: as of a place that grew in bursts (`docs/detectors/confidence.md`).
const NEARLY_ALL: f64 = 0.7;

/// What grows, and the detector that found its place.
type Place = (&'static Detector, Finding);

/// The verdict.
pub fn judge(facts: &Facts<'_>, given: &Answers) -> Verdict {
    let mut rejected = Vec::new();
    let mut place = what_grows(facts, given, &mut rejected);
    let claimed = hysteresis::claim(facts, given);
    let standing = claimed.as_ref().filter(|(.., against)| against.is_none());
    if let Some((claim, detector, _)) = standing
        && !place.as_ref().is_some_and(|(_, found)| is_at(found, claim))
    {
        rejected.retain(|rejected| rejected.class != detector.class);
        place = Some((*detector, hysteresis::recalled(facts, claim)));
    }
    let growth = Growth::of(facts, place.as_ref().map(|(detector, found)| (found, detector.profile)));
    let is_asked_for = |place: &Place| answers::ask_for(given, place.0);
    let person = place.as_ref().is_some_and(is_asked_for);
    let odds = odds::weigh(facts, &growth, person, standing.map(|(claim, ..)| *claim));
    let stands = standing.is_some() && hysteresis::stands(&odds);
    let claim = place.as_ref().filter(|_| odds.is_claim || stands);
    let (class, mut finding) = match claim {
        Some((detector, found)) => {
            rejected.extend(explained(detector.class));
            let mut claimed = found.clone();
            claimed.confidence = odds.probability;
            (detector.class, claimed)
        }
        None => otherwise(facts, given, place.as_ref(), &odds, &mut rejected),
    };
    if !class.is_leak() && !is_undecided(class) {
        // Whatever is not a leak is at most as likely as that it is none.
        finding.confidence = finding.confidence.min(1.0 - odds.probability);
    }
    if growth.is_known {
        finding.evidence.extend(odds.rows.iter().map(odds::OddsRow::evidence));
    }
    thrashing::tell(facts, &mut finding);
    let is_growth = class.is_leak() || is_undecided(class);
    let forecast = facts
        .time_to_limit()
        .filter(|_| is_growth || class == not_enough_data::CLASS)
        .filter(|_| facts.growth_rate().is_some_and(|rate| rate > 0.0));
    let rate = match class {
        stable::CLASS => Some(0.0),
        _ if forecast.is_some() => facts.growth_rate(),
        _ => facts.memory.growth_rate(),
    };
    let since = facts.memory.since().filter(|_| is_growth && facts.memory.grows());
    let mut verdict = Verdict {
        class,
        confidence: finding.confidence,
        leak_probability: odds.probability,
        limit_probability: limit::probability(facts, odds.probability, facts.time_to_limit()),
        decided_by: if is_undecided(class) {
            deciding::decided_by(facts, &growth, &odds)
        } else {
            Vec::new()
        },
        explains_share_of_need: need::explained_share(facts, &growth, place.as_ref().map(|(_, found)| found)),
        summary: finding.summary,
        since: since.unwrap_or(finding.since),
        growth_bytes_per_second: rate,
        time_to_limit: forecast,
        profile: place.as_ref().and_then(|(detector, _)| detector.profile),
        culprit: finding.culprit,
        evidence: finding.evidence,
        rejected,
        advice: finding.advice,
        recommended_limit: finding.recommended_limit,
        would_change_our_mind: finding.would_change_our_mind,
        missing: not_enough_data::missing(facts),
    };
    if facts.dying {
        verdict.without_future(&Missing::new(MissingReason::Gone, "it was killed for lack of memory"));
    }
    verdict
}

/// Whether a finding is about the place that was claimed.
fn is_at(found: &Finding, claim: &Claim) -> bool {
    let culprit = found.culprit.as_ref();
    culprit.is_some_and(|culprit| culprit.frame.function == claim.culprit.frame.function)
}

/// The first place, in order of precedence, that surely grows, or that a person names.
fn what_grows(facts: &Facts<'_>, given: &Answers, rejected: &mut Vec<Rejected>) -> Option<Place> {
    let mut place: Option<Place> = None;
    for detector in DETECTORS.iter().filter(|detector| detector.class.is_leak()) {
        let class = detector.class;
        let because = match ((detector.examine)(facts), answers::exclude(given, detector), &place) {
            (_, Some(because), _) | (Err(because), None, _) => because,
            (Ok(_), None, Some((better, _))) => format!("{} explains it", better.class.words()),
            (Ok(finding), None, None) => {
                let is_sure = finding.confidence >= detector.least_confidence(facts.dying);
                let doubtful = format!(
                    "it is only {} sure so far that it grows",
                    format::percent(finding.confidence)
                );
                let found = if is_sure || answers::ask_for(given, detector) {
                    Some(finding)
                } else {
                    hysteresis::standing(facts, detector, &finding)
                };
                if let Some(finding) = found {
                    place = Some((detector, finding));
                    continue;
                }
                doubtful
            }
        };
        rejected.push(Rejected {
            class,
            because,
            checked: can_be_checked(facts, detector),
        });
    }
    place
}

/// Whether there is what a detector looks at.
fn can_be_checked(facts: &Facts<'_>, detector: &Detector) -> bool {
    match detector.profile {
        // A growth capture takes the place of the calls of the allocator.
        Some(ProfileType::Native) => [ProfileType::Native, ProfileType::Growth]
            .into_iter()
            .any(|profile| facts.trend(profile).is_some()),
        Some(profile) => facts.trend(profile).is_some() || facts.trend_before(profile).is_some(),
        None => facts.memory.trend.is_some(),
    }
}

/// Why the classes that are no leaks were not asked.
fn explained(by: VerdictClass) -> impl Iterator<Item = Rejected> {
    let others = DETECTORS.iter().filter(|detector| !detector.class.is_leak());
    others.map(move |detector| Rejected {
        class: detector.class,
        because: format!("{} explains it", by.words()),
        checked: false,
    })
}

/// The answer when no leak is claimed.
fn otherwise(
    facts: &Facts<'_>,
    given: &Answers,
    place: Option<&Place>,
    odds: &LeakOdds,
    rejected: &mut Vec<Rejected>,
) -> (VerdictClass, Finding) {
    if let Some((detector, _)) = place {
        rejected.push(Rejected {
            class: detector.class,
            because: format!(
                "that it does not end by itself is {} likely so far, or too little speaks for it",
                format::percent(odds.probability)
            ),
            checked: true,
        });
    }
    let mut chosen: Option<(VerdictClass, Finding)> = None;
    for detector in DETECTORS.iter().filter(|detector| !detector.class.is_leak()) {
        let class = detector.class;
        let examined = match place {
            Some((_, found)) if class == growing::CLASS => Ok(undecided(found, odds)),
            Some((detector, _)) if is_undecided(class) => Err(format!("{} explains it", detector.class.words())),
            Some(_) if class == load_driven::CLASS && odds.weight(Family::Load) >= 0.0 => {
                Err("the place that grows does not fall with the load".to_owned())
            }
            _ => (detector.examine)(facts),
        };
        let because = match (examined, answers::exclude(given, detector), &chosen) {
            (_, Some(because), _) | (Err(because), None, _) => because,
            (Ok(finding), None, Some((better, _)))
                if hysteresis::stays(facts, detector, *better) && finding.confidence >= detector.least_confidence =>
            {
                let because = format!("{} was told before and explains it as well", class.words());
                rejected.push(Rejected {
                    class: *better,
                    because,
                    checked: true,
                });
                chosen = Some((class, finding));
                continue;
            }
            (Ok(_), None, Some((better, _))) => format!("{} explains it", better.words()),
            (Ok(finding), None, None)
                if finding.confidence >= detector.least_confidence(facts.dying)
                    || class == growing::CLASS && place.is_some() =>
            {
                chosen = Some((class, finding));
                continue;
            }
            (Ok(finding), None, None) => {
                format!("its confidence is only {} so far", format::percent(finding.confidence))
            }
        };
        rejected.push(Rejected {
            class,
            because,
            checked: can_be_checked(facts, detector),
        });
    }
    let (class, mut finding) = chosen.unwrap_or_else(|| (not_enough_data::CLASS, not_enough_data::examine(facts)));
    if class != stable::CLASS && finding.culprit.is_none() && finding.recommended_limit.is_none() {
        finding.culprit = place.and_then(|(_, found)| found.culprit.clone());
    }
    if class == not_enough_data::CLASS && finding.culprit.is_none() && facts.dying {
        name_holder(facts, &mut finding);
    }
    (class, finding)
}

/// Whoever holds nearly all of a heap when its process is killed is worth a look, whatever it is.
fn name_holder(facts: &Facts<'_>, finding: &mut Finding) {
    let Some(heap) = facts.trend(ProfileType::Heap) else {
        return;
    };
    let largest = heap.sites.iter().max_by(|a, b| a.now.total_cmp(&b.now));
    let Some(site) = largest.filter(|site| site.now >= heap.now * NEARLY_ALL && site.now > 0.0) else {
        return;
    };
    finding.evidence.push(Evidence {
        claim: format!(
            "{} held {} of the {} of live heap at the last collection before the kill",
            format::call_site(&site.frame),
            format::bytes(site.now),
            format::bytes(heap.now)
        ),
        value: site.now,
        unit: "bytes",
        weight: None,
        link: None,
    });
    finding.culprit = Some(site_trend::culprit(facts.history, heap, site));
}

/// Whether the class says that something grows, and not whether it ends.
fn is_undecided(class: VerdictClass) -> bool {
    UNDECIDED.contains(&class)
}

/// What grows at a place, while it is not decided whether it ends.
fn undecided(found: &Finding, odds: &LeakOdds) -> Finding {
    let mut finding = found.clone();
    finding.summary = format!(
        "{} Whether it ends by itself is not decided: a leak is {} likely.",
        found.summary,
        format::percent(odds.probability)
    );
    finding
}
