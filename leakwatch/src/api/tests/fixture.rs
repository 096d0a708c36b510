//! A daemon without its parts: three replicas of a service of which one leaks, a unit that cannot be read, one that is
//! gone, and an OOM kill. Times end now, so that relative instants can be asked for.

use crate::api::context::Context;
use crate::api::context::Facts;
use crate::api::router;
use crate::capabilities::Capability;
use crate::capture::Captures;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::Environment;
use crate::config::live::Live;
use crate::dto::capability::CapabilityBody;
use crate::engine::Engine;
use crate::input::Input;
use crate::input::TakenProfile;
use crate::store::Bounds;
use crate::store::disk::history::History;
use axum::Router;
use axum::body::Body;
use axum::body::Bytes;
use axum::body::to_bytes;
use http::HeaderMap;
use http::Request;
use http::StatusCode;
use leakwatch_analysis::model::counter::CgroupVersion;
use leakwatch_analysis::model::counter::Counter;
use leakwatch_analysis::model::counter::Counters;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::decoded::Summing;
use leakwatch_analysis::model::event::Loss;
use leakwatch_analysis::model::event::OomKill;
use leakwatch_analysis::model::event::OomMemcg;
use leakwatch_analysis::model::event::OomScope;
use leakwatch_analysis::model::event::OomTrigger;
use leakwatch_analysis::model::event::OomVictim;
use leakwatch_analysis::model::event::ProcessExit;
use leakwatch_analysis::model::host::HostIdentity;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::runtime::GoBuild;
use leakwatch_analysis::model::runtime::Runtime;
use leakwatch_analysis::model::sample::CgroupMemory;
use leakwatch_analysis::model::sample::Limit;
use leakwatch_analysis::model::sample::ProcessMemory;
use leakwatch_analysis::model::sample::ProcessSample;
use leakwatch_analysis::model::sample::Sample;
use leakwatch_analysis::model::stack::Frame;
use leakwatch_analysis::model::stack::StackTable;
use leakwatch_analysis::model::target::CgroupKey;
use leakwatch_analysis::model::target::Container;
use leakwatch_analysis::model::target::ContainerRuntime;
use leakwatch_analysis::model::target::Process;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::Target;
use leakwatch_analysis::model::target::TargetKind;
use leakwatch_analysis::model::units::Bytes as Size;
use leakwatch_analysis::model::units::Timestamp;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tower::ServiceExt as _;

pub(crate) const MIB: u64 = 1 << 20;
const ROUNDS: u64 = 120;
const INTERVAL: Duration = Duration::from_secs(5);
pub(crate) const LEAKING: &str = "1111aaaa";

/// The daemon.
pub(crate) struct Daemon {
    pub(crate) router: Router,
    pub(crate) context: Context,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Daemon {
    pub(crate) fn new() -> Self {
        Self::with_config(Config::defaults(&Environment::default()))
    }

    /// The engine goes on taking inputs, as in the daemon.
    pub(crate) fn with_config(config: Config) -> Self {
        let clock = Clock::start();
        Self::told(clock, config, story(clock.now()))
    }

    /// The same just before the leaking one is killed.
    pub(crate) fn before_the_kill() -> Self {
        let clock = Clock::start();
        let mut inputs = story(clock.now());
        let kill = inputs.iter().position(|input| matches!(input, Input::OomKill(_)));
        inputs.truncate(kill.unwrap());
        Self::told(clock, Config::defaults(&Environment::default()), inputs)
    }

    fn told(clock: Clock, config: Config, inputs: Vec<Input>) -> Self {
        let mut engine = Engine::new(Bounds::default(), None);
        for input in inputs {
            engine.apply(input);
        }
        let disk = Missing::new(MissingReason::NotConfigured, "not in this test");
        Self::of(engine, clock, config, Err(disk))
    }

    /// A daemon of this engine, with what it keeps on disk.
    pub(crate) fn of(mut engine: Engine, clock: Clock, config: Config, disk: Reading<History>) -> Self {
        let (inputs, received) = mpsc::channel(4);
        engine.publish();
        let views = engine.views();
        std::thread::spawn(move || engine.run(received));
        let facts = Facts {
            host: HostIdentity {
                machine_id: Ok("0123456789abcdef0123456789abcdef".to_owned()),
                boot_id: Ok("b0071d00-0000-4000-8000-000000000000".to_owned()),
                node_name: Ok("node-1".to_owned()),
            },
            started_at: clock.now(),
            capabilities: vec![
                CapabilityBody::from(&Capability {
                    name: "kernel",
                    state: Ok("6.18".to_owned()),
                }),
                CapabilityBody::from(&Capability {
                    name: "btf",
                    state: Err(Missing::new(MissingReason::Unsupported, "no BTF").with_fix("another kernel")),
                }),
            ],
            kernel_attached: false,
            own_memory: Arc::default(),
            previous_run: None,
            disk,
        };
        let context = Context::new(
            views,
            clock,
            inputs.clone(),
            Live::new(config),
            facts,
            Captures::new(clock, false, &inputs),
        );
        Self {
            router: router(context.clone()),
            context,
        }
    }

    /// A GET with the headers that every client sends.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(
            Request::get(path)
                .header("host", "127.0.0.1:7411")
                .body(Body::empty())
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.ask(
            Request::post(path)
                .header("host", "localhost:7411")
                .body(body.into())
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// The id of the target whose cgroup path ends so.
    pub(crate) fn id(&self, path: &str) -> String {
        let view = self.context.view();
        let found = view
            .targets()
            .find(|(_, stored)| stored.history.target.cgroup.path.ends_with(path));
        found.map_or_else(|| panic!("no {path}"), |(id, _)| id.to_string())
    }
}

pub(super) fn replica(start: &str, inode: u64, started_at: Timestamp) -> Target {
    let id = start.repeat(8);
    Target {
        cgroup: CgroupKey {
            inode,
            path: format!("/docker/{id}"),
        },
        kind: TargetKind::Container,
        name: start.to_owned(),
        service: "checkout".to_owned(),
        container: Some(Container {
            id,
            runtime: Some(ContainerRuntime::Docker),
            pod_uid: None,
        }),
        started_at,
    }
}

fn unit(name: &str, inode: u64, started_at: Timestamp) -> Target {
    Target {
        cgroup: CgroupKey {
            inode,
            path: format!("/system.slice/{name}"),
        },
        kind: TargetKind::Service,
        name: name.to_owned(),
        service: name.to_owned(),
        container: None,
        started_at,
    }
}

pub(super) fn process(pid: u32, started_at: Timestamp, comm: &str, go: bool) -> Process {
    Process {
        key: ProcessKey {
            pid,
            start_ticks: 1_000 + u64::from(pid),
        },
        started_at,
        comm: comm.to_owned(),
        exe: Ok(format!("/usr/bin/{comm}")),
        program: None,
        runtime: Ok(if go {
            Runtime::Go {
                version: "go1.27.3".to_owned(),
                build: Some(Arc::new(GoBuild {
                    package: format!("example.org/shop/cmd/{comm}"),
                    module: "example.org/shop".to_owned(),
                    module_version: Some("(devel)".to_owned()),
                    revision: Some("8f2d31c7".to_owned()),
                    modified: None,
                })),
            }
        } else {
            Runtime::Native
        }),
    }
}

fn unreadable() -> Missing {
    Missing::new(MissingReason::NotPermitted, "permission denied").with_fix("run as root")
}

pub(super) fn sample(target: &Target, process: &Process, round: u64, at: Timestamp, used: u64) -> Input {
    Input::Sample(Sample {
        target: target.id(),
        at,
        cgroup: Ok(CgroupMemory {
            charge: Size(used + 10 * MIB),
            limit: Limit::Bytes(Size::from_mib(512)),
            counters: Counters::new(
                Some(CgroupVersion::V2),
                [
                    (Counter::Anon, used),
                    (Counter::File, 8 * MIB),
                    (Counter::Shmem, 0),
                    (Counter::ActiveFile, 6 * MIB),
                    (Counter::InactiveFile, 2 * MIB),
                    (Counter::Kernel, MIB),
                    (Counter::SlabReclaimable, 0),
                    (Counter::Sock, 0),
                    (Counter::Swap, 0),
                    (Counter::LocalOomKill, 0),
                    (Counter::LocalMax, 0),
                ],
            ),
        }),
        new_processes: if round == 0 {
            vec![Arc::new(process.clone())]
        } else {
            Vec::new()
        },
        processes: vec![ProcessSample {
            key: process.key,
            memory: Ok(ProcessMemory {
                rss: Size(used),
                anon: Size(used),
                ..ProcessMemory::default()
            }),
        }],
    })
}

/// A heap profile of two stacks, of which one grows.
pub(crate) fn heap(leaked: u64) -> Arc<ProfileContent> {
    let frame = |function: &str, line| Frame {
        function: function.into(),
        file: "/src/markets.go".into(),
        line,
    };
    let mut stacks = StackTable::default();
    let main = frame("main.main", 10);
    let grows = stacks
        .intern(&[frame("main.getOrQueryMarketsValues", 42), main.clone()])
        .unwrap();
    let steady = stacks.intern(&[frame("main.newPool", 7), main]).unwrap();
    let value = |bytes: u64| {
        let bytes = i64::try_from(bytes).unwrap();
        StackValue {
            alloc_objects: bytes / 1024,
            alloc_space: bytes,
            inuse_objects: bytes / 1024,
            inuse_space: bytes,
            inuse_variance: 0.0,
        }
    };
    let mut sum = Summing::default();
    sum.add(&mut stacks, Ok(grows), None, &value(leaked));
    sum.add(&mut stacks, Ok(steady), None, &value(20 * MIB));
    let summary = sum.finish(1);
    Arc::new(ProfileContent { stacks, summary })
}

/// What happened in the ten minutes until `now`.
pub(crate) fn story(now: Timestamp) -> Vec<Input> {
    let start = now.minus(INTERVAL * u32::try_from(ROUNDS).unwrap());
    let replicas = [
        replica(LEAKING, 41, start),
        replica("2222bbbb", 42, start),
        replica("3333cccc", 43, start),
    ];
    let processes = [
        process(4001, start, "checkout", true),
        process(4002, start, "checkout", true),
        process(4003, start, "checkout", true),
    ];
    let blind = unit("blind.service", 44, start);
    let gone = unit("gone.service", 45, start);
    let mut inputs: Vec<Input> = replicas
        .iter()
        .chain([&blind, &gone])
        .map(|target| Input::TargetSeen {
            at: start,
            target: target.clone(),
        })
        .collect();
    for round in 0..ROUNDS {
        let at = start.plus(INTERVAL * u32::try_from(round).unwrap());
        for (index, (target, process)) in replicas.iter().zip(&processes).enumerate() {
            let used = if index == 0 {
                60 * MIB + round * 3 * MIB
            } else {
                60 * MIB + round % 3 * MIB / 8
            };
            inputs.push(sample(target, process, round, at, used));
        }
        inputs.push(Input::Sample(Sample {
            target: blind.id(),
            at,
            cgroup: Err(unreadable()),
            new_processes: Vec::new(),
            processes: Vec::new(),
        }));
        if round % 12 == 0 {
            for (index, (target, process)) in replicas.iter().zip(&processes).enumerate() {
                let leaked = if index == 0 { MIB + round * 3 * MIB } else { MIB };
                inputs.push(Input::Profile(TakenProfile {
                    at,
                    target: target.id(),
                    process: process.key,
                    profile_type: ProfileType::Heap,
                    source: ProfileSource::Endpoint,
                    profile: Ok(heap(leaked)),
                }));
            }
        }
    }
    inputs.push(Input::Tick { at: now });
    inputs.extend(ending(now, &replicas, &processes, &gone));
    inputs
}

fn ending(now: Timestamp, replicas: &[Target], processes: &[Process], gone: &Target) -> Vec<Input> {
    let (Some(target), Some(victim)) = (replicas.first(), processes.first()) else {
        return Vec::new();
    };
    vec![
        Input::TargetGone {
            at: now,
            target: gone.id(),
        },
        Input::OomKill(Box::new(OomKill {
            at: now,
            scope: Ok(OomScope::Memcg),
            cgroup: Ok(target.cgroup.clone()),
            memcg: Ok(OomMemcg {
                cgroup: target.cgroup.clone(),
                limit: Size::from_mib(512),
                charge: Size::from_mib(512),
            }),
            victim: OomVictim {
                pid: victim.key.pid,
                start_ticks: Some(victim.key.start_ticks),
                comm: victim.comm.clone(),
                rss_anon: Ok(Size::from_mib(420)),
                rss_file: Ok(Size::from_mib(6)),
                rss_shmem: Ok(Size(0)),
                page_tables: Err(Missing::new(MissingReason::Unsupported, "Linux 6.9 has it")),
                oom_score_adj: Ok(0),
                read_at_death: false,
            },
            trigger: OomTrigger {
                pid: victim.key.pid,
                comm: "checkout".to_owned(),
            },
        })),
        Input::ProcessExit(ProcessExit {
            at: now,
            key: victim.key,
            comm: victim.comm.clone(),
            exit_code: Ok(9),
            cgroup_inode: Some(target.cgroup.inode),
            killer: None,
        }),
        Input::Loss(Loss {
            at: now,
            reason: "ring_buffer_full".into(),
            count: 3,
        }),
        Input::Tick { at: now },
    ]
}
