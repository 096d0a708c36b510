//! What must hold for any input: no panic, the same answer twice, no dependence on when or in which unit it happened.

use super::agreement;
use super::frame;
use super::key;
use super::sample;
use super::snapshot;
use super::stack_of;
use super::target;
use crate::history::TargetHistory;
use crate::investigate;
use crate::model::investigation::Answer;
use crate::model::investigation::StepId;
use crate::model::profile::ProfileType;
use crate::model::profile::StackValue;
use crate::model::units::Timestamp;
use crate::service;
use crate::stats::trend;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

/// Amounts that break arithmetic more often than chance would.
fn amount() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(u64::MAX),
        Just(i64::MAX.unsigned_abs()),
        0..1_u64 << 33,
        any::<u64>()
    ]
}

fn signed() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), Just(i64::MAX), Just(i64::MIN), -5..5_i64, 0..1_i64 << 33]
}

#[derive(Clone, Debug)]
enum Happening {
    Sample {
        anonymous: u64,
        cache: u64,
        limit: Option<u64>,
        pid: u32,
    },
    Profile {
        kind: ProfileType,
        values: Vec<(u8, i64, i64)>,
        variance: f64,
        pid: u32,
    },
    Kill {
        pid: u32,
    },
}

fn happening() -> impl Strategy<Value = (u64, Happening)> {
    let kind = prop_oneof![
        Just(ProfileType::Heap),
        Just(ProfileType::Goroutine),
        Just(ProfileType::GoroutineLeak)
    ];
    let variance = prop_oneof![Just(0.0), Just(f64::MAX), 0.0..1e18];
    let what = prop_oneof![
        4 => (amount(), amount(), proptest::option::of(amount()), 1..3_u32)
            .prop_map(|(anonymous, cache, limit, pid)| Happening::Sample { anonymous, cache, limit, pid }),
        3 => (kind, proptest::collection::vec((0..6_u8, signed(), signed()), 0..6), variance, 1..3_u32)
            .prop_map(|(kind, values, variance, pid)| Happening::Profile { kind, values, variance, pid }),
        1 => (1..3_u32).prop_map(|pid| Happening::Kill { pid }),
    ];
    (
        prop_oneof![Just(0_u64), 1..20_000_000_000_u64, Just(u64::MAX / 64)],
        what,
    )
}

#[expect(clippy::cast_precision_loss, reason = "any value will do")]
fn build(happenings: &[(u64, Happening)], shift: u64) -> (TargetHistory, Timestamp) {
    let start = Timestamp::from_unix_nanos(shift);
    let mut history = TargetHistory::new(target(start), start);
    let mut now = start;
    for (nanos, what) in happenings {
        now = now.plus(Duration::from_nanos(*nanos));
        match what {
            Happening::Sample {
                anonymous,
                cache,
                limit,
                pid,
            } => {
                let new = Some(super::process_facts(*pid, start));
                let limit = limit.map(|limit| limit as f64);
                let made = sample(
                    &history,
                    now,
                    *pid,
                    new,
                    *anonymous as f64,
                    *cache as f64,
                    0.0,
                    limit,
                    0,
                );
                history.apply_sample(&made);
            }
            Happening::Profile {
                kind,
                values,
                variance,
                pid,
            } => {
                let mut seen = BTreeMap::new();
                for (stack, inuse, alloc) in values {
                    let function = format!("main.f{stack}");
                    let id = std::sync::Arc::make_mut(&mut history.stacks)
                        .intern(&[frame("runtime.mallocgc", 1), frame(&function, 2)])
                        .unwrap();
                    let value = StackValue {
                        alloc_objects: *alloc,
                        alloc_space: *alloc,
                        inuse_objects: *inuse,
                        inuse_space: *inuse,
                        inuse_variance: *variance,
                    };
                    seen.insert(id, value);
                }
                let mut made = snapshot(&history, *kind, Vec::new(), *pid, now);
                made.total = seen.values().next().copied().unwrap_or_default();
                made.values = seen.into_iter().collect();
                history.apply_snapshot(made);
            }
            Happening::Kill { pid } => history.apply_oom_kill(super::kill(now, *pid)),
        }
    }
    (history, now)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_history_gets_the_same_finite_answer_twice(
        happenings in proptest::collection::vec(happening(), 0..60),
        overruled in proptest::collection::btree_map(0..7_usize, 0..3_usize, 0..4),
    ) {
        let (history, now) = build(&happenings, 1_700_000_000_000_000_000);
        let answers = [Answer::Yes, Answer::No, Answer::Unknown];
        let overrides: BTreeMap<StepId, Answer> =
            overruled.into_iter().map(|(step, answer)| (StepId::ALL[step], answers[answer])).collect();
        let first = investigate(&history, &overrides, &[], now);
        let (rebuilt, _) = build(&happenings, 1_700_000_000_000_000_000);
        let again = investigate(&rebuilt, &overrides, &[], now);
        // Compared as text: a NaN would not equal itself.
        prop_assert_eq!(format!("{first:?}"), format!("{again:?}"));
        prop_assert_eq!(first.steps.len(), StepId::ALL.len());
        prop_assert!((0.0..=1.0).contains(&first.verdict.confidence), "{:?}", first.verdict);
        prop_assert!(!first.verdict.summary.is_empty());
        prop_assert!(first.steps.iter().all(|step| !step.explanation.is_empty() && !step.why.is_empty()));
        prop_assert!(first.verdict.growth_bytes_per_second.is_none_or(f64::is_finite));
        if overrides.is_empty() {
            prop_assert_eq!(agreement::contradiction(&history, &first.verdict, now), None);
        }
        let outlier = service::outlier(&[&history, &history], now);
        prop_assert!(outlier.is_none_or(|outlier| !outlier.score.is_nan()));
    }

    #[test]
    fn a_fit_follows_shift_and_scale(
        values in proptest::collection::vec(0.0..1e9_f64, 5..40),
        shift in -1e9..1e9_f64,
        exponent in -3..6_i32,
    ) {
        let at = |i: usize| crate::stats::robust::count(i) * 5.0;
        let scale = 2.0_f64.powi(exponent);
        let plain: Vec<(f64, f64)> = values.iter().enumerate().map(|(i, y)| (at(i), *y)).collect();
        let moved: Vec<(f64, f64)> = plain.iter().map(|(t, y)| (t + 1e4, y * scale + shift)).collect();
        let (plain, moved) = (trend::fit(&plain).unwrap(), trend::fit(&moved).unwrap());
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-3 * (1.0 + a.abs().max(b.abs()));
        prop_assert!(close(plain.slope.estimate * scale, moved.slope.estimate), "{plain:?} {moved:?}");
        prop_assert!(close(plain.slope.low * scale, moved.slope.low), "{plain:?} {moved:?}");
        prop_assert!(close(plain.noise * scale, moved.noise), "{plain:?} {moved:?}");
    }
}

/// The own frame of the simulator's stacks is what the culprit must be; guards the simulator itself.
#[test]
fn simulated_stacks_have_one_own_innermost_frame() {
    let mut table = crate::model::stack::StackTable::default();
    let id = table.intern(&stack_of("main.leak")).unwrap();
    let build = crate::culprit::Build::learn(&table, [id]);
    assert_eq!(
        build.culprit(table.frames(id)).map(|frame| &*frame.function),
        Some("main.leak")
    );
    assert_eq!(key(7).pid, 7);
}
