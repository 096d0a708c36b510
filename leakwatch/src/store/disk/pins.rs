//! Which files have post-mortems that somebody pinned.

use super::catalog::Catalog;
use super::kind;
use super::partition::name::PartitionName;
use super::partition::name::Tier;
use super::partition::reader::PartitionReader;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

/// In the catalog, of a pinned post-mortem: the instant of the kill.
pub(crate) const PIN_KEY: &str = "p/";

/// What was found in files that are complete. They do not change, so each is looked into once, until other post-mortems are pinned.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    /// Instants of the kills, in milliseconds since the Unix epoch.
    kills: BTreeSet<u64>,
    looked_into: BTreeMap<PartitionName, bool>,
}

impl Pins {
    /// Of complete files those that have what is pinned. One that cannot be read counts as such while anything is pinned.
    pub(super) fn find(
        &mut self,
        catalog: &Catalog,
        held: &BTreeMap<PartitionName, u64>,
        directory: &Path,
    ) -> BTreeSet<PartitionName> {
        let kills = catalog.under(PIN_KEY).filter_map(|value| value.try_into().ok());
        let kills: BTreeSet<u64> = kills.map(u64::from_le_bytes).collect();
        if kills != self.kills {
            (self.kills, self.looked_into) = (kills, BTreeMap::new());
        }
        if self.kills.is_empty() {
            return BTreeSet::new();
        }
        self.looked_into.retain(|name, _| held.contains_key(name));
        let of_kills = |name: &&PartitionName| name.tier == Tier::Incidents && !name.damaged;
        for name in held.keys().filter(of_kills) {
            self.looked_into.entry(*name).or_insert_with(|| {
                let found = PartitionReader::open(&name.path(directory)).and_then(|reader| reader.all());
                found.map_or(true, |(entries, _)| {
                    entries
                        .iter()
                        .any(|entry| entry.kind == kind::POST_MORTEM && self.kills.contains(&entry.first))
                })
            });
        }
        self.having().copied().collect()
    }

    /// Files that were found.
    pub(super) fn having(&self) -> impl Iterator<Item = &PartitionName> {
        let having = self.looked_into.iter().filter(|(_, has_pinned)| **has_pinned);
        having.map(|(name, _)| name)
    }
}
