//! All that is known of one target, exactly: what it is judged by again.

use super::BundledTarget;
use super::error::BundleError;
use super::messages;
use super::snapshot::snapshot_from;
use super::snapshot::snapshot_to;
use crate::input;
use crate::input::Input;
use crate::store::disk::codec::stacks::Stacks;
use crate::store::disk::convert;
use crate::store::disk::messages::Run as RunMessage;
use leakwatch_analysis::history::Amount;
use leakwatch_analysis::history::MemoryPoint;
use leakwatch_analysis::history::Points;
use leakwatch_analysis::history::ProcessRecord;
use leakwatch_analysis::history::RuntimePoint;
use leakwatch_analysis::history::SnapshotSeries;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::run::Run;
use leakwatch_analysis::model::run::ServiceRun;
use leakwatch_analysis::model::sample::ProcessSample;
use leakwatch_analysis::model::sample::Sample;
use leakwatch_analysis::model::stack::StackId;
use leakwatch_analysis::model::stack::StackTable;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

const PAGE: u64 = 4096;

/// A target as a message; `number` says where a stack is in the table of the bundle.
pub(super) fn target_to(target: &BundledTarget, number: &dyn Fn(StackId) -> StackId) -> messages::WholeTarget {
    let history = &target.history;
    let id = history.target.id();
    let records: Vec<&ProcessRecord> = history.processes.values().collect();
    let processes = Sample {
        target: id.clone(),
        at: history.newest_at,
        cgroup: history.newest.clone(),
        new_processes: records.iter().map(|record| Arc::clone(&record.process)).collect(),
        processes: records
            .iter()
            .map(|record| ProcessSample {
                key: record.process.key,
                memory: record.memory.clone(),
            })
            .collect(),
    };
    let read = history
        .runtimes
        .as_slice()
        .iter()
        .map(|point| (point.at, point.process, Ok(point.stats)));
    let nobody = ProcessKey { pid: 0, start_ticks: 0 };
    let unread = history
        .runtime_missing
        .clone()
        .map(|why| (history.newest_at, nobody, Err(why)));
    let runtime = |(at, process, stats)| {
        let target = id.clone();
        input::to_bytes(&Input::Runtime {
            at,
            target,
            process,
            stats,
        })
    };
    let missing = |(profile_type, missing): (&ProfileType, &Missing)| {
        input::to_bytes(&Input::ProfileMissing {
            at: history.newest_at,
            target: id.clone(),
            profile_type: *profile_type,
            missing: missing.clone(),
        })
    };
    let snapshots = |series: &BTreeMap<ProfileType, SnapshotSeries>| {
        let all = series.values().flat_map(SnapshotSeries::as_slice);
        all.map(|snapshot| snapshot_to(snapshot, number)).collect()
    };
    let class = target.verdict.as_ref().map(|verdict| verdict.class);
    messages::WholeTarget {
        state: Some(convert::state_to(history, &target.overrides, class, None)),
        points: history.points.all().iter().map(point_to).collect(),
        processes: input::to_bytes(&Input::Sample(processes)),
        lives: records
            .iter()
            .map(|record| messages::Life {
                first_seen: record.first_seen.unix_nanos(),
                last_seen: record.last_seen.unix_nanos(),
                gone_at: record.gone_at.map(Timestamp::unix_nanos),
            })
            .collect(),
        runtimes: read.chain(unread).map(runtime).collect(),
        missing: history.profile_missing.iter().map(missing).collect(),
        snapshots: snapshots(&history.snapshots),
        previous_snapshots: snapshots(&history.previous_snapshots),
        run: history.run.as_ref().map(|run| run_to(&id, run)),
        past_runs: history.past_runs.iter().map(|run| run_to(&id, run)).collect(),
        newest_at: history.newest_at.unix_nanos(),
        judged_at: target.judged_at.map(Timestamp::unix_nanos),
        verdict: target.verdict.as_ref().map(convert::verdict_to),
        as_made: target.as_made,
    }
}

/// The target again.
pub(super) fn target_from(
    message: messages::WholeTarget,
    stacks: &Stacks,
    table: &Arc<StackTable>,
) -> Result<BundledTarget, BundleError> {
    let inconsistent = |detail| BundleError::inconsistent("target", detail);
    let state = message.state.and_then(convert::state_from);
    let state = state.ok_or_else(|| inconsistent("who it is is not said"))?;
    let at = Timestamp::from_unix_nanos;
    let mut history = TargetHistory::new(state.target, at(message.newest_at));
    let id = history.target.id();
    history.gone_at = state.gone_at;
    history.window_start = state.window_start;
    history.past_windows = state.past_windows;
    history.oom_kill_count = state.oom_kill_count;
    history.oom_kills = state.oom_kills;
    history.pressure_at = state.pressure_at;
    for point in message.points.iter().take(Points::CAPACITY) {
        history.points.push(point_from(point));
    }
    let Some(Input::Sample(processes)) = input::from_bytes(&message.processes) else {
        return Err(inconsistent("its processes are not said"));
    };
    history.newest = processes.cgroup;
    let memory: BTreeMap<ProcessKey, _> = processes
        .processes
        .into_iter()
        .map(|process| (process.key, process.memory))
        .collect();
    let living = processes.new_processes.into_iter().zip(&message.lives);
    for (process, life) in living.take(TargetHistory::MAX_PROCESSES) {
        let unknown = || Err(Missing::new(MissingReason::NotYet, "not sampled yet"));
        let record = ProcessRecord {
            memory: memory.get(&process.key).cloned().unwrap_or_else(unknown),
            first_seen: at(life.first_seen),
            last_seen: at(life.last_seen),
            gone_at: life.gone_at.map(at),
            // What only an end that is still to come asks for.
            most_anonymous: Bytes(0),
            ran_out: false,
            process,
        };
        history.processes.insert(record.process.key, record);
    }
    for bytes in &message.runtimes {
        match input::from_bytes(bytes) {
            Some(Input::Runtime {
                at,
                process,
                stats: Ok(stats),
                ..
            }) => {
                history.runtimes.push(RuntimePoint { at, process, stats });
            }
            Some(Input::Runtime { stats: Err(why), .. }) => history.runtime_missing = Some(why),
            _ => {}
        }
    }
    for bytes in &message.missing {
        if let Some(Input::ProfileMissing {
            profile_type, missing, ..
        }) = input::from_bytes(bytes)
        {
            history.profile_missing.insert(profile_type, missing);
        }
    }
    history.snapshots = series_from(&message.snapshots, &id, stacks)?;
    history.previous_snapshots = series_from(&message.previous_snapshots, &id, stacks)?;
    history.stacks = Arc::clone(table);
    history.run = message.run.and_then(run_from);
    let past = message.past_runs.into_iter().filter_map(run_from);
    history.past_runs = past.take(TargetHistory::MAX_PAST_RUNS).collect();
    history.claim = state.claim;
    let main_process = history.main_process().map(|record| record.process.key);
    history.told = main_process.zip(state.class);
    Ok(BundledTarget {
        history,
        overrides: state.overrides,
        judged_at: message.judged_at.map(at),
        verdict: message.verdict.and_then(convert::verdict_from),
        as_made: message.as_made,
    })
}

fn series_from(
    messages: &[messages::Snapshot],
    target: &TargetId,
    stacks: &Stacks,
) -> Result<BTreeMap<ProfileType, SnapshotSeries>, BundleError> {
    let mut all: BTreeMap<ProfileType, SnapshotSeries> = BTreeMap::new();
    for message in messages {
        if let Some(snapshot) = snapshot_from(message, target, stacks)? {
            all.entry(snapshot.profile_type).or_default().push(snapshot);
        }
    }
    Ok(all)
}

fn run_to(target: &TargetId, run: &Run) -> RunMessage {
    convert::run_to(&ServiceRun {
        service: String::new(),
        target: target.clone(),
        exe: String::new(),
        version: String::new(),
        last_at: run.started_at,
        run: run.clone(),
    })
}

fn run_from(message: RunMessage) -> Option<Run> {
    convert::run_from(message).map(|kept| kept.run)
}

fn point_to(point: &MemoryPoint) -> messages::Point {
    let pages = |amount: Amount| amount.bytes().map(|bytes| bytes.0 / PAGE);
    messages::Point {
        at: point.at.unix_nanos(),
        begins_window: point.begins_window,
        lowest_before: point.lowest_before.into(),
        charge: pages(point.charge),
        unreclaimable: pages(point.unreclaimable),
        unreclaimable_min: pages(point.unreclaimable_min),
        unreclaimable_max: pages(point.unreclaimable_max),
        anon: pages(point.anon),
        file: pages(point.file),
        shmem: pages(point.shmem),
        kernel: pages(point.kernel),
        rss: pages(point.rss),
    }
}

fn point_from(point: &messages::Point) -> MemoryPoint {
    let amount = |pages: Option<u64>| Amount::from(pages.map(|pages| Bytes(pages.saturating_mul(PAGE))));
    MemoryPoint {
        at: Timestamp::from_unix_nanos(point.at),
        begins_window: point.begins_window,
        lowest_before: u16::try_from(point.lowest_before).unwrap_or(u16::MAX),
        charge: amount(point.charge),
        unreclaimable: amount(point.unreclaimable),
        unreclaimable_min: amount(point.unreclaimable_min),
        unreclaimable_max: amount(point.unreclaimable_max),
        anon: amount(point.anon),
        file: amount(point.file),
        shmem: amount(point.shmem),
        kernel: amount(point.kernel),
        rss: amount(point.rss),
    }
}
