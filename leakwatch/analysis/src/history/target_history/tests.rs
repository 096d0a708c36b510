//! Windows end at identity changes, profiles follow one process, kills are never counted twice.

use super::*;
use crate::model::counter::CgroupVersion;
use crate::model::counter::Counter;
use crate::model::counter::Counters;
use crate::model::event::OomTrigger;
use crate::model::event::OomVictim;
use crate::model::event::ProcessExit;
use crate::model::profile::ProfileSource;
use crate::model::profile::StackValue;
use crate::model::reading::MissingReason;
use crate::model::runtime::ManagedRuntime;
use crate::model::runtime::ManagedRuntimeName;
use crate::model::runtime::Runtime;
use crate::model::sample::ProcessSample;
use crate::model::target::CgroupKey;
use crate::model::target::TargetKind;
use std::sync::Arc;

fn missing() -> Missing {
    Missing::new(MissingReason::Unsupported, "not in this test")
}

fn target() -> Target {
    Target {
        cgroup: CgroupKey {
            inode: 1,
            path: "/a".into(),
        },
        kind: TargetKind::Cgroup,
        name: "a".into(),
        service: "a".into(),
        container: None,
        started_at: Timestamp::default(),
    }
}

fn process(pid: u32) -> Process {
    Process {
        key: ProcessKey { pid, start_ticks: 1 },
        started_at: Timestamp::default(),
        comm: "p".into(),
        exe: Err(missing()),
        program: None,
        runtime: Ok(Runtime::Native),
    }
}

/// A sample at `second` with processes of the given resident MiB.
fn sample(second: u64, limit: Limit, oom_kill: u64, processes: &[(u32, u64)]) -> Sample {
    let processes: Vec<ProcessSample> = processes
        .iter()
        .map(|(pid, mib)| ProcessSample {
            key: process(*pid).key,
            memory: Ok(ProcessMemory {
                rss: Bytes::from_mib(*mib),
                ..ProcessMemory::default()
            }),
        })
        .collect();
    Sample {
        target: target().id(),
        at: Timestamp::from_unix_seconds(second),
        cgroup: Ok(CgroupMemory {
            charge: Bytes::from_mib(10 + second),
            limit,
            counters: Counters::new(
                Some(CgroupVersion::V2),
                [
                    (Counter::ActiveFile, 0),
                    (Counter::InactiveFile, 0),
                    (Counter::LocalOomKill, oom_kill),
                    (Counter::LocalMax, 0),
                ],
            ),
        }),
        new_processes: processes
            .iter()
            .map(|sampled| Arc::new(process(sampled.key.pid)))
            .collect(),
        processes,
    }
}

fn kill(second: u64, pid: u32) -> OomKill {
    OomKill {
        at: Timestamp::from_unix_seconds(second),
        scope: Err(missing()),
        cgroup: Err(missing()),
        memcg: Err(missing()),
        victim: OomVictim {
            pid,
            start_ticks: None,
            comm: "p".into(),
            rss_anon: Err(missing()),
            rss_file: Err(missing()),
            rss_shmem: Err(missing()),
            page_tables: Err(missing()),
            oom_score_adj: Err(missing()),
            read_at_death: false,
        },
        trigger: OomTrigger { pid, comm: "p".into() },
    }
}

fn history() -> TargetHistory {
    TargetHistory::new(target(), Timestamp::from_unix_seconds(0))
}

const LIMIT: Limit = Limit::Bytes(Bytes::from_mib(100));

#[test]
fn a_window_ends_when_the_main_process_is_replaced_and_not_when_a_helper_is() {
    let mut history = history();
    history.apply_sample(&sample(1, LIMIT, 0, &[(1, 50), (2, 5)]));
    history.apply_sample(&sample(2, LIMIT, 0, &[(1, 50), (3, 5)]));
    assert_eq!(history.window().len(), 2);
    history.apply_sample(&sample(3, LIMIT, 0, &[(4, 50), (3, 5)]));
    assert_eq!(history.window().len(), 1);
    assert_eq!(
        history.past_windows.last().map(|window| window.end),
        Some(WindowEnd::Restart)
    );
    assert_eq!(
        history.points.all().len(),
        3,
        "points of earlier windows stay for the series"
    );
}

#[test]
fn equal_workers_that_take_turns_at_being_the_largest_are_one_run() {
    let mut history = history();
    for second in 1..20 {
        let turn = |worker: u64| 40 + (second + worker) % 4;
        history.apply_sample(&sample(second, LIMIT, 0, &[(1, turn(1)), (2, turn(2)), (3, turn(3))]));
    }
    assert!(history.past_runs.is_empty());
    assert_eq!(history.window().len(), 19);
    let main = history.main_process().map(|record| record.process.key.pid);
    history.apply_sample(&sample(20, LIMIT, 0, &[(1, 43), (2, 43), (3, 43), (9, 90)]));
    let larger = history.main_process().map(|record| record.process.key.pid);
    assert_eq!(
        (main, larger),
        (Some(2), Some(9)),
        "one that holds twice as much is another matter"
    );
}

#[test]
fn a_runtime_that_gives_up_with_its_own_heap_full_is_remembered() {
    // The news of its end may come before the next sample or after it.
    for is_late in [false, true] {
        let mut history = history();
        let mut first = sample(1, LIMIT, 0, &[(1, 80)]);
        let mut node = process(1);
        node.runtime = Ok(Runtime::Managed(ManagedRuntime {
            name: ManagedRuntimeName::Node,
            version: None,
            most_heap: Some(Bytes::from_mib(64)),
            most_heap_percent: None,
        }));
        first.new_processes = vec![Arc::new(node)];
        for process in &mut first.processes {
            process.memory = Ok(ProcessMemory {
                rss: Bytes::from_mib(80),
                anon: Bytes::from_mib(70),
                ..ProcessMemory::default()
            });
        }
        history.apply_sample(&first);
        let mut aborted = exit(2, 1);
        aborted.exit_code = Ok(6);
        if !is_late {
            history.apply_exit(&aborted);
        }
        history.apply_sample(&sample(3, LIMIT, 0, &[(2, 20)]));
        if is_late {
            history.apply_exit(&aborted);
        }
        let ended = history.past_runs.last().and_then(|run| run.ended);
        assert_eq!(ended.map(|(_, end)| end), Some(RunEnd::OutOfMemory), "late {is_late}");
    }
}

#[test]
fn a_window_that_ends_by_an_oom_kill_says_so() {
    let mut history = history();
    history.apply_sample(&sample(1, LIMIT, 0, &[(1, 50)]));
    history.apply_oom_kill(kill(2, 1));
    history.apply_sample(&sample(3, LIMIT, 1, &[(2, 5)]));
    assert_eq!(
        history.past_windows.last().map(|window| window.end),
        Some(WindowEnd::OomKill)
    );
    assert_eq!(
        history.past_windows.last().and_then(|window| window.peak),
        Some(Bytes::from_mib(11))
    );
}

fn exit(second: u64, pid: u32) -> ProcessExit {
    ProcessExit {
        at: Timestamp::from_unix_seconds(second),
        key: process(pid).key,
        comm: "p".into(),
        cgroup_inode: None,
        killer: None,
        exit_code: Ok(9),
    }
}

/// The kernel tells of a kill and of the exit; both, one or none of it may be known before the next sample.
#[test]
fn a_life_ends_by_its_kill_whatever_is_heard_first() {
    for (kill_first, exit_first, empty_between) in (0..8).map(|i| (i & 1 == 0, i & 2 == 0, i & 4 == 0)) {
        let mut history = history();
        history.apply_sample(&sample(1, LIMIT, 0, &[(1, 50)]));
        history.apply_sample(&sample(2, LIMIT, 0, &[(1, 60)]));
        if kill_first {
            history.apply_oom_kill(kill(3, 1));
        }
        if exit_first {
            history.apply_exit(&exit(3, 1));
        }
        if empty_between {
            history.apply_sample(&sample(4, LIMIT, 1, &[]));
        }
        history.apply_sample(&sample(5, LIMIT, 1, &[(2, 5)]));
        if !kill_first {
            history.apply_oom_kill(kill(3, 1));
        }
        let how = format!("kill first {kill_first}, exit first {exit_first}, empty between {empty_between}");
        assert_eq!(
            history.past_windows.iter().map(|window| window.end).collect::<Vec<_>>(),
            [WindowEnd::OomKill],
            "{how}"
        );
        assert_eq!(
            history.window().len(),
            1,
            "{how}: the new run starts with its own first sample"
        );
    }
}

#[test]
fn a_changed_limit_ends_the_window() {
    let mut history = history();
    history.apply_sample(&sample(1, LIMIT, 0, &[(1, 50)]));
    history.apply_sample(&sample(2, Limit::Max, 0, &[(1, 50)]));
    assert_eq!(
        history.past_windows.last().map(|window| (window.end, window.limit)),
        Some((WindowEnd::LimitChange, LIMIT))
    );
}

#[test]
fn a_kill_is_reported_by_its_event_or_by_the_counter_but_not_by_both() {
    let reported = |kills_at: &[u64], counters: &[u64]| {
        let mut history = history();
        for (second, counter) in (1..).zip(counters) {
            if kills_at.contains(&second) {
                history.apply_oom_kill(kill(second, 1));
            }
            history.apply_sample(&sample(second, LIMIT, *counter, &[(1, 50)]));
        }
        (history.oom_kill_count, history.unreported_oom_kills())
    };
    for (kills_at, counters, expected) in [
        (&[][..], &[7, 7, 7][..], (0, None)), // kills before we came are not ours
        (&[2], &[0, 1, 1], (1, None)),        // event first
        (&[3], &[0, 1, 1], (1, None)),        // counter first, event one round later
        (&[], &[0, 1], (0, None)),            // the event may still come
        (&[], &[0, 1, 1], (0, Some(1))),      // it did not
        (&[2], &[0, 3, 3], (1, Some(2))),     // two of three lost
    ] {
        assert_eq!(reported(kills_at, counters), expected, "{kills_at:?} {counters:?}");
    }
}

fn snapshot(second: u64, pid: u32) -> Snapshot {
    Snapshot {
        target: target().id(),
        process: process(pid).key,
        profile_type: ProfileType::Heap,
        at: Timestamp::from_unix_seconds(second),
        source: ProfileSource::Endpoint,
        values: [].into(),
        total: StackValue::default(),
        period: 1,
        program: crate::model::profile::Program::default(),
        losses: [].into(),
    }
}

#[test]
fn profiles_follow_one_process_and_never_mix_two() {
    let mut history = history();
    history.apply_sample(&sample(1, LIMIT, 0, &[(1, 50), (2, 60), (3, 200)]));
    assert!(history.apply_snapshot(snapshot(1, 1)));
    assert!(
        !history.apply_snapshot(snapshot(2, 2)),
        "a process of similar size does not take over"
    );
    assert!(history.apply_snapshot(snapshot(3, 3)), "a much larger one does");
    history.apply_sample(&sample(4, LIMIT, 0, &[(1, 50), (2, 60)]));
    assert!(
        history.apply_snapshot(snapshot(5, 2)),
        "and so does any, once the followed one is gone"
    );
    let series = &history.snapshots[&ProfileType::Heap];
    assert_eq!(
        series
            .as_slice()
            .iter()
            .map(|kept| kept.process.pid)
            .collect::<Vec<_>>(),
        [2]
    );
}
