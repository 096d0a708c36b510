//! Profiles within their bound.

use super::*;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::decoded::Summing;
use leakwatch_analysis::model::profile::ProfileLoss;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::stack::Frame;
use leakwatch_analysis::model::stack::StackTable;

/// A heap of so many stacks, which ten functions allocate, each with one byte more than the one before.
fn heap(stacks: i64) -> Arc<ProfileContent> {
    heap_with(stacks, 0)
}

/// The same with so many bytes more on each stack.
fn heap_with(stacks: i64, more: i64) -> Arc<ProfileContent> {
    let frame = |function: String| Frame {
        function: function.into(),
        file: "/src/main.go".into(),
        line: 1,
    };
    let mut table = StackTable::default();
    let mut sum = Summing::default();
    for number in 0..stacks {
        let site = frame(format!("main.site{}", number % 10));
        let caller = frame(format!("main.caller{}", number % 1_000));
        let outer = frame(format!("main.outer{}", number / 1_000));
        let stack = table.intern(&[site, caller, outer]);
        let value = StackValue {
            inuse_space: number + more,
            ..StackValue::default()
        };
        sum.add(&mut table, stack, None, &value);
    }
    let summary = sum.finish(1);
    Arc::new(ProfileContent { stacks: table, summary })
}

fn taken(target: &Target, second: u64, content: &Arc<ProfileContent>) -> Input {
    Input::Profile(TakenProfile {
        at: Timestamp::from_unix_seconds(second),
        target: target.id(),
        process: KEY,
        profile_type: ProfileType::Heap,
        source: ProfileSource::Snapshot,
        profile: Ok(Arc::clone(content)),
    })
}

#[test]
fn one_profile_that_is_too_large_is_merged_and_says_so() {
    let target = target(1);
    let content = heap(30_000);
    let bounds = Bounds {
        profile_bytes: 1 << 20,
        ..Bounds::default()
    };
    let mut engine = Engine::new(bounds, None);
    let mut inputs = life(&target);
    inputs.retain(|input| !matches!(input, Input::OomKill(_)));
    for second in [1_200, 1_230, 1_260] {
        inputs.push(taken(&target, second, &content));
        inputs.push(Input::Tick {
            at: Timestamp::from_unix_seconds(second),
        });
    }
    let view = run(&mut engine, inputs);
    assert!(view.profile_bytes() <= 1 << 20, "{}", view.profile_bytes());
    let history = &view.target(&target.id()).unwrap().history;
    let newest = history.snapshots[&ProfileType::Heap].newest().unwrap();
    assert_eq!(newest.total, content.summary.total);
    let held: i64 = newest.values.iter().map(|(_, value)| value.inuse_space).sum();
    assert_eq!(held, content.summary.total.inuse_space, "nothing is left out");
    let merged = newest.losses.iter().find(|loss| loss.reason == ProfileLoss::MERGED);
    assert!(merged.is_some_and(|loss| loss.samples > 0), "{:?}", newest.losses);
    assert!(view.losses().contains_key("profiles_merged"), "{:?}", view.losses());
    // The largest is whole, of the smallest the call between the outermost and the one that allocates is left out.
    let frames = |stack| history.stacks.frames(stack).count();
    let largest = newest.values.iter().max_by_key(|(_, value)| value.inuse_space).unwrap();
    assert!(frames(largest.0) == 2 || frames(largest.0) == 3);
    assert!(newest.values.iter().any(|(stack, _)| frames(stack) == 3));
    assert!(newest.values.iter().any(|(stack, _)| frames(stack) == 2));
}

#[test]
fn stacks_of_targets_that_are_gone_are_given_back() {
    let mut engine = Engine::new(Bounds::default(), None);
    let mut largest = 0;
    for number in 1..60 {
        let target = target(number);
        let content = heap(5_000 + i64::try_from(number).unwrap());
        let mut inputs = life(&target);
        inputs.push(taken(&target, 1_200, &content));
        inputs.push(Input::TargetGone {
            at: Timestamp::from_unix_seconds(1_201),
            target: target.id(),
        });
        inputs.push(Input::Tick {
            at: Timestamp::from_unix_seconds(1_202),
        });
        let view = run(&mut engine, inputs);
        largest = largest.max(view.profile_bytes());
    }
    assert!(largest <= Bounds::default().profile_bytes, "{largest}");
    let view = engine.views().newest();
    let kept = view
        .targets()
        .filter(|(_, target)| !target.history.snapshots.is_empty());
    assert!(kept.count() > 10, "as many as fit are still there");
}

#[test]
fn many_that_die_at_once_all_keep_a_profile_and_the_oldest_lose_small_stacks_first() {
    const KILLS: u64 = 12;
    let mut totals = Vec::new();
    // Two of them fit as they are.
    let bounds = Bounds {
        profile_bytes: 7 << 18,
        ..Bounds::default()
    };
    let mut engine = Engine::new(bounds, None);
    for number in 1..=KILLS {
        let target = target(number);
        // What is equal would be kept once.
        let content = heap_with(30_000, i64::from(u32::try_from(number).unwrap()));
        totals.push(content.summary.total);
        let mut inputs = life(&target);
        inputs.retain(|input| !matches!(input, Input::OomKill(_)));
        inputs.push(taken(&target, 1_200, &content));
        inputs.push(kill(&target, 1_201));
        inputs.push(Input::TargetGone {
            at: Timestamp::from_unix_seconds(1_202),
            target: target.id(),
        });
        run(&mut engine, inputs);
    }
    let view = run(
        &mut engine,
        vec![Input::Tick {
            at: Timestamp::from_unix_seconds(1_205),
        }],
    );
    assert!(view.profile_bytes() <= 7 << 18, "{}", view.profile_bytes());
    let kept: Vec<(usize, StackValue)> = view
        .post_mortems()
        .flat_map(|post_mortem| &post_mortem.profiles)
        .map(|profile| (profile.values.len(), profile.total))
        .collect();
    assert_eq!(kept.len() as u64, KILLS);
    assert!(kept.iter().map(|(_, total)| total).eq(&totals));
    assert!(kept.is_sorted_by_key(|(stacks, _)| *stacks), "{kept:?}");
    for post_mortem in view.post_mortems() {
        for (stack, _) in post_mortem.profiles.iter().flat_map(|profile| &profile.values) {
            let innermost = post_mortem.stacks.frames(stack).next().unwrap();
            assert!(innermost.function.starts_with("main.site"), "{innermost:?}");
        }
    }
    assert!(
        view.losses().contains_key("post_mortem_profiles_merged"),
        "{:?}",
        view.losses()
    );
}
