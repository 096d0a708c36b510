//! Which partitions have to go. Pure: what there is and the bounds in, names out.

use super::partition::name::PartitionName;
use super::partition::name::Tier;
use std::collections::BTreeSet;
use std::time::Duration;

/// How much may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// On disk, everything counted.
    pub max_bytes: u64,
    /// Age of the end of a partition's slot.
    pub max_age: Duration,
}

/// A file that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) name: PartitionName,
    pub(crate) bytes: u64,
    /// It is being written to, and stays.
    pub(crate) open: bool,
    /// Somebody pinned what is in it: it stays, whatever its age, and takes nothing of its tier's share.
    pub(crate) pinned: bool,
}

impl Held {
    fn stays(&self) -> bool {
        self.open || self.pinned
    }
}

/// Clocks of hosts differ by less; what is later than that was written under a wrong clock.
const FUTURE: u64 = 24 * 3600 * 1000;

/// The partitions that have to go, so that `room` more bytes fit beside `other` bytes that are no partitions and what is pinned. What is oldest in the order of writing goes
/// first: of a tier over its share, then of the tier that has most over its share.
pub(crate) fn doomed(held: &[Held], limits: Limits, other: u64, room: u64, now: u64) -> BTreeSet<PartitionName> {
    let mut doomed = too_old(held, limits.max_age, now);
    let bytes_of = |doomed: &BTreeSet<PartitionName>, tier: Tier| -> u64 {
        let kept = held
            .iter()
            .filter(|file| file.name.tier == tier && !file.pinned && !doomed.contains(&file.name));
        kept.map(|file| file.bytes).sum()
    };
    let pinned = held.iter().filter(|file| file.pinned);
    let other = pinned.map(|file| file.bytes).fold(other, u64::saturating_add);
    let oldest = |doomed: &BTreeSet<PartitionName>, tier: Tier| {
        let kept = held
            .iter()
            .filter(|file| file.name.tier == tier && !file.stays() && !doomed.contains(&file.name));
        kept.map(|file| file.name).min_by_key(|name| name.sequence)
    };
    for tier in Tier::ALL {
        while bytes_of(&doomed, tier) > tier.share_of(limits.max_bytes)
            && let Some(name) = oldest(&doomed, tier)
        {
            doomed.insert(name);
        }
    }
    loop {
        let all: u64 = Tier::ALL.into_iter().map(|tier| bytes_of(&doomed, tier)).sum();
        if all.saturating_add(other).saturating_add(room) <= limits.max_bytes {
            return doomed;
        }
        // Of what is closest to its share, counted in thousandths.
        let fullness =
            |tier: Tier| bytes_of(&doomed, tier).saturating_mul(1000) / tier.share_of(limits.max_bytes).max(1);
        let candidates = Tier::ALL
            .into_iter()
            .filter_map(|tier| Some((fullness(tier), oldest(&doomed, tier)?)));
        let Some((_, name)) = candidates.max_by_key(|(fullness, _)| *fullness) else {
            return doomed;
        };
        doomed.insert(name);
    }
}

/// What is beyond the age. A partition of the future goes with one that was begun after it.
fn too_old(held: &[Held], max_age: Duration, now: u64) -> BTreeSet<PartitionName> {
    let max_age = u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX);
    let end = |name: PartitionName| name.slot.saturating_add(name.tier.length());
    let is_future = |name: PartitionName| name.slot > now.saturating_add(FUTURE);
    let aged = |file: &&Held| !file.stays() && !is_future(file.name) && now.saturating_sub(end(file.name)) > max_age;
    let aged: BTreeSet<PartitionName> = held.iter().filter(aged).map(|file| file.name).collect();
    let goes_along = |file: &&Held| {
        let later = |name: &PartitionName| name.tier == file.name.tier && name.sequence > file.name.sequence;
        !file.stays() && is_future(file.name) && aged.iter().any(later)
    };
    let along: Vec<PartitionName> = held.iter().filter(goes_along).map(|file| file.name).collect();
    aged.into_iter().chain(along).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn held(tier: Tier, sequence: u64, slot: u64, bytes: u64, open: bool) -> Held {
        let name = PartitionName {
            tier,
            sequence,
            slot,
            damaged: false,
        };
        Held {
            name,
            bytes,
            open,
            pinned: false,
        }
    }

    const DAY: u64 = 24 * 3_600_000;
    const LIMITS: Limits = Limits {
        max_bytes: 1_000_000,
        max_age: Duration::from_hours(14 * 24),
    };

    proptest! {
        #[test]
        fn what_is_kept_never_exceeds_the_bounds(files in prop::collection::vec((0..Tier::ALL.len(), 0..40 * DAY, 1..60_000_u64), 0..80), pinned in prop::collection::btree_set(0..80_usize, 0..8), other in 0..50_000_u64, room in 0..50_000_u64) {
            let now = 40 * DAY;
            let mut files: Vec<Held> = (1..).zip(files).map(|(sequence, (tier, slot, bytes))| held(Tier::ALL[tier], sequence, slot, bytes, false)).collect();
            for (index, file) in files.iter_mut().enumerate() {
                file.pinned = pinned.contains(&index);
            }
            let doomed = doomed(&files, LIMITS, other, room, now);
            let kept = || files.iter().filter(|file| !doomed.contains(&file.name));
            prop_assert!(kept().map(|file| file.bytes).sum::<u64>() + other + room <= LIMITS.max_bytes);
            for tier in Tier::ALL {
                let of_tier = kept().filter(|file| file.name.tier == tier && !file.pinned);
                prop_assert!(of_tier.map(|file| file.bytes).sum::<u64>() <= tier.share_of(LIMITS.max_bytes));
            }
            prop_assert!(files.iter().filter(|file| file.pinned).all(|file| !doomed.contains(&file.name)));
            for file in kept().filter(|file| !file.pinned) {
                prop_assert!(now.saturating_sub(file.name.slot + file.name.tier.length()) <= 14 * DAY);
            }
        }
    }

    #[test]
    fn the_oldest_go_first_and_what_is_open_stays() {
        let files = [
            held(Tier::Raw, 1, 9 * DAY, 130_000, false),
            held(Tier::Raw, 2, 3 * DAY, 130_000, false),
            held(Tier::Raw, 3, 10 * DAY, 130_000, true),
        ];
        let gone = doomed(&files, LIMITS, 0, 0, 10 * DAY);
        assert_eq!(
            gone.into_iter().map(|name| name.sequence).collect::<Vec<_>>(),
            [1],
            "by the order of writing, not by the clock"
        );
    }

    #[test]
    fn a_clock_that_was_wrong_leaves_nothing_for_ever() {
        let now = 100 * DAY;
        let past = held(Tier::Raw, 5, 0, 10, false);
        let future = held(Tier::Raw, 6, 10_000 * DAY, 10, false);
        let good = held(Tier::Raw, 7, 99 * DAY, 10, false);
        let gone = doomed(&[past, future, good], LIMITS, 0, 0, now);
        assert_eq!(gone.into_iter().collect::<Vec<_>>(), [past.name]);
        let later = now + 20 * DAY;
        let gone = doomed(&[future, good], LIMITS, 0, 0, later);
        assert_eq!(gone.len(), 2, "it goes with what was written after it");
    }
}
