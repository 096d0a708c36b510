//! The writer's side of the store: takes batches, keeps files in order, stays within the bounds.
//!
//! A file system that refuses writes suspends the store: rows stay in memory up to a bound, the rest is counted as lost, and every batch tries again.

use super::batch::Batch;
use super::batch::Record;
use super::catalog::Catalog;
use super::codec::block;
use super::codec::row::Row;
use super::error::DiskError;
use super::journal::Journal;
use super::kind;
use super::partition::name::PartitionName;
use super::partition::name::Tier;
use super::partition::writer::PartitionWriter;
use super::pending::Pending;
use super::pins::PIN_KEY;
use super::pins::Pins;
use super::profiles::ProfileWriter;
use super::retention::Held;
use super::retention::Limits;
use super::retention::doomed;
use super::status::Shared;
use super::status::TierStatus;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

/// Rows of a block: ten minutes at the default interval.
pub(crate) const BLOCK_ROWS: usize = 120;
/// Rows of a target that wait in memory while nothing can be written.
const MAX_PENDING: usize = 4 * BLOCK_ROWS;
/// A target that is sampled seldom gets its block after so many milliseconds all the same.
const BLOCK_SPAN: u64 = 15 * 60 * 1000;
/// Files are forced to disk so often: what a failure of power may cost.
const SYNC_EVERY: u64 = 60 * 1000;
/// A partition that reaches this part of its tier's share is completed early, so that removing one frees little at a time.
const PARTS_OF_SHARE: u64 = 8;

/// The store, as its writer has it.
#[derive(Debug)]
pub struct Store {
    pub(super) directory: PathBuf,
    pub(super) limits: Limits,
    pub(super) shared: Arc<Shared>,
    /// Complete partitions and their bytes.
    pub(super) held: BTreeMap<PartitionName, u64>,
    pub(super) open: BTreeMap<Tier, PartitionWriter>,
    pub(super) next: u64,
    pub(super) journal: Journal,
    pub(super) pending: HashMap<Arc<str>, Pending>,
    pub(super) catalog: Catalog,
    pub(super) profiles: ProfileWriter,
    pub(super) synced: u64,
    pub(super) tended: u64,
    pub(super) now: u64,
    pub(super) written: u64,
    /// Runs and post-mortems that could not be written yet.
    pub(super) waiting: Vec<Record>,
    pub(super) pins: Pins,
}

impl Store {
    /// Takes in a batch. What cannot be written waits or is counted; the store is usable whatever happens.
    pub fn apply(&mut self, batch: &Batch) {
        self.now = batch.at;
        let result = self.try_apply(batch);
        let suspended = result.as_ref().err().map(ToString::to_string);
        self.shared.update_status(|status| {
            if status.suspended.is_some() != suspended.is_some() {
                if let Some(why) = &suspended {
                    tracing::warn!("the store is suspended, history is in memory alone: {why}");
                } else {
                    tracing::info!("the store is written again");
                }
            }
            status.suspended = suspended;
            status.newest = if status.suspended.is_none() {
                batch.at
            } else {
                status.newest
            };
        });
    }

    fn try_apply(&mut self, batch: &Batch) -> Result<(), DiskError> {
        self.see_to_suspects();
        let tended = self.tend(batch.at);
        let journaled = self.journal_rows(batch);
        self.push_rows(&batch.rows);
        let flushed = self.flush_due(batch.at);
        let profiles = self.write_profiles(batch);
        let cataloged = self.write_catalog(batch);
        let synced = self.sync(batch.at);
        self.report();
        tended
            .and(journaled)
            .and(flushed)
            .and(profiles)
            .and(cataloged)
            .and(synced)
    }

    fn journal_rows(&mut self, batch: &Batch) -> Result<(), DiskError> {
        if batch.rows.is_empty() {
            return Ok(());
        }
        let before = self.journal.bytes();
        let appended = self.journal.append(batch.at, &batch.rows);
        self.written += self.journal.bytes().saturating_sub(before);
        appended
    }

    fn push_rows(&mut self, rows: &[(Arc<str>, Row)]) {
        for (target, row) in rows {
            match self.pending.get_mut(target) {
                Some(pending) if pending.last() < row.at => pending.push(row),
                // The clock went back: the rows before are a block of their own.
                Some(_) => {
                    drop(self.write_blocks(std::slice::from_ref(target), None));
                    if let Some(unwritten) = self.pending.insert(Arc::clone(target), Pending::new(row)) {
                        self.lose("store_rows_dropped", unwritten.len() as u64);
                    }
                }
                None => {
                    self.pending.insert(Arc::clone(target), Pending::new(row));
                }
            }
        }
    }

    /// Writes the blocks that are full, whose slot is over or whose target is not sampled any more.
    fn flush_due(&mut self, now: u64) -> Result<(), DiskError> {
        let slot = Tier::Raw.begin_of(now);
        let is_due = |pending: &Pending| {
            pending.len() >= BLOCK_ROWS
                || Tier::Raw.begin_of(pending.first()) != slot
                || now.abs_diff(pending.first()) >= BLOCK_SPAN
        };
        let due = self.pending.iter().filter(|(_, pending)| is_due(pending));
        let due: Vec<Arc<str>> = due.map(|(target, _)| Arc::clone(target)).collect();
        let written = self.write_blocks(&due, Some(slot));
        if written.is_err() {
            let over = |pending: &mut Pending| pending.len() >= MAX_PENDING;
            let lost: usize = self
                .pending
                .extract_if(|_, pending| over(pending))
                .map(|(_, pending)| pending.len())
                .sum();
            self.lose("store_rows_dropped", lost as u64);
        }
        written
    }

    /// Writes all that waits, whether due or not.
    pub(super) fn flush_all(&mut self) -> Result<(), DiskError> {
        let targets: Vec<Arc<str>> = self.pending.keys().map(Arc::clone).collect();
        self.write_blocks(&targets, None)
    }

    /// Writes what waits of these targets. Each block belongs to one slot, and those of earlier slots go first: a partition is begun once. Rows of the slot
    /// that has just begun go on waiting if there are others.
    fn write_blocks(&mut self, targets: &[Arc<str>], current: Option<u64>) -> Result<(), DiskError> {
        let mut blocks: Vec<(u64, Arc<str>, Vec<Row>)> = Vec::new();
        for target in targets {
            let Some(pending) = self.pending.get(target) else {
                continue;
            };
            let rows = pending.decode().map_err(DiskError::encode(&self.directory))?;
            for row in rows {
                let slot = Tier::Raw.begin_of(row.at);
                match blocks.last_mut() {
                    Some((of, name, rows)) if *of == slot && name == target => rows.push(row),
                    _ => blocks.push((slot, Arc::clone(target), vec![row])),
                }
            }
        }
        blocks.sort_by_key(|(slot, ..)| *slot);
        let only = blocks.first().map(|(slot, ..)| *slot) == blocks.last().map(|(slot, ..)| *slot);
        for (slot, target, rows) in blocks {
            if Some(slot) == current && !only {
                self.wait(&target, &rows);
                continue;
            }
            let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
                continue;
            };
            let payload = block::encode_rows(&rows).map_err(DiskError::encode(&self.directory))?;
            self.append(Tier::Raw, first.at, kind::ROWS, &target, (first.at, last.at), &payload)?;
            if self
                .pending
                .get(&target)
                .is_some_and(|pending| pending.last() == last.at)
            {
                self.pending.remove(&target);
            }
        }
        Ok(())
    }

    /// These rows are all that waits of a target.
    fn wait(&mut self, target: &Arc<str>, rows: &[Row]) {
        let mut rows = rows.iter();
        let Some(first) = rows.next() else { return };
        let mut pending = Pending::new(first);
        rows.for_each(|row| pending.push(row));
        self.pending.insert(Arc::clone(target), pending);
    }

    /// Appends a frame to the partition of a tier that an instant belongs to.
    pub(super) fn append(
        &mut self,
        tier: Tier,
        at: u64,
        kind: u8,
        name: &Arc<str>,
        span: (u64, u64),
        payload: &[u8],
    ) -> Result<(), DiskError> {
        let writer = self.partition(tier, at)?;
        let before = writer.bytes();
        let appended = writer.append(kind, name, span, payload);
        let grown = writer.bytes() - before;
        self.written += grown;
        appended.map(|_entry| ())
    }

    /// The partition of a tier that is being filled; a new one if its slot is over or it is large.
    pub(super) fn partition(&mut self, tier: Tier, at: u64) -> Result<&mut PartitionWriter, DiskError> {
        let slot = tier.begin_of(at);
        let most = tier.share_of(self.limits.max_bytes) / PARTS_OF_SHARE;
        let is_over = |writer: &PartitionWriter| writer.name.slot != slot || writer.bytes() > most;
        if self.open.get(&tier).is_some_and(is_over) {
            self.complete(tier)?;
        }
        if !self.open.contains_key(&tier) {
            let name = PartitionName {
                tier,
                sequence: self.next,
                slot,
                damaged: false,
            };
            let writer = PartitionWriter::create(&self.directory, name)?;
            self.next += 1;
            self.open.insert(tier, writer);
            self.share_files();
        }
        self.open.get_mut(&tier).ok_or_else(|| DiskError::Io {
            path: self.directory.clone(),
            source: std::io::ErrorKind::NotFound.into(),
        })
    }

    /// Completes the partition of a tier that is being filled.
    pub(super) fn complete(&mut self, tier: Tier) -> Result<(), DiskError> {
        let Some(writer) = self.open.get_mut(&tier) else {
            return Ok(());
        };
        let before = writer.bytes();
        writer.seal()?;
        let (name, bytes) = (writer.name, writer.bytes());
        self.written += bytes - before;
        self.open.remove(&tier);
        self.held.insert(name, bytes);
        if matches!(tier, Tier::Profiles | Tier::OtherProfiles) {
            self.profiles.forget(tier);
        }
        self.share_files();
        if tier == Tier::Raw {
            self.roll_up(name)?;
        }
        Ok(())
    }

    /// Completes what is over, removes what is beyond the bounds.
    pub(super) fn tend(&mut self, now: u64) -> Result<(), DiskError> {
        let over = self.open.iter().filter(|(tier, writer)| {
            // The rows of the last minutes of a slot may still wait.
            writer.name.slot != tier.begin_of(now) && (**tier != Tier::Raw || self.pending.is_empty())
        });
        let over: Vec<Tier> = over.map(|(tier, _)| *tier).collect();
        let mut result = Ok(());
        for tier in over {
            result = result.and(self.complete(tier));
        }
        self.tended = now;
        self.stay_within_bounds(now);
        result
    }

    /// Removes the partitions that have to go.
    pub(super) fn stay_within_bounds(&mut self, now: u64) {
        let pinned = self.pins.find(&self.catalog, &self.held, &self.directory);
        let complete = self.held.iter().map(|(name, bytes)| Held {
            name: *name,
            bytes: *bytes,
            open: false,
            pinned: pinned.contains(name),
        });
        let open = self.open.values().map(|writer| Held {
            name: writer.name,
            bytes: writer.bytes(),
            open: true,
            pinned: false,
        });
        let held: Vec<Held> = complete.chain(open).collect();
        let other = self.journal.bytes() + self.catalog.bytes();
        let doomed = doomed(&held, self.limits, other, self.room(), now);
        let any = !doomed.is_empty();
        for name in doomed {
            let path = name.path(&self.directory);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "an old partition cannot be removed");
                }
                _ => {
                    self.held.remove(&name);
                }
            }
        }
        if any {
            self.share_files();
        }
    }

    /// What is written between two looks at the bounds at most.
    fn room(&self) -> u64 {
        self.limits.max_bytes / 40
    }

    fn see_to_suspects(&mut self) {
        for name in self.shared.take_suspects() {
            if self.held.contains_key(&name) {
                self.quarantine(name);
            }
        }
    }

    pub(super) fn sync(&mut self, now: u64) -> Result<(), DiskError> {
        if now.abs_diff(self.synced) < SYNC_EVERY {
            return Ok(());
        }
        self.synced = now;
        for writer in self.open.values_mut() {
            writer.sync()?;
        }
        self.journal.sync()?;
        self.catalog.sync()?;
        let oldest = self.pending.values().map(Pending::first).min();
        self.journal.forget(oldest);
        Ok(())
    }

    pub(super) fn lose(&self, reason: &'static str, count: u64) {
        if count > 0 {
            self.shared
                .update_status(|status| *status.losses.entry(reason).or_default() += count);
        }
    }

    pub(super) fn note(&self, note: String) {
        const MAX_NOTES: usize = 20;
        tracing::warn!("{note}");
        self.shared.update_status(|status| {
            if status.notes.len() >= MAX_NOTES {
                status.notes.remove(0);
            }
            status.notes.push(note);
        });
    }

    pub(super) fn share_files(&self) {
        let open = self.open.iter().map(|(tier, writer)| (*tier, writer.index()));
        self.shared
            .set_files(self.held.keys().copied().collect(), open.collect());
    }

    /// Bytes on disk, everything counted.
    pub fn bytes(&self) -> u64 {
        let open: u64 = self.open.values().map(PartitionWriter::bytes).sum();
        self.held.values().sum::<u64>() + open + self.journal.bytes() + self.catalog.bytes()
    }

    pub(super) fn report(&self) {
        let mut tiers: BTreeMap<Tier, TierStatus> = BTreeMap::new();
        let complete = self.held.iter().map(|(name, bytes)| (*name, *bytes));
        let open = self.open.values().map(|writer| (writer.name, writer.bytes()));
        for (name, bytes) in complete.chain(open) {
            let tier = tiers.entry(name.tier).or_default();
            tier.bytes += bytes;
            tier.partitions += 1;
            tier.oldest = Some(tier.oldest.map_or(name.slot, |oldest| oldest.min(name.slot)));
        }
        let (bytes, written) = (self.bytes(), self.written);
        let pinned = self.catalog.under(PIN_KEY).count();
        let pinned_bytes = self.pins.having().filter_map(|name| self.held.get(name)).sum();
        self.shared.update_status(|status| {
            status.bytes = bytes;
            (status.pinned, status.pinned_bytes) = (pinned, pinned_bytes);
            status.tiers = tiers;
            status.written_bytes = written;
        });
    }

    /// Writes all that waits and completes nothing: the next daemon goes on with the same files.
    pub fn close(&mut self) -> Result<(), DiskError> {
        let flushed = self.flush_all();
        self.synced = 0;
        let synced = self.sync(u64::MAX);
        self.report();
        flushed.and(synced)
    }
}
