//! The store on disk: opened at the start, fed by the engine, completed at the end. Without one the daemon runs on and says so.

use crate::clock::Clock;
use crate::config::Config;
use crate::engine::Engine;
use crate::store::disk::feed::Feed;
use crate::store::disk::feed::Opened;
use crate::store::disk::history::History;
use crate::store::disk::restore::Axis;
use crate::store::disk::retention::Limits;
use leakwatch_analysis::model::host::HostIdentity;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use std::thread::JoinHandle;

/// A store that is written to, or why there is none.
#[derive(Debug)]
pub(super) struct Keeping {
    disk: Reading<History>,
    writer: Option<JoinHandle<()>>,
}

/// Opens the store and lets the engine know what a daemon before knew.
pub(super) fn keep(engine: &mut Engine, config: &Config, host: &HostIdentity, clock: Clock) -> Keeping {
    let limits = Limits {
        max_bytes: config.store.max_bytes.0,
        max_age: config.store.max_age,
    };
    let axis = Axis {
        boot_id: host.boot_id.clone().unwrap_or_default(),
        boot_unix_nanos: clock.boot_unix_nanos(),
    };
    match Feed::open(&config.state_dir, limits, &axis, clock.now()) {
        Ok(Opened { feed, restored, writer }) => {
            let history = feed.history();
            tracing::info!(
                targets = restored.targets.len(),
                events = restored.events.len(),
                post_mortems = restored.post_mortems.len(),
                runs = restored.runs.len(),
                "the store is open"
            );
            engine.keep(feed, restored);
            Keeping {
                disk: Ok(history),
                writer: Some(writer),
            }
        }
        Err(error) => {
            tracing::warn!("history is kept in memory alone: {error}");
            let missing = Missing::new(MissingReason::Failed, error.to_string());
            Keeping {
                disk: Err(
                    missing.with_fix("make room or choose another directory with --state-dir, then restart the daemon")
                ),
                writer: None,
            }
        }
    }
}

impl Keeping {
    /// A reader of the store.
    pub(super) fn disk(&self) -> Reading<History> {
        self.disk.clone()
    }

    /// Waits until the engine has ended and everything is written; the part that did not end as it should.
    pub(super) fn end(self, engine: JoinHandle<()>) -> Result<(), &'static str> {
        if engine.join().is_err() {
            return Err("the engine");
        }
        match self.writer.map(JoinHandle::join) {
            Some(Err(_panic)) => Err("the store"),
            _ => Ok(()),
        }
    }
}
