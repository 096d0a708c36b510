//! Every kind of input, with every field set.

use crate::input::Head;
use crate::input::Input;
use crate::input::TakenProfile;
use leakwatch_analysis::model::counter::CgroupVersion;
use leakwatch_analysis::model::counter::Counter;
use leakwatch_analysis::model::counter::Counters;
use leakwatch_analysis::model::counter::CountersBuilder;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::decoded::Summing;
use leakwatch_analysis::model::event::ConfigChanges;
use leakwatch_analysis::model::event::ConfigReload;
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
use leakwatch_analysis::model::host::HostIdentity;
use leakwatch_analysis::model::investigation::Answer;
use leakwatch_analysis::model::investigation::StepId;
use leakwatch_analysis::model::killer::Killer;
use leakwatch_analysis::model::profile::ProfileLoss;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::ruling::Ruled;
use leakwatch_analysis::model::ruling::Ruling;
use leakwatch_analysis::model::runtime::GoBuild;
use leakwatch_analysis::model::runtime::GoRuntimeStats;
use leakwatch_analysis::model::runtime::ManagedRuntime;
use leakwatch_analysis::model::runtime::ManagedRuntimeName;
use leakwatch_analysis::model::runtime::Runtime;
use leakwatch_analysis::model::runtime::RuntimeStats;
use leakwatch_analysis::model::sample::CgroupMemory;
use leakwatch_analysis::model::sample::Limit;
use leakwatch_analysis::model::sample::ProcessMemory;
use leakwatch_analysis::model::sample::ProcessSample;
use leakwatch_analysis::model::sample::Sample;
use leakwatch_analysis::model::stack::Frame;
use leakwatch_analysis::model::stack::StackId;
use leakwatch_analysis::model::stack::StackTable;
use leakwatch_analysis::model::target::CgroupKey;
use leakwatch_analysis::model::target::Container;
use leakwatch_analysis::model::target::ContainerRuntime;
use leakwatch_analysis::model::target::Process;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::Target;
use leakwatch_analysis::model::target::TargetKind;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use std::sync::Arc;
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

pub(super) fn head() -> Head {
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
pub(super) fn inputs() -> Vec<Input> {
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
    let process = |runtime, exe| {
        Arc::new(Process {
            key,
            started_at: at,
            comm: "comm".into(),
            exe,
            program: Some("orders.py".into()),
            runtime,
        })
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
                    build: Some(Arc::new(GoBuild {
                        package: "example.org/shop/cmd/shop".into(),
                        module: "example.org/shop".into(),
                        module_version: Some("v1.2.3".into()),
                        revision: Some("8f2d31c7".into()),
                        modified: Some(true),
                    })),
                }),
                Ok("/exe".into()),
            ),
            process(Ok(Runtime::Native), Err(missing())),
            process(Err(missing()), Ok("/exe".into())),
            process(
                Ok(Runtime::Managed(ManagedRuntime {
                    name: ManagedRuntimeName::Python,
                    version: Some("3.11".into()),
                    most_heap: Some(Bytes(7)),
                    most_heap_percent: Some(75),
                })),
                Ok("/exe".into()),
            ),
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
            // That it does not decode is recorded all the same.
            profile: Err(missing()),
        }),
        Input::Profile(TakenProfile {
            at,
            target: id.clone(),
            process: key,
            profile_type: ProfileType::Heap,
            source: ProfileSource::Snapshot,
            profile: Ok(content()),
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
                allocated: Some(content()),
                retained: None,
                buckets: 4,
                lost: 5,
                unreadable: 6,
                unknown: 7,
                unknown_bytes: Bytes(8),
                not_reached: 14,
                left_out: 15,
                left_out_bytes: Bytes(16),
                truncation: Some(TruncationReason::Damaged),
                held_up: Duration::from_nanos(9),
            }),
            goroutines: Ok(FinalGoroutines {
                groups: vec![GoroutineGroup {
                    count: 10,
                    function: "main.f".into(),
                    created_by: "main.g".into(),
                    file: "main.go".into(),
                    line: 11,
                    state: "select".into(),
                }],
                missing: 12,
                truncation: Some(TruncationReason::Room),
                held_up: Duration::from_nanos(13),
            }),
        })),
        Input::FinalState(Box::new(FinalState {
            at,
            target: id.clone(),
            process: key,
            heap: Err(missing()),
            goroutines: Err(missing()),
        })),
        Input::ProcessExit(ProcessExit {
            at,
            key,
            comm: "comm".into(),
            exit_code: Ok(9),
            cgroup_inode: Some(3),
            killer: Some(Killer::Process {
                pid: 1,
                comm: "systemd".to_owned(),
            }),
        }),
        Input::ProcessExit(ProcessExit {
            at,
            key,
            comm: "comm".into(),
            exit_code: Err(missing()),
            cgroup_inode: None,
            killer: Some(Killer::OomKiller),
        }),
        Input::Loss(Loss {
            at,
            reason: "ring_buffer_full".into(),
            count: 3,
        }),
        Input::ConfigReload(ConfigReload {
            at,
            outcome: Ok(ConfigChanges {
                applied: vec!["interval".into()],
                need_restart: vec!["only".into(), "bpf".into()],
            }),
        }),
        Input::ConfigReload(ConfigReload {
            at,
            outcome: Err("unknown key".to_owned()),
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
        Input::Ruling {
            at,
            id: "a".to_owned(),
            ruling: Some(Ruling {
                id: "a".to_owned(),
                service: "service".to_owned(),
                version: Some("0c0ffee".to_owned()),
                ruled: Ruled::Overrule(StepId::Native, Answer::Unknown),
                reason: "known".to_owned(),
                made_at: at,
                until: at.plus(Duration::from_secs(1)),
            }),
        },
        Input::Ruling {
            at,
            id: "b".to_owned(),
            ruling: Some(Ruling {
                id: "b".to_owned(),
                service: "service".to_owned(),
                version: None,
                ruled: Ruled::Mute,
                reason: String::new(),
                made_at: at,
                until: at,
            }),
        },
        Input::Ruling {
            at,
            id: "a".to_owned(),
            ruling: None,
        },
        Input::Pin {
            at,
            oom_kill: "k1".to_owned(),
            pinned: true,
        },
        Input::Tick { at },
        Input::TargetGone { at, target: id },
    ]
}

/// A profile of two stacks with one caller, and of values without a stack.
fn content() -> Arc<ProfileContent> {
    let frame = |function: &str, line| Frame {
        function: function.into(),
        file: "main.go".into(),
        line,
    };
    let mut stacks = StackTable::default();
    let leaf = stacks.intern(&[frame("main.leaf", 2), frame("main.main", 1)]);
    let other = stacks.intern(&[frame("main.other", 3), frame("main.main", 1)]);
    let value = StackValue {
        alloc_objects: 5,
        alloc_space: 50,
        inuse_objects: -2,
        inuse_space: 20,
        inuse_variance: 0.125,
    };
    let mut sum = Summing::default();
    for stack in [leaf, other, Ok(StackId::EMPTY)] {
        sum.add(&mut stacks, stack, None, &value);
    }
    let mut summary = sum.finish(512);
    summary.losses.push(ProfileLoss {
        reason: "samples_unreadable".into(),
        samples: 7,
        value,
    });
    Arc::new(ProfileContent { stacks, summary })
}
