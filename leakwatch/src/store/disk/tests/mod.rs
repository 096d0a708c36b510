//! The store as a whole: what is written is served, whatever happens to the files, the disk, the clock and the daemon.

mod damage;
mod full_disk;
mod kills;
mod lives;
mod profiles;

use super::batch::Batch;
use super::catalog::Recovered;
use super::codec::row::Row;
use super::column::Column;
use super::history::Found;
use super::history::History;
use super::retention::Limits;
use super::store::Store;
use leakwatch_analysis::model::units::Timestamp;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Begin of a slot of every tier.
const BEGIN: u64 = 1_700_006_400_000 / 86_400_000 * 86_400_000;
const STEP: u64 = 5_000;
const LIMITS: Limits = Limits {
    max_bytes: 64 << 20,
    max_age: Duration::from_hours(14 * 24),
};

fn open(directory: &Path, now: u64) -> Store {
    open_with(directory, LIMITS, now).0
}

fn open_with(directory: &Path, limits: Limits, now: u64) -> (Store, Recovered) {
    Store::open(directory, limits, now).unwrap()
}

fn target(number: u64) -> Arc<str> {
    format!("t{number}").into()
}

/// What a target counts at an instant: the same each time it is asked.
fn row(number: u64, at: u64) -> Row {
    let noise = (at / STEP).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(number) >> 40;
    let mut row = Row::new(at);
    row.set(Column::Charge, Some((1000 * number + at / STEP % 977) * 4096));
    row.set(Column::Anon, Some(noise % 64 * 4096));
    row.set(Column::Kernel, (!noise.is_multiple_of(7)).then_some(noise));
    row.set(Column::LiveHeap, (at / STEP).is_multiple_of(6).then_some(noise * 16));
    row
}

fn tick(at: u64, targets: u64) -> Batch {
    Batch {
        at,
        rows: (0..targets).map(|number| (target(number), row(number, at))).collect(),
        changes: vec![("tick".to_owned(), Some(at.to_le_bytes().to_vec()))],
        ..Batch::default()
    }
}

fn history(store: &Store) -> History {
    store.history()
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_unix_nanos(millis.saturating_mul(1_000_000))
}

fn samples(store: &Store, number: u64, from: u64, to: u64) -> Found {
    history(store).samples(&target(number), at(from), at(to), Duration::ZERO)
}

/// Bytes of all files.
fn size(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap())
        .map(|entry| {
            if entry.path().is_dir() {
                size(&entry.path())
            } else {
                entry.metadata().unwrap().len()
            }
        })
        .sum()
}

/// Makes a small random number of a state, and moves the state on.
fn random(state: &mut u64, below: u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below.max(1)
}
