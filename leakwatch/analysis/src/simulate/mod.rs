//! A deterministic simulator for tests: programs with a known truth are run, sampled and profiled as the daemon would do it, and
//! the verdict is asked for at every tick. It shares no code with the detectors.

pub(crate) mod process;
pub(crate) mod random;
mod programs;
mod heap;
mod classes;
mod runs;
mod memory;
mod answers;
mod native;
mod fillings;
mod traces;
mod lines;
mod agreement;
mod properties;
mod speed;

use crate::history::TargetHistory;
use crate::investigate;
use crate::model::counter::CgroupVersion;
use crate::model::counter::Counter;
use crate::model::counter::Counters;
use crate::model::event::OomKill;
use crate::model::event::OomTrigger;
use crate::model::event::OomVictim;
use crate::model::event::ProcessExit;
use crate::model::profile::ProfileSource;
use crate::model::profile::ProfileType;
use crate::model::profile::Snapshot;
use crate::model::profile::StackValue;
use crate::model::reading::Missing;
use crate::model::reading::MissingReason;
use crate::model::runtime::Runtime;
use crate::model::sample::CgroupMemory;
use crate::model::sample::Limit;
use crate::model::sample::ProcessMemory;
use crate::model::sample::ProcessSample;
use crate::model::sample::Sample;
use crate::model::stack::Frame;
use crate::model::target::CgroupKey;
use crate::model::target::Process;
use crate::model::target::ProcessKey;
use crate::model::target::Target;
use crate::model::target::TargetKind;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;
use crate::model::verdict::Verdict;
use crate::model::verdict::VerdictClass;
use process::GoProcess;
use process::Program;
use random::Random;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const MIB: f64 = 1_048_576.0;
const STEP: f64 = 0.25;

/// How a program is run and watched.
pub(crate) struct Setup {
    pub(crate) limit: Option<f64>,
    pub(crate) seconds: f64,
    /// Seconds between heap and goroutine profiles; none without an endpoint.
    pub(crate) profile_interval: Option<f64>,
    /// Age of the process when watching starts.
    pub(crate) attach_at: f64,
    pub(crate) restart_after_kill: bool,
    pub(crate) seed: u64,
}

impl Setup {
    pub(crate) const fn new(limit: Option<f64>, seconds: f64, seed: u64) -> Self {
        Self {
            limit,
            seconds,
            profile_interval: Some(10.0),
            attach_at: 0.0,
            restart_after_kill: false,
            seed,
        }
    }
}

/// What was answered when.
pub(crate) struct Outcome {
    pub(crate) history: TargetHistory,
    /// (seconds watched, verdict).
    pub(crate) verdicts: Vec<(f64, Verdict)>,
    /// Seconds watched at the first kill.
    pub(crate) killed_at: Option<f64>,
    /// What was answered at the instants of the kills.
    pub(crate) post_mortems: Vec<Verdict>,
    /// Unreclaimable memory when watching started.
    pub(crate) first_level: f64,
}

impl Outcome {
    pub(crate) fn last(&self) -> &Verdict {
        &self.verdicts.last().unwrap().1
    }

    pub(crate) fn first(&self, wanted: impl Fn(&Verdict) -> bool) -> Option<f64> {
        self.verdicts
            .iter()
            .find(|(_, verdict)| wanted(verdict))
            .map(|(at, _)| *at)
    }

    pub(crate) fn changes(&self) -> usize {
        let classes: Vec<VerdictClass> = self.verdicts.iter().map(|(_, verdict)| verdict.class).collect();
        classes.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }
}

pub(crate) fn frame(function: &str, line: u32) -> Frame {
    let package = crate::culprit::package_of(function);
    let file = match package {
        "runtime" | "bytes" | "net/http" | "sync" => format!("/usr/local/go/src/{package}/x.go"),
        "main" => "/src/app/main.go".to_owned(),
        other => format!("/src/app/{other}/x.go"),
    };
    Frame {
        function: function.into(),
        file: file.into(),
        line,
    }
}

/// Allocation stack of an own function called by an HTTP handler, or of the runtime on its system stack.
pub(crate) fn stack_of(function: &str) -> Vec<Frame> {
    if function.starts_with("runtime.") {
        return vec![
            frame("runtime.mallocgc", 10),
            frame(function, 42),
            frame("runtime.systemstack", 1),
        ];
    }
    vec![
        frame("bytes.growSlice", 10),
        frame(function, 42),
        frame("main.handle", 7),
        frame("net/http.(*conn).serve", 99),
        frame("runtime.goexit", 1),
    ]
}

/// Runs a program under watch.
pub(crate) fn run(program: &Program, setup: &Setup) -> Outcome {
    let start = Timestamp::from_unix_seconds(1_700_000_000);
    let mut random = Random::new(setup.seed);
    let mut process = GoProcess::new(program);
    while process.age < setup.attach_at {
        process.step(program, STEP, &mut random);
    }
    let mut pid = 100;
    let mut history = TargetHistory::new(target(start), start);
    let mut outcome_verdicts = Vec::new();
    let mut killed_at = None;
    let mut post_mortems = Vec::new();
    let mut first_level = None;
    let (mut level_before, mut last_profile) = (f64::INFINITY, 0.0);
    let (mut next_sample, mut next_profile, mut limit_hits) = (0.0, 1.0, 0_u64);
    let mut announced = 0;
    let mut watched = 0.0;
    while watched < setup.seconds {
        let now = start.plus(Duration::from_secs_f64(watched));
        process.step(program, STEP, &mut random);
        let anonymous = process.anonymous(program) * (1.0 + program.noise * random.normal());
        let limit = setup.limit.unwrap_or(f64::INFINITY);
        if process.anonymous(program) >= limit {
            limit_hits += 10;
            history.apply_oom_kill(kill(now, pid));
            killed_at.get_or_insert(watched);
            let verdict = investigate(&history, &BTreeMap::new(), &[], now).verdict;
            assert_eq!(agreement::contradiction(&history, &verdict, now), None);
            post_mortems.push(verdict);
            history.apply_exit(&exit(now, pid));
            if !setup.restart_after_kill {
                break;
            }
            process = GoProcess::new(program);
            pid += 1;
            next_profile = watched + 3.0;
            continue;
        }
        if watched >= next_sample {
            let near = anonymous > limit * 0.9;
            let hurried = near || anonymous - level_before > limit * 0.02;
            level_before = anonymous;
            next_sample = watched + if hurried { 1.0 } else { 5.0 };
            if hurried {
                next_profile = f64::min(next_profile, last_profile + 5.0);
            }
            let cache = (program.page_cache)(process.age).min((limit - anonymous).max(0.0));
            if anonymous + cache >= limit * 0.98 {
                limit_hits += 1;
            }
            first_level.get_or_insert(anonymous);
            let started = now.minus(Duration::from_secs_f64(process.age));
            let new = (announced != pid).then(|| process_facts(pid, started));
            announced = pid;
            history.apply_sample(&sample(
                &history,
                now,
                pid,
                new,
                anonymous.min(limit),
                cache,
                (program.shared)(process.age),
                setup.limit,
                limit_hits,
            ));
            let investigation = investigate(&history, &BTreeMap::new(), &[], now);
            assert_eq!(agreement::contradiction(&history, &investigation.verdict, now), None);
            history.apply_verdict(&investigation.verdict);
            outcome_verdicts.push((watched, investigation.verdict));
        }
        if let Some(interval) = setup.profile_interval
            && watched >= next_profile
        {
            next_profile = watched + interval;
            last_profile = watched;
            let heap = heap_profile(&mut history, program, &process, pid, now);
            history.apply_snapshot(heap);
            let goroutines = goroutine_profile(&mut history, program, &process, pid, now);
            history.apply_snapshot(goroutines);
        }
        watched += STEP;
    }
    Outcome {
        history,
        verdicts: outcome_verdicts,
        killed_at,
        post_mortems,
        first_level: first_level.unwrap_or(0.0),
    }
}

pub(crate) fn target(at: Timestamp) -> Target {
    Target {
        cgroup: CgroupKey {
            inode: 1,
            path: "/test".into(),
        },
        kind: TargetKind::Cgroup,
        name: "test".into(),
        service: "test".into(),
        container: None,
        started_at: at,
    }
}

const fn key(pid: u32) -> ProcessKey {
    ProcessKey { pid, start_ticks: 5 }
}

fn process_facts(pid: u32, started_at: Timestamp) -> Process {
    Process {
        key: key(pid),
        started_at,
        comm: "app".into(),
        exe: Ok("/app".into()),
        program: None,
        runtime: Ok(Runtime::Go {
            version: "go1.26.0".into(),
            build: None,
        }),
    }
}

fn bytes(value: f64) -> Bytes {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast of a float saturates"
    )]
    Bytes(value as u64)
}

#[expect(clippy::too_many_arguments, reason = "one call site")]
fn sample(
    history: &TargetHistory,
    at: Timestamp,
    pid: u32,
    new: Option<Process>,
    anonymous: f64,
    cache: f64,
    shared: f64,
    limit: Option<f64>,
    limit_hits: u64,
) -> Sample {
    let file = bytes(cache + shared);
    let anon = bytes(anonymous);
    Sample {
        target: history.target.id(),
        at,
        cgroup: Ok(CgroupMemory {
            charge: anon.saturating_add(file),
            limit: limit.map_or(Limit::Max, |limit| Limit::Bytes(bytes(limit))),
            counters: Counters::new(
                Some(CgroupVersion::V2),
                [
                    (Counter::Anon, anon.0),
                    (Counter::File, file.0),
                    (Counter::Shmem, bytes(shared).0),
                    (Counter::InactiveFile, bytes(cache).0),
                    (Counter::ActiveFile, 0),
                    (Counter::Kernel, 0),
                    (Counter::LocalOomKill, 0),
                    (Counter::LocalMax, limit_hits),
                ],
            ),
        }),
        new_processes: new.into_iter().map(Arc::new).collect(),
        processes: vec![process_sample(pid, anon)],
    }
}

fn process_sample(pid: u32, anon: Bytes) -> ProcessSample {
    ProcessSample {
        key: key(pid),
        memory: Ok(ProcessMemory {
            rss: anon,
            anon,
            ..ProcessMemory::default()
        }),
    }
}

fn kill(at: Timestamp, pid: u32) -> OomKill {
    let none = || Missing::new(MissingReason::Unsupported, "simulated");
    OomKill {
        at,
        scope: Err(none()),
        cgroup: Err(none()),
        memcg: Err(none()),
        victim: OomVictim {
            pid,
            start_ticks: Some(5),
            comm: "app".into(),
            rss_anon: Err(none()),
            rss_file: Err(none()),
            rss_shmem: Err(none()),
            page_tables: Err(none()),
            oom_score_adj: Err(none()),
            read_at_death: false,
        },
        trigger: OomTrigger {
            pid,
            comm: "app".into(),
        },
    }
}

fn exit(at: Timestamp, pid: u32) -> ProcessExit {
    ProcessExit {
        at,
        key: key(pid),
        comm: "app".into(),
        exit_code: Ok(9),
        cgroup_inode: None,
        killer: None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the cast of a float saturates")]
fn heap_profile(
    history: &mut TargetHistory,
    program: &Program,
    process: &GoProcess,
    pid: u32,
    at: Timestamp,
) -> Snapshot {
    let mut values = Vec::new();
    for (state, site) in process.published().iter().zip(&program.heap) {
        let scale = 1.0 / GoProcess::chance(site.object_size);
        let chance = 1.0 / scale;
        let value = StackValue {
            alloc_objects: (state.sampled_allocations * scale) as i64,
            alloc_space: (state.sampled_allocations * scale * site.object_size) as i64,
            inuse_objects: (state.sampled * scale) as i64,
            inuse_space: (state.sampled * scale * site.object_size) as i64,
            inuse_variance: state.sampled * (site.object_size * scale).powi(2) * (1.0 - chance),
        };
        values.push((Arc::make_mut(&mut history.stacks).intern(&site.stack).unwrap(), value));
    }
    let garbage = StackValue {
        alloc_objects: (process.garbage_published / 1024.0) as i64,
        alloc_space: process.garbage_published as i64,
        ..StackValue::default()
    };
    values.push((
        Arc::make_mut(&mut history.stacks)
            .intern(&stack_of("main.render"))
            .unwrap(),
        garbage,
    ));
    // Stacks that allocated for the first time since the last collection are listed, without a value yet.
    for listed in (0..1000).take_while(|listed| f64::from(*listed) * 11.0 < process.age) {
        let stack = stack_of(&format!("main.route{listed}"));
        values.push((
            Arc::make_mut(&mut history.stacks).intern(&stack).unwrap(),
            StackValue::default(),
        ));
    }
    snapshot(history, ProfileType::Heap, values, pid, at)
}

/// An exact heap profile of one place.
#[expect(clippy::cast_possible_truncation, reason = "the cast of a float saturates")]
fn heap_snapshot_of(history: &mut TargetHistory, function: &str, size: f64, pid: u32, at: Timestamp) -> Snapshot {
    let value = StackValue {
        alloc_objects: (size / 1024.0) as i64,
        alloc_space: size as i64,
        inuse_objects: (size / 1024.0) as i64,
        inuse_space: size as i64,
        inuse_variance: 0.0,
    };
    let stack = Arc::make_mut(&mut history.stacks).intern(&stack_of(function)).unwrap();
    snapshot(history, ProfileType::Heap, vec![(stack, value)], pid, at)
}

#[expect(clippy::cast_possible_truncation, reason = "the cast of a float saturates")]
fn goroutine_profile(
    history: &mut TargetHistory,
    program: &Program,
    process: &GoProcess,
    pid: u32,
    at: Timestamp,
) -> Snapshot {
    let loading = program.loads.filter(|(_, until)| process.age < *until);
    let mut main_stack = vec![frame("main.main", 3), frame("runtime.main", 1)];
    if let Some((function, _)) = loading {
        main_stack.insert(0, frame(function, 42));
    }
    let mut values = vec![(
        Arc::make_mut(&mut history.stacks).intern(&main_stack).unwrap(),
        StackValue {
            inuse_objects: 1,
            ..StackValue::default()
        },
    )];
    for site in &program.goroutines {
        let count = (site.count)(process.age).max(0.0) as i64;
        if count > 0 {
            let value = StackValue {
                inuse_objects: count,
                ..StackValue::default()
            };
            values.push((Arc::make_mut(&mut history.stacks).intern(&site.stack).unwrap(), value));
        }
    }
    snapshot(history, ProfileType::Goroutine, values, pid, at)
}

fn snapshot(
    history: &TargetHistory,
    profile_type: ProfileType,
    mut values: Vec<(crate::model::stack::StackId, StackValue)>,
    pid: u32,
    at: Timestamp,
) -> Snapshot {
    values.sort_by_key(|(id, _)| *id);
    let mut total = StackValue::default();
    for (_, value) in &values {
        total.alloc_objects += value.alloc_objects;
        total.alloc_space += value.alloc_space;
        total.inuse_objects += value.inuse_objects;
        total.inuse_space += value.inuse_space;
        total.inuse_variance += value.inuse_variance;
    }
    Snapshot {
        target: history.target.id(),
        process: key(pid),
        profile_type,
        at,
        source: ProfileSource::Endpoint,
        values: values.into(),
        total,
        period: 1,
        program: crate::model::profile::Program::default(),
        losses: [].into(),
    }
}
