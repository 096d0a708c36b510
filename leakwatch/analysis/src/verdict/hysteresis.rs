//! What was found stays found until it is contradicted: new profiles that add nothing must not take an answer back. For the place that
//! grows the question is asked again as of earlier instants, from the same history; a claim is remembered with the run. See `docs/detectors/confidence.md`.

use crate::detect::facts::Facts;
use crate::detect::finding::Finding;
use crate::detect::table::DETECTORS;
use crate::detect::table::Detector;
use crate::format;
use crate::history::Claim;
use crate::history::window;
use crate::measure::motion::Motion;
use crate::model::profile::ProfileType;
use crate::model::run::RunEnd;
use crate::model::units::Timestamp;
use crate::model::verdict::VerdictClass;
use crate::odds;
use crate::odds::LeakOdds;
use crate::verdict::answers;
use crate::verdict::answers::Answers;
use std::sync::Arc;

/// A claim of this run and place stands while the probability is no smaller.
const STANDS: f64 = 0.5;
/// What was claimed of a run that was killed holds for the next one until that is this much older, and longer while it grows.
const LIKE_BEFORE: f64 = 1.5;

/// The leak that was claimed of this run, unless something refutes it or a person excludes it; if so, why.
pub(super) fn claim<'a>(facts: &Facts<'a>, given: &Answers) -> Option<(&'a Claim, &'static Detector, Option<String>)> {
    let claim = facts.history.claim.as_ref()?;
    let detector = DETECTORS.iter().find(|detector| detector.class == claim.class)?;
    let is_of_run = Some(claim.process) == facts.history.main_or_last();
    let is_before = killed_after(facts, claim).is_some_and(|seconds| {
        let goes_on = matches!(facts.memory.motion, Motion::Growing | Motion::Unclear);
        facts.age() <= seconds * LIKE_BEFORE || goes_on
    });
    (claim.at <= facts.now && (is_of_run || is_before)).then(|| {
        let refuted = || odds::refuted(facts, claim).filter(|_| is_of_run);
        let against = answers::exclude(given, detector).or_else(refuted);
        (claim, detector, against)
    })
}

/// Seconds after which the run that a claim is about was killed for lack of memory, for as much as there is room now; none where it was not, or
/// where something else runs now.
fn killed_after(facts: &Facts<'_>, claim: &Claim) -> Option<f64> {
    let main = facts.history.main_process()?;
    let run = facts
        .history
        .past_runs
        .iter()
        .rev()
        .find(|run| run.process == claim.process)?;
    let (ended, RunEnd::OomKill) = run.ended? else {
        return None;
    };
    let before = facts.history.processes.get(&claim.process);
    if before.is_some_and(|before| before.process.exe.is_ok() && before.process.exe != main.process.exe) {
        return None;
    }
    let more_room = match (run.limit.bytes(), facts.limit) {
        (Some(then), Some(now)) => (now.as_f64() / then.as_f64().max(1.0)).max(1.0),
        _ => 1.0,
    };
    Some(ended.since(run.started_at).as_secs_f64() * more_room)
}

/// Whether the probability is enough for a claim to stand.
pub(super) fn stands(odds: &LeakOdds) -> bool {
    odds.probability >= STANDS
}

/// What was claimed, when the profiles of now do not show it by themselves.
pub(super) fn recalled(facts: &Facts<'_>, claim: &Claim) -> Finding {
    let place = format::call_site(&claim.culprit.frame);
    let (growth, what) = match claim.profile {
        Some(ProfileType::Goroutine | ProfileType::GoroutineLeak) => {
            (format!("{:.0} goroutines", claim.culprit.growth.estimate), "piled up")
        }
        _ => (format::bytes(claim.culprit.growth.estimate), "kept"),
    };
    let ago = format::duration(facts.now.since(claim.at).as_secs_f64());
    let is_of_run = facts
        .history
        .main_process()
        .is_none_or(|main| main.process.key == claim.process);
    Finding {
        confidence: STANDS,
        summary: if is_of_run {
            format!(
                "{place} {what} {growth} more; that it leaks was found {ago} ago and nothing speaks against it since."
            )
        } else {
            format!(
                "{place} {what} {growth} more until the run before was killed for lack of memory; the same program runs again, and it has not \
                 outlived that run."
            )
        },
        since: claim.since,
        culprit: Some(claim.culprit.clone()),
        evidence: Vec::new(),
        advice: vec![format!(
            "Find what keeps what {place} allocates, and bound it or let it end."
        )],
        recommended_limit: None,
        would_change_our_mind: vec![format!(
            "{place} gives back half of what it keeps, or works on as before and keeps nothing more"
        )],
    }
}

/// Whether a class without growth that was told last stays although another of them comes first.
pub(super) fn stays(facts: &Facts<'_>, detector: &Detector, better: VerdictClass) -> bool {
    let is_steady = |class: VerdictClass| !class.is_leak() && !class.is_open();
    is_steady(better) && is_steady(detector.class) && facts.history.told() == Some(detector.class)
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
