//! Profiles that are kept: which there are, and each of them.

use super::History;
use crate::store::disk::codec::frame::Entry;
use crate::store::disk::kind;
use crate::store::disk::partition::name::PartitionName;
use crate::store::disk::partition::name::Tier;
use crate::store::disk::partition::reader::PartitionReader;
use crate::store::disk::profiles;
use crate::store::disk::profiles::Earlier;
use crate::store::disk::profiles::StoredHead;
use crate::store::disk::profiles::StoredProfile;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::units::Timestamp;
use std::time::Duration;

type Partitions = Vec<(Option<PartitionName>, PartitionReader)>;

/// Profiles of a target that are kept, not read yet.
#[derive(Debug)]
pub struct KeptProfiles {
    history: History,
    partitions: Partitions,
    /// In order of time.
    pub items: Vec<KeptProfile>,
    earlier: Option<(usize, Earlier)>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct KeptProfile {
    /// What kind.
    pub profile_type: ProfileType,
    /// When it was taken, in milliseconds since the Unix epoch.
    pub at_millis: u64,
    partition: usize,
    entry: Entry,
}

impl KeptProfiles {
    /// All of one but its stacks; none if it is damaged or gone meanwhile. Asked for in the order of writing, each is read once.
    pub fn head(&mut self, kept: &KeptProfile) -> Option<StoredHead> {
        let (partition, reader) = self.partitions.get(kept.partition)?;
        let earlier = self.earlier.take().filter(|(place, _)| *place == kept.partition);
        match profiles::read_head(reader, &kept.entry, earlier.map(|(_, earlier)| earlier)) {
            Ok((head, read)) => {
                self.earlier = Some((kept.partition, read));
                Some(head)
            }
            Err(error) => {
                self.history.notice(*partition, &error);
                None
            }
        }
    }

    /// One of them, whole; none if it is damaged or gone meanwhile.
    pub fn profile(&self, kept: &KeptProfile) -> Option<StoredProfile> {
        let (partition, reader) = self.partitions.get(kept.partition)?;
        match profiles::read(reader, &kept.entry) {
            Ok(profile) => Some(profile),
            Err(error) => {
                self.history.notice(*partition, &error);
                None
            }
        }
    }

    /// The one nearest to an instant.
    pub fn nearest(&self, at: Timestamp) -> Option<KeptProfile> {
        let distance = |kept: &&KeptProfile| kept.at_millis.abs_diff(at.unix_millis());
        self.items.iter().min_by_key(distance).copied()
    }
}

impl KeptProfile {
    /// The place of the profile in the order of writing.
    pub fn order(&self) -> (usize, u64) {
        (self.partition, self.entry.offset)
    }
}

impl History {
    /// Profiles of some types that are kept of a target between two instants, one of each type and millisecond.
    pub fn profiles(&self, target: &str, types: &[ProfileType], from: Timestamp, to: Timestamp) -> KeptProfiles {
        let range = (from.unix_millis(), to.unix_millis());
        let within = |entry: &Entry| entry.kind == kind::PROFILE && (range.0..=range.1).contains(&entry.first);
        let partitions = self.profile_partitions(range);
        let mut items = Vec::new();
        for (place, (partition, reader)) in partitions.iter().enumerate() {
            for profile_type in types {
                match reader.entries(&profiles::name_of(target, *profile_type), within) {
                    Ok(entries) => items.extend(entries.into_iter().map(|entry| KeptProfile {
                        profile_type: *profile_type,
                        at_millis: entry.first,
                        partition: place,
                        entry,
                    })),
                    Err(error) => self.notice(*partition, &error),
                }
            }
        }
        items.sort_by_key(|kept: &KeptProfile| (kept.at_millis, kept.profile_type));
        items.dedup_by_key(|kept| (kept.at_millis, kept.profile_type));
        KeptProfiles {
            history: self.clone(),
            partitions,
            items,
            earlier: None,
        }
    }

    /// Partitions of profiles that overlap a range, oldest first.
    fn profile_partitions(&self, (from, to): (u64, u64)) -> Partitions {
        let mut readers = Vec::new();
        for tier in [Tier::Profiles, Tier::OtherProfiles] {
            let (sealed, open) = self.0.files(tier);
            let overlaps = |slot: u64| slot <= to && slot.saturating_add(tier.length()) > from;
            for name in sealed.into_iter().filter(|name| overlaps(name.slot)) {
                readers.extend(self.open(name).map(|reader| (Some(name), reader)));
            }
            let open = open.filter(|open| overlaps(open.name.slot));
            readers.extend(
                open.and_then(|open| PartitionReader::shared(&open).ok())
                    .map(|reader| (None, reader)),
            );
        }
        readers
    }

    /// Instants of the profiles of a type that are kept between two instants, in order.
    pub fn profile_instants(
        &self,
        target: &str,
        profile_type: ProfileType,
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<Timestamp> {
        let kept = self.profiles(target, &[profile_type], from, to).items;
        let at = |kept: &KeptProfile| Timestamp::from_unix_nanos(kept.at_millis.saturating_mul(1_000_000));
        kept.iter().map(at).collect()
    }

    /// The profile of a type nearest to an instant, at most so far from it.
    pub fn profile(
        &self,
        target: &str,
        profile_type: ProfileType,
        at: Timestamp,
        within: Duration,
    ) -> Option<StoredProfile> {
        let kept = self.profiles(target, &[profile_type], at.minus(within), at.plus(within));
        kept.profile(&kept.nearest(at)?)
    }
}
