//! Who takes the profiles of a Go process: its memory is read from outside, or its own endpoint is asked.
//!
//! Memory comes first: reading it costs the process nothing, and only of a process that is read from outside the kernel knows
//! what to read at its death. An endpoint is asked where memory gives no heap profile, and for what only the runtime
//! itself can tell: which goroutines have leaked.

use crate::collect::endpoint::Asked;
use crate::collect::endpoint::Watched;
use crate::config::Config;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::target::ProcessKey;
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
    /// Puts a process on the lists of those who are to take profiles of it.
    pub(super) fn assign(&self, watched: Watched, history: &TargetHistory, wanted: &mut Wanted) {
        let go = &self.config.go;
        let endpoints = go.discover_endpoints || !go.endpoints.is_empty();
        if !go.outside {
            // Asked without any endpoint being set up, it says so: better than silence.
            wanted.by_endpoint.push(watched);
            return;
        }
        wanted.from_outside.push(watched.clone());
        if endpoints {
            let asked = if lacks_memory(history, watched.process) {
                Asked::Profiles
            } else {
                Asked::LeakedGoroutines
            };
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

/// Whether reading the heap was in vain: it is missing, or the newest came from the endpoint for that reason.
fn lacks_memory(history: &TargetHistory, process: ProcessKey) -> bool {
    let series = history.snapshots.get(&ProfileType::Heap);
    let newest = series
        .and_then(|series| series.newest())
        .filter(|newest| newest.process == process);
    match newest {
        Some(newest) => newest.source == ProfileSource::Endpoint,
        None => history.profile_missing.contains_key(&ProfileType::Heap),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::endpoint::Urgency;
    use crate::config::Environment;
    use leakwatch_analysis::model::profile::Snapshot;
    use leakwatch_analysis::model::profile::StackValue;
    use leakwatch_analysis::model::reading::Missing;
    use leakwatch_analysis::model::reading::MissingReason;
    use leakwatch_analysis::model::target::CgroupKey;
    use leakwatch_analysis::model::target::Target;
    use leakwatch_analysis::model::target::TargetKind;
    use leakwatch_analysis::model::units::Timestamp;

    const PROCESS: ProcessKey = ProcessKey {
        pid: 7,
        start_ticks: 100,
    };

    fn history() -> TargetHistory {
        let at = Timestamp::from_unix_seconds(1);
        let target = Target {
            cgroup: CgroupKey {
                inode: 1,
                path: "/shop".to_owned(),
            },
            kind: TargetKind::Cgroup,
            name: "shop".to_owned(),
            service: "shop".to_owned(),
            container: None,
            started_at: at,
        };
        TargetHistory::new(target, at)
    }

    fn with_heap(pid: u32, source: ProfileSource) -> TargetHistory {
        let mut history = history();
        history.apply_snapshot(Snapshot {
            target: history.target.id(),
            process: ProcessKey { pid, ..PROCESS },
            profile_type: ProfileType::Heap,
            at: Timestamp::from_unix_seconds(2),
            source,
            values: [].into(),
            total: StackValue::default(),
            complete: true,
            pprof: Arc::from([]),
        });
        history
    }

    fn without_heap() -> TargetHistory {
        let mut history = history();
        let missing = Missing::new(MissingReason::Failed, "connection refused");
        history.profile_missing.insert(ProfileType::Heap, missing);
        history
    }

    /// What a process is asked for by its endpoint, and whether it is read from outside.
    fn assigned(outside: bool, discover: bool, history: &TargetHistory) -> (Option<Asked>, bool) {
        let mut config = Config::defaults(&Environment::default());
        config.go.outside = outside;
        config.go.discover_endpoints = discover;
        let readers = Readers {
            config: Arc::new(config),
            by_endpoint: watch::channel(Vec::new()).0,
            from_outside: watch::channel(Vec::new()).0,
        };
        let watched = Watched {
            target: history.target.id(),
            service: "shop".to_owned(),
            process: PROCESS,
            exe: None,
            go_version: "go1.26.8".to_owned(),
            urgency: Urgency::Calm,
            asked: Asked::Profiles,
            goroutine_leak: false,
        };
        let mut wanted = Wanted::default();
        readers.assign(watched, history, &mut wanted);
        (
            wanted.by_endpoint.first().map(|watched| watched.asked),
            wanted.from_outside.len() == 1,
        )
    }

    #[test]
    fn memory_is_read_and_an_endpoint_asked_for_what_memory_does_not_tell() {
        let read = (None, true);
        let leaks = (Some(Asked::LeakedGoroutines), true);
        let asked = (Some(Asked::Profiles), false);
        let both = (Some(Asked::Profiles), true);
        let endpoint = ProfileSource::Endpoint;
        let memory = ProfileSource::Snapshot;
        for (outside, discover, history, expected) in [
            (true, false, history(), read),
            (true, false, with_heap(7, memory), read),
            (true, false, without_heap(), read),
            (true, true, history(), leaks),
            (true, true, without_heap(), both),
            (true, true, with_heap(7, memory), leaks),
            (true, true, with_heap(7, endpoint), both),
            // Those of another process say nothing about this one.
            (true, true, with_heap(8, endpoint), leaks),
            (false, true, without_heap(), asked),
            (false, false, history(), asked),
        ] {
            let seen = assigned(outside, discover, &history);
            assert_eq!(seen, expected, "outside {outside}, discover {discover}, {history:?}");
        }
    }
}
