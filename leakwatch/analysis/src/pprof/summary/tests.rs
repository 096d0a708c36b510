//! Columns, inlining, variance and bounds.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "statistics of small numbers"
)]

use super::super::proto::Function;
use super::super::proto::Label;
use super::super::proto::Line;
use super::super::proto::Mapping;
use super::super::proto::ValueType;
use super::*;
use crate::model::profile::ProfileLoss;

/// `main.main` calls `main.outer`, into which `main.inner` is inlined.
fn heap(samples: Vec<(Vec<u64>, [i64; 4], i64)>, rate: i64) -> Profile {
    let strings = [
        "",
        "alloc_objects",
        "alloc_space",
        "inuse_objects",
        "inuse_space",
        "bytes",
        "main.inner",
        "main.outer",
        "main.main",
        "main.go",
        "libc.so.6",
    ];
    let kind = |index| ValueType { r#type: index, unit: 5 };
    let function = |id, name| Function {
        id,
        name,
        system_name: name,
        filename: 9,
        start_line: 1,
    };
    let line = |function_id, line| Line {
        function_id,
        line,
        column: 0,
    };
    Profile {
        // Another order than Go's: columns are found by name.
        sample_type: vec![kind(4), kind(3), kind(2), kind(1)],
        sample: samples
            .into_iter()
            .map(
                |(location_id, [alloc_objects, alloc_space, inuse_objects, inuse_space], size)| ProfileSample {
                    location_id,
                    value: vec![inuse_space, inuse_objects, alloc_space, alloc_objects],
                    label: vec![Label {
                        key: 5,
                        num: size,
                        ..Label::default()
                    }],
                },
            )
            .collect(),
        mapping: vec![Mapping {
            id: 1,
            filename: 10,
            ..Mapping::default()
        }],
        location: vec![
            Location {
                id: 10,
                line: vec![line(1, 30), line(2, 20)],
                ..Location::default()
            },
            Location {
                id: 20,
                line: vec![line(3, 10)],
                ..Location::default()
            },
            Location {
                id: 30,
                mapping_id: 1,
                address: 0xabc,
                ..Location::default()
            },
        ],
        function: vec![function(1, 6), function(2, 7), function(3, 8)],
        string_table: strings.map(str::to_owned).to_vec(),
        period: rate,
        ..Profile::default()
    }
}

#[test]
fn inlined_frames_are_expanded_innermost_first_and_equal_stacks_are_added() {
    let profile = heap(
        vec![
            (vec![10, 20], [4, 64, 2, 32], 16),
            (vec![10, 20], [1, 48, 1, 48], 48),
            (vec![30, 20], [5, 5, 0, 0], 1),
        ],
        1,
    );
    let mut stacks = StackTable::default();
    let summary = summarize(&profile, ProfileType::Heap, &mut stacks).unwrap();
    assert_eq!(summary.losses, []);
    let seen: Vec<(Vec<String>, StackValue)> = summary
        .values
        .iter()
        .map(|(id, value)| {
            let frames = stacks.frames(id);
            (
                frames
                    .map(|frame| format!("{} {}:{}", frame.function, frame.file, frame.line))
                    .collect(),
                value,
            )
        })
        .collect();
    let value = |alloc_objects, alloc_space, inuse_objects, inuse_space| StackValue {
        alloc_objects,
        alloc_space,
        inuse_objects,
        inuse_space,
        inuse_variance: 0.0,
    };
    assert_eq!(
        seen,
        [
            (
                vec![
                    "main.inner main.go:30".into(),
                    "main.outer main.go:20".into(),
                    "main.main main.go:10".into()
                ],
                value(5, 112, 3, 80)
            ),
            (
                vec!["0xabc libc.so.6:0".into(), "main.main main.go:10".into()],
                value(5, 5, 0, 0)
            ),
        ]
    );
    assert_eq!(summary.total, value(10, 117, 3, 80));
}

/// The runtime's sampling played through with a fixed generator: the spread of the estimates must be the variance.
#[test]
fn the_variance_is_that_of_the_runtimes_sampling() {
    let (size, rate, objects, rounds) = (8_192_i64, 524_288_i64, 2_000_i64, 2_000_u32);
    let probability = -(-(size as f64) / rate as f64).exp_m1();
    let mut state = 1_u64;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let (mut estimates, mut variances) = (Vec::new(), 0.0);
    for _ in 0..rounds {
        let sampled = (0..objects).filter(|_| uniform() < probability).count() as f64;
        let scaled = (sampled / probability) as i64;
        let profile = heap(
            vec![(vec![20], [scaled, scaled * size, scaled, scaled * size], size)],
            rate,
        );
        let summary = summarize(&profile, ProfileType::Heap, &mut StackTable::default()).unwrap();
        estimates.push(summary.total.inuse_space as f64);
        variances += summary.total.inuse_variance;
    }
    let mean = estimates.iter().sum::<f64>() / f64::from(rounds);
    let spread = estimates.iter().map(|estimate| (estimate - mean).powi(2)).sum::<f64>() / f64::from(rounds);
    let ratio = variances / f64::from(rounds) / spread;
    assert!((0.9..1.1).contains(&ratio), "predicted over observed variance: {ratio}");
}

#[test]
fn a_profile_of_another_type_is_refused_by_name() {
    let error = summarize(&heap(vec![], 1), ProfileType::Goroutine, &mut StackTable::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "profile has no sample type goroutine but inuse_space, inuse_objects, alloc_space, alloc_objects"
    );
}

#[test]
fn a_stack_beyond_the_bound_is_at_its_innermost_frame_and_counted() {
    let mut profile = heap(
        vec![(vec![20], [1, 8, 1, 8], 8), (vec![20; MAX_FRAMES + 1], [1, 8, 1, 8], 8)],
        1,
    );
    profile.location[0].line = vec![profile.location[1].line[0]; MAX_FRAMES + 1];
    profile.sample.push(profile.sample[0].clone());
    profile.sample[2].location_id = vec![10];
    let mut stacks = StackTable::default();
    let summary = summarize(&profile, ProfileType::Heap, &mut stacks).unwrap();
    let [folded] = &summary.losses[..] else {
        panic!("{:?}", summary.losses);
    };
    assert_eq!((&*folded.reason, folded.samples), (ProfileLoss::FOLDED, 2));
    assert_eq!((folded.value.inuse_space, summary.total.inuse_space), (16, 24));
    let sum: i64 = summary.values.iter().map(|(_, value)| value.inuse_space).sum();
    assert_eq!(sum, 24, "nothing is left out");
}
