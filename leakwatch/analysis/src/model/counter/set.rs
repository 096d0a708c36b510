//! The counters that one sample has, and why it has no others.

use crate::model::counter::CgroupVersion;
use crate::model::counter::Counter;
use crate::model::counter::table::ROWS;
use crate::model::reading::Missing;
use crate::model::reading::MissingReason;
use crate::model::reading::Reading;
use crate::model::units::Bytes;
use std::sync::Arc;

/// Bits of [`Counters::present`].
const CAPACITY: usize = 128;

const _: () = assert!(ROWS.len() < CAPACITY, "a bit each");

/// Counters of a cgroup. Copies are cheap: a cgroup that did not move shares them between its samples.
#[derive(Clone, PartialEq, Eq)]
pub struct Counters {
    /// None for a recording that does not tell.
    version: Option<CgroupVersion>,
    /// One bit for each counter that is known, by its number.
    present: u128,
    /// The values of those, in the order of their numbers.
    values: Arc<[u64]>,
    /// Files that could not be read.
    missing: Arc<[(&'static str, Missing)]>,
}

impl Counters {
    /// Counters with these values and no others.
    pub fn new(version: Option<CgroupVersion>, values: impl IntoIterator<Item = (Counter, u64)>) -> Self {
        let mut builder = CountersBuilder::new(version);
        for (counter, value) in values {
            builder.set(counter, value);
        }
        builder.build()
    }

    /// The same with some more.
    #[must_use]
    pub fn with(&self, more: impl IntoIterator<Item = (Counter, u64)>) -> Self {
        let mut more = more.into_iter().peekable();
        if more.peek().is_none() {
            return self.clone();
        }
        let all = self.iter().chain(more);
        Self {
            missing: Arc::clone(&self.missing),
            ..Self::new(self.version, all)
        }
    }

    /// Which files the cgroup has; none for a recording that does not tell.
    pub fn version(&self) -> Option<CgroupVersion> {
        self.version
    }

    /// The value, if it is known.
    pub fn get(&self, counter: Counter) -> Option<u64> {
        let bit = 1_u128 << counter.number();
        if self.present & bit == 0 {
            return None;
        }
        let before = (self.present & (bit - 1)).count_ones();
        self.values.get(usize::try_from(before).ok()?).copied()
    }

    /// The value, or why it is not known.
    pub fn reading(&self, counter: Counter) -> Reading<u64> {
        self.get(counter).ok_or_else(|| self.why_missing(counter))
    }

    /// The value of a counter of bytes.
    pub fn bytes(&self, counter: Counter) -> Reading<Bytes> {
        self.reading(counter).map(Bytes)
    }

    /// All that are known.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> {
        Counter::all().filter_map(|counter| Some((counter, self.get(counter)?)))
    }

    /// Files that could not be read, and why.
    pub fn unread_files(&self) -> &[(&'static str, Missing)] {
        &self.missing
    }

    fn why_missing(&self, counter: Counter) -> Missing {
        let Some(version) = self.version else {
            let files = [CgroupVersion::V2, CgroupVersion::V1].map(|version| Some(counter.source(version)?.file));
            let failed = files.into_iter().flatten().find_map(|file| self.failure(file));
            return failed.cloned().unwrap_or_else(|| {
                Missing::new(
                    MissingReason::Unsupported,
                    "the version of leakwatch that made the recording did not read it",
                )
            });
        };
        let Some(source) = counter.source(version) else {
            let which = match version {
                CgroupVersion::V1 => "cgroup v1",
                CgroupVersion::V2 => "cgroup v2",
            };
            return Missing::new(MissingReason::Unsupported, format!("{which} does not count it"));
        };
        if let Some(missing) = self.failure(source.file) {
            return missing.clone();
        }
        let what = match source.key {
            "" => format!("there is no {}", source.file),
            key => format!("{} has no line {key}", source.file),
        };
        let since = counter.row().map_or("", |row| row.since);
        let missing = match version {
            CgroupVersion::V2 if !since.is_empty() => Missing::new(
                MissingReason::Unsupported,
                format!("{what}; Linux {since} and later have it"),
            ),
            _ => Missing::new(MissingReason::Unsupported, what),
        };
        match counter {
            Counter::Swap => missing.with_fix("boot with swapaccount=1"),
            _ => missing,
        }
    }

    fn failure(&self, file: &str) -> Option<&Missing> {
        self.missing
            .iter()
            .find(|(failed, _)| *failed == file)
            .map(|(_, missing)| missing)
    }
}

#[expect(
    clippy::missing_fields_in_debug,
    reason = "`present` is shown as the names beside the values"
)]
impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counters")
            .field("version", &self.version)
            .field("values", &self.iter().collect::<Vec<_>>())
            .field("unread_files", &self.missing)
            .finish()
    }
}

/// Collects the counters of one sample.
#[derive(Clone, Debug)]
pub struct CountersBuilder {
    version: Option<CgroupVersion>,
    present: u128,
    values: [u64; CAPACITY],
    missing: Vec<(&'static str, Missing)>,
}

impl CountersBuilder {
    /// Nothing known yet.
    pub fn new(version: Option<CgroupVersion>) -> Self {
        Self {
            version,
            present: 0,
            values: [0; CAPACITY],
            missing: Vec::new(),
        }
    }

    /// A counter was read.
    pub fn set(&mut self, counter: Counter, value: u64) {
        let number = counter.number();
        if let Some(slot) = self.values.get_mut(usize::from(number)) {
            *slot = value;
            self.present |= 1 << number;
        }
    }

    /// A file could not be read: nothing of it is known.
    pub fn fail(&mut self, file: &'static str, why: Missing) {
        if let Some(version) = self.version {
            for (_, counter) in Counter::in_file(version, file) {
                self.present &= !(1 << counter.number());
            }
        }
        self.missing.push((file, why));
    }

    /// Takes over all that is known of other files.
    pub fn extend(&mut self, other: &Counters) {
        for (counter, value) in other.iter() {
            self.set(counter, value);
        }
        self.missing.extend_from_slice(&other.missing);
    }

    /// What was collected.
    pub fn build(self) -> Counters {
        let values = self.values.iter().zip(0_u32..);
        let known = values.filter(|(_, number)| self.present & (1 << number) != 0);
        Counters {
            version: self.version,
            present: self.present,
            values: known.map(|(value, _)| *value).collect(),
            missing: self.missing.into(),
        }
    }
}
