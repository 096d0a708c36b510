//! A daemon that is started again goes on where the one before was, whether that was ended or killed.

use super::*;
use crate::store::disk::feed::Feed;
use crate::store::disk::feed::Opened;
use crate::store::disk::restore::Axis;
use crate::store::disk::retention::Limits;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::decoded::Summing;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::ruling::Ruled;
use leakwatch_analysis::model::ruling::Ruling;
use leakwatch_analysis::model::run::RunEnd;
use leakwatch_analysis::model::stack::Frame;
use leakwatch_analysis::model::stack::StackTable;
use std::path::Path;
use std::thread::JoinHandle;

/// An instant of which the clock is right.
pub(super) const BEGIN: u64 = 1_700_000_000;

pub(super) fn engine(directory: &Path, boot_seconds: u64, second: u64) -> (Engine, JoinHandle<()>) {
    let limits = Limits {
        max_bytes: 64 << 20,
        max_age: Duration::from_hours(24 * 14),
    };
    let axis = Axis {
        boot_id: "boot".to_owned(),
        boot_unix_nanos: boot_seconds * 1_000_000_000,
    };
    let Opened { feed, restored, writer } =
        Feed::open(directory, limits, &axis, Timestamp::from_unix_seconds(second)).unwrap();
    let mut engine = Engine::new(Bounds::default(), None);
    engine.keep(feed, restored);
    (engine, writer)
}

pub(super) fn end(engine: Engine, writer: JoinHandle<()>) {
    drop(engine);
    writer.join().unwrap();
}

/// Steady growth from a second on, a tick every five.
pub(super) fn grows(target: &Target, from: u64, steps: std::ops::Range<u64>) -> Vec<Input> {
    let mut inputs = vec![Input::TargetSeen {
        at: Timestamp::from_unix_seconds(from + 5 * steps.start),
        target: target.clone(),
    }];
    for step in steps {
        let mut sampled = sample(target, from + 5 * step, 20 + step, 0);
        if let Input::Sample(sampled) = &mut sampled {
            for process in &mut sampled.new_processes {
                Arc::make_mut(process).started_at = Timestamp::from_unix_seconds(from);
            }
        }
        inputs.push(sampled);
        if step % 6 == 0 {
            inputs.push(heap(target, from + 5 * step, i64::try_from(step).unwrap()));
        }
        inputs.push(Input::Tick {
            at: Timestamp::from_unix_seconds(from + 5 * step),
        });
    }
    inputs
}

fn heap(target: &Target, second: u64, growth: i64) -> Input {
    let value = |inuse_space| StackValue {
        inuse_space,
        inuse_objects: 1 + growth,
        alloc_space: growth << 21,
        ..StackValue::default()
    };
    let stacks = [
        (["main.leak", "main.main"], value(growth << 20)),
        (["main.steady", "main.main"], value(5 << 20)),
    ];
    profile(target, second, ProfileType::Heap, &stacks)
}

fn profile(target: &Target, second: u64, profile_type: ProfileType, values: &[([&str; 2], StackValue)]) -> Input {
    let mut stacks = StackTable::default();
    let mut sum = Summing::default();
    for (functions, value) in values {
        let frames = functions.map(|function| Frame {
            function: function.into(),
            file: "main.go".into(),
            line: 7,
        });
        let stack = stacks.intern(&frames);
        sum.add(&mut stacks, stack, frames.first(), value);
    }
    Input::Profile(TakenProfile {
        at: Timestamp::from_unix_seconds(second),
        target: target.id(),
        process: KEY,
        profile_type,
        source: ProfileSource::Snapshot,
        profile: Ok(Arc::new(ProfileContent {
            summary: sum.finish(1),
            stacks,
        })),
    })
}

fn points(view: &View, target: &Target) -> Vec<(u64, u64)> {
    let points = view.target(&target.id()).unwrap().history.window();
    let told = |point: &leakwatch_analysis::history::MemoryPoint| {
        (
            point.at.unix_millis() / 1000,
            point.charge.bytes().map_or(0, |charge| charge.0),
        )
    };
    points.iter().map(told).collect()
}

#[test]
fn windows_answers_events_and_profiles_go_on_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let target = target(1);
    let (mut before, writer) = engine(directory.path(), 1000, BEGIN);
    let mut inputs = grows(&target, BEGIN, 0..100);
    inputs.push(Input::Answer {
        at: Timestamp::from_unix_seconds(BEGIN + 497),
        target: target.id(),
        step: StepId::Native,
        answer: Some(Answer::No),
    });
    inputs.push(Input::Tick {
        at: Timestamp::from_unix_seconds(BEGIN + 498),
    });
    let known = run(&mut before, inputs);
    end(before, writer);

    let (mut after, writer) = engine(directory.path(), 1000, BEGIN + 500);
    let restored = after.views().newest();
    assert_eq!(points(&restored, &target), points(&known, &target));
    let stored = restored.target(&target.id()).unwrap();
    assert_eq!(stored.overrides.get(&StepId::Native), Some(&Answer::No));
    assert!(!stored.is_living(), "until it is seen");
    let totals = |view: &View| {
        let series = &view.target(&target.id()).unwrap().history.snapshots[&ProfileType::Heap];
        series
            .as_slice()
            .iter()
            .map(|snapshot| (snapshot.at.unix_millis(), snapshot.total.inuse_space))
            .collect::<Vec<_>>()
    };
    assert!(totals(&restored).iter().all(|total| totals(&known).contains(total)));
    assert!(totals(&restored).len() >= 2, "{:?}", totals(&restored));

    let view = run(&mut after, grows(&target, BEGIN, 100..200));
    let mut never = Engine::new(Bounds::default(), None);
    let expected = run(&mut never, grows(&target, BEGIN, 0..200));
    assert_eq!(points(&view, &target), points(&expected, &target));
    let of = |view: &View| {
        view.target(&target.id())
            .unwrap()
            .verdict()
            .map(|verdict| (verdict.class, verdict.since))
    };
    assert_eq!(of(&view).map(|(class, _)| class), of(&expected).map(|(class, _)| class));
    let ids: Vec<u64> = view.events().map(|event| event.id).collect();
    assert!(ids.is_sorted() && !ids.is_empty());
    let first_verdicts = view
        .events()
        .filter(|event| matches!(event.kind, EventKind::VerdictChange { from: None, .. }));
    assert_eq!(first_verdicts.count(), 1, "a restart is no first verdict");
    end(after, writer);
}

#[test]
fn rulings_outlive_the_daemon_and_those_taken_back_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let ruling = |id: &str, ruled| Ruling {
        id: id.to_owned(),
        service: "shop".to_owned(),
        version: Some("v1".to_owned()),
        ruled,
        reason: "known".to_owned(),
        made_at: Timestamp::from_unix_seconds(BEGIN),
        until: Timestamp::from_unix_seconds(BEGIN + 3600),
    };
    let said = |id: &str, ruling: Option<Ruling>| Input::Ruling {
        at: Timestamp::from_unix_seconds(BEGIN),
        id: id.to_owned(),
        ruling,
    };
    let tick = |second| Input::Tick {
        at: Timestamp::from_unix_seconds(BEGIN + second),
    };
    let kept = [
        ruling("1", Ruled::Mute),
        ruling("3", Ruled::Overrule(StepId::Native, Answer::No)),
    ];
    let mut inputs: Vec<Input> = kept.iter().map(|kept| said(&kept.id, Some(kept.clone()))).collect();
    inputs.push(said("2", Some(ruling("2", Ruled::Mute))));
    inputs.push(tick(1));
    inputs.push(said("2", None));
    inputs.push(tick(2));
    let (mut before, writer) = engine(directory.path(), 1000, BEGIN);
    run(&mut before, inputs);
    end(before, writer);

    let (mut after, writer) = engine(directory.path(), 1000, BEGIN + 3);
    let restored: Vec<Ruling> = after.views().newest().rulings().iter().cloned().collect();
    assert_eq!(restored, kept);
    let view = run(&mut after, vec![tick(4000)]);
    assert_eq!(view.rulings().iter().count(), 0, "their time is over");
    end(after, writer);
    let (after, writer) = engine(directory.path(), 1000, BEGIN + 4001);
    assert_eq!(after.views().newest().rulings().iter().count(), 0);
    end(after, writer);
}

/// Goroutines that the runtime has proven leaked: a claim once there are more of them.
pub(super) fn proven(target: &Target, second: u64, goroutines: i64) -> Input {
    let value = StackValue {
        inuse_objects: goroutines,
        ..StackValue::default()
    };
    let stacks = [(["main.forget.func1", "runtime.goexit"], value)];
    profile(target, second, ProfileType::GoroutineLeak, &stacks)
}

#[test]
fn a_claim_stands_after_a_restart_as_it_was_made() {
    let directory = tempfile::tempdir().unwrap();
    let target = target(1);
    let (mut before, writer) = engine(directory.path(), 1000, BEGIN);
    // Without a heap profile among them, which would grow beside it.
    let mut inputs = grows(&target, BEGIN, 1..6);
    inputs.push(proven(&target, BEGIN + 7, 100));
    inputs.push(proven(&target, BEGIN + 27, 400));
    inputs.push(Input::Tick {
        at: Timestamp::from_unix_seconds(BEGIN + 28),
    });
    let known = run(&mut before, inputs);
    end(before, writer);
    let history = |view: &View| view.target(&target.id()).unwrap().history.clone();
    let claim = history(&known).claim.expect("a claim");
    assert_eq!(&*claim.culprit.frame.function, "main.forget.func1");

    let (after, writer) = engine(directory.path(), 1000, BEGIN + 30);
    let restored = history(&after.views().newest());
    assert_eq!(restored.claim, Some(claim));
    assert_eq!(restored.told, history(&known).told);
    end(after, writer);
}

#[test]
fn a_wall_clock_that_was_set_meanwhile_moves_what_is_restored() {
    let directory = tempfile::tempdir().unwrap();
    let target = target(1);
    let (mut before, writer) = engine(directory.path(), 100_000, BEGIN);
    run(&mut before, grows(&target, BEGIN, 0..60));
    end(before, writer);
    // The same boot, and a clock that is an hour behind what it was.
    let (mut after, writer) = engine(directory.path(), 100_000 - 3600, BEGIN - 3600 + 300);
    let view = run(&mut after, grows(&target, BEGIN - 3600, 60..120));
    let points = points(&view, &target);
    assert_eq!(points.len(), 120);
    assert!(
        points.iter().zip(points.iter().skip(1)).all(|(a, b)| b.0 - a.0 == 5),
        "{points:?}"
    );
    end(after, writer);
}

#[test]
fn runs_and_post_mortems_outlive_their_targets() {
    let directory = tempfile::tempdir().unwrap();
    for number in 0..5 {
        let second = BEGIN + 1000 * number;
        let (mut engine, writer) = engine(directory.path(), 1000, second);
        let target = target(number + 1);
        let mut inputs = grows(&target, second, 0..30);
        inputs.push(kill(&target, second + 148));
        inputs.push(Input::TargetGone {
            at: Timestamp::from_unix_seconds(second + 149),
            target: target.id(),
        });
        // The kernel's reading of the victim is waited for, and given up.
        inputs.extend((0..20).map(|n| Input::Tick {
            at: Timestamp::from_unix_seconds(second + 150 + 5 * n),
        }));
        let view = run(&mut engine, inputs);
        assert_eq!(view.runs("service").count() as u64, number + 1);
        assert_eq!(view.post_mortems().count() as u64, number + 1);
        end(engine, writer);
    }
    // The last of them is still known as gone; the others are forgotten, and a new target of the service is compared with them all the same.
    let (mut engine, writer) = engine(directory.path(), 1000, BEGIN + 6000);
    let view = run(&mut engine, grows(&target(6), BEGIN + 6000, 0..3));
    let known = view
        .replicas("service")
        .flat_map(|(_, replica)| &replica.history.past_runs);
    let known: std::collections::BTreeSet<_> = known.map(|run| (run.process, run.started_at)).collect();
    assert_eq!(known.len(), 5, "{known:?}");
    let runs: Vec<_> = view.runs("service").collect();
    assert!(
        runs.iter()
            .all(|run| run.run.ended.is_some_and(|(_, end)| end == RunEnd::OomKill)),
        "{runs:?}"
    );
    assert!(
        runs.iter()
            .all(|run| run.run.course.points.len() > 5 && run.exe == "/p")
    );
    let post_mortem = view.post_mortems().last().unwrap();
    assert_eq!(post_mortem.profiles.len(), 1);
    assert_eq!(post_mortem.profiles[0].values.len(), 2);
    assert!(post_mortem.verdict.is_some() && post_mortem.last_memory.is_ok());
    end(engine, writer);
}
