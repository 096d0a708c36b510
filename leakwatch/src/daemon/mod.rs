//! The daemon: starts every part, connects them, and ends them in order.
//!
//! A part that cannot run on this host is left out with a reason; what is left goes on.

mod engine_thread;
mod keeping;
mod kernel;
mod notify;
mod readers;
mod reload;
mod sampler;
mod pressure;

pub use crate::daemon::reload::Load;

use crate::api;
use crate::api::context::Context;
use crate::api::context::Facts;
use crate::api::listen::ListenError;
use crate::api::listen::Listeners;
use crate::api::serve::serve;
use crate::capture::Captures;
use crate::clock::Clock;
use crate::collect::CollectConfig;
use crate::collect::Collector;
use crate::collect::endpoint::EndpointCollector;
use crate::collect::runtime::go::GoMemoryCollector;
use crate::collect::runtime::go::Sources;
use crate::config::Config;
use crate::config::live::Live;
use crate::daemon::kernel::Kernel;
use crate::daemon::kernel::Links;
use crate::daemon::notify::Notifier;
use crate::daemon::pressure::Pressure;
use crate::daemon::readers::Readers;
use crate::daemon::reload::Reloader;
use crate::daemon::sampler::Sampler;
use crate::dto::capability::CapabilityBody;
use crate::dto::status::PreviousRunBody;
use crate::engine::Engine;
use crate::identity::cgroup::CgroupError;
use crate::identity::cgroup::Hierarchy;
use crate::identity::host;
use crate::input::Head;
use crate::input::RecordError;
use crate::input::Recorder;
use crate::previous_run::End;
use crate::previous_run::PreviousRun;
use crate::previous_run::RunNote;
use crate::probes::host::HostFacts;
use crate::self_stats::own_memory::OwnMemory;
use crate::state::StateDirectory;
use crate::state::StateError;
use crate::store::Bounds;
use crate::webhook::Webhook;
use leakwatch_analysis::model::host::HostIdentity;
use leakwatch_mapped::read_missing_pages_as_zeros;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;

/// A recording takes at most this much disk; about two days of 100 targets.
const RECORDING_BYTES: u64 = 1 << 30;

/// Processes started or killed, and orders about them, on their way between the kernel's side and the reader.
const LINK: usize = 256;

/// Why the daemon cannot start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Another daemon is there, or the directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The API cannot be served.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Without cgroups there is nothing to watch.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The recording cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The operating system refused a thread or a signal handler.
    #[error("cannot start {what}")]
    Start {
        /// What was to be started.
        what: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A part of the daemon ended unexpectedly.
    #[error("{0} ended unexpectedly")]
    Ended(&'static str),
}

/// Runs the daemon until it is told to end (SIGTERM, SIGINT) or cannot go on. At SIGHUP it loads its configuration again.
pub async fn run(config: Config, load: Load) -> Result<(), DaemonError> {
    // From here on the signal does not end the process.
    let hangup = handler(SignalKind::hangup())?;
    read_missing_pages_as_zeros().map_err(|source| DaemonError::Start {
        what: "the handler of SIGBUS",
        source,
    })?;
    let clock = Clock::start();
    let (live, hierarchy) = on_this_host(config)?;
    let config = live.config();
    let host_identity = host_of(&config);
    let state = StateDirectory::open(&config.state_dir)?;
    let (_note, previous_run) = look_back(&state, &host_identity)?;
    let listeners = Listeners::bind(&config.api).await?;
    let recorder = recorder(&config, &host_identity)?;
    let collector = Collector::new(CollectConfig {
        hierarchy: hierarchy.clone(),
        only: config.only.as_ref().map(PathBuf::from),
        proc_root: "/proc".into(),
        clock,
    })?;
    let mut engine = Engine::new(Bounds::default(), recorder);
    let keeping = keeping::keep(&mut engine, &config, &host_identity, clock);
    let views = engine.views();
    let (inputs, engine) = engine_thread::start(engine).map_err(|source| DaemonError::Start {
        what: "the engine",
        source,
    })?;

    // Not kept: the kernel's type information alone is 6 MiB.
    let host = HostFacts::look();
    let pressure = Arc::new(Pressure::default());
    let (process_events, reported) = mpsc::channel(LINK);
    let (orders, ordered) = mpsc::channel(LINK);
    let newcomer = Arc::new(AtomicBool::new(false));
    let links = Links {
        process_events,
        orders: ordered,
        views: views.clone(),
        newcomer: Arc::clone(&newcomer),
    };
    let kernel = Kernel::start(
        &host,
        &live,
        clock,
        collector.index(),
        Arc::clone(&pressure),
        &inputs,
        links,
    );
    let (by_endpoint, watched) = watch::channel(Vec::new());
    let (from_outside, watched_outside) = watch::channel(Vec::new());
    let (endpoint_config, configs) = watch::channel(reload::endpoints(&config));
    let endpoints = EndpointCollector::new(configs, clock).run(watched, inputs.clone());
    let outside = GoMemoryCollector::new(clock, orders).run(
        Sources {
            watched: watched_outside,
            process_events: reported,
        },
        inputs.clone(),
    );
    let captures = Captures::new(clock, config.bpf, &inputs);
    let own_memory = Arc::new(OwnMemory::default());
    let notifier = Arc::new(Notifier::new(live.clone(), views.clone()));
    let sampler = Sampler {
        captures: captures.clone(),
        own_memory: Arc::clone(&own_memory),
        collector,
        clock,
        views: views.clone(),
        pressure,
        newcomer,
        inputs: inputs.clone(),
        readers: Readers {
            config: live.clone(),
            by_endpoint,
            from_outside,
        },
        notifier: Arc::clone(&notifier),
        looked: HashMap::new(),
    };
    let reloader = Reloader {
        load,
        live: live.clone(),
        clock,
        endpoints: endpoint_config,
        inputs: inputs.clone(),
        notifier,
    };
    let facts = Facts {
        started_at: clock.now(),
        host: host_identity,
        capabilities: kernel
            .capabilities(&host, &hierarchy)
            .iter()
            .map(CapabilityBody::from)
            .collect(),
        kernel_attached: kernel.is_attached(),
        own_memory,
        previous_run: previous_run.as_ref().map(PreviousRunBody::from),
        disk: keeping.disk(),
    };
    drop(host);
    let context = Context::new(views, clock, inputs.clone(), live, facts, captures.clone());
    let telling = telling(&context, &config);
    let (stop_serving, server) = start_serving(listeners, context);

    let ended = tokio::select! {
        () = told_to_end()? => Ok(()),
        () = endpoints => Err(DaemonError::Ended("the endpoint collector")),
        () = reloader.run(hangup) => Err(DaemonError::Ended("the handler of SIGHUP")),
        () = outside => Err(DaemonError::Ended("the reader of Go processes")),
        () = sampling(sampler) => Err(DaemonError::Ended("the sampler")),
    };
    notify::stopping();
    drop(stop_serving);
    captures.stop_all();
    let served = server.await;
    // The engine ends, and completes its recording, once nobody can send to it any more. Then the store ends, with all that it was handed.
    drop((kernel, telling, inputs));
    keeping.end(engine).map_err(DaemonError::Ended)?;
    served.map_err(|_panic| DaemonError::Ended("the API"))?;
    ended
}

/// Which host this is, by the name that it is configured to have.
fn host_of(config: &Config) -> HostIdentity {
    let mut identity = host::identity(Path::new("/"));
    if let Some(name) = &config.node {
        identity.node_name = Ok(name.clone());
    }
    identity
}

/// Tells the receiver of the webhook, if there is one, until it is dropped.
fn telling(context: &Context, config: &Config) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let host = context.facts.host.node_name.clone().unwrap_or_default();
    let (views, inputs) = (context.views.clone(), context.inputs.clone());
    match Webhook::new(&config.webhook, &config.state_dir, host, views, context.clock, inputs) {
        Ok(Some(webhook)) => {
            tasks.spawn(webhook.run());
        }
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(%error, "leaks and kills are not told: their queue in the state directory cannot be used");
        }
    }
    tasks
}

/// Serves until the sender is dropped.
fn start_serving(listeners: Listeners, context: Context) -> (oneshot::Sender<()>, JoinHandle<()>) {
    say_where(&listeners);
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(serve(listeners, api::router(context), async {
        // Whether told to stop or left alone: serving ends.
        drop(stopped.await);
    }));
    (stop, server)
}

/// Takes rounds of samples until one fails or the engine is gone.
async fn sampling(sampler: Sampler) {
    if let Err(error) = sampler.run().await {
        tracing::error!(%error, "a round of samples failed");
    }
}

/// Finds the cgroups, and what of the configuration looks like a mistake here.
fn on_this_host(mut config: Config) -> Result<(Live, Hierarchy), DaemonError> {
    let root = config.cgroup_root.as_deref();
    let hierarchy = root.map_or_else(Hierarchy::detect, Hierarchy::at)?;
    config.warnings.extend(not_there(&config, &hierarchy));
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    Ok((Live::new(config), hierarchy))
}

/// The subtree that is to be watched may come later, or be misspelt.
fn not_there(config: &Config, hierarchy: &Hierarchy) -> Option<String> {
    let only = config.only.as_deref()?;
    let directory = hierarchy.root.join(only.trim_start_matches('/'));
    (!directory.is_dir()).then(|| {
        format!(
            "only = \"{only}\": there is no cgroup {} yet, so nothing is watched",
            directory.display()
        )
    })
}

/// What writes the recording, if one is wanted.
fn recorder(config: &Config, host: &HostIdentity) -> Result<Option<Recorder>, RecordError> {
    let create = |path| Recorder::create(path, RECORDING_BYTES, &Head::of(host.clone()));
    config.record.as_deref().map(create).transpose()
}

/// Leaves the note of this run, and tells of a daemon that was killed.
fn look_back(state: &StateDirectory, host: &HostIdentity) -> Result<(RunNote, Option<PreviousRun>), StateError> {
    let boot_id = host.boot_id.as_deref().unwrap_or_default();
    let begun = RunNote::begin(state.path(), boot_id).map_err(|source| StateError::Unusable {
        path: state.path().to_owned(),
        source,
    })?;
    match &begun.1 {
        Some(previous) if previous.end == End::WithHost => tracing::info!("{previous}"),
        Some(previous) => tracing::warn!("{previous}"),
        None => {}
    }
    Ok(begun)
}

/// Tells a person at the terminal, and the journal, where to look.
fn say_where(listeners: &Listeners) {
    for note in &listeners.notes {
        tracing::warn!("{note}");
    }
    if let Some(url) = listeners.url() {
        tracing::info!("leakwatch {} is watching: {url}", env!("CARGO_PKG_VERSION"));
    }
    if let Some(socket) = listeners.socket() {
        tracing::info!("command line and tools: {}", socket.display());
    }
}

fn handler(kind: SignalKind) -> Result<Signal, DaemonError> {
    signal(kind).map_err(|source| DaemonError::Start {
        what: "a signal handler",
        source,
    })
}

/// Completes at SIGTERM or SIGINT.
fn told_to_end() -> Result<impl Future<Output = ()>, DaemonError> {
    let (mut terminate, mut interrupt) = (handler(SignalKind::terminate())?, handler(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("ending");
    })
}
