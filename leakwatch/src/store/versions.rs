//! The version of each service: the build id of the process that started last of those that told theirs.

use leakwatch_analysis::model::run::ServiceRun;
use leakwatch_analysis::model::units::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Versions of services, bounded.
#[derive(Debug, Default)]
pub(super) struct Versions(BTreeMap<Arc<str>, Told>);

#[derive(Debug)]
struct Told {
    /// When the process started.
    started_at: Timestamp,
    version: Arc<str>,
}

impl Versions {
    /// Takes in what a process of a service is. The version before it if it is another: the service was deployed anew. An older process that tells its version
    /// late, or again, changes nothing.
    pub(super) fn tell(
        &mut self,
        service: &str,
        version: &str,
        started_at: Timestamp,
        bound: usize,
    ) -> Option<Arc<str>> {
        if version.is_empty() {
            return None;
        }
        let Some(told) = self.0.get_mut(service) else {
            self.make_room(bound);
            let version = version.into();
            self.0.insert(service.into(), Told { started_at, version });
            return None;
        };
        if started_at <= told.started_at {
            return None;
        }
        told.started_at = started_at;
        (*told.version != *version).then(|| std::mem::replace(&mut told.version, version.into()))
    }

    /// Takes in a run of before.
    pub(super) fn restore(&mut self, run: &ServiceRun, bound: usize) {
        let _deployed_then = self.tell(&run.service, &run.version, run.run.started_at, bound);
    }

    /// The service goes whose newest process is the oldest.
    fn make_room(&mut self, bound: usize) {
        if self.0.len() >= bound {
            let oldest = self.0.iter().min_by_key(|(_, told)| told.started_at);
            if let Some(oldest) = oldest.map(|(service, _)| Arc::clone(service)) {
                self.0.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deploy_is_another_version_in_a_younger_process() {
        let at = Timestamp::from_unix_seconds;
        let mut versions = Versions::default();
        for (service, version, started_at, before) in [
            ("a", "", 1, None),
            ("a", "1", 10, None),
            ("b", "1", 11, None),
            // Replicas, and restarts of the same version.
            ("a", "1", 12, None),
            ("a", "2", 20, Some("1")),
            ("a", "2", 21, None),
            // Not replaced yet, and told again after a restart of the daemon.
            ("a", "1", 12, None),
            // Rolled back.
            ("a", "1", 30, Some("2")),
        ] {
            let found = versions.tell(service, version, at(started_at), 2);
            assert_eq!(found.as_deref(), before, "{service} {version} {started_at}");
        }
        assert_eq!(versions.tell("c", "1", at(40), 2), None);
        assert_eq!(versions.0.len(), 2);
        assert!(versions.0.contains_key("a"), "b was told longest ago");
    }
}
