//! What is told when processes end: of the dead nothing of the future, a restart once there is a successor, and nothing of what a person took back.

use super::final_heap::final_state;
use super::restart::grows;
use super::restart::proven;
use super::*;
use leakwatch_analysis::history::WindowEnd;
use leakwatch_analysis::model::final_heap::FinalState;

fn at(second: u64) -> Timestamp {
    Timestamp::from_unix_seconds(second)
}

fn tick(second: u64) -> Input {
    Input::Tick { at: at(second) }
}

fn empty(target: &Target, second: u64) -> Input {
    Input::Sample(sampled_at(target, second, 1))
}

/// Processes of these pids and sizes, all of the same program.
fn living(target: &Target, second: u64, processes: &[(u32, u64)]) -> Input {
    let charge = Bytes::from_mib(processes.iter().map(|(_, mib)| mib).sum());
    let key = |pid| ProcessKey {
        pid,
        start_ticks: u64::from(pid),
    };
    let base = sampled_at(target, second, 0);
    let memory = CgroupMemory {
        charge,
        counters: counters(charge, 0),
        ..base.cgroup.unwrap()
    };
    let process = |pid| Process {
        key: key(pid),
        ..process()
    };
    let sampled = |(pid, mib): &(u32, u64)| ProcessSample {
        key: key(*pid),
        memory: Ok(ProcessMemory {
            rss: Bytes::from_mib(*mib),
            ..ProcessMemory::default()
        }),
    };
    Input::Sample(Sample {
        cgroup: Ok(memory),
        new_processes: processes.iter().map(|(pid, _)| Arc::new(process(*pid))).collect(),
        processes: processes.iter().map(sampled).collect(),
        target: base.target,
        at: base.at,
    })
}

fn seen(target: &Target, second: u64) -> Input {
    Input::TargetSeen {
        at: at(second),
        target: target.clone(),
    }
}

fn restarts(view: &View) -> Vec<WindowEnd> {
    let ends = view.events().filter_map(|event| match event.kind {
        EventKind::Restart { end } => Some(end),
        _ => None,
    });
    ends.collect()
}

#[test]
fn of_the_dead_nothing_is_told_of_the_future() {
    let target = target(1);
    let mut inputs = life(&target);
    let alive = inputs.len() - 1;
    let known = run(&mut Engine::new(Bounds::default(), None), inputs[..alive].to_vec());
    let verdict = known.target(&target.id()).unwrap().verdict().unwrap().clone();
    assert!(
        verdict.growth_bytes_per_second.is_some() && verdict.time_to_limit.is_some(),
        "{verdict:?}"
    );
    for gone in [vec![empty(&target, 1_120), tick(1_120)], {
        vec![Input::TargetGone {
            at: at(1_121),
            target: target.id(),
        }]
    }] {
        inputs.extend(gone);
        let view = run(&mut Engine::new(Bounds::default(), None), inputs.clone());
        let verdict = view.target(&target.id()).unwrap().verdict().unwrap().clone();
        assert_eq!(verdict.growth_bytes_per_second, None);
        assert!(verdict.time_to_limit.is_none() && verdict.limit_probability.is_none());
        assert!(verdict.decided_by.is_empty(), "{verdict:?}");
        for field in ["growth_bytes_per_second", "time_to_limit_seconds"] {
            let why = verdict.missing.iter().find(|(name, _)| *name == field);
            assert!(why.is_some_and(|(_, why)| !why.detail.is_empty()), "{field}");
        }
        // The post-mortem keeps how it grew, and has no forecast.
        let of_kill = view.post_mortems().next().unwrap().verdict.as_ref().unwrap();
        assert!(of_kill.growth_bytes_per_second.is_some() && of_kill.time_to_limit.is_none());
    }
}

#[test]
fn a_restart_is_told_once_there_is_a_successor() {
    let target = target(1);
    let begin = vec![seen(&target, 10), living(&target, 10, &[(7, 50)]), tick(10)];
    let after = |more: Vec<Input>| {
        run(
            &mut Engine::new(Bounds::default(), None),
            [begin.clone(), more].concat(),
        )
    };
    let cases = [
        (
            "nothing started",
            vec![empty(&target, 15), tick(15), empty(&target, 20)],
            vec![],
        ),
        (
            "at once",
            vec![living(&target, 15, &[(8, 50)]), living(&target, 20, &[(8, 51)])],
            vec![WindowEnd::Restart],
        ),
        (
            "after a while, and told once",
            vec![
                empty(&target, 15),
                empty(&target, 20),
                living(&target, 25, &[(8, 50)]),
                tick(25),
                living(&target, 30, &[(8, 52)]),
            ],
            vec![WindowEnd::Restart],
        ),
    ];
    for (what, inputs, expected) in cases {
        assert_eq!(restarts(&after(inputs)), expected, "{what}");
    }
}

#[test]
fn a_worker_whose_master_lives_on_is_no_restart() {
    let target = target(1);
    let inputs = vec![
        seen(&target, 10),
        living(&target, 10, &[(7, 5), (8, 90)]),
        tick(10),
        living(&target, 15, &[(7, 5), (9, 20)]),
        tick(15),
        living(&target, 20, &[(7, 5), (9, 60)]),
    ];
    let view = run(&mut Engine::new(Bounds::default(), None), inputs);
    assert_eq!(restarts(&view), []);
}

/// What the exit event of a process says that a SIGKILL ended.
fn killer_of(inputs: Vec<Input>) -> Option<Killer> {
    let view = run(&mut Engine::new(Bounds::default(), None), inputs);
    let exits = view.events().filter_map(|event| match &event.kind {
        EventKind::ProcessExit(exit) => Some(exit.killer.clone()),
        _ => None,
    });
    let exits: Vec<_> = exits.collect();
    assert_eq!(exits.len(), 1, "{exits:?}");
    exits.into_iter().flatten().next()
}

#[test]
fn only_whom_the_oom_killer_chose_was_killed_by_it() {
    let target = target(1);
    let kernel = Killer::Kernel {
        pid: KEY.pid,
        comm: "p".to_owned(),
    };
    let oomd = Killer::Process {
        pid: 9,
        comm: "systemd-oomd".to_owned(),
    };
    let ended = |second, exit_code, killer| {
        Input::ProcessExit(ProcessExit {
            at: at(second),
            key: KEY,
            comm: "p".to_owned(),
            exit_code: Ok(exit_code),
            cgroup_inode: Some(1),
            killer,
        })
    };
    let lives = [seen(&target, 1_000), sample(&target, 1_000, 60, 0), tick(1_000)];
    let with = |more: Vec<Input>| lives.iter().cloned().chain(more).collect::<Vec<_>>();
    let choosing = kill(&target, 1_002);
    // The kernel's OOM killer sends what the kernel itself sends.
    let chosen = with(vec![choosing.clone(), ended(1_003, 9, Some(kernel.clone()))]);
    assert_eq!(killer_of(chosen), Some(Killer::OomKiller));
    let unseen = with(vec![choosing, ended(1_003, 9, None)]);
    assert_eq!(killer_of(unseen), Some(Killer::OomKiller));
    for told in [Some(kernel), Some(oomd), None] {
        let alone = with(vec![ended(1_003, 9, told.clone())]);
        assert_eq!(killer_of(alone), told);
    }
    assert_eq!(killer_of(with(vec![ended(1_003, 3 << 8, None)])), None);
}

#[test]
fn what_is_taken_back_leads_to_the_answer_before() {
    let target = target(1);
    let steady = |second| sample(&target, second, 60, 0);
    let mut engine = Engine::new(Bounds::default(), None);
    let mut inputs = vec![seen(&target, 1_000)];
    inputs.extend((0..60).flat_map(|step| [steady(1_000 + 5 * step), tick(1_000 + 5 * step)]));
    let told = |view: &View| {
        let stored = view.target(&target.id()).unwrap();
        let verdict = stored.verdict().unwrap();
        (
            verdict.class,
            verdict.confidence,
            verdict.summary.clone(),
            stored.history.told,
        )
    };
    let before = told(&run(&mut engine, inputs));
    for step in StepId::ALL {
        for answer in [Answer::Yes, Answer::No] {
            let answered = |answer| Input::Answer {
                at: at(1_296),
                target: target.id(),
                step,
                answer,
            };
            run(&mut engine, vec![answered(Some(answer)), tick(1_297)]);
            let after = told(&run(&mut engine, vec![answered(None)]));
            assert_eq!(after.0, before.0, "{step:?} {answer:?}");
            assert_eq!(after.3, before.3, "{step:?} {answer:?}");
        }
    }
}

#[test]
fn a_claim_holds_for_the_next_process_whatever_comes_between() {
    let target = target(1);
    let mut inputs = grows(&target, 1_000, 1..6);
    inputs.push(proven(&target, 1_007, 100));
    inputs.push(proven(&target, 1_027, 400));
    inputs.push(tick(1_028));
    inputs.push(kill(&target, 1_030));
    let exit = Input::ProcessExit(ProcessExit {
        at: at(1_031),
        key: KEY,
        comm: "p".into(),
        exit_code: Ok(9),
        cgroup_inode: Some(1),
        killer: None,
    });
    // What was read at the kill comes after the process has exited, and is judged.
    let state = Input::FinalState(Box::new(FinalState {
        at: at(1_030),
        ..final_state(&target, 100, 250)
    }));
    for between in [
        vec![],
        vec![exit.clone()],
        vec![exit.clone(), state.clone()],
        vec![exit, tick(1_032), state, empty(&target, 1_033), tick(1_033)],
    ] {
        let what = format!("{between:?}");
        let mut next = living(&target, 1_035, &[(43, 20)]);
        if let Input::Sample(sample) = &mut next {
            for process in &mut sample.new_processes {
                Arc::make_mut(process).started_at = at(1_032);
            }
        }
        let next = vec![next, tick(1_035)];
        let all = [inputs.clone(), between, next].concat();
        let view = run(&mut Engine::new(Bounds::default(), None), all);
        let verdict = view.target(&target.id()).unwrap().verdict().unwrap().clone();
        assert!(verdict.class.is_leak(), "{what}: {verdict:?}");
        assert!(verdict.summary.contains("main.forget.func1"), "{}", verdict.summary);
    }
}
