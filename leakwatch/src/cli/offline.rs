//! What a recording or a bundle leads to, served as a daemon would: the same API and page, as of the instant at which it ends.

use crate::api;
use crate::api::context::Context;
use crate::api::context::Facts;
use crate::api::listen::Listeners;
use crate::api::serve;
use crate::capture::Captures;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::Environment;
use crate::config::live::Live;
use crate::engine::Engine;
use crate::input::Head;
use crate::store::bundle::BundledPast;
use crate::store::disk::past::Past;
use leakwatch_analysis::model::host::HostIdentity;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;

/// Answers of a person under way.
const CAPACITY: usize = 4;

/// What there is to serve.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) engine: Engine,
    pub(super) head: Option<Head>,
    pub(super) at: Timestamp,
    /// Of a bundle: what a daemon would read from disk.
    pub(super) past: Option<(TargetId, BundledPast)>,
}

/// What serves it: handlers, and what they read from.
#[derive(Debug)]
pub(super) struct Offline {
    pub(super) context: Context,
    _past: Option<Past>,
}

/// Serves until told to end. Only this machine may look: there is no token.
pub(super) async fn serve(address: SocketAddr, known: Known, output: Output) -> Result<(), CliError> {
    if !address.ip().is_loopback() {
        return Err(CliError::Usage(format!(
            "--serve {address} is no address of this machine alone, use 127.0.0.1"
        )));
    }
    let mut config = Config::defaults(&Environment::default());
    config.api.listen = Some(address);
    config.api.socket = None;
    let listeners = Listeners::bind(&config.api)
        .await
        .map_err(|error| CliError::Serve(error.into()))?;
    let url = listeners.url().unwrap_or_default();
    let offline = open(known, config)?;
    output.line(&format!(
        "served at {url}, Ctrl-C ends it; for other commands: --endpoint {url}"
    ))?;
    let handler = |kind| signal(kind).map_err(|error| CliError::Serve(error.into()));
    let (mut terminate, mut interrupt) = (handler(SignalKind::terminate())?, handler(SignalKind::interrupt())?);
    let told = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    serve::serve(listeners, api::router(offline.context.clone()), told).await;
    Ok(())
}

/// A daemon without its parts, whose clock stands still.
pub(super) fn open(known: Known, config: Config) -> Result<Offline, CliError> {
    let Known { engine, head, at, past } = known;
    let clock = Clock::stopped(at);
    let views = engine.views();
    let offline = || {
        Missing::new(
            MissingReason::NotConfigured,
            "this is a file that was opened, not a daemon",
        )
    };
    let past = match past {
        Some((target, past)) => {
            let service = views
                .newest()
                .target(&target)
                .map(|known| known.history.target.service.clone());
            let past = Past::of(&target, &service.unwrap_or_default(), past);
            Some(past.map_err(CliError::Store)?)
        }
        None => None,
    };
    let (inputs, received) = mpsc::channel(CAPACITY);
    std::thread::Builder::new()
        .name("engine".into())
        .spawn(move || engine.run(received))
        .map_err(|error| CliError::Serve(error.into()))?;
    let untold = || HostIdentity {
        machine_id: Err(offline()),
        boot_id: Err(offline()),
        node_name: Err(offline()),
    };
    let facts = Facts {
        started_at: at,
        host: head.and_then(|head| head.host.ok()).unwrap_or_else(untold),
        capabilities: Vec::new(),
        kernel_attached: false,
        own_memory: Arc::default(),
        previous_run: None,
        disk: past.as_ref().map(Past::history).ok_or_else(offline),
    };
    let captures = Captures::new(clock, false, &inputs);
    let context = Context::new(views, clock, inputs, Live::new(config), facts, captures);
    Ok(Offline { context, _past: past })
}
