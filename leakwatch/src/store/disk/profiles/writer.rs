//! Writes profiles. Nothing is remembered between two of a target but what is on disk: the one before is read back, the stacks of a service are cached.

use super::head::ProfileHead;
use super::name_of;
use super::reader;
use super::stacks_of;
use crate::store::disk::codec::profile;
use crate::store::disk::codec::stacks;
use crate::store::disk::error::DiskError;
use crate::store::disk::kind;
use crate::store::disk::partition::name::Tier;
use crate::store::disk::partition::reader::PartitionReader;
use crate::store::disk::partition::writer::PartitionWriter;
use leakwatch_analysis::model::profile::ProfileLoss;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::stack::Adopted;
use leakwatch_analysis::model::stack::StackTable;
use std::collections::HashMap;
use std::sync::Arc;

/// A profile is written whole after so many that are not: what reading one may cost.
const MAX_DEPTH: u32 = 24;
/// Bytes of cached stacks.
const CACHE_BYTES: usize = 6 << 20;

/// A profile to be kept.
#[derive(Clone, Debug)]
pub struct ProfileRecord {
    /// Where it goes.
    pub tier: Tier,
    /// Its stacks are shared with those of the service.
    pub service: Arc<str>,
    /// The profile.
    pub snapshot: Snapshot,
    /// The table of its stacks.
    pub stacks: Arc<StackTable>,
}

/// Writes profiles to partitions.
#[derive(Debug, Default)]
pub(crate) struct ProfileWriter {
    cache: HashMap<(Tier, Arc<str>), Dictionary>,
}

/// The stacks of a service as the partition has them.
#[derive(Debug)]
struct Dictionary {
    table: StackTable,
    adopted: Option<Adopted>,
}

impl Dictionary {
    fn bytes(&self) -> usize {
        self.table.bytes() + self.adopted.as_ref().map_or(0, Adopted::bytes)
    }
}

impl ProfileWriter {
    /// The partition of the tier is complete; the next one begins anew.
    pub(crate) fn forget(&mut self, tier: Tier) {
        self.cache.retain(|(cached, _), _| *cached != tier);
    }

    /// Writes a profile.
    pub(crate) fn write(&mut self, writer: &mut PartitionWriter, record: &ProfileRecord) -> Result<(), DiskError> {
        let partition = PartitionReader::shared(&writer.index())?;
        let key = (record.tier, Arc::clone(&record.service));
        // Taken out: what is half written is not gone on with.
        let mut dictionary = match self.cache.remove(&key) {
            Some(cached) => cached,
            None => Dictionary {
                table: reader::stacks(&partition, &record.service)?.table,
                adopted: None,
            },
        };
        let snapshot = &record.snapshot;
        let (frames, known) = (dictionary.table.all_frames().count(), dictionary.table.len());
        let (values, folded) = numbered(&mut dictionary, record);
        if dictionary.table.len() > known {
            let bytes = stacks::encode(&dictionary.table, frames, known);
            let bytes = bytes.map_err(DiskError::encode(partition.path()))?;
            let at = snapshot.at.unix_millis();
            writer.append(kind::STACKS, &stacks_of(&record.service), (at, at), &bytes)?;
        }
        let name = name_of(snapshot.target.as_str(), snapshot.profile_type);
        let before = before(&partition, &name, snapshot)?;
        let (base, base_values, depth) = match before {
            Some((entry, head, values)) => (Some((entry.offset, entry.bytes)), values, head.depth + 1),
            None => (None, Vec::new(), 0),
        };
        let head = ProfileHead {
            base,
            depth,
            service: record.service.to_string(),
            at: snapshot.at,
            process: snapshot.process,
            source: snapshot.source,
            period: snapshot.period,
            program: snapshot.program.clone(),
            total: snapshot.total,
            losses: snapshot.losses.iter().cloned().chain(folded).collect(),
        };
        let mut payload = Vec::new();
        head.encode(&mut payload);
        let delta = profile::encode(&base_values, &values).map_err(DiskError::encode(partition.path()))?;
        payload.extend(delta);
        let at = snapshot.at.unix_millis();
        writer.append(kind::PROFILE, &name, (at, at), &payload)?;
        self.cache.insert(key, dictionary);
        self.fit_cache();
        Ok(())
    }

    /// Those that take most are read again when they are needed: a large program has few profiles an hour that are kept.
    fn fit_cache(&mut self) {
        let bytes = |cached: &HashMap<_, Dictionary>| cached.values().map(Dictionary::bytes).sum::<usize>();
        while bytes(&self.cache) > CACHE_BYTES {
            let largest = self.cache.iter().max_by_key(|(_, cached)| cached.bytes());
            let Some(largest) = largest.map(|(key, _)| key.clone()) else {
                return;
            };
            self.cache.remove(&largest);
        }
    }
}

/// The newest profile of the same process in the partition, unless it is time for a whole one.
fn before(
    partition: &PartitionReader,
    name: &str,
    snapshot: &Snapshot,
) -> Result<Option<(crate::store::disk::codec::frame::Entry, ProfileHead, profile::Numbered)>, DiskError> {
    let entries = partition.entries(name, |entry| entry.kind == kind::PROFILE)?;
    let Some(newest) = entries.last() else {
        return Ok(None);
    };
    let (head, values) = reader::values(partition, newest)?;
    let fits = head.process == snapshot.process && head.depth < MAX_DEPTH;
    Ok(fits.then_some((*newest, head, values)))
}

/// The values by the numbers of the dictionary. What it has no room for is put down to no stack, and counted.
fn numbered(dictionary: &mut Dictionary, record: &ProfileRecord) -> (profile::Numbered, Option<ProfileLoss>) {
    let table = &record.stacks;
    let mut adopted = match dictionary.adopted.take() {
        Some(adopted) if adopted.is_of(table) => adopted,
        _ => Adopted::of(table),
    };
    let mut folded = 0;
    let mut values: profile::Numbered = Vec::with_capacity(record.snapshot.values.len());
    for (stack, value) in &record.snapshot.values {
        let number = match dictionary.table.adopt(table, stack, &mut adopted) {
            Ok(here) => here.number(),
            Err(_full) => {
                folded += 1;
                0
            }
        };
        values.push((number, value));
    }
    dictionary.adopted = Some(adopted);
    values.sort_by_key(|(stack, _)| *stack);
    values.dedup_by(|(stack, value), (kept, sum)| {
        let is_same = stack == kept;
        if is_same {
            sum.add(value);
        }
        is_same
    });
    (values, ProfileLoss::of(ProfileLoss::FOLDED, folded))
}
