//! Restarts, clocks, bounds, formats.

use super::*;
use crate::store::disk::codec::rollup;
use crate::store::disk::partition::name::HOUR;
use crate::store::disk::partition::name::MINUTE;
use crate::store::disk::partition::name::Tier;
use crate::store::disk::verify;

/// A daemon that is killed leaves its files as they are: nothing is written when a store is dropped.
#[test]
fn what_was_taken_in_is_served_after_any_number_of_kills() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path(), BEGIN);
    let mut expected = Vec::new();
    for tick_number in 0..600_u64 {
        // Ticks near the end of a slot, so that partitions are completed on the way.
        let now = BEGIN + 6 * HOUR - 400 * STEP + tick_number * STEP;
        store.apply(&tick(now, 2));
        expected.push(row(1, now));
        if tick_number % 150 == 149 {
            drop(store);
            store = open(directory.path(), now);
            let found = samples(&store, 1, 0, u64::MAX);
            assert_eq!(found.rows, expected, "after {tick_number} ticks");
        }
    }
    store.close().unwrap();
    let report = verify::look(directory.path(), true).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(report.tiers[&Tier::Raw].rows, 1200);
    assert!(history(&store).status().losses.is_empty());
}

#[test]
fn minutes_and_hours_are_those_of_all_samples() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path(), BEGIN);
    let step = 30_000;
    let rows: Vec<Row> = (0..800).map(|n| row(0, BEGIN + n * step)).collect();
    for row in &rows {
        store.apply(&tick(row.at, 1));
    }
    // The first slot is complete, the second is not.
    let end = BEGIN + 6 * HOUR;
    for (step, span) in [(Duration::from_mins(1), MINUTE), (Duration::from_hours(1), HOUR)] {
        let found = history(&store).samples("t0", at(BEGIN), at(end - 1), step);
        let of_slot: Vec<Row> = rows.iter().filter(|row| row.at < end).cloned().collect();
        assert_eq!((found.rollups, found.span), (rollup::of_rows(&of_slot, span), span));
        assert!(found.rows.is_empty());
    }
    let found = history(&store).samples("t0", at(end), at(u64::MAX / 1_000_000), Duration::from_mins(1));
    assert!(
        found.rollups.is_empty() && !found.rows.is_empty(),
        "where there are no minutes yet, there are samples"
    );
    // A daemon that was killed before it made them makes them at its start.
    drop(store);
    for entry in std::fs::read_dir(directory.path().join("store")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("minute") || name.starts_with("hour") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let store = open(directory.path(), end);
    let found = history(&store).samples("t0", at(BEGIN), at(end - 1), Duration::from_mins(1));
    assert_eq!(found.rollups.len(), 360);
}

#[test]
fn a_clock_that_jumps_loses_nothing_and_keeps_order() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path(), BEGIN);
    let mut written = std::collections::BTreeMap::new();
    for begin in [BEGIN + HOUR, BEGIN + 40 * HOUR, BEGIN, BEGIN + HOUR + 17, 1_000_000] {
        drop(store);
        store = open(directory.path(), begin);
        for n in 0..200 {
            let now = begin + n * STEP;
            store.apply(&tick(now, 1));
            written.insert(now, row(0, now));
        }
        store.flush_all().unwrap();
    }
    // What a wrong clock wrote in 1970 is beyond the age as soon as it is complete; all else is there.
    let found = samples(&store, 0, BEGIN, u64::MAX / 1_000_000);
    let expected: Vec<Row> = written
        .into_iter()
        .filter(|(at, _)| *at >= BEGIN)
        .map(|(_, row)| row)
        .collect();
    assert_eq!(found.rows.len(), expected.len());
    assert_eq!(found.rows, expected);
}

#[test]
fn the_bound_holds_at_all_times() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits {
        max_bytes: 384 << 10,
        ..LIMITS
    };
    let (mut store, _) = open_with(directory.path(), limits, BEGIN);
    let mut most = 0;
    for n in 0..900_u64 {
        store.apply(&tick(BEGIN + n * 60_000, 60));
        let now = size(directory.path());
        assert!(now <= limits.max_bytes, "{now} bytes after {n} ticks");
        most = most.max(now);
    }
    assert!(most > limits.max_bytes / 4, "and it is made use of: {most}");
    let tiers = history(&store).status().tiers;
    assert!(tiers[&Tier::Raw].oldest.unwrap() > BEGIN, "the oldest are gone");
    assert!(
        !samples(&store, 3, BEGIN + 800 * 60_000, u64::MAX / 1_000_000)
            .rows
            .is_empty()
    );
}

#[test]
fn a_store_of_a_later_format_is_set_aside_and_the_daemon_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path(), BEGIN);
    store.apply(&tick(BEGIN, 1));
    store.close().unwrap();
    drop(store);
    std::fs::write(directory.path().join("store/FORMAT"), "7\n").unwrap();
    let store = open(directory.path(), BEGIN);
    assert!(samples(&store, 0, 0, u64::MAX / 1_000_000).rows.is_empty());
    let notes = history(&store).status().notes;
    assert!(notes[0].contains("store-format-7-1"), "{notes:?}");
    assert!(directory.path().join("store-format-7-1/FORMAT").exists());
    // Back to the later version, and again to this one.
    drop(store);
    std::fs::write(directory.path().join("store/FORMAT"), "7\n").unwrap();
    drop(open(directory.path(), BEGIN));
    assert!(directory.path().join("store-format-7-2/FORMAT").exists());
}
