//! What was found stays found until it is contradicted: new profiles that add nothing must not take an answer back. For the place that
//! grows the question is asked again as of earlier instants, from the same history; a claim is remembered with the run. See `docs/detectors/confidence.md`.

use crate::detect::facts::Facts;
use crate::detect::finding::Finding;
use crate::detect::table::Detector;
use crate::history::Claim;
use crate::history::window;
use crate::model::units::Timestamp;
use crate::odds::LeakOdds;
use std::sync::Arc;

/// A claim of this run and place stands while the probability is no smaller.
const STANDS: f64 = 0.5;

/// Whether a leak that was claimed before at the place stands.
pub(super) fn stands(facts: &Facts<'_>, found: &Finding, odds: &LeakOdds) -> bool {
    let main = facts.history.main_process().map(|record| record.process.key);
    let claim = facts.history.claim.as_ref();
    let is_same = |claim: &&Claim| {
        let culprit = found.culprit.as_ref();
        Some(claim.process) == main && culprit.is_some_and(|culprit| culprit.frame.function == claim.function)
    };
    odds.probability >= STANDS && claim.as_ref().is_some_and(is_same)
}

/// Samples that are looked back to one by one.
const LOOK_BACK: usize = 24;

/// The finding of the same call site that once reached its least confidence in this run and never became doubtful since, as it stands now.
pub(super) fn standing(facts: &Facts<'_>, detector: &Detector, finding: &Finding) -> Option<Finding> {
    let stays_from = detector.stays_from?;
    let call_site = |finding: &Finding| Some(Arc::clone(&finding.culprit.as_ref()?.frame.function));
    let mut standing = None;
    for at in instants(facts, detector) {
        let mut then = Facts::of(facts.history, facts.replicas, at);
        if (detector.examine)(&then).is_ok_and(|before| before.confidence >= detector.least_confidence) {
            return standing;
        }
        then.lenient = true;
        let before = (detector.examine)(&then)
            .ok()
            .filter(|before| before.confidence >= stays_from && call_site(before) == call_site(finding))?;
        standing.get_or_insert(before);
    }
    None
}

/// The instant itself first, then the last samples, then the profiles before them, all that are kept: between those hardly
/// anything is learned.
fn instants(facts: &Facts<'_>, detector: &Detector) -> Vec<Timestamp> {
    let samples = facts.history.window().iter().rev().map(|point| point.at);
    let mut instants: Vec<Timestamp> = std::iter::once(facts.now)
        .chain(samples.filter(|at| *at < facts.now))
        .take(LOOK_BACK)
        .collect();
    let oldest = instants.last().copied().unwrap_or(facts.now);
    let profiles = detector.profile.into_iter();
    let profiles = profiles.flat_map(|profile_type| window::snapshots(facts.history, profile_type, oldest));
    let before: Vec<Timestamp> = profiles.map(|snapshot| snapshot.at).filter(|at| *at < oldest).collect();
    instants.extend(before.into_iter().rev());
    instants
}
