//! Bits that flip and files that are cut off: noticed, set aside, and everything else is served. No value is ever served that was not written.

use super::*;
use crate::store::disk::partition::name::HOUR;
use crate::store::disk::verify;
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

/// A small store over the end of a slot: complete partitions of each tier of samples, one that is being filled, a journal and a catalog.
fn small() -> (tempfile::TempDir, HashMap<(u64, u64), Row>) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path(), BEGIN);
    let mut written = HashMap::new();
    for n in 0..140 {
        let now = BEGIN + 6 * HOUR - 130 * STEP + n * STEP;
        store.apply(&tick(now, 2));
        for number in 0..2 {
            written.insert((number, now), row(number, now));
        }
    }
    (directory, written)
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory.join("store"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name != "FORMAT"))
        .collect();
    files.sort();
    files
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    fs::create_dir(to.path().join("store")).unwrap();
    for entry in fs::read_dir(from.join("store")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.path().join("store").join(path.file_name().unwrap())).unwrap();
    }
    to
}

/// Opens what is left, and checks that it says nothing that was not written. How many samples are served.
fn check(directory: &Path, written: &HashMap<(u64, u64), Row>, thorough: bool) -> usize {
    let mut store = open(directory, BEGIN + 7 * HOUR);
    if thorough {
        serves_only(&store, written);
        // What readers noticed is seen to with the next batch.
        store.apply(&Batch {
            at: BEGIN + 7 * HOUR,
            ..Batch::default()
        });
    }
    serves_only(&store, written)
}

fn serves_only(store: &Store, written: &HashMap<(u64, u64), Row>) -> usize {
    let mut served = 0;
    for number in 0..2 {
        let found = samples(store, number, 0, u64::MAX / 1_000_000);
        for row in &found.rows {
            assert_eq!(written.get(&(number, row.at)), Some(row));
        }
        served += found.rows.len();
        let minutes = history(store).samples(&target(number), at(0), at(BEGIN + 6 * HOUR - 1), Duration::from_mins(1));
        for rollup in minutes.rollups {
            let of_minute = written
                .iter()
                .filter(|((of, at), _)| *of == number && at / 60_000 * 60_000 == rollup.from);
            let charges: Vec<u64> = of_minute.filter_map(|(_, row)| row.get(Column::Charge)).collect();
            let aggregate = rollup.get(Column::Charge).unwrap();
            assert!(charges.iter().min() <= Some(&aggregate.min) && charges.iter().max() >= Some(&aggregate.max));
        }
    }
    served
}

#[test]
fn flipped_bits_are_noticed_and_the_rest_is_served() {
    let (whole, written) = small();
    let files = files(whole.path());
    let bytes: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    let mut state = 7;
    let (mut least, mut noted) = (usize::MAX, 0);
    for round in 0..1000 {
        let place = usize::try_from(random(&mut state, files.len() as u64)).unwrap();
        let offset = usize::try_from(random(&mut state, bytes[place].len() as u64)).unwrap();
        let bit = random(&mut state, 8);
        let copy = copy(whole.path());
        let path = copy.path().join("store").join(files[place].file_name().unwrap());
        let mut damaged = bytes[place].clone();
        damaged[offset] ^= 1 << bit;
        fs::write(&path, damaged).unwrap();
        let thorough = round % 10 == 0;
        noted += usize::from(thorough && !verify::look(copy.path(), true).unwrap().problems.is_empty());
        let served = check(copy.path(), &written, thorough);
        least = least.min(served);
    }
    // The four zeros at the end of a head are no part of anything; a damaged end of a file that is being filled looks cut off.
    assert!(noted > 80, "{noted} of 100 are named by `store verify`");
    // At worst it is the one large block of a target.
    assert!(
        least * 3 >= written.len(),
        "{least} of {} are served at worst",
        written.len()
    );
}

#[test]
fn files_that_are_cut_off_serve_what_is_whole() {
    let (whole, written) = small();
    let files = files(whole.path());
    let bytes: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    let mut state = 11;
    for _ in 0..300 {
        let place = usize::try_from(random(&mut state, files.len() as u64)).unwrap();
        let end = usize::try_from(random(&mut state, bytes[place].len() as u64)).unwrap();
        let copy = copy(whole.path());
        let path = copy.path().join("store").join(files[place].file_name().unwrap());
        fs::write(&path, &bytes[place][..end]).unwrap();
        check(copy.path(), &written, false);
    }
}

#[test]
fn a_damaged_partition_is_set_aside_told_of_and_served_without_what_is_damaged() {
    let (whole, written) = small();
    let raw = files(whole.path())
        .into_iter()
        .find(|path| path.to_string_lossy().contains("raw-"))
        .unwrap();
    let mut bytes = fs::read(&raw).unwrap();
    // In the first block.
    let middle = 90;
    bytes[middle] ^= 1;
    fs::write(&raw, bytes).unwrap();
    let mut store = open(whole.path(), BEGIN + 7 * HOUR);
    let before = samples(&store, 0, 0, u64::MAX / 1_000_000).rows.len();
    store.apply(&Batch {
        at: BEGIN + 7 * HOUR,
        ..Batch::default()
    });
    let status = history(&store).status();
    assert_eq!(status.losses.get("store_partition_damaged"), Some(&1));
    assert!(status.notes[0].contains("set aside"), "{:?}", status.notes);
    let after: usize = (0..2)
        .map(|number| samples(&store, number, 0, u64::MAX / 1_000_000).rows.len())
        .sum();
    assert!(after < written.len() && after * 2 >= written.len(), "{before} {after}");
    assert!(
        files(whole.path())
            .iter()
            .any(|path| path.extension().is_some_and(|end| end == "damaged"))
    );
}
