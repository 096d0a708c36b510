//! What readers ask the store for: series over any range, profiles near any instant, runs of a service. Only the blocks that overlap the range are read.

mod profiles;
mod runs;

pub use profiles::KeptProfile;
pub use profiles::KeptProfiles;

use super::codec::block;
use super::codec::frame::Entry;
use super::codec::rollup;
use super::codec::rollup::Rollup;
use super::codec::row::Row;
use super::codec::varint::CodecError;
use super::column::Column;
use super::error::DiskError;
use super::kind;
use super::partition::name::HOUR;
use super::partition::name::MINUTE;
use super::partition::name::PartitionName;
use super::partition::name::Tier;
use super::partition::reader::PartitionReader;
use super::status::Shared;
use super::status::Status;
use super::store::Store;
use leakwatch_analysis::model::units::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a run or a post-mortem at most.
const MAX_RECORD: usize = 32 << 20;

/// What is kept of a target over a range: samples as they were taken, and rollups where these are gone or not wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Samples, in order of time.
    pub rows: Vec<Row>,
    /// Rollups, in order of time, none over a span that has samples here.
    pub rollups: Vec<Rollup>,
    /// Length of the spans of the rollups, in milliseconds.
    pub span: u64,
}

impl Found {
    /// The values of a column in order of time: of a rollup the newest, at the end of its span.
    pub fn values(&self, column: Column) -> Vec<(Timestamp, Option<u64>)> {
        let at = |millis: u64| Timestamp::from_unix_nanos(millis.saturating_mul(1_000_000));
        let rows = self.rows.iter().map(|row| (at(row.at), row.get(column)));
        let rollups = self.rollups.iter().map(|rollup| {
            let value = rollup.get(column).map(|aggregate| aggregate.last);
            (at(rollup.from.saturating_add(self.span)), value)
        });
        let mut values: Vec<_> = rows.chain(rollups).collect();
        values.sort_by_key(|(at, _)| *at);
        values
    }
}

impl Store {
    /// A reader of it.
    pub fn history(&self) -> History {
        History::new(Arc::clone(&self.shared))
    }
}

/// A reader of the store. Copies share what it reads from.
#[derive(Clone, Debug)]
pub struct History(Arc<Shared>);

impl History {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// How the store is.
    pub fn status(&self) -> Status {
        self.0.status()
    }

    /// What is kept of a target between two instants, as fine as steps of this length need.
    pub fn samples(&self, target: &str, from: Timestamp, to: Timestamp, step: Duration) -> Found {
        let step = u64::try_from(step.as_millis()).unwrap_or(u64::MAX);
        let (wanted, span) = match step {
            HOUR.. => (Tier::Hour, HOUR),
            MINUTE.. => (Tier::Minute, MINUTE),
            _ => (Tier::Raw, MINUTE),
        };
        let range = (from.unix_millis(), to.unix_millis());
        let mut found = Found {
            span,
            ..Found::default()
        };
        for (slot, files) in self.parts(range) {
            self.read_parts(&mut found, target, wanted, &files, range);
            if let Some(open) = self.open_raw(slot) {
                found.rows.extend(self.rows(&open, None, target, range));
            }
        }
        // Blocks overlap where the clock went back; what was written last holds.
        found.rows.sort_by_key(|row| row.at);
        found.rows.reverse();
        found.rows.dedup_by_key(|row| row.at);
        found.rows.reverse();
        found.rollups.sort_by_key(|rollup| rollup.from);
        found.rollups = rollup::of_rollups(&found.rollups, span);
        let cut = |rollup: &Rollup| (range.0..=range.1).contains(&rollup.from);
        found.rollups.retain(cut);
        found
    }

    /// Complete partitions of samples that overlap a range, by slot; the slot that is being filled too.
    fn parts(&self, (from, to): (u64, u64)) -> BTreeMap<u64, Vec<PartitionName>> {
        let mut slots: BTreeMap<u64, Vec<PartitionName>> = BTreeMap::new();
        for tier in [Tier::Raw, Tier::Minute, Tier::Hour] {
            let (sealed, open) = self.0.files(tier);
            for name in sealed {
                slots.entry(name.slot).or_default().push(name);
            }
            if let Some(open) = open {
                slots.entry(open.name.slot).or_default();
            }
        }
        slots.retain(|slot, _| *slot <= to && slot.saturating_add(Tier::Raw.length()) > from);
        slots
    }

    fn open_raw(&self, slot: u64) -> Option<PartitionReader> {
        let (_, open) = self.0.files(Tier::Raw);
        let open = open.filter(|open| open.name.slot == slot)?;
        PartitionReader::shared(&open).ok()
    }

    /// Of each part of a slot the tier that is wanted, else the finer one, else the coarser.
    fn read_parts(&self, found: &mut Found, target: &str, wanted: Tier, files: &[PartitionName], range: (u64, u64)) {
        let order: &[Tier] = match wanted {
            Tier::Hour => &[Tier::Hour, Tier::Minute, Tier::Raw],
            Tier::Minute => &[Tier::Minute, Tier::Raw, Tier::Hour],
            _ => &[Tier::Raw, Tier::Minute, Tier::Hour],
        };
        let mut by_sequence: BTreeMap<u64, Vec<Tier>> = BTreeMap::new();
        for name in files {
            by_sequence.entry(name.sequence).or_default().push(name.tier);
        }
        for (sequence, tiers) in by_sequence {
            let Some(tier) = order.iter().find(|tier| tiers.contains(tier)) else {
                continue;
            };
            let name = files
                .iter()
                .find(|name| name.sequence == sequence && name.tier == *tier);
            let Some(name) = name else { continue };
            let Some(reader) = self.open(*name) else { continue };
            if *tier == Tier::Raw {
                found.rows.extend(self.rows(&reader, Some(*name), target, range));
            } else {
                let (from, to) = range;
                let overlaps = |entry: &Entry| {
                    entry.kind == kind::ROLLUPS && entry.first <= to && entry.last.saturating_add(HOUR) >= from
                };
                found
                    .rollups
                    .extend(self.read(&reader, Some(*name), target, overlaps, block::decode_rollups));
            }
        }
    }

    fn rows(
        &self,
        reader: &PartitionReader,
        name: Option<PartitionName>,
        target: &str,
        (from, to): (u64, u64),
    ) -> Vec<Row> {
        let overlaps = |entry: &Entry| entry.kind == kind::ROWS && entry.first <= to && entry.last >= from;
        let mut rows = self.read(reader, name, target, overlaps, block::decode_rows);
        rows.retain(|row| (from..=to).contains(&row.at));
        rows
    }

    fn open(&self, name: PartitionName) -> Option<PartitionReader> {
        match PartitionReader::open(&name.path(self.0.directory())) {
            Ok(reader) => Some(reader),
            Err(error) => {
                self.notice(Some(name), &error);
                None
            }
        }
    }

    /// All that is wanted about a name and not damaged.
    fn read<T>(
        &self,
        reader: &PartitionReader,
        name: Option<PartitionName>,
        wanted: &str,
        is_wanted: impl FnMut(&Entry) -> bool,
        codec: impl Fn(&[u8]) -> Result<Vec<T>, CodecError>,
    ) -> Vec<T> {
        let entries = reader.entries(wanted, is_wanted).unwrap_or_else(|error| {
            self.notice(name, &error);
            Vec::new()
        });
        let mut found = Vec::new();
        for entry in entries {
            match reader.decoded(&entry, &codec) {
                Ok(items) => found.extend(items),
                Err(error) => self.notice(name, &error),
            }
        }
        found
    }

    /// Damage is for the writer to see to. A file that has been removed meanwhile is none.
    fn notice(&self, name: Option<PartitionName>, error: &DiskError) {
        if let (Some(name), DiskError::Damaged { .. }) = (name, error) {
            self.0.suspect(name);
        }
        tracing::debug!(%error, "a part of the history cannot be read");
    }

    /// The records of a tier about one name or about all, in the order of writing.
    pub(super) fn records(&self, tier: Tier, wanted_kind: u8, name: Option<&str>) -> Vec<Vec<u8>> {
        let (sealed, open) = self.0.files(tier);
        let sealed = sealed
            .into_iter()
            .filter_map(|name| Some((Some(name), self.open(name)?)));
        let open = open
            .and_then(|open| PartitionReader::shared(&open).ok())
            .map(|reader| (None, reader));
        let mut records = Vec::new();
        for (partition, reader) in sealed.chain(open) {
            let entries = match name {
                Some(name) => reader.entries(name, |entry| entry.kind == wanted_kind),
                None => reader.all().map(|(mut entries, _)| {
                    entries.retain(|entry| entry.kind == wanted_kind);
                    entries.sort_unstable_by_key(|entry| entry.offset);
                    entries
                }),
            };
            let entries = entries.unwrap_or_else(|error| {
                self.notice(partition, &error);
                Vec::new()
            });
            for entry in entries {
                match reader.decoded(&entry, |bytes| block::decompress(bytes, MAX_RECORD)) {
                    Ok(record) => records.push(record),
                    Err(error) => self.notice(partition, &error),
                }
            }
        }
        records
    }
}
