//! Profiles come back as they were, with the names of their stacks, across restarts of the daemon.

use super::*;
use crate::store::disk::partition::name::HOUR;
use crate::store::disk::partition::name::Tier;
use crate::store::disk::profiles::ProfileRecord;
use leakwatch_analysis::model::profile::ProfileLoss;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::Program;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::stack::Frame;
use leakwatch_analysis::model::stack::StackTable;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;
use std::collections::BTreeMap;

/// A profile of `stacks` stacks in a table of its own.
fn record(number: u64, at_millis: u64, stacks: u32, growth: i64) -> ProfileRecord {
    let mut table = StackTable::default();
    // Tables of two daemons number the same stacks differently.
    let order: Vec<u32> = if at_millis.is_multiple_of(2) {
        (0..stacks).collect()
    } else {
        (0..stacks).rev().collect()
    };
    let mut values: Vec<_> = order
        .into_iter()
        .map(|stack| {
            let frame = |function: String| Frame {
                function: function.into(),
                file: "main.go".into(),
                line: stack,
            };
            let id = table
                .intern(&[frame(format!("main.f{stack}")), frame("main.main".into())])
                .unwrap();
            let value = StackValue {
                inuse_space: i64::from(stack) * 100 + if stack % 10 == 0 { growth } else { 0 },
                inuse_objects: i64::from(stack),
                inuse_variance: 2.0,
                ..StackValue::default()
            };
            (id, value)
        })
        .collect();
    values.sort_by_key(|(stack, _)| *stack);
    let mut total = StackValue::default();
    for (_, value) in &values {
        total.add(value);
    }
    ProfileRecord {
        tier: Tier::Profiles,
        service: "checkout".into(),
        snapshot: Snapshot {
            target: TargetId::from_text(&target(number)),
            process: ProcessKey { pid: 7, start_ticks: 9 },
            profile_type: ProfileType::Heap,
            at: at(at_millis),
            source: ProfileSource::Snapshot,
            values: values.into(),
            total,
            period: 512 << 10,
            program: Program {
                file: "/bin/checkout".into(),
                build_id: "ab".into(),
            },
            losses: ProfileLoss::of(ProfileLoss::LOST, 3).into_iter().collect(),
        },
        stacks: Arc::new(table),
    }
}

/// Values by the names of the frames.
fn named(
    table: &StackTable,
    values: impl IntoIterator<Item = (leakwatch_analysis::model::stack::StackId, StackValue)>,
) -> BTreeMap<Vec<Frame>, i64> {
    let names = |stack| table.frames(stack).cloned().collect::<Vec<_>>();
    let values = values.into_iter();
    values.map(|(stack, value)| (names(stack), value.inuse_space)).collect()
}

#[test]
fn profiles_come_back_as_they_were() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path(), BEGIN);
    let mut written = Vec::new();
    for n in 0..60_u64 {
        let now = BEGIN + n * HOUR / 2 + n;
        let stacks = 50 + u32::try_from(n).unwrap() * 3 % 40;
        let records = [
            record(0, now, stacks, i64::try_from(n * 1000).unwrap()),
            record(1, now, 20, 0),
        ];
        written.push(records[0].clone());
        store.apply(&Batch {
            at: now,
            profiles: records.to_vec(),
            ..Batch::default()
        });
        if n % 17 == 16 {
            drop(store);
            store = open(directory.path(), now);
        }
    }
    let history = history(&store);
    let instants = history.profile_instants("t0", ProfileType::Heap, at(0), at(BEGIN * 2));
    assert_eq!(
        instants,
        written.iter().map(|record| record.snapshot.at).collect::<Vec<_>>()
    );
    for record in &written {
        let snapshot = &record.snapshot;
        let found = history
            .profile("t0", ProfileType::Heap, snapshot.at, Duration::from_secs(1))
            .unwrap();
        let summary = &found.content.summary;
        assert_eq!(
            named(&found.content.stacks, &summary.values),
            named(&record.stacks, &snapshot.values)
        );
        assert_eq!(
            (found.at, found.process, found.source),
            (snapshot.at, snapshot.process, snapshot.source)
        );
        assert_eq!(
            (summary.total, summary.period, &summary.program),
            (snapshot.total, snapshot.period, &snapshot.program)
        );
        assert_eq!(summary.losses, snapshot.losses.to_vec());
        assert_eq!(
            summary.values.iter().next().map(|(_, value)| value.inuse_variance),
            Some(2.0)
        );
    }
    assert!(
        history
            .profile("t0", ProfileType::Heap, at(BEGIN * 2), Duration::from_hours(1))
            .is_none()
    );
    assert!(history.status().losses.is_empty());
}

#[test]
fn a_profile_that_hardly_changes_takes_hardly_anything() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path(), BEGIN);
    let mut sizes = Vec::new();
    for n in 0..20_u64 {
        let before = store.bytes();
        store.apply(&Batch {
            at: BEGIN + n,
            profiles: vec![record(0, BEGIN + 2 * n, 500, i64::try_from(n).unwrap())],
            ..Batch::default()
        });
        sizes.push(store.bytes() - before);
    }
    assert!(sizes[1..].iter().all(|size| *size < 400), "{sizes:?}");
}
