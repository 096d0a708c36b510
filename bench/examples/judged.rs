//! What a heap profile costs from the memory of a process to a verdict that readers see: reading, naming, taking in, judging, publishing.
//! `cargo xtask bench goproc` builds it with optimisation and starts it beside two processes of one program: the stacks of the second are
//! known when it is read for the first time. Arguments: the two processes, and how many later readings.
//!
//! Prints one line for each figure: its name, a tab, and its value in milliseconds of processor time.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use anyhow::Context as _;
use anyhow::Result;
use leakwatch::clock::Clock;
use leakwatch::collect::endpoint::Asked;
use leakwatch::collect::endpoint::Urgency;
use leakwatch::collect::endpoint::Watched;
use leakwatch::collect::runtime::go::GoMemoryCollector;
use leakwatch::collect::runtime::go::Sources;
use leakwatch::engine::Engine;
use leakwatch::input::Input;
use leakwatch::store::Bounds;
use leakwatch_analysis::model::counter::CgroupVersion;
use leakwatch_analysis::model::counter::Counters;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::runtime::Runtime;
use leakwatch_analysis::model::sample::CgroupMemory;
use leakwatch_analysis::model::sample::Limit;
use leakwatch_analysis::model::sample::ProcessMemory;
use leakwatch_analysis::model::sample::ProcessSample;
use leakwatch_analysis::model::sample::Sample;
use leakwatch_analysis::model::target::CgroupKey;
use leakwatch_analysis::model::target::Process;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::Target;
use leakwatch_analysis::model::target::TargetKind;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use procfs::process::Process as Proc;
use rustix::time::ClockId;
use rustix::time::clock_gettime;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio::time::timeout;

/// A reading is due once a second.
const PATIENCE: Duration = Duration::from_mins(1);
const VERSION: &str = "go1.27.3";

fn main() -> Result<()> {
    let numbers: Vec<u32> = std::env::args()
        .skip(1)
        .map(|argument| argument.parse())
        .collect::<Result<_, _>>()
        .context("two processes, and how many readings")?;
    let [first, second, later] = numbers[..] else {
        anyhow::bail!("two processes, and how many readings");
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // A reader of processes belongs to one thread.
    let thread = LocalSet::new();
    thread.block_on(&runtime, measure(key(first)?, key(second)?, later))
}

async fn measure(first: ProcessKey, second: ProcessKey, later: u32) -> Result<()> {
    let (watch_sender, watched) = watch::channel(Vec::new());
    let (_process_events, process_events) = mpsc::channel(1);
    let (orders, mut ordered) = mpsc::channel(64);
    let (output, inputs) = mpsc::channel(64);
    tokio::spawn(async move { while ordered.recv().await.is_some() {} });
    let clock = Clock::start();
    let collector = GoMemoryCollector::new(clock, orders);
    let sources = Sources {
        watched,
        process_events,
    };
    tokio::task::spawn_local(collector.run(sources, output));
    let mut judging = Judging {
        clock,
        engine: Engine::new(Bounds::default(), None),
        inputs,
        watched: watch_sender,
    };
    say("judged_unknown", judging.one(first, true).await?);
    say("judged_first", judging.one(second, true).await?);
    let mut costs = Vec::new();
    for _ in 0..later {
        costs.push(judging.one(second, false).await?);
    }
    costs.sort_unstable();
    say("judged_later", *costs.get(costs.len() / 2).context("no later reading")?);
    let view = judging.engine.views().newest();
    let target = view.target(&target(second).id()).context("no target")?;
    anyhow::ensure!(target.investigation.is_some(), "the target was not judged");
    let profile = target
        .history
        .snapshots
        .get(&ProfileType::Heap)
        .and_then(|series| series.newest());
    println!("judged_stacks\t{}", profile.context("no profile")?.values.len());
    Ok(())
}

/// An engine that judges what the collector reads.
struct Judging {
    clock: Clock,
    engine: Engine,
    inputs: mpsc::Receiver<Input>,
    watched: watch::Sender<Vec<Watched>>,
}

impl Judging {
    /// Processor time of this process from here until the next profile of a process is judged and published.
    async fn one(&mut self, process: ProcessKey, is_new: bool) -> Result<Duration> {
        let before = spent()?;
        if is_new {
            let at = self.clock.now();
            self.engine.apply(Input::TargetSeen {
                at,
                target: target(process),
            });
            self.watched.send(vec![watched(process)])?;
        }
        let mut is_read = false;
        // What the runtime counts comes last of a round.
        loop {
            let input = timeout(PATIENCE, self.inputs.recv()).await?.context("no collector")?;
            match &input {
                Input::Profile(taken) => is_read |= taken.process == process && taken.profile_type == ProfileType::Heap,
                Input::ProfileMissing { missing, .. } => anyhow::bail!("no profile: {}", missing.detail),
                _ => {}
            }
            let ends_round = matches!(&input, Input::Runtime { process: of, .. } if *of == process);
            self.engine.apply(input);
            if is_read && ends_round {
                break;
            }
        }
        self.engine.apply(sample(self.clock, process, is_new));
        self.engine.apply(Input::Tick { at: self.clock.now() });
        Ok(spent()?.saturating_sub(before))
    }
}

fn spent() -> Result<Duration> {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Ok(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
}

fn say(name: &str, cost: Duration) {
    println!("{name}\t{:.3}", cost.as_secs_f64() * 1e3);
}

fn key(pid: u32) -> Result<ProcessKey> {
    let start_ticks = Proc::new(i32::try_from(pid)?)?.stat()?.starttime;
    Ok(ProcessKey { pid, start_ticks })
}

fn target(process: ProcessKey) -> Target {
    Target {
        cgroup: CgroupKey {
            inode: process.pid.into(),
            path: format!("/bench/{}", process.pid),
        },
        kind: TargetKind::Cgroup,
        name: process.pid.to_string(),
        service: "bench".to_owned(),
        container: None,
        started_at: Timestamp::default(),
    }
}

fn watched(process: ProcessKey) -> Watched {
    Watched {
        target: target(process).id(),
        service: "bench".to_owned(),
        process,
        exe: None,
        go_version: VERSION.to_owned(),
        urgency: Urgency::NearLimit,
        asked: Asked::LeakedGoroutines,
        goroutine_leak: false,
    }
}

fn sample(clock: Clock, key: ProcessKey, is_new: bool) -> Input {
    let memory = Bytes::from_mib(300);
    let process = Process {
        key,
        started_at: clock.now(),
        comm: "bench".to_owned(),
        exe: Ok("/bench".to_owned()),
        program: None,
        runtime: Ok(Runtime::Go {
            version: VERSION.to_owned(),
            build: None,
        }),
    };
    Input::Sample(Sample {
        target: target(key).id(),
        at: clock.now(),
        cgroup: Ok(CgroupMemory {
            charge: memory,
            limit: Limit::Bytes(Bytes::from_mib(310)),
            counters: Counters::new(Some(CgroupVersion::V2), []),
        }),
        new_processes: is_new.then(|| Arc::new(process)).into_iter().collect(),
        processes: vec![ProcessSample {
            key,
            memory: Ok(ProcessMemory {
                rss: memory,
                anon: memory,
                ..ProcessMemory::default()
            }),
        }],
    })
}
