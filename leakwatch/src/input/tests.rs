//! Every kind of input survives the way to the file and back; a damaged file is read as far as it is whole.

use super::*;
use leakwatch_analysis::model::event::Loss;
use leakwatch_analysis::model::event::OomKill;
use leakwatch_analysis::model::event::OomMemcg;
use leakwatch_analysis::model::event::OomScope;
use leakwatch_analysis::model::event::OomTrigger;
use leakwatch_analysis::model::event::OomVictim;
use leakwatch_analysis::model::event::ProcessExit;
use leakwatch_analysis::model::final_heap::CutReason;
use leakwatch_analysis::model::final_heap::GoroutineGroup;
use leakwatch_analysis::model::final_heap::GoroutinesAtDeath;
use leakwatch_analysis::model::final_heap::HeapAtDeath;
use leakwatch_analysis::model::final_heap::ProcessDeath;
use leakwatch_analysis::model::investigation::Answer;
use leakwatch_analysis::model::investigation::StepId;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::runtime::GoRuntimeStats;
use leakwatch_analysis::model::runtime::Runtime;
use leakwatch_analysis::model::runtime::RuntimeStats;
use leakwatch_analysis::model::sample::CgroupMemory;
use leakwatch_analysis::model::sample::Limit;
use leakwatch_analysis::model::sample::MemoryEvents;
use leakwatch_analysis::model::sample::MemoryStat;
use leakwatch_analysis::model::sample::ProcessMemory;
use leakwatch_analysis::model::sample::ProcessSample;
use leakwatch_analysis::model::sample::Sample;
use leakwatch_analysis::model::target::CgroupKey;
use leakwatch_analysis::model::target::Container;
use leakwatch_analysis::model::target::ContainerRuntime;
use leakwatch_analysis::model::target::Process;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::Target;
use leakwatch_analysis::model::target::TargetKind;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_analysis::pprof;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

fn missing() -> Missing {
    Missing::new(MissingReason::TooLarge, "too large").with_fix("make it smaller")
}

#[expect(
    clippy::too_many_lines,
    reason = "a list of every kind of input with every field set"
)]
fn inputs() -> Vec<Input> {
    let at = Timestamp::from_unix_nanos(1_700_000_000_123_456_789);
    let cgroup = CgroupKey {
        inode: u64::MAX,
        path: "/kubepods/pod1/x".into(),
    };
    let target = Target {
        cgroup: cgroup.clone(),
        kind: TargetKind::Container,
        name: "name".into(),
        service: "service".into(),
        container: Some(Container {
            id: "abc".into(),
            runtime: Some(ContainerRuntime::Podman),
            pod_uid: Some("uid".into()),
        }),
        started_at: at,
    };
    let id = target.id();
    let key = ProcessKey {
        pid: 7,
        start_ticks: 99,
    };
    let process = |runtime, exe| Process {
        key,
        started_at: at,
        comm: "comm".into(),
        exe,
        runtime,
    };
    let memory = CgroupMemory {
        charge: Bytes(10),
        limit: Limit::Bytes(Bytes(20)),
        swap: Err(missing()),
        stat: Ok(MemoryStat {
            anon: Bytes(1),
            file: Bytes(2),
            shmem: Bytes(3),
            active_file: Bytes(4),
            inactive_file: Bytes(5),
            kernel: Bytes(6),
            slab_reclaimable: Bytes(7),
        }),
        events: Ok(MemoryEvents { oom_kill: 8, max: 9 }),
    };
    let sample = Sample {
        target: id.clone(),
        at,
        cgroup: Ok(memory.clone()),
        new_processes: vec![
            process(
                Ok(Runtime::Go {
                    version: "go1.27".into(),
                }),
                Ok("/exe".into()),
            ),
            process(Ok(Runtime::Native), Err(missing())),
            process(Err(missing()), Ok("/exe".into())),
        ],
        processes: vec![
            ProcessSample {
                key,
                memory: Ok(ProcessMemory {
                    rss: Bytes(5),
                    anon: Bytes(4),
                    file: Bytes(3),
                    shmem: Bytes(2),
                    swap: Bytes(1),
                }),
            },
            ProcessSample {
                key,
                memory: Err(missing()),
            },
        ],
    };
    let unlimited = CgroupMemory {
        limit: Limit::Max,
        swap: Ok(Bytes(0)),
        stat: Err(missing()),
        events: Err(missing()),
        ..memory
    };
    let kill = OomKill {
        at,
        scope: Ok(OomScope::Global),
        cgroup: Ok(cgroup.clone()),
        memcg: Ok(OomMemcg {
            cgroup,
            limit: Bytes(5),
            charge: Bytes(6),
        }),
        victim: OomVictim {
            pid: 7,
            start_ticks: Some(99),
            comm: "victim".into(),
            rss_anon: Ok(Bytes(1)),
            rss_file: Ok(Bytes(2)),
            rss_shmem: Ok(Bytes(3)),
            page_tables: Ok(Bytes(4)),
            oom_score_adj: Ok(-997),
            read_at_death: true,
        },
        trigger: OomTrigger {
            pid: 8,
            comm: "trigger".into(),
        },
    };
    let unknown = OomKill {
        scope: Err(missing()),
        cgroup: Err(missing()),
        memcg: Err(missing()),
        victim: OomVictim {
            start_ticks: None,
            oom_score_adj: Err(missing()),
            read_at_death: false,
            rss_anon: Err(missing()),
            ..kill.victim.clone()
        },
        ..kill.clone()
    };
    vec![
        Input::TargetSeen {
            at,
            target: target.clone(),
        },
        Input::TargetSeen {
            at,
            target: Target {
                container: None,
                kind: TargetKind::Service,
                ..target
            },
        },
        Input::Sample(sample.clone()),
        Input::Sample(Sample {
            cgroup: Ok(unlimited),
            ..sample.clone()
        }),
        Input::Sample(Sample {
            cgroup: Err(missing()),
            ..sample
        }),
        Input::Profile(TakenProfile {
            at,
            target: id.clone(),
            process: key,
            profile_type: ProfileType::GoroutineLeak,
            source: ProfileSource::Endpoint,
            // Bytes that do not decode are kept all the same.
            profile: pprof::recorded([1, 2, 3].into(), ProfileType::GoroutineLeak),
        }),
        Input::ProfileMissing {
            at,
            target: id.clone(),
            profile_type: ProfileType::Heap,
            missing: missing(),
        },
        Input::Runtime {
            at,
            target: id.clone(),
            process: key,
            stats: Ok(RuntimeStats::Go(GoRuntimeStats {
                heap_marked: Bytes(1),
                heap_live: Bytes(2),
                heap_goal: Some(Bytes(3)),
                heap_in_use: Bytes(4),
                heap_idle: Bytes(5),
                heap_released: Bytes(6),
                mapped_ready: Bytes(7),
                stacks: Bytes(8),
                metadata: Bytes(9),
                collections: 10,
                gc_percent: Some(11),
                memory_limit: Some(Bytes(12)),
            })),
        },
        Input::Runtime {
            at,
            target: id.clone(),
            process: key,
            stats: Ok(RuntimeStats::Go(GoRuntimeStats::default())),
        },
        Input::Runtime {
            at,
            target: id.clone(),
            process: key,
            stats: Err(missing()),
        },
        Input::OomKill(Box::new(kill)),
        Input::OomKill(Box::new(unknown)),
        Input::Death(Box::new(ProcessDeath {
            at,
            target: id.clone(),
            process: key,
            heap: Ok(HeapAtDeath {
                allocated: [1, 2].into(),
                retained: pprof::recorded([3].into(), ProfileType::Heap),
                buckets: 4,
                lost: 5,
                unreadable: 6,
                unknown: 7,
                unknown_bytes: Bytes(8),
                cut: Some(CutReason::Damaged),
                held_up: Duration::from_nanos(9),
            }),
            goroutines: GoroutinesAtDeath {
                groups: vec![GoroutineGroup {
                    count: 10,
                    function: "main.f".into(),
                    created_by: "main.g".into(),
                    file: "main.go".into(),
                    line: 11,
                    state: "select".into(),
                }],
                missing: 12,
                held_up: Duration::from_nanos(13),
            },
        })),
        Input::Death(Box::new(ProcessDeath {
            at,
            target: id.clone(),
            process: key,
            heap: Err(missing()),
            goroutines: GoroutinesAtDeath::default(),
        })),
        Input::ProcessExit(ProcessExit {
            at,
            key,
            comm: "comm".into(),
            exit_code: Ok(9),
            cgroup_inode: Some(3),
        }),
        Input::ProcessExit(ProcessExit {
            at,
            key,
            comm: "comm".into(),
            exit_code: Err(missing()),
            cgroup_inode: None,
        }),
        Input::Loss(Loss {
            at,
            reason: "ring_buffer_full".into(),
            count: 3,
        }),
        Input::Answer {
            at,
            target: id.clone(),
            step: StepId::LiveHeap,
            answer: Some(Answer::No),
        },
        Input::Answer {
            at,
            target: id.clone(),
            step: StepId::LiveHeap,
            answer: None,
        },
        Input::Tick { at },
        Input::TargetGone { at, target: id },
    ]
}

fn record(dir: &Path, bound: u64) -> (PathBuf, Vec<Result<(), RecordError>>) {
    let path = dir.join("inputs.lwrec");
    let mut recorder = Recorder::create(&path, bound).unwrap();
    let written = inputs().iter().map(|input| recorder.write(input)).collect();
    recorder.finish().unwrap();
    (path, written)
}

/// Debug text covers every field of every input, so that a field forgotten on the wire fails here.
fn text(inputs: &[Input]) -> Vec<String> {
    inputs.iter().map(|input| format!("{input:?}")).collect()
}

#[test]
fn every_input_survives() {
    let dir = tempfile::tempdir().unwrap();
    let (path, written) = record(dir.path(), u64::MAX);
    assert!(written.iter().all(Result::is_ok));
    let read: Vec<Input> = Recording::open(&path).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(text(&read), text(&inputs()));
}

#[test]
fn a_recording_cut_anywhere_is_read_up_to_its_last_whole_frame() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = record(dir.path(), u64::MAX);
    let whole = std::fs::read(&path).unwrap();
    let expected = text(&inputs());
    for length in MAGIC.len()..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let mut good = Vec::new();
        for input in Recording::open(&path).unwrap() {
            match input {
                Ok(input) => good.push(input),
                Err(error) => {
                    assert!(matches!(error, RecordError::Malformed { .. }), "{error}");
                    break;
                }
            }
        }
        assert_eq!(text(&good), expected[..good.len()]);
        assert!(good.len() < expected.len());
    }
}

#[test]
fn flipped_bits_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = record(dir.path(), u64::MAX);
    let whole = std::fs::read(&path).unwrap();
    for position in MAGIC.len()..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 1 << (position % 8);
        std::fs::write(&path, &bytes).unwrap();
        let _inputs: Vec<_> = Recording::open(&path).unwrap().take_while(Result::is_ok).collect();
    }
}

#[test]
fn a_full_recording_ends_for_good_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (path, written) = record(dir.path(), 300);
    let first_lost = written.iter().position(Result::is_err).unwrap();
    assert!(
        written[first_lost..]
            .iter()
            .all(|result| matches!(result, Err(RecordError::Full { .. })))
    );
    let read: Vec<Input> = Recording::open(&path).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(read.len(), first_lost);
}

#[test]
fn other_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    for bytes in [&b""[..], b"LWREC", b"LWREC\0\0\x02rest", b"{\"json\": true}"] {
        std::fs::write(&path, bytes).unwrap();
        assert!(
            matches!(Recording::open(&path), Err(RecordError::NotARecording { .. })),
            "{bytes:?}"
        );
    }
}
