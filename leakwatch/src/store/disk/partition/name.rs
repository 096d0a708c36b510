//! Names of the store's files: tier, number in the order in which they were begun, begin of the slot.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

/// Spans of rollups, in milliseconds.
pub(crate) const MINUTE: u64 = 60 * 1000;
pub(crate) const HOUR: u64 = 60 * MINUTE;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Samples as they were taken.
    Raw,
    /// Samples by the minute.
    Minute,
    /// Samples by the hour.
    Hour,
    /// Profiles of targets that grow.
    Profiles,
    /// Profiles of all others.
    OtherProfiles,
    /// Runs of services that have ended.
    Runs,
    /// Post-mortems, with their profiles.
    Incidents,
}

/// What holds for a tier.
struct Row {
    tier: Tier,
    name: &'static str,
    /// On disk: append only.
    number: u8,
    slot: Duration,
    /// Of the bytes of the store, in thousandths.
    share: u64,
}

const QUARTER_DAY: Duration = Duration::from_hours(6);
const DAY: Duration = Duration::from_hours(24);

/// Profiles get a day: each partition begins with all stacks and a whole profile of each target. The rest of the bytes is for the catalog and the journal.
const ROWS: [Row; 7] = [
    Row {
        tier: Tier::Raw,
        name: "raw",
        number: 1,
        slot: QUARTER_DAY,
        share: 300,
    },
    Row {
        tier: Tier::Minute,
        name: "minute",
        number: 2,
        slot: QUARTER_DAY,
        share: 370,
    },
    Row {
        tier: Tier::Hour,
        name: "hour",
        number: 3,
        slot: QUARTER_DAY,
        share: 30,
    },
    Row {
        tier: Tier::Profiles,
        name: "profiles",
        number: 4,
        slot: DAY,
        share: 190,
    },
    Row {
        tier: Tier::OtherProfiles,
        name: "otherprofiles",
        number: 5,
        slot: DAY,
        share: 40,
    },
    Row {
        tier: Tier::Runs,
        name: "runs",
        number: 6,
        slot: DAY,
        share: 10,
    },
    Row {
        tier: Tier::Incidents,
        name: "incidents",
        number: 7,
        slot: DAY,
        share: 10,
    },
];

impl Tier {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Raw,
        Self::Minute,
        Self::Hour,
        Self::Profiles,
        Self::OtherProfiles,
        Self::Runs,
        Self::Incidents,
    ];

    fn row(self) -> &'static Row {
        ROWS.iter().find(|row| row.tier == self).unwrap_or(&ROWS[0])
    }

    /// Name in file names and in answers.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    pub(crate) fn number(self) -> u8 {
        self.row().number
    }

    /// Length of a slot in milliseconds.
    pub(crate) fn length(self) -> u64 {
        u64::try_from(self.row().slot.as_millis()).unwrap_or(u64::MAX)
    }

    /// Begin of the slot that an instant is in.
    pub(crate) fn begin_of(self, at: u64) -> u64 {
        at - at % self.length()
    }

    /// Its part of so many bytes.
    pub(crate) fn share_of(self, bytes: u64) -> u64 {
        bytes / 1000 * self.row().share
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Name of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PartitionName {
    pub(crate) tier: Tier,
    /// Rises with each file that is begun: what is oldest does not depend on the clock.
    pub(crate) sequence: u64,
    /// Milliseconds since the Unix epoch.
    pub(crate) slot: u64,
    /// Set aside because it was damaged.
    pub(crate) damaged: bool,
}

const EXTENSION: &str = "lwp";
const DAMAGED: &str = "damaged";

impl PartitionName {
    pub(crate) fn path(self, directory: &Path) -> PathBuf {
        directory.join(self.to_string())
    }

    /// From a file name, if it is one.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (stem, extension) = name.split_once('.')?;
        let mut parts = stem.split('-');
        let (tier, sequence, slot) = (parts.next()?, parts.next()?, parts.next()?);
        let damaged = match extension {
            EXTENSION => false,
            DAMAGED => true,
            _ => return None,
        };
        let name = Self {
            tier: Tier::ALL.into_iter().find(|known| known.name() == tier)?,
            sequence: sequence.parse().ok()?,
            slot: slot.parse().ok()?,
            damaged,
        };
        parts.next().is_none().then_some(name)
    }
}

impl fmt::Display for PartitionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extension = if self.damaged { DAMAGED } else { EXTENSION };
        write!(f, "{}-{:08}-{}.{extension}", self.tier, self.sequence, self.slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for tier in Tier::ALL {
            for damaged in [false, true] {
                let name = PartitionName {
                    tier,
                    sequence: 42,
                    slot: 1_700_000_000_000,
                    damaged,
                };
                assert_eq!(PartitionName::parse(&name.to_string()), Some(name));
            }
        }
        for other in [
            "raw-1.lwp",
            "raw-1-2-3.lwp",
            "raw-1-2.tmp",
            "x-1-2.lwp",
            "raw-a-2.lwp",
            "lock",
        ] {
            assert_eq!(PartitionName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_shares_leave_room_for_catalog_and_journal() {
        let shares: u64 = Tier::ALL.into_iter().map(|tier| tier.share_of(1000)).sum();
        assert!((900..=975).contains(&shares), "{shares}");
    }
}
