//! What all handlers share.

use crate::api::error::ApiError;
use crate::capture::Captures;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::live::Live;
use crate::dto::capability::CapabilityBody;
use crate::dto::status::PreviousRunBody;
use crate::input::Input;
use crate::self_stats::own_memory::OwnMemory;
use crate::store::disk::history::History;
use crate::store::view::View;
use crate::store::view::Views;
use leakwatch_analysis::model::host::HostIdentity;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::units::Timestamp;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;

/// Requests that read from disk at once, those that wait for a processor included.
pub(crate) const MAX_READERS: usize = 16;

/// Event streams served at once; each costs a task and a look at the newest view every second.
pub(crate) const MAX_STREAMS: usize = 32;

/// A handle on the daemon.
#[derive(Clone, Debug)]
pub struct Context {
    /// What is known.
    pub views: Views,
    /// The daemon's clock.
    pub clock: Clock,
    /// Into the engine, for answers of a person.
    pub inputs: mpsc::Sender<Input>,
    /// The configuration in force.
    pub config: Live,
    /// What does not change while the daemon runs.
    pub facts: Arc<Facts>,
    /// Captures that run or ran.
    pub captures: Captures,
    streams: Arc<Semaphore>,
    /// Computations at once.
    computing: Arc<Semaphore>,
    /// Requests that read from disk.
    reading: Arc<Semaphore>,
}

/// What is known since the start.
#[derive(Debug)]
pub struct Facts {
    /// When the daemon started.
    pub started_at: Timestamp,
    /// Where it runs.
    pub host: HostIdentity,
    /// What this host offers.
    pub capabilities: Vec<CapabilityBody>,
    /// Whether the kernel tells of OOM kills.
    pub kernel_attached: bool,
    /// The daemon's own memory.
    pub own_memory: Arc<OwnMemory>,
    /// A daemon before this one that did not end by itself.
    pub previous_run: Option<PreviousRunBody>,
    /// The store on disk.
    pub disk: Reading<History>,
}

impl Context {
    /// A handle.
    pub fn new(
        views: Views,
        clock: Clock,
        inputs: mpsc::Sender<Input>,
        config: Live,
        facts: Facts,
        captures: Captures,
    ) -> Self {
        let streams = Arc::new(Semaphore::new(MAX_STREAMS));
        let processors = available_parallelism().map_or(1, NonZero::get);
        Self {
            views,
            clock,
            inputs,
            config,
            facts: Arc::new(facts),
            captures,
            streams,
            computing: Arc::new(Semaphore::new(processors)),
            reading: Arc::new(Semaphore::new(MAX_READERS)),
        }
    }

    /// What is known now. It stays as it is however long it is held.
    pub(crate) fn view(&self) -> Arc<View> {
        self.views.newest()
    }

    /// Work that takes longer than a lookup, off the threads that serve connections. No more is done at once than there are processors:
    /// it would take as long in sum, and the engine would get less of its turn for each.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce(&View) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        // It is never closed.
        let turn = Arc::clone(&self.computing).acquire_owned().await;
        let view = self.view();
        let work = move || {
            // Held to the end of the work, even if nobody waits for it any more.
            let _turn = turn;
            work(&view)
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| {
            tracing::error!(%error, "a request could not be computed");
            Err(ApiError::Unavailable {
                reason: "the answer could not be computed, see the daemon's log".to_owned(),
            })
        })
    }

    /// The same for work that may read what is kept on disk. Who comes when too many wait already is sent away.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&View, Option<&History>) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let place = Arc::clone(&self.reading).try_acquire_owned();
        let place = place.map_err(|_full| ApiError::TooMany { retry_after_seconds: 1 })?;
        let facts = Arc::clone(&self.facts);
        self.compute(move |view| {
            let _place = place;
            work(view, facts.disk.as_ref().ok())
        })
        .await
    }

    /// Places for requests that read from disk.
    #[cfg(test)]
    pub(crate) fn reading(&self) -> Arc<Semaphore> {
        Arc::clone(&self.reading)
    }

    /// The configuration in force.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.config.config()
    }

    /// Now.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn streams(&self) -> Arc<Semaphore> {
        Arc::clone(&self.streams)
    }
}
