//! The two collectors of profiles, and the lists of processes that they work from.

use crate::collect::endpoint::Watched;
use crate::config::live::Live;
use crate::schedule::reading::readers;
use leakwatch_analysis::history::TargetHistory;
use tokio::sync::watch;

/// The two collectors of profiles, by the lists of processes they work from.
pub(super) struct Readers {
    pub(super) config: Live,
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
    /// Puts a process on the lists of those who are to take profiles of it.
    pub(super) fn assign(&self, watched: Watched, history: &TargetHistory, wanted: &mut Wanted) {
        let config = self.config.config();
        let go = &config.go;
        let endpoints = go.discover_endpoints || !go.endpoints.is_empty();
        let readers = readers(history, watched.process, go.outside, endpoints);
        if readers.memory {
            wanted.from_outside.push(watched.clone());
        }
        if let Some(asked) = readers.endpoint {
            wanted.by_endpoint.push(Watched { asked, ..watched });
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
