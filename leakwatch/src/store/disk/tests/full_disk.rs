//! A file system without room: the daemon goes on from memory, says so, and recovers. Needs root, for a small file system of its own.

use super::*;
use rustix::mount::MountFlags;
use rustix::mount::UnmountFlags;
use std::fs;

/// A small file system, taken off again when this is dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(size: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let options = std::ffi::CString::new(format!("size={size}")).unwrap();
        let mounted = rustix::mount::mount(
            "none",
            directory.path(),
            "tmpfs",
            MountFlags::empty(),
            Some(options.as_c_str()),
        );
        mounted.is_ok().then_some(Self(directory))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _unmounted = rustix::mount::unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

#[test]
fn a_full_disk_suspends_the_store_until_there_is_room() {
    let Some(small) = Small::mount("512k") else {
        eprintln!("SKIP a small file system cannot be mounted");
        return;
    };
    let directory = small.0.path();
    let mut store = open(directory, BEGIN);
    let filler = directory.join("filler");
    let mut now = BEGIN;
    let mut run = |store: &mut Store, ticks: u64| {
        for _ in 0..ticks {
            now += STEP;
            store.apply(&tick(now, 4));
        }
        now
    };
    run(&mut store, 50);
    assert_eq!(history(&store).status().suspended, None);
    drop(fs::write(&filler, vec![0; 600_000]));
    let full_at = run(&mut store, 100);
    let status = history(&store).status();
    assert!(status.suspended.is_some_and(|why| why.contains("No space left")));
    fs::remove_file(&filler).unwrap();
    let end = run(&mut store, 100);
    let status = history(&store).status();
    assert_eq!(
        (status.suspended, status.losses.len()),
        (None, 0),
        "what waited was written: {:?}",
        status.notes
    );
    store.flush_all().unwrap();
    let found = samples(&store, 2, 0, u64::MAX / 1_000_000);
    assert_eq!(
        found.rows.len() as u64,
        (end - BEGIN) / STEP,
        "nothing is missing, the samples while it was full included"
    );
    assert!(found.rows.iter().any(|row| row.at == full_at));
    // Longer than memory bears: what is lost is counted, and newer samples are kept.
    drop(fs::write(&filler, vec![0; 600_000]));
    run(&mut store, 1200);
    fs::remove_file(&filler).unwrap();
    let end = run(&mut store, 10);
    let status = history(&store).status();
    let lost = status.losses.get("store_rows_dropped").copied().unwrap_or(0);
    assert!(lost > 0 && status.suspended.is_none());
    store.close().unwrap();
    drop(store);
    let store = open(directory, end);
    let rows: usize = (0..4)
        .map(|number| samples(&store, number, 0, u64::MAX / 1_000_000).rows.len())
        .sum();
    assert_eq!(
        rows as u64 + lost,
        4 * (end - BEGIN) / STEP,
        "every sample is served or counted"
    );
}

#[test]
fn a_store_that_cannot_be_opened_says_why() {
    let Some(small) = Small::mount("64k") else {
        eprintln!("SKIP a small file system cannot be mounted");
        return;
    };
    drop(fs::write(small.0.path().join("filler"), vec![0; 100_000]));
    let error = Store::open(small.0.path(), LIMITS, BEGIN).unwrap_err();
    assert!(error.is_refusal() && error.to_string().contains("store"), "{error}");
}
