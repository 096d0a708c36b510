//! Profiles of a target, in memory and on disk: which there are, the one nearest to an instant, two of them in one table.

mod profile;
mod pair;

pub use crate::query::profiles::pair::Pair;
pub use crate::query::profiles::profile::Profile;

use crate::query::lookup;
use crate::query::lookup::LookupError;
use crate::store::disk::StoredProfile;
use crate::store::disk::history::History;
use crate::store::disk::history::KeptProfile;
use crate::store::disk::history::KeptProfiles;
use crate::store::view::TargetView;
use crate::store::view::View;
use leakwatch_analysis::history::SnapshotSeries;
use leakwatch_analysis::model::profile::ProfileLoss;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

/// The end of time.
const EVER: Timestamp = Timestamp::from_unix_nanos(u64::MAX);
/// Who asks for an instant mostly has one of these days in mind: other files are looked at only if there is nothing so near.
const NEAR: Duration = Duration::from_hours(24);

/// Whose profiles are asked for: a target that is known, or one that only the store remembers.
#[derive(Debug)]
pub struct Subject<'a> {
    /// Its id.
    pub id: TargetId,
    /// All else that is known.
    pub known: Option<&'a TargetView>,
    disk: Option<&'a History>,
}

/// A profile that there is, in a list.
#[derive(Debug)]
pub struct Listed {
    /// Of which target.
    pub target: TargetId,
    /// What kind.
    pub profile_type: ProfileType,
    /// When it was taken.
    pub at: Timestamp,
    /// Of which process.
    pub process: ProcessKey,
    /// Where it came from.
    pub source: ProfileSource,
    /// How many stacks it has.
    pub stacks: usize,
    /// Sum of all values.
    pub total: StackValue,
    /// What is missing in it.
    pub losses: Vec<ProfileLoss>,
}

/// Profiles that there are, newest first, not looked at yet.
#[derive(Debug)]
pub struct List<'a> {
    target: TargetId,
    kept: Option<KeptProfiles>,
    /// Where each of them is.
    pub items: Vec<Item<'a>>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    at_millis: u64,
    profile_type: ProfileType,
    place: Place<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Place<'a> {
    Memory(&'a Snapshot),
    Disk(KeptProfile),
}

impl<'a> Subject<'a> {
    /// Who is meant. What memory has forgotten is found by its whole id.
    pub fn find(view: &'a View, disk: Option<&'a History>, text: &str) -> Result<Self, LookupError> {
        match lookup::target(view, text) {
            Ok((id, known)) => Ok(Self {
                id: id.clone(),
                known: Some(known),
                disk,
            }),
            Err(unknown @ LookupError::Unknown { .. }) => {
                let any = |disk: &History| {
                    let kept = disk.profiles(text, &ProfileType::ALL, Timestamp::default(), EVER);
                    !kept.items.is_empty()
                };
                if !disk.is_some_and(any) {
                    return Err(unknown);
                }
                Ok(Self {
                    id: TargetId::from_text(text),
                    known: None,
                    disk,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// The newest of a type.
    pub fn newest(&self, profile_type: ProfileType) -> Option<Profile> {
        let series = self.known.and_then(|known| known.history.snapshots.get(&profile_type));
        let newest = series.and_then(SnapshotSeries::newest).map(|newest| self.own(newest));
        newest.or_else(|| {
            let kept = self.kept(&[profile_type], Timestamp::default(), EVER)?;
            self.read(&kept, kept.items.last()?)
        })
    }

    /// The one nearest to an instant, of whatever process.
    pub fn nearest(&self, profile_type: ProfileType, at: Timestamp) -> Option<Profile> {
        let millis = at.unix_millis();
        let distance = |snapshot: &&Snapshot| snapshot.at.unix_millis().abs_diff(millis);
        let own = self
            .in_memory(|other| other == profile_type)
            .into_iter()
            .min_by_key(distance);
        let within = own.map(|own| Duration::from_millis(distance(&own)));
        let tries = [within.unwrap_or(NEAR), Duration::MAX];
        for within in tries.into_iter().take(if within.is_some() { 1 } else { 2 }) {
            let Some(kept) = self.kept(&[profile_type], at.minus(within), at.plus(within)) else {
                break;
            };
            let nearer = kept.nearest(at).filter(|kept| {
                let stored = kept.at_millis.abs_diff(millis);
                own.is_none_or(|own| stored < distance(&own))
            });
            if let Some(found) = nearer.and_then(|nearest| self.read(&kept, &nearest)) {
                return Some(found);
            }
        }
        own.map(|own| self.own(own))
    }

    /// The first of the process that another one is of.
    pub fn first_of(&self, newest: &Snapshot) -> Option<Profile> {
        let process = newest.process;
        let series = self
            .known
            .and_then(|known| known.history.snapshots.get(&newest.profile_type));
        let first = series.and_then(|series| series.as_slice().first());
        if let Some(first) = first.filter(|first| first.process == process && first.at < newest.at) {
            return Some(self.own(first));
        }
        // Processes follow one another: those before this one are a part of the list.
        let mut kept = self.kept(&[newest.profile_type], Timestamp::default(), newest.at)?;
        let (mut low, mut high) = (0, kept.items.len());
        while low < high {
            let middle = low.midpoint(high);
            let item = *kept.items.get(middle)?;
            if kept.head(&item).is_some_and(|head| head.process == process) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        let first = *kept.items.get(low)?;
        self.read(&kept, &first)
    }

    /// All of some types that were taken between two instants.
    pub fn list(&self, types: &[ProfileType], from: Timestamp, to: Timestamp) -> List<'a> {
        let in_memory = self.in_memory(|profile_type| types.contains(&profile_type)).into_iter();
        let mut items: Vec<Item<'a>> = in_memory
            .filter(|snapshot| (from..=to).contains(&snapshot.at))
            .map(|snapshot| Item {
                at_millis: snapshot.at.unix_millis(),
                profile_type: snapshot.profile_type,
                place: Place::Memory(snapshot),
            })
            .collect();
        let kept = self.kept(types, from, to);
        items.extend(kept.iter().flat_map(|kept| &kept.items).map(|kept| Item {
            at_millis: kept.at_millis,
            profile_type: kept.profile_type,
            place: Place::Disk(*kept),
        }));
        // Stable: what is in memory and on disk is taken from memory.
        items.sort_by_key(|item| Reverse((item.at_millis, item.profile_type)));
        items.dedup_by_key(|item| (item.at_millis, item.profile_type));
        List {
            target: self.id.clone(),
            kept,
            items,
        }
    }

    /// Why there is none of a type, where that is known.
    pub fn missing(&self, profile_type: ProfileType) -> Option<&'a Missing> {
        self.known?.history.no_profile(profile_type)
    }

    /// Profiles of the process that is followed, and of the one before.
    fn in_memory(&self, is_wanted: impl Fn(ProfileType) -> bool) -> Vec<&'a Snapshot> {
        let Some(known) = self.known else { return Vec::new() };
        let history = &known.history;
        let series = history.snapshots.iter().chain(&history.previous_snapshots);
        series
            .filter(|(profile_type, _)| is_wanted(**profile_type))
            .flat_map(|(_, series)| series.as_slice())
            .collect()
    }

    fn kept(&self, types: &[ProfileType], from: Timestamp, to: Timestamp) -> Option<KeptProfiles> {
        Some(self.disk?.profiles(self.id.as_str(), types, from, to))
    }

    fn own(&self, snapshot: &Snapshot) -> Profile {
        Profile {
            snapshot: snapshot.clone(),
            stacks: self
                .known
                .map(|known| Arc::clone(&known.history.stacks))
                .unwrap_or_default(),
        }
    }

    fn read(&self, kept: &KeptProfiles, item: &KeptProfile) -> Option<Profile> {
        let StoredProfile {
            at,
            process,
            source,
            content,
        } = kept.profile(item)?;
        let summary = content.summary;
        Some(Profile {
            snapshot: Snapshot {
                target: self.id.clone(),
                process,
                profile_type: item.profile_type,
                at,
                source,
                values: summary.values,
                total: summary.total,
                period: summary.period,
                program: summary.program,
                losses: summary.losses.into(),
            },
            stacks: Arc::new(content.stacks),
        })
    }
}

impl Item<'_> {
    /// What it is called in its list.
    pub fn id(&self) -> String {
        format!("{}-{}", self.profile_type.name(), self.at_millis)
    }
}

impl List<'_> {
    /// Looks at some of its items. What is damaged is left out.
    pub fn look(&mut self, items: &[Item<'_>]) -> Vec<Listed> {
        let mut listed: Vec<(usize, Listed)> = Vec::new();
        let mut on_disk = Vec::new();
        for (place, item) in items.iter().enumerate() {
            match item.place {
                Place::Memory(snapshot) => listed.push((place, Listed::from(snapshot))),
                Place::Disk(kept) => on_disk.push((kept.profile_type, kept.order(), place, kept)),
            }
        }
        // Each differs from the one of its type before it.
        on_disk.sort_by_key(|(profile_type, order, place, _)| (*profile_type, *order, *place));
        for (profile_type, _, place, kept) in on_disk {
            let head = self.kept.as_mut().and_then(|profiles| profiles.head(&kept));
            listed.extend(head.map(|head| {
                let item = Listed {
                    target: self.target.clone(),
                    profile_type,
                    at: head.at,
                    process: head.process,
                    source: head.source,
                    stacks: head.stacks,
                    total: head.total,
                    losses: head.losses,
                };
                (place, item)
            }));
        }
        listed.sort_by_key(|(place, _)| *place);
        listed.into_iter().map(|(_, listed)| listed).collect()
    }
}

impl From<&Snapshot> for Listed {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            target: snapshot.target.clone(),
            profile_type: snapshot.profile_type,
            at: snapshot.at,
            process: snapshot.process,
            source: snapshot.source,
            stacks: snapshot.values.len(),
            total: snapshot.total,
            losses: snapshot.losses.to_vec(),
        }
    }
}
