//! Samples by the minute and by the hour, made of a partition of raw samples once it is complete: nothing has to be kept in memory for them, and what is
//! missing after a crash is made again.

use super::codec::block;
use super::codec::rollup;
use super::codec::rollup::Rollup;
use super::codec::row::Row;
use super::codec::varint::CodecError;
use super::error::DiskError;
use super::kind;
use super::partition::name::HOUR;
use super::partition::name::MINUTE;
use super::partition::name::PartitionName;
use super::partition::name::Tier;
use super::partition::reader::PartitionReader;
use super::partition::writer::PartitionWriter;
use super::store::Store;
use std::collections::BTreeMap;
use std::fs;

impl Store {
    /// Makes the rollups of a partition of raw samples. They have its sequence number.
    pub(super) fn roll_up(&mut self, raw: PartitionName) -> Result<(), DiskError> {
        self.stay_within_bounds(self.now);
        let minute = PartitionName {
            tier: Tier::Minute,
            ..raw
        };
        let hour = PartitionName {
            tier: Tier::Hour,
            ..raw
        };
        let made = self.make_rollups(raw, minute, hour);
        if let Err(error) = &made {
            for name in [minute, hour] {
                drop(fs::remove_file(name.path(&self.directory)));
            }
            if matches!(error, DiskError::Damaged { .. }) {
                self.quarantine(raw);
            }
        }
        self.share_files();
        made
    }

    fn make_rollups(
        &mut self,
        raw: PartitionName,
        minute: PartitionName,
        hour: PartitionName,
    ) -> Result<(), DiskError> {
        let reader = PartitionReader::open(&raw.path(&self.directory))?;
        let (mut entries, names) = reader.all()?;
        entries.retain(|entry| entry.kind == kind::ROWS);
        entries.sort_unstable_by_key(|entry| (entry.target, entry.first, entry.offset));
        let mut by_target: BTreeMap<u32, Vec<_>> = BTreeMap::new();
        for entry in entries {
            by_target.entry(entry.target).or_default().push(entry);
        }
        let mut minutes = PartitionWriter::create(&self.directory, minute)?;
        let mut hours = PartitionWriter::create(&self.directory, hour)?;
        for (target, entries) in by_target {
            let Some(name) = names.get(&target) else { continue };
            let mut rows: Vec<Row> = Vec::new();
            for entry in &entries {
                rows.extend(reader.decoded(entry, block::decode_rows)?);
            }
            rows.sort_by_key(|row| row.at);
            let by_minute = rollup::of_rows(&rows, MINUTE);
            let by_hour = rollup::of_rollups(&by_minute, HOUR);
            for (writer, rollups) in [(&mut minutes, by_minute), (&mut hours, by_hour)] {
                append(writer, name, &rollups).map_err(|error| match error {
                    Failure::Disk(error) => error,
                    Failure::Codec(error) => DiskError::encode(&self.directory)(error),
                })?;
            }
        }
        for writer in [&mut minutes, &mut hours] {
            writer.seal()?;
            self.written += writer.bytes();
            self.held.insert(writer.name, writer.bytes());
        }
        Ok(())
    }
}

enum Failure {
    Disk(DiskError),
    Codec(CodecError),
}

fn append(writer: &mut PartitionWriter, name: &std::sync::Arc<str>, rollups: &[Rollup]) -> Result<(), Failure> {
    for rollups in rollups.chunks(block::MAX_ROWS) {
        if let (Some(first), Some(last)) = (rollups.first(), rollups.last()) {
            let payload = block::encode_rollups(rollups).map_err(Failure::Codec)?;
            let span = (first.from, last.from);
            writer
                .append(kind::ROLLUPS, name, span, &payload)
                .map_err(Failure::Disk)?;
        }
    }
    Ok(())
}
