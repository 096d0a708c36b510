//! A person's answers change the verdict, and the odd one out among replicas is named.

use super::MIB;
use super::Outcome;
use super::Setup;
use super::programs::blocked;
use super::programs::program;
use super::programs::site;
use super::programs::steady;
use super::programs::with;
use super::run;
use super::snapshot;
use crate::detect::go_heap_leak;
use crate::detect::goroutine_leak;
use crate::detect::growing;
use crate::detect::stable;
use crate::history::TargetHistory;
use crate::investigate;
use crate::model::investigation::Answer;
use crate::model::investigation::AnsweredBy;
use crate::model::investigation::StepId;
use crate::model::profile::ProfileSource;
use crate::model::profile::ProfileType;
use crate::model::profile::StackValue;
use crate::model::target::CgroupKey;
use crate::model::verdict::VerdictClass;
use crate::service;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

fn replica(rate: f64, seed: u64) -> Outcome {
    let sites = with(steady(60.0 * MIB), site("main.leak", 2000.0, 0.0, move |t| rate * t));
    run(&program(sites, 8.0 * MIB), &Setup::new(Some(1024.0 * MIB), 180.0, seed))
}

fn verdict_with(history: &TargetHistory, answers: &[(StepId, Answer)]) -> VerdictClass {
    let overrides = answers.iter().copied().collect();
    let investigation = investigate(history, &overrides, &[], history.newest_at);
    for (step, answer) in answers {
        let told = investigation.steps.iter().find(|told| told.id == *step).unwrap();
        assert_eq!((told.answer, told.answered_by), (*answer, AnsweredBy::User));
    }
    investigation.verdict.class
}

#[test]
fn an_answer_of_a_person_changes_the_verdict() {
    let leaking = replica(MIB, 1).history;
    assert_eq!(verdict_with(&leaking, &[]), growing::CLASS);
    for no in [StepId::LiveHeap, StepId::Memory] {
        let class = verdict_with(&leaking, &[(no, Answer::No)]);
        assert!(!class.is_leak(), "{no:?} answered with no: {class:?}");
    }
    // A person who knows the program decides; not knowing changes nothing.
    for (answer, expected) in [(Answer::Yes, go_heap_leak::CLASS), (Answer::Unknown, growing::CLASS)] {
        assert_eq!(verdict_with(&leaking, &[(StepId::LiveHeap, answer)]), expected);
    }
    let quiet = replica(0.0, 2).history;
    assert_eq!(verdict_with(&quiet, &[]), stable::CLASS);
    for yes in [StepId::Memory, StepId::LiveHeap, StepId::Goroutines] {
        assert_ne!(verdict_with(&quiet, &[(yes, Answer::Yes)]), stable::CLASS, "{yes:?}");
    }
}

#[test]
fn the_leaking_replica_is_the_outlier_and_none_is_when_all_are_alike() {
    for replicas in [2_u64, 3, 5] {
        for leaking in [Some(0), Some(replicas - 1), None] {
            let histories: Vec<TargetHistory> = (0..replicas)
                .map(|i| {
                    let rate = if leaking == Some(i) { MIB } else { 0.0 };
                    let mut history = replica(rate, 40 + i).history;
                    Arc::make_mut(&mut history.target).cgroup = CgroupKey {
                        inode: 1 + i,
                        path: format!("/test/{i}"),
                    };
                    history
                })
                .collect();
            let borrowed: Vec<&TargetHistory> = histories.iter().collect();
            let outlier = service::outlier(&borrowed, histories[0].newest_at);
            let expected = leaking.map(|i| histories[usize::try_from(i).unwrap()].target.id());
            assert_eq!(
                outlier.as_ref().map(|outlier| outlier.target.clone()),
                expected,
                "{replicas} replicas, {leaking:?} leaks: {outlier:?}"
            );
        }
    }
}

/// The proof that nobody can wake them needs no growth seen beside it, but must itself have grown: a pool that was forgotten at the start
/// fills no memory.
#[test]
fn goroutines_proven_leaked_are_a_leak_when_they_become_more() {
    let outside = ProfileSource::Snapshot;
    for (counts, source, expected) in [
        ([100, 400], outside, goroutine_leak::CLASS),
        ([100, 400], ProfileSource::Endpoint, goroutine_leak::CLASS),
        ([400, 400], outside, stable::CLASS),
        ([400, 405], outside, stable::CLASS),
        ([1, 2], outside, stable::CLASS),
    ] {
        let mut history = replica(0.0, 3).history;
        let stack = Arc::make_mut(&mut history.stacks)
            .intern(&blocked("main.forget.func1"))
            .unwrap();
        let now = history.newest_at;
        let times = [now.minus(Duration::from_mins(2)), now];
        for (count, at) in counts.into_iter().zip(times) {
            let value = StackValue {
                inuse_objects: count,
                ..StackValue::default()
            };
            let mut made = snapshot(&history, ProfileType::GoroutineLeak, vec![(stack, value)], 100, at);
            made.source = source;
            history.apply_snapshot(made);
        }
        let verdict = investigate(&history, &BTreeMap::new(), &[], now).verdict;
        assert_eq!(verdict.class, expected, "{counts:?}: {}", verdict.summary);
        if expected.is_leak() {
            assert_eq!(&*verdict.culprit.unwrap().frame.function, "main.forget.func1");
            let says = |text: &str| verdict.evidence.iter().any(|evidence| evidence.claim.contains(text));
            assert!(says("400"), "{:?}", verdict.evidence);
            assert_eq!(says("the runtime proves"), source == ProfileSource::Endpoint);
            assert_eq!(says("nobody can wake them"), source == outside);
        }
    }
}
