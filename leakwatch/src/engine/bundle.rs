//! A bundle opened: its target is judged again, from the history that it was judged by.

use crate::engine::Engine;
use crate::input::Head;
use crate::store::Bounds;
use crate::store::bundle::Bundle;
use crate::store::bundle::BundledPast;
use crate::store::bundle::BundledTarget;
use crate::store::bundle::is_same_verdict;
use crate::store::memory::BundleRest;
use crate::store::target::compared_with;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::investigation::Investigation;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_analysis::model::verdict::Verdict;

/// An opened bundle.
#[derive(Debug)]
pub struct Opened {
    /// Knows what the bundle knows.
    pub engine: Engine,
    /// Who made it.
    pub head: Head,
    /// When.
    pub made_at: Timestamp,
    /// The target that it is about.
    pub subject: TargetId,
    /// The verdict that it was made with.
    pub verdict: Option<Verdict>,
    /// Whether the verdict made again is the same; none where it is not made again.
    pub is_reproduced: Option<bool>,
    /// What it has of the subject that a daemon reads from disk.
    pub past: BundledPast,
}

/// Opens a bundle.
pub fn open(bundle: Bundle) -> Opened {
    let subject = bundle.subject.clone();
    let answers: Vec<Option<Investigation>> = bundle
        .targets
        .iter()
        .map(|target| answer(target, &bundle.targets))
        .collect();
    let is_subject = |target: &BundledTarget| target.history.target.id() == subject;
    let mut subjects = bundle
        .targets
        .iter()
        .zip(&answers)
        .filter(|(target, _)| is_subject(target));
    let (verdict, is_reproduced) = match subjects.next() {
        Some((target, made)) => {
            let compare = |before: &Verdict, made: &Investigation| is_same_verdict(before, &made.verdict);
            let both = target.verdict.as_ref().zip(made.as_ref()).filter(|_| !target.as_made);
            (target.verdict.clone(), both.map(|(before, made)| compare(before, made)))
        }
        None => (None, None),
    };
    // There is no disk that has more of them.
    let bounds = Bounds {
        runs_per_service: bundle.runs.len().max(1),
        runs: bundle.runs.len().max(1),
        ..Bounds::default()
    };
    let mut engine = Engine::new(bounds, None);
    let rest = BundleRest {
        events: bundle.events,
        post_mortems: bundle.post_mortems,
        runs: bundle.runs,
        losses: bundle.losses,
    };
    let targets = bundle.targets.into_iter().zip(answers).collect();
    engine.memory.open_bundle(bundle.made_at, targets, rest);
    engine.publish();
    Opened {
        engine,
        head: bundle.head,
        made_at: bundle.made_at,
        subject,
        verdict,
        is_reproduced,
        past: BundledPast {
            rows: bundle.rows,
            profiles: bundle.kept,
            stacks: bundle.stacks,
        },
    }
}

/// What was answered about a target: made again from what is known of it. The verdict of one that is shown as it was is that of then.
fn answer(target: &BundledTarget, all: &[BundledTarget]) -> Option<Investigation> {
    let at = target.judged_at?;
    let of = |history: &TargetHistory| history.target.id();
    let id = of(&target.history);
    let is_sibling = |other: &TargetHistory| other.target.service == target.history.target.service && of(other) != id;
    let mut others: Vec<&TargetHistory> = all
        .iter()
        .map(|other| &other.history)
        .filter(|other| is_sibling(other))
        .collect();
    // In the order in which the daemon knows them.
    others.sort_by_key(|other| of(other));
    let replicas = compared_with(others.into_iter());
    let mut made = leakwatch_analysis::investigate(&target.history, &target.overrides, &replicas, at);
    if let (true, Some(verdict)) = (target.as_made, &target.verdict) {
        made.verdict = verdict.clone();
    }
    Some(made)
}
