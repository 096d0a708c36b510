//! SIGHUP: the configuration is loaded again. A sound one is put in force as far as it can be while the daemon runs; one that is
//! not leaves everything as it is. Either is logged, shown by `/api/v1/status` and an event.

use crate::clock::Clock;
use crate::collect::endpoint::EndpointConfig;
use crate::config::Config;
use crate::config::error::ConfigError;
use crate::config::live::Live;
use crate::daemon::notify;
use crate::daemon::notify::Notifier;
use crate::input::Input;
use leakwatch_analysis::model::event::ConfigReload;
use std::error::Error as _;
use std::sync::Arc;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

/// Loads the configuration as the daemon was started with: the same file, variables and flags.
pub type Load = Arc<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// What a reload works with.
pub(super) struct Reloader {
    pub(super) load: Load,
    pub(super) live: Live,
    pub(super) clock: Clock,
    pub(super) endpoints: watch::Sender<EndpointConfig>,
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) notifier: Arc<Notifier>,
}

impl Reloader {
    /// Reloads at each signal, for ever.
    pub(super) async fn run(self, mut hangup: Signal) {
        while hangup.recv().await.is_some() {
            notify::reloading();
            // Reading a file may take its time.
            let load = Arc::clone(&self.load);
            let reload = match spawn_blocking(move || load()).await {
                Ok(loaded) => self.take_up(loaded),
                Err(error) => ConfigReload {
                    at: self.clock.now(),
                    outcome: Err(error.to_string()),
                },
            };
            if reload.is_incomplete() {
                tracing::warn!("{reload}");
            } else {
                tracing::info!("{reload}");
            }
            self.notifier.reloaded();
            if self.inputs.send(Input::ConfigReload(reload)).await.is_err() {
                return;
            }
        }
    }

    /// Puts in force what can be.
    fn take_up(&self, loaded: Result<Config, ConfigError>) -> ConfigReload {
        let before = self.live.config();
        let (config, outcome) = match loaded.and_then(|new| before.reloaded(new)) {
            Ok((config, changes)) => (Arc::new(config), Ok(changes)),
            Err(error) => (before, Err(with_cause(&error))),
        };
        let reload = ConfigReload {
            at: self.clock.now(),
            outcome,
        };
        let endpoints = endpoints(&config);
        self.live.put(config, reload.clone());
        self.endpoints.send_if_modified(|before| {
            let changed = before.rules != endpoints.rules || before.discover != endpoints.discover;
            *before = endpoints;
            changed
        });
        reload
    }
}

/// How endpoints are asked by a configuration.
pub(super) fn endpoints(config: &Config) -> EndpointConfig {
    EndpointConfig::new(config.go.endpoints.clone(), config.go.discover_endpoints)
}

fn with_cause(error: &ConfigError) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
