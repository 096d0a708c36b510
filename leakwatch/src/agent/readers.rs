//! Who takes the profiles of a Go process: its own endpoint is asked, or its memory is read from outside.
//!
//! Without configured endpoints everything is read from outside. With them an endpoint comes first, and a process is
//! read from outside for as long as its endpoint has given no heap profile.

use crate::collect::endpoint::Watched;
use crate::config::Config;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::profile::ProfileSource;
use leakwatch_analysis::profile::ProfileType;
use leakwatch_analysis::target::ProcessKey;
use std::sync::Arc;
use tokio::sync::watch;

/// The two collectors of profiles, by the lists of processes they work from.
pub(super) struct Readers {
    pub(super) config: Arc<Config>,
    pub(super) by_endpoint: watch::Sender<Vec<Watched>>,
    pub(super) from_outside: watch::Sender<Vec<Watched>>,
}

/// What each collector is to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    by_endpoint: Vec<Watched>,
    from_outside: Vec<Watched>,
}

impl Readers {
    /// Puts a process on the list of one collector, or on both while it is open whether its endpoint answers.
    pub(super) fn assign(&self, watched: Watched, history: &TargetHistory, wanted: &mut Wanted) {
        let go = &self.config.go;
        let endpoints = go.discover_endpoints || !go.endpoints.is_empty();
        let outside = go.outside && (!endpoints || lacks_endpoint(history, watched.process));
        if outside {
            wanted.from_outside.push(watched.clone());
        }
        // Asked without any endpoint being set up, it says so: better than silence.
        if endpoints || !outside {
            wanted.by_endpoint.push(watched);
        }
    }

    /// Tells the collectors.
    pub(super) fn send(&self, wanted: Wanted) {
        let lists = [
            (&self.by_endpoint, wanted.by_endpoint),
            (&self.from_outside, wanted.from_outside),
        ];
        for (sender, list) in lists {
            sender.send_if_modified(|before| {
                let changed = *before != list;
                *before = list;
                changed
            });
        }
    }
}

/// Whether asking for the heap was in vain: it is missing, or the newest was read from outside for that reason.
fn lacks_endpoint(history: &TargetHistory, process: ProcessKey) -> bool {
    let series = history.snapshots.get(&ProfileType::Heap);
    let newest = series
        .and_then(|series| series.newest())
        .filter(|newest| newest.process == process);
    match newest {
        Some(newest) => newest.source == ProfileSource::Snapshot,
        None => history.profile_missing.contains_key(&ProfileType::Heap),
    }
}
