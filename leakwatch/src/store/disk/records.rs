//! Profiles, runs, post-mortems and the catalog of a batch.

use super::batch::Batch;
use super::batch::Record;
use super::codec::block;
use super::error::DiskError;
use super::partition::name::Tier;
use super::profiles::ProfileRecord;
use super::store::Store;

impl Store {
    /// Writes profiles. What cannot be written is counted: the next one comes soon.
    pub(super) fn write_profiles(&mut self, batch: &Batch) -> Result<(), DiskError> {
        let mut result = Ok(());
        for record in &batch.profiles {
            let written = self.write_profile(record, batch.at);
            if let Err(error) = &written {
                self.lose("store_profiles_dropped", 1);
                if matches!(error, DiskError::Damaged { .. }) {
                    self.set_aside_open(record.tier);
                    continue;
                }
            }
            result = result.and(written);
        }
        result
    }

    fn write_profile(&mut self, record: &ProfileRecord, now: u64) -> Result<(), DiskError> {
        let before = self.partition(record.tier, now)?.bytes();
        let Some(writer) = self.open.get_mut(&record.tier) else {
            return Ok(());
        };
        let written = self.profiles.write(writer, record);
        self.written += writer.bytes() - before;
        written
    }

    /// The partition that is being filled turned out to be damaged: what is whole in it is kept, and another is begun.
    fn set_aside_open(&mut self, tier: Tier) {
        if let Some(writer) = self.open.remove(&tier) {
            self.held.insert(writer.name, writer.bytes());
            self.profiles.forget(tier);
            self.quarantine(writer.name);
        }
    }

    /// Writes runs and post-mortems, and what changed in the catalog. What cannot be written is tried again with the next batch.
    pub(super) fn write_catalog(&mut self, batch: &Batch) -> Result<(), DiskError> {
        /// Records that wait while nothing can be written.
        const MAX_WAITING: usize = 256;
        let mut result = Ok(());
        let waiting = std::mem::take(&mut self.waiting);
        for record in waiting.iter().chain(&batch.records) {
            let written = self.write_record(record, batch.at);
            if written.is_err() {
                if self.waiting.len() < MAX_WAITING {
                    self.waiting.push(record.clone());
                } else {
                    self.lose("store_records_dropped", 1);
                }
            }
            result = result.and(written);
        }
        let before = self.catalog.written();
        let applied = self.catalog.apply(&batch.changes);
        self.written += self.catalog.written() - before;
        result.and(applied)
    }

    fn write_record(&mut self, record: &Record, now: u64) -> Result<(), DiskError> {
        let payload = block::compress(&record.payload, block::LEVEL).map_err(DiskError::encode(&self.directory))?;
        self.append(record.tier, now, record.kind, &record.name, record.span, &payload)
    }
}
