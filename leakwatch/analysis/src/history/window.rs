//! The series that analysis looks at, cut out of a target's history: nothing here crosses the end of a window or mixes two
//! processes. Source: `history::TargetHistory`; must not judge.

use crate::history::points::Amount;
use crate::history::points::MemoryPoint;
use crate::history::points::Stretch;
use crate::history::snapshots::SnapshotSeries;
use crate::history::target_history::TargetHistory;
use crate::model::profile::ProfileType;
use crate::model::profile::Snapshot;
use crate::model::runtime::Runtime;
use crate::model::target::ProcessKey;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;
use std::time::Duration;

/// Memory of the current window up to `now` as (seconds since the window's start, bytes): the lower envelope of what cannot be
/// reclaimed; the charge where `memory.stat` was never readable.
pub fn memory(history: &TargetHistory, now: Timestamp) -> Vec<(f64, f64)> {
    envelope(history, now, |point| (point.lowest_at(), point.unreclaimable_min))
}

/// The same as [`memory`], but its upper envelope.
pub fn peaks(history: &TargetHistory, now: Timestamp) -> Vec<(f64, f64)> {
    envelope(history, now, |point| (point.at, point.unreclaimable_max))
}

fn envelope(
    history: &TargetHistory,
    now: Timestamp,
    side: impl Fn(&MemoryPoint) -> (Timestamp, Amount),
) -> Vec<(f64, f64)> {
    let window = history.window();
    let window = window.until(window.partition_point(|point| point.at <= now));
    let has_stat = window.iter().any(|point| point.unreclaimable.bytes().is_some());
    dated(history, window, |point| {
        let (at, value) = if has_stat {
            side(point)
        } else {
            (point.at, point.charge)
        };
        Some((at, value.bytes()?))
    })
}

/// Some amounts of points as (seconds since the window's start, bytes).
fn dated(
    history: &TargetHistory,
    window: Stretch<'_>,
    value: impl Fn(&MemoryPoint) -> Option<(Timestamp, Bytes)>,
) -> Vec<(f64, f64)> {
    let mut values = Vec::with_capacity(window.len());
    // Each target that is judged has dozens of these made, and a chain of two parts is slow when it is asked for one after the other.
    window.iter().for_each(|point| {
        let value = value(point).map(|(at, bytes)| (at.seconds_from(history.window_start), bytes.as_f64()));
        values.extend(value);
    });
    values
}

/// A process younger than this is starting up, at least and at most; in between it is a part of its age.
const START_UP: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(5));
/// The first part of a process's age counts as start-up: what follows is four times as long and decides.
const START_UP_PART: f64 = 0.2;

/// When a process that started at `started` had finished starting up, seen from `now`. Grows with age, so that slow
/// initialisation is left behind as soon as there is something better to judge by.
pub fn start_up_end(started: Timestamp, now: Timestamp) -> Timestamp {
    let start_up = now.since(started).mul_f64(START_UP_PART);
    started.plus(start_up.clamp(START_UP.0, START_UP.1))
}

/// The part of a series after the process's start-up, if enough is left of it; else all of it.
pub fn after_start_up<'a>(history: &TargetHistory, series: &'a [(f64, f64)], now: Timestamp) -> &'a [(f64, f64)] {
    const ENOUGH: usize = 6;
    let end = start_up_end(process_start(history), history.newest_at.min(now)).seconds_from(history.window_start);
    let cut = series.partition_point(|point| point.0 < end);
    series.get(cut..).filter(|rest| rest.len() >= ENOUGH).unwrap_or(series)
}

/// Any number of the current window's points as (seconds since the window's start, bytes).
pub fn series(history: &TargetHistory, value: impl Fn(&MemoryPoint) -> Option<Bytes>) -> Vec<(f64, f64)> {
    dated(history, history.window(), |point| Some((point.at, value(point)?)))
}

/// Snapshots of the process that is followed, oldest first, each of them showing something new: a Go heap profile only changes
/// when a garbage collection ends, so equal totals are the same observation.
pub fn distinct_snapshots<'a>(
    snapshots: impl Iterator<Item = &'a Snapshot>,
    profile_type: ProfileType,
) -> Vec<&'a Snapshot> {
    let mut distinct: Vec<&Snapshot> = Vec::new();
    for snapshot in snapshots {
        // Stacks that are listed without a value yet come at any time and say nothing.
        let repeated =
            profile_type == ProfileType::Heap && distinct.last().is_some_and(|last| last.total == snapshot.total);
        if !repeated {
            distinct.push(snapshot);
        }
    }
    distinct
}

/// The kept snapshots up to `now` of the process that is followed. Those of a process that is gone count only while no other runs.
pub fn snapshots(
    history: &TargetHistory,
    profile_type: ProfileType,
    now: Timestamp,
) -> impl Iterator<Item = &Snapshot> {
    let something_lives = history.living().next().is_some();
    history
        .snapshots
        .get(&profile_type)
        .map_or(&[][..], |series| series.as_slice())
        .iter()
        .take_while(move |snapshot| snapshot.at <= now)
        .filter(move |snapshot| !(something_lives && is_gone(history, snapshot.process)))
}

/// The series of the process before the one that is followed: while that one has no profile yet, the newest series is it.
pub fn previous_series(history: &TargetHistory, profile_type: ProfileType) -> Option<&SnapshotSeries> {
    let newest = history.snapshots.get(&profile_type);
    let is_over = |series: &&SnapshotSeries| {
        let process = series.newest().map(|snapshot| snapshot.process);
        history.living().next().is_some() && process.is_some_and(|process| is_gone(history, process))
    };
    newest
        .filter(is_over)
        .or_else(|| history.previous_snapshots.get(&profile_type))
}

fn is_gone(history: &TargetHistory, process: ProcessKey) -> bool {
    history
        .processes
        .get(&process)
        .is_none_or(|record| record.gone_at.is_some())
}

/// When the process that holds most memory started; the start of the window when no process is known.
pub fn process_start(history: &TargetHistory) -> Timestamp {
    history
        .main_process()
        .map_or(history.window_start, |record| record.process.started_at)
}

/// Whether the process that holds most memory is a Go program; none while that is unknown.
pub fn is_go(history: &TargetHistory, now: Timestamp) -> Option<bool> {
    let has_profile = ProfileType::GO
        .into_iter()
        .any(|profile_type| snapshots(history, profile_type, now).next().is_some());
    if has_profile {
        return Some(true);
    }
    let record = history.main_process()?;
    record
        .process
        .runtime
        .as_ref()
        .ok()
        .map(|runtime| matches!(runtime, Runtime::Go { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::profile::ProfileSource;
    use crate::model::profile::StackValue;
    use crate::model::stack::StackTable;
    use crate::model::target::TargetId;

    /// A program lists stacks that allocated for the first time before a collection gives them a value.
    #[test]
    fn profiles_with_the_same_totals_are_one_observation() {
        let mut stacks = StackTable::default();
        let mut profile = |second: u64, listed: usize, retained: i64| Snapshot {
            target: TargetId::from_text("t"),
            process: ProcessKey { pid: 1, start_ticks: 1 },
            profile_type: ProfileType::Heap,
            at: Timestamp::from_unix_seconds(second),
            source: ProfileSource::Endpoint,
            values: (0..listed)
                .map(|_| (stacks.intern(&[]).unwrap(), StackValue::default()))
                .collect(),
            total: StackValue {
                inuse_space: retained,
                ..StackValue::default()
            },
            period: 1,
            program: crate::model::profile::Program::default(),
            losses: [].into(),
        };
        let profiles = [
            profile(1, 1, 10),
            profile(2, 1, 10),
            profile(3, 2, 10),
            profile(4, 2, 20),
        ];
        let distinct = |profile_type| -> Vec<u64> {
            let found = distinct_snapshots(profiles.iter(), profile_type);
            found
                .iter()
                .map(|found| found.at.unix_nanos() / 1_000_000_000)
                .collect()
        };
        assert_eq!(distinct(ProfileType::Heap), [1, 4]);
        assert_eq!(distinct(ProfileType::Goroutine), [1, 2, 3, 4], "counts are as of now");
    }
}
