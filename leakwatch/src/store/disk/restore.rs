//! What a daemon knows of the one before it: histories of targets, events, answers, post-mortems and runs, as if it had never stopped.
//!
//! Timestamps are of the boot clock plus an offset that each daemon fixes when it starts. Within one boot the difference of two offsets is known, and what
//! is restored is moved by it: a wall clock that was set while nobody watched neither stretches nor breaks a window.

use super::codec::row::Row;
use super::column::Column;
use super::convert;
use super::convert::RestoredTarget;
use super::error::DiskError;
use super::history::Found;
use super::history::History;
use super::kind;
use super::messages;
use super::partition::name::Tier;
use super::pins::PIN_KEY;
use super::store::Store;
use crate::input::TakenProfile;
use crate::store::event::Event;
use crate::store::post_mortem::PostMortem;
use leakwatch_analysis::history::Amount;
use leakwatch_analysis::history::Claim;
use leakwatch_analysis::history::MemoryPoint;
use leakwatch_analysis::history::RuntimePoint;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::investigation::Answer;
use leakwatch_analysis::model::investigation::StepId;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::ruling::Ruling;
use leakwatch_analysis::model::run::Run;
use leakwatch_analysis::model::run::ServiceRun;
use leakwatch_analysis::model::runtime::GoRuntimeStats;
use leakwatch_analysis::model::runtime::RuntimeStats;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_analysis::model::verdict::VerdictClass;
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Samples as they were taken are read back so far, those by the minute so far, those by the hour all.
const RAW: Duration = Duration::from_hours(6);
const MINUTES: Duration = Duration::from_hours(48);
const HOURS: Duration = Duration::from_hours(14 * 24);
/// Profiles of a type of a target that are read back at most.
const PROFILES: usize = 12;

/// Where the time axis of a daemon stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    /// Empty where it is not known.
    pub(crate) boot_id: String,
    /// Nanoseconds between the Unix epoch and the boot.
    pub(crate) boot_unix_nanos: u64,
}

/// What was known.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    pub(crate) targets: Vec<RestoredHistory>,
    pub(crate) events: Vec<Event>,
    pub(crate) post_mortems: Vec<(PostMortem, Vec<TakenProfile>)>,
    pub(crate) runs: Vec<ServiceRun>,
    pub(crate) rulings: Vec<Ruling>,
}

/// What was known of a target.
#[derive(Debug)]
pub(crate) struct RestoredHistory {
    pub(crate) history: TargetHistory,
    pub(crate) overrides: BTreeMap<StepId, Answer>,
    pub(crate) class: Option<VerdictClass>,
    pub(crate) run: Option<ServiceRun>,
    pub(crate) profiles: Vec<TakenProfile>,
}

const AXIS_KEY: &str = "axis";
pub(crate) const TARGET_KEY: &str = "t/";
pub(crate) const EVENT_KEY: &str = "e/";
pub(crate) const RULING_KEY: &str = "r/";

impl Store {
    /// Notes where the time axis of this daemon stands.
    pub(super) fn set_axis(&mut self, axis: &Axis) -> Result<(), DiskError> {
        self.catalog.apply(&[(AXIS_KEY.to_owned(), Some(axis_to(axis)))])
    }
}

fn axis_to(axis: &Axis) -> Vec<u8> {
    messages::Axis {
        boot_id: axis.boot_id.clone(),
        boot_unix_nanos: axis.boot_unix_nanos,
    }
    .encode_to_vec()
}

/// How far what was known has to be moved to be on the axis of this daemon, in nanoseconds.
fn shift(known: &BTreeMap<String, Arc<[u8]>>, axis: &Axis) -> i64 {
    let before = known
        .get(AXIS_KEY)
        .and_then(|bytes| messages::Axis::decode(&bytes[..]).ok());
    let before = before.filter(|before| !before.boot_id.is_empty() && before.boot_id == axis.boot_id);
    before.map_or(0, |before| {
        super::codec::varint::difference(before.boot_unix_nanos, axis.boot_unix_nanos)
    })
}

/// Reads back what was known, as of the axis and the time of this daemon.
pub(crate) fn restore(known: &BTreeMap<String, Arc<[u8]>>, history: &History, axis: &Axis, now: Timestamp) -> Restored {
    let shift = shift(known, axis);
    let moved = |at: Timestamp| Timestamp::from_unix_nanos(super::codec::varint::moved(at.unix_nanos(), shift));
    let of = |prefix: &'static str| {
        known
            .range(prefix.to_owned()..)
            .take_while(move |(key, _)| key.starts_with(prefix))
    };
    let event = |bytes: &[u8]| {
        let event = convert::event_from(messages::Event::decode(bytes).ok()?)?;
        Some(Event {
            at: moved(event.at),
            ..event
        })
    };
    let target = |bytes: &[u8]| {
        let state = convert::state_from(messages::TargetState::decode(bytes).ok()?)?;
        Some(target(state, history, &moved, now))
    };
    let ruling = |bytes: &[u8]| {
        let ruling = convert::ruling_from(bytes)?;
        Some(Ruling {
            made_at: moved(ruling.made_at),
            until: moved(ruling.until),
            ..ruling
        })
    };
    let mut runs: Vec<ServiceRun> = Vec::new();
    let mut post_mortems = Vec::new();
    let records = history.records(Tier::Runs, kind::RUN, None);
    runs.extend(
        records
            .iter()
            .filter_map(|bytes| convert::run_from(messages::Run::decode(&bytes[..]).ok()?)),
    );
    for bytes in history.records(Tier::Incidents, kind::POST_MORTEM, None) {
        let message = messages::PostMortem::decode(&bytes[..]).ok();
        post_mortems.extend(message.and_then(convert::post_mortem_from));
    }
    // The same may have been written twice.
    let mut seen = std::collections::HashSet::new();
    post_mortems.retain(|(post_mortem, _)| seen.insert(post_mortem.id.clone()));
    for (post_mortem, _) in &mut post_mortems {
        post_mortem.pinned = known.contains_key(&format!("{PIN_KEY}{}", post_mortem.id));
    }
    Restored {
        targets: of(TARGET_KEY).filter_map(|(_, bytes)| target(bytes)).collect(),
        events: of(EVENT_KEY).filter_map(|(_, bytes)| event(bytes)).collect(),
        rulings: of(RULING_KEY).filter_map(|(_, bytes)| ruling(bytes)).collect(),
        post_mortems,
        runs,
    }
}

fn target(
    state: RestoredTarget,
    disk: &History,
    moved: &dyn Fn(Timestamp) -> Timestamp,
    now: Timestamp,
) -> RestoredHistory {
    let id = state.target.id();
    let newest_at = state.sample.at;
    let mut history = TargetHistory::new(state.target, moved(newest_at));
    history.target = Arc::new({
        let mut target = leakwatch_analysis::model::target::Target::clone(&history.target);
        target.started_at = moved(target.started_at);
        target
    });
    let mut sample = state.sample;
    sample.at = moved(newest_at);
    for process in &mut sample.new_processes {
        let process = Arc::make_mut(process);
        process.started_at = moved(process.started_at);
    }
    let main = sample.processes.first().map(|process| process.key);
    // Instants on disk are those of the daemon that wrote them.
    let oldest = state
        .past_windows
        .first()
        .map_or(state.window_start, |window| window.from);
    let found = disk_points(disk, id.as_str(), oldest);
    // The first point of each window, which nothing is merged across.
    let mut begins: Vec<Timestamp> = state.past_windows.iter().map(|window| window.from).collect();
    begins.push(state.window_start);
    let mut begins = begins.into_iter().peekable();
    for point in &found.points {
        let begins_window = begins.next_if(|from| *from <= point.at).is_some();
        while begins.next_if(|from| *from <= point.at).is_some() {}
        history.points.push(MemoryPoint {
            at: moved(point.at),
            begins_window,
            ..*point
        });
    }
    history.apply_sample(&sample);
    let run = state.run.map(|kept| ServiceRun {
        last_at: moved(kept.last_at),
        run: Run {
            started_at: moved(kept.run.started_at),
            ..kept.run
        },
        ..kept
    });
    // The run goes on with the course that it had.
    let goes_on = |kept: &&ServiceRun| history.run.as_ref().is_some_and(|run| run.process == kept.run.process);
    if let Some(kept) = run.as_ref().filter(goes_on) {
        history.run = Some(kept.run.clone());
    }
    history.window_start = moved(state.window_start);
    history.past_windows = state.past_windows;
    for window in &mut history.past_windows {
        (window.from, window.to) = (moved(window.from), moved(window.to));
    }
    history.oom_kill_count = state.oom_kill_count;
    history.oom_kills = state.oom_kills;
    for kill in &mut history.oom_kills {
        kill.at = moved(kill.at);
    }
    history.pressure_at = state.pressure_at.map(moved);
    if let Some(process) = main {
        for (at, stats) in found.runtimes {
            history.runtimes.push(RuntimePoint {
                at: moved(at),
                process,
                stats: RuntimeStats::Go(stats),
            });
        }
    }
    history.claim = state.claim.map(|claim| Claim {
        since: moved(claim.since),
        at: moved(claim.at),
        ..claim
    });
    let main_process = history.main_process().map(|record| record.process.key);
    history.told = main_process.zip(state.class);
    // Whether its cgroup still exists is for the first round to say.
    history.gone_at = Some(state.gone_at.map_or(now.min(moved(newest_at)), moved));
    let grows = state
        .class
        .is_some_and(|class| class.is_leak() || class.name() != "stable");
    let profiles = if grows {
        profiles(disk, &history, main, moved)
    } else {
        Vec::new()
    };
    RestoredHistory {
        overrides: state.overrides,
        class: state.class,
        run,
        profiles,
        history,
    }
}

struct Points {
    points: Vec<MemoryPoint>,
    runtimes: Vec<(Timestamp, GoRuntimeStats)>,
}

/// The points of a target, coarser the older they are.
fn disk_points(disk: &History, target: &str, oldest: Timestamp) -> Points {
    let newest = Timestamp::from_unix_nanos(disk.status().newest.max(1).saturating_mul(1_000_000));
    let end = newest.plus(RAW);
    let (raw, minutes, hours) = (newest.minus(RAW), newest.minus(MINUTES), newest.minus(HOURS));
    let mut parts: Vec<Found> = Vec::new();
    let mut read = |from: Timestamp, to: Timestamp, step: Duration| {
        let from = from.max(oldest);
        if from < to {
            parts.push(disk.samples(target, from, to, step));
        }
    };
    read(hours, minutes, Duration::from_hours(1));
    read(minutes, raw, Duration::from_mins(1));
    read(raw, end, Duration::ZERO);
    let mut points = Vec::new();
    let mut runtimes = Vec::new();
    for part in &parts {
        // The lowest value of a minute or an hour stood somewhere in it: in the middle, on average.
        let lowest_before = u16::try_from(part.span / 2000).unwrap_or(u16::MAX);
        for rollup in &part.rollups {
            let value = |column: Column| rollup.get(column).map(|aggregate| Bytes(aggregate.last));
            let unreclaimable = rollup.get(Column::Unreclaimable);
            points.extend(point(rollup.from + part.span, value).map(|point| MemoryPoint {
                unreclaimable_min: Amount::from(unreclaimable.map(|aggregate| Bytes(aggregate.min))),
                unreclaimable_max: Amount::from(unreclaimable.map(|aggregate| Bytes(aggregate.max))),
                lowest_before,
                ..point
            }));
        }
        for row in &part.rows {
            points.extend(point(row.at, |column| row.get(column).map(Bytes)));
            runtimes.extend(go_stats(row).map(|stats| (millis(row.at), stats)));
        }
    }
    points.sort_by_key(|point| point.at);
    Points { points, runtimes }
}

fn millis(at: u64) -> Timestamp {
    Timestamp::from_unix_nanos(at.saturating_mul(1_000_000))
}

fn point(at: u64, value: impl Fn(Column) -> Option<Bytes>) -> Option<MemoryPoint> {
    let unreclaimable = Amount::from(value(Column::Unreclaimable));
    Some(MemoryPoint {
        at: millis(at),
        begins_window: false,
        lowest_before: 0,
        charge: value(Column::Charge)?.into(),
        unreclaimable,
        unreclaimable_min: unreclaimable,
        unreclaimable_max: unreclaimable,
        anon: value(Column::Anon).into(),
        file: value(Column::File).into(),
        shmem: value(Column::Shmem).into(),
        kernel: value(Column::Kernel).into(),
        rss: value(Column::Rss).into(),
    })
}

fn go_stats(row: &Row) -> Option<GoRuntimeStats> {
    let value = |column| row.get(column).map(Bytes);
    let small = |column| row.get(column).and_then(|number| u32::try_from(number).ok());
    Some(GoRuntimeStats {
        heap_marked: value(Column::HeapMarked)?,
        heap_live: value(Column::HeapLive)?,
        heap_goal: value(Column::HeapGoal),
        heap_in_use: value(Column::HeapInUse)?,
        heap_idle: value(Column::IdleHeap)?,
        heap_released: value(Column::HeapReleased)?,
        mapped_ready: value(Column::GoMapped)?,
        stacks: value(Column::GoStacks)?,
        metadata: value(Column::GoMetadata)?,
        collections: small(Column::Collections)?,
        gc_percent: small(Column::GcPercent),
        memory_limit: value(Column::GoMemoryLimit),
    })
}

/// Some profiles of the current run, the first and the newest among them.
fn profiles(
    disk: &History,
    history: &TargetHistory,
    main: Option<ProcessKey>,
    moved: &dyn Fn(Timestamp) -> Timestamp,
) -> Vec<TakenProfile> {
    let id = history.target.id();
    let mut taken = Vec::new();
    let newest = Timestamp::from_unix_nanos(disk.status().newest.saturating_mul(1_000_000));
    let from = newest.minus(MINUTES);
    for profile_type in ProfileType::ALL
        .into_iter()
        .filter(|profile_type| !profile_type.is_of_capture())
    {
        let instants = disk.profile_instants(id.as_str(), profile_type, from, newest.plus(RAW));
        let count = instants.len();
        let chosen = (0..count.min(PROFILES)).filter_map(|place| {
            let spread = count.saturating_sub(1) * place / (count.min(PROFILES) - 1).max(1);
            instants.get(spread).copied()
        });
        for at in chosen {
            let profile = disk.profile(id.as_str(), profile_type, at, Duration::from_millis(1));
            let profile = profile.filter(|profile| main.is_none_or(|main| main == profile.process));
            taken.extend(profile.map(|profile| TakenProfile {
                at: moved(profile.at),
                target: id.clone(),
                process: profile.process,
                profile_type,
                source: profile.source,
                profile: Ok(Arc::new(profile.content)),
            }));
        }
    }
    taken
}
