//! Every kind of input survives the way to the file and back; a damaged file is read as far as it is whole.

use super::*;
use crate::input::messages::MAGIC;
use leakwatch_analysis::model::counter::CgroupVersion;
use leakwatch_analysis::model::counter::Counter;
use leakwatch_analysis::model::counter::Counters;
use leakwatch_analysis::model::counter::CountersBuilder;
use leakwatch_analysis::model::event::Loss;
use leakwatch_analysis::model::event::OomKill;
use leakwatch_analysis::model::event::OomMemcg;
use leakwatch_analysis::model::event::OomScope;
use leakwatch_analysis::model::event::OomTrigger;
use leakwatch_analysis::model::event::OomVictim;
use leakwatch_analysis::model::event::ProcessExit;
use leakwatch_analysis::model::final_heap::FinalGoroutines;
use leakwatch_analysis::model::final_heap::FinalHeap;
use leakwatch_analysis::model::final_heap::FinalState;
use leakwatch_analysis::model::final_heap::GoroutineGroup;
use leakwatch_analysis::model::final_heap::TruncationReason;
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
use prost::Message as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

fn counters(values: &[(Counter, u64)], unread: Option<&'static str>) -> Counters {
    let mut counters = CountersBuilder::new(Some(CgroupVersion::V2));
    for (counter, value) in values {
        counters.set(*counter, *value);
    }
    if let Some(file) = unread {
        counters.fail(file, missing());
    }
    counters.build()
}

fn head() -> Head {
    Head {
        leakwatch: "1.2.3".into(),
        host: Ok(HostIdentity {
            machine_id: Ok("machine".into()),
            boot_id: Err(missing()),
            node_name: Ok("node".into()),
        }),
    }
}

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
        counters: counters(
            &[(Counter::Anon, 1), (Counter::NumaTotal, u64::MAX)],
            Some("memory.pressure"),
        ),
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
        counters: Counters::new(None, []),
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
        Input::FinalState(Box::new(FinalState {
            at,
            target: id.clone(),
            process: key,
            heap: Ok(FinalHeap {
                allocated: [1, 2].into(),
                retained: pprof::recorded([3].into(), ProfileType::Heap),
                buckets: 4,
                lost: 5,
                unreadable: 6,
                unknown: 7,
                unknown_bytes: Bytes(8),
                truncation: Some(TruncationReason::Damaged),
                held_up: Duration::from_nanos(9),
            }),
            goroutines: FinalGoroutines {
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
        Input::FinalState(Box::new(FinalState {
            at,
            target: id.clone(),
            process: key,
            heap: Err(missing()),
            goroutines: FinalGoroutines::default(),
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
    let mut recorder = Recorder::create(&path, bound, &head()).unwrap();
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
    let mut recording = Recording::open(&path).unwrap();
    assert_eq!(recording.head(), Some(&head()));
    let read: Vec<Input> = recording.by_ref().collect::<Result<_, _>>().unwrap();
    assert_eq!(text(&read), text(&inputs()));
    assert_eq!(recording.skipped(), Skipped::default());
}

#[test]
fn a_recording_cut_anywhere_is_read_up_to_its_last_whole_frame() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = record(dir.path(), u64::MAX);
    let whole = std::fs::read(&path).unwrap();
    let expected = text(&inputs());
    for length in MAGIC.len()..whole.len() {
        let mut good = Vec::new();
        let recording = match Recording::read(&whole[..length], &path) {
            Ok(recording) => recording,
            Err(RecordError::Malformed { .. }) => continue,
            Err(error) => panic!("{error}"),
        };
        for input in recording {
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
        let Ok(recording) = Recording::read(bytes.as_slice(), &path) else {
            continue;
        };
        let _inputs: Vec<_> = recording.take_while(Result::is_ok).collect();
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
    for bytes in [&b""[..], b"LWREC", b"LWREC\0\0\0rest", b"{\"json\": true}"] {
        std::fs::write(&path, bytes).unwrap();
        assert!(
            matches!(Recording::open(&path), Err(RecordError::NotARecording { .. })),
            "{bytes:?}"
        );
    }
}

#[test]
fn a_newer_format_is_refused_with_what_to_do() {
    let error = Recording::read(&b"LWREC\0\0\x03rest"[..], Path::new("x")).unwrap_err();
    assert!(
        matches!(
            error,
            RecordError::Newer {
                found: 3,
                newest: 2,
                ..
            }
        ),
        "{error}"
    );
}

/// A varint of one byte after a tag: a field of whatever later version.
fn with_field(mut message: Vec<u8>, field: u8, value: u8) -> Vec<u8> {
    message.extend([field << 3, value]);
    message
}

fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![u8::try_from(message.len()).unwrap()];
    frame.extend(message);
    frame
}

#[test]
fn what_a_later_version_says_is_skipped_and_counted() {
    let at = Timestamp::from_unix_seconds(1);
    let tick = messages::Envelope {
        at: at.unix_nanos(),
        kind: Some(messages::Kind::Tick(messages::Tick {})),
    };
    let sample = |numbers: Vec<u32>, files: Vec<messages::UnreadFile>| messages::Envelope {
        at: at.unix_nanos(),
        kind: Some(messages::Kind::Sample(Box::new(messages::Sample {
            target: "t".into(),
            cgroup: Some(messages::CgroupMemory {
                counters: Some(messages::Counters {
                    values: numbers.iter().map(|number| u64::from(*number)).collect(),
                    numbers,
                    unread_files: files,
                    version: 2,
                }),
                ..messages::CgroupMemory::default()
            }),
            ..messages::Sample::default()
        }))),
    };
    let later_file = messages::UnreadFile {
        name: "memory.later".into(),
        missing: Some(messages::Missing {
            reason: 77,
            ..messages::Missing::default()
        }),
    };
    let no_kind = messages::Envelope {
        at: at.unix_nanos(),
        kind: None,
    };
    let mut bytes = MAGIC.to_vec();
    bytes.extend(frame(&with_field(messages::Head::default().encode_to_vec(), 15, 1)));
    bytes.extend(frame(&with_field(tick.encode_to_vec(), 15, 1)));
    bytes.extend(frame(&with_field(no_kind.encode_to_vec(), 15, 1)));
    bytes.extend(frame(&sample(vec![1, 127], vec![later_file]).encode_to_vec()));
    let mut recording = Recording::read(bytes.as_slice(), Path::new("x")).unwrap();
    let read: Vec<Input> = recording.by_ref().collect::<Result<_, _>>().unwrap();
    let [Input::Tick { .. }, Input::Sample(sample)] = read.as_slice() else {
        panic!("{read:?}");
    };
    let known: Vec<_> = sample.cgroup.as_ref().unwrap().counters.iter().collect();
    assert_eq!(known, [(Counter::Anon, 1)]);
    let skipped = Skipped {
        inputs: 1,
        counters: 2,
        fields: 1,
    };
    assert_eq!(recording.skipped(), skipped);
}

proptest::proptest! {
    #[test]
    fn any_counters_survive(values in proptest::collection::btree_map(1_u32..200, proptest::prelude::any::<u64>(), 0..150), version in 0..3) {
        let version = [None, Some(CgroupVersion::V1), Some(CgroupVersion::V2)][usize::try_from(version).unwrap()];
        let known = values.iter().filter_map(|(number, value)| Some((Counter::from_number(*number)?, *value)));
        let counters = Counters::new(version, known);
        let input = Input::Sample(Sample {
            target: TargetId::from_text("t"),
            at: Timestamp::from_unix_nanos(7),
            cgroup: Ok(CgroupMemory { charge: Bytes(1), limit: Limit::Max, counters }),
            new_processes: Vec::new(),
            processes: Vec::new(),
        });
        let frame = codec::encode(&input);
        let message = messages::Envelope::decode_length_delimited(frame.as_slice()).unwrap().encode_to_vec();
        let mut skipped = Skipped::default();
        let read = codec::decode(&message, &mut skipped).unwrap().unwrap();
        proptest::prop_assert_eq!(format!("{read:?}"), format!("{input:?}"));
        proptest::prop_assert_eq!(skipped, Skipped::default());
    }

    #[test]
    fn garbage_is_refused_or_read_never_worse(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..512)) {
        for form in [1, 2] {
            let mut recording = MAGIC.to_vec();
            recording.truncate(MAGIC.len() - 1);
            recording.push(form);
            recording.extend(&bytes);
            if let Ok(recording) = Recording::read(recording.as_slice(), Path::new("x")) {
                proptest::prop_assert!(recording.take_while(Result::is_ok).count() <= bytes.len());
            }
        }
    }
}
