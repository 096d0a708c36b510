//! What the kernel read of a victim, and the post-mortem that waits for it.

use super::*;
use leakwatch_analysis::model::final_heap::FinalGoroutines;
use leakwatch_analysis::model::final_heap::FinalHeap;
use leakwatch_analysis::model::final_heap::FinalState;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::stack::StackId;
use leakwatch_analysis::model::values::Values;
use leakwatch_analysis::pprof;

/// What was read of the process that `kill` is about: bytes retained, and bytes in use with garbage.
pub(super) fn final_state(target: &Target, retained: i64, in_use: i64) -> FinalState {
    let profile = |bytes: i64| {
        let mut profile = proto::Profile {
            string_table: [
                "",
                "alloc_objects",
                "count",
                "alloc_space",
                "bytes",
                "inuse_objects",
                "inuse_space",
            ]
            .map(str::to_owned)
            .into(),
            ..proto::Profile::default()
        };
        for (name, unit) in [(1, 2), (3, 4), (5, 2), (6, 4)] {
            profile.sample_type.push(proto::ValueType { r#type: name, unit });
        }
        profile.sample.push(proto::ProfileSample {
            value: vec![1, bytes, 1, bytes],
            ..proto::ProfileSample::default()
        });
        pprof::made(&profile, ProfileType::Heap)
    };
    FinalState {
        at: Timestamp::from_unix_seconds(1_118),
        target: target.id(),
        process: KEY,
        heap: Ok(FinalHeap {
            allocated: profile(in_use).ok(),
            retained: profile(retained).ok(),
            buckets: 1,
            lost: 0,
            unreadable: 0,
            unknown: 0,
            unknown_bytes: Bytes(0),
            not_reached: 0,
            left_out: 0,
            left_out_bytes: Bytes(0),
            truncation: None,
            held_up: Duration::from_millis(1),
        }),
        goroutines: Ok(FinalGoroutines::default()),
    }
}

#[test]
fn the_final_heap_joins_the_kill_whichever_comes_first() {
    let target = target(1);
    let state = || Input::FinalState(Box::new(final_state(&target, 100, 250)));
    let mut after = life(&target);
    after.push(state());
    let mut before = life(&target);
    before.insert(before.len() - 1, state());
    for inputs in [after, before] {
        let view = run(&mut Engine::new(Bounds::default(), None), inputs);
        let post_mortem = view.post_mortems().next().unwrap();
        assert!(
            post_mortem
                .final_state
                .as_ref()
                .unwrap()
                .heap
                .as_ref()
                .unwrap()
                .is_complete()
        );
        let [profile] = post_mortem.profiles.as_slice() else {
            panic!("{:?}", post_mortem.profiles)
        };
        assert_eq!(
            (profile.source, profile.is_complete()),
            (ProfileSource::KernelAtDeath, true)
        );
        assert_eq!(
            profile.values.iter().next().unwrap().1.inuse_space,
            250,
            "all that was in use"
        );
        // What is compared with snapshots is what the last collection retained.
        let history = &view.target(&target.id()).unwrap().history;
        let newest = history.snapshots[&ProfileType::Heap].newest().unwrap();
        assert_eq!(
            (newest.source, newest.total.inuse_space),
            (ProfileSource::KernelAtDeath, 100)
        );
    }
}

#[test]
fn the_heap_of_another_process_or_of_no_kill_joins_nothing() {
    let target = target(1);
    let mut inputs = life(&target);
    inputs.push(Input::FinalState(Box::new(FinalState {
        process: ProcessKey {
            start_ticks: KEY.start_ticks + 1,
            ..KEY
        },
        ..final_state(&target, 1, 1)
    })));
    inputs.push(Input::Tick {
        at: Timestamp::from_unix_seconds(1_200),
    });
    // By now it is known that no kill belongs to it.
    let again = OomKill {
        victim: OomVictim {
            start_ticks: Some(KEY.start_ticks + 1),
            ..victim_of(kill(&target, 1_201))
        },
        ..kill_of(kill(&target, 1_201))
    };
    inputs.push(Input::OomKill(Box::new(again)));
    let view = run(&mut Engine::new(Bounds::default(), None), inputs);
    assert_eq!(view.post_mortems().count(), 2);
    assert!(view.post_mortems().all(|post_mortem| post_mortem.final_state.is_none()));
}

fn kill_of(input: Input) -> OomKill {
    let Input::OomKill(kill) = input else {
        panic!("{input:?}")
    };
    *kill
}

fn victim_of(input: Input) -> OomVictim {
    kill_of(input).victim
}

#[test]
fn profiles_of_post_mortems_are_bounded_and_the_oldest_go_first() {
    let target = target(1);
    let mut inputs = life(&target);
    inputs.push(Input::FinalState(Box::new(final_state(&target, 1, 2))));
    // One value in the history, and one in each post-mortem: two fit, with some room.
    let value = Values::from([(StackId::EMPTY, StackValue::default())]).bytes();
    let bounds = Bounds {
        profile_bytes: 5 * value / 2,
        ..Bounds::default()
    };
    let mut engine = Engine::new(bounds, None);
    run(&mut engine, inputs);
    let second = OomKill {
        victim: OomVictim {
            pid: 43,
            ..victim_of(kill(&target, 1_130))
        },
        ..kill_of(kill(&target, 1_130))
    };
    let later = FinalState {
        at: Timestamp::from_unix_seconds(1_130),
        process: ProcessKey { pid: 43, ..KEY },
        ..final_state(&target, 1, 3)
    };
    let view = run(
        &mut engine,
        vec![Input::OomKill(Box::new(second)), Input::FinalState(Box::new(later))],
    );
    let kept: Vec<usize> = view
        .post_mortems()
        .map(|post_mortem| post_mortem.profiles.len())
        .collect();
    assert_eq!(kept, [0, 1]);
    assert_eq!(view.losses().get("post_mortem_profiles_dropped"), Some(&1));
}

#[test]
fn a_post_mortem_waits_for_what_the_kernel_read_but_not_for_ever() {
    let target = target(1);
    let mut engine = Engine::new(Bounds::default(), None);
    let waits = |engine: &mut Engine, inputs| run(engine, inputs).post_mortems().next().unwrap().awaits_final_state;
    let tick = |second| {
        vec![Input::Tick {
            at: Timestamp::from_unix_seconds(second),
        }]
    };
    assert!(waits(&mut engine, life(&target)));
    assert!(waits(&mut engine, tick(1_130)));
    assert!(!waits(&mut engine, tick(1_150)), "it got lost");
    // What comes after all is not turned away.
    let late = vec![Input::FinalState(Box::new(final_state(&target, 100, 250)))];
    assert!(!waits(&mut engine, late));
    let view = engine.views().newest();
    assert!(view.post_mortems().next().unwrap().final_state.is_some());
    // Nothing is said to come of a process that the kernel was not told to read.
    let unread = OomKill {
        victim: OomVictim {
            read_at_death: false,
            ..victim_of(kill(&target, 1_130))
        },
        ..kill_of(kill(&target, 1_130))
    };
    let unread = vec![Input::OomKill(Box::new(unread))];
    assert!(!waits(&mut Engine::new(Bounds::default(), None), unread));
}
