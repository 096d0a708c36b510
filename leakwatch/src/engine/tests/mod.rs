//! The engine joins samples, profiles and kills, and a recording of what it took in replays to the same answers.

mod ends;
mod final_heap;
mod pins;
mod profiles;
mod restart;
mod rulings;
mod straight;

use super::*;
use crate::input::Head;
use crate::input::Recorder;
use crate::store::view::TargetView;
use crate::store::view::View;
use leakwatch_analysis::model::counter::CgroupVersion;
use leakwatch_analysis::model::counter::Counter;
use leakwatch_analysis::model::counter::Counters;
use leakwatch_analysis::model::event::OomKill;
use leakwatch_analysis::model::event::OomScope;
use leakwatch_analysis::model::event::OomTrigger;
use leakwatch_analysis::model::event::OomVictim;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::runtime::Runtime;
use leakwatch_analysis::model::sample::CgroupMemory;
use leakwatch_analysis::model::sample::Limit;
use leakwatch_analysis::model::sample::ProcessMemory;
use leakwatch_analysis::model::sample::ProcessSample;
use leakwatch_analysis::model::target::CgroupKey;
use leakwatch_analysis::model::target::Process;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetKind;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::verdict::VerdictClass;
use leakwatch_analysis::pprof::proto;
use std::sync::Arc;
use std::time::Duration;

const KEY: ProcessKey = ProcessKey {
    pid: 42,
    start_ticks: 7,
};

fn missing() -> Missing {
    Missing::new(MissingReason::Unsupported, "not in this test")
}

fn target(inode: u64) -> Target {
    Target {
        cgroup: CgroupKey {
            inode,
            path: format!("/test/{inode}"),
        },
        kind: TargetKind::Cgroup,
        name: inode.to_string(),
        service: "service".into(),
        container: None,
        started_at: Timestamp::default(),
    }
}

fn process() -> Process {
    Process {
        key: KEY,
        started_at: Timestamp::default(),
        comm: "p".into(),
        exe: Ok("/p".into()),
        program: None,
        runtime: Ok(Runtime::Native),
    }
}

fn sample(target: &Target, second: u64, mib: u64, oom_kill: u64) -> Input {
    let anon = Bytes::from_mib(mib);
    let sample = sampled_at(target, second, oom_kill);
    let memory = CgroupMemory {
        charge: anon,
        counters: counters(anon, oom_kill),
        ..sample.cgroup.unwrap()
    };
    let of_process = ProcessMemory {
        rss: anon,
        anon,
        ..ProcessMemory::default()
    };
    Input::Sample(Sample {
        cgroup: Ok(memory),
        new_processes: vec![Arc::new(process())],
        processes: vec![ProcessSample {
            key: KEY,
            memory: Ok(of_process),
        }],
        ..sample
    })
}

fn head() -> Head {
    Head {
        leakwatch: "1.2.3".into(),
        host: Err(missing()),
    }
}

fn counters(anon: Bytes, oom_kill: u64) -> Counters {
    let known = [
        (Counter::Anon, anon.0),
        (Counter::ActiveFile, 0),
        (Counter::InactiveFile, 0),
        (Counter::Shmem, 0),
        (Counter::Kernel, 0),
        (Counter::LocalOomKill, oom_kill),
        (Counter::LocalMax, 0),
    ];
    Counters::new(Some(CgroupVersion::V2), known)
}

/// A sample without processes and with no memory in use.
fn sampled_at(target: &Target, second: u64, oom_kill: u64) -> Sample {
    Sample {
        target: target.id(),
        at: Timestamp::from_unix_seconds(second),
        cgroup: Ok(CgroupMemory {
            charge: Bytes(0),
            limit: Limit::Bytes(Bytes::from_mib(256)),
            counters: counters(Bytes(0), oom_kill),
        }),
        new_processes: Vec::new(),
        processes: Vec::new(),
    }
}

fn kill(target: &Target, second: u64) -> Input {
    Input::OomKill(Box::new(OomKill {
        at: Timestamp::from_unix_seconds(second),
        scope: Ok(OomScope::Memcg),
        cgroup: Ok(target.cgroup.clone()),
        memcg: Err(missing()),
        victim: OomVictim {
            pid: KEY.pid,
            start_ticks: Some(KEY.start_ticks),
            comm: "p".into(),
            rss_anon: Ok(Bytes::from_mib(200)),
            rss_file: Err(missing()),
            rss_shmem: Err(missing()),
            page_tables: Err(missing()),
            oom_score_adj: Err(missing()),
            read_at_death: true,
        },
        trigger: OomTrigger {
            pid: 43,
            comm: "t".into(),
        },
    }))
}

/// Two minutes of steady growth, then a kill.
fn life(target: &Target) -> Vec<Input> {
    let at = Timestamp::from_unix_seconds;
    let mut inputs = vec![Input::TargetSeen {
        at: at(1_000),
        target: target.clone(),
    }];
    for step in 0..24 {
        inputs.push(sample(target, 1_000 + 5 * step, 20 + 8 * step, 0));
        inputs.push(Input::Tick {
            at: at(1_000 + 5 * step),
        });
    }
    inputs.push(kill(target, 1_118));
    inputs
}

fn run(engine: &mut Engine, inputs: Vec<Input>) -> Arc<View> {
    for input in inputs {
        engine.apply(input);
    }
    engine.publish();
    engine.views().newest()
}

fn class(stored: &TargetView) -> Option<VerdictClass> {
    stored
        .investigation
        .as_ref()
        .map(|investigation| investigation.verdict.class)
}

#[test]
fn a_kill_is_joined_with_the_last_that_was_known() {
    let target = target(1);
    let view = run(&mut Engine::new(Bounds::default(), None), life(&target));
    let post_mortem = view.post_mortems().next().unwrap();
    assert_eq!(post_mortem.target, Some(target.id()));
    assert_eq!(post_mortem.last_sample_age.map(|age| age.as_secs()), Some(3));
    assert_eq!(
        post_mortem.last_memory.as_ref().unwrap().charge,
        Bytes::from_mib(20 + 8 * 23)
    );
    assert!(
        post_mortem
            .verdict
            .as_ref()
            .unwrap()
            .growth_bytes_per_second
            .is_some_and(|rate| rate > 1e6)
    );
    assert_eq!(view.target(&target.id()).unwrap().history.oom_kill_count, 1);
    assert!(view.events().any(|event| event.kind.name() == "oom_kill"));
}

#[test]
fn a_kill_in_a_cgroup_never_sampled_is_kept_all_the_same() {
    let view = run(&mut Engine::new(Bounds::default(), None), vec![kill(&target(9), 5)]);
    let post_mortem = view.post_mortems().next().unwrap();
    assert_eq!(post_mortem.target, None);
    assert!(post_mortem.last_memory.is_err());
}

#[test]
fn kills_that_only_the_counter_saw_get_a_post_mortem_that_says_so() {
    let target = target(1);
    let mut inputs = life(&target);
    inputs.pop();
    inputs.extend((0..3).map(|step| sample(&target, 1_120 + step, 20, 2)));
    let view = run(&mut Engine::new(Bounds::default(), None), inputs);
    assert_eq!(view.post_mortems().count(), 2);
    let ids: std::collections::BTreeSet<_> = view.post_mortems().map(|post_mortem| &post_mortem.id).collect();
    assert_eq!(ids.len(), 2);
    assert!(view.post_mortems().all(|post_mortem| post_mortem.kill.scope.is_err()));
}

#[test]
fn a_kill_that_was_told_before_its_cgroup_was_seen_is_told_once() {
    let target = target(1);
    let at = Timestamp::from_unix_seconds;
    // The sample that the walk took before the kill, or after it.
    for counted_at_first in [0, 1] {
        let mut inputs = vec![kill(&target, 1_000)];
        inputs.push(Input::TargetSeen {
            at: at(1_001),
            target: target.clone(),
        });
        inputs.push(sample(&target, 1_001, 20, counted_at_first));
        inputs.extend((2..5).map(|step| sample(&target, 1_000 + step, 20, 1)));
        let view = run(&mut Engine::new(Bounds::default(), None), inputs);
        let told: Vec<_> = view.post_mortems().map(|post_mortem| &post_mortem.target).collect();
        assert_eq!(told, [&Some(target.id())], "{counted_at_first} counted at first");
    }
}

#[test]
fn a_target_whose_processes_are_gone_keeps_the_verdict_it_died_with() {
    let target = target(1);
    let inputs = life(&target);
    let at = Timestamp::from_unix_seconds;
    let mut engine = Engine::new(Bounds::default(), None);
    let of = |view: &View| view.target(&target.id()).unwrap().investigation.clone().unwrap();
    let at_the_kill = of(&run(&mut engine, inputs));
    assert_eq!(at_the_kill.at, at(1_118), "judged at the kill");
    // The first sample after it adds that nothing lives there any more, what comes later adds nothing.
    for second in [1_120, 1_125] {
        let round = [
            Input::Sample(sampled_at(&target, second, 1)),
            Input::Tick { at: at(second) },
        ];
        let after = of(&run(&mut engine, round.into()));
        assert_eq!(after.at, at(1_120));
        assert_eq!(after.verdict.class, at_the_kill.verdict.class);
        assert_eq!(after.verdict.time_to_limit, None);
    }
}

#[test]
fn only_exits_worth_telling_become_events() {
    let target = target(1);
    let exit = |pid, exit_code, cgroup_inode| {
        Input::ProcessExit(ProcessExit {
            at: Timestamp::from_unix_seconds(1_119),
            key: ProcessKey { pid, ..KEY },
            comm: "p".into(),
            exit_code: Ok(exit_code),
            cgroup_inode,
            killer: None,
        })
    };
    for (input, told) in [
        (exit(KEY.pid, 0, Some(1)), true),
        (exit(KEY.pid, 0, None), true),
        (exit(50, 0, Some(1)), false),
        (exit(50, 1 << 8, Some(1)), false),
        (exit(50, 9, Some(1)), true),
        (exit(KEY.pid, 9, Some(77)), false),
    ] {
        let mut inputs = life(&target);
        inputs.push(input.clone());
        let view = run(&mut Engine::new(Bounds::default(), None), inputs);
        let exits = view
            .events()
            .filter(|event| event.kind.name() == "process_exit")
            .count();
        assert_eq!(exits == 1, told, "{input:?}");
    }
}

#[test]
fn a_replay_reaches_the_same_answers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("life.lwrec");
    let mut engine = Engine::new(
        Bounds::default(),
        Some(Recorder::create(&path, u64::MAX, &head()).unwrap()),
    );
    let live = run(&mut engine, life(&target(1)));
    engine.finish();
    let replayed = replay::replay(&path, None).unwrap();
    assert!(replayed.cut_off.is_none());
    assert_eq!(format!("{live:?}"), format!("{:?}", replayed.view));
}

#[test]
fn a_replay_until_an_instant_stops_after_that_round() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("life.lwrec");
    let mut engine = Engine::new(
        Bounds::default(),
        Some(Recorder::create(&path, u64::MAX, &head()).unwrap()),
    );
    run(&mut engine, life(&target(1)));
    engine.finish();
    let replayed = replay::replay(&path, Some(Timestamp::from_unix_seconds(1_013))).unwrap();
    assert_eq!(replayed.view.now(), Timestamp::from_unix_seconds(1_015));
}

#[test]
fn targets_beyond_the_bound_are_counted_not_kept() {
    let bounds = Bounds {
        targets: 2,
        ..Bounds::default()
    };
    let seen = |inode| Input::TargetSeen {
        at: Timestamp::from_unix_seconds(1),
        target: target(inode),
    };
    let view = run(&mut Engine::new(bounds, None), (1..=5).map(seen).collect());
    assert_eq!(view.targets().count(), 2);
    assert_eq!(view.losses().get("target_bound_reached"), Some(&3));
}

#[test]
fn gone_targets_are_remembered_for_a_while() {
    let bounds = Bounds {
        gone_targets: 1,
        ..Bounds::default()
    };
    let at = Timestamp::from_unix_seconds;
    let mut inputs = Vec::new();
    for inode in 1..=3 {
        inputs.push(Input::TargetSeen {
            at: at(inode),
            target: target(inode),
        });
        inputs.push(Input::TargetGone {
            at: at(inode),
            target: target(inode).id(),
        });
    }
    inputs.push(Input::Tick { at: at(10) });
    let mut engine = Engine::new(bounds, None);
    let view = run(&mut engine, inputs);
    assert_eq!(
        view.targets().map(|(id, _)| id.clone()).collect::<Vec<_>>(),
        [target(3).id()]
    );
    let view = run(&mut engine, vec![Input::Tick { at: at(10 + 6 * 3600) }]);
    assert_eq!(view.targets().count(), 0);
}

#[test]
fn an_overruled_step_shows_at_once_and_can_be_taken_back() {
    let target = target(1);
    let mut engine = Engine::new(Bounds::default(), None);
    let mut inputs = life(&target);
    inputs.pop();
    run(&mut engine, inputs);
    let answer = |answer| Input::Answer {
        at: Timestamp::from_unix_seconds(1_116),
        target: target.id(),
        step: StepId::Memory,
        answer,
    };
    let before = class(engine.views().newest().target(&target.id()).unwrap());
    let view = run(&mut engine, vec![answer(Some(Answer::No))]);
    let step = view.target(&target.id()).unwrap().investigation.as_ref().unwrap().steps[0].clone();
    assert_eq!(step.answer, Answer::No);
    let view = run(&mut engine, vec![answer(None)]);
    assert_eq!(class(view.target(&target.id()).unwrap()), before);
}
