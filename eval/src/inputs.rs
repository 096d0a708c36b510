//! What the daemon would have taken in: samples, profiles, kills and exits of a simulated process, in the words of the analysis.

use crate::process::Held;
use crate::process::Process;
use crate::service::Replica;
use crate::service::Service;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::counter::CgroupVersion;
use leakwatch_analysis::model::counter::Counter;
use leakwatch_analysis::model::counter::Counters;
use leakwatch_analysis::model::event::OomKill;
use leakwatch_analysis::model::event::OomTrigger;
use leakwatch_analysis::model::event::OomVictim;
use leakwatch_analysis::model::event::ProcessExit;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::Program;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::runtime::Runtime;
use leakwatch_analysis::model::sample::CgroupMemory;
use leakwatch_analysis::model::sample::Limit;
use leakwatch_analysis::model::sample::ProcessMemory;
use leakwatch_analysis::model::sample::ProcessSample;
use leakwatch_analysis::model::sample::Sample;
use leakwatch_analysis::model::stack::Frame;
use leakwatch_analysis::model::stack::StackId;
use leakwatch_analysis::model::target::CgroupKey;
use leakwatch_analysis::model::target::Process as ProcessFacts;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::Target;
use leakwatch_analysis::model::target::TargetKind;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// The function that keeps what grows.
pub(crate) const PLACE: &str = "main.remember";

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast of a float saturates"
)]
const fn whole(value: f64) -> u64 {
    value as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the cast of a float saturates")]
const fn signed(value: f64) -> i64 {
    value as i64
}

pub(crate) fn target(index: usize, at: Timestamp) -> Target {
    Target {
        cgroup: CgroupKey {
            inode: 10 + u64::try_from(index).unwrap_or(0),
            path: format!("/eval/{index}"),
        },
        kind: TargetKind::Cgroup,
        name: format!("eval-{index}"),
        service: "eval".into(),
        container: None,
        started_at: at,
    }
}

const fn key(pid: u32) -> ProcessKey {
    ProcessKey { pid, start_ticks: 7 }
}

/// The facts of a process that begins.
pub(crate) fn facts(service: &Service, pid: u32, started_at: Timestamp) -> Arc<ProcessFacts> {
    let runtime = if service.is_go {
        Runtime::Go {
            version: "go1.26.0".into(),
            build: None,
        }
    } else {
        Runtime::Native
    };
    Arc::new(ProcessFacts {
        key: key(pid),
        started_at,
        comm: "service".into(),
        exe: Ok("/service".into()),
        program: None,
        runtime: Ok(runtime),
    })
}

/// A sample of the cgroup with one process.
pub(crate) fn sample(
    history: &TargetHistory,
    at: Timestamp,
    memory: f64,
    limit: f64,
    pid: u32,
    new: Option<Arc<ProcessFacts>>,
) -> Sample {
    let anon = Bytes(whole(memory.min(limit)));
    let cache = whole(limit - memory).min(4 << 20);
    Sample {
        target: history.target.id(),
        at,
        cgroup: Ok(CgroupMemory {
            charge: anon.saturating_add(Bytes(cache)),
            limit: Limit::Bytes(Bytes(whole(limit))),
            counters: Counters::new(
                Some(CgroupVersion::V2),
                [
                    (Counter::Anon, anon.0),
                    (Counter::File, cache),
                    (Counter::Shmem, 0),
                    (Counter::InactiveFile, cache),
                    (Counter::ActiveFile, 0),
                    (Counter::Kernel, 0),
                    (Counter::LocalOomKill, 0),
                    (Counter::LocalMax, 0),
                ],
            ),
        }),
        new_processes: new.into_iter().collect(),
        processes: vec![ProcessSample {
            key: key(pid),
            memory: Ok(ProcessMemory {
                rss: anon,
                anon,
                ..ProcessMemory::default()
            }),
        }],
    }
}

fn frame(function: &str, line: u32) -> Frame {
    let file = if function.starts_with("main.") {
        "/src/service/main.go"
    } else {
        "/usr/local/go/src/lib/lib.go"
    };
    Frame {
        function: function.into(),
        file: file.into(),
        line,
    }
}

fn stack(history: &mut TargetHistory, functions: &[&str]) -> Option<StackId> {
    let frames: Vec<Frame> = (11..).zip(functions).map(|(line, name)| frame(name, line)).collect();
    Arc::make_mut(&mut history.stacks).intern(&frames).ok()
}

fn value(held: Held, object: f64) -> StackValue {
    const SAMPLE: f64 = 524_288.0;
    let space = held.sampled * SAMPLE;
    StackValue {
        alloc_objects: signed(held.allocated / object),
        alloc_space: signed(held.allocated),
        inuse_objects: signed(space / object),
        inuse_space: signed(space),
        inuse_variance: held.sampled * SAMPLE * SAMPLE,
    }
}

/// Applies the heap and goroutine profiles as of now.
pub(crate) fn profiles(history: &mut TargetHistory, process: &Process, replica: &Replica, pid: u32, at: Timestamp) {
    let [place, rest] = process.shown;
    let garbage = StackValue {
        alloc_space: signed(process.garbage_allocated),
        ..StackValue::default()
    };
    let mut heap = Vec::new();
    for (functions, value) in [
        (["bytes.growSlice", PLACE, "main.handle"], value(place, 2_000.0)),
        (["main.open", "main.serve", "main.handle"], value(rest, 4_000.0)),
        (["fmt.Sprintf", "main.render", "main.handle"], garbage),
    ] {
        heap.extend(stack(history, &functions).map(|stack| (stack, value)));
    }
    let heap = snapshot(history, ProfileType::Heap, heap, pid, at);
    history.apply_snapshot(heap);
    let of = |count: f64| StackValue {
        inuse_objects: signed(count),
        ..StackValue::default()
    };
    let mut goroutines = Vec::new();
    for (functions, value) in [
        (
            ["runtime.gopark", PLACE, "runtime.goexit"],
            of(process.goroutines(replica)),
        ),
        (["runtime.gopark", "main.worker", "runtime.goexit"], of(8.0)),
    ] {
        if value.inuse_objects > 0 {
            goroutines.extend(stack(history, &functions).map(|stack| (stack, value)));
        }
    }
    let goroutines = snapshot(history, ProfileType::Goroutine, goroutines, pid, at);
    history.apply_snapshot(goroutines);
}

fn snapshot(
    history: &TargetHistory,
    profile_type: ProfileType,
    mut values: Vec<(StackId, StackValue)>,
    pid: u32,
    at: Timestamp,
) -> Snapshot {
    values.sort_by_key(|(stack, _)| *stack);
    let mut total = StackValue::default();
    for (_, value) in &values {
        total.add(value);
    }
    Snapshot {
        target: history.target.id(),
        process: key(pid),
        profile_type,
        at,
        source: ProfileSource::Snapshot,
        values: values.into(),
        total,
        period: 524_288,
        program: Program::default(),
        losses: Arc::default(),
    }
}

/// The process is killed for lack of memory.
pub(crate) fn kill(history: &mut TargetHistory, pid: u32, at: Timestamp) {
    let none = || Missing::new(MissingReason::Unsupported, "simulated");
    history.apply_oom_kill(OomKill {
        at,
        scope: Err(none()),
        cgroup: Err(none()),
        memcg: Err(none()),
        victim: OomVictim {
            pid,
            start_ticks: Some(7),
            comm: "service".into(),
            rss_anon: Err(none()),
            rss_file: Err(none()),
            rss_shmem: Err(none()),
            page_tables: Err(none()),
            oom_score_adj: Err(none()),
            read_at_death: false,
        },
        trigger: OomTrigger {
            pid,
            comm: "service".into(),
        },
    });
}

/// The process ends.
pub(crate) fn exit(history: &mut TargetHistory, pid: u32, at: Timestamp, code: u32) {
    history.apply_exit(&ProcessExit {
        at,
        key: key(pid),
        comm: "service".into(),
        exit_code: Ok(code),
        cgroup_inode: None,
        killer: None,
    });
}

/// So many seconds after the beginning of all simulations.
pub(crate) fn instant(seconds: f64) -> Timestamp {
    Timestamp::from_unix_seconds(1_700_000_000).plus(Duration::from_secs_f64(seconds))
}
