//! Reads profiles back, each with the stacks of its service.

use super::head::ProfileHead;
use super::stacks_of;
use crate::store::disk::codec::frame::Entry;
use crate::store::disk::codec::profile;
use crate::store::disk::codec::stacks::Stacks;
use crate::store::disk::codec::varint::Reader;
use crate::store::disk::error::DiskError;
use crate::store::disk::kind;
use crate::store::disk::partition::reader::PartitionReader;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::decoded::Summary;
use leakwatch_analysis::model::profile::ProfileLoss;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::stack::StackId;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_analysis::model::values::Values;

/// A chain is never longer than this, whatever a file says.
const MAX_CHAIN: usize = 64;

/// A profile that was kept.
#[derive(Clone, Debug)]
pub struct StoredProfile {
    /// When it was taken.
    pub at: Timestamp,
    /// Of which process.
    pub process: ProcessKey,
    /// Where it came from.
    pub source: ProfileSource,
    /// What it says.
    pub content: ProfileContent,
}

/// One profile.
pub(crate) fn read(partition: &PartitionReader, entry: &Entry) -> Result<StoredProfile, DiskError> {
    let (head, values) = values(partition, entry)?;
    let stacks = stacks(partition, &head.service)?;
    let named = |(number, value)| Some((stacks.stack(number)?, value));
    let mut named: Vec<(StackId, _)> = values
        .into_iter()
        .map(|value| named(value).unwrap_or((StackId::EMPTY, value.1)))
        .collect();
    named.sort_by_key(|(stack, _)| *stack);
    Ok(StoredProfile {
        at: head.at,
        process: head.process,
        source: head.source,
        content: ProfileContent {
            summary: Summary {
                values: Values::summed(named),
                total: head.total,
                period: head.period,
                program: head.program,
                losses: head.losses,
            },
            stacks: stacks.table,
        },
    })
}

/// All of a profile but its stacks.
#[derive(Clone, Debug)]
pub struct StoredHead {
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

/// Values that were read before: what differs from them is not read from the beginning.
#[derive(Debug)]
pub(crate) struct Earlier {
    offset: u64,
    values: profile::Numbered,
}

/// All of one profile but its stacks; its values help to read the next.
pub(crate) fn read_head(
    partition: &PartitionReader,
    entry: &Entry,
    earlier: Option<Earlier>,
) -> Result<(StoredHead, Earlier), DiskError> {
    let (head, values) = values_after(partition, entry, earlier)?;
    let stored = StoredHead {
        at: head.at,
        process: head.process,
        source: head.source,
        stacks: values.len(),
        total: head.total,
        losses: head.losses,
    };
    let offset = entry.offset;
    Ok((stored, Earlier { offset, values }))
}

/// The head of a profile, and its values by numbers.
pub(super) fn values(
    partition: &PartitionReader,
    entry: &Entry,
) -> Result<(ProfileHead, profile::Numbered), DiskError> {
    values_after(partition, entry, None)
}

fn values_after(
    partition: &PartitionReader,
    entry: &Entry,
    mut earlier: Option<Earlier>,
) -> Result<(ProfileHead, profile::Numbered), DiskError> {
    let mut chain = Vec::new();
    let mut next = Some(*entry);
    let mut values = profile::Numbered::new();
    while let Some(entry) = next {
        if let Some(known) = earlier.take_if(|known| known.offset == entry.offset && !chain.is_empty()) {
            values = known.values;
            break;
        }
        let payload = partition.payload(&entry)?;
        let mut reader = Reader::new(&payload);
        let head = ProfileHead::decode(&mut reader)
            .map_err(|error| DiskError::damaged(partition.path(), entry.offset, error))?;
        next = head.base.map(|(offset, bytes)| Entry { offset, bytes, ..entry });
        // Each is behind what it differs from: a file that says otherwise would never end.
        if chain.len() >= MAX_CHAIN || next.is_some_and(|next| next.offset >= entry.offset) {
            return Err(DiskError::damaged(
                partition.path(),
                entry.offset,
                "a chain of profiles does not end",
            ));
        }
        let delta = reader.rest().to_vec();
        chain.push((entry.offset, head, delta));
    }
    let mut newest = None;
    for (offset, head, delta) in chain.into_iter().rev() {
        values =
            profile::decode(&values, &delta).map_err(|error| DiskError::damaged(partition.path(), offset, error))?;
        newest = Some(head);
    }
    let head = newest.ok_or_else(|| DiskError::damaged(partition.path(), entry.offset, "no profile"))?;
    Ok((head, values))
}

/// The stacks of a service.
pub(super) fn stacks(partition: &PartitionReader, service: &str) -> Result<Stacks, DiskError> {
    let mut entries = partition.entries(&stacks_of(service), |entry| entry.kind == kind::STACKS)?;
    entries.sort_unstable_by_key(|entry| entry.offset);
    let mut stacks = Stacks::default();
    for entry in entries {
        let payload = partition.payload(&entry)?;
        stacks
            .extend(&payload)
            .map_err(|error| DiskError::damaged(partition.path(), entry.offset, error))?;
    }
    Ok(stacks)
}
