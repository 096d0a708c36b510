//! Readers that render large profiles beside an engine that takes in rounds of samples, in one process and without a kernel: how late
//! readers see a round, and how long requests take. Arguments: readers, targets, buckets, seconds.
#![expect(clippy::print_stdout, reason = "a tool of the command line")]

use anyhow::Context as _;
use leakwatch::api;
use leakwatch::api::context::Context;
use leakwatch::api::context::Facts;
use leakwatch::capture::Captures;
use leakwatch::clock::Clock;
use leakwatch::config::Config;
use leakwatch::config::Environment;
use leakwatch::config::live::Live;
use leakwatch::engine::Engine;
use leakwatch::input::Input;
use leakwatch::input::TakenProfile;
use leakwatch::store::Bounds;
use leakwatch_analysis::model::counter::CgroupVersion;
use leakwatch_analysis::model::counter::Counters;
use leakwatch_analysis::model::host::HostIdentity;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
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
use leakwatch_analysis::pprof;
use leakwatch_analysis::pprof::ProfileBuilder;
use leakwatch_analysis::pprof::proto;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;
use tokio::sync::mpsc;

/// Rounds come this often.
const ROUND: Duration = Duration::from_secs(1);
/// A profile is taken in every so many rounds.
const PROFILE_ROUNDS: u64 = 10;
/// Rounds before the measurement.
const ROUNDS_BEFORE: u64 = 60;

/// When each tick that is under way was sent, and how long the others took.
#[derive(Default)]
struct Ticks {
    sent: Vec<Instant>,
    delays: Vec<Duration>,
}

fn main() -> anyhow::Result<()> {
    let numbers: Vec<u64> = std::env::args()
        .skip(1)
        .map(|argument| argument.parse())
        .collect::<Result<_, _>>()
        .context("readers targets buckets seconds")?;
    let [readers, targets, buckets, seconds] = numbers[..] else {
        anyhow::bail!("readers targets buckets seconds");
    };
    // As many threads as the daemon has.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(readers, targets, buckets, Duration::from_secs(seconds)))
}

async fn measure(readers: u64, targets: u64, buckets: u64, time: Duration) -> anyhow::Result<()> {
    let clock = Clock::start();
    let mut engine = Engine::new(Bounds::default(), None);
    let start = clock.now().minus(ROUND * u32::try_from(ROUNDS_BEFORE)?);
    for target in (1..=targets).map(target) {
        engine.apply(Input::TargetSeen { at: start, target });
    }
    for round in 0..ROUNDS_BEFORE {
        let at = start.plus(ROUND * u32::try_from(round)?);
        if round % (PROFILE_ROUNDS * 2) == 0 {
            engine.apply(decoded(taken(at), &bytes(buckets, round, at)));
        }
        for target in 1..=targets {
            engine.apply(sample(target, at, round));
        }
        engine.apply(Input::Tick { at });
    }
    let (inputs, mut received) = mpsc::channel(1_024);
    let views = engine.views();
    let ticks: Arc<Mutex<Ticks>> = Arc::default();
    let engine_ticks = Arc::clone(&ticks);
    let engine = std::thread::Builder::new().name("engine".into()).spawn(move || {
        while let Some(input) = received.blocking_recv() {
            let is_tick = matches!(input, Input::Tick { .. });
            engine.apply(input);
            if is_tick {
                let mut ticks = engine_ticks.lock().unwrap_or_else(PoisonError::into_inner);
                let sent = ticks.sent.remove(0);
                ticks.delays.push(sent.elapsed());
            }
        }
    })?;
    let facts = Facts {
        started_at: clock.now(),
        capabilities: Vec::new(),
        kernel_attached: false,
        host: HostIdentity {
            machine_id: Err(missing()),
            boot_id: Err(missing()),
            node_name: Err(missing()),
        },
        own_memory: Arc::default(),
        previous_run: None,
        disk: Err(missing()),
    };
    let config = Config::defaults(&Environment::default());
    let captures = Captures::new(clock, false, &inputs);
    let router = api::router(Context::new(
        views,
        clock,
        inputs.clone(),
        Live::new(config),
        facts,
        captures,
    ));
    let end = Instant::now() + time;
    let rendering: Vec<_> = (0..readers)
        .map(|reader| {
            let paths = [
                "/profiles/heap?format=flamegraph",
                "/diff",
                "/profiles/heap?format=pprof",
            ];
            tokio::spawn(read(
                router.clone(),
                paths.map(str::to_owned).to_vec(),
                reader,
                end,
                Duration::ZERO,
            ))
        })
        .collect();
    let looking = tokio::spawn(read(router, vec![String::new()], 0, end, Duration::from_millis(100)));

    let mut round = ROUNDS_BEFORE;
    while Instant::now() < end {
        let began = Instant::now();
        let at = clock.now();
        if round.is_multiple_of(PROFILE_ROUNDS) {
            let inputs = inputs.clone();
            let profile = tokio::task::spawn_blocking(move || bytes(buckets, round, at)).await?;
            let profile = tokio::task::spawn_blocking(move || decoded(taken(at), &profile)).await?;
            inputs.send(profile).await?;
        }
        for target in 1..=targets {
            inputs.send(sample(target, at, round)).await?;
        }
        ticks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .sent
            .push(Instant::now());
        inputs.send(Input::Tick { at }).await?;
        round += 1;
        tokio::time::sleep(ROUND.saturating_sub(began.elapsed())).await;
    }
    let mut requests = Vec::new();
    for reader in rendering {
        requests.append(&mut reader.await??);
    }
    let mut looks = looking.await??;
    drop(inputs);
    engine.join().map_err(|_panic| anyhow::anyhow!("the engine panicked"))?;
    let mut delays = std::mem::take(&mut ticks.lock().unwrap_or_else(PoisonError::into_inner).delays);
    for (what, times) in [
        ("tick delay", &mut delays),
        ("request for a profile", &mut requests),
        ("request for a target", &mut looks),
    ] {
        times.sort_unstable();
        let at = |share: usize| times.get((times.len() * share / 100).min(times.len() - 1)).copied();
        let [p50, p99, most] = [50, 99, 100].map(|share| at(share).unwrap_or_default());
        println!(
            "{what}: p50 {p50:.1?}, p99 {p99:.1?}, most {most:.1?} of {}",
            times.len()
        );
    }
    Ok(())
}

/// Asks for one path after the other until the end.
async fn read(
    router: axum::Router,
    paths: Vec<String>,
    first: u64,
    end: Instant,
    pause: Duration,
) -> anyhow::Result<Vec<Duration>> {
    use tower::ServiceExt as _;
    let id = target(1).id();
    let mut times = Vec::new();
    let first = usize::try_from(first)?;
    for path in paths.iter().cycle().skip(first) {
        if Instant::now() >= end {
            break;
        }
        let request = axum::http::Request::get(format!("/api/v1/targets/{id}{path}"))
            .header("host", "localhost")
            .body(axum::body::Body::empty())?;
        let began = Instant::now();
        let response = router.clone().oneshot(request).await?;
        anyhow::ensure!(response.status().is_success(), "{path}: {}", response.status());
        axum::body::to_bytes(response.into_body(), usize::MAX).await?;
        times.push(began.elapsed());
        tokio::time::sleep(pause).await;
    }
    Ok(times)
}

fn target(number: u64) -> Target {
    Target {
        cgroup: CgroupKey {
            inode: number,
            path: format!("/bench/{number}"),
        },
        kind: TargetKind::Cgroup,
        name: number.to_string(),
        service: number.to_string(),
        container: None,
        started_at: Timestamp::default(),
    }
}

fn key(number: u64) -> ProcessKey {
    ProcessKey {
        pid: u32::try_from(number).unwrap_or(u32::MAX),
        start_ticks: 1,
    }
}

fn missing() -> Missing {
    Missing::new(MissingReason::Unsupported, "not in this benchmark")
}

fn taken(at: Timestamp) -> TakenProfile {
    TakenProfile {
        at,
        target: target(1).id(),
        process: key(1),
        profile_type: ProfileType::Heap,
        source: ProfileSource::Snapshot,
        profile: Ok(Arc::default()),
    }
}

/// What a collector does with the bytes of a profile.
fn decoded(taken: TakenProfile, bytes: &[u8]) -> Input {
    Input::Profile(TakenProfile {
        profile: pprof::recorded(bytes, ProfileType::Heap),
        ..taken
    })
}

/// A heap profile in which everything grows a little from round to round.
fn bytes(buckets: u64, round: u64, at: Timestamp) -> Arc<[u8]> {
    const FUNCTIONS: u64 = 2_000;
    const DEPTH: u64 = 12;
    let mut builder = ProfileBuilder::new(ProfileType::Heap, 524_288, "/bin/service", &(0..1), at);
    let locations: Vec<u64> = (0..FUNCTIONS)
        .map(|number| {
            let function = format!("example.com/service/package{}.function{number}", number % 50);
            builder.location(0x1000 + number, std::iter::once((function.as_str(), "/src/main.go", 7)))
        })
        .collect();
    for bucket in 0..buckets {
        let frame =
            |depth: u64| (bucket / FUNCTIONS.pow(u32::try_from(depth).unwrap_or(0).min(2)) + depth * 37) % FUNCTIONS;
        let location_id = (0..DEPTH)
            .filter_map(|depth| locations.get(usize::try_from(frame(depth)).ok()?))
            .copied();
        let objects = i64::try_from(1 + bucket % 7 + round).unwrap_or(1);
        builder.profile.sample.push(proto::ProfileSample {
            location_id: location_id.collect(),
            value: vec![objects * 2, objects * 128, objects, objects * 64],
            label: Vec::new(),
        });
    }
    pprof::encode(&builder.finish()).into()
}

fn sample(number: u64, at: Timestamp, round: u64) -> Input {
    let anon = Bytes::from_mib(20 + number % 50).saturating_add(Bytes(4096 * (round % 7) * (number % 5)));
    let process = Process {
        key: key(number),
        started_at: Timestamp::default(),
        comm: "service".into(),
        exe: Ok("/bin/service".into()),
        program: None,
        runtime: Err(missing()),
    };
    Input::Sample(Sample {
        target: target(number).id(),
        at,
        cgroup: Ok(CgroupMemory {
            charge: anon,
            limit: Limit::Bytes(Bytes::from_mib(256)),
            counters: Counters::new(Some(CgroupVersion::V2), []),
        }),
        new_processes: if round == 0 {
            vec![Arc::new(process)]
        } else {
            Vec::new()
        },
        processes: vec![ProcessSample {
            key: key(number),
            memory: Ok(ProcessMemory {
                rss: anon,
                anon,
                ..ProcessMemory::default()
            }),
        }],
    })
}
