//! OOM kills counted by service. Targets come and go with each life of a container; a count of kills that only grows cannot be theirs.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Services that are counted apart; the kills of any others are counted together.
const SERVICES: usize = 1_024;

/// Kills since the daemon's start, by service. Under the empty name are those of no known target, and of services beyond the bound.
#[derive(Clone, Debug, Default)]
pub struct OomKillCounts(BTreeMap<Arc<str>, u64>);

impl OomKillCounts {
    /// Another kill of a process of this service, if that is known.
    pub(super) fn count(&mut self, service: Option<&str>) {
        let service = service
            .filter(|service| self.0.len() < SERVICES || self.0.contains_key(*service))
            .unwrap_or_default();
        match self.0.get_mut(service) {
            Some(count) => *count = count.saturating_add(1),
            None => {
                self.0.insert(service.into(), 1);
            }
        }
    }

    /// Services with their kills.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(service, count)| (&**service, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kill_is_counted_and_the_services_are_bounded() {
        let mut counts = OomKillCounts::default();
        for _ in 0..2 {
            for number in 0..SERVICES * 2 {
                counts.count(Some(&format!("s{number}")));
            }
            counts.count(None);
        }
        assert!(counts.iter().count() <= SERVICES + 1);
        assert_eq!(
            counts.iter().map(|(_, count)| count).sum::<u64>(),
            SERVICES as u64 * 4 + 2
        );
        assert!(counts.iter().any(|counted| counted == ("s0", 2)));
    }
}
